"""The smooth baseline: a penalised spline whose stiffness the data choose.

Cubic P-spline (Eilers and Marx 1996, doi 10.1214/ss/1038425655) in the Demmler-Reinsch basis: orthonormal functions
``B`` with a diagonal second-difference penalty ``d``. Eliminating the spline turns a Gram matrix ``Z'Z`` into
``Z'Z - (B'Z)' diag(1 / (1 + k d)) (B'Z)``, so it never enters the fit's matrices; its effective dimension is
``sum 1 / (1 + k d)``. The stiffness ``k`` is chosen by restricted maximum likelihood (REML).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from scipy.interpolate import BSpline
from scipy.linalg import cholesky, eigh, solve_triangular
from scipy.optimize import brentq

from mrspipe.core.arrays import FloatArray
from mrspipe.fit.definite import solve_and_measure
from mrspipe.fit.priors import AmplitudePriors

# Every so many candidates are tried first.
_COARSE_STEP = 4


@dataclass(frozen=True)
class Spline:
    """Baseline functions on the fitted bins.

    Parameters
    ----------
    functions : float array, shape (n_ppm, n_functions)
        Orthonormal columns.
    penalty : float array, shape (n_functions,)
        Ascending; zero for the straight lines.
    knots : float array
    mixing : float array, shape (n_functions, n_functions)
        What turns B-splines on these knots into the functions.
    """

    functions: FloatArray
    penalty: FloatArray
    knots: FloatArray
    mixing: FloatArray

    def shrinkage(self, stiffness: float) -> FloatArray:
        """Share of each function that the data keep, shape (n_functions,): 1 / (1 + stiffness * penalty)."""
        return 1.0 / (1.0 + stiffness * self.penalty)

    def effective_dimension(self, stiffness: float) -> float:
        """Definition: sum of the shrinkage."""
        return float(self.shrinkage(stiffness).sum())

    def stiffness_for(self, effective_dimension: float) -> float:
        """Stiffness that gives an effective dimension, or the nearest that this spline can have."""
        largest = self.penalty[-1]
        low, high = np.log(1e-8 / largest), np.log(1e16 / largest)
        most, least = self.effective_dimension(np.exp(low)), self.effective_dimension(np.exp(high))
        if not least < effective_dimension < most:
            return float(np.exp(low if effective_dimension >= most else high))
        return float(
            np.exp(brentq(lambda log_k: self.effective_dimension(np.exp(log_k)) - effective_dimension, low, high))
        )

    def projected(self, columns: FloatArray) -> FloatArray:
        """Coordinates of columns in the spline's functions: ``B'Z``."""
        return np.asarray(self.functions.T @ columns)

    def coefficients(self, values: FloatArray, stiffness: float) -> FloatArray:
        """Coefficients of the smooth curve through ``values``, shape (n_functions,)."""
        return np.asarray(self.shrinkage(stiffness) * self.projected(values))

    def curve(self, values: FloatArray, stiffness: float) -> FloatArray:
        """Smooth curve through ``values``, shape (n_ppm,)."""
        return np.asarray(self.functions @ self.coefficients(values, stiffness))

    def functions_at(self, ppm: FloatArray) -> FloatArray:
        """The functions at other places within the fitted range, shape (ppm.size, n_functions)."""
        return np.asarray(_b_splines(ppm, self.knots) @ self.mixing)


def spline(ppm: FloatArray, n_intervals: int) -> Spline:
    """Build the baseline functions for equally spaced ``ppm``: three more than there are intervals between knots."""
    low, high = float(ppm[0]), float(ppm[-1])
    knots: FloatArray = low + (high - low) / n_intervals * np.arange(-3.0, n_intervals + 4)
    raw = _b_splines(ppm, knots)
    differences = np.diff(np.eye(raw.shape[1]), 2, axis=0)
    gram = raw.T @ raw
    # Functions at the edges may see few bins; a small ridge keeps the Gram matrix invertible.
    penalty, vectors = eigh(differences.T @ differences, gram + 1e-9 * np.trace(gram) / len(gram) * np.eye(len(gram)))
    penalty[:2] = 0.0
    mixing = np.asarray(vectors / np.linalg.norm(raw @ vectors, axis=0), dtype=np.float64)
    return Spline(raw @ mixing, np.maximum(penalty, 0.0), knots, mixing)


def _b_splines(ppm: FloatArray, knots: FloatArray) -> FloatArray:
    """Cubic B-splines on equally spaced knots, shape (ppm.size, n_intervals + 3)."""
    low, high, step = knots[3], knots[-4], knots[1] - knots[0]
    return np.asarray(BSpline.design_matrix(np.clip(ppm, low, high - 1e-9 * step), knots, 3).toarray())


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns of a model, and what every weight of the baseline needs of them.

    Parameters
    ----------
    values : float array, shape (n_ppm, n)
    projected : float array, shape (n_functions, n)
        Their coordinates in the baseline's functions.
    """

    values: FloatArray
    projected: FloatArray

    @classmethod
    def of(cls, values: FloatArray, base: Spline) -> "Columns":
        """Project columns on the functions of a baseline."""
        return cls(values, base.projected(values))

    @cached_property
    def products(self) -> FloatArray:
        """Their products with one another, shape (n, n)."""
        return np.asarray(self.values.T @ self.values)


def choose_stiffness(
    base: Spline,
    linear: Columns,
    data: FloatArray,
    prior: AmplitudePriors,
    candidates: FloatArray,
    start: float | None = None,
) -> float:
    """Choose the stiffness by REML for a model that is linear in its other parameters.

    Parameters
    ----------
    base : Spline
    linear : Columns
        Of the model, in units of the noise, with their coordinates in ``base``.
    data : float array, shape (n_ppm,)
        In units of the noise.
    prior : AmplitudePriors
    candidates : float array
        Stiffnesses to try, in order.
    start : float, optional
        One of them that is nearly right; without it the whole range is looked at first.

    Returns
    -------
    float
        The candidate with the smallest minus twice the restricted log likelihood.
    """
    # With L L' the matrix of the amplitudes without a baseline, Q = L^-1 P' and K the diagonal of what the baseline
    # takes, theirs with it is L (1 - Q K Q') L': only a matrix as large as the spline changes with the stiffness.
    factor = cholesky(linear.products + prior.gram, lower=True, check_finite=False)
    projected_data = base.projected(data)
    right = np.column_stack([linear.projected.T, linear.values.T @ data + prior.moment])
    reduced = solve_triangular(factor, right, lower=True, check_finite=False)
    between, moment = reduced[:, :-1], reduced[:, -1]
    overlap, fitted = between.T @ between, between.T @ moment
    energy = float(data @ data + prior.targets @ prior.targets - moment @ moment)
    bent = base.penalty > 0

    @cache
    def criterion(index: int) -> float:
        stiffness = candidates[index]
        keep = base.shrinkage(stiffness)
        root, taken = np.sqrt(keep), keep * projected_data
        seen = overlap @ taken
        left = np.eye(keep.size) - root[:, None] * overlap * root
        towards = root * (fitted - seen)
        solved, log_determinant = solve_and_measure(left, towards)
        misfit = energy + taken @ (2.0 * fitted - projected_data - seen) - towards @ solved
        roughness = np.log1p(1.0 / (stiffness * base.penalty[bent])).sum()
        return float(misfit + roughness + log_determinant)

    first = range(0, len(candidates), _COARSE_STEP)
    best = min(first, key=criterion) if start is None else int(np.argmin(np.abs(candidates - start)))
    return float(candidates[_downhill(criterion, best, len(candidates))])


def _downhill(criterion: Callable[[int], float], best: int, n_candidates: int) -> int:
    """Walk to the smallest value near ``best``, with ever smaller steps."""
    step = _COARSE_STEP // 2
    while step:
        around = [index for index in (best - step, best, best + step) if 0 <= index < n_candidates]
        better = min(around, key=criterion)
        if better == best:
            step //= 2
        best = better
    return best
