"""Which rows of the table of measurements count, and how their scans are named."""

from typing import TYPE_CHECKING, Any

import numpy as np

from mrspipe.stats.design import Design
from mrspipe.stats.factors import label

if TYPE_CHECKING:
    from pandas import DataFrame, Series

SCAN_COLUMNS = ("participant_id", "session_id", "task_id", "run")
_REASONS_SHOWN = 3


def is_included(table: "DataFrame") -> "Series[bool]":
    """Tell which rows enter the group analysis; all where the table does not say."""
    import pandas as pd

    if "included" not in table.columns:
        return pd.Series(True, index=table.index)
    return table["included"].astype(str).str.lower().isin(["true", "1", "1.0"])


def is_usable(table: "DataFrame") -> "Series[bool]":
    """Tell which rows are included and have a value."""
    import pandas as pd

    if "value" not in table.columns:
        return pd.Series(False, index=table.index)
    values = pd.to_numeric(table["value"], errors="coerce")
    return is_included(table) & values.notna() & ~values.isin([np.inf, -np.inf])


def without_doubtful(table: "DataFrame") -> "DataFrame":
    """Mark the rows of doubtful scans as not included."""
    if "verdict" not in table.columns:
        return table
    doubtful = is_included(table) & (table["verdict"].astype(str) == "doubtful")
    reason = table["reason"].astype(object) if "reason" in table.columns else "n/a"
    marked = table.assign(included=is_included(table) & ~doubtful, reason=reason)
    marked.loc[doubtful, "reason"] = "doubtful quality"
    return marked


def as_measured(measurements: "DataFrame", design: Design) -> tuple[Design, str]:
    """Fall back on ratios to creatine where no usable scan has the outcome in the design's quantity.

    Returns
    -------
    design : Design
    note : str
        Why; empty when the quantity is there.
    """
    outcome = design.outcome
    ratios = design.model_copy(update={"outcome": outcome.model_copy(update={"quantity": "ratio_tcr"})})
    if "quantity" not in measurements.columns:
        return design, ""
    wanted, instead = (is_usable(measurement_rows(measurements, one, outcome.metabolite)) for one in (design, ratios))
    if wanted.any() or not instead.any():
        return design, ""
    return ratios, f"No usable scan has {outcome.quantity} values; ratios to tCr are compared instead."


def measurement_rows(table: "DataFrame", design: Design, metabolite: str) -> "DataFrame":
    """Give the rows of a metabolite in the design's quantity, whether included or not."""
    chosen = table
    for column, wanted in (("metabolite", metabolite), ("quantity", design.outcome.quantity)):
        if column in chosen.columns:
            chosen = chosen[chosen[column].astype(str) == wanted]
    return chosen


def reasons_in(table: "DataFrame") -> str:
    """Say why rows are not included; empty when the table does not tell."""
    if "reason" not in table.columns:
        return ""
    reasons = list(dict.fromkeys(str(text).rstrip(".") for text in table["reason"] if label(text)))
    more = f"; and {len(reasons) - _REASONS_SHOWN} more" if len(reasons) > _REASONS_SHOWN else ""
    return f"Reasons: {'; '.join(reasons[:_REASONS_SHOWN])}{more}." if reasons else ""


def scan_of(row: "Series[Any]") -> dict[str, str]:
    """Name the scan of a row; ``n/a`` for what it does not have."""
    return {name: label_or_missing(row.get(name)) for name in SCAN_COLUMNS}


def label_or_missing(value: object) -> str:
    """Spell a cell as it is; ``n/a`` when it is empty."""
    return str(value) if label(value) else "n/a"
