"""How large an effect is, whether it is small enough to be called none, and what the data say for none.

References
----------
.. [1] Hedges 1981, doi 10.3102/10769986006002107 (bias correction)
.. [2] Rouder et al. 2009, doi 10.3758/PBR.16.2.225 (Bayes factor of a t test)
.. [3] Schuirmann 1987, doi 10.1007/BF01068419 (two one-sided tests)
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri, gammaln, ndtr, ndtri, stdtr

from mrspipe.core.arrays import FloatArray

_MAX_NEWTON = 50
_HUGE_T = 3000.0
# Grid of the prior's variance for the Bayes factor, and the logarithm of its density in log g.
_STEP = 0.125
_LOG_G = np.arange(-7.0, 60.0, _STEP)
_G = np.exp(_LOG_G)
_LOG_PRIOR = -0.5 * (math.log(2 * math.pi) + _LOG_G + 1 / _G)


@dataclass(frozen=True, slots=True)
class Effect:
    """A standardised effect.

    Parameters
    ----------
    name : str
    value : float
    ci_low, ci_high : float
    sd : float
        What the difference was divided by, in the unit of the measurement.
    """

    name: str
    value: float
    ci_low: float
    ci_high: float
    sd: float


def hedges_correction(df: float) -> float:
    """Factor that removes the bias of a standardised difference, exact.

    Examples
    --------
    >>> round(hedges_correction(48), 9)
    0.984279426
    """
    return float(math.exp(gammaln(df / 2) - gammaln((df - 1) / 2)) / math.sqrt(df / 2)) if df > 1 else math.nan


def noncentral_interval(t: float, df: float, confidence: float) -> tuple[float, float]:
    """Confidence limits of the noncentrality of a t statistic.

    Parameters
    ----------
    t, df : float
    confidence : float
        Level, such as 0.95.

    Returns
    -------
    low, high : float
        NaN for statistics that are not finite.
    """
    if not math.isfinite(t):
        return math.nan, math.nan
    tail = (1 - confidence) / 2
    return -_upper_noncentrality(-t, df, tail), _upper_noncentrality(t, df, tail)


def _upper_noncentrality(t: float, df: float, probability: float) -> float:
    """Noncentrality at which statistics up to `t` have a probability, which is below one half.

    By definition ``T = (Z + noncentrality) / s``, with ``s`` the root of a mean square with ``df`` degrees of freedom.
    In ``u = log s`` the average over ``s`` is that of an analytic function which falls off to both sides, so equal
    steps are exact once they are small against the widths of its two factors.
    """
    if abs(t) > _HUGE_T:  # Z is nothing against the noncentrality.
        tail = probability if t < 0 else 1 - probability
        return t * math.sqrt(float(chdtri(df, 1 - tail)) / df)
    step = min(0.12, 0.3 / max(math.sqrt(2 * df), abs(t)))
    u = np.arange(-40.0 / df - 2.0, 8.0 / math.sqrt(df) + 0.5, step)
    s = np.exp(u)
    log_density = df * u - 0.5 * df * s * s
    kept = log_density > log_density.max() - 40.0
    s, weights = s[kept], np.exp(log_density[kept] - log_density.max())
    weights /= weights.sum()
    target = float(ndtri(probability))
    low, high = -math.inf, math.inf
    noncentrality = t - target * math.sqrt(1 + t * t / (2 * df))
    for _ in range(_MAX_NEWTON):
        z = t * s - noncentrality
        below, density = float(weights @ ndtr(z)), float(weights @ np.exp(-0.5 * z * z))
        low, high = (low, noncentrality) if below < probability else (noncentrality, high)
        # As a normal quantile the probability is nearly linear in the noncentrality.
        quantile = float(ndtri(below))
        rise = math.exp(-0.5 * quantile * quantile)
        proposed = noncentrality + (quantile - target) * rise / density if min(rise, density) > 0 else math.nan
        if not low <= proposed <= high:
            proposed = 0.5 * (max(low, t - 1) + min(high, max(2 * abs(low), abs(t)) + 1))
        if abs(proposed - noncentrality) < 1e-12 * (1 + abs(noncentrality)):
            return proposed
        noncentrality = proposed
    return math.nan


def hedges_g(first: FloatArray, second: FloatArray, confidence: float) -> Effect:
    """Bias-corrected difference of the means of two independent samples, in pooled standard deviations."""
    n_1, n_2 = len(first), len(second)
    df = n_1 + n_2 - 2
    pooled = math.sqrt(((n_1 - 1) * np.var(first, ddof=1) + (n_2 - 1) * np.var(second, ddof=1)) / df)
    d = (np.mean(first) - np.mean(second)) / pooled
    root = math.sqrt(n_1 * n_2 / (n_1 + n_2))
    low, high = noncentral_interval(float(d * root), df, confidence)
    correction = hedges_correction(df)
    return Effect("Hedges g", correction * float(d), correction * low / root, correction * high / root, pooled)


def cohen_dz(differences: FloatArray, confidence: float) -> Effect:
    """Mean of paired differences, in their standard deviation; `hedges_correction` removes its bias."""
    n, sd = len(differences), float(np.std(differences, ddof=1))
    dz = float(np.mean(differences)) / sd
    low, high = noncentral_interval(dz * math.sqrt(n), n - 1, confidence)
    return Effect("Cohen dz", dz, low / math.sqrt(n), high / math.sqrt(n), sd)


def pooled_t(first: FloatArray, second: FloatArray) -> float:
    """Student's t statistic of two independent samples."""
    n_1, n_2 = len(first), len(second)
    df = n_1 + n_2 - 2
    variance = ((n_1 - 1) * np.var(first, ddof=1) + (n_2 - 1) * np.var(second, ddof=1)) / df
    return float((np.mean(first) - np.mean(second)) / np.sqrt(variance * (1 / n_1 + 1 / n_2)))


def jzs_bf01(t: float, n_effective: float, df: float, scale: float) -> float:
    """Bayes factor for no effect over an effect, with a Cauchy prior on the standardised effect.

    Parameters
    ----------
    t : float
        Of the paired test, or of Student's test with pooled variance.
    n_effective : float
        Number of pairs, or ``n1 n2 / (n1 + n2)``.
    df : float
    scale : float
        Scale of the Cauchy prior.

    Returns
    -------
    float
        Above 1 the data speak for no effect.

    Examples
    --------
    >>> round(1 / jzs_bf01(-4.06212768338204, 10, 9, 2**0.5 / 2), 3)  # Student's sleep data
    17.259
    """
    if not math.isfinite(t):
        return math.nan
    alone = (df + 1) / 2 * math.log1p(t * t / df)

    # In log g the prior falls off doubly exponentially below and the product as exp(-log_g) above; such an integral of
    # an analytic function is exact in equal steps well below the distance of its singularities, which is pi / 2.
    inflation = 1 + n_effective * scale**2 * _G
    log_integrand = alone - 0.5 * np.log(inflation) - (df + 1) / 2 * np.log1p(t * t / (inflation * df)) + _LOG_PRIOR
    # Divided by its height, the integrand of the largest t does not overflow.
    height = float(log_integrand.max())
    return math.exp(-height) / (_STEP * float(np.exp(log_integrand - height).sum()))


def equivalence_p(estimate: float, standard_error: float, df: float, bound: float) -> float:
    """Two one-sided tests: the p value is small when the true value lies within ``bound`` of zero."""
    lower, upper = (estimate + bound) / standard_error, (estimate - bound) / standard_error
    return float(max(stdtr(df, -lower), stdtr(df, upper)))
