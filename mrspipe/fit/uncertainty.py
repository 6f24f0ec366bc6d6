"""How well a fit determines its amplitudes.

The posterior covariance comes from the curvature of minus twice the log posterior with the baseline eliminated, over
amplitudes and nonlinear parameters together, so that a metabolite pays for everything it can be confused with.
"""

import numpy as np
from scipy.linalg import LinAlgError

from mrspipe.core.arrays import FloatArray, IntArray
from mrspipe.fit.definite import invert_definite, solve_definite
from mrspipe.fit.nuisance import Nuisance
from mrspipe.fit.priors import Roles, Scale, width_units
from mrspipe.fit.solver import Curvature, Problem, Solution


def posterior_covariance(hessian: FloatArray) -> FloatArray:
    """Posterior covariance of all parameters.

    Parameters
    ----------
    hessian : float array, shape (n, n)
        Of `mrspipe.fit.solver.curvature`.

    Returns
    -------
    float array, shape (n, n)
        NaN where the curvature is not positive definite: the data then do not determine the parameters.
    """
    # Amplitudes and Hz differ by many orders of magnitude: scale to a unit diagonal before factoring.
    scale = 1 / np.sqrt(np.maximum(np.diag(hessian), np.finfo(float).tiny))
    try:
        return invert_definite(hessian * np.outer(scale, scale)) * np.outer(scale, scale)
    except LinAlgError:
        return np.full(hessian.shape, np.nan)


def n_determined(problem: Problem, solution: Solution, around: Curvature, covariance: FloatArray) -> float:
    """Number of parameters that the data determine, those of the baseline among them: the trace of the hat matrix.

    With ``J`` the slopes of all parameters but the baseline's, ``C`` their posterior covariance, and the baseline
    ``S = B K B'``, the fit follows the data by ``S + (1 - S) J C J' (1 - S)``. Its trace is the effective dimension of
    the baseline, and ``n - tr(C P) - tr(C J' S (1 - S) J)`` with the precision ``P`` of the priors.

    Parameters
    ----------
    problem : Problem
    solution : Solution
    around : Curvature
        There, in all parameters.
    covariance : float array, shape (n, n)
        Of `posterior_covariance`; where it is not finite, all parameters count.
    """
    n_linear, dimension = solution.amplitudes.size, problem.base.effective_dimension(problem.stiffness)
    if not np.isfinite(covariance).all():
        return dimension + len(covariance)
    of_amplitudes = np.sum(covariance[:n_linear, :n_linear] * problem.amplitude_prior.gram)
    known = of_amplitudes + np.diag(covariance)[n_linear:] @ problem.theta_sd**-2.0
    projected = np.hstack([solution.linear.projected, around.projected])
    common = np.sum((projected @ covariance) * projected, axis=1) @ (problem.shrinkage * (1 - problem.shrinkage))
    return float(dimension + len(covariance) - known - common)


def prior_share(covariance: FloatArray, rows: FloatArray) -> FloatArray:
    """Share of each amplitude's posterior information that comes from its own priors.

    Definition: ``1 - v / v'``, where ``v`` is the posterior variance and ``v'`` that without the prior rows that touch
    this amplitude; every other prior stays. With these rows ``R`` and posterior covariance ``C``, the identity of
    Woodbury gives ``v' = v + g``, ``g = c' (1 - R C R')^-1 c``, ``c = R C e``. For a ratio to tCr with the prior
    variance ``s^2``, ``R`` is ``e' / s`` and the share is ``v / s^2``: the weight of the prior's mean in the estimate.

    Parameters
    ----------
    covariance : float array, shape (n, n)
        Posterior, in the unit of the prior rows (not widened by the misfit).
    rows : float array, shape (n_rows, n)
        Prior rows on these amplitudes (`mrspipe.fit.priors.AmplitudePriors`), each of variance 1.

    Returns
    -------
    float array, shape (n,)
        Between 0 and 1; 0 for an amplitude without a prior, NaN where the data do not determine the amplitudes.
    """
    if not np.isfinite(covariance).all():
        return np.full(len(covariance), np.nan)
    share = np.zeros(len(covariance))
    for index in np.flatnonzero(rows.any(axis=0)):
        own = rows[rows[:, index] != 0]
        spread = own @ covariance[:, index]
        left = np.eye(len(own)) - own @ covariance @ own.T
        try:
            gained = float(spread @ solve_definite(left, spread))
        except LinAlgError:
            # Without these rows nothing is known of the amplitude.
            gained = np.inf
        share[index] = 1.0 - covariance[index, index] / (covariance[index, index] + gained)
    return share


def cramer_rao_bound(problem: Problem, solution: Solution, n_kept: int) -> FloatArray:
    """Cramer-Rao bound of the first ``n_kept`` amplitudes: noise alone, at the line shape, shifts and widths found.

    No prior on the metabolites enters; the macromolecules keep theirs. It is what the field's limits in percent are
    made for, and smaller than the posterior: it knows nothing of what the line shape's uncertainty costs.

    Returns
    -------
    float array, shape (n_kept, n_kept)
    """
    rows = problem.amplitude_prior.without(n_kept).rows
    return posterior_covariance(solution.gram + rows.T @ rows)[:n_kept, :n_kept]


def nuisance_likelihood(
    problem: Problem,
    solution: Solution,
    hessian: FloatArray,
    roles: Roles,
    nuisance: Nuisance,
    scale: Scale,
    misfit: float,
) -> tuple[FloatArray, FloatArray]:
    """What the spectrum alone says about the nuisance parameters, in the order of `Nuisance.mean`.

    Parameters
    ----------
    problem : Problem
    solution : Solution
    hessian : float array, shape (n_linear + n_theta, n_linear + n_theta)
    roles : Roles
    nuisance : Nuisance
        The one that the fit used; its priors are taken out, but for the level of the macromolecules, which no study
        learns.
    scale : Scale
        Amplitudes that the fit's priors are relative to.
    misfit : float
        Residual in units of the noise; what the model misses makes a spectrum say less.

    Returns
    -------
    information : float array, shape (n, n)
    moment : float array, shape (n,)
        ``information`` times what the spectrum alone would say.
    """
    layout, n_linear, n_names = problem.model.layout, solution.amplitudes.size, len(roles.metabolites)
    hz_per_ppm = problem.model.grid.hz_per_ppm
    weak = [roles.metabolites.index(name) for name in nuisance.ratios]
    shared = np.arange(layout.LORENTZ, layout.SHAPE.stop)
    shifts, widths = np.arange(n_names) + layout.shifts.start, np.arange(n_names) + layout.widths.start
    kept = np.concatenate([np.arange(roles.n_basis, n_linear), weak, n_linear + np.r_[shared, shifts, widths]])
    sizes = (roles.n_smooth, len(weak), shared.size, n_names, n_names)
    unit = np.repeat([scale.macromolecules, scale.total_creatine, 1.0, hz_per_ppm, 1.0], sizes)
    first_shared = roles.n_smooth + len(weak)
    unit[first_shared : first_shared + 2] = width_units(scale.width)
    value = np.concatenate([solution.amplitudes, solution.theta])[kept.astype(int)] / unit
    smooth = slice(0, roles.n_smooth)
    prior, expected = np.diag(nuisance.sd**-2.0), nuisance.mean.copy()
    prior[smooth, smooth], expected[smooth] = nuisance.smooth.rows.T @ nuisance.smooth.rows, 0.0
    try:
        precision = _schur_complement(hessian, kept.astype(int)) * np.outer(unit, unit)
    except LinAlgError:
        return np.full_like(prior, np.nan), np.full_like(value, np.nan)
    return (precision - prior) / misfit**2, (precision @ value - prior @ expected) / misfit**2


def _schur_complement(hessian: FloatArray, kept: IntArray) -> FloatArray:
    """Hessian of the kept parameters with the others at their best."""
    scale = 1 / np.sqrt(np.maximum(np.diag(hessian), np.finfo(float).tiny))
    scaled = hessian * np.outer(scale, scale)
    others = np.setdiff1d(np.arange(len(hessian)), kept)
    cross = scaled[np.ix_(others, kept)]
    reduced = scaled[np.ix_(kept, kept)] - cross.T @ solve_definite(scaled[np.ix_(others, others)], cross)
    return np.asarray(reduced / np.outer(scale[kept], scale[kept]))
