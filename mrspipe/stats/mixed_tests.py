"""Tests of several coefficients of a mixed model, comparisons of models, and means of cells.

References
----------
.. [1] Kenward and Roger 1997, Biometrics 53:983-997, doi 10.2307/2533558
.. [2] Fai and Cornelius 1996, doi 10.1080/00949659608811740 (several dimensions with Satterthwaite's df)
.. [3] Searle et al. 1980, doi 10.1080/00031305.1980.10483031 (estimated marginal means)
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtrc, chdtri, erfc, fdtrc, ndtri

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import AnalysisError
from mrspipe.stats.mixed import LikelihoodFit, MixedFit, fit_maximum_likelihood

# Numbers of degrees of freedom closer than this are the same.
_SAME_DF = 1e-8
_MAX_WIDENINGS = 60


@dataclass(frozen=True, slots=True)
class FTest:
    """An F test.

    Parameters
    ----------
    statistic, num_df, den_df, p : float
    scaling : float
        What the Wald statistic over its dimension was multiplied by; 1 where nothing was scaled.
    """

    statistic: float
    num_df: float
    den_df: float
    p: float
    scaling: float = 1.0

    @property
    def unscaled(self) -> float:
        """Wald statistic over its dimension."""
        return self.statistic / self.scaling

    @property
    def partial_eta2(self) -> float:
        """Share of the variation that is not otherwise explained: ``F n / (F n + d)`` with the test's own df."""
        explained = self.statistic * self.num_df
        return explained / (explained + self.den_df)


@dataclass(frozen=True, slots=True)
class Chi2Test:
    """A test of a statistic that has a chi-squared distribution in large samples."""

    statistic: float
    df: float
    p: float


def joint_test(fit: MixedFit, L: FloatArray) -> FTest:
    """Test that several linear combinations of the coefficients are all zero, after Kenward and Roger [1]_.

    Parameters
    ----------
    fit : MixedFit
    L : real array, shape (n_combinations, n_columns)
        Of full row rank. One row: the square of its t test.

    Raises
    ------
    AnalysisError
        The combinations are not independent, or there are too few scans for the distribution to be an F.
    """
    L = _independent(L)
    q = len(L)
    values = L @ fit.coefficients
    wald = float(values @ np.linalg.solve(L @ fit.adjusted_covariance @ L.T, values)) / q
    if q == 1:
        return _f_test(wald, 1, fit.contrast(L[0])[2])
    Theta = L.T @ np.linalg.solve(L @ fit.covariance @ L.T, L)
    moved = Theta @ fit.gradients
    C, traces = fit.variance_covariance, np.einsum("iaa->i", moved)
    A1 = float(traces @ C @ traces)
    A2 = float(np.sum(C * np.einsum("iab,jba->ij", moved, moved)))
    if A2 <= 0.0:
        return _f_test(wald, q, math.inf)
    B = (A1 + 6 * A2) / (2 * q)
    g = ((q + 1) * A1 - (q + 4) * A2) / ((q + 2) * A2)
    d = 3 * q + 2 * (1 - g)
    c1, c2, c3 = g / d, (q - g) / d, (q + 2 - g) / d
    # rho is Var / (2 E^2), with E = 1 / (1 - A2 / q).
    rho = (1 - A2 / q) ** 2 * (1 + c1 * B) / (q * (1 - c2 * B) ** 2 * (1 - c3 * B))
    den_df = 4 + (q + 2) / (q * rho - 1)
    scaling = den_df * (1 - A2 / q) / (den_df - 2)
    if not (den_df > 2 and scaling > 0):
        raise AnalysisError("There are too few scans for a joint test of so many terms.", code="too-few")
    return _f_test(wald, q, den_df, scaling)


def joint_satterthwaite(fit: MixedFit, L: FloatArray) -> FTest:
    """As `joint_test`, without adjustment and with the degrees of freedom of Satterthwaite [2]_.

    The statistic is a mean of squares of independent t statistics, along the eigenvectors of the covariance of the
    combinations; the denominator df are those of an F with the same mean. Unlike those of `joint_test`, they depend on
    how the combinations are written, such as on the coding of the factors.
    """
    L = _independent(L)
    values, vectors = np.linalg.eigh(L @ fit.covariance @ L.T)
    found = np.array([fit.satterthwaite(weights) for weights in vectors.T @ L])
    statistic = float(np.mean(found[:, 0] ** 2 / values))
    return _f_test(statistic, len(L), _df_of_the_mean(found[:, 2]))


def _df_of_the_mean(df: FloatArray) -> float:
    if np.ptp(df) < _SAME_DF or not np.isfinite(df).all():
        return float(df.mean())
    if df.min() <= 2:
        return 2.0
    expectation = float(np.sum(df / (df - 2)))
    return 2 * expectation / (expectation - len(df))


def _independent(L: FloatArray) -> FloatArray:
    L = np.atleast_2d(np.asarray(L, dtype=float))
    if np.linalg.matrix_rank(L) < len(L):
        raise AnalysisError("The combinations of a joint test repeat each other.", code="rank")
    return L


def _f_test(wald: float, q: int, den_df: float, scaling: float = 1.0) -> FTest:
    statistic = scaling * wald
    p = float(fdtrc(q, den_df, statistic)) if math.isfinite(den_df) else float(chdtrc(q, q * statistic))
    return FTest(statistic, float(q), den_df, p, scaling)


def wald_z(fit: MixedFit, weights: FloatArray) -> tuple[float, float, float, float]:
    """Estimate, standard error, z and p of a linear combination, with variances taken as known: for large samples."""
    estimate = float(weights @ fit.coefficients)
    error = float(np.sqrt(weights @ fit.covariance @ weights))
    z = estimate / error
    return estimate, error, z, float(erfc(abs(z) / math.sqrt(2)))


def likelihood_ratio(small: LikelihoodFit, large: LikelihoodFit) -> Chi2Test:
    """Compare two models fitted to the same values by maximum likelihood, one within the other."""
    statistic = 2 * (large.log_likelihood - small.log_likelihood)
    df = len(large.coefficients) - len(small.coefficients)
    if df < 1:
        raise AnalysisError("The larger of two models that are compared needs more coefficients.", code="shape")
    return Chi2Test(statistic, df, float(chdtrc(df, max(statistic, 0.0))))


def profile_interval(
    y: FloatArray, X: FloatArray, groupings: Sequence[Sequence[object]], column: int, confidence: float
) -> tuple[float, float]:
    """Confidence limits of a coefficient from its profile likelihood.

    The limits are the values at which twice the log likelihood, maximal in everything else, falls by the quantile of
    chi-squared with one degree of freedom.

    Parameters
    ----------
    y, X, groupings
        As for `mrspipe.stats.mixed.fit_mixed`.
    column : int
        Number of the coefficient's column in `X`.
    confidence : float

    Returns
    -------
    low, high : float

    Raises
    ------
    AnalysisError
        A model cannot be estimated, or the likelihood has no such limits.
    """
    best = fit_maximum_likelihood(y, X, groupings)
    others, fall = np.delete(X, column, axis=1), float(chdtri(1, 1 - confidence))
    estimate, error = float(best.coefficients[column]), math.sqrt(float(best.covariance[column, column]))

    def excess(value: float) -> float:
        profile = fit_maximum_likelihood(y - value * X[:, column], others, groupings)
        return 2 * (best.log_likelihood - profile.log_likelihood) - fall

    width = float(ndtri(0.5 + confidence / 2)) * error
    low, high = (_limit(excess, estimate, sign * width) for sign in (-1, 1))
    return low, high


def _limit(excess: Callable[[float], float], estimate: float, width: float) -> float:
    inside, outside = estimate, estimate + 1.2 * width
    for _ in range(_MAX_WIDENINGS):
        if excess(outside) > 0:
            return float(brentq(excess, inside, outside, xtol=1e-12 * abs(width), rtol=1e-13))
        inside, outside = outside, estimate + 1.5 * (outside - estimate)
    raise AnalysisError("The likelihood does not bound this coefficient.", code="not-converged")


def cell_weights(columns: Sequence[str], levels: Mapping[str, float], intercept: str = "1") -> FloatArray:
    """Weights of the coefficients whose sum is the mean of a cell.

    Parameters
    ----------
    columns : sequence of str
        Names of the columns; a product is named by its factors with colons between, such as ``group:condition``.
    levels : mapping of name to float
        Codes of the factors that are held. Others are at zero: with codes of plus and minus one half, or columns that
        were centred, the mean over their levels with equal weights.
    intercept : str
        Name of the column of ones.

    Returns
    -------
    real array, shape (n_columns,)

    Examples
    --------
    >>> cell_weights(["1", "group", "cue", "group:cue", "period 2"], {"group": 0.5, "cue": -0.5})
    array([ 1.  ,  0.5 , -0.5 , -0.25,  0.  ])
    """
    parts = [() if column == intercept else tuple(column.split(":")) for column in columns]
    known = {part for column in parts for part in column}
    if unknown := set(levels) - known:
        raise AnalysisError(f"The model has no term {min(unknown)}.", code="design")
    return np.array([math.prod(levels.get(part, 0.0) for part in column) for column in parts])
