import numpy as np
import pytest

from mrspipe.io.first_point import first_point_is_halved, restored_first_point


def two_lines(n_points=1024, noise_sd=0.0, seed=1):
    rng = np.random.default_rng(seed)
    t = np.arange(n_points) * 5e-4
    fid = np.exp(2j * np.pi * 120.0 * t - 12.0 * t) + 0.6 * np.exp(-2j * np.pi * 75.0 * t - 9.0 * t)
    return fid + noise_sd * (rng.standard_normal(n_points) + 1j * rng.standard_normal(n_points))


@pytest.mark.parametrize("noise_sd", [0.0, 0.01])
def test_a_whole_first_point_is_found_whole(noise_sd):
    assert first_point_is_halved(two_lines(noise_sd=noise_sd)) is False


@pytest.mark.parametrize("noise_sd", [0.0, 0.01])
def test_a_halved_first_point_is_found_halved(noise_sd):
    fid = two_lines(noise_sd=noise_sd)
    fid[0] *= 0.5
    assert first_point_is_halved(fid) is True


def test_noise_alone_is_not_decided():
    rng = np.random.default_rng(2)
    assert first_point_is_halved(rng.standard_normal(1024) + 1j * rng.standard_normal(1024)) is None


def test_a_short_fid_is_not_decided():
    assert first_point_is_halved(two_lines()[:64]) is None


def test_a_first_point_that_is_neither_is_not_decided():
    fid = two_lines()
    fid[0] *= 3.0
    assert first_point_is_halved(fid) is None


def test_restoring_gives_back_the_whole_point_and_leaves_the_argument_alone():
    whole = two_lines()
    halved = whole.copy()
    halved[0] *= 0.5
    restored, changed = restored_first_point(halved)
    assert changed
    np.testing.assert_allclose(restored, whole)
    assert halved[0] == whole[0] / 2


def test_restoring_a_whole_point_changes_nothing():
    whole = two_lines()
    restored, changed = restored_first_point(whole)
    assert not changed
    np.testing.assert_array_equal(restored, whole)
