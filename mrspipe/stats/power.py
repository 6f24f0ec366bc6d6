"""What a study of a given size can find, from the variances of its measurements.

A participant's value in one scan is taken as a sum of independent parts: the participant (variance ``s``), the
participant in this visit (``v``), the participant in this condition (``c``), and the rest (``e``). What a test compares
is a mean of such values or a difference of them, so its variance is a weighted sum of the four; `Weights` says how. The
power follows from the noncentral t distribution:

- paired (one value a participant): ``ncp = effect / (sd / sqrt(n))``, ``df = n - 1``; exact.
- two groups (Welch): ``ncp = effect / sqrt(sd_1^2 / n_1 + sd_2^2 / n_2)`` with the degrees of freedom of Welch and
  Satterthwaite at the true variances; for equal SDs and sizes Student's, and then exact.
- equivalence (two one-sided tests at ``alpha``): the probability that the estimate lies within ``bound - t_alpha se``
  of zero, integrated over the distribution of the estimated ``se``; exact for one value a participant.

The variances are themselves estimates. A weighted sum ``V`` of them with the variance ``w' C w`` is taken as a
chi-square variable with ``df = 2 V^2 / w' C w`` (Satterthwaite 1946, doi 10.2307/3002019), which gives its limits.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq

from mrspipe.core.arrays import FloatArray

COMPONENTS = ("subject", "visit", "condition", "residual")
_MAX_N = 1_000_000
# Noncentrality from which the tail at the other side is below 2e-12.
_FAR = 7.0


@dataclass(frozen=True, slots=True)
class Weights:
    """How often each variance counts in the value that a test takes from a participant."""

    subject: float = 0.0
    visit: float = 0.0
    condition: float = 0.0
    residual: float = 0.0

    @property
    def array(self) -> FloatArray:
        """In the order of `COMPONENTS`."""
        return np.array([self.subject, self.visit, self.condition, self.residual])


@dataclass(frozen=True, slots=True, eq=False)
class VarianceComponents:
    """Variances of the parts of a measurement, in the square of its unit.

    Parameters
    ----------
    variances : real array, shape (4,)
        In the order of `COMPONENTS`; 0 where the data cannot tell a part from the next.
    covariance : real array, shape (4, 4)
        Of the estimates.
    mean : float
        Of the measurements.
    """

    variances: FloatArray
    covariance: FloatArray
    mean: float

    def sd(self, weights: Weights) -> float:
        """Standard deviation of a value of one participant."""
        return math.sqrt(float(weights.array @ self.variances))

    def sd_limits(self, weights: Weights, confidence: float) -> tuple[float, float]:
        """Confidence limits of `sd`."""
        w = weights.array
        variance, spread = float(w @ self.variances), float(w @ self.covariance @ w)
        if variance <= 0 or spread <= 0:
            return math.nan, math.nan
        df = 2 * variance**2 / spread
        low, high = (float(stats.chi2.ppf(q, df)) for q in (0.5 + confidence / 2, 0.5 - confidence / 2))
        return math.sqrt(df * variance / low), math.sqrt(df * variance / high) if high > 0 else math.inf


def paired_power(effect: float, sd: float, n: float, alpha: float) -> float:
    """Power of a two-sided t test of the mean of ``n`` values.

    Examples
    --------
    >>> round(paired_power(0.6, 1.1726, 26, 0.05), 2)
    0.71
    """
    return _power(effect / sd * math.sqrt(n), n - 1, alpha)


def welch_power(effect: float, sds: tuple[float, float], n: tuple[float, float], alpha: float) -> float:
    """Power of Welch's two-sided test of two independent groups.

    Examples
    --------
    >>> round(welch_power(0.95, (1.291, 1.291), (26, 30), 0.05), 2)
    0.77
    """
    shares = [sd**2 / size for sd, size in zip(sds, n, strict=True)]
    df = sum(shares) ** 2 / sum(share**2 / (size - 1) for share, size in zip(shares, n, strict=True))
    return _power(effect / math.sqrt(sum(shares)), df, alpha)


def _power(ncp: float, df: float, alpha: float) -> float:
    limit, ncp = float(stats.t.ppf(1 - alpha / 2, df)), abs(ncp)
    # A t below zero needs a normal deviate below -ncp; scipy's value of so small a tail may be missing.
    other_side = float(stats.nct.cdf(-limit, df, ncp)) if ncp < _FAR else 0.0
    return float(stats.nct.sf(limit, df, ncp)) + other_side


def equivalence_power(bound: float, sd: float, n: float, alpha: float, *, effect: float = 0.0) -> float:
    """Power of two one-sided t tests of the mean of ``n`` values against plus and minus ``bound``.

    Examples
    --------
    >>> round(equivalence_power(1.0, 1.3, 26, 0.05), 2)
    0.97
    """
    df, error = n - 1, sd / math.sqrt(n)
    limit = float(stats.t.ppf(1 - alpha, df))

    def given(share: float) -> float:
        """Probability where the estimated error is ``share`` of the true one, times the density of that."""
        room = bound - limit * share * error
        inside = stats.norm.cdf((room - effect) / error) - stats.norm.cdf((-room - effect) / error)
        # share^2 df is a chi-square variable.
        return max(float(inside), 0.0) * 2 * share * df * float(stats.chi2.pdf(share**2 * df, df))

    largest = bound / (limit * error)
    # Beyond ten of its standard deviations the estimated error has no weight.
    reach = 10 / math.sqrt(2 * df)
    low, high = max(0.0, 1 - reach), min(largest, 1 + reach)
    return float(quad(given, low, high, epsabs=1e-10, limit=200)[0]) if high > low else 0.0


def detectable_effect(power_of: Callable[[float], float], scale: float, power: float) -> float:
    """Smallest effect that a test finds with the power asked for.

    Parameters
    ----------
    power_of : callable
        Power at an effect; rises with it.
    scale : float
        About the standard error of the estimate: where to begin.
    power : float

    Returns
    -------
    float
        NaN where the scale is not finite.
    """
    if not (math.isfinite(scale) and scale > 0):
        return math.nan
    high = scale
    while power_of(high) < power:
        high *= 2
    return float(brentq(lambda effect: power_of(effect) - power, 0.0, high, xtol=1e-9 * scale))


def needed_n(power_of: Callable[[int], float], power: float) -> float:
    """Smallest number that gives the power asked for; infinite when it is beyond a million.

    Parameters
    ----------
    power_of : callable
        Power at a number of participants (of each group), from 2 on; rises with it.
    power : float
    """
    low, high = 1, 2
    while power_of(high) < power:
        low, high = high, 2 * high
        if high > _MAX_N:
            return math.inf
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= power else (middle, high)
    return float(high)
