"""What was left out of the group analysis, and why nothing could be tested where that is so."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mrspipe.stats.contrasts import contrast_table, sample_of, subjects_of
from mrspipe.stats.design import ContrastSettings, Design, StatsSettings
from mrspipe.stats.questions import resolve_contrasts
from mrspipe.stats.rows import (
    SCAN_COLUMNS,
    as_measured,
    is_included,
    is_usable,
    label_or_missing,
    measurement_rows,
    reasons_in,
    scan_of,
    without_doubtful,
)

if TYPE_CHECKING:
    from pandas import DataFrame

_MISSING = "n/a"


def exclusion_table(
    measurements: "DataFrame",
    design: Design,
    contrasts: Sequence[ContrastSettings] = (),
    settings: StatsSettings | None = None,
) -> "DataFrame":
    """List what was left out: rows that are not included, and scans that a contrast could not use.

    Parameters
    ----------
    measurements : DataFrame
    design : Design
    contrasts : sequence of ContrastSettings
        Empty: those that follow from the design.
    settings : StatsSettings, optional

    Returns
    -------
    DataFrame
        ``participant_id session_id task_id run metabolite analysis reason``; only metabolites and the quantity of the
        design. ``analysis`` is ``all`` or the name of a contrast.
    """
    import pandas as pd

    settings = settings or StatsSettings()
    measurements = measurements if settings.include_doubtful else without_doubtful(measurements)
    design, _ = as_measured(measurements, design)
    found: list[dict[str, str]] = []
    for metabolite in design.metabolites:
        table = measurement_rows(measurements, design, metabolite)
        unused = table[~is_usable(table)]
        for (_, row), included in zip(unused.iterrows(), is_included(unused), strict=True):
            reason = label_or_missing(row.get("reason"))
            if reason == _MISSING:
                reason = "there is no value" if included else "marked as not included"
            found.append({**scan_of(row), "metabolite": metabolite, "analysis": "all", "reason": reason})
    for contrast in resolve_contrasts(design, tuple(contrasts), measurements):
        if contrast.of == "metabolites":
            found += _incomplete(measurements, design, contrast, settings)
    columns = [*SCAN_COLUMNS, "metabolite", "analysis", "reason"]
    table = pd.DataFrame(found, columns=columns)
    return table.sort_values(["analysis", "metabolite", *SCAN_COLUMNS], kind="stable").reset_index(drop=True)


def _incomplete(
    measurements: "DataFrame", design: Design, contrast: ContrastSettings, settings: StatsSettings
) -> list[dict[str, str]]:
    found = []
    for metabolite, _, table in subjects_of(contrast, design, measurements, None):
        table = table.reset_index(drop=True)
        sample = sample_of(table, design, contrast, settings)
        for at, reason in sample.left_out if sample else ():
            place = scan_of(table.loc[at])
            found.append({**place, "metabolite": metabolite, "analysis": contrast.name, "reason": reason})
    return found


def why_no_group_test(
    measurements: "DataFrame",
    design: Design,
    contrasts: Sequence[ContrastSettings] = (),
    settings: StatsSettings | None = None,
    *,
    results: "DataFrame | None" = None,
) -> str | None:
    """Say in plain words why nothing could be tested; None when a test of the outcome was possible.

    Parameters
    ----------
    measurements : DataFrame
    design : Design
    contrasts : sequence of ContrastSettings
        Empty: those that follow from the design.
    settings : StatsSettings, optional
    results : DataFrame, optional
        The table of contrasts, where it was computed already.

    Returns
    -------
    str or None
    """
    if not design.factors:
        return (
            "The design names neither groups nor arms, conditions, treatments or times: there is nothing to compare. "
            "Add design.group, design.arm, design.condition, design.treatment or design.time to the configuration."
        )
    design, _ = as_measured(measurements, design)
    name, quantity = design.outcome.metabolite, design.outcome.quantity
    values = measurement_rows(measurements, design, name)
    if not is_usable(values).any():
        return f"No scan has a usable value of {name} ({quantity}). {reasons_in(values)}".strip()
    if results is None:
        alone = design.model_copy(update={"secondary": ()})
        results = contrast_table(measurements, alone, contrasts, settings)
    table = results[results["metabolite"] == name]
    if table["p"].notna().any():
        return None
    problems = list(dict.fromkeys(str(note) for note in table["note"]))
    return f"The design compares {_compared(design)}. {' '.join(problems)}"


def _compared(design: Design) -> str:
    words = {"group": "patients ({}) with controls ({})"}
    pairs = ((one.name, "/".join(reversed(one.levels[1:])), one.reference) for one in design.factors)
    return " and ".join(words.get(name, "{} with {}").format(later, first) for name, later, first in pairs)
