"""Which scans enter a contrast, and how they become the numbers that a test takes.

Scans that the contrast does not tell apart are averaged with equal weights: first repeated runs of the same
participant, visit and levels, then (for tests with one number a participant) visits, then the combinations of the
levels of the factors that are neither compared nor held. A participant who lacks a combination is left out of such a
test, unless the contrast takes the scans there are; mixed models use every scan.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import AnalysisError
from mrspipe.stats.design import SEQUENCE_COLUMN, ContrastSettings, Design
from mrspipe.stats.factors import Factor, labels
from mrspipe.stats.identify import in_order, refuse_confounded
from mrspipe.stats.questions import factors_of, groups_without_arm
from mrspipe.stats.rows import SCAN_COLUMNS, is_usable, reasons_in

if TYPE_CHECKING:
    from pandas import DataFrame, Series

# Columns that are added to the table; the names cannot clash with those of a study.
SUBJECT, VISIT = "__subject", "__visit"


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The scans of a contrast.

    Parameters
    ----------
    rows : DataFrame
        One row a scan, with the factors coded in columns that begin with ``__``: -0.5 (reference) and 0.5; of more
        levels, with a distance of one.
    factors : tuple of Factor
        Those in the model: compared, and those that are not held and have several levels in `rows`.
    left_out : tuple of (row label, reason)
        Scans that could be used but for what this contrast needs.
    n_unusable : int
        Scans at the levels of this contrast that have no usable value.
    """

    rows: "DataFrame"
    factors: tuple[Factor, ...]
    left_out: tuple[tuple[Any, str], ...] = ()
    n_unusable: int = 0

    @property
    def n_subjects(self) -> int:
        """Number of participants."""
        return int(self.rows[SUBJECT].nunique())

    @property
    def n_scans(self) -> int:
        """Number of scans."""
        return len(self.rows)

    @property
    def n_left_out(self) -> int:
        """Scans at the levels of this contrast that it does not use."""
        return self.n_unusable + len(self.left_out)

    def factor(self, name: str) -> Factor:
        """Give a factor in the model by its role."""
        return next(factor for factor in self.factors if factor.name == name)

    def without(self, subjects: Mapping[str, str]) -> "Sample":
        """Leave participants out, each for a reason."""
        gone = self.rows[self.rows[SUBJECT].isin(list(subjects))]
        reasons = [(at, subjects[name]) for at, name in zip(gone.index, gone[SUBJECT], strict=True)]
        return replace(self, rows=self.rows.drop(index=gone.index), left_out=(*self.left_out, *reasons))

    def n_at(self, levels: Mapping[str, float]) -> int:
        """Number of participants who have a scan at these codes of the factors."""
        chosen = np.full(len(self.rows), True)
        for name, code in levels.items():
            chosen &= self.rows[f"__{name}"].to_numpy() == code
        return len(set(self.rows[SUBJECT].to_numpy()[chosen]))


def code_column(factor: Factor) -> str:
    """Name of the column with a factor's codes."""
    return f"__{factor.name}"


def level_of(factor: Factor, code: float) -> str:
    """Give the level that a code stands for."""
    return factor.levels[round(code + (len(factor.levels) - 1) / 2)]


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
        A column or a level is missing, or what is compared cannot be told apart from something else; the message says
        which, in words for the reader of the results.
    """
    import pandas as pd

    for column in ("value", design.subject):
        if column not in table.columns:
            raise AnalysisError(f"The table has no column '{column}'.", code="column")
    table = _needed(table.reset_index(drop=True), design)
    rows = table.assign(value=pd.to_numeric(table["value"], errors="coerce"))
    unusable, rows = rows[~is_usable(rows)], rows[is_usable(rows)]
    if rows.empty:
        raise AnalysisError(f"There is no usable value. {reasons_in(table)}".strip(), code="no-data")
    compared = factors_of(design, contrast)
    if any(factor.name == "sequence" for factor in compared):
        rows = _with_sequence(rows, design)
    rows = rows.assign(**{SUBJECT: rows[design.subject].astype(str)})
    rows, armless = _armless(rows, design, contrast)
    unusable = _armless(unusable, design, contrast, armless)[0]
    rows, left_out = _labelled(rows, [*(design.factor(name) for name in contrast.within), *compared])
    refuse_confounded(rows, compared, design, contrast)
    for name, level in contrast.within.items():
        rows = _held(rows, design.factor(name), level)
    for factor in compared:
        _check_levels(rows, factor)
    by_name = {factor.name: factor for factor in compared}
    ignored: set[str] = {*contrast.within}
    if "arm" not in by_name and _arms_do_not_count(rows, design, contrast, armless):
        ignored.add("arm")
    free = [
        by_name.pop(factor.name, factor)
        for factor in design.factors
        if factor.name not in ignored and factor.column in rows.columns
    ]
    free += by_name.values()
    rows = rows.assign(**{code_column(factor): _codes(rows, factor) for factor in free})
    rows = rows.assign(**{VISIT: _visits(rows, design)})
    sample = replace(_with_levels(rows, free, compared, left_out), n_unusable=_n_at(unusable, design, contrast))
    held = {design.factor(name).column for name in contrast.within}
    refuse_confounded(sample.rows, compared, design, contrast, held=held)
    _refuse_one_level_each(sample, compared)
    return sample


def _needed(table: "DataFrame", design: Design) -> "DataFrame":
    """Leave out columns that no contrast looks at, which would be copied at every step."""
    kept = {design.subject, *SCAN_COLUMNS, "value", "included", "reason", "se_own", "se_fit", *design.covariates}
    kept |= {factor.column for factor in design.factors} | {str(design.period)}
    return table[[name for name in table.columns if name in kept]]


def _armless(
    rows: "DataFrame", design: Design, contrast: ContrastSettings, groups: tuple[str, ...] | None = None
) -> tuple["DataFrame", tuple[str, ...]]:
    """Sort out the group of whom nobody is in an arm.

    It is no part of a comparison of the arms, or of what is asked at one arm; unless the group is compared or held
    there: then all of it counts.

    Parameters
    ----------
    rows : DataFrame
    design : Design
    contrast : ContrastSettings
    groups : tuple of str, optional
        That group, where it is known; by default it is looked for in `rows`.

    Raises
    ------
    AnalysisError
        Both the arms and the groups are compared.
    """
    group, arm = design.group, design.arm
    if group is None or arm is None or not {group.column, arm.column} <= set(rows.columns):
        return rows, ()
    if groups is None:
        groups = groups_without_arm(rows, design)
    is_outside = labels(rows[group.column]).isin(groups)
    compared = contrast.compare or ()
    if groups and {"group", "arm"} <= set(compared):
        text = f"Nobody with {group.column} '{groups[0]}' is in an arm: the arms are of one group alone."
        raise AnalysisError(text, code="level")
    if "arm" in contrast.within and "group" in {*compared, *contrast.within}:
        return rows.assign(
            **{arm.column: rows[arm.column].astype(object).mask(is_outside, contrast.within["arm"])}
        ), groups
    if "arm" in {*compared, *contrast.within}:
        return rows[~is_outside], groups
    return rows, groups


def _arms_do_not_count(rows: "DataFrame", design: Design, contrast: ContrastSettings, armless: tuple[str, ...]) -> bool:
    """Nobody has had a treatment yet, or a group is there that gets none."""
    is_before = design.time is not None and contrast.within.get("time") == design.time.levels[0]
    if is_before or design.group is None or not armless:
        return is_before
    return bool(labels(rows[design.group.column]).isin(armless).any())


def _with_sequence(rows: "DataFrame", design: Design) -> "DataFrame":
    """Add which treatment came first: it follows from the treatment of either period."""
    period, treatment, sequence = str(design.period), design.factor("treatment"), design.factor("sequence")
    _check_column(rows, treatment)
    if period not in rows.columns:
        raise AnalysisError(f"The order of the treatments is not known: there is no column '{period}'.", code="column")
    periods, levels = labels(rows[period]), labels(rows[treatment.column])
    found = in_order(set(periods) - {""})
    if len(found) != 2:
        text = f"The order of the treatments needs two periods; column '{period}' has {len(found)}."
        raise AnalysisError(text, code="level")
    known = (periods != "") & levels.isin(treatment.levels)
    other_first = (levels == treatment.other) == (periods == found[0])
    spelled = other_first.map({False: sequence.reference, True: sequence.other})
    return rows.assign(**{SEQUENCE_COLUMN: spelled.where(known, "")})


def _labelled(rows: "DataFrame", factors: list[Factor]) -> tuple["DataFrame", list[tuple[Any, str]]]:
    """Leave out rows of which the level of a factor is not known."""
    left_out: list[tuple[Any, str]] = []
    for factor in factors:
        _check_column(rows, factor)
        unknown = labels(rows[factor.column]) == ""
        what = "the order of the treatments" if factor.name == "sequence" else factor.column
        left_out += [(at, f"{what} is missing") for at in rows.index[unknown]]
        rows = rows[~unknown]
    return rows, left_out


def _with_levels(
    rows: "DataFrame", free: list[Factor], compared: list[Factor], left_out: list[tuple[Any, str]]
) -> Sample:
    kept: list[Factor] = []
    for factor in free:
        known = rows[rows[code_column(factor)].notna()]
        if factor in compared or len(set(known[code_column(factor)])) > 1:
            left_out = [*left_out, *_labelled(rows, [factor])[1]]
            rows = known
            kept.append(factor)
    for factor in kept:
        if rows[code_column(factor)].nunique() < 2:
            raise AnalysisError(f"The usable scans have only one level of {factor.column}.", code="level")
    order = [SUBJECT, VISIT, *(code_column(factor) for factor in kept), "value"]
    return Sample(rows.sort_values(order, kind="stable"), tuple(kept), tuple(left_out))


def _held(rows: "DataFrame", factor: Factor, level: str) -> "DataFrame":
    _check_column(rows, factor)
    chosen = rows[labels(rows[factor.column]) == level]
    if chosen.empty:
        raise AnalysisError(_missing_level(rows, factor, level), code="level")
    return chosen


def _n_at(rows: "DataFrame", design: Design, contrast: ContrastSettings) -> int:
    """Number of rows at the levels that a contrast holds and compares, as far as the table tells."""
    wanted: list[tuple[str, tuple[str, ...]]] = [
        (design.factor(name).column, (level,)) for name, level in contrast.within.items()
    ]
    wanted += [(factor.column, factor.levels) for factor in factors_of(design, contrast)]
    for column, levels in wanted:
        if column in rows.columns:
            rows = rows[labels(rows[column]).isin(levels)]
    return len(rows)


def _check_levels(rows: "DataFrame", factor: Factor) -> None:
    found = set(labels(rows[factor.column]))
    for level in (factor.other, factor.reference):
        if level not in found:
            raise AnalysisError(_missing_level(rows, factor, level), code="level")


def _check_column(rows: "DataFrame", factor: Factor) -> None:
    if factor.column not in rows.columns:
        place = "participants.tsv has" if factor.name in {"group", "arm"} else "the tables have"
        text = f"The levels of the {factor.name} are not known: {place} no column '{factor.column}'."
        raise AnalysisError(text, code="column")


def _missing_level(rows: "DataFrame", factor: Factor, level: str) -> str:
    found = sorted(set(labels(rows[factor.column])) - {""})
    there = f"there is {', '.join(found)}" if found else "the column is empty"
    return f"No usable scan has {factor.column} '{level}' ({there})."


def _codes(rows: "DataFrame", factor: Factor) -> "Series[float]":
    middle = (len(factor.levels) - 1) / 2
    return labels(rows[factor.column]).map({level: i - middle for i, level in enumerate(factor.levels)}).astype(float)


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


def _refuse_one_level_each(sample: Sample, compared: list[Factor]) -> None:
    """A factor within participants must vary in some of them, one between them in none; an interaction needs all."""
    for factor in compared:
        n_levels = sample.rows.groupby(SUBJECT)[code_column(factor)].nunique()
        pair = f"{factor.other} and {factor.reference}"
        if factor.is_between and (n_levels > 1).any():
            raise AnalysisError(_in_both(factor, str(n_levels.index[n_levels > 1][0])), code="level")
        if not factor.is_between and len(n_levels) > 1 and (n_levels < 2).all():
            text = f"No participant has scans with both {pair} ({factor.column})."
            if factor.name == "treatment":
                text += " These are parallel arms, not a crossover: use design.arm instead of design.treatment."
            raise AnalysisError(text, code="level")
    for codes in itertools.product(*((-0.5, 0.5) for _ in compared)):
        cell: dict[str, float] = {factor.name: code for factor, code in zip(compared, codes, strict=True)}
        if compared and not sample.n_at(cell):
            place = " and ".join(f"{f.column} {level_of(f, c)}" for f, c in zip(compared, codes, strict=True))
            raise AnalysisError(f"No usable scan has {place}.", code="level")


def _in_both(factor: Factor, who: str) -> str:
    if factor.name == "group":
        return f"{who} is in both groups."
    if factor.name == "arm":
        return f"{who} is in both arms; a treatment that every participant gets is design.treatment."
    return f"The treatments of {who} do not fit one order: one of them is there in both periods."


def per_subject(sample: Sample, compared: Factor | None, *, complete: bool = True) -> tuple["DataFrame", Sample]:
    """Give one row a participant and one column for each combination of the levels within participants.

    Parameters
    ----------
    sample : Sample
    compared : Factor or None
        The factor within participants that is compared; its code comes first in the names of the columns.
    complete : bool
        Leave out who lacks a combination; false: average over the combinations there are.

    Returns
    -------
    table : DataFrame
        Participants as index, in their order; complete.
    sample : Sample
        Without those who lack a combination.
    """
    others = [factor for factor in sample.factors if complete and not factor.is_between and factor != compared]
    inner = [*([compared] if compared else []), *others]
    keys = [code_column(factor) for factor in inner]
    cells = sample.rows.groupby([SUBJECT, VISIT, *keys], sort=True)["value"].mean()
    if not keys:
        return cells.groupby(level=0).mean().to_frame("mean"), sample
    wide = cells.groupby(level=[SUBJECT, *keys]).mean().unstack(keys)  # noqa: PD010 - pivot_table would drop empty combinations
    lacking = wide[wide.isna().any(axis=1)]
    reasons = {name: f"no usable scan with {_where(inner, row)}" for name, row in lacking.iterrows()}
    return wide.drop(index=lacking.index), sample.without({str(name): text for name, text in reasons.items()})


def _where(factors: list[Factor], row: "Series[float]") -> str:
    gap = next(levels for levels, value in row.items() if value != value)
    codes = gap if isinstance(gap, tuple) else (gap,)
    return ", ".join(f"{f.column} {level_of(f, code)}" for f, code in zip(factors, codes, strict=True))


def differences(table: "DataFrame") -> FloatArray:
    """Other minus reference level of the first factor in the columns, averaged over the rest."""
    names: list[Any] = list(table.columns)
    codes = np.array([name[0] if isinstance(name, tuple) else name for name in names], dtype=np.float64)
    values = np.asarray(table, dtype=np.float64)
    return np.asarray(values[:, codes > 0].mean(axis=1) - values[:, codes < 0].mean(axis=1))


def codes_of(sample: Sample, subjects: "DataFrame", factor: Factor) -> FloatArray:
    """Codes of a factor between participants, in the order of a table of participants."""
    return sample.rows.groupby(SUBJECT)[code_column(factor)].first().loc[subjects.index].to_numpy(dtype=float)
