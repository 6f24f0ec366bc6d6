import numpy as np
import pytest

from mrspipe.core.noise import noise_covariance, noise_sd
from mrspipe.preprocess.transients import outliers


def test_one_corrupted_transient_is_the_only_outlier(mr):
    rng = np.random.default_rng(1)
    fids = mr.metabolites + mr.noise(rng, 0.1, 32)
    fids[7] += mr.line(1.3, 3.0, 25, 0.7)
    np.testing.assert_array_equal(np.flatnonzero(outliers(fids, mr.axis, band_ppm=(0.5, 3.8))), [7])


def test_clean_transients_are_all_kept(mr):
    rng = np.random.default_rng(2)
    for _ in range(20):
        assert not outliers(mr.metabolites + mr.noise(rng, 0.1, 64), mr.axis).any()


def test_identical_transients_are_all_kept(mr):
    assert not outliers(np.tile(mr.metabolites, (10, 1)), mr.axis).any()


def test_a_change_of_residual_water_alone_is_no_reason_with_a_band(mr):
    rng = np.random.default_rng(3)
    fids = mr.metabolites + mr.noise(rng, 0.1, 32)
    fids[5] += mr.line(4.75, 20.0, 4)
    assert outliers(fids, mr.axis)[5]
    assert not outliers(fids, mr.axis, band_ppm=(0.5, 3.8))[5]


def test_never_more_than_the_allowed_part_is_rejected_and_then_the_worst(mr):
    rng = np.random.default_rng(4)
    fids = mr.metabolites + mr.noise(rng, 0.1, 20)
    for i, size in ((2, 4.0), (9, 8.0), (11, 6.0), (15, 2.0)):
        fids[i] += mr.line(1.3, size, 25)
    found = outliers(fids, mr.axis, max_fraction=0.1)
    np.testing.assert_array_equal(np.flatnonzero(found), [9, 11])


def test_shots_of_one_pair_are_judged_together(mr):
    rng = np.random.default_rng(5)
    pairs = np.stack([mr.water + mr.metabolites, mr.water - mr.metabolites]) + mr.noise(rng, 0.1, 16, 2)
    pairs[3, 1] += mr.line(1.3, 3.0, 25)
    np.testing.assert_array_equal(np.flatnonzero(outliers(pairs, mr.axis, band_ppm=(0.5, 3.8))), [3])


def test_noise_is_measured_beside_a_slow_signal(mr):
    rng = np.random.default_rng(6)
    fids = mr.line(4.65, 100.0, 3.0) + mr.noise(rng, 0.3, 100)
    assert noise_sd(fids) == pytest.approx(0.3, rel=0.03)


def test_noise_covariance_is_recovered(mr):
    rng = np.random.default_rng(7)
    mixing = np.array([[1.0, 0.0], [0.5j, 2.0]])
    fids = np.tensordot(mixing, mr.noise(rng, 1.0, 2, 100), axes=1)
    np.testing.assert_allclose(noise_covariance(fids), 2 * mixing @ mixing.conj().T, atol=0.3)
