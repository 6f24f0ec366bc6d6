from dataclasses import replace

import numpy as np
import pytest

from mrspipe.fit.priors import AmplitudePriors
from mrspipe.fit.solver import minimise
from mrspipe.fit.uncertainty import amplitude_covariance, prior_share

NAMES = ("NAA", "Cr", "PCr", "GPC", "Ins", "Glu", "Gln", "GABA")


@pytest.fixture(scope="session")
def minimum(problem):
    everything = np.arange(problem.theta_mean.size)
    return minimise(problem, problem.theta_mean, free=everything, tolerance=1e-4, max_iterations=60)


def _shares(problem, solution):
    n = len(NAMES)
    shares = prior_share(amplitude_covariance(problem, solution, n), problem.amplitude_prior.rows[:, :n])
    return dict(zip(NAMES, shares, strict=True))


@pytest.mark.parametrize("name", ["GABA", "Cr", "PCr"])
def test_the_share_of_a_prior_is_what_the_variance_gains_from_it(problem, minimum, name):
    # Slow twin: the curvature without the rows of this metabolite, inverted as a whole.
    index, prior = NAMES.index(name), problem.amplitude_prior
    others = prior.rows[:, index] == 0
    without = replace(problem, amplitude_prior=AmplitudePriors(prior.rows[others], prior.targets[others]))
    with_prior, freed = (amplitude_covariance(one, minimum, len(NAMES))[index, index] for one in (problem, without))
    assert _shares(problem, minimum)[name] == pytest.approx(1 - with_prior / freed, rel=1e-5)


def test_a_metabolite_without_a_prior_takes_nothing_from_priors(problem, minimum):
    shares = _shares(problem, minimum)
    assert [shares[name] for name in ("NAA", "GPC", "Ins", "Glu", "Gln")] == [0.0] * 5


def test_the_share_is_the_weight_of_the_prior_mean_in_the_estimate():
    # One amplitude measured as 2.0 +- 0.5 and expected as 1.0 +- 0.25: weights 1/5 and 4/5.
    covariance = np.array([[1 / (0.5**-2 + 0.25**-2)]])
    assert prior_share(covariance, np.array([[1 / 0.25]])) == pytest.approx(4 / 5)


def test_what_only_the_prior_knows_is_all_prior():
    assert prior_share(np.array([[0.25]]), np.array([[2.0]])) == pytest.approx(1.0)


def test_amplitudes_that_are_not_determined_have_no_share():
    assert np.isnan(prior_share(np.full((2, 2), np.nan), np.array([[1.0, 0.0]]))).all()
