import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrspipe.preprocess.weights import TransientWeights, transient_weights

_BAND = (0.5, 3.8)


def _found(fids, axis, size_band_ppm=None, **options):
    return transient_weights(fids, axis, size_band_ppm=size_band_ppm, residual_band_ppm=_BAND, **options)


@given(
    size=st.lists(st.floats(0.1, 2.0), min_size=2, max_size=20),
    variance=st.floats(1.0, 50.0),
)
def test_no_choice_of_weights_has_less_noise_at_the_same_size(size, variance):
    size = np.array(size)
    spread = np.linspace(1.0, variance, len(size))
    found = TransientWeights(size, spread, np.zeros(len(size), dtype=bool))
    assert found.weights @ size == pytest.approx(1.0)
    # Any change that keeps the size is a step along a direction orthogonal to it; the noise must not fall.
    rng = np.random.default_rng(0)
    step = rng.standard_normal(len(size))
    step -= size * (step @ size) / (size @ size)
    other = found.weights + 0.1 * step
    assert np.sum(other**2 * spread) >= np.sum(found.weights**2 * spread) * (1 - 1e-9)


def test_half_a_signal_counts_half_and_biases_nothing(mr):
    rng = np.random.default_rng(1)
    size = np.ones(32)
    size[[4, 20]] = 0.5
    fids = size[:, None] * mr.water + mr.noise(rng, 0.1, 32)
    found = _found(fids, mr.axis)
    np.testing.assert_allclose(found.size, size, atol=1e-3)
    np.testing.assert_allclose(found.weights @ size, 1.0, atol=1e-4)
    assert found.effective_number == pytest.approx(30 + 2 * 0.25, rel=1e-3)
    np.testing.assert_array_equal(np.flatnonzero(found.changed_signal), [4, 20])


def test_noise_of_more_variance_counts_in_proportion_to_its_inverse(mr):
    rng = np.random.default_rng(2)
    sd = np.where(np.arange(40) == 6, 0.2, 0.1)
    fids = mr.water + sd[:, None] * mr.noise(rng, 1.0, 40)
    found = _found(fids, mr.axis)
    # The band holds 3.3 ppm of 15.7: 168 independent real values, whose variance is known to sqrt(2 / 168) = 11 %.
    assert found.variance[6] == pytest.approx(4.0, rel=0.44)
    np.testing.assert_array_equal(np.flatnonzero(found.excess_residual), [6])


def test_transients_that_differ_by_noise_alone_lose_nothing_of_their_average(mr):
    rng = np.random.default_rng(3)
    lost = []
    for _ in range(20):
        found = _found(mr.metabolites + mr.noise(rng, 1.0, 64), mr.axis, _BAND)
        lost.append(1 - found.effective_number / 64)
        assert not found.dropped.any()
    # A normal distribution has 0.3 % beyond three SDs; the SD from 64 values is known to 15 % at best.
    assert np.mean(lost) < 0.01


def test_a_lipid_burst_is_dropped_and_the_reason_is_its_residual(mr):
    rng = np.random.default_rng(4)
    fids = mr.metabolites + mr.noise(rng, 0.1, 32)
    fids[7] += mr.line(1.3, 20.0, 25, 0.7)
    found = _found(fids, mr.axis, _BAND)
    np.testing.assert_array_equal(np.flatnonzero(found.dropped), [7])
    assert found.excess_residual[7]


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(12)), phase=st.floats(-np.pi, np.pi), gain=st.floats(1e-6, 1e6))
def test_weights_follow_the_order_and_know_neither_phase_nor_scale(mr, order, phase, gain):
    rng = np.random.default_rng(5)
    fids = mr.water + mr.noise(rng, 0.3, 12)
    fids[3] *= 0.6
    fids[8] += mr.line(1.3, 9.0, 25)
    plain = _found(fids, mr.axis).weights
    # A common phase mixes real and imaginary parts, of which medians are taken apart: that moves them within noise.
    turned = _found(gain * np.exp(1j * phase) * fids[list(order)], mr.axis).weights
    np.testing.assert_allclose(turned, plain[list(order)], atol=0.02)


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_transients_count_the_same(mr, n):
    fids = mr.noise(np.random.default_rng(6), 1.0, n)
    np.testing.assert_array_equal(_found(fids, mr.axis).weights, np.full(n, 1 / n))


def test_silence_has_equal_weights(mr):
    np.testing.assert_array_equal(_found(np.zeros((5, 1024), dtype=complex), mr.axis).weights, np.full(5, 0.2))


def test_identical_transients_have_equal_weights(mr):
    np.testing.assert_allclose(_found(np.tile(mr.metabolites, (9, 1)), mr.axis).weights, np.full(9, 1 / 9), rtol=1e-9)
