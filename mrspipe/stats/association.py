"""Correlation of two measures over participants.

References
----------
.. [1] Bonett and Wright 2000, doi 10.1007/BF02294183 (standard error for Spearman's rho)
.. [2] Fieller et al. 1957, doi 10.1093/biomet/44.3-4.470
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri, stdtr
from scipy.stats import rankdata

from mrspipe.core.arrays import FloatArray, IntArray
from mrspipe.core.errors import AnalysisError
from mrspipe.stats.resampling import Interval, bootstrap_interval

SpearmanError = Literal["bonett-wright", "fisher", "fieller"]
_MIN_PAIRS = 5


@dataclass(frozen=True, slots=True)
class Correlation:
    """A correlation with its test.

    Parameters
    ----------
    estimate : float
    ci_low, ci_high : float
        From the normal distribution of ``atanh`` of the estimate.
    statistic, df, p : float
        Of Student's t, two-sided.
    n : int
        Number of participants.
    """

    estimate: float
    ci_low: float
    ci_high: float
    statistic: float
    df: float
    p: float
    n: int


def pearson(x: FloatArray, y: FloatArray, *, confidence: float = 0.95) -> Correlation:
    """Correlation of two measures; `nan` pairs are an error, leave them out.

    Parameters
    ----------
    x, y : real array, shape (n,)
    confidence : float

    Raises
    ------
    AnalysisError
        There are too few pairs, or a measure does not vary.
    """
    x, y = _pairs(x, y)
    return _tested(_r(x, y), len(x), 0, 1 / math.sqrt(len(x) - 3), confidence)


def spearman(
    x: FloatArray, y: FloatArray, *, confidence: float = 0.95, error: SpearmanError = "bonett-wright"
) -> Correlation:
    """Correlation of the ranks of two measures; tied values share their mean rank.

    Parameters
    ----------
    x, y : real array, shape (n,)
    confidence : float
    error : str
        Standard error of ``atanh rho`` for the limits: ``sqrt((1 + rho^2 / 2) / (n - 3))`` [1]_,
        ``1 / sqrt(n - 3)`` as for Pearson's, or ``sqrt(1.06 / (n - 3))`` [2]_.

    Raises
    ------
    AnalysisError
        There are too few pairs, or a measure does not vary.
    """
    x, y = _pairs(x, y)
    rho = _r(rankdata(x), rankdata(y))
    numerator = {"bonett-wright": 1 + rho**2 / 2, "fisher": 1.0, "fieller": 1.06}[error]
    return _tested(rho, len(x), 0, math.sqrt(numerator / (len(x) - 3)), confidence)


def partial_spearman(x: FloatArray, y: FloatArray, covariates: FloatArray, *, confidence: float = 0.95) -> Correlation:
    """Correlation of the ranks of two measures with the ranks of covariates removed by regression.

    Parameters
    ----------
    x, y : real array, shape (n,)
    covariates : real array, shape (n,) or (n, n_covariates)
    confidence : float

    Raises
    ------
    AnalysisError
        There are too few pairs, or nothing varies beyond the covariates.
    """
    x, y = _pairs(x, y)
    covariates = np.asarray(covariates, dtype=float).reshape(len(x), -1)
    n, k = covariates.shape
    if n < _MIN_PAIRS + k:
        raise AnalysisError(f"{n} participants are too few for a correlation with {k} covariates.", code="too-few")
    rho = _partial_rho(x, y, covariates)
    return _tested(rho, n, k, 1 / math.sqrt(n - 3 - k), confidence)


def _partial_rho(x: FloatArray, y: FloatArray, covariates: FloatArray) -> float:
    Z = np.column_stack([np.ones(len(x)), rankdata(covariates, axis=0)])
    ranks = np.column_stack([rankdata(x), rankdata(y)])
    left = ranks - Z @ np.linalg.lstsq(Z, ranks, rcond=None)[0]
    if (np.linalg.norm(left, axis=0) < 1e-9 * np.linalg.norm(ranks, axis=0)).any():
        raise AnalysisError("A measure does not vary beyond the covariates.", code="no-variation")
    return _r(left[:, 0], left[:, 1])


def _pairs(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(x) != len(y) or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise AnalysisError("A correlation needs both values of every participant.", cure="Leave the others out.",
                            code="not-finite")  # fmt: skip
    if len(x) < _MIN_PAIRS:
        raise AnalysisError(f"{len(x)} participants are too few for a correlation.", code="too-few")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        raise AnalysisError("A measure does not vary.", code="no-variation")
    return x, y


def _r(x: FloatArray, y: FloatArray) -> float:
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip(x @ y / math.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def _tested(r: float, n: int, n_covariates: int, error: float, confidence: float) -> Correlation:
    df = n - 2 - n_covariates
    if abs(r) == 1:
        return Correlation(r, r, r, math.copysign(math.inf, r), df, 0.0, n)
    t = r * math.sqrt(df / (1 - r * r))
    reach = float(ndtri(0.5 + confidence / 2)) * error
    low, high = (math.tanh(math.atanh(r) + sign * reach) for sign in (-1, 1))
    return Correlation(r, low, high, t, df, float(2 * stdtr(df, -abs(t))), n)


@dataclass(frozen=True, slots=True, eq=False)
class LeaveOneOut:
    """A number without each of the participants in turn.

    Parameters
    ----------
    values : real array, shape (n,)
        NaN where it cannot be computed without that participant.
    """

    values: FloatArray

    @property
    def lowest(self) -> int:
        """Position of the participant without whom it is lowest."""
        return int(np.nanargmin(self.values))

    @property
    def highest(self) -> int:
        """Position of the participant without whom it is highest."""
        return int(np.nanargmax(self.values))


def leave_one_out(n: int, compute: Callable[[IntArray], float]) -> LeaveOneOut:
    """Compute a number without each participant in turn.

    Parameters
    ----------
    n : int
    compute : callable
        Takes the positions of those who stay; an `AnalysisError` of it gives NaN.
    """
    values = np.full(n, np.nan)
    for i in range(n):
        try:
            values[i] = compute(np.delete(np.arange(n), i))
        except AnalysisError:
            continue
    return LeaveOneOut(values)


def bootstrap_correlation(
    x: FloatArray,
    y: FloatArray,
    rng: np.random.Generator,
    *,
    covariates: FloatArray | None = None,
    confidence: float = 0.95,
    n_resamples: int = 10_000,
) -> Interval:
    """Bootstrap interval (BCa) of Spearman's rho, partial where there are covariates.

    Parameters
    ----------
    x, y : real array, shape (n,)
    rng : numpy random Generator
    covariates : real array, shape (n,) or (n, n_covariates), optional
    confidence : float
    n_resamples : int
    """
    x, y = _pairs(x, y)
    columns = [x, y] if covariates is None else [x, y, *np.asarray(covariates, dtype=float).reshape(len(x), -1).T]
    data = np.column_stack(columns)
    return bootstrap_interval(data, _rho_of_samples, rng, confidence=confidence, n_resamples=n_resamples)


def _rho_of_samples(samples: FloatArray) -> FloatArray:
    """Give (partial) rho of each of many samples, shape (n_samples, n, n_columns)."""
    ranks = rankdata(samples, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    covariance = np.swapaxes(ranks, 1, 2) @ ranks
    if samples.shape[2] > 2:
        Z = covariance[:, 2:, 2:]
        to = covariance[:, :2, 2:]
        covariance = covariance[:, :2, :2] - to @ np.linalg.pinv(Z, hermitian=True) @ np.swapaxes(to, 1, 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = covariance[:, 0, 1] / np.sqrt(covariance[:, 0, 0] * covariance[:, 1, 1])
    return np.asarray(rho, dtype=np.float64)
