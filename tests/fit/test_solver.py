from dataclasses import replace

import numpy as np
import pytest

from mrspipe.fit.model import Layout
from mrspipe.fit.priors import Scale, amplitude_priors
from mrspipe.fit.settings import RatioPrior
from mrspipe.fit.solver import at, balanced, curvature, minimise, volume, volume_slope
from mrspipe.fit.uncertainty import cramer_rao_bound, posterior_covariance


@pytest.fixture(scope="module")
def somewhere(problem):
    return problem.theta_mean + 0.5 * problem.theta_sd * np.random.default_rng(2).uniform(-1, 1, problem.theta_sd.size)


def test_the_derivative_is_the_slope_of_the_model(problem, somewhere):
    model = problem.model
    rng = np.random.default_rng(0)
    amplitudes = rng.uniform(0.5, 2, model.layout.n_basis + model.smooth.steps.size)
    analytic = model.derivative(somewhere, model.evaluate(somewhere), amplitudes)
    for index in range(model.layout.size):
        step = np.zeros(model.layout.size)
        step[index] = 1e-5
        ahead, behind = (amplitudes @ model.evaluate(somewhere + sign * step).spectra.real for sign in (1, -1))
        slope = (ahead - behind) / 2e-5
        # Times before zero are clipped, so slope and derivative agree there only to the size of the wrapped end.
        np.testing.assert_allclose(analytic[index], slope, atol=1e-4 * np.abs(slope).max() + 1e-9)


def test_single_precision_is_harmless(problem, somewhere):
    single = replace(problem, model=replace(problem.model, precision=np.complex64))
    double, single = at(problem, somewhere), at(single, somewhere)
    se = np.sqrt(np.diag(posterior_covariance(curvature(problem, double)[0]))[: double.amplitudes.size])
    assert (np.abs(single.amplitudes - double.amplitudes) < 1e-3 * se).all()


def test_amplitudes_and_baseline_solve_the_full_linear_system(problem, somewhere):
    # Slow twin: spline coefficients as explicit unknowns with their penalty as rows.
    solution = at(problem, somewhere)
    columns, base, prior = solution.columns, problem.base, problem.amplitude_prior
    n = columns.shape[1]
    design = np.block(
        [
            [columns, base.functions],
            [prior.rows, np.zeros((len(prior.rows), base.penalty.size))],
            [np.zeros((base.penalty.size, n)), np.diag(np.sqrt(problem.stiffness * base.penalty))],
        ]
    )
    target = np.concatenate([problem.data, prior.targets, np.zeros(base.penalty.size)])
    unknowns, *_ = np.linalg.lstsq(design, target, rcond=None)
    np.testing.assert_allclose(solution.amplitudes, unknowns[:n], rtol=1e-5, atol=1e-5 * np.abs(unknowns[:n]).max())
    misfit = np.sum((target - design @ unknowns) ** 2)
    distance = np.sum(((somewhere - problem.theta_mean) / problem.theta_sd) ** 2)
    assert solution.objective == pytest.approx(misfit + distance, rel=1e-6)


def test_the_descent_is_minus_half_the_slope_of_the_objective(problem, somewhere):
    descent = curvature(problem, at(problem, somewhere)).descent
    n_linear = at(problem, somewhere).amplitudes.size
    np.testing.assert_allclose(descent[:n_linear], 0, atol=1e-6 * np.abs(descent).max())
    for index in (Layout.PHASE0, Layout.SHIFT, Layout.LORENTZ, Layout.GAUSS, 7, 20, -3):
        step = np.zeros(somewhere.size)
        step[index] = 1e-4 * problem.theta_sd[index]
        slope = (at(problem, somewhere + step).objective - at(problem, somewhere - step).objective) / (2 * step[index])
        assert descent[n_linear:][index] == pytest.approx(-slope / 2, rel=2e-3, abs=1e-5 * np.abs(descent).max())


def test_the_covariance_is_the_inverse_of_the_full_curvature(problem):
    # Slow twin: the Hessian of all unknowns with the spline among them, inverted as a whole.
    everything = np.arange(problem.theta_mean.size)
    solution = minimise(problem, at(problem, problem.theta_mean), free=everything, tolerance=0.01, max_iterations=40)
    slopes = problem.model.derivative(solution.theta, solution.evaluation, solution.amplitudes)
    jacobian = np.hstack([solution.columns, slopes.T, problem.base.functions])
    full = jacobian.T @ jacobian
    n_linear, n_theta = solution.amplitudes.size, everything.size
    full[:n_linear, :n_linear] += problem.amplitude_prior.rows.T @ problem.amplitude_prior.rows
    rest = np.arange(n_linear, n_linear + n_theta)
    full[rest, rest] += problem.theta_sd**-2.0
    last = np.arange(n_linear + n_theta, len(full))
    full[last, last] += problem.stiffness * problem.base.penalty
    expected = np.linalg.inv(full)[:4, :4]
    np.testing.assert_allclose(posterior_covariance(curvature(problem, solution)[0])[:4, :4], expected, rtol=1e-4)


def test_the_cramer_rao_bound_is_that_of_the_linear_model_without_metabolite_priors(problem):
    # Slow twin: explicit spline coefficients; the rows of the macromolecules and of their level stay.
    solution = at(problem, problem.theta_mean)
    n_linear, n_names = solution.amplitudes.size, problem.model.layout.n_basis
    design = np.hstack([solution.columns, problem.base.functions])
    full = design.T @ design
    rows = problem.amplitude_prior.rows[-1 - problem.model.smooth.steps.size :]
    full[:n_linear, :n_linear] += rows.T @ rows
    last = np.arange(n_linear, len(full))
    full[last, last] += problem.stiffness * problem.base.penalty
    expected = np.linalg.inv(full)[:n_names, :n_names]
    np.testing.assert_allclose(cramer_rao_bound(problem, solution, n_names), expected, rtol=1e-4)


def test_a_ratio_prior_does_not_pull_creatine(problem):
    rows = problem.amplitude_prior.rows
    creatine = [1, 2]
    others = np.delete(np.arange(problem.model.layout.n_basis), creatine)
    assert not any(row[creatine].any() and row[others].any() for row in rows)


def test_the_minimum_is_a_minimum(problem):
    everything = np.arange(problem.theta_mean.size)
    solution = minimise(problem, at(problem, problem.theta_mean), free=everything, tolerance=1e-6, max_iterations=60)
    assert solution.converged
    rng = np.random.default_rng(8)
    for _ in range(20):
        elsewhere = solution.theta + 0.02 * problem.theta_sd * rng.standard_normal(solution.theta.size)
        assert at(problem, elsewhere).objective > solution.objective - 1e-6


def integrated_over_a_scale(problem, point, first):
    """Minus twice the logarithm of what the amplitudes integrate to, prior and curvature relative to the scale found.

    The metabolites are known relative to total creatine: rows and density of their prior change with it.
    """
    prior, n = problem.amplitude_prior, problem.amplitude_prior.n_relative
    relative = (prior.scale @ point.amplitudes) / (prior.scale @ first.amplitudes)
    rows = prior.rows / np.where(prior.rows[:, :n].any(axis=1), relative, 1.0)[:, None]
    return np.linalg.slogdet(point.gram + rows.T @ rows)[1] + 2 * n * np.log(relative)


def test_balancing_finds_the_mean_line_width_over_the_amplitudes(problem):
    # Slow twin: the posterior of the common Lorentzian width alone, amplitudes integrated out, by quadrature.
    layout = problem.model.layout
    held = replace(problem, theta_sd=np.where(np.arange(layout.size) == layout.LORENTZ, problem.theta_sd, 1e-4))
    best = minimise(
        held, at(held, problem.theta_mean), free=np.array([layout.LORENTZ]), tolerance=1e-6, max_iterations=60
    )
    widths = best.theta[layout.LORENTZ] + np.linspace(-1, 1, 81)
    points = [at(held, np.where(np.arange(layout.size) == layout.LORENTZ, width, best.theta)) for width in widths]
    rows = problem.amplitude_prior.rows
    flat = np.array([0.5 * (p.objective + np.linalg.slogdet(p.gram + rows.T @ rows)[1]) for p in points])
    relative = np.array([0.5 * (p.objective + integrated_over_a_scale(held, p, best)) for p in points])
    means = []
    for half in (flat, relative):
        weight = np.exp(np.min(half) - half)
        means.append(weight @ widths / weight.sum())
    mean = means[1]
    spread = np.sqrt(weight @ (widths - mean) ** 2 / weight.sum())
    found = balanced(held, best).theta[layout.LORENTZ]
    # What the unknown scale is worth, alone: the same step without it.
    unscaled = replace(held, amplitude_prior=replace(held.amplitude_prior, n_relative=0))
    without = balanced(unscaled, best).theta[layout.LORENTZ]
    assert found - without == pytest.approx(means[1] - means[0], rel=0.2)
    assert abs(found - mean) < 0.15 * spread
    assert abs(found - mean) < abs(best.theta[layout.LORENTZ] - mean)


@pytest.mark.parametrize(
    "stops", [{Layout.GAUSS: (50.0, 4.0)}, {Layout.GAUSS: (50.0, 4.0), Layout.LORENTZ: (8.0, 1.0)}]
)
def test_a_walk_along_limits_ends_where_it_does_with_these_parameters_held_there(problem, stops):
    # Expected far from the data: these widths stop at five standard deviations, which cost 25 each.
    everything, limits = np.arange(problem.theta_mean.size), {at: mean - 5 * sd for at, (mean, sd) in stops.items()}

    def end(priors):
        means, sds = problem.theta_mean.copy(), problem.theta_sd.copy()
        for index, (mean, sd) in priors.items():
            means[index], sds[index] = mean, sd
        there = replace(problem, theta_mean=means, theta_sd=sds)
        return there, minimise(there, at(there, means), free=everything, tolerance=1e-4, max_iterations=60)

    limited, stopped = end(stops)
    _, held = end({index: (limit, 1e-6) for index, limit in limits.items()})
    assert stopped.converged
    assert {index: stopped.theta[index] for index in stops} == pytest.approx(limits)
    assert stopped.objective - 25 * len(stops) == pytest.approx(held.objective, abs=1e-3)
    # The data push outwards.
    descent = curvature(limited, stopped).descent
    assert (descent[stopped.amplitudes.size :][list(stops)] < 0).all()


def test_a_spectrum_without_creatine_is_not_balanced_through_zero(problem):
    # The scale's logarithm has no value there, and must not draw the amplitudes to it.
    prior, everything = problem.amplitude_prior, np.arange(problem.theta_mean.size)
    full = at(problem, problem.theta_mean)
    creatine = np.where(prior.scale != 0, full.amplitudes, 0.0)
    for rest in (0.0, 0.002, 0.01, 0.05):
        empty = replace(problem, data=problem.data - (1 - rest) * full.columns @ creatine)
        best = minimise(empty, at(empty, empty.theta_mean), free=everything, tolerance=1e-3, max_iterations=60)
        found = balanced(empty, best)
        assert found.theta is best.theta or found.amplitudes @ prior.scale > 0


@pytest.mark.parametrize(("freedom", "cost"), [(1.0, (0, 1)), (10.0, (3, 6)), (30.0, (6, 12))])
def test_balancing_goes_as_far_as_it_gains_whatever_that_costs(problem, freedom, cost):
    # The less is known of the macromolecules, the more amplitudes fit nearly as well with broader lines.
    rows, everything = problem.amplitude_prior.rows.copy(), np.arange(problem.theta_mean.size)
    rows[-problem.model.smooth.steps.size :] /= freedom
    unknown = replace(problem, amplitude_prior=replace(problem.amplitude_prior, rows=rows))
    best = minimise(unknown, at(unknown, unknown.theta_mean), free=everything, tolerance=1e-4, max_iterations=60)
    found, over = balanced(unknown, best), unknown.amplitude_prior
    assert cost[0] < found.objective - best.objective < cost[1]
    n_known, _ = volume_slope(unknown, best, over)
    parts = np.linspace(0, 2, 41)
    along = [at(unknown, best.theta + part * (found.theta - best.theta)) for part in parts]
    sums = [point.objective + volume(unknown, point, over, n_known) for point in along]
    assert parts[np.argmin(sums)] == pytest.approx(1, abs=0.1)


def test_balancing_stays_where_no_step_gains(problem, monkeypatch):
    everything = np.arange(problem.theta_mean.size)
    best = minimise(problem, at(problem, problem.theta_mean), free=everything, tolerance=1e-4, max_iterations=60)
    # Away from the best point the amplitudes' volume costs more than any step can gain.
    monkeypatch.setattr("mrspipe.fit.solver.volume", lambda _problem, solution, *_: 0.0 if solution is best else 1e6)
    assert balanced(problem, best).theta is best.theta


def test_balancing_leaves_what_stopped_at_a_limit_and_passes_none(problem):
    layout = problem.model.layout
    # Expected far from the data: the Gaussian width stops at five standard deviations.
    mean, sd = problem.theta_mean.copy(), problem.theta_sd.copy()
    mean[layout.GAUSS], sd[layout.GAUSS] = 50.0, 4.0
    far = replace(problem, theta_mean=mean, theta_sd=sd)
    everything = np.arange(mean.size)
    stopped = minimise(far, at(far, mean), free=everything, tolerance=1e-3, max_iterations=60)
    assert stopped.theta[layout.GAUSS] == pytest.approx(50 - 5 * 4)
    moved = balanced(far, stopped).theta
    assert moved[layout.GAUSS] == stopped.theta[layout.GAUSS]
    assert (np.abs(moved - mean) <= 5 * sd * (1 + 1e-12)).all()
    assert (moved != stopped.theta).any()


def test_the_slope_of_what_integrating_the_amplitudes_adds_is_that_of_differences(problem):
    layout, solution = problem.model.layout, at(problem, problem.theta_mean)

    def added(theta):
        return integrated_over_a_scale(problem, at(problem, theta), solution)

    _, found = volume_slope(problem, solution, problem.amplitude_prior)
    for slope, index in zip(found, (layout.LORENTZ, layout.GAUSS, layout.T2), strict=True):
        step = np.zeros(layout.size)
        step[index] = 1e-3 * problem.theta_sd[index]
        difference = added(solution.theta + step) - added(solution.theta - step)
        assert slope == pytest.approx(difference / (2 * step[index]), rel=1e-4)


def test_volume_is_the_determinant_and_the_scale_and_endless_where_there_is_none(problem):
    solution, prior = at(problem, problem.theta_mean), problem.amplitude_prior
    other = replace(prior, rows=2 * prior.rows)
    scale = solution.amplitudes @ prior.scale
    expected = np.linalg.slogdet(solution.gram + 4 * prior.rows.T @ prior.rows)[1] + 2 * 7.5 * np.log(scale)
    assert volume(problem, solution, other, 7.5) == pytest.approx(expected)
    assert volume(problem, replace(solution, amplitudes=-solution.amplitudes), prior, 7.5) == np.inf
    assert volume(problem, replace(solution, gram=-solution.gram), prior, 7.5) == np.inf


def test_what_the_amplitudes_are_integrated_over_can_be_another_prior(problem):
    solution, prior = at(problem, problem.theta_mean), problem.amplitude_prior
    # Macromolecules that are known exactly leave nothing of theirs to integrate over.
    n = prior.n_relative
    rows = np.vstack([prior.rows, 1e6 * np.eye(prior.rows.shape[1])[n:]])
    exact = replace(prior, rows=rows, targets=np.zeros(len(rows)))
    _, found = volume_slope(problem, solution, exact)
    kept = prior.rows[prior.rows[:, :n].any(axis=1)][:, :n]

    def added(theta):
        point = at(problem, theta)
        relative = (prior.scale @ point.amplitudes) / (prior.scale @ solution.amplitudes)
        block = point.gram[:n, :n] + kept.T @ kept / relative**2
        return np.linalg.slogdet(block)[1] + 2 * n * np.log(relative)

    for slope, index in zip(found, (problem.model.layout.LORENTZ, problem.model.layout.GAUSS), strict=False):
        step = np.zeros(problem.theta_mean.size)
        step[index] = 1e-3 * problem.theta_sd[index]
        difference = added(solution.theta + step) - added(solution.theta - step)
        assert slope == pytest.approx(difference / (2 * step[index]), rel=1e-3)
    assert np.abs(found - volume_slope(problem, solution, prior)[1]).max() > 0.1


def test_no_line_becomes_narrower_than_the_basis_set_s(problem):
    layout = problem.model.layout
    mean, sd = problem.theta_mean.copy(), problem.theta_sd.copy()
    line = [layout.LORENTZ, layout.GAUSS]
    mean[line], sd[line] = (0.5, 1.0), (20.0, 400.0)
    free = replace(problem, theta_mean=mean, theta_sd=sd)
    narrowed = replace(free, data=at(problem, np.where(np.isin(np.arange(layout.size), line), 0.0, mean)).spectrum)
    found = minimise(narrowed, at(narrowed, mean), free=np.array(line), tolerance=1e-3, max_iterations=60)
    assert (found.theta[line] >= 0).all()
    assert (balanced(narrowed, found).theta[line] >= 0).all()


def test_macromolecules_whose_level_is_known_have_it(problem, prepared, nuisance, somewhere):
    # Three protons of a total creatine of 8 to a thousandth, which the data do not move.
    known = replace(nuisance, level=RatioPrior(mean=3.0, sd=1e-3))
    scale = Scale(total_creatine=8.0, creatine_proton=8.0, macromolecules=3.0)
    rows = amplitude_priors(prepared.roles, known, RatioPrior(), scale)
    smooth = at(replace(problem, amplitude_prior=rows), somewhere).amplitudes[problem.model.layout.n_basis :]
    assert nuisance.smooth.common(smooth) == pytest.approx(3.0 * 8.0, rel=0.01)
