"""How well a fit determines its amplitudes.

The posterior covariance comes from the curvature of minus twice the log posterior with the baseline eliminated, over
amplitudes and nonlinear parameters together, so that a metabolite pays for everything it can be confused with.
"""

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from mrspipe.core.arrays import FloatArray, IntArray
from mrspipe.fit.learning import MacromoleculePosterior
from mrspipe.fit.priors import LinePriors, Roles
from mrspipe.fit.solver import Problem, Solution, curvature


def amplitude_covariance(problem: Problem, solution: Solution, n_kept: int) -> FloatArray:
    """Posterior covariance of the first ``n_kept`` amplitudes.

    Parameters
    ----------
    problem : Problem
    solution : Solution
    n_kept : int
        Number of leading amplitudes wanted; the others are marginalised.

    Returns
    -------
    float array, shape (n_kept, n_kept)
        NaN where the curvature is not positive definite: the data then do not determine the amplitudes.
    """
    return _inverse_block(curvature(problem, solution)[0], n_kept)


def _inverse_block(hessian: FloatArray, n_kept: int) -> FloatArray:
    """Leading block of the inverse."""
    wanted = np.eye(len(hessian))[:, :n_kept]
    # Amplitudes and Hz differ by many orders of magnitude: scale to a unit diagonal before factoring.
    scale = 1 / np.sqrt(np.maximum(np.diag(hessian), np.finfo(float).tiny))
    try:
        solved = cho_solve(cho_factor(hessian * np.outer(scale, scale)), wanted * scale[:, None])
    except (LinAlgError, ValueError):
        return np.full((n_kept, n_kept), np.nan)
    return np.asarray((solved * scale[:, None])[:n_kept])


def cramer_rao_bound(problem: Problem, solution: Solution, n_kept: int) -> FloatArray:
    """Cramer-Rao bound of the first ``n_kept`` amplitudes: noise alone, at the line shape, shifts and widths found.

    No prior on the metabolites enters; the macromolecules keep theirs. It is what the field's limits in percent are
    made for, and smaller than the posterior: it knows nothing of what the line shape's uncertainty costs.

    Returns
    -------
    float array, shape (n_kept, n_kept)
    """
    columns = solution.columns
    rows = problem.amplitude_prior.without(n_kept).rows
    return _inverse_block(problem.inner(columns, columns) + rows.T @ rows, n_kept)


def macromolecule_posterior(
    problem: Problem, solution: Solution, roles: Roles, lines: LinePriors, *, common_area: float, misfit: float
) -> MacromoleculePosterior:
    """Posterior of the macromolecule lines' areas, shifts and widths, all else marginalised.

    Parameters
    ----------
    problem : Problem
    solution : Solution
    roles : Roles
    lines : LinePriors
        Those that the fit used; they are taken out of the likelihood.
    common_area : float
        Amplitude that the relative areas of the fit's priors are relative to.
    misfit : float
        Residual in units of the noise; what the model misses makes a spectrum say less.
    """
    layout, n_linear, n_lines = problem.model.layout, solution.amplitudes.size, roles.line_ratio.size
    unit = np.concatenate([roles.line_ratio * common_area, np.full(n_lines, problem.model.grid.hz_per_ppm)])
    unit = np.concatenate([unit, np.ones(n_lines)])
    of_lines = np.concatenate(
        [
            np.arange(roles.n_basis, n_linear),
            n_linear + np.arange(layout.line_shifts.start, layout.line_widths.stop),
        ]
    )
    mean = np.concatenate([solution.amplitudes, solution.theta])[of_lines] / unit
    prior = np.diag(lines.sd**-2)
    prior[:n_lines, :n_lines] = lines.area_rows.T @ lines.area_rows
    try:
        precision = _schur_complement(curvature(problem, solution)[0], of_lines) * np.outer(unit, unit)
        covariance: FloatArray = np.asarray(np.linalg.inv(precision))
    except LinAlgError:
        nothing = np.full_like(prior, np.nan)
        return MacromoleculePosterior(mean, nothing, nothing, nothing[0])
    information = (precision - prior) / misfit**2
    pull = prior @ np.concatenate([np.zeros(n_lines), lines.mean[n_lines:]])
    return MacromoleculePosterior(mean, covariance, information, (precision @ mean - pull) / misfit**2)


def _schur_complement(hessian: FloatArray, kept: IntArray) -> FloatArray:
    """Hessian of the kept parameters with the others at their best."""
    scale = 1 / np.sqrt(np.maximum(np.diag(hessian), np.finfo(float).tiny))
    scaled = hessian * np.outer(scale, scale)
    others = np.setdiff1d(np.arange(len(hessian)), kept)
    cross = scaled[np.ix_(others, kept)]
    reduced = scaled[np.ix_(kept, kept)] - cross.T @ cho_solve(cho_factor(scaled[np.ix_(others, others)]), cross)
    return np.asarray(reduced / np.outer(scale[kept], scale[kept]))
