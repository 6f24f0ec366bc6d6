"""What follows from the amplitudes of a fit and their covariance: ratios to creatine, correlations, Glu against Gln.

A ratio has a confidence interval only where its denominator differs from zero: with a normal denominator that is within
1.96 standard errors (SE) of zero, the 95 % interval of the ratio holds arbitrarily large values (Fieller 1954, doi
10.1111/j.2517-6161.1954.tb00159.x). There is no ratio then, and a reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.results import FitResult

NOT_MEASURABLE = "total creatine is not measurable in this scan"
"""Why there is no ratio where total creatine does not differ from zero."""

# Two-sided 95 % point of the normal distribution.
_SIGNIFICANT_SE = 1.96


@dataclass(frozen=True, slots=True)
class Ratio:
    """Amplitude relative to total creatine with its standard error; NaN with a reason where there is none."""

    value: float
    se: float
    reason: str = ""

    @property
    def relative_se(self) -> float:
        """Definition: SE over value; infinite for a value that is not positive, NaN without a value."""
        return self.se / self.value if not self.value <= 0 else float("inf")


@dataclass(frozen=True, slots=True)
class Separability:
    """How well glutamate and glutamine are told apart.

    Parameters
    ----------
    correlation : float
        Of the two amplitudes in the posterior.
    ratios : mapping of str to Ratio
        ``Glu``, ``Gln`` and their sum ``Glx``, relative to total creatine.
    """

    correlation: float
    ratios: Mapping[str, Ratio]

    @property
    def sum_is_better(self) -> bool:
        """Whether Glx has a smaller relative SE than Glu and than Gln."""
        glu, gln, glx = (self.ratios[name].relative_se for name in ("Glu", "Gln", "Glx"))
        return glx < min(glu, gln)


def why_no_ratio(fit: FitResult) -> str:
    """Say why amplitudes cannot be related to total creatine; empty where they can."""
    creatine = fit.weights("tCr")
    if creatine is None:
        return "creatine was not fitted"
    measurable = float(creatine @ fit.amplitudes) > _SIGNIFICANT_SE * standard_error(creatine, fit.covariance)
    return "" if measurable else NOT_MEASURABLE


def ratio_to_creatine(fit: FitResult, metabolite: str) -> Ratio:
    """Ratio of the amplitudes of a metabolite or sum and total creatine; its SE by the delta method."""
    row, creatine = fit.weights(metabolite), fit.weights("tCr")
    reason = why_no_ratio(fit) if row is not None else "not fitted"
    if row is None or creatine is None or reason:
        return Ratio(float("nan"), float("nan"), reason)
    total = float(creatine @ fit.amplitudes)
    value = float(row @ fit.amplitudes) / total
    return Ratio(value, standard_error((row - value * creatine) / total, fit.covariance))


def standard_error(gradient: FloatArray, covariance: FloatArray) -> float:
    """Standard deviation of a linear combination of the amplitudes."""
    return float(np.sqrt(np.maximum(0.0, gradient @ covariance @ gradient)))


def correlations(fit: FitResult) -> FloatArray:
    """Posterior correlations of the amplitudes, shape (n, n); NaN where a standard error is zero or missing."""
    sd = np.sqrt(np.maximum(np.diag(fit.covariance), 0.0))
    sd[sd == 0] = np.nan
    return np.asarray(fit.covariance / np.outer(sd, sd))


def separability(fit: FitResult) -> Separability | None:
    """Tell how well Glu and Gln are told apart; None when one of them was not fitted."""
    if not {"Glu", "Gln"} <= set(fit.names):
        return None
    glu, gln = fit.names.index("Glu"), fit.names.index("Gln")
    ratios = {name: ratio_to_creatine(fit, name) for name in ("Glu", "Gln", "Glx")}
    return Separability(float(correlations(fit)[glu, gln]), ratios)
