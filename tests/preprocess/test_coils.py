import numpy as np
import pytest

from mrspipe.core.noise import noise_covariance
from mrspipe.preprocess.coils import coil_weights


def _sensitivities(rng, n):
    return rng.uniform(0.2, 1.5, n) * np.exp(1j * rng.uniform(-np.pi, np.pi, n))


def _snr(weights, sensitivity, covariance):
    return abs(weights @ sensitivity) / np.sqrt((weights @ covariance @ weights.conj()).real)


def test_independent_coils_reach_the_root_of_the_summed_squared_snr(mr):
    rng = np.random.default_rng(1)
    s, sd = _sensitivities(rng, 16), rng.uniform(0.5, 2.0, 16)
    noise = sd[:, None, None] * mr.noise(rng, 1.0, 16, 32)
    water = s[:, None, None] * mr.water + noise[:, :1]
    found = coil_weights(water, noise_covariance(s[:, None, None] * mr.metabolites + noise))
    reached = _snr(found.weights, s, np.diag(sd**2))
    assert reached / np.sqrt(np.sum(np.abs(s) ** 2 / sd**2)) > 0.95
    assert found.snr_gain == pytest.approx(reached / (np.abs(s) / sd).max(), rel=0.05)


def test_correlated_noise_is_whitened(mr):
    rng = np.random.default_rng(2)
    s = _sensitivities(rng, 8)
    mixing = np.eye(8) + 0.6 * rng.standard_normal((8, 8))
    covariance = mixing @ mixing.T
    noise = np.tensordot(mixing, mr.noise(rng, 1.0, 8, 16), axes=1)
    found = coil_weights(s[:, None] * mr.water + noise[:, 0], noise_covariance(noise))
    optimum = np.sqrt((s.conj() @ np.linalg.solve(covariance, s)).real)
    assert _snr(found.weights, s, covariance) / optimum > 0.95


def test_few_samples_of_noise_do_not_cost_signal(mr):
    rng = np.random.default_rng(3)
    s, sd = _sensitivities(rng, 32), rng.uniform(0.5, 2.0, 32)
    noise = sd[:, None] * mr.noise(rng, 1.0, 32)
    found = coil_weights(s[:, None] * mr.water + noise, noise_covariance(noise))
    optimum = np.sqrt(np.sum(np.abs(s) ** 2 / sd**2))
    assert _snr(found.weights, s, np.diag(sd**2)) / optimum > 0.95


def test_a_combined_signal_has_the_root_of_the_summed_squared_coil_amplitudes(mr):
    s = _sensitivities(np.random.default_rng(4), 6)
    found = coil_weights(s[:, None] * mr.water, np.diag([1.0, 2.0, 0.5, 1.0, 3.0, 1.0]))
    strongest = s[np.argmax(np.abs(s))]
    expected = np.linalg.norm(s) * strongest / abs(strongest) * mr.metabolites
    np.testing.assert_allclose(found.applied(s[:, None] * mr.metabolites), expected, rtol=1e-6)


def test_one_coil_stays_what_it_is(mr):
    found = coil_weights(mr.water[None], np.eye(1))
    np.testing.assert_allclose(found.applied(mr.metabolites[None]), mr.metabolites, rtol=1e-12)
    assert found.snr_gain == pytest.approx(1.0)


def test_a_coil_of_pure_noise_hardly_counts(mr):
    rng = np.random.default_rng(5)
    s = np.array([1.0, 0.8j, 0.0])
    noise = mr.noise(rng, 1.0, 3, 16) * np.array([1.0, 1.0, 50.0])[:, None, None]
    found = coil_weights(s[:, None] * mr.water + noise[:, 0], noise_covariance(noise))
    assert abs(found.weights[2]) * 50 < 0.05 * abs(found.weights[0])


def test_phases_of_single_transients_do_not_matter(mr):
    rng = np.random.default_rng(6)
    s = _sensitivities(rng, 4)
    phases = np.exp(1j * rng.uniform(-np.pi, np.pi, 12))
    plain = coil_weights(s[:, None, None] * np.broadcast_to(mr.water, (12, 1024)), np.eye(4))
    turned = coil_weights(s[:, None, None] * phases[:, None] * mr.water, np.eye(4))
    np.testing.assert_allclose(turned.weights, plain.weights, atol=1e-9)
