"""Tables of counts: how often something happens in two or more groups.

With all margins of the table fixed, the counts have the hypergeometric distribution, with an odds ratio as parameter
the noncentral one of Fisher. Its maximum-likelihood odds ratio is not that of the four counts.

References
----------
.. [1] Fisher 1935, doi 10.2307/2342435
.. [2] Agresti 2002, Categorical Data Analysis, 3.5 and 16.5, doi 10.1002/0471249688
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import chdtrc, gammaln

from mrspipe.core.arrays import FloatArray, IntArray
from mrspipe.core.errors import AnalysisError

# Tables whose probabilities differ by less than this share are equally likely; so in R.
_TIE = 1e-7
# Exact tests list at most so many halves of tables.
_MAX_TABLES = 5_000_000


@dataclass(frozen=True, slots=True)
class FisherTest:
    """Fisher's exact test of a 2 x 2 table.

    Parameters
    ----------
    odds_ratio : float
        Conditional maximum-likelihood estimate of the odds of the first column in the first row over those in the
        second; 0 or infinite where a count is zero.
    ci_low, ci_high : float
        Exact limits, from the two one-sided tests.
    p : float
        Two-sided: all tables that are not more likely than the one observed.
    sample_odds_ratio : float
        Of the four counts; NaN where it is 0 / 0.
    """

    odds_ratio: float
    ci_low: float
    ci_high: float
    p: float
    sample_odds_ratio: float


@dataclass(frozen=True, slots=True)
class CountTest:
    """A chi-squared or exact test of a table; the exact one has no statistic."""

    statistic: float
    df: float
    p: float


def fisher_test(table: ArrayLike, confidence: float = 0.95) -> FisherTest:
    """Compare two proportions exactly.

    Parameters
    ----------
    table : integer array, shape (2, 2)
    confidence : float

    Raises
    ------
    AnalysisError
        The table is not one of two rows and two columns of counts.

    Examples
    --------
    >>> test = fisher_test([[3, 1], [1, 3]])  # The lady who tastes tea, Fisher 1935.
    >>> round(test.odds_ratio, 3), round(test.p, 4)
    (6.408, 0.4857)
    """
    counts = _counts(table)
    if counts.shape != (2, 2):
        raise AnalysisError(f"Fisher's odds ratio is for tables of 2 x 2 counts, not {counts.shape}.", code="shape")
    (a, b), (c, d) = counts.tolist()
    support = np.arange(max(0, a - d), min(a + b, a + c) + 1)
    log_weights = _log_choose(a + c, support) + _log_choose(b + d, a + b - support)

    def probabilities(log_odds: float) -> FloatArray:
        logs = log_weights + log_odds * support
        weights = np.exp(logs - logs.max())
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    null, tail = probabilities(0.0), (1 - confidence) / 2
    p = float(null[null <= null[support == a][0] * (1 + _TIE)].sum())
    estimate = _odds(lambda x: float(probabilities(x) @ support) - a, a == support[0], a == support[-1])
    low = _odds(lambda x: float(probabilities(x)[support >= a].sum()) - tail, a == support[0], False)
    high = _odds(lambda x: tail - float(probabilities(x)[support <= a].sum()), False, a == support[-1])
    crossed = b * c
    sample = a * d / crossed if crossed else (math.inf if a * d else math.nan)
    return FisherTest(estimate, low, high, min(p, 1.0), sample)


def _odds(excess: Callable[[float], float], is_zero: bool, is_infinite: bool) -> float:
    """Odds ratio at the root of a function that rises with its logarithm."""
    if is_zero:
        return 0.0
    if is_infinite:
        return math.inf
    reach = 4.0
    while not excess(-reach) < 0 < excess(reach):
        reach *= 2
    return math.exp(brentq(excess, -reach, reach, xtol=1e-15, rtol=8.9e-16))


def _log_choose(n: int, k: IntArray) -> FloatArray:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1), dtype=np.float64)


def _counts(table: ArrayLike) -> IntArray:
    values = np.asarray(table, dtype=float)
    if values.ndim != 2 or (values < 0).any() or (values != np.round(values)).any():
        raise AnalysisError("A table of counts needs whole numbers that are not negative.", code="shape")
    return values.astype(np.int64)


def exact_test(table: ArrayLike) -> CountTest:
    """Fisher's exact test of a table of any size.

    Two-sided as `fisher_test`. All left and all right halves of tables are listed, and put together by their sums.

    Parameters
    ----------
    table : integer array, shape (n_rows, n_columns)

    Raises
    ------
    AnalysisError
        The table is too large for an exact test.

    Examples
    --------
    >>> round(exact_test([[2, 0], [0, 2]]).p, 6)  # Two of six ways to choose two of four.
    0.333333
    """
    counts = _counts(table)
    counts = counts if counts.shape[0] <= counts.shape[1] else counts.T
    rows, columns = counts.sum(axis=1), counts.sum(axis=0).tolist()
    observed = -float(gammaln(counts + 1).sum())
    middle = len(columns) // 2
    left, left_logs = _half(columns[:middle], rows)
    right, right_logs = _half(columns[middle:], rows)
    # Halves fit together where the sums of their rows add up to the margin.
    radix = np.cumprod([1, *(rows[:-1] + 1).tolist()])
    left_starts, left_logs = _by_code(left @ radix, left_logs)
    right_starts, right_logs = _by_code((rows - right) @ radix, right_logs)
    top_left, top_right = left_logs.max(), right_logs.max()
    total = below = 0.0
    for code, here in left_starts.items():
        ahead = np.sort(right_logs[right_starts[code]]) if code in right_starts else np.empty(0)
        weights = np.exp(left_logs[here] - top_left)
        cumulative = np.append(0.0, np.cumsum(np.exp(ahead - top_right)))
        n_unlikely = np.searchsorted(ahead, observed + _TIE - left_logs[here], side="right")
        total += float(weights.sum() * cumulative[-1])
        below += float(weights @ cumulative[n_unlikely])
    return CountTest(math.nan, math.nan, below / total)


def _half(columns: list[int], rows: IntArray) -> tuple[IntArray, FloatArray]:
    """Sums of the rows, and the logarithm of the weight, of all ways to fill some columns."""
    sums, logs = np.zeros((1, len(rows)), dtype=np.int64), np.zeros(1)
    for column in columns:
        # Rows with more room than the column has counts do not limit it.
        at_most = math.prod(sorted(min(room, column) + 1 for room in rows.tolist())[:-1])
        if len(sums) * at_most > _MAX_TABLES:
            raise AnalysisError("The table is too large for an exact test.", cure="Use the chi-squared test.",
                                code="too-large")  # fmt: skip
        filled = np.array(_compositions(column, rows.tolist()), dtype=np.int64)
        grown = sums[:, None] + filled
        fits = (grown <= rows).all(axis=2)
        logs = (logs[:, None] - gammaln(filled + 1).sum(axis=1))[fits]
        sums = grown[fits]
    return sums, np.asarray(logs, dtype=np.float64)


def _by_code(codes: IntArray, logs: FloatArray) -> tuple[dict[int, slice], FloatArray]:
    """Sort by code; where each code is."""
    order = np.argsort(codes, kind="stable")
    found, starts = np.unique(codes[order], return_index=True)
    ends = [*starts[1:].tolist(), len(codes)]
    at = {code: slice(a, b) for code, a, b in zip(found.tolist(), starts.tolist(), ends, strict=True)}
    return at, logs[order]


def _compositions(total: int, room: list[int]) -> list[tuple[int, ...]]:
    """All ways to spread a total over places that each have some room."""
    if len(room) == 1:
        return [(total,)] if total <= room[0] else []
    return [
        (first, *rest)
        for first in range(max(0, total - sum(room[1:])), min(total, room[0]) + 1)
        for rest in _compositions(total - first, room[1:])
    ]


def chi2_test(table: ArrayLike, *, yates: bool = False) -> CountTest:
    """Pearson's chi-squared test of a table of counts.

    Parameters
    ----------
    table : integer array, shape (n_rows, n_columns)
    yates : bool
        Move each count by half towards what is expected, as for tables of 2 x 2.

    Raises
    ------
    AnalysisError
        A row or column is empty.
    """
    counts = _counts(table)
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    if not (rows.all() and columns.all()):
        raise AnalysisError("A row or column of the table has no counts.", code="too-few")
    expected = np.outer(rows, columns) / counts.sum()
    distance = np.abs(counts - expected)
    if yates:
        distance = distance - np.minimum(0.5, distance.min())
    statistic = float(np.sum(distance**2 / expected))
    df = (len(rows) - 1) * (len(columns) - 1)
    return CountTest(statistic, float(df), float(chdtrc(df, statistic)))
