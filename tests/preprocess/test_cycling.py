import numpy as np
import pytest

from mrspipe.preprocess.cycling import amplitude_mismatch, separated


def test_sum_and_difference_give_water_and_metabolites_exactly(mr):
    water, metabolites = separated(mr.water + mr.metabolites, mr.water - mr.metabolites)
    np.testing.assert_allclose(water, mr.water, atol=1e-12)
    np.testing.assert_allclose(metabolites, mr.metabolites, atol=1e-12)


def test_an_imperfect_inversion_is_scaled_back(mr):
    inverted = mr.water - 0.95 * mr.metabolites
    metabolites = separated(mr.water + mr.metabolites, inverted, inversion_efficiency=0.95)[1]
    np.testing.assert_allclose(metabolites, mr.metabolites, atol=1e-12)


def test_a_mismatch_of_the_shots_stays_as_residual_water_and_is_measured(mr):
    metabolites = separated(1.01 * mr.water + mr.metabolites, mr.water - mr.metabolites)[1]
    np.testing.assert_allclose(metabolites - mr.metabolites, 0.005 * mr.water, atol=1e-10)
    assert amplitude_mismatch(1.01 * mr.water, mr.water) == pytest.approx(0.01)


def test_noise_of_the_metabolites_is_that_of_an_average_of_both_shots(mr):
    rng = np.random.default_rng(1)
    _, metabolites = separated(mr.noise(rng, 1.0, 50), mr.noise(rng, 1.0, 50))
    assert metabolites.real.std() == pytest.approx(1 / np.sqrt(2), rel=0.02)
