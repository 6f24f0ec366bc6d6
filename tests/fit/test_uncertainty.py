from dataclasses import replace

import numpy as np
import pytest

from mrspipe.fit.solver import at, curvature, minimise
from mrspipe.fit.uncertainty import n_determined, posterior_covariance, prior_share

NAMES = ("NAA", "Cr", "PCr", "GPC", "Ins", "Glu", "Gln", "GABA")


@pytest.fixture(scope="session")
def minimum(problem):
    everything = np.arange(problem.theta_mean.size)
    return minimise(problem, at(problem, problem.theta_mean), free=everything, tolerance=1e-4, max_iterations=60)


@pytest.mark.parametrize("dimension", [6.0, 75.0])
def test_what_the_data_determine_is_the_trace_of_the_hat_matrix(problem, minimum, dimension):
    # Slow twin: every parameter explicit, those of the baseline, too; by how much the fit follows each point.
    problem = replace(problem, stiffness=problem.base.stiffness_for(dimension))
    solution = at(problem, minimum.theta)
    slopes = problem.model.derivative(solution.theta, solution.evaluation, solution.amplitudes)
    jacobian = np.hstack([solution.columns, slopes.T, problem.base.functions])
    full = jacobian.T @ jacobian
    n_linear, n_theta = solution.amplitudes.size, problem.theta_sd.size
    full[:n_linear, :n_linear] += problem.amplitude_prior.gram
    rest = np.arange(n_linear, len(full))
    full[rest, rest] += np.concatenate([problem.theta_sd**-2.0, problem.stiffness * problem.base.penalty])
    unit = 1 / np.sqrt(np.diag(full))
    followed = jacobian * unit @ np.linalg.solve(full * np.outer(unit, unit), (jacobian * unit).T)
    around = curvature(problem, solution)
    covariance = posterior_covariance(around.hessian)
    assert n_determined(problem, solution, around, covariance) == pytest.approx(np.trace(followed), rel=1e-5)
    # Without a covariance all parameters count.
    unknown = np.full((n_linear + n_theta,) * 2, np.nan)
    assert n_determined(problem, solution, around, unknown) == pytest.approx(n_linear + n_theta + dimension)


def _shares(problem, solution):
    n = len(NAMES)
    shares = prior_share(
        posterior_covariance(curvature(problem, solution)[0])[:n, :n], problem.amplitude_prior.rows[:, :n]
    )
    return dict(zip(NAMES, shares, strict=True))


@pytest.mark.parametrize("name", ["GABA", "Cr", "PCr"])
def test_the_share_of_a_prior_is_what_the_variance_gains_from_it(problem, minimum, name):
    # Slow twin: the curvature without the rows of this metabolite, inverted as a whole.
    index, prior = NAMES.index(name), problem.amplitude_prior
    others = prior.rows[:, index] == 0
    without = replace(problem, amplitude_prior=replace(prior, rows=prior.rows[others], targets=prior.targets[others]))
    with_prior, freed = (posterior_covariance(curvature(one, minimum)[0])[index, index] for one in (problem, without))
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


# The covariance against sampling


def _posterior(problem, theta):
    """Minus twice the log posterior of theta with the amplitudes integrated out, and the amplitudes' distribution."""
    solution = at(problem, theta)
    rows = problem.amplitude_prior.rows
    factor = np.linalg.cholesky(solution.gram + rows.T @ rows)
    return solution.objective + 2 * np.log(np.diag(factor)).sum(), solution.amplitudes, factor


def _sample(problem, solution, n_steps, step, rng):
    """Metropolis (1953) with the autoregressive proposal of Neal (1999) about the fit: amplitudes of each step.

    The proposal is reversible for the Gaussian about the fit; the ratio of posterior and Gaussian decides, so the
    samples are those of the posterior whatever its shape.
    """
    n_linear = solution.amplitudes.size
    hessian = curvature(problem, solution).hessian
    covariance = np.linalg.inv(hessian)[n_linear:, n_linear:]
    root = np.linalg.cholesky(covariance)
    place = np.zeros(len(root))
    energy, mean, factor = _posterior(problem, solution.theta)
    drawn = []
    for _ in range(n_steps):
        trial = np.sqrt(1 - step**2) * place + step * rng.standard_normal(place.size)
        new = _posterior(problem, solution.theta + root @ trial)
        if np.log(rng.uniform()) < 0.5 * (energy - place @ place - new[0] + trial @ trial):
            place, (energy, mean, factor) = trial, new
        drawn.append(mean + np.linalg.solve(factor.T, rng.standard_normal(n_linear)))
    return np.array(drawn)


def _effective_size(series):
    """Number of independent values that a correlated series is worth (Geyer 1992, initial positive pairs)."""
    centred = series - series.mean()
    spectrum = np.abs(np.fft.rfft(centred, 2 * centred.size)) ** 2
    correlation = np.fft.irfft(spectrum)[: centred.size]
    pairs = (correlation / correlation[0])[: centred.size // 2 * 2].reshape(-1, 2).sum(axis=1)
    last = np.argmax(pairs < 0)
    return centred.size / (2 * pairs[:last].sum() - 1)


@pytest.fixture(scope="module")
def drawn(problem, minimum):
    return _sample(problem, minimum, 8000, 0.8, np.random.default_rng(1))


@pytest.mark.slow
@pytest.mark.parametrize("members", [("Glu",), ("Cr", "PCr"), ("Ins",), ("Glu", "Gln")], ids="+".join)
def test_the_covariance_is_the_spread_of_samples_of_the_posterior(problem, minimum, drawn, members):
    row = np.array([float(name in members) for name in NAMES])
    values = drawn[:, : len(NAMES)] @ row
    squares = (values - values.mean()) ** 2
    # Standard error of the sampled variance: that of a mean of as many squares as the chain is worth.
    error = squares.std() / np.sqrt(_effective_size(squares))
    expected = row @ posterior_covariance(curvature(problem, minimum)[0])[: len(NAMES), : len(NAMES)] @ row
    assert error < 0.05 * expected, "the chain is too short to tell"
    assert values.var() == pytest.approx(expected, abs=3 * error)


def test_a_correlated_series_is_worth_as_many_values_as_theory_says():
    # The autoregressive series x' = a x + sqrt(1 - a^2) noise is worth n (1 - a) / (1 + a) values.
    rng = np.random.default_rng(4)
    series = np.zeros(200_000)
    noise = rng.standard_normal(series.size)
    for index in range(1, series.size):
        series[index] = 0.6 * series[index - 1] + 0.8 * noise[index]
    assert _effective_size(series) == pytest.approx(series.size * 0.25, rel=0.1)
