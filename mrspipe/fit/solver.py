"""Penalised Gauss-Newton: amplitudes solved exactly at every trial, one joint Levenberg step over all parameters.

The objective is minus twice the log posterior: squared misfit in units of the noise, the baseline's roughness, and the
squared distance from the priors. The baseline is eliminated (`mrspipe.fit.baseline`).
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from mrspipe.core.arrays import FloatArray, IntArray
from mrspipe.fit.baseline import Spline
from mrspipe.fit.model import Evaluation, SpectralModel
from mrspipe.fit.priors import AmplitudePriors


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

    def inner(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """``left' W right`` with the baseline eliminated."""
        keep = self.base.shrinkage(self.stiffness)
        projected = self.base.projected(left)
        other = projected if right is left else self.base.projected(right)
        return np.asarray(left.T @ right - (projected.T * keep) @ other)


@dataclass(frozen=True, eq=False)
class Solution:
    """A point of the parameter space with the amplitudes that are best there."""

    theta: FloatArray
    amplitudes: FloatArray
    evaluation: Evaluation
    objective: float
    n_iterations: int = 0
    converged: bool = False

    @property
    def columns(self) -> FloatArray:
        """Real spectra of unit amplitude, shape (n_ppm, n_linear)."""
        return self.evaluation.spectra.real.T

    @property
    def spectrum(self) -> FloatArray:
        """The model without the baseline, shape (n_ppm,)."""
        return np.asarray(self.columns @ self.amplitudes)


def at(problem: Problem, theta: FloatArray) -> Solution:
    """Solve the amplitudes for given nonlinear parameters."""
    evaluation = problem.model.evaluate(theta)
    columns = evaluation.spectra.real.T
    prior = problem.amplitude_prior
    keep = problem.base.shrinkage(problem.stiffness)
    projected, projected_data = problem.base.projected(columns), problem.base.projected(problem.data)
    matrix = columns.T @ columns - (projected.T * keep) @ projected + prior.rows.T @ prior.rows
    moment = columns.T @ problem.data - projected.T @ (keep * projected_data) + prior.rows.T @ prior.targets
    amplitudes = cho_solve(cho_factor(matrix), moment)
    energy = problem.data @ problem.data - keep @ projected_data**2 + prior.targets @ prior.targets
    distance = (theta - problem.theta_mean) / problem.theta_sd
    objective = float(energy - moment @ amplitudes + distance @ distance)
    return Solution(theta, amplitudes, evaluation, objective)


def curvature(problem: Problem, solution: Solution, free: IntArray | None = None) -> tuple[FloatArray, FloatArray]:
    """Half the Gauss-Newton Hessian of the objective, and minus half its gradient.

    Parameters
    ----------
    problem : Problem
    solution : Solution
    free : int array, optional
        Entries of ``theta`` that may move; all by default.

    Returns
    -------
    hessian : float array, shape (n_linear + n_free, n_linear + n_free)
    descent : float array, shape (n_linear + n_free,)
    """
    moving = np.arange(problem.theta_mean.size) if free is None else free
    slopes = problem.model.derivative(solution.theta, solution.evaluation, solution.amplitudes)[:, moving]
    jacobian = np.hstack([solution.columns, slopes])
    n_linear = solution.amplitudes.size
    residual = problem.data - solution.spectrum
    # The residual as one more column, so that everything is projected once.
    both = np.column_stack([jacobian, residual])
    products = problem.inner(both, both)
    hessian, descent = products[:-1, :-1], products[:-1, -1]
    prior = problem.amplitude_prior
    hessian[:n_linear, :n_linear] += prior.rows.T @ prior.rows
    descent[:n_linear] -= prior.rows.T @ (prior.rows @ solution.amplitudes - prior.targets)
    sd = problem.theta_sd[moving]
    rest = np.arange(n_linear, n_linear + moving.size)
    hessian[rest, rest] += sd**-2
    descent[n_linear:] -= (solution.theta[moving] - problem.theta_mean[moving]) * sd**-2
    return hessian, descent


def minimise(problem: Problem, theta: FloatArray, *, free: IntArray, tolerance: float, max_iterations: int) -> Solution:
    """Walk downhill from ``theta`` until an iteration gains less than ``tolerance``."""
    solution = at(problem, theta)
    damping = 1e-3
    for iteration in range(1, max_iterations + 1):
        hessian, descent = curvature(problem, solution, free)
        gain = 0.0
        while damping < 1e8:
            trial = _trial(problem, solution, hessian, descent, free, damping)
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


def _trial(
    problem: Problem, solution: Solution, hessian: FloatArray, descent: FloatArray, free: IntArray, damping: float
) -> Solution | None:
    n_linear = solution.amplitudes.size
    damped = hessian.copy()
    rest = np.arange(n_linear, n_linear + free.size)
    damped[rest, rest] *= 1 + damping
    try:
        step = cho_solve(cho_factor(damped), descent)[n_linear:]
        theta = solution.theta.copy()
        # More than three prior widths at once leave the range where the linearisation means anything.
        theta[free] += np.clip(step, -3 * problem.theta_sd[free], 3 * problem.theta_sd[free])
        return at(problem, theta)
    except LinAlgError:
        return None
