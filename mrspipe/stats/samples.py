"""Which scans enter a contrast, and how they become the numbers that a test takes.

Scans that the contrast does not tell apart are averaged with equal weights: first repeated runs of the same
participant, visit and levels, then (for tests with one number a participant) visits, then the combinations of the
levels of the factors that are neither compared nor held. A participant who lacks a combination is left out of such a
test; mixed models use every scan.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import AnalysisError
from mrspipe.stats.design import ContrastSettings, Design
from mrspipe.stats.factors import Factor, label, labels

if TYPE_CHECKING:
    from pandas import DataFrame, Series

SCAN_COLUMNS = ("participant_id", "session_id", "task_id", "run")
# Columns that are added to the table; the names cannot clash with those of a study.
_SUBJECT, _VISIT, _PERIOD = "__subject", "__visit", "__period"
_REASONS_SHOWN = 3


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The scans of a contrast.

    Parameters
    ----------
    rows : DataFrame
        One row a scan, with the factors coded as -0.5 (reference) and 0.5 in columns that begin with ``__``.
    factors : tuple of Factor
        Those in the model: compared, and those that are not held and have both levels in `rows`.
    left_out : tuple of (row label, reason)
        Scans that could be used but for what this contrast needs.
    """

    rows: "DataFrame"
    factors: tuple[Factor, ...]
    left_out: tuple[tuple[Any, str], ...] = ()

    @property
    def n_subjects(self) -> int:
        """Number of participants."""
        return int(self.rows[_SUBJECT].nunique())

    @property
    def n_scans(self) -> int:
        """Number of scans."""
        return len(self.rows)

    def without(self, subjects: Mapping[str, str]) -> "Sample":
        """Leave participants out, each for a reason."""
        gone = self.rows[self.rows[_SUBJECT].isin(list(subjects))]
        reasons = [(at, subjects[name]) for at, name in zip(gone.index, gone[_SUBJECT], strict=True)]
        return Sample(self.rows.drop(index=gone.index), self.factors, (*self.left_out, *reasons))


def code_column(factor: Factor) -> str:
    """Name of the column with a factor's codes."""
    return f"__{factor.name}"


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


def select(table: "DataFrame", design: Design, contrast: ContrastSettings) -> Sample:
    """Choose the scans of a contrast and code its factors.

    Parameters
    ----------
    table : DataFrame
        Rows of one metabolite, or ratings.
    design : Design
    contrast : ContrastSettings

    Raises
    ------
    AnalysisError
        A column or a level is missing; the message says which, in words for the reader of the results.
    """
    import pandas as pd

    for column in ("value", design.subject):
        if column not in table.columns:
            raise AnalysisError(f"The table has no column '{column}'.", code="column")
    table = table.reset_index(drop=True)
    rows = table.assign(value=pd.to_numeric(table["value"], errors="coerce"))
    rows = rows[is_usable(rows)]
    if rows.empty:
        raise AnalysisError(f"There is no usable value. {reasons_in(table)}".strip(), code="no-data")
    compared = [design.factor(name) for name in contrast.compare or ()]
    rows, left_out = _labelled(rows, [*(design.factor(name) for name in contrast.within), *compared])
    for name, level in contrast.within.items():
        rows = _held(rows, design.factor(name), level)
    for factor in compared:
        _check_levels(rows, factor)
    free = [factor for factor in design.factors if factor.name not in contrast.within and factor.column in rows.columns]
    rows = rows.assign(**{code_column(factor): _codes(rows, factor) for factor in free})
    rows = rows.assign(**{_SUBJECT: rows[design.subject].astype(str), _VISIT: _visits(rows, design)})
    return _with_both_levels(rows, free, compared, left_out)


def _labelled(rows: "DataFrame", factors: list[Factor]) -> tuple["DataFrame", list[tuple[Any, str]]]:
    """Leave out rows of which the level of a factor is not known."""
    left_out: list[tuple[Any, str]] = []
    for factor in factors:
        _check_column(rows, factor)
        unknown = labels(rows[factor.column]) == ""
        left_out += [(at, f"{factor.column} is missing") for at in rows.index[unknown]]
        rows = rows[~unknown]
    return rows, left_out


def _with_both_levels(
    rows: "DataFrame", free: list[Factor], compared: list[Factor], left_out: list[tuple[Any, str]]
) -> Sample:
    kept: list[Factor] = []
    for factor in free:
        known = rows[rows[code_column(factor)].notna()]
        if factor in compared or known[code_column(factor)].nunique() == 2:
            left_out = [*left_out, *_labelled(rows, [factor])[1]]
            rows = known
            kept.append(factor)
    for factor in kept:
        if rows[code_column(factor)].nunique() < 2:
            raise AnalysisError(f"The usable scans have only one level of {factor.column}.", code="level")
    order = [_SUBJECT, _VISIT, *(code_column(factor) for factor in kept), "value"]
    return Sample(rows.sort_values(order, kind="stable"), tuple(kept), tuple(left_out))


def _held(rows: "DataFrame", factor: Factor, level: str) -> "DataFrame":
    _check_column(rows, factor)
    chosen = rows[labels(rows[factor.column]) == level]
    if chosen.empty:
        raise AnalysisError(_missing_level(rows, factor, level), code="level")
    return chosen


def _check_levels(rows: "DataFrame", factor: Factor) -> None:
    _check_column(rows, factor)
    found = set(labels(rows[factor.column]))
    for level in (factor.other, factor.reference):
        if level not in found:
            raise AnalysisError(_missing_level(rows, factor, level), code="level")


def _check_column(rows: "DataFrame", factor: Factor) -> None:
    if factor.column not in rows.columns:
        place = "participants.tsv has" if factor.name == "group" else "the tables have"
        text = f"The levels of the {factor.name} are not known: {place} no column '{factor.column}'."
        raise AnalysisError(text, code="column")


def _missing_level(rows: "DataFrame", factor: Factor, level: str) -> str:
    found = sorted(set(labels(rows[factor.column])) - {""})
    there = f"there is {', '.join(found)}" if found else "the column is empty"
    return f"No usable scan has {factor.column} '{level}' ({there})."


def _codes(rows: "DataFrame", factor: Factor) -> "Series[float]":
    return labels(rows[factor.column]).map({factor.reference: -0.5, factor.other: 0.5}).astype(float)


def _visits(rows: "DataFrame", design: Design) -> "Series[str]":
    """Scans of the same visit share what differs from day to day; without sessions, treatment and time tell."""
    import pandas as pd

    if "session_id" in rows.columns and (labels(rows["session_id"]) != "").any():
        return labels(rows["session_id"])
    parts = [f.column for f in design.factors if f.name in {"treatment", "time"} and f.column in rows.columns]
    visits = pd.Series("", index=rows.index, dtype=object)
    for column in parts:
        visits = visits + "/" + labels(rows[column])
    return visits


def per_subject(sample: Sample, compared: Factor | None) -> tuple["DataFrame", Sample]:
    """Give one row a participant and one column for each combination of the levels within participants.

    Parameters
    ----------
    sample : Sample
    compared : Factor or None
        The factor within participants that is compared; its code comes first in the names of the columns.

    Returns
    -------
    table : DataFrame
        Participants as index, in their order; complete.
    sample : Sample
        Without those who lack a combination.
    """
    others = [factor for factor in sample.factors if factor.name != "group" and factor != compared]
    inner = [*([compared] if compared else []), *others]
    keys = [code_column(factor) for factor in inner]
    cells = sample.rows.groupby([_SUBJECT, _VISIT, *keys], sort=True)["value"].mean()
    if not keys:
        return cells.groupby(level=0).mean().to_frame("mean"), sample
    wide = cells.groupby(level=[_SUBJECT, *keys]).mean().unstack(keys)  # noqa: PD010 - pivot_table would drop empty combinations
    lacking = wide[wide.isna().any(axis=1)]
    reasons = {name: f"no usable scan with {_where(inner, row)}" for name, row in lacking.iterrows()}
    return wide.drop(index=lacking.index), sample.without({str(name): text for name, text in reasons.items()})


def _where(factors: list[Factor], row: "Series[float]") -> str:
    gap = next(levels for levels, value in row.items() if value != value)
    codes = gap if isinstance(gap, tuple) else (gap,)
    spelled = zip(factors, codes, strict=True)
    return ", ".join(f"{f.column} {f.other if code > 0 else f.reference}" for f, code in spelled)


def differences(table: "DataFrame") -> FloatArray:
    """Other minus reference level of the first factor in the columns, averaged over the rest."""
    names: list[Any] = list(table.columns)
    codes = np.array([name[0] if isinstance(name, tuple) else name for name in names], dtype=np.float64)
    values = np.asarray(table, dtype=np.float64)
    return np.asarray(values[:, codes > 0].mean(axis=1) - values[:, codes < 0].mean(axis=1))


def codes_of(sample: Sample, subjects: "DataFrame", factor: Factor) -> FloatArray:
    """Codes of a factor between participants, in the order of a table of participants.

    Raises
    ------
    AnalysisError
        A participant has both levels, or nobody is left at one of them.
    """
    known = sample.rows.groupby(_SUBJECT)[code_column(factor)].agg(["min", "max"]).loc[subjects.index]
    if (known["min"] != known["max"]).any():
        who = str(known.index[known["min"] != known["max"]][0])
        raise AnalysisError(f"{who} is in both groups.", code="level")
    return known["min"].to_numpy(dtype=float)


def covariate_columns(sample: Sample, names: tuple[str, ...]) -> tuple[dict[str, FloatArray], Sample, str]:
    """Give the covariates of each participant as columns of numbers; text becomes a column for each further level.

    Returns
    -------
    columns : dict of str to real array, shape (n_subjects,)
        Participants in sorted order; those without a value are left out.
    sample : Sample
    note : str
        Covariates that do not vary and are not in the model.

    Raises
    ------
    AnalysisError
        A covariate is not in the tables.
    """
    absent = [name for name in names if name not in sample.rows.columns]
    if absent:
        raise AnalysisError(
            f"The tables have no column '{absent[0]}', which the design names as covariate.", code="column"
        )
    for name in names:
        numeric = _is_numeric(sample.rows[name])
        known = sample.rows[name].notna() if numeric else labels(sample.rows[name]) != ""
        without = set(sample.rows[_SUBJECT]) - set(sample.rows.loc[known, _SUBJECT])
        sample = sample.without(dict.fromkeys(without, f"{name} is missing"))
    if sample.rows.empty:
        raise AnalysisError("No participant has all covariates.", code="no-data")
    columns: dict[str, FloatArray] = {}
    constant = []
    for name in names:
        made = _covariate(sample.rows, name)
        columns |= made
        constant += [] if made else [name]
    return columns, sample, f"Not in the model because it does not vary: {', '.join(constant)}." if constant else ""


def _covariate(rows: "DataFrame", name: str) -> dict[str, FloatArray]:
    if _is_numeric(rows[name]):
        values = rows.groupby(_SUBJECT)[name].mean().to_numpy(dtype=float)
        return {name: values} if np.ptp(values) > 0 else {}
    spelled = labels(rows[name])
    levels = spelled[spelled != ""].groupby(rows[_SUBJECT]).first()
    return {f"{name} {level}": np.asarray(levels == level, dtype=np.float64) for level in sorted(set(levels))[1:]}


def _is_numeric(column: "Series[Any]") -> bool:
    import pandas as pd

    return bool(pd.api.types.is_numeric_dtype(column)) and not pd.api.types.is_bool_dtype(column)


@dataclass(frozen=True, slots=True, eq=False)
class ModelData:
    """What a mixed model takes.

    Parameters
    ----------
    y : real array, shape (n,)
    columns : dict of str to real array, shape (n,)
        Fixed effects by name; interactions are joined by ``:``.
    groupings : dict of str to sequence of str
        Random intercepts.
    formula : str
    """

    y: FloatArray
    columns: dict[str, FloatArray]
    groupings: dict[str, list[str]]
    formula: str


def model_data(sample: Sample, design: Design) -> tuple[ModelData, Sample]:
    """Average repeated runs, and write the columns of a mixed model with all factors crossed.

    With codes of plus and minus one half, a coefficient is a difference averaged over the levels of the other factors.
    The period enters where the treatment does.
    """
    period = design.period if any(factor.name == "treatment" for factor in sample.factors) else None
    if period and period in sample.rows.columns:
        spelled = labels(sample.rows[period])
        unknown = tuple((at, f"{period} is missing") for at in spelled.index[spelled == ""])
        known = sample.rows.assign(**{_PERIOD: spelled})[spelled != ""]
        sample = Sample(known, sample.factors, (*sample.left_out, *unknown))
    has_period = _PERIOD in sample.rows.columns and len(set(sample.rows[_PERIOD])) > 1
    keys = [code_column(factor) for factor in sample.factors]
    cells = sample.rows.groupby([_SUBJECT, _VISIT, *([_PERIOD] if has_period else []), *keys], sort=True)[
        "value"
    ].mean()
    table = cells.reset_index()
    columns = {"1": np.ones(len(table))} | _crossed(table, sample.factors)
    if has_period:
        levels = sorted(set(table[_PERIOD]))
        columns |= {f"period {k}": (table[_PERIOD] == k).to_numpy(float) - 1 / len(levels) for k in levels[1:]}
    fixed = " * ".join(factor.name for factor in sample.factors) + (" + period" if has_period else "")
    visits = table[_SUBJECT] + "/" + table[_VISIT]
    groupings = {"participant": list(table[_SUBJECT]), "participant:visit": list(visits)}
    return ModelData(table["value"].to_numpy(dtype=float), columns, groupings, fixed), sample


def _crossed(table: "DataFrame", factors: tuple[Factor, ...]) -> dict[str, FloatArray]:
    return {
        ":".join(factor.name for factor in chosen): np.prod([table[code_column(f)] for f in chosen], axis=0)
        for size in range(1, len(factors) + 1)
        for chosen in itertools.combinations(factors, size)
    }


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
