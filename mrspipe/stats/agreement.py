"""How well two methods that measure the same quantity agree.

Limits of agreement say how far a single measurement of one method may be from that of the other [1]_; the intraclass
and the concordance correlation how much of the spread of all values is spread between the scans rather than between
the methods. A correlation coefficient alone says nothing about agreement.

With one scan per participant the confidence limits of the limits of agreement are exact: they are those of a quantile
of the normal distribution [2]_. With several scans of some participants, differences of one participant resemble each
other; variance between and within participants are then estimated apart and the limits are those for a true value
that varies [3]_, with confidence limits by the method of variance estimates recovery [4]_.

References
----------
.. [1] Bland & Altman 1986, doi 10.1016/S0140-6736(86)90837-8
.. [2] Carkeet 2015, doi 10.1097/OPX.0000000000000513
.. [3] Bland & Altman 2007, doi 10.1080/10543400701329422
.. [4] Zou 2013, doi 10.1177/0962280211402548
.. [5] Shrout & Fleiss 1979, doi 10.1037/0033-2909.86.2.420
.. [6] McGraw & Wong 1996, doi 10.1037/1082-989X.1.1.30
.. [7] Lin 1989, doi 10.2307/2532051; correction 2000, Biometrics 56:324
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import AnalysisError

_FEWEST = 3
_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the ends of its confidence interval; NaN where it cannot be computed."""

    value: float
    low: float = _NAN
    high: float = _NAN


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of two methods: all differences are the first minus the second, in the unit of the values.

    Parameters
    ----------
    n, n_subjects : int
        Pairs of values, and the participants that they come from.
    difference : Interval
        Mean difference.
    sd : float
        Standard deviation of a difference.
    lower, upper : Interval
        Limits of agreement.
    slope : Interval
        Slope of the difference on the mean of the two: proportional bias.
    icc_agreement, icc_consistency : Interval
        ICC(2,1) and ICC(3,1).
    concordance, pearson : Interval
        Lin's concordance correlation and Pearson's correlation.
    """

    n: int
    n_subjects: int
    difference: Interval
    sd: float
    lower: Interval
    upper: Interval
    slope: Interval
    icc_agreement: Interval
    icc_consistency: Interval
    concordance: Interval
    pearson: Interval


def agreement(
    first: FloatArray, second: FloatArray, subjects: Sequence[object] | None = None, *, confidence: float = 0.95
) -> Agreement:
    """Describe the agreement of two methods.

    Parameters
    ----------
    first, second : float array, shape (n,)
        Values of the two methods, pair by pair.
    subjects : sequence, optional
        Who each pair comes from; without it, everybody is there once.
    confidence : float, optional
        Of all intervals, and the part of differences within the limits of agreement.

    Raises
    ------
    AnalysisError
        ``too-few``: fewer than three pairs, or of fewer than three participants.
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    labels = np.arange(first.size) if subjects is None else np.unique(np.asarray(subjects), return_inverse=True)[1]
    n_subjects = int(np.unique(labels).size)
    if first.size < _FEWEST or n_subjects < _FEWEST:
        raise AnalysisError(
            f"Agreement needs three pairs of values of three participants, there are {first.size} of {n_subjects}.",
            code="too-few",
        )
    difference = first - second
    if n_subjects == first.size:
        mean, sd, lower, upper = limits_of_agreement(difference, confidence)
    else:
        mean, sd, lower, upper = repeated_limits_of_agreement(difference, labels, confidence)
    pairs = np.column_stack([first, second])
    return Agreement(
        n=int(first.size),
        n_subjects=n_subjects,
        difference=mean,
        sd=sd,
        lower=lower,
        upper=upper,
        slope=proportional_bias(first, second, confidence),
        icc_agreement=icc_agreement(pairs, confidence),
        icc_consistency=icc_consistency(pairs, confidence),
        concordance=concordance(first, second, confidence),
        pearson=pearson(first, second, confidence),
    )


def limits_of_agreement(difference: FloatArray, confidence: float = 0.95) -> tuple[Interval, float, Interval, Interval]:
    """Give mean difference, SD, and the limits of agreement of independent differences, with exact intervals.

    ``(mean + z sd - d) sqrt(n) / s`` has a noncentral t distribution with noncentrality ``z sqrt(n)``, where d and s
    are the sample's mean and SD.

    Parameters
    ----------
    difference : float array, shape (n,)
    confidence : float, optional
    """
    from scipy import stats

    n, mean, sd = difference.size, float(difference.mean()), float(difference.std(ddof=1))
    tail, se = (1 - confidence) / 2, sd / math.sqrt(n)
    z = float(stats.norm.ppf(1 - tail))
    half = float(stats.t.ppf(1 - tail, n - 1)) * se
    low, high = (float(stats.nct.ppf(part, n - 1, z * math.sqrt(n))) * se for part in (tail, 1 - tail))
    return (
        Interval(mean, mean - half, mean + half),
        sd,
        Interval(mean - z * sd, mean - high, mean - low),
        Interval(mean + z * sd, mean + low, mean + high),
    )


def repeated_limits_of_agreement(
    difference: FloatArray, labels: NDArray[np.intp], confidence: float = 0.95
) -> tuple[Interval, float, Interval, Interval]:
    """Give mean difference, SD and limits of agreement where participants have several scans.

    The mean is that of the participants' means. With ``s_b`` the SD of these means, ``s_w`` the SD within
    participants and ``m`` the harmonic mean of the numbers of scans, a difference has the variance
    ``s_b^2 + (1 - 1/m) s_w^2``.

    Parameters
    ----------
    difference : float array, shape (n,)
    labels : int array, shape (n,)
        0, 1, ... for each participant.
    confidence : float, optional
    """
    from scipy import stats

    counts = np.bincount(labels)
    means = np.bincount(labels, difference) / counts
    n, n_within = counts.size, int(difference.size - counts.size)
    mean, between = float(means.mean()), float(means.var(ddof=1))
    within = float(((difference - means[labels]) ** 2).sum() / n_within)
    share = 1 - float(np.mean(1 / counts))
    variance = between + share * within
    tail = (1 - confidence) / 2
    z = float(stats.norm.ppf(1 - tail))
    low_variance, high_variance = (
        variance
        + sign
        * math.hypot(
            between * ((n - 1) / stats.chi2.ppf(part, n - 1) - 1),
            share * within * (n_within / stats.chi2.ppf(part, n_within) - 1),
        )
        for sign, part in ((-1, 1 - tail), (1, tail))
    )
    sd = math.sqrt(variance)
    near = math.sqrt(z**2 * between / n + z**2 * (sd - math.sqrt(max(low_variance, 0.0))) ** 2)
    far = math.sqrt(z**2 * between / n + z**2 * (math.sqrt(high_variance) - sd) ** 2)
    half = float(stats.t.ppf(1 - tail, n - 1)) * math.sqrt(between / n)
    lower, upper = mean - z * sd, mean + z * sd
    return (
        Interval(mean, mean - half, mean + half),
        sd,
        Interval(lower, lower - far, lower + near),
        Interval(upper, upper - near, upper + far),
    )


def proportional_bias(first: FloatArray, second: FloatArray, confidence: float = 0.95) -> Interval:
    """Give the slope of the difference on the mean of the two methods; 0 where the bias does not grow with the value.

    Parameters
    ----------
    first, second : float array, shape (n,)
    confidence : float, optional
    """
    from scipy import stats

    mean, difference = (first + second) / 2, first - second
    centred = mean - mean.mean()
    spread = float(centred @ centred)
    if spread == 0:
        return Interval(_NAN)
    slope = float(centred @ difference) / spread
    residual = difference - difference.mean() - slope * centred
    df = first.size - 2
    half = float(stats.t.ppf((1 + confidence) / 2, df)) * math.sqrt(float(residual @ residual) / df / spread)
    return Interval(slope, slope - half, slope + half)


@dataclass(frozen=True, slots=True)
class _Squares:
    """Mean squares of a two-way layout with n targets and k raters: between targets, between raters, error."""

    n: int
    k: int
    targets: float
    raters: float
    error: float


def _squares(ratings: FloatArray) -> _Squares:
    n, k = ratings.shape
    centred = ratings - ratings.mean()
    targets, raters = centred.mean(axis=1), centred.mean(axis=0)
    error = centred - targets[:, None] - raters
    return _Squares(
        n,
        k,
        k * float(targets @ targets) / (n - 1),
        n * float(raters @ raters) / (k - 1),
        float((error**2).sum()) / ((n - 1) * (k - 1)),
    )


def icc_agreement(ratings: FloatArray, confidence: float = 0.95) -> Interval:
    """ICC(2,1): absolute agreement of single measurements, raters a random sample [5]_ [6]_.

    Parameters
    ----------
    ratings : float array, shape (n_targets, n_raters)
    confidence : float, optional
    """
    from scipy import stats

    ms = _squares(ratings)
    n, k = ms.n, ms.k
    all_of_it = ms.targets + (k - 1) * ms.error + k * (ms.raters - ms.error) / n
    if all_of_it <= 0:
        return Interval(_NAN)
    value = (ms.targets - ms.error) / all_of_it
    if ms.error == 0 or value >= 1:
        return Interval(value)
    a, b = k * value / (n * (1 - value)), 1 + k * value * (n - 1) / (n * (1 - value))
    parts = (a * ms.raters, b * ms.error)
    df = sum(parts) ** 2 / (parts[0] ** 2 / (k - 1) + parts[1] ** 2 / ((n - 1) * (k - 1)))
    part = (1 + confidence) / 2
    low_f, high_f = (float(stats.f.ppf(part, *pair)) for pair in ((n - 1, df), (df, n - 1)))
    rest = k * ms.raters + (k * n - k - n) * ms.error
    low = n * (ms.targets - low_f * ms.error) / (low_f * rest + n * ms.targets)
    high = n * (high_f * ms.targets - ms.error) / (rest + n * high_f * ms.targets)
    return Interval(value, low, high)


def icc_consistency(ratings: FloatArray, confidence: float = 0.95) -> Interval:
    """ICC(3,1): consistency of single measurements, these raters only; a constant bias does not lower it [5]_ [6]_.

    Parameters
    ----------
    ratings : float array, shape (n_targets, n_raters)
    confidence : float, optional
    """
    from scipy import stats

    ms = _squares(ratings)
    k, df = ms.k, ((ms.n - 1), (ms.n - 1) * (ms.k - 1))
    if ms.targets + (k - 1) * ms.error <= 0:
        return Interval(_NAN)
    value = (ms.targets - ms.error) / (ms.targets + (k - 1) * ms.error)
    if ms.error == 0:
        return Interval(value)
    ratio, part = ms.targets / ms.error, (1 + confidence) / 2
    low, high = ratio / stats.f.ppf(part, *df), ratio * stats.f.ppf(part, *df[::-1])
    return Interval(value, *(float((f - 1) / (f + k - 1)) for f in (low, high)))


def pearson(first: FloatArray, second: FloatArray, confidence: float = 0.95) -> Interval:
    """Pearson's correlation, its interval by Fisher's z.

    Parameters
    ----------
    first, second : float array, shape (n,)
    confidence : float, optional
    """
    r = _correlation(first, second)
    return _fisher(r, 1 / math.sqrt(first.size - 3) if first.size > 3 else _NAN, confidence)


def concordance(first: FloatArray, second: FloatArray, confidence: float = 0.95) -> Interval:
    """Lin's concordance correlation: 1 only where both give the same values [7]_.

    Parameters
    ----------
    first, second : float array, shape (n,)
    confidence : float, optional
    """
    n, r = first.size, _correlation(first, second)
    variances, bias = float(first.var() + second.var()), float(first.mean() - second.mean())
    if variances + bias**2 == 0:
        return Interval(_NAN)
    covariance = float(((first - first.mean()) * (second - second.mean())).mean())
    value = 2 * covariance / (variances + bias**2)
    if math.isnan(r) or n <= 3 or abs(value) >= 1 or r == 0:
        return Interval(value)
    shift = bias**2 / (first.std() * second.std())
    variance = (
        (1 - r**2) * value**2 / ((1 - value**2) * r**2)
        + 2 * value**3 * (1 - value) * shift / (r * (1 - value**2) ** 2)
        - value**4 * shift**2 / (2 * r**2 * (1 - value**2) ** 2)
    )
    return _fisher(value, math.sqrt(max(variance, 0.0) / (n - 2)), confidence)


def _correlation(first: FloatArray, second: FloatArray) -> float:
    spread = float(first.std() * second.std())
    if spread == 0:
        return _NAN
    value = float(((first - first.mean()) * (second - second.mean())).mean()) / spread
    return min(1.0, max(-1.0, value))


def _fisher(value: float, se: float, confidence: float) -> Interval:
    from scipy import stats

    if math.isnan(value) or math.isnan(se) or abs(value) >= 1:
        return Interval(value)
    half = float(stats.norm.ppf((1 + confidence) / 2)) * se
    return Interval(value, math.tanh(math.atanh(value) - half), math.tanh(math.atanh(value) + half))
