"""Tests of ranks, for measures that are not normal: ratings with many ties, and with a floor.

Without ties and zeros p is exact, from the count of all arrangements with each rank sum. Otherwise it is that of the
normal distribution with the variance corrected for ties and half a step towards the centre.

References
----------
.. [1] Hollander, Wolfe and Chicken 2013, Nonparametric Statistical Methods, doi 10.1002/9781119196037
.. [2] Kerby 2014, doi 10.2466/11.IT.3.1 (rank-biserial correlation)
.. [3] Wobbrock et al. 2011, doi 10.1145/1978942.1978963 (aligned rank transform)
.. [4] Wilson 1927, doi 10.1080/01621459.1927.10502953 (interval of a share)
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from mrspipe.core.arrays import FloatArray, frozen_float
from mrspipe.core.errors import AnalysisError

# Residuals closer than this are the same: rounding must not break ties.
_ALIGNED_DECIMALS = 9


@dataclass(frozen=True, slots=True)
class RankTest:
    """A test of ranks.

    Parameters
    ----------
    statistic : float
        Sum of the ranks of the positive differences, or number of pairs in which the first sample is higher; ties
        count half.
    p : float
        Two-sided.
    p_normal, p_uncorrected : float
        Of the normal distribution, with and without the half step towards the centre.
    estimate, ci_low, ci_high : float
        Hodges-Lehmann: median of all means of two differences, or of all differences between the samples. The limits
        are the order statistics that the exact distribution without ties leaves; NaN where there are too few values.
    rank_biserial : float
        Share of the ranks, or pairs, for the first minus the share against; -1 to 1.
    n : int
        Differences that are not zero, or values in both samples.
    is_exact : bool
    """

    statistic: float
    p: float
    p_normal: float
    p_uncorrected: float
    estimate: float
    ci_low: float
    ci_high: float
    rank_biserial: float
    n: int
    is_exact: bool


def signed_rank_test(differences: FloatArray, *, confidence: float = 0.95) -> RankTest:
    """Test whether paired differences lie around zero (Wilcoxon); differences of zero are left out first.

    Parameters
    ----------
    differences : real array
    confidence : float

    Raises
    ------
    AnalysisError
        All differences are zero, or there are none.

    Examples
    --------
    >>> before = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])  # Hollander and Wolfe, p 29
    >>> after = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])
    >>> test = signed_rank_test(before - after)
    >>> test.statistic, round(test.p / 2, 5)
    (40.0, 0.01953)
    """
    given = np.asarray(differences, dtype=float)
    moved = given[given != 0]
    n = len(moved)
    if not n:
        raise AnalysisError("No difference is other than zero.", code="no-variation")
    ranks = rankdata(np.abs(moved))
    statistic, largest = float(ranks[moved > 0].sum()), n * (n + 1) / 2
    variance = n * (n + 1) * (2 * n + 1) / 24 - _tie_sum(np.abs(moved)) / 48
    p_normal, p_uncorrected = _normal_p(statistic - largest / 2, variance)
    is_exact = n == len(given) and len(set(np.abs(moved).tolist())) == n
    counts = _signed_rank_counts(n)
    p = _exact_p(counts, int(statistic)) if is_exact else p_normal
    row, column = np.triu_indices(n)
    means = np.sort(0.5 * (moved[row] + moved[column]))
    low, high = _limits(means, counts, confidence)
    return RankTest(statistic, p, p_normal, p_uncorrected, float(np.median(means)), low, high,
                    2 * statistic / largest - 1, n, is_exact)  # fmt: skip


def rank_sum_test(first: FloatArray, second: FloatArray, *, confidence: float = 0.95) -> RankTest:
    """Test whether values of one sample tend to be higher than those of another (Wilcoxon, Mann and Whitney).

    Parameters
    ----------
    first, second : real array
    confidence : float

    Raises
    ------
    AnalysisError
        A sample is empty, or all values are the same.
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    n_1, n_2 = len(first), len(second)
    if not (n_1 and n_2):
        raise AnalysisError("A comparison of two groups needs participants in both.", code="too-few")
    both = np.concatenate([first, second])
    if np.ptp(both) == 0:
        raise AnalysisError("The values do not vary.", code="no-variation")
    n, pairs = n_1 + n_2, n_1 * n_2
    statistic = float(rankdata(both)[:n_1].sum()) - n_1 * (n_1 + 1) / 2
    variance = pairs / 12 * (n + 1 - _tie_sum(both) / (n * (n - 1)))
    p_normal, p_uncorrected = _normal_p(statistic - pairs / 2, variance)
    is_exact = len(set(both.tolist())) == n
    counts = _rank_sum_counts(n_1, n_2)
    p = _exact_p(counts, int(statistic)) if is_exact else p_normal
    shifts = np.sort(np.subtract.outer(first, second).ravel())
    low, high = _limits(shifts, counts, confidence)
    return RankTest(statistic, p, p_normal, p_uncorrected, float(np.median(shifts)), low, high,
                    2 * statistic / pairs - 1, n, is_exact)  # fmt: skip


def _tie_sum(values: FloatArray) -> float:
    sizes = np.unique(values, return_counts=True)[1].astype(float)
    return float(np.sum(sizes**3 - sizes))


def _normal_p(distance: float, variance: float) -> tuple[float, float]:
    corrected = max(abs(distance) - 0.5, 0.0) if distance else 0.0
    p, uncorrected = (float(2 * ndtr(-part / math.sqrt(variance))) for part in (corrected, abs(distance)))
    return min(p, 1.0), min(uncorrected, 1.0)


@functools.lru_cache(maxsize=32)
def _signed_rank_counts(n: int) -> FloatArray:
    """Share of the choices of signs with each sum of positive ranks."""
    shares = np.zeros(n * (n + 1) // 2 + 1)
    shares[0], end = 1.0, 1
    for rank in range(1, n + 1):
        halved = 0.5 * shares[:end]
        shares[:end] = halved
        shares[rank : rank + end] += halved
        end += rank
    return frozen_float(shares)


@functools.lru_cache(maxsize=32)
def _rank_sum_counts(n_1: int, n_2: int) -> FloatArray:
    """Share of the orders of two samples in which so many pairs have the first higher."""
    ways = np.zeros((n_1 + 1, n_1 * n_2 + 1))
    ways[0, 0] = 1.0
    # The values come in rising order; one of the first sample is above all of the second that came before it.
    for n_below in range(n_2 + 1):
        for chosen in range(1, n_1 + 1):
            ways[chosen, n_below:] += ways[chosen - 1, : ways.shape[1] - n_below]
    return frozen_float(ways[n_1] / ways[n_1].sum())


def _exact_p(shares: FloatArray, statistic: int) -> float:
    tail = min(shares[: statistic + 1].sum(), shares[statistic:].sum())
    return float(min(2 * tail, 1.0))


def _limits(sorted_values: FloatArray, shares: FloatArray, confidence: float) -> tuple[float, float]:
    """Order statistics that the exact distribution leaves out with a probability of at most half the rest each."""
    tail = (1 - confidence) / 2
    # Number of values below the limit: the largest c with P(statistic < c) at most the tail.
    c = int(np.searchsorted(np.cumsum(shares), tail, side="right"))
    if c < 1:
        return math.nan, math.nan
    return float(sorted_values[c - 1]), float(sorted_values[-c])


@dataclass(frozen=True, slots=True)
class FloorShare:
    """How many values of a sample lie at the lowest possible one.

    Parameters
    ----------
    n_at_floor, n : int
    ci_low, ci_high : float
        Of the share, from Wilson's score [4]_.
    """

    n_at_floor: int
    n: int
    ci_low: float
    ci_high: float

    @property
    def share(self) -> float:
        """Share of the values at the floor."""
        return self.n_at_floor / self.n


def share_at_floor(values: FloatArray, *, floor: float = 0.0, confidence: float = 0.95) -> FloorShare:
    """Count the values at the floor of a scale; where they are many, a difference of means says little.

    Parameters
    ----------
    values : real array, shape (n,)
    floor : float
        Lowest value of the scale.
    confidence : float

    Raises
    ------
    AnalysisError
        There are no values, or one lies below the floor.
    """
    values = np.asarray(values, dtype=float)
    n = len(values)
    if not n:
        raise AnalysisError("There are no ratings.", code="too-few")
    if values.min() < floor:
        raise AnalysisError(f"A rating of {values.min():g} is below the floor {floor:g}.", code="shape")
    k = int(np.count_nonzero(values == floor))
    z2 = float(ndtri(0.5 + confidence / 2)) ** 2
    centre = (k + z2 / 2) / (n + z2)
    reach = math.sqrt(z2 * (k * (n - k) / n + z2 / 4)) / (n + z2)
    return FloorShare(k, n, max(centre - reach, 0.0), min(centre + reach, 1.0))


def aligned_ranks(values: FloatArray, first: FloatArray, second: FloatArray) -> dict[str, FloatArray]:
    """Align values of a two-way design for each of its effects, and rank them [3]_.

    From each value its cell's mean is taken, and the estimate of one effect is added; of the ranks only that effect is
    then tested, in a model with all of them. Marginal means are those of the cell means, with equal weights.

    Parameters
    ----------
    values : real array, shape (n,)
    first, second : array, shape (n,)
        Levels of the two factors; every combination must occur.

    Returns
    -------
    dict of name to real array, shape (n,)
        ``first``, ``second`` and ``interaction``.

    Raises
    ------
    AnalysisError
        A combination of levels has no value.
    """
    values = np.asarray(values, dtype=float)
    row, column = (np.unique(np.asarray(levels), return_inverse=True)[1] for levels in (first, second))
    shape = (int(row.max()) + 1, int(column.max()) + 1)
    sums, counts = np.zeros(shape), np.zeros(shape)
    np.add.at(sums, (row, column), values)
    np.add.at(counts, (row, column), 1.0)
    if not counts.all():
        raise AnalysisError("A combination of the two factors has no value.", code="too-few")
    cells = sums / counts
    rows, columns, mean = cells.mean(axis=1), cells.mean(axis=0), cells.mean()
    residual = values - cells[row, column]
    effects = {
        "first": rows[row] - mean,
        "second": columns[column] - mean,
        "interaction": cells[row, column] - rows[row] - columns[column] + mean,
    }
    return {name: rankdata(np.round(residual + effect, _ALIGNED_DECIMALS)) for name, effect in effects.items()}
