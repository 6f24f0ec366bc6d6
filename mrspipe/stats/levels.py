"""Whether a study has the columns and the levels that its design names: asked before anything is computed."""

import difflib
from collections.abc import Iterable, Iterator, Mapping

from mrspipe.core.errors import ConfigError
from mrspipe.stats.design import Design
from mrspipe.stats.factors import ENTITY_COLUMNS, Factor, label
from mrspipe.stats.identify import in_order

_SHOWN = 8


def refuse_unknown_levels(design: Design, found: Mapping[str, Iterable[object]], *, where: str, tables: str) -> None:
    """Refuse a design that names a column or a level of a factor that no row has.

    Parameters
    ----------
    design : Design
    found : mapping of str to iterable
        The cells of each column of the study's tables; of ``session_id``, ``task_id`` and ``run`` those of the scans.
        Columns that the analysis itself makes have none yet.
    where : str
        The study, for the message.
    tables : str
        What the columns come from, in words: ``"the sessions files"``.

    Raises
    ------
    ConfigError
        All that is wrong, each with the column, the level that was asked for, those that there are, and the nearest.
    """
    problems = [*_columns(design, found, tables)]
    for factor in design.factors:
        if factor.column in found:
            problems += _levels(factor, found[factor.column])
    if problems:
        cure = "Correct the design, or the tables."
        raise ConfigError(" ".join(problems), where=where, cure=cure, code="level")


def _columns(design: Design, found: Mapping[str, Iterable[object]], tables: str) -> Iterator[str]:
    named = {f"design.{factor.name}": factor.column for factor in design.factors}
    named |= {"design.treatment.period": design.period} if design.period else {}
    wanted = [*named.items(), *(("design.covariates", name) for name in design.covariates)]
    for setting, column in wanted:
        if column not in found:
            yield f"{setting} names the column '{column}', which is not in {tables}{_nearest(column, found)}"


def _levels(factor: Factor, cells: Iterable[object]) -> Iterator[str]:
    there = in_order({label(cell) for cell in cells} - {""})
    for level in factor.levels:
        if level not in there:
            listed = ", ".join(f"'{one}'" for one in there[:_SHOWN]) + (", ..." if len(there) > _SHOWN else "")
            has = f"there is {listed}" if there else "the column is empty"
            place = factor.column.removesuffix("_id") if factor.column in ENTITY_COLUMNS.values() else factor.column
            yield f"design.{factor.name}: no row has {place} '{level}'; {has}{_nearest(level, there)}"


def _nearest(wanted: str, known: Iterable[str]) -> str:
    """Suggest the name that is written most alike, capitals, spaces and strokes aside."""
    spelled = {_plain(name): name for name in sorted(known, reverse=True)}
    near = difflib.get_close_matches(_plain(wanted), list(spelled), n=1)
    return f". Did you mean '{spelled[near[0]]}'?" if near else "."


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
