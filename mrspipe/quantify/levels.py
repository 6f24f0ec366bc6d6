"""A fit with its water reference and tissue to concentrations, each with its standard error by source."""

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.ratios import ratio_to_creatine, standard_error
from mrspipe.core.results import SUMS, Concentration, ErrorBudget, FitResult, Quantity, TissueFractions
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.quantify.budget import error_budget
from mrspipe.quantify.factors import Constants, conversion_factors, lcmodel_factor
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
    by_quantity = {
        quantity: [_ratio_to_creatine(fit, name) for name in names]
        if quantity == "ratio_tcr"
        else _water_referenced(fit, names, quantity, signal, at, settings)
        for quantity in settings.quantities
    }
    return tuple(one for of_name in zip(*by_quantity.values(), strict=True) for one in of_name)


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
    names: tuple[str, ...],
    quantity: Quantity,
    signal: WaterSignal | str,
    at: Conditions | str,
    settings: QuantifySettings,
) -> list[Concentration]:
    """Water-referenced values with the errors of fit, water amplitude, tissue and constants."""
    rows = {name: row for name in names if (row := fit.weights(name)) is not None}
    reasons = {name: _refusal(name, quantity, signal, at, settings) if name in rows else "not fitted" for name in names}
    known = [name for name in names if not reasons[name]]
    found: dict[str, Concentration] = {}
    if known and not isinstance(signal, str):
        weights = np.stack([rows[name] for name in known])
        values, budgets, done = _values(fit, weights, quantity, signal, at, settings)
        found = {
            name: Concentration(
                name,
                quantity,
                value,
                budget.fit,
                budget.total,
                _crlb_pct(fit, name),
                "water",
                (*done, *_members(fit, name)),
                budget=budget,
            )
            for name, value, budget in zip(known, values.tolist(), budgets, strict=True)
        }
    return [found.get(name) or _missing(fit, name, quantity, reasons[name]) for name in names]


def _missing(fit: FitResult, name: str, quantity: Quantity, reason: str) -> Concentration:
    return Concentration(name, quantity, _NAN, _NAN, _NAN, _crlb_pct(fit, name), "water", (), reason)


def _values(
    fit: FitResult,
    weights: FloatArray,
    quantity: Quantity,
    signal: WaterSignal,
    at: Conditions | str,
    settings: QuantifySettings,
) -> tuple[FloatArray, tuple[ErrorBudget, ...], tuple[str, ...]]:
    """Values of sums, rows of ``weights`` (n_values, n_fitted), their budgets, and what was corrected."""
    scale = settings.calibration / signal.amplitude
    if quantity == "lcmodel" or isinstance(at, str):
        factors = np.full(len(fit.names), scale * lcmodel_factor(settings))
        values, fit_se, water_se = _measured(fit, weights * factors, signal)
        alone = tuple(
            ErrorBudget(fit=one, water_fit=of_water)
            for one, of_water in zip(fit_se.tolist(), water_se.tolist(), strict=True)
        )
        return values, alone, _lcmodel_words(settings)

    def factors_at(constants: Constants) -> FloatArray:
        return scale * conversion_factors(fit.names, quantity, constants, at.timing, settings)

    values, fit_se, water_se = _measured(fit, weights * factors_at(at.constants), signal)
    budgets = error_budget(
        lambda other: weights @ (factors_at(other) * fit.amplitudes),
        at.constants,
        at.tissue_covariance,
        settings,
        fit=fit_se,
        water_fit=water_se,
    )
    return values, budgets, at.corrections


def _measured(fit: FitResult, factors: FloatArray, signal: WaterSignal) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Values, and their errors from what was measured: the amplitudes of metabolites and of water."""
    values = factors @ fit.amplitudes
    fit_se = np.array([standard_error(row, fit.covariance) for row in factors])
    return values, fit_se, np.abs(values) * signal.amplitude_sd / signal.amplitude


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
