"""From amplitudes to concentrations: ratios to total creatine, and water referencing with tissue correction.

With ``c`` the amplitude of a metabolite, ``a`` the FID amplitude of one proton at unit amplitude and ``S_W`` the FID
amplitude of water at time zero, ``S = 2 c a / S_W`` is the number of metabolite molecules per molecule of visible
water, before relaxation. With tissue fractions ``f``, visible water ``d`` (kg/L), ``R = exp(-TE/T2) (1 - exp(-TR/T1))``
and ``W`` = 55510 mmol/kg [1]_ [2]_::

    institutional = S W sum(f d R) / R_M                                        mmol per litre of voxel
    molar         = S W sum(f d R) / ((1 - f_CSF) R_M)                          mmol per litre of tissue
    molal         = S W sum(g R) / ((1 - g_CSF) R_M),  g = f d / sum(f d)       mmol per kg of tissue water
    alpha_molar   = institutional / (f_GM + alpha f_WM)                         [3]_

``R_M`` is the metabolite's ``R``, averaged over grey and white matter by their fractions. Metabolite and water signal
must both be averages over their transients, as preprocessing leaves them.

References
----------
.. [1] Gasparovic et al. 2006, doi 10.1002/mrm.20901
.. [2] Near et al. 2021, doi 10.1002/nbm.4257
.. [3] Harris et al. 2015, doi 10.1002/jmri.24903
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from mrspipe.core.arrays import FloatArray
from mrspipe.core.ratios import ratio_to_creatine, standard_error
from mrspipe.core.results import SUMS, Concentration, FitResult, TissueFractions
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.physics.constants import GAMMA_BAR_1H_HZ_PER_T, PURE_WATER_MMOL_PER_KG, WATER_PROTONS
from mrspipe.physics.relaxation import (
    FIELD_T,
    TISSUES,
    Tissue,
    metabolite_relaxation,
    water_relaxation,
)
from mrspipe.settings import Settings

Quantity = Literal["ratio_tcr", "molal", "molar", "alpha_molar", "institutional"]
Positive = Annotated[float, Field(gt=0)]
Part = Annotated[float, Field(ge=0, le=1)]
_NAN = float("nan")
# The relaxation table holds for fields within this of 3 T, in T (whole-body magnets are 2.89 to 3.0 T).
_FIELD_TOLERANCE_T = 0.3
# With less tissue than this in the voxel, dividing by it means nothing.
_LEAST_TISSUE = 0.05
# Points of the water FID at the start that are not used: filters distort them.
_SKIPPED_POINTS = 1
# Points of the water FID below this many noise standard deviations are not used; the logarithm would be biased.
_LEAST_WATER_SNR = 10.0
_LEAST_WATER_POINTS = 12


class QuantifySettings(Settings):
    """Which concentrations are computed, and with which constants."""

    quantities: tuple[Quantity, ...] = ("ratio_tcr", "molal", "molar")
    """What is reported; see the module's formulas for the units."""
    relaxation: Literal["gannet", "fsl"] = "gannet"
    """Set of water relaxation times at 3 T: that of Gannet, Osprey and spant, or that of FSL-MRS."""
    tissue_fractions: dict[Tissue, Part] | None = None
    """Fractions of GM, WM and CSF, sum 1, for scans without tissue maps; none: such scans give no water-referenced
    values."""
    water_t1_s: dict[Tissue, Positive] = Field(default_factory=dict)
    """T1 of water by tissue instead of the set's, in s."""
    water_t2_s: dict[Tissue, Positive] = Field(default_factory=dict)
    """T2 of water by tissue instead of the set's, in s."""
    metabolite_t1_s: Positive | None = None
    """T1 of all metabolites instead of the table's, in s."""
    metabolite_t2_s: Positive | None = None
    """T2 of all metabolites instead of the table's, in s."""
    assume_long_tr: bool = False
    """Take all magnetisation as fully relaxed, whatever the repetition time."""
    water_as_metabolites: bool = False
    """Where the water reference does not state its echo and repetition time, take those of the metabolites."""
    water_concentration_mmol: Positive | None = None
    """Visible water of the voxel in mmol/L instead of that of its tissues; not for molal values."""
    calibration: Positive = 1.0
    """Factor on all water-referenced values, found with a phantom or a spectrum of known concentration."""
    alpha: Positive = 0.5
    """Ratio of the concentration in white matter to that in grey matter, for alpha_molar."""
    alpha_metabolites: tuple[str, ...] = ("GABA", "Glu", "Gln", "Glx")
    """Metabolites that ``alpha`` holds for."""
    water_fit_s: Positive = 0.05
    """Part of the water FID that its amplitude at time zero is extrapolated from, in s."""
    t1_sd_fraction: Part = 0.05
    """Standard deviation (SD) of the relaxation times T1, relative. Assumed."""
    t2_sd_fraction: Part = 0.10
    """SD of the relaxation times T2, relative. Assumed: about the spread between studies of glutamate at 3 T."""
    water_content_sd_fraction: Part = 0.02
    """SD of the visible water content, relative. Assumed."""
    tissue_fraction_sd: Part = 0.02
    """SD of a tissue fraction. Assumed: about what repeated segmentation gives."""

    @field_validator("tissue_fractions")
    @classmethod
    def _sum_to_one(cls, value: dict[Tissue, float] | None) -> dict[Tissue, float] | None:
        if value is not None and abs(sum(value.values()) - 1) > 1e-6:
            raise ValueError(f"tissue fractions must sum to 1, got {sum(value.values()):g}")
        return value


@dataclass(frozen=True, slots=True)
class _Timing:
    """Echo and repetition time of metabolites and water, in s; an infinite repetition time is full relaxation."""

    echo_s: float
    repetition_s: float
    water_echo_s: float
    water_repetition_s: float


@dataclass(frozen=True, slots=True, eq=False)
class _Constants:
    """What the conversion factor depends on; arrays in the order of `TISSUES`; times in s, water in kg/L."""

    fractions: FloatArray
    water_t1: FloatArray
    water_t2: FloatArray
    water_content: FloatArray
    metabolite_t1_scale: float = 1.0
    metabolite_t2_scale: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Reference:
    """Everything water referencing needs; ``amplitude`` is that of one water molecule per proton amplitude."""

    amplitude: float
    amplitude_sd: float
    timing: _Timing
    constants: _Constants
    corrections: tuple[str, ...]


def concentrations(
    fit: FitResult,
    water: Signal | None,
    tissue: TissueFractions | None,
    acquisition: Acquisition,
    settings: QuantifySettings,
    *,
    water_note: str = "",
    tissue_note: str = "",
) -> tuple[Concentration, ...]:
    """Give every fitted metabolite and the usual sums in every quantity of the settings.

    Parameters
    ----------
    fit : FitResult
    water : Signal or None
        Combined water reference, averaged as the metabolites are.
    tissue : TissueFractions or None
    acquisition : Acquisition
        Of the metabolite signal.
    settings : QuantifySettings
    water_note, tissue_note : str, optional
        Why there is no water reference, no tissue fractions.

    Returns
    -------
    tuple of Concentration
        A value that cannot be computed is NaN, with its reason.
    """
    reference = _water_reference(fit, water, tissue, acquisition, settings, water_note, tissue_note)
    names = (*fit.names, *(name for name in SUMS if name not in fit.names and fit.weights(name) is not None))
    return tuple(
        _ratio_to_creatine(fit, name)
        if quantity == "ratio_tcr"
        else _water_referenced(fit, name, quantity, reference, settings)
        for name in names
        for quantity in settings.quantities
    )


def water_amplitude(signal: Signal, duration_s: float = 0.05) -> tuple[float, float]:
    """FID amplitude of water at time zero, and its standard error.

    A parabola is fitted to the logarithm of the magnitude over the first part of the FID (robustly, weighted by the
    squared magnitude, the first point left out) and read at time zero. The magnitude does not feel frequency,
    phase and eddy currents; a parabola holds for Lorentzian, Gaussian and mixed decay.

    Parameters
    ----------
    signal : Signal
        Combined.
    duration_s : float, optional

    Returns
    -------
    amplitude, standard_error : float
        In the unit of the samples; NaN when there is not enough signal.
    """
    magnitude, time = np.abs(signal.fid), signal.axis.time_s
    tail = signal.fid[-max(8, signal.axis.n_points // 8) :]
    noise_sd = float(np.sqrt(np.mean(np.abs(np.diff(tail)) ** 2)) / 2)
    used = (time <= duration_s) & (magnitude > max(_LEAST_WATER_SNR * noise_sd, 0.05 * magnitude.max()))
    used[:_SKIPPED_POINTS] = False
    if used.sum() < _LEAST_WATER_POINTS:
        return _NAN, _NAN
    design = np.vander(time[used] / duration_s, 3, increasing=True)
    target, weight = np.log(magnitude[used]), magnitude[used] ** 2
    robust = np.ones(target.size)
    for _ in range(10):
        root = np.sqrt(weight * robust)
        coefficients = np.linalg.lstsq(design * root[:, None], target * root, rcond=None)[0]
        residual = (target - design @ coefficients) * np.sqrt(weight)
        scale = 1.4826 * np.median(np.abs(residual)) + 1e-12 * np.sqrt(weight.max())
        # Huber's weights; 1.345 gives 95 % efficiency for normal errors.
        robust = np.minimum(1.0, 1.345 * scale / np.maximum(np.abs(residual), 1e-300))
    spread = np.sum(robust * residual**2) / (target.size - 3)
    inverse = np.linalg.inv((design * (weight * robust)[:, None]).T @ design)
    amplitude = float(np.exp(coefficients[0]))
    return amplitude, float(amplitude * np.sqrt(spread * inverse[0, 0]))


def _ratio_to_creatine(fit: FitResult, name: str) -> Concentration:
    ratio = ratio_to_creatine(fit, name)
    return Concentration(
        name,
        "ratio_tcr",
        ratio.value,
        ratio.se,
        ratio.se,
        _crlb_pct(fit, name),
        "tCr",
        _members(fit, name),
        ratio.reason,
    )


def _water_referenced(
    fit: FitResult, name: str, quantity: Quantity, reference: _Reference | str, settings: QuantifySettings
) -> Concentration:
    """One water-referenced value with the errors of fit, water amplitude, tissue and constants."""
    row = fit.weights(name)
    if row is not None and quantity == "alpha_molar" and name not in settings.alpha_metabolites:
        reference = "the ratio alpha of white to grey matter is not known for this metabolite"
    if row is None or isinstance(reference, str):
        reason = reference if isinstance(reference, str) else "not fitted"
        return Concentration(name, quantity, _NAN, _NAN, _NAN, _crlb_pct(fit, name), "water", (), reason)

    def factors(constants: _Constants) -> FloatArray:
        picked = [
            _factor(member, quantity, constants, reference.timing, settings) if weight else 0.0
            for member, weight in zip(fit.names, row, strict=True)
        ]
        return settings.calibration * np.array(picked) / reference.amplitude

    factor = factors(reference.constants)
    value = float(factor @ fit.amplitudes)
    se_fit = standard_error(factor, fit.covariance)
    moved = [float(factors(other) @ fit.amplitudes) for other in _one_sd_away(reference.constants, settings)]
    others = [value * reference.amplitude_sd / reference.amplitude, *(other - value for other in moved)]
    se_total = float(np.sqrt(se_fit**2 + np.sum(np.square(others))))
    corrections = (*reference.corrections, *_members(fit, name))
    return Concentration(name, quantity, value, se_fit, se_total, _crlb_pct(fit, name), "water", corrections)


def _factor(name: str, quantity: Quantity, constants: _Constants, timing: _Timing, settings: QuantifySettings) -> float:
    """Concentration of a metabolite with as many protons' amplitude as one water molecule has per proton."""
    relaxed = _relaxation(timing.water_echo_s, timing.water_repetition_s, constants.water_t1, constants.water_t2)
    gm, wm, csf = constants.fractions
    content = constants.fractions * constants.water_content
    part = content / content.sum()
    metabolite = _metabolite_relaxation(name, constants, timing, settings)
    if quantity == "molal":
        return float(PURE_WATER_MMOL_PER_KG * (part @ relaxed) / ((1 - part[2]) * metabolite))
    water = settings.water_concentration_mmol or PURE_WATER_MMOL_PER_KG * content.sum()
    per_voxel = float(water * (part @ relaxed) / metabolite)
    if quantity == "molar":
        return per_voxel / (1 - float(csf))
    if quantity == "alpha_molar":
        return per_voxel / float(gm + settings.alpha * wm)
    return per_voxel


def _metabolite_relaxation(name: str, constants: _Constants, timing: _Timing, settings: QuantifySettings) -> float:
    """Part of the metabolite's signal that is left, averaged over grey and white matter."""
    rows = [metabolite_relaxation(name, tissue) for tissue in TISSUES[:2]]
    t1 = np.array([settings.metabolite_t1_s or row.t1_s for row in rows]) * constants.metabolite_t1_scale
    t2 = np.array([settings.metabolite_t2_s or row.t2_s for row in rows]) * constants.metabolite_t2_scale
    left = _relaxation(timing.echo_s, timing.repetition_s, t1, t2)
    return float(constants.fractions[:2] @ left / constants.fractions[:2].sum())


def _relaxation(echo_s: float, repetition_s: float, t1: FloatArray, t2: FloatArray) -> FloatArray:
    """Part of the magnetisation that is left after saturation (90 degree pulse) and transverse decay."""
    left: FloatArray = np.exp(-echo_s / t2) * (1 - np.exp(-repetition_s / t1))
    return left


def _one_sd_away(constants: _Constants, settings: QuantifySettings) -> Sequence[_Constants]:
    """Move the constants by one SD, each kind on its own, for error propagation."""
    t1, t2, content = 1 + settings.t1_sd_fraction, 1 + settings.t2_sd_fraction, 1 + settings.water_content_sd_fraction
    sd = settings.tissue_fraction_sd
    gm, wm = constants.fractions[:2]
    # Towards the larger part, so that no fraction becomes negative.
    grey_to_white = np.array([-sd, sd, 0.0]) if gm > wm else np.array([sd, -sd, 0.0])
    tissue = np.array([gm, wm, 0.0]) / (gm + wm)
    tissue_to_csf = (np.array([0.0, 0.0, 1.0]) - tissue) * sd
    return (
        replace(constants, metabolite_t1_scale=t1),
        replace(constants, metabolite_t2_scale=t2),
        replace(constants, water_t1=constants.water_t1 * t1),
        replace(constants, water_t2=constants.water_t2 * t2),
        replace(constants, water_content=constants.water_content * content),
        replace(constants, fractions=constants.fractions + grey_to_white),
        replace(constants, fractions=constants.fractions + tissue_to_csf),
    )


def _water_reference(
    fit: FitResult,
    water: Signal | None,
    tissue: TissueFractions | None,
    acquisition: Acquisition,
    settings: QuantifySettings,
    water_note: str,
    tissue_note: str,
) -> _Reference | str:
    """Gather what water referencing needs, or say why it is not possible."""
    if water is None:
        return f"no water reference{f' ({water_note})' if water_note else ''}"
    if fit.proton_amplitude is None:
        return "the basis set does not tell the amplitude of one proton"
    stated = settings.tissue_fractions
    if tissue is None and stated is not None:
        gm, wm, csf = (stated.get(name, 0.0) for name in TISSUES)
        tissue = TissueFractions(gm, wm, csf, source="stated in the settings")
    if tissue is None:
        return f"no tissue fractions{f' ({tissue_note})' if tissue_note else ''}"
    if tissue.gm + tissue.wm < _LEAST_TISSUE:
        return f"the voxel is {100 * tissue.csf:.0f} % CSF"
    field_t = acquisition.field_t or water.axis.spectrometer_hz / GAMMA_BAR_1H_HZ_PER_T
    if abs(field_t - FIELD_T) > _FIELD_TOLERANCE_T and not _all_overridden(settings):
        return f"relaxation times are tabulated for 3 T, and this is {field_t:.1f} T; set them in the quantify settings"
    timing = _timing(acquisition, water.acquisition, settings)
    if isinstance(timing, str):
        return timing
    amplitude, sd = water_amplitude(water, settings.water_fit_s)
    if not np.isfinite(amplitude):
        return "the water reference holds too little signal"
    per_molecule = WATER_PROTONS * fit.proton_amplitude
    constants = _constants(tissue, settings)
    corrections = _corrections(tissue, settings)
    return _Reference(amplitude / per_molecule, sd / per_molecule, timing, constants, corrections)


def _all_overridden(settings: QuantifySettings) -> bool:
    """Tell whether the settings state all relaxation times."""
    t1_stated = settings.metabolite_t1_s is not None and len(settings.water_t1_s) == len(TISSUES)
    t2_stated = settings.metabolite_t2_s is not None and len(settings.water_t2_s) == len(TISSUES)
    return t2_stated and (t1_stated or settings.assume_long_tr)


def _timing(metabolites: Acquisition, water: Acquisition, settings: QuantifySettings) -> _Timing | str:
    """Echo and repetition times, or which of them is missing."""
    times: dict[str, float | None] = {
        "echo time": metabolites.echo_time_s,
        "repetition time": metabolites.repetition_time_s,
        "echo time of the water reference": water.echo_time_s,
        "repetition time of the water reference": water.repetition_time_s,
    }
    if settings.water_as_metabolites:
        for name in ("echo time", "repetition time"):
            key = f"{name} of the water reference"
            times[key] = times[name] if times[key] is None else times[key]
    if settings.assume_long_tr:
        times |= {key: float("inf") for key in times if key.startswith("repetition")}
    missing = [name for name, value in times.items() if value is None]
    if missing:
        return f"not stated in the data: {', '.join(missing)}"
    echo, repetition, water_echo, water_repetition = (value or 0.0 for value in times.values())
    return _Timing(echo, repetition, water_echo, water_repetition)


def _constants(tissue: TissueFractions, settings: QuantifySettings) -> _Constants:
    table = water_relaxation(settings.relaxation)
    return _Constants(
        fractions=np.array([tissue.gm, tissue.wm, tissue.csf]),
        water_t1=np.array([settings.water_t1_s.get(name, table[name].t1_s) for name in TISSUES]),
        water_t2=np.array([settings.water_t2_s.get(name, table[name].t2_s) for name in TISSUES]),
        water_content=np.array([table[name].kg_per_l for name in TISSUES]),
    )


def _corrections(tissue: TissueFractions, settings: QuantifySettings) -> tuple[str, ...]:
    """Say in words what was corrected for."""
    fractions = f"tissue fractions GM {tissue.gm:.3f}, WM {tissue.wm:.3f}, CSF {tissue.csf:.3f}"
    done = [f"{fractions} ({tissue.source})" if tissue.source else fractions]
    changed = {
        "water T1": settings.water_t1_s,
        "water T2": settings.water_t2_s,
        "metabolite T1": settings.metabolite_t1_s,
        "metabolite T2": settings.metabolite_t2_s,
        "water concentration": settings.water_concentration_mmol,
    }
    own = [name for name, value in changed.items() if value]
    done.append(f"water relaxation: set '{settings.relaxation}'; metabolite relaxation: table of 3 T")
    if own:
        done.append(f"stated in the settings: {', '.join(own)}")
    if settings.calibration != 1:
        done.append(f"multiplied by {settings.calibration:g} (calibration)")
    if settings.assume_long_tr:
        done.append("full relaxation assumed (TR long)")
    if settings.water_as_metabolites:
        done.append("echo and repetition time of the water reference, where not stated, as of the metabolites")
    return tuple(done)


def _members(fit: FitResult, name: str) -> tuple[str, ...]:
    """Say which members of a sum were not fitted."""
    present = [member for member in SUMS.get(name, ()) if member in fit.names]
    return (f"sum of {' + '.join(present)} only",) if 0 < len(present) < len(SUMS.get(name, ())) else ()


def _crlb_pct(fit: FitResult, name: str) -> float:
    """Cramer-Rao bound in percent of the amplitude; NaN for an amplitude that is not positive."""
    row = fit.weights(name)
    amplitude = 0.0 if row is None else float(row @ fit.amplitudes)
    return 100 * standard_error(row, fit.crlb_covariance) / amplitude if row is not None and amplitude > 0 else _NAN
