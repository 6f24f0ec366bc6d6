"""What a user should know about a fit, in plain words."""

import numpy as np

from mrspipe.core.ratios import NOT_MEASURABLE, separability, why_no_ratio
from mrspipe.core.results import FitResult
from mrspipe.fit.settings import FitSettings

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


def advice_for(result: FitResult, settings: FitSettings) -> tuple[str, ...]:
    """List what limits the fit.

    Parameters
    ----------
    result : FitResult
    settings : FitSettings
    """
    advice = []
    if result.status == "not-converged":
        advice.append("The fit was still moving at the last iteration; look at the residual before using it.")
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
    if result.nuisance["n_at_bound"]:
        advice.append("A shift, width or phase was stopped where it becomes implausible; look at the fit.")
    largest_ed = settings.baseline_ed_range[1] / (settings.range_ppm[1] - settings.range_ppm[0])
    if result.nuisance["baseline_ed_per_ppm"] > 0.97 * largest_ed:
        advice.append("The baseline is as flexible as it may be; amplitudes of broad signals are uncertain.")
    width = result.nuisance["lorentz_hz"] + result.nuisance["gauss_hz"]
    if not _NARROWEST_HZ < width < _WIDEST_HZ or result.nuisance["lorentz_hz"] < 0:
        advice.append(
            f"The fitted line shape ({result.nuisance['lorentz_hz']:.1f} Hz Lorentzian, "
            f"{result.nuisance['gauss_hz']:.1f} Hz Gaussian) is not plausible."
        )
    held = [name for name, share in zip(result.names, result.prior_share, strict=True) if share > _LARGEST_PRIOR_SHARE]
    if held:
        advice.append(f"Mostly determined by their priors, not by this scan: {', '.join(held)}.")
    return (*advice, *_about_creatine(result), *_about_glutamate(result))


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
