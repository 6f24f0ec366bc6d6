"""Tests and intervals that come from the data alone: permutation of labels, change of signs, bootstrap.

A permutation test is exact where all arrangements can be counted. Values are then taken as whole numbers of a
`resolution`, and the arrangements with each sum are counted by adding one value after the other; without that, a number
of arrangements is drawn, and ``p = (1 + b) / (1 + B)`` with `b` of `B` at least as far from zero as the data [1]_.

References
----------
.. [1] Phipson and Smyth 2010, doi 10.2202/1544-6115.1585
.. [2] Efron 1987, doi 10.1080/01621459.1987.10478410 (BCa)
.. [3] Pagano and Tritchler 1983, doi 10.2307/2288653 (counting arrangements)
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri

from mrspipe.core.arrays import FloatArray, IntArray
from mrspipe.core.errors import AnalysisError

# Largest table of sums by numbers of values that an exact count may need, in entries.
_MAX_ENTRIES = 60_000_000
# Drawn statistics this close to the observed one, relative to it, are ties and not rounding.
_TIE = 1e-9
# Numbers drawn at a time: bounds the memory.
_AT_A_TIME = 2_000_000


@dataclass(frozen=True, slots=True)
class ResamplingTest:
    """A permutation or sign-flip test.

    Parameters
    ----------
    statistic : float
        Observed.
    p : float
        Two-sided.
    mc_error : float
        Monte Carlo standard error of `p`; 0 for an exact test.
    n_arrangements : float
        All that there are for an exact test, else those drawn.
    is_exact : bool
    """

    statistic: float
    p: float
    mc_error: float
    n_arrangements: float
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Interval:
    """A bootstrap interval.

    Parameters
    ----------
    estimate : float
        Of the data as they are.
    ci_low, ci_high : float
    standard_error : float
        Standard deviation over the resamples.
    n_resamples : int
        Those with a finite value.
    """

    estimate: float
    ci_low: float
    ci_high: float
    standard_error: float
    n_resamples: int


def permutation_exact(first: FloatArray, second: FloatArray, *, resolution: float = 1e-4) -> ResamplingTest:
    """Compare two means by all arrangements of the group labels.

    Parameters
    ----------
    first, second : real array
        The statistic is the mean of the first minus that of the second.
    resolution : float
        Values are rounded to multiples of it, in their unit.

    Raises
    ------
    AnalysisError
        There are too many sums for an exact count; draw with `permutation_drawn`.
    """
    first, second = _two_samples(first, second)
    whole, n_1 = _whole_numbers(np.concatenate([first, second]), resolution), len(first)
    n, total = len(whole), int(whole.sum())
    observed = abs(n * int(whole[:n_1].sum()) - n_1 * total)
    # The smaller group's labels decide all.
    counts = _counts_of_sums(whole, min(n_1, n - n_1))
    distance = np.abs(n * np.arange(len(counts)) - min(n_1, n - n_1) * total)
    p = float(counts[distance >= observed].sum() / counts.sum())
    return ResamplingTest(float(first.mean() - second.mean()), p, 0.0, float(math.comb(n, n_1)), True)


def _counts_of_sums(whole: IntArray, n_chosen: int) -> FloatArray:
    """Count the ways to choose so many of the numbers, by their sum."""
    reach = int(np.sort(whole)[len(whole) - n_chosen :].sum()) + 1
    if reach * (n_chosen + 1) > _MAX_ENTRIES:
        raise AnalysisError("There are too many sums to count all arrangements.",
                            cure="Draw arrangements, or round the values.", code="too-large")  # fmt: skip
    counts = np.zeros((n_chosen + 1, reach))
    counts[0, 0] = 1.0
    highest = np.zeros(n_chosen + 1, dtype=np.int64)
    for i, value in enumerate(np.sort(whole).tolist()):
        # The numbers come in rising order, so the sums so far reach no further than that of the last ones.
        for chosen in range(min(i + 1, n_chosen), 0, -1):
            end = int(highest[chosen - 1]) + 1
            counts[chosen, value : value + end] += counts[chosen - 1, :end]
            highest[chosen] = int(highest[chosen - 1]) + value
    return np.asarray(counts[n_chosen], dtype=np.float64)


def _whole_numbers(values: FloatArray, resolution: float) -> IntArray:
    whole = np.round(values / resolution).astype(np.int64)
    return np.asarray(whole - whole.min(), dtype=np.int64)


def permutation_drawn(
    first: FloatArray,
    second: FloatArray,
    rng: np.random.Generator,
    *,
    n_draws: int = 100_000,
    statistic: Literal["difference", "welch"] = "difference",
) -> ResamplingTest:
    """Compare two samples by arrangements of the group labels that are drawn at random.

    Parameters
    ----------
    first, second : real array
    rng : numpy random Generator
    n_draws : int
    statistic : str
        ``difference`` of the means, or ``welch``, the t statistic with unequal variances, which keeps its level
        when the variances differ.
    """
    first, second = _two_samples(first, second)
    values, n_1 = np.concatenate([first, second]), len(first)
    values = values - values.mean()
    compute = {"difference": _differences, "welch": _welch_statistics}[statistic]
    observed = float(compute(values[None], n_1)[0])
    n_beyond, drawn = 0, 0
    while drawn < n_draws:
        n_now = min(n_draws - drawn, max(1, _AT_A_TIME // len(values)))
        shuffled = rng.permuted(np.broadcast_to(values, (n_now, len(values))), axis=1)
        n_beyond += _beyond(compute(shuffled, n_1), observed)
        drawn += n_now
    return _drawn(observed, n_beyond, n_draws)


def _two_samples(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray]:
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if min(len(first), len(second)) < 2:
        raise AnalysisError("A comparison of two groups needs at least two participants in each.", code="too-few")
    if np.ptp(np.concatenate([first, second])) == 0:
        raise AnalysisError("The values do not vary.", code="no-variation")
    return first, second


def _differences(samples: FloatArray, n_1: int) -> FloatArray:
    return np.asarray(samples[:, :n_1].mean(axis=1) - samples[:, n_1:].mean(axis=1), dtype=np.float64)


def _welch_statistics(samples: FloatArray, n_1: int) -> FloatArray:
    first, second = samples[:, :n_1], samples[:, n_1:]
    variance = first.var(axis=1, ddof=1) / n_1 + second.var(axis=1, ddof=1) / second.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((first.mean(axis=1) - second.mean(axis=1)) / np.sqrt(variance), dtype=np.float64)


def _beyond(drawn: FloatArray, observed: float) -> int:
    return int(np.count_nonzero(np.abs(drawn) >= abs(observed) * (1 - _TIE)))


def _drawn(observed: float, n_beyond: int, n_draws: int) -> ResamplingTest:
    p = (1 + n_beyond) / (1 + n_draws)
    return ResamplingTest(observed, p, math.sqrt(p * (1 - p) / n_draws), float(n_draws), False)


def sign_flip_exact(differences: FloatArray, *, resolution: float = 1e-4) -> ResamplingTest:
    """Test whether paired differences lie around zero, by all choices of their signs.

    Parameters
    ----------
    differences : real array
        The statistic is their mean.
    resolution : float
        Differences are rounded to multiples of it, in their unit.

    Raises
    ------
    AnalysisError
        There are no differences, all are zero, or too many sums for an exact count.
    """
    differences = _some_differences(differences)
    whole = np.round(differences / resolution).astype(np.int64)
    sizes, total = np.abs(whole), int(np.abs(whole).sum())
    if total + 1 > _MAX_ENTRIES:
        raise AnalysisError("There are too many sums to count all signs.",
                            cure="Draw signs, or round the values.", code="too-large")  # fmt: skip
    # Probability of each sum of those that are positive.
    share, end = np.zeros(total + 1), 1
    share[0] = 1.0
    for size in sizes.tolist():
        halved = 0.5 * share[:end]
        share[:end] = halved
        share[size : size + end] += halved
        end += size
    beyond = np.abs(2 * np.arange(total + 1) - total) >= abs(int(whole.sum()))
    p = float(share[beyond].sum())
    return ResamplingTest(float(differences.mean()), min(p, 1.0), 0.0, 2.0 ** len(differences), True)


def sign_flip_drawn(differences: FloatArray, rng: np.random.Generator, *, n_draws: int = 100_000) -> ResamplingTest:
    """Test whether paired differences lie around zero, by signs that are drawn at random."""
    differences = _some_differences(differences)
    observed, n_beyond, drawn = float(differences.mean()), 0, 0
    while drawn < n_draws:
        n_now = min(n_draws - drawn, max(1, _AT_A_TIME // len(differences)))
        signs = 2.0 * rng.integers(0, 2, (n_now, len(differences))) - 1.0
        n_beyond += _beyond(signs @ differences / len(differences), observed)
        drawn += n_now
    return _drawn(observed, n_beyond, n_draws)


def _some_differences(differences: FloatArray) -> FloatArray:
    differences = np.asarray(differences, dtype=float)
    if not len(differences):
        raise AnalysisError("There are no pairs.", code="too-few")
    if not differences.any():
        raise AnalysisError("All differences are zero.", code="no-variation")
    return differences


def bootstrap_interval(
    data: FloatArray,
    statistic: Callable[[FloatArray], FloatArray],
    rng: np.random.Generator,
    *,
    confidence: float = 0.95,
    n_resamples: int = 10_000,
    method: Literal["bca", "percentile"] = "bca",
    strata: IntArray | None = None,
) -> Interval:
    """Confidence interval of a statistic of participants, who are drawn with replacement.

    A row of `data` is all that is known of a participant, so values of one stay together (cluster bootstrap).

    Parameters
    ----------
    data : real array, shape (n, n_columns)
    statistic : callable
        From many samples at once, shape (n_samples, n_drawn, n_columns), to shape (n_samples,).
    rng : numpy random Generator
    confidence : float
    n_resamples : int
    method : str
        ``percentile``, or ``bca``: corrected for bias and for the change of the error with the value [2]_.
    strata : integer array, shape (n,), optional
        Group of each participant; groups then keep their sizes.

    Raises
    ------
    AnalysisError
        There are fewer than three participants, or too few samples have a value.
    """
    data = np.asarray(data, dtype=float)
    n = len(data)
    if n < 3:
        raise AnalysisError(f"{n} participants are too few for a bootstrap.", code="too-few")
    groups = [np.arange(n)] if strata is None else [np.flatnonzero(strata == one) for one in np.unique(strata)]
    estimate = float(statistic(data[None])[0])
    found: list[FloatArray] = []
    drawn = 0
    while drawn < n_resamples:
        n_now = min(n_resamples - drawn, max(1, _AT_A_TIME // data.size))
        at = np.concatenate([group[rng.integers(0, len(group), (n_now, len(group)))] for group in groups], axis=1)
        found.append(statistic(data[at]))
        drawn += n_now
    values = np.concatenate(found)
    values = np.sort(values[np.isfinite(values)])
    if len(values) < 0.9 * n_resamples or not math.isfinite(estimate):
        raise AnalysisError("Too few of the resamples have a value.", code="too-few")
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    if method == "bca":
        jackknife = np.concatenate([statistic(np.delete(data, i, axis=0)[None]) for i in range(n)])
        tails = _bca_tails(tails, values, estimate, jackknife)
    low, high = np.quantile(values, tails)
    return Interval(estimate, float(low), float(high), float(values.std(ddof=1)), len(values))


def _bca_tails(tails: FloatArray, values: FloatArray, estimate: float, jackknife: FloatArray) -> FloatArray:
    """Quantiles to read, from the share of resamples below the estimate and the skewness of the influences."""
    below = np.mean(values < estimate) + 0.5 * np.mean(values == estimate)
    if not 0 < below < 1:
        raise AnalysisError("All resamples lie on one side of the estimate.", code="no-variation")
    bias = float(ndtri(below))
    influence = jackknife.mean() - jackknife
    spread = float(np.sum(influence**2))
    acceleration = float(np.sum(influence**3)) / (6 * spread**1.5) if spread > 0 else 0.0
    z = bias + ndtri(tails)
    return np.asarray(ndtr(bias + z / (1 - acceleration * z)), dtype=np.float64)
