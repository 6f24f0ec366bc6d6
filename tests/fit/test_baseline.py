import numpy as np
import pytest
from scipy.interpolate import BSpline

from mrspipe.fit.baseline import Columns, choose_stiffness, spline
from mrspipe.fit.priors import AmplitudePriors

PPM = np.linspace(0.2, 4.2, 400)
NO_PRIOR = AmplitudePriors(rows=np.zeros((0, 1)), targets=np.zeros(0), scale=np.ones(1), n_relative=0)


@pytest.fixture(scope="module")
def base():
    return spline(PPM, 60)


def test_the_functions_are_orthonormal(base):
    np.testing.assert_allclose(base.functions.T @ base.functions, np.eye(base.penalty.size), atol=1e-6)


def test_between_the_bins_the_functions_are_the_same_curves(base):
    # Every other bin of a finer axis: B-splines of the same knots, at all of its bins.
    between = np.linspace(PPM[0], PPM[-1], 2 * PPM.size - 1)
    fine = base.functions_at(between)
    np.testing.assert_allclose(fine[::2], base.functions, atol=1e-12)
    step = between[1] - between[0]
    # A cubic spline bends linearly between its knots: its fourth difference is zero but at them, where it is bounded.
    knots = np.abs(between[2:-2, None] - base.knots).min(axis=1) < 2 * step + 1e-12
    fourth = np.abs(np.diff(fine[:, :20], 4, axis=0))
    assert fourth[~knots].max() < 1e-9
    assert fourth[knots].max() > 1e-6


def test_straight_lines_are_free(base):
    for line in (np.ones_like(PPM), PPM):
        np.testing.assert_allclose(base.curve(line, 1e12), line, atol=1e-6)


def test_the_effective_dimension_is_the_trace_of_the_smoother(base):
    stiffness = base.stiffness_for(9.0)
    smoother = np.array([base.curve(unit, stiffness) for unit in np.eye(PPM.size)])
    assert np.trace(smoother) == pytest.approx(9.0, rel=1e-6)


@pytest.mark.parametrize("wanted", [0.5, 500.0])
def test_a_dimension_out_of_reach_gives_the_nearest(base, wanted):
    found = base.effective_dimension(base.stiffness_for(wanted))
    assert found == pytest.approx(2.0, abs=0.1) if wanted < 2 else found > 0.99 * base.penalty.size


def test_the_curve_is_the_penalised_least_squares_spline(base):
    # Slow twin: the textbook P-spline, B-splines with a penalty on second differences of their coefficients.
    stiffness = base.stiffness_for(7.0)
    step = (PPM[-1] - PPM[0]) / 60
    knots = PPM[0] + step * np.arange(-3, 64)
    raw = BSpline.design_matrix(np.clip(PPM, PPM[0], PPM[-1] - 1e-9 * step), knots, 3).toarray()
    differences = np.diff(np.eye(raw.shape[1]), 2, axis=0)
    values = np.random.default_rng(0).standard_normal(PPM.size)
    coefficients = np.linalg.solve(raw.T @ raw + stiffness * differences.T @ differences, raw.T @ values)
    np.testing.assert_allclose(base.curve(values, stiffness), raw @ coefficients, atol=1e-5)


@pytest.mark.parametrize(("curve", "low", "high"), [(0 * PPM, 2.0, 4.0), (8 * np.sin(4 * PPM), 8.0, 28.0)])
def test_reml_bends_the_baseline_only_when_the_data_do(base, curve, low, high):
    candidates = np.array([base.stiffness_for(ed) for ed in np.geomspace(2.2, 28, 24)])
    peak = np.exp(-(((PPM - 2.0) / 0.03) ** 2))[:, None]
    rng = np.random.default_rng(3)
    dimensions = [
        base.effective_dimension(
            choose_stiffness(base, Columns.of(peak, base), curve + rng.standard_normal(PPM.size), NO_PRIOR, candidates)
        )
        for _ in range(9)
    ]
    assert low < np.median(dimensions) < high


def test_reml_is_the_marginal_likelihood_of_the_mixed_model(base):
    # Slow twin: minus twice the restricted log likelihood of y = X beta + B u + e, u ~ N(0, 1 / (k penalty)), with the
    # straight lines and the peak as fixed effects: log|V| + log|X' V^-1 X| + r' V^-1 r (Patterson and Thompson 1971).
    rng = np.random.default_rng(5)
    peak = np.exp(-(((PPM - 2.0) / 0.05) ** 2))[:, None]
    data = 3 * peak[:, 0] + 5 * np.sin(3 * PPM) + rng.standard_normal(PPM.size)
    candidates = np.array([base.stiffness_for(ed) for ed in np.geomspace(2.2, 28, 12)])
    fixed = np.hstack([peak, base.functions[:, base.penalty == 0]])
    bent = base.functions[:, base.penalty > 0]

    def restricted(stiffness):
        covariance = np.eye(PPM.size) + (bent / (stiffness * base.penalty[base.penalty > 0])) @ bent.T
        inverse = np.linalg.inv(covariance)
        information = fixed.T @ inverse @ fixed
        beta = np.linalg.solve(information, fixed.T @ inverse @ data)
        residual = data - fixed @ beta
        return np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(information)[1] + residual @ inverse @ residual

    best = min(candidates, key=restricted)
    assert choose_stiffness(base, Columns.of(peak, base), data, NO_PRIOR, candidates) == best
