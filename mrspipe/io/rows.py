"""Results as rows of the tables; the columns are those of `mrspipe.io.columns`.

What a scan does not have (a session, a task) is ``n/a``; entities beyond those of every table (``acq``, ``voi``, ...)
are added as columns of their own where a scan has them.
"""

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mrspipe.core.arrays import FloatArray
from mrspipe.core.results import SUMS, Concentration, ErrorBudget, FitResult, QualityReport
from mrspipe.core.scan_result import ScanResult
from mrspipe.core.signal import ScanKey
from mrspipe.io.tables import MISSING

if TYPE_CHECKING:
    from pandas import DataFrame

BoolArray = NDArray[np.bool_]

_WIDE_QUANTITIES = ("ratio_tcr", "molal", "molar")


def scan_columns(key: ScanKey) -> dict[str, str]:
    """Give the columns that name a scan.

    Examples
    --------
    >>> scan_columns(ScanKey(sub="01", task="cue"))
    {'participant_id': 'sub-01', 'session_id': 'n/a', 'task_id': 'cue', 'run': 'n/a'}
    """
    return {
        "participant_id": f"sub-{key.sub}",
        "session_id": f"ses-{key.ses}" if key.ses else MISSING,
        "task_id": key.task or MISSING,
        "run": key.run or MISSING,
    }


def keys_of(table: "DataFrame") -> list[ScanKey]:
    """Give the scans that a table has rows of, in its order.

    Parameters
    ----------
    table : DataFrame
        With the columns of `scan_columns`, and those of further entities where scans have them.
    """
    columns = dict(zip(("sub", "ses", "task", "run"), ("participant_id", "session_id", "task_id", "run"), strict=True))
    columns |= {name: name for name in ("acq", "nuc", "voi", "rec", "echo", "inv") if name in table.columns}
    found: dict[ScanKey, None] = {}
    for row in table[list(columns.values())].fillna("").astype(str).to_dict("records"):
        named = {name: row[column].removeprefix(f"{name}-") for name, column in columns.items()}
        found[ScanKey(**{name: text for name, text in named.items() if text not in ("", MISSING)})] = None
    return list(found)


def _other_entities(key: ScanKey) -> dict[str, str]:
    return {name: value for name, value in key.entities.items() if name not in {"sub", "ses", "task", "run"}}


def concentration_rows(result: ScanResult, spectrum: str | None = None) -> list[dict[str, Any]]:
    """Give one row per metabolite and sum, with its concentration in each unit.

    Parameters
    ----------
    result : ScanResult
    spectrum : str, optional
        Name of the spectrum; the scan's label by default.

    Returns
    -------
    list of dict
    """
    fitted = [*result.fit.names, *(name for name in SUMS if name not in result.fit.names)]
    common = {
        "fwhm_hz": result.quality.metric("fwhm_hz"),
        "snr": result.quality.metric("snr"),
        "status": result.fit.status,
    }
    return [
        {"spectrum": spectrum or result.key.label, "metabolite": name, **_amplitude(result.fit, weights > 0)}
        | _units([level for level in result.levels if level.metabolite == name])
        | common
        for name in fitted
        if (weights := result.fit.weights(name)) is not None
    ]


def _amplitude(fit: FitResult, members: BoolArray) -> dict[str, float]:
    amplitude = float(fit.amplitudes[members].sum())
    crlb = _sum_error(fit.crlb_covariance, members)
    return {
        "amplitude": amplitude,
        "se_fit": _sum_error(fit.covariance, members),
        # A bound relative to nothing has no meaning.
        "crlb_pct": 100.0 * crlb / amplitude if amplitude > 0 else math.nan,
    }


def budget_rows(result: ScanResult, spectrum: str | None = None) -> list[dict[str, Any]]:
    """Give one row per metabolite and quantity: the value and its standard error by source.

    Parameters
    ----------
    result : ScanResult
    spectrum : str, optional
        Name of the spectrum; the scan's label by default.
    """
    return [
        {"spectrum": spectrum or result.key.label, "metabolite": level.metabolite, "quantity": level.quantity}
        | {"value": level.value, **_budget(level), "se_total": level.se_total}
        | {"corrections": "; ".join(level.corrections), "reason": level.reason}
        for level in result.levels
    ]


def _budget(level: Concentration) -> dict[str, float]:
    names = [part.name for part in fields(ErrorBudget)] + ["own", "shared"]
    return {f"se_{name}": getattr(level.budget, name) if level.budget else math.nan for name in names}


def _sum_error(covariance: FloatArray, members: BoolArray) -> float:
    # Not weights @ covariance @ weights: one infinite entry of another metabolite would make every sum NaN.
    return math.sqrt(max(float(covariance[members][:, members].sum()), 0.0))


def _units(levels: Sequence[Concentration]) -> dict[str, Any]:
    by_quantity = {level.quantity: level for level in levels}
    row: dict[str, Any] = {}
    for quantity in _WIDE_QUANTITIES:
        level = by_quantity.get(quantity)
        row[quantity] = level.value if level else math.nan
        row[f"{quantity}_se"] = level.se_total if level else math.nan
    row["unit_reason"] = _unit_reason([level for level in levels if math.isnan(level.value)])
    return row


def _unit_reason(missing: Sequence[Concentration]) -> str:
    """Name the units that could not be given, those with the same reason together."""
    quantities: dict[str, list[str]] = {}
    for level in missing:
        if level.quantity in _WIDE_QUANTITIES:
            quantities.setdefault(level.reason or "not measured", []).append(level.quantity)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in quantities.items())


def measurement_rows(key: ScanKey, levels: Sequence[Concentration], quality: QualityReport) -> list[dict[str, Any]]:
    """Give one row per metabolite and unit.

    A row is included in the group analysis unless the scan is unusable or the value could not be measured.
    """
    return [_measurement(key, level, quality) for level in levels]


def _measurement(key: ScanKey, level: Concentration, quality: QualityReport) -> dict[str, Any]:
    reasons = [level.reason] if math.isnan(level.value) else []
    if quality.verdict == "unusable":
        reasons += quality.reasons or ("unusable",)
    return {
        **scan_columns(key),
        "metabolite": level.metabolite,
        "quantity": level.quantity,
        "value": level.value,
        "se_fit": level.se_fit,
        "se_own": level.budget.own if level.budget else math.nan,
        "se_shared": level.budget.shared if level.budget else math.nan,
        "se_total": level.se_total,
        "crlb_pct": level.crlb_pct,
        "fwhm_hz": quality.metric("fwhm_hz"),
        "snr": quality.metric("snr"),
        "verdict": quality.verdict,
        "included": quality.verdict != "unusable" and not math.isnan(level.value),
        "reason": "; ".join(reason for reason in reasons if reason),
        **_other_entities(key),
    }


def quality_row(key: ScanKey, quality: QualityReport) -> dict[str, Any]:
    """Give the row of a scan in the table of quality: verdict, reasons, and a column per metric."""
    return {
        **scan_columns(key),
        "verdict": quality.verdict,
        "reasons": "; ".join(quality.reasons),
        **_other_entities(key),
        **{metric.name: metric.value for metric in quality.metrics},
    }
