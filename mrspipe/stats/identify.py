"""What data cannot tell apart: two factors that coincide, and columns of a model that follow from each other."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import AnalysisError
from mrspipe.stats.design import ContrastSettings, Design
from mrspipe.stats.factors import Factor, labels

if TYPE_CHECKING:
    from pandas import DataFrame, Series

# Share of a column's variation that is as good as none.
_NOTHING = 1e-9


def in_order(levels: Iterable[str]) -> list[str]:
    """Sort levels: numbers by size, then text.

    Examples
    --------
    >>> in_order({"10", "2", "b", "a"})
    ['2', '10', 'a', 'b']
    """
    return sorted(levels, key=lambda text: (0, float(text), text) if _is_number(text) else (1, 0.0, text))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def refuse_confounded(
    rows: "DataFrame",
    compared: Iterable[Factor],
    design: Design,
    contrast: ContrastSettings,
    *,
    held: Iterable[str] = (),
) -> None:
    """Refuse to compare the levels of a factor that follow from those of something else.

    Parameters
    ----------
    rows : DataFrame
        Usable scans.
    compared : iterable of Factor
    design : Design
    contrast : ContrastSettings
    held : iterable of str
        Columns that are held at one level in `rows`.

    Raises
    ------
    AnalysisError
        The message names the two things and how they coincide.
    """
    for factor in compared:
        if factor.name == "treatment" and design.period and design.period not in rows.columns:
            text = f"The design names the period '{design.period}', but the tables have no such column."
            raise AnalysisError(text, code="column")
        for name, column in _rivals(factor, design, contrast):
            if column in rows.columns and column not in held:
                said = _coincidence(labels(rows[factor.column]), labels(rows[column]), factor)
                if said:
                    text = (
                        f"The {factor.name} (column {factor.column}) cannot be told apart from the {name} "
                        f"(column {column}): {said}."
                    )
                    raise AnalysisError(text, code="confounded")


def _rivals(factor: Factor, design: Design, contrast: ContrastSettings) -> list[tuple[str, str]]:
    """What a factor may coincide with: the other factors and the period, by name and column."""
    if factor.name == "sequence":
        return [(one.name, one.column) for one in design.factors if one.is_between]
    rivals: list[tuple[str, str]] = [(one.name, one.column) for one in design.factors if one.name != factor.name]
    if factor.name == "treatment" and design.period:
        rivals.append(("period", design.period))
    untreated = design.time is not None and contrast.within.get("time") == design.time.levels[0]
    return [rival for rival in rivals if not (rival[0] == "arm" and untreated)]


def _coincidence(levels: "Series[str]", others: "Series[str]", factor: Factor) -> str:
    """Say which levels go together where each of the others goes with one of these only; else nothing."""
    known = levels.isin(factor.levels) & (others != "")
    pairs = set(zip(levels[known], others[known], strict=True))
    with_level = {level: in_order(b for a, b in pairs if a == level) for level in factor.levels}
    if not all(with_level.values()) or len(pairs) > len({b for _, b in pairs}):
        return ""
    return ", ".join(f"{level} goes only with {' and '.join(found)}" for level, found in with_level.items())


def run_order_note(rows: "DataFrame", factor: Factor) -> str:
    """Say that a condition was always the same run of its visit, so a drift over the visit is part of its effect."""
    if factor.name != "condition" or factor.column == "run" or "run" not in rows.columns:
        return ""
    if not _coincidence(labels(rows[factor.column]), labels(rows["run"]), factor):
        return ""
    return f"Each level of {factor.column} had its own place in the visit (run); a drift over the visit is part of it."


def what_coincides(columns: Mapping[str, FloatArray]) -> str:
    """Say which columns of a model follow from each other; empty where none does.

    Parameters
    ----------
    columns : mapping of name to real array, shape (n,)
        Without the intercept, which is always in the model.

    Examples
    --------
    >>> what_coincides({"group": np.array([0.0, 0, 1, 1]), "site": np.array([2.0, 2, 5, 5])})
    'group cannot be told apart from site'
    """
    names, scaled = list(columns), {name: _standardised(column) for name, column in columns.items()}
    for name in names:
        if not scaled[name].any():
            return f"{_spelled(name)} does not vary"
    for i, name in enumerate(names):
        for other in names[i + 1 :]:
            if _rest(scaled[name], [scaled[other]]) < _NOTHING:
                return f"{_spelled(name)} cannot be told apart from {_spelled(other)}"
    for i, name in enumerate(names):
        before = names[:i]
        if before and _rest(scaled[name], [scaled[one] for one in before]) < _NOTHING:
            needed = _needed(scaled, name, before)
            return f"{_spelled(name)} cannot be told apart from {' with '.join(_spelled(one) for one in needed)}"
    return ""


def _standardised(column: FloatArray) -> FloatArray:
    centred = column - column.mean()
    size = float(np.linalg.norm(centred))
    return centred / size if size > _NOTHING * float(np.linalg.norm(column)) else np.zeros_like(centred)


def _rest(column: FloatArray, others: list[FloatArray]) -> float:
    """What a column of unit length has that the others have not."""
    X = np.column_stack(others)
    return float(np.linalg.norm(column - X @ np.linalg.lstsq(X, column, rcond=None)[0]))


def _needed(scaled: Mapping[str, FloatArray], name: str, others: list[str]) -> list[str]:
    """The others without those that a column follows without."""
    needed = list(others)
    for one in others:
        fewer = [other for other in needed if other != one]
        if fewer and _rest(scaled[name], [scaled[other] for other in fewer]) < _NOTHING:
            needed = fewer
    return needed


def _spelled(name: str) -> str:
    return name.replace(":", " by ")
