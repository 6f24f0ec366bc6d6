"""Penalised Gauss-Newton: amplitudes solved exactly at every trial, one joint Levenberg step over all parameters.

The objective is minus twice the log posterior: squared misfit in units of the noise, the baseline's roughness, and the
squared distance from the priors. The baseline is eliminated (`mrspipe.fit.baseline`).
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.optimize import lsq_linear

from mrspipe.core.arrays import FloatArray, IntArray
from mrspipe.fit.baseline import Columns, Spline
from mrspipe.fit.definite import invert_definite, measure_definite, solve_definite
from mrspipe.fit.model import Evaluation, SpectralModel
from mrspipe.fit.priors import AmplitudePriors

FARTHEST_SD = 5.0
"""No nonlinear parameter goes further from its expectation than this many of its standard deviations."""
# The walk begins with this damping. With more of it, a step that would gain little is short rather than near the end.
_LITTLE_DAMPING = 1e-3
# More than three prior widths at once leave the range where the linearisation means anything.
_FARTHEST_STEP_SD = 3.0


@dataclass(frozen=True, eq=False)
class Problem:
    """Data and priors of one spectrum, in units of the noise.

    Parameters
    ----------
    model : SpectralModel
    base : Spline
    data : float array, shape (n_ppm,)
    amplitude_prior : AmplitudePriors
    theta_mean, theta_sd : float array, shape (n_theta,)
    stiffness : float
        Of the baseline.
    """

    model: SpectralModel
    base: Spline
    data: FloatArray
    amplitude_prior: AmplitudePriors
    theta_mean: FloatArray
    theta_sd: FloatArray
    stiffness: float

    @cached_property
    def limits(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest value of each nonlinear parameter; no line is narrower than the basis set's."""
        reach = FARTHEST_SD * self.theta_sd
        low, layout = self.theta_mean - reach, self.model.layout
        line = [layout.LORENTZ, layout.GAUSS]
        low[line] = np.maximum(low[line], 0.0)
        # Where a narrower line than the basis set's is expected, the nearest that is allowed stands in for it.
        return low, np.maximum(self.theta_mean, low) + reach

    @cached_property
    def shrinkage(self) -> FloatArray:
        """Share of each of the baseline's functions that the baseline takes, shape (n_functions,)."""
        return self.base.shrinkage(self.stiffness)

    @cached_property
    def weighted_data(self) -> FloatArray:
        """``W data``, shape (n_ppm,)."""
        return self.weighted(self.columns(self.data[:, None]), np.ones(1))

    @cached_property
    def energy(self) -> float:
        """What model and baseline without any signal leave of the data, and of the priors' targets."""
        targets = self.amplitude_prior.targets
        return float(self.data @ self.weighted_data + targets @ targets)

    def inner(self, left: Columns, right: Columns) -> FloatArray:
        """``left' W right`` with the baseline eliminated."""
        products = left.products if left is right else left.values.T @ right.values
        return np.asarray(products - (left.projected.T * self.shrinkage) @ right.projected)

    def weighted(self, columns: Columns, factors: FloatArray) -> FloatArray:
        """``W columns @ factors`` with the weights of `inner`."""
        baseline = self.base.functions @ (self.shrinkage * (columns.projected @ factors).T).T
        return np.asarray(columns.values @ factors - baseline)

    def columns(self, values: FloatArray) -> Columns:
        """Columns with their projection on the baseline's functions."""
        return Columns.of(values, self.base)


@dataclass(frozen=True, eq=False)
class Solution:
    """A point of the parameter space with the amplitudes that are best there.

    Parameters
    ----------
    theta : float array, shape (n_theta,)
    amplitudes : float array, shape (n_linear,)
    evaluation : Evaluation
    linear : Columns
        Real spectra of unit amplitude.
    gram : float array, shape (n_linear, n_linear)
        Their products, the baseline eliminated.
    objective : float
        Minus twice the log posterior.
    """

    theta: FloatArray
    amplitudes: FloatArray
    evaluation: Evaluation
    linear: Columns
    gram: FloatArray
    objective: float
    n_iterations: int = 0
    converged: bool = False

    @property
    def columns(self) -> FloatArray:
        """Real spectra of unit amplitude, shape (n_ppm, n_linear)."""
        return self.linear.values

    @property
    def spectrum(self) -> FloatArray:
        """The model without the baseline, shape (n_ppm,)."""
        return np.asarray(self.columns @ self.amplitudes)


def at(problem: Problem, theta: FloatArray) -> Solution:
    """Solve the amplitudes for given nonlinear parameters."""
    evaluation = problem.model.evaluate(theta)
    linear = problem.columns(evaluation.spectra.real.astype(np.float64, order="C").T)
    return _solved(problem, theta, evaluation, linear)


def at_same_place(problem: Problem, solution: Solution) -> Solution:
    """Solve the amplitudes anew for other data or priors, at the nonlinear parameters of an earlier solution."""
    return _solved(problem, solution.theta, solution.evaluation, solution.linear)


def _solved(problem: Problem, theta: FloatArray, evaluation: Evaluation, linear: Columns) -> Solution:
    prior = problem.amplitude_prior
    gram = problem.inner(linear, linear)
    moment = problem.weighted_data @ linear.values + prior.moment
    amplitudes = solve_definite(gram + prior.gram, moment)
    distance = (theta - problem.theta_mean) / problem.theta_sd
    objective = problem.energy - float(moment @ amplitudes) + float(distance @ distance)
    return Solution(theta, amplitudes, evaluation, linear, gram, objective)


class Curvature(NamedTuple):
    """The objective around a point, as far as it is quadratic, in amplitudes and then nonlinear parameters.

    Parameters
    ----------
    hessian : float array, shape (n_linear + n_free, n_linear + n_free)
        Half the Gauss-Newton Hessian.
    descent : float array, shape (n_linear + n_free,)
        Minus half the gradient.
    projected : float array, shape (n_functions, n_free)
        Slopes of the spectrum in the nonlinear parameters, as coordinates in the baseline's functions.
    """

    hessian: FloatArray
    descent: FloatArray
    projected: FloatArray


def curvature(problem: Problem, solution: Solution, free: IntArray | None = None) -> Curvature:
    """Find how the objective rises and bends at a point.

    Parameters
    ----------
    problem : Problem
    solution : Solution
    free : int array, optional
        Entries of ``theta`` that may move; all by default.
    """
    moving = slice(None) if free is None else free
    slopes = problem.model.derivative(solution.theta, solution.evaluation, solution.amplitudes)[moving]
    n_linear, n_all = solution.amplitudes.size, solution.amplitudes.size + len(slopes)
    # The residual as one more column, so that everything is projected once.
    rest = problem.columns(np.vstack([slopes, problem.data - solution.spectrum]).T)
    cross, corner = problem.inner(solution.linear, rest), problem.inner(rest, rest)
    hessian, prior = np.empty((n_all, n_all)), problem.amplitude_prior
    hessian[:n_linear, :n_linear] = solution.gram + prior.gram
    hessian[:n_linear, n_linear:], hessian[n_linear:, :n_linear] = cross[:, :-1], cross[:, :-1].T
    hessian[n_linear:, n_linear:] = corner[:-1, :-1]
    descent = np.concatenate([cross[:, -1], corner[:-1, -1]])
    descent[:n_linear] -= prior.gram @ solution.amplitudes - prior.moment
    precision = problem.theta_sd[moving] ** -2.0
    nonlinear = np.arange(n_linear, n_all)
    hessian[nonlinear, nonlinear] += precision
    descent[n_linear:] -= (solution.theta - problem.theta_mean)[moving] * precision
    return Curvature(hessian, descent, rest.projected[:, :-1])


def minimise(
    problem: Problem, solution: Solution, *, free: IntArray, tolerance: float, max_iterations: int
) -> Solution:
    """Walk downhill until the next step would gain, or the last one gained, less than ``tolerance``.

    The start lies within the limits. What a step would gain is known before it is taken. What is left, `balanced` makes
    up for without damping.
    """
    damping = _LITTLE_DAMPING
    for iteration in range(1, max_iterations + 1):
        hessian, descent, _ = curvature(problem, solution, free)
        low, high = _room(problem, solution, free)
        gain = 0.0
        while damping < 1e8:
            step = _bounded_step(_damped(hessian, free.size, damping), descent, low, high)
            if damping <= _LITTLE_DAMPING and step is not None and _gain(hessian, descent, step) < tolerance:
                break
            trial = _moved(problem, solution, free, step)
            gain = solution.objective - trial.objective if trial is not None else -np.inf
            if trial is not None and gain >= 0:
                solution = trial
                damping = max(damping / 10, 1e-7)
                break
            damping *= 10
        if gain < tolerance:
            # A step that no damping could make downhill means the minimum is reached to rounding.
            return replace(solution, n_iterations=iteration, converged=True)
    return replace(solution, n_iterations=max_iterations, converged=False)


def balanced(problem: Problem, solution: Solution, integrated: AmplitudePriors | None = None) -> Solution:
    """Move from the best line shape to the one that is best on average over the amplitudes.

    The best point is too narrow: broad lines have many amplitudes that fit nearly as well, narrow ones few. Integrated
    over the amplitudes (Laplace), the objective gains ``ln |H|`` with ``H`` their curvature, as in REML for variances.
    Metabolites are known relative to a scale that is not known (`AmplitudePriors.scale`), so that their prior density
    falls with it: ``2 n ln scale`` for the ``n`` metabolites that the data determine. Without this term broad lines
    would be favoured for their larger areas alone. The slope of both, in the widths that all lines share, gives the
    direction of one Newton step within the limits, with the curvature of the objective. It makes up for what the walk
    downhill left, too, and is taken as far as it gains most.

    Parameters
    ----------
    problem : Problem
    solution : Solution
    integrated : AmplitudePriors, optional
        What the amplitudes are integrated over, where it is not the priors of the fit.
    """
    over = problem.amplitude_prior if integrated is None else integrated
    everything, layout = np.arange(problem.theta_sd.size), problem.model.layout
    try:
        n_known, slope = volume_slope(problem, solution, over)
    except LinAlgError:
        return solution
    hessian, descent, _ = curvature(problem, solution)
    descent[-everything.size :][[layout.LORENTZ, layout.GAUSS, layout.T2]] -= 0.5 * slope
    step = _bounded_step(hessian, descent, *_room(problem, solution, everything))
    if step is None:
        return solution

    def gone(part: float) -> tuple[float, Solution]:
        """What is to be small, a part of the step further, and the solution there."""
        moved = _moved(problem, solution, everything, part * step)
        return (
            (math.inf, solution) if moved is None else (moved.objective + volume(problem, moved, over, n_known), moved)
        )

    before, whole = solution.objective + volume(problem, solution, over, n_known), gone(1.0)
    # The objective's curvature does not know how ``ln |H|`` bends; a parabola through the values at both ends does.
    fall = 2 * float(step @ descent)
    bend = whole[0] - before + fall
    part = gone(fall / (2 * bend)) if 0 < fall < 2 * bend < math.inf else whole
    least, found = min(whole, part, key=lambda end: end[0])
    found = found if least < before else solution
    return replace(found, n_iterations=solution.n_iterations, converged=solution.converged)


def volume(problem: Problem, solution: Solution, over: AmplitudePriors, n_known: float) -> float:
    """What integrating the amplitudes adds to the objective: ``ln |H| + 2 n ln scale``.

    Parameters
    ----------
    problem : Problem
    solution : Solution
    over : AmplitudePriors
        What the amplitudes are integrated over.
    n_known : float
        Number of metabolites that the data determine.

    Returns
    -------
    float
        Infinite where the scale is not positive, or the amplitudes are not determined: no step leads there.
    """
    scale = float(problem.amplitude_prior.scale @ solution.amplitudes)
    try:
        return measure_definite(solution.gram + over.gram) + 2 * n_known * math.log(scale) if scale > 0 else math.inf
    except LinAlgError:
        return math.inf


def volume_slope(problem: Problem, solution: Solution, over: AmplitudePriors) -> tuple[float, FloatArray]:
    """Number of metabolites that the data determine, and the slope of `volume` with it in the common widths.

    Parameters
    ----------
    problem : Problem
    solution : Solution
    over : AmplitudePriors
        What the amplitudes are integrated over.

    Returns
    -------
    n_known : float
    slope : float array, shape (3,)
        In the order Lorentzian width, squared Gaussian width, T2 contrast.
    """
    prior, amplitudes = problem.amplitude_prior, solution.amplitudes
    inverse = invert_definite(solution.gram + over.gram)
    scale, share = float(prior.scale @ amplitudes), solve_definite(solution.gram + prior.gram, prior.scale)
    n = prior.n_relative
    n_known = n - float(np.einsum("ij,ji->", inverse[:n], over.gram[:, :n]))
    weight = n_known / scale if scale > np.finfo(float).tiny else 0.0
    residual = problem.columns((problem.data - solution.spectrum)[:, None])
    # What slopes are multiplied with, the baseline eliminated once and not from every slope.
    determinant, along = problem.weighted(solution.linear, inverse), problem.weighted(solution.linear, share)
    misfit = problem.weighted(residual, np.ones(1))
    factors = determinant.T + weight * (np.outer(share, misfit) - np.outer(amplitudes, along))
    # What the slope of each column contributes.
    lorentz, gauss = (
        2 * np.einsum("jp,jp->j", factors, slopes) for slopes in problem.model.width_slopes(solution.evaluation)
    )
    widths_hz = problem.model.t2_widths_hz
    return n_known, np.array([lorentz.sum(), gauss.sum(), lorentz[: widths_hz.size] @ widths_hz])


def _room(problem: Problem, solution: Solution, free: IntArray) -> tuple[FloatArray, FloatArray]:
    """How far the free parameters may go down and up in one step: to their limits, and not too far."""
    low, high = (limit[free] - solution.theta[free] for limit in problem.limits)
    reach = _FARTHEST_STEP_SD * problem.theta_sd[free]
    return np.maximum(low, -reach), np.minimum(high, reach)


def _damped(hessian: FloatArray, n_free: int, damping: float) -> FloatArray:
    """Levenberg's Hessian: the diagonal of the last, nonlinear parameters is larger."""
    damped, last = hessian.copy(), np.arange(len(hessian) - n_free, len(hessian))
    damped[last, last] *= 1 + damping
    return damped


def _bounded_step(hessian: FloatArray, descent: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray | None:
    """Newton's step that is best with bounds on the last parameters; None where the Hessian is not definite."""
    try:
        step = solve_definite(hessian, descent)
        bounded = step[-low.size :]
        if (low <= bounded).all() and (bounded <= high).all():
            return step
        # With H = L L', the step minimises |L' step - L^-1 descent|.
        factor = cholesky(hessian, lower=True)
    except LinAlgError:
        return None
    target = solve_triangular(factor, descent, lower=True)
    unbounded = np.full(step.size - low.size, np.inf)
    bounds = (np.append(-unbounded, low), np.append(unbounded, high))
    return np.asarray(lsq_linear(factor.T, target, bounds, method="bvls").x)


def _gain(hessian: FloatArray, descent: FloatArray, step: FloatArray) -> float:
    """By how much a step lowers the objective, as far as this is quadratic."""
    return float(step @ (2 * descent - hessian @ step))


def _moved(problem: Problem, solution: Solution, free: IntArray, step: FloatArray | None) -> Solution | None:
    """The solution a step further; None where there is no step, or the amplitudes are not determined there."""
    if step is None:
        return None
    theta = solution.theta.copy()
    theta[free] += step[solution.amplitudes.size :]
    try:
        # Adding may round to just beyond a limit.
        return at(problem, np.clip(theta, *problem.limits))
    except LinAlgError:
        return None


def residual_of(problem: Problem, solution: Solution, data: FloatArray) -> FloatArray:
    """What model and baseline leave of ``data``, the baseline that of the fit."""
    without_baseline = problem.data - solution.spectrum
    baseline = problem.base.curve(without_baseline, problem.stiffness)
    return data - solution.spectrum - baseline
