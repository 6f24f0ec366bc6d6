"""What a user should know about a fit, in plain words."""

import numpy as np

from mrspipe.core.ratios import NOT_MEASURABLE, separability, why_no_ratio
from mrspipe.core.results import FitResult
from mrspipe.fit.limits import BASELINE

# Beyond these a line shape is not that of a brain at 3 T, in Hz.
_NARROWEST_HZ, _WIDEST_HZ = 0.5, 25.0
_LARGEST_RESIDUAL_RATIO = 1.2
# Noise alone puts less than 0.01 % of the points beyond the limit of 4 standard deviations.
_MOST_OUTLIERS_PCT = 1.0
# Beyond this correlation each of two amplitudes is at least 1.4 times as uncertain as if the other were known: 1 over
# sqrt(1 - r^2). Assumed.
_LARGEST_CORRELATION = 0.7
# A metabolite that takes more of its information from its prior than from the spectrum says little about the scan.
_LARGEST_PRIOR_SHARE = 0.5


def status_of(result: FitResult, *, converged: bool) -> str:
    """One word: ``converged``, ``not-converged`` or ``undetermined``."""
    if not np.isfinite(result.amplitudes).all() or not np.isfinite(result.covariance).all():
        return "undetermined"
    return "converged" if converged else "not-converged"


def advice_for(result: FitResult) -> tuple[str, ...]:
    """List what limits the fit."""
    topics = (_about_ending, _about_residual, _about_limits, _about_width, _about_priors, _about_creatine)
    return tuple(line for topic in (*topics, _about_glutamate) for line in topic(result))


def _about_ending(result: FitResult) -> list[str]:
    if result.status == "not-converged":
        return ["The fit was still moving at the last iteration; look at the residual before using it."]
    if result.status == "undetermined":
        return ["The data do not determine all amplitudes of this fit: there are no standard errors."]
    return []


def _about_residual(result: FitResult) -> list[str]:
    advice = []
    misfit, outliers = result.nuisance["misfit"], result.nuisance["outlier_pct"]
    if misfit > _LARGEST_RESIDUAL_RATIO:
        advice.append(
            f"The residual is {misfit:.2f} times the noise: the model misses something in this spectrum, "
            "so the standard errors are widened by as much."
        )
    if outliers > _MOST_OUTLIERS_PCT:
        advice.append(
            f"{outliers:.0f} % of the points are further off than noise and misfit explain, as with lipids, residual "
            "water or a spurious echo; they were given less weight."
        )
    return advice


def _about_limits(result: FitResult) -> list[str]:
    advice = []
    stopped = [name for name in result.at_limit if name != BASELINE]
    if stopped:
        advice.append(f"Stopped where it becomes implausible: {', '.join(stopped)}; look at the fit.")
    if BASELINE in result.at_limit:
        advice.append("The baseline is as flexible as it may be and may hold part of the metabolites; look at the fit.")
    return advice


def _about_width(result: FitResult) -> list[str]:
    lorentz, gauss = result.nuisance["lorentz_hz"], result.nuisance["gauss_hz"]
    if _NARROWEST_HZ < lorentz + gauss < _WIDEST_HZ and lorentz >= 0:
        return []
    return [f"The fitted line shape ({lorentz:.1f} Hz Lorentzian, {gauss:.1f} Hz Gaussian) is not plausible."]


def _about_priors(result: FitResult) -> list[str]:
    shares = zip(result.names, result.prior_share, strict=True)
    held = [name for name, share in shares if share > _LARGEST_PRIOR_SHARE]
    return [f"Mostly determined by their priors, not by this scan: {', '.join(held)}."] if held else []


def _about_creatine(result: FitResult) -> list[str]:
    if why_no_ratio(result) != NOT_MEASURABLE:
        return []
    return [f"{NOT_MEASURABLE.capitalize()}, so there are no ratios to it."]


def _about_glutamate(result: FitResult) -> list[str]:
    """Say with numbers when Glu and Gln are hardly told apart."""
    found = separability(result)
    if found is None or not abs(found.correlation) > _LARGEST_CORRELATION:
        return []
    text = f"The errors of Glu and Gln are tied together (correlation {found.correlation:+.2f})"
    if why_no_ratio(result):
        return [f"{text}."]
    better = "; Glx is better determined than its parts" if found.sum_is_better else ""
    numbers = ", ".join(f"{name}/tCr {ratio.value:.2f} +- {ratio.se:.2f}" for name, ratio in found.ratios.items())
    return [f"{text}{better}: {numbers}."]
