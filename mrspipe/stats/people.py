"""Who was compared: every column of the participants, group by group.

Numbers are compared by Welch's test and, because many are skewed, by the rank sum test; words by Fisher's exact test of
their counts. These tests describe the sample; they are not corrected for their number.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import AnalysisError
from mrspipe.stats.counts import chi2_test, exact_test
from mrspipe.stats.design import Design
from mrspipe.stats.factors import is_numeric, labels
from mrspipe.stats.models import welch_test
from mrspipe.stats.ranks import rank_sum_test

if TYPE_CHECKING:
    from pandas import DataFrame, Series

COLUMNS = (
    *("variable", "level", "n_reference", "n_other", "mean_reference", "sd_reference", "median_reference"),
    *("mean_other", "sd_other", "median_other", "count_reference", "count_other"),
    *("test", "statistic", "df", "p", "rank_p", "note"),
)
# Text with more levels than this names things, and is no category.
_MAX_LEVELS = 8
_Row = dict[str, Any]


def people_table(participants: "DataFrame", design: Design) -> "DataFrame":
    """Compare the groups (or arms) in every column of the participants.

    Parameters
    ----------
    participants : DataFrame
        One row each, also those without a usable scan.
    design : Design

    Returns
    -------
    DataFrame
        One row a number, and one for each level of a category with the test in the first. Empty without groups.
    """
    import pandas as pd

    rows: list[_Row] = []
    factor = next((factor for factor in design.factors if factor.is_between), None)
    if factor is not None and factor.column in participants.columns:
        levels = labels(participants[factor.column])
        sides = [participants[levels == level] for level in (factor.reference, factor.other)]
        skipped = {factor.column, design.subject, "participant_id"}
        for name in (str(column) for column in participants.columns if column not in skipped):
            reference, other = (side[name] for side in sides)
            is_number = is_numeric(participants[name])
            rows += _numbers(name, reference, other) if is_number else _words(name, reference, other)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _numbers(name: str, reference: "Series[Any]", other: "Series[Any]") -> list[_Row]:
    values = [np.asarray(side.dropna(), dtype=np.float64) for side in (reference, other)]
    row: _Row = {"variable": name, "n_reference": len(values[0]), "n_other": len(values[1]), "test": "Welch t test"}
    row |= _described(values[0], "reference") | _described(values[1], "other")
    try:
        welch = welch_test(values[1], values[0], confidence=0.95, jzs_scale=1.0)
        row |= {"statistic": welch.statistic, "df": welch.df, "p": welch.p}
        row["rank_p"] = rank_sum_test(values[1], values[0]).p
    except AnalysisError as error:
        row["note"] = error.message
    return [row]


def _described(values: FloatArray, side: str) -> dict[str, float]:
    if not len(values):
        return {}
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return {f"mean_{side}": float(values.mean()), f"sd_{side}": sd, f"median_{side}": float(np.median(values))}


def _words(name: str, reference: "Series[Any]", other: "Series[Any]") -> list[_Row]:
    sides = [spelled[spelled != ""] for spelled in (labels(reference), labels(other))]
    levels = sorted(set(sides[0]) | set(sides[1]))
    if not 2 <= len(levels) <= _MAX_LEVELS:
        return []
    counts = [[int((side == level).sum()) for level in levels] for side in sides]
    rows: list[_Row] = [
        {"variable": name, "level": level, "count_reference": first, "count_other": second}
        | {"n_reference": len(sides[0]), "n_other": len(sides[1])}
        for level, first, second in zip(levels, *counts, strict=True)
    ]
    if min(len(side) for side in sides) == 0:
        return [{**row, "note": "One group has no value."} for row in rows]
    try:
        rows[0] |= {"test": "Fisher exact test", "p": exact_test(counts).p}
    except AnalysisError:
        found = chi2_test(counts)
        rows[0] |= {"test": "chi-squared test", "statistic": found.statistic, "df": found.df, "p": found.p}
    return rows
