"""A fit with its water reference and tissue to concentrations, each with its standard error by source."""

from functools import partial

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.ratios import ratio_to_creatine, standard_error
from mrspipe.core.results import SUMS, Concentration, ErrorBudget, FitResult, Quantity, TissueFractions
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.quantify.budget import error_budget
from mrspipe.quantify.factors import Constants, conversion_factor, lcmodel_factor
from mrspipe.quantify.reference import Conditions, WaterSignal, conditions, water_signal
from mrspipe.quantify.settings import QuantifySettings

_NAN = float("nan")


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
    signal = water_signal(fit, water, settings, water_note)
    at = conditions(water, tissue, acquisition, settings, tissue_note) if water is not None else water_note
    names = (*fit.names, *(name for name in SUMS if name not in fit.names and fit.weights(name) is not None))
    return tuple(
        _ratio_to_creatine(fit, name)
        if quantity == "ratio_tcr"
        else _water_referenced(fit, name, quantity, signal, at, settings)
        for name in names
        for quantity in settings.quantities
    )


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
        ErrorBudget(fit=ratio.se) if np.isfinite(ratio.value) else None,
    )


def _water_referenced(
    fit: FitResult,
    name: str,
    quantity: Quantity,
    signal: WaterSignal | str,
    at: Conditions | str,
    settings: QuantifySettings,
) -> Concentration:
    """One water-referenced value with the errors of fit, water amplitude, tissue and constants."""
    row = fit.weights(name)
    reason = _refusal(name, quantity, signal, at, settings) if row is not None else "not fitted"
    if row is None or reason or isinstance(signal, str):
        return Concentration(name, quantity, _NAN, _NAN, _NAN, _crlb_pct(fit, name), "water", (), reason)
    scale = settings.calibration / signal.amplitude
    if quantity == "lcmodel" or isinstance(at, str):
        factors = row * scale * lcmodel_factor(settings)
        parts = _without_constants(fit, factors, signal)
        done = _lcmodel_words(settings)
    else:
        factors_at = partial(_factors, fit, row, quantity, at, settings)
        factors = scale * factors_at(at.constants)
        alone = _without_constants(fit, factors, signal)
        parts = error_budget(
            lambda other: scale * float(factors_at(other) @ fit.amplitudes),
            at.constants,
            at.tissue_covariance,
            settings,
            fit=alone.fit,
            water_fit=alone.water_fit,
        )
        done = at.corrections
    return Concentration(
        name,
        quantity,
        float(factors @ fit.amplitudes),
        parts.fit,
        parts.total,
        _crlb_pct(fit, name),
        "water",
        (*done, *_members(fit, name)),
        budget=parts,
    )


def _refusal(
    name: str, quantity: Quantity, signal: WaterSignal | str, at: Conditions | str, settings: QuantifySettings
) -> str:
    """Say why there is no value; empty where there is one."""
    if isinstance(signal, str):
        return signal
    if quantity == "lcmodel":
        return ""
    if quantity.startswith("alpha") and name not in settings.alpha_metabolites:
        return "the ratio alpha of white to grey matter is not known for this metabolite"
    group = settings.alpha_group_fractions or {}
    if quantity == "alpha_group_molar" and not group.get("GM", 0.0) + group.get("WM", 0.0):
        return "the average tissue fractions of the group are not stated (alpha_group_fractions)"
    return at if isinstance(at, str) else ""


def _factors(
    fit: FitResult,
    row: FloatArray,
    quantity: Quantity,
    at: Conditions,
    settings: QuantifySettings,
    constants: Constants,
) -> FloatArray:
    """Conversion factor of every amplitude; zero for those that are not part of the value."""
    return np.array(
        [
            conversion_factor(member, quantity, constants, at.timing, settings) if weight else 0.0
            for member, weight in zip(fit.names, row, strict=True)
        ]
    )


def _without_constants(fit: FitResult, factors: FloatArray, signal: WaterSignal) -> ErrorBudget:
    """Errors of what was measured: the amplitudes of metabolites and water."""
    water = abs(float(factors @ fit.amplitudes)) * signal.amplitude_sd / signal.amplitude
    return ErrorBudget(fit=standard_error(factors, fit.covariance), water_fit=water)


def _lcmodel_words(settings: QuantifySettings) -> tuple[str, ...]:
    values = settings.lcmodel_wconc_mmol, settings.lcmodel_atth2o, settings.lcmodel_attmet
    words = "as LCModel: WCONC {:g} mmol/L, ATTH2O {:g}, ATTMET {:g}; neither tissue nor relaxation".format(*values)
    calibrated = settings.calibration != 1
    return (words, *((f"multiplied by {settings.calibration:g} (calibration)",) if calibrated else ()))


def _members(fit: FitResult, name: str) -> tuple[str, ...]:
    """Say which members of a sum were not fitted."""
    present = [member for member in SUMS.get(name, ()) if member in fit.names]
    return (f"sum of {' + '.join(present)} only",) if 0 < len(present) < len(SUMS.get(name, ())) else ()


def _crlb_pct(fit: FitResult, name: str) -> float:
    """Cramer-Rao bound in percent of the amplitude; NaN for an amplitude that is not positive."""
    row = fit.weights(name)
    amplitude = 0.0 if row is None else float(row @ fit.amplitudes)
    return 100 * standard_error(row, fit.crlb_covariance) / amplitude if row is not None and amplitude > 0 else _NAN
