"""A table of concentrations from any program becomes the table of measurements that the contrasts are computed from.

Tables are text when they come, with the number of the line as index, so that what is wrong can be named by its line.
They are long (a row for each scan and metabolite, with ``metabolite`` and ``value``) or wide (a row for each scan and a
column for each metabolite).
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mrspipe.core.errors import InputError
from mrspipe.stats.design import MEASURED_COLUMNS, Design, TableSettings
from mrspipe.stats.factors import label, labels
from mrspipe.stats.ratings import ratings_table
from mrspipe.stats.rows import SCAN_COLUMNS

if TYPE_CHECKING:
    from pandas import DataFrame, Series

MISSING = "n/a"
_OTHER_NAMES = {
    "participant_id": ("participant", "subject", "subject_id", "sub", "id"),
    "session_id": ("session", "ses", "visit"),
    "task_id": ("task",),
    "run": ("run_id",),
}
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_PASSED = frozenset({"true", "1", "yes", "pass", "passed", "good", "ok", "included", "doubtful"})
_NOT_PASSED = frozenset({"false", "0", "no", "fail", "failed", "bad", "unusable", "excluded"})


def measurements_of(table: "DataFrame", design: Design, settings: TableSettings, *, where: str) -> "DataFrame":
    """Make measurements of a table.

    Parameters
    ----------
    table : DataFrame
        Of text, ``n/a`` where something is missing; the index is the number of the line.
    design : Design
    settings : TableSettings
    where : str
        The table, for messages.

    Returns
    -------
    DataFrame
        As ``measurements.tsv``: one row for each scan and metabolite, with ``included`` and ``reason``, and all other
        columns of the table.

    Raises
    ------
    InputError
        A column is missing, a number is not one, or a scan is there twice; the message names line and column.
    """
    import pandas as pd

    absent = [name for name in (*settings.columns, *settings.metabolites) if name not in table.columns]
    if absent:
        text = f"stats.table names the column '{absent[0]}', which the table does not have."
        cure = f"Its columns are {', '.join(map(str, table.columns))}."
        raise InputError(text, where=where, cure=cure, code="column")
    table = named(table, design, settings)
    if design.subject not in table.columns:
        cure = "Name it so, or say what it is called in stats.table.columns."
        raise InputError(f"The table has no column '{design.subject}'.", where=where, cure=cure, code="column")
    _refuse_blank(table, design.subject, where)
    table = _numeric_covariates(table, design, where)
    is_long = {"metabolite", "value"} <= set(table.columns)
    made = table.copy() if is_long else _long(table, design, settings, where)
    made = made.assign(value=numbers(made, "value", where, is_long=is_long))
    if "quantity" not in made.columns:
        made = made.assign(quantity=design.outcome.quantity)
    made = _judged(made, settings, where)
    _refuse_repeated(made, design, where)
    for name in SCAN_COLUMNS:
        if name not in made.columns:
            made = made.assign(**{name: MISSING})
    made = made.assign(participant_id=made[design.subject])
    rest = [name for name in made.columns if name not in {*SCAN_COLUMNS, "__column"}]
    return pd.DataFrame(made[[*SCAN_COLUMNS, *rest]].reset_index(drop=True).replace(MISSING, None))


def named(table: "DataFrame", design: Design, settings: TableSettings) -> "DataFrame":
    """Give the columns the names that the analysis uses; those that the design names keep theirs."""
    kept = {design.subject, *design.columns}
    table = table.rename(columns=settings.columns)
    for name, others in _OTHER_NAMES.items():
        present = [other for other in table.columns if str(other).lower() in others and other not in kept]
        if name not in table.columns and present:
            table = table.rename(columns={present[0]: name})
    return table


def numbers(table: "DataFrame", column: str, where: str, *, is_long: bool = True) -> "Series[float]":
    """Turn a column of text into numbers.

    Raises
    ------
    InputError
        A cell is text; the message names its line and column.
    """
    import pandas as pd

    cells = table[column].astype(str)
    wrong = (cells != MISSING) & ~cells.map(lambda cell: bool(_NUMBER.fullmatch(cell)))
    if wrong.any():
        at = cells.index[wrong][0]
        shown = cells[wrong].iloc[0]
        place = column if is_long else table["__column"][wrong].iloc[0]
        cure = "Write a decimal point." if re.fullmatch(r"[-+]?\d+,\d+", shown) else "Write a number, or n/a."
        raise InputError(f"Line {at}, column '{place}': '{shown}' is no number.", where=where, cure=cure, code="number")
    return pd.to_numeric(cells.where(cells != MISSING), errors="raise").astype(float)


def _refuse_blank(table: "DataFrame", column: str, where: str) -> None:
    blank = labels(table[column]) == ""
    if blank.any():
        text = f"Line {table.index[blank][0]} has no {column}."
        raise InputError(text, where=where, cure="Say whose value it is, or leave the line out.", code="participant")


def _numeric_covariates(table: "DataFrame", design: Design, where: str) -> "DataFrame":
    """Covariates are numbers or levels; a column with both is a mistake."""
    for name in dict.fromkeys((*design.covariates, *sorted(MEASURED_COLUMNS))):
        if name in table.columns:
            cells = table[name].astype(str)
            if cells.map(lambda cell: bool(_NUMBER.fullmatch(cell))).any():
                table = table.assign(**{name: numbers(table, name, where)})
    return table


def _long(table: "DataFrame", design: Design, settings: TableSettings, where: str) -> "DataFrame":
    import pandas as pd

    columns = {column: name for column, name in settings.metabolites.items() if name in design.metabolites}
    for name in design.metabolites:
        if name not in columns.values():
            alike = [column for column in table.columns if str(column).lower() == name.lower()]
            columns |= {alike[0]: name} if alike else {}
    if design.outcome.metabolite not in columns.values():
        wanted = design.outcome.metabolite
        text = f"The table has neither columns 'metabolite' and 'value', nor a column for {wanted}."
        cure = f"Name it in stats.table.metabolites; the columns are {', '.join(map(str, table.columns))}."
        raise InputError(text, where=where, cure=cure, code="column")
    rest = table.drop(columns=list(columns))
    ordered = sorted(columns, key=lambda column: design.metabolites.index(columns[column]))
    parts = [rest.assign(metabolite=columns[c], value=table[c], __column=c) for c in ordered]
    return pd.concat(parts)


def _judged(table: "DataFrame", settings: TableSettings, where: str) -> "DataFrame":
    """Add ``included`` and ``reason`` from the column that says which rows passed."""
    column = "included" if "included" in table.columns else settings.quality
    reason = table["reason"] if "reason" in table.columns else MISSING
    if column not in table.columns:
        return table.assign(included=True, reason=reason)
    cells = table[column].astype(str).str.lower()
    unknown = ~cells.isin([*_PASSED, *_NOT_PASSED])
    if unknown.any():
        at, shown = table.index[unknown][0], table[column][unknown].iloc[0]
        text = f"Line {at}, column '{column}': '{shown}' does not say whether the row is included."
        raise InputError(text, where=where, cure="Write pass or fail, or true or false.", code="quality")
    passed = cells.isin(_PASSED)
    said = f"{column}: " + table[column].astype(str)
    table = table.assign(included=passed, reason=reason)
    silent = ~passed & (table["reason"].astype(str) == MISSING)
    return table.assign(reason=table["reason"].where(~silent, said))


def _refuse_repeated(table: "DataFrame", design: Design, where: str) -> None:
    factors = [factor.column for factor in design.factors]
    wanted = (design.subject, *SCAN_COLUMNS, *factors, design.period, "metabolite", "quantity")
    keys = list(dict.fromkeys(name for name in wanted if name in table.columns))
    spelled = table[keys].apply(labels)
    again = spelled.duplicated()
    if again.any():
        at = list(again).index(True)
        first = (spelled == spelled.iloc[at]).all(axis=1)
        who = ", ".join(f"{name} {value}" for name, value in spelled.iloc[at].items() if value)
        text = f"Line {table.index[at]} repeats line {table.index[first][0]} ({who})."
        cure = "Delete one of them; where a scan was repeated, tell the scans apart by a column 'run'."
        raise InputError(text, where=where, cure=cure, code="repeated")


def ratings_of(table: "DataFrame", design: Design, settings: TableSettings, *, where: str) -> "DataFrame | None":
    """Make ratings of a table that has a row for each scan, or for each visit.

    Parameters
    ----------
    table : DataFrame
        Of text, as for `measurements_of`. A row for each scan has the level of the condition, and the rating in the
        column that ``design.ratings.columns`` names for that level (the same one for both, as a rule), or in a column
        ``value`` or of the rating's name. A row for each visit has a column for each level.
    design : Design
    settings : TableSettings
    where : str

    Returns
    -------
    DataFrame or None
        One row a rating; None where the design has no ratings, or none of their columns is there.

    Raises
    ------
    InputError
        A rating is no number, or a scan has two.
    """
    import pandas as pd

    rating = design.ratings
    table = named(table, design, settings)
    if rating is None or design.subject not in table.columns:
        return None
    table = table.assign(participant_id=table[design.subject])
    condition = design.condition.source if design.condition else "task_id"
    columns = {level: name for level, name in rating.columns.items() if name in table.columns}
    if not columns and condition in table.columns:
        alone = [name for name in (rating.name, "value") if name in table.columns and "metabolite" not in table.columns]
        columns = dict.fromkeys(rating.columns, alone[0]) if alone else {}
    if not columns:
        return None
    table = table.assign(**{name: numbers(table, name, where) for name in dict.fromkeys(columns.values())})
    if condition not in table.columns:
        return ratings_table(_once(table, [design.subject, "session_id"], list(columns.values()), where), design)
    parts = []
    for level, name in columns.items():
        part = table[labels(table[condition]) == label(level)]
        parts.append(part.assign(rating=rating.name, value=part[name]))
    rows = pd.concat(parts).drop(columns=["included", "reason", "metabolite", "quantity"], errors="ignore")
    keys = [design.subject, *SCAN_COLUMNS, *(factor.column for factor in design.factors)]
    return _once(rows, keys, ["value"], where).reset_index(drop=True).replace(MISSING, None)


def _once(table: "DataFrame", keys: Sequence[str], values: Sequence[str], where: str) -> "DataFrame":
    """One row for each scan; a long table repeats a rating for each metabolite."""
    keys = list(dict.fromkeys(name for name in keys if name in table.columns))
    rows = table.drop_duplicates([*keys, *values])
    again = rows.duplicated(keys)
    if again.any():
        at = rows.index[again][0]
        who: Any = ", ".join(str(rows.loc[[at], name].iloc[0]) for name in keys)
        raise InputError(
            f"Line {at}: another rating for {who}.", where=where, cure="Keep one rating a scan.", code="repeated"
        )
    return rows
