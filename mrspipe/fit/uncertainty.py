"""How well a fit determines its amplitudes.

The posterior covariance comes from the curvature of minus twice the log posterior with the baseline eliminated, over
amplitudes and nonlinear parameters together, so that a metabolite pays for everything it can be confused with.
"""

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from mrspipe.core.arrays import FloatArray
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
