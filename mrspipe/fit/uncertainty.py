"""How well a fit determines its amplitudes.

Both matrices come from the curvature of minus twice the log posterior with the baseline eliminated, over amplitudes and
nonlinear parameters together, so that a metabolite pays for everything it can be confused with.
"""

from dataclasses import replace

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
    hessian, _ = curvature(problem, solution)
    wanted = np.eye(len(hessian))[:, :n_kept]
    # Amplitudes and Hz differ by many orders of magnitude: scale to a unit diagonal before factoring.
    scale = 1 / np.sqrt(np.maximum(np.diag(hessian), np.finfo(float).tiny))
    try:
        solved = cho_solve(cho_factor(hessian * np.outer(scale, scale)), wanted * scale[:, None])
    except (LinAlgError, ValueError):
        return np.full((n_kept, n_kept), np.nan)
    return np.asarray((solved * scale[:, None])[:n_kept])


def cramer_rao_bound(problem: Problem, solution: Solution, n_kept: int) -> FloatArray:
    """Covariance bound of the first ``n_kept`` amplitudes from the noise alone, without the priors on them.

    The priors on shape, shifts, widths and macromolecules stay: without them no finite bound exists.
    """
    priors_on_others = problem.amplitude_prior.copy()
    priors_on_others[:, :n_kept] = 0.0
    return amplitude_covariance(replace(problem, amplitude_prior=priors_on_others), solution, n_kept)
