"""Quality of one scan: what was measured, what is expected, and a verdict with its reasons.

Terms follow the experts' consensus on terminology (Kreis et al. 2021, doi 10.1002/nbm.4347):

snr
    Height of the highest peak between 1.8 and 3.4 ppm (usually NAA) above baseline and macromolecules, over the
    standard deviation (SD) of the noise in the real part of the spectrum.
snr_lcmodel
    Largest distance of the fit from its baseline over twice the SD of the residual, as LCModel defines it; misfit
    counts as noise there.
fwhm_hz, fwhm_ppm
    Full width at half maximum of a singlet: the Voigt line of the fitted Lorentzian and Gaussian widths.
injection_slope, injection_slope_se, injection_offset_pct
    How a known addition of a metabolite came back from the fit (`mrspipe.fit.injection`); only where it was asked for.

A scan is *unusable* when the numbers mean nothing: no convergence, a line too broad to resolve the metabolites, or no
signal. It is *doubtful* when a limit is passed. Relative Cramer-Rao bounds only raise doubt and never exclude: a
relative cut removes low concentrations and so biases a group's mean (Kreis 2016, doi 10.1002/mrm.25568).
"""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from mrspipe.core.arrays import FloatArray
from mrspipe.core.ratios import NOT_MEASURABLE, standard_error, why_no_ratio
from mrspipe.core.results import FitResult, Metric, QualityReport, Recovery, Verdict
from mrspipe.core.signal import Scan, Signal
from mrspipe.physics.constants import WATER_PPM
from mrspipe.physics.lineshapes import voigt_fwhm
from mrspipe.settings import Settings

Positive = Annotated[float, Field(gt=0)]
_NAN = float("nan")
# Where the peak of the signal-to-noise ratio is searched, in ppm: NAA, creatine and choline, but no water.
_PEAK_PPM = (1.8, 3.4)
# Where residual water is searched, in ppm.
_WATER_HALF_WIDTH_PPM = 0.25
# The water line is measured on a grid this many times finer than the spectrum's own.
_ZERO_FILLING = 8


class QcSettings(Settings):
    """Limits of quality."""

    unusable_below_snr: Positive = 8.0
    """A smaller signal-to-noise ratio makes a scan unusable (4 in LCModel's definition, which has 2 SD below). Assumed:
    of synthetic scans at 6 to 7, one lost half of its creatine to the macromolecules."""
    doubtful_below_snr: Positive = 10.0
    """A smaller signal-to-noise ratio makes a scan doubtful (5 in LCModel's definition; limit of Klauser et al. 2023,
    doi 10.48550/arXiv.2305.13822)."""
    unusable_above_tcr_se_pct: Positive = 25.0
    """A larger standard error of total creatine, in percent, makes a scan unusable: creatine is never low, and it is
    the denominator of all ratios. Assumed."""
    unusable_above_fwhm_ppm: Positive = 0.15
    """A broader line makes a scan unusable, in ppm: Glu and Gln are 0.1 ppm apart."""
    doubtful_above_fwhm_ppm: Positive = 0.1
    """A broader line makes a scan doubtful, in ppm (Wilson et al. 2019, doi 10.1002/mrm.27742)."""
    doubtful_above_residual_ratio: Positive = 1.5
    """A larger residual, in noise SD, makes a scan doubtful: the model misses something. Assumed."""
    doubtful_at_limit: bool = True
    """A fit whose baseline or line shape stopped at the edge of what is plausible makes a scan doubtful."""
    doubtful_above_crlb_pct: dict[str, Positive] = Field(
        default_factory=lambda: {"tNAA": 20.0, "tCr": 20.0, "tCho": 20.0, "Glu": 20.0, "Glx": 20.0}
    )
    """Metabolites and their largest relative Cramer-Rao bound in percent; a larger one makes a scan doubtful
    (Bonny and Pages 2019, doi 10.1002/mrm.27415)."""
    injection: bool = False
    """Add a metabolite to every spectrum in known steps and fit again, to see how much of a change comes back. Off,
    because each step costs as much as the fit itself."""
    injection_metabolite: str = "Glu"
    """What is added: one metabolite of the basis set."""
    injection_steps_pct: Annotated[tuple[Positive, ...], Field(min_length=2)] = (5.0, 10.0, 20.0)
    """How much is added, in percent of total creatine."""
    doubtful_beyond_injection_slope: Positive = 0.1
    """A slope further from 1 makes a scan doubtful: a difference between scans would come out wrong by this part.
    Assumed."""


def assess(clean: Scan, fit: FitResult, settings: QcSettings, recovery: Recovery | None = None) -> QualityReport:
    """Measure the quality of a preprocessed and fitted scan.

    Parameters
    ----------
    clean : Scan
        After preprocessing.
    fit : FitResult
    settings : QcSettings
    recovery : Recovery, optional
        How a known addition came back, where it was asked for.

    Returns
    -------
    QualityReport
        A metric that could not be measured is NaN and is not judged.
    """
    metrics = (*_limited(clean, fit, settings), *_reported(clean, fit))
    injected = () if recovery is None else _injected(recovery, settings)
    unusable = _unusable(fit, {metric.name: metric.value for metric in metrics}, settings)
    bounded = {_bound_name(name): name for name in settings.doubtful_above_crlb_pct}
    doubtful = [_reason(metric, bounded) for metric in metrics if not metric.passed]
    if settings.doubtful_at_limit and fit.at_limit:
        doubtful.append(f"the fit stopped at a limit: {', '.join(fit.at_limit)}")
    if recovery is not None and (recovery.reason or not injected[0].passed):
        doubtful.append(_held_back(recovery, settings))
    verdict: Verdict = "unusable" if unusable else "doubtful" if doubtful else "good"
    return QualityReport((*metrics, *injected), verdict, tuple(unusable or doubtful))


def signal_to_noise(fit: FitResult) -> float:
    """Height of the highest peak between 1.8 and 3.4 ppm above baseline and macromolecules, in noise SD."""
    window = (fit.ppm >= _PEAK_PPM[0]) & (fit.ppm <= _PEAK_PPM[1])
    if not window.any() or not fit.noise_sd > 0:
        return _NAN
    return float((fit.data - fit.baseline - fit.macromolecules)[window].max() / fit.noise_sd)


def lcmodel_signal_to_noise(fit: FitResult) -> float:
    """Largest distance of the fit from its baseline over twice the SD of the residual."""
    spread = float(fit.residual.std())
    return float(np.abs(fit.fit - fit.baseline).max() / (2 * spread)) if spread > 0 else _NAN


def water_fwhm_hz(water: Signal) -> float:
    """Full width at half maximum of the water line, in Hz.

    Measured on the spectrum of the FID's magnitude, which frequency, phase and eddy currents do not change.

    Parameters
    ----------
    water : Signal
        Combined.
    """
    magnitude = np.abs(water.fid).astype(np.complex128)
    magnitude[0] *= 0.5
    n = _ZERO_FILLING * water.axis.n_points
    line = np.fft.fft(magnitude, n).real[: n // 2]
    below = np.flatnonzero(line < line[0] / 2)
    if below.size == 0 or line[0] <= 0:
        return _NAN
    last = below[0]
    # Straight line between the two points around half the height.
    place = last - 1 + (line[last - 1] - line[0] / 2) / (line[last - 1] - line[last])
    return float(2 * place * water.axis.bandwidth_hz / n)


def _limited(clean: Scan, fit: FitResult, settings: QcSettings) -> tuple[Metric, ...]:
    """Metrics that are judged."""
    width_hz = _line_width_hz(fit)
    residual = float(fit.residual.std() / fit.noise_sd) if fit.noise_sd > 0 else _NAN
    bounds = [
        _at_most(_bound_name(name), _percent(fit, name, fit.crlb_covariance), "%", limit)
        for name, limit in settings.doubtful_above_crlb_pct.items()
    ]
    snr = signal_to_noise(fit)
    least = settings.doubtful_below_snr
    return (
        Metric("snr", snr, "", f">= {least:g}", not snr < least),
        _at_most("fwhm_ppm", width_hz / clean.metabolites.axis.hz_per_ppm, "ppm", settings.doubtful_above_fwhm_ppm),
        _at_most("residual_ratio", residual, "", settings.doubtful_above_residual_ratio),
        *bounds,
    )


def _reported(clean: Scan, fit: FitResult) -> tuple[Metric, ...]:
    """Metrics that are only reported."""
    tissue = clean.tissue
    return (
        Metric("fwhm_hz", _line_width_hz(fit), "Hz"),
        Metric("snr_lcmodel", lcmodel_signal_to_noise(fit)),
        Metric("shift_hz", fit.nuisance.get("shift_hz", _NAN), "Hz"),
        Metric("baseline_ed_per_ppm", fit.nuisance.get("baseline_ed_per_ppm", _NAN), "1/ppm"),
        Metric("residual_water_ratio", _residual_water_ratio(clean.metabolites)),
        Metric("water_fwhm_hz", _NAN if clean.water is None else water_fwhm_hz(clean.water), "Hz"),
        Metric("n_transients_used", _transients_used(clean.metabolites)),
        Metric("gm_fraction", _NAN if tissue is None else tissue.gm),
        Metric("wm_fraction", _NAN if tissue is None else tissue.wm),
        Metric("csf_fraction", _NAN if tissue is None else tissue.csf),
    )


def _injected(recovery: Recovery, settings: QcSettings) -> tuple[Metric, ...]:
    """Metrics of an addition: how the slope is judged, and what is only reported."""
    limit = settings.doubtful_beyond_injection_slope
    return (
        Metric("injection_slope", recovery.slope, "", f"within {limit:g} of 1", not abs(recovery.slope - 1) > limit),
        Metric("injection_slope_se", recovery.slope_se),
        Metric("injection_offset_pct", recovery.offset_pct, "%"),
    )


def _held_back(recovery: Recovery, settings: QcSettings) -> str:
    """Say what a slope means for a comparison, and what to do about it."""
    name, slope = recovery.metabolite, recovery.slope
    if recovery.reason:
        return f"how much of added {name} comes back could not be measured: {recovery.reason}"
    what = "priors or baseline hold it back" if slope < 1 else "the model takes other signal for it"
    return (
        f"of {name} that was added {100 * slope:.0f} % came back, expected within "
        f"{100 * settings.doubtful_beyond_injection_slope:g} % of all of it: {what}; do not compare {name} of this "
        f"scan with that of others"
    )


def _at_most(name: str, value: float, unit: str, limit: float) -> Metric:
    """Give a metric with an upper limit. What was not measured (NaN) is not judged."""
    return Metric(name, value, unit, f"<= {limit:g}", not value > limit)


def _unusable(fit: FitResult, values: Mapping[str, float], settings: QcSettings) -> list[str]:
    reasons = []
    if fit.status != "converged":
        reasons.append(f"the fit did not converge ({fit.status})")
    if values["fwhm_ppm"] > settings.unusable_above_fwhm_ppm:
        reasons.append(f"lines are {values['fwhm_ppm']:.3f} ppm broad, more than {settings.unusable_above_fwhm_ppm:g}")
    creatine_se = _percent(fit, "tCr", fit.covariance)
    if why_no_ratio(fit) == NOT_MEASURABLE:
        reasons.append(NOT_MEASURABLE)
    elif creatine_se > settings.unusable_above_tcr_se_pct:
        reasons.append(
            f"the standard error of total creatine is {creatine_se:.0f} %, "
            f"more than {settings.unusable_above_tcr_se_pct:g} %"
        )
    if not values["snr"] >= settings.unusable_below_snr:
        reasons.append(f"the signal-to-noise ratio is {values['snr']:.1f}, less than {settings.unusable_below_snr:g}")
    return reasons


def _bound_name(metabolite: str) -> str:
    return f"crlb_{metabolite.lower()}_pct"


def _reason(metric: Metric, bounded: Mapping[str, str]) -> str:
    """Say in plain words which limit was passed; ``bounded`` is the metabolite of each bound."""
    words = {
        "snr": "the signal-to-noise ratio",
        "fwhm_ppm": "the line width",
        "residual_ratio": "the residual in noise SD",
    }
    name = words.get(metric.name)
    if name is None:
        name = f"the relative Cramer-Rao bound of {bounded[metric.name]}"
    unit = f" {metric.unit}" if metric.unit else ""
    return f"{name} is {metric.value:.3g}{unit}, expected {metric.limit}"


def _line_width_hz(fit: FitResult) -> float:
    lorentz, gauss = fit.nuisance.get("lorentz_hz", _NAN), fit.nuisance.get("gauss_hz", _NAN)
    return voigt_fwhm(lorentz, gauss)


def _percent(fit: FitResult, name: str, covariance: FloatArray) -> float:
    """Relative error in percent; infinite for an amplitude that is not positive, NaN when it was not fitted."""
    row = fit.weights(name)
    if row is None:
        return _NAN
    amplitude = float(row @ fit.amplitudes)
    return 100 * standard_error(row, covariance) / amplitude if amplitude > 0 else float("inf")


def _residual_water_ratio(signal: Signal) -> float:
    """Largest magnitude around water over the largest between 1.8 and 3.4 ppm; NaN unless the signal is combined."""
    if signal.dims != ("time",):
        return _NAN
    spectrum = np.abs(np.fft.fftshift(np.fft.fft(signal.fid)))
    water = spectrum[signal.axis.slice_ppm(WATER_PPM - _WATER_HALF_WIDTH_PPM, WATER_PPM + _WATER_HALF_WIDTH_PPM)]
    metabolites = spectrum[signal.axis.slice_ppm(*_PEAK_PPM)]
    largest = float(metabolites.max(initial=0.0))
    return float(water.max(initial=0.0)) / largest if largest > 0 and water.size else _NAN


def _transients_used(signal: Signal) -> float:
    """Transients in the average: from the history where they were averaged here, else from the header."""
    averaged = [step.details["n_averaged"] for step in signal.history if "n_averaged" in step.details]
    if averaged and averaged[-1] > 1:
        return float(averaged[-1])
    return _NAN if signal.acquisition.n_transients is None else float(signal.acquisition.n_transients)
