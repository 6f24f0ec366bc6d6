"""How large an effect is, whether it is small enough to be called none, and what the data say for none.

References
----------
.. [1] Hedges 1981, doi 10.3102/10769986006002107 (bias correction)
.. [2] Rouder et al. 2009, doi 10.3758/PBR.16.2.225 (Bayes factor of a t test)
.. [3] Schuirmann 1987, doi 10.1007/BF01068419 (two one-sided tests)
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import gammaln

from mrspipe.core.arrays import FloatArray


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
    return _noncentrality(t, df, 1 - tail), _noncentrality(t, df, tail)


def _noncentrality(t: float, df: float, probability: float) -> float:
    def excess(noncentrality: float) -> float:
        return float(stats.nct.cdf(t, df, noncentrality)) - probability

    # The distribution function falls with the noncentrality. Its far tails are inaccurate, so the bracket grows
    # from t only as far as it must.
    low = high = t
    step = 0.25 * math.sqrt(1 + t * t / (2 * df))
    while excess(low) < 0:
        low -= step
    while excess(high) > 0:
        high += step
    if not excess(low) * excess(high) <= 0:
        return math.nan
    return float(brentq(excess, low, high, xtol=1e-13, rtol=8.9e-16))


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
    return float(stats.ttest_ind(first, second).statistic)


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

    def log_integrand(log_g: float) -> float:
        inflation = 1 + n_effective * scale**2 * math.exp(log_g)
        likelihood = -0.5 * math.log(inflation) - (df + 1) / 2 * math.log1p(t * t / (inflation * df)) + alone
        return likelihood - 0.5 * math.log(2 * math.pi) - 0.5 * log_g - 0.5 * math.exp(-log_g)

    # In log g the prior falls off doubly exponentially below and as exp(-log_g / 2) above.
    cuts = (-7.0, -2.0, 2.0, 8.0, 25.0, 80.0)
    # Divided by its height, the integrand of the largest t does not overflow.
    height = max(log_integrand(log_g) for log_g in np.arange(cuts[0], cuts[-1], 0.5))
    parts = [
        quad(lambda log_g: math.exp(log_integrand(log_g) - height), low, high, epsabs=1e-14, epsrel=1e-11, limit=400)[0]
        for low, high in pairwise(cuts)
    ]
    return math.exp(-height) / float(sum(parts))


def equivalence_p(estimate: float, standard_error: float, df: float, bound: float) -> float:
    """Two one-sided tests: the p value is small when the true value lies within ``bound`` of zero."""
    lower, upper = (estimate + bound) / standard_error, (estimate - bound) / standard_error
    return float(max(stats.t.sf(lower, df), stats.t.cdf(upper, df)))
