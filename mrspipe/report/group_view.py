"""What the page of a study shows beside its figures: subjects, and what was left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mrspipe.report.answers import of_outcome
from mrspipe.report.cited import joined, scan_origin
from mrspipe.report.content import GroupPage, SampleCount
from mrspipe.report.group_figures import group_by_subject
from mrspipe.report.spelling import MISSING, Row, humanised, number, records, words
from mrspipe.report.subject_view import OPENINGS

if TYPE_CHECKING:
    from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class _Cell:
    """A column of the table of subjects: its title, and the values that a row must have to stand in it."""

    title: str
    where: Mapping[str, str]

    def holds(self, row: Row) -> bool:
        return all(str(row.get(column)) == value for column, value in self.where.items())


def sample_row(sample: SampleCount) -> tuple[str, ...]:
    """Spell the counts of a group."""
    counts = (sample.subjects, sample.subjects_included, sample.scans, sample.scans_included)
    return (sample.label, *(number(value) for value in counts))


def subject_columns(page: GroupPage) -> list[str]:
    """Titles of the columns of values in the table of subjects."""
    return [cell.title for cell in _cells(page)]


def _cells(page: GroupPage) -> list[_Cell]:
    factors = [factor for factor in (page.treatment, page.condition) if factor is not None]
    columns = [[(factor.column, value, label) for value, label in factor.labels.items()] for factor in factors]
    whole = "Signal to noise" if page.blinded else page.outcome.label
    return [
        _Cell(", ".join(label for *_, label in level) or whole, {name: value for name, value, _ in level})
        for level in product(*columns)
    ]


def subject_rows(page: GroupPage) -> list[dict[str, Any]]:
    """Give a row a subject: everyone who was measured, used or not.

    The values are those of the outcome; on a blinded page, the signal-to-noise ratio of each scan.
    """
    quality, groups, cells = records(page.quality), group_by_subject(page), _cells(page)
    rows = [row for row in records(page.measurements) if of_outcome(row, page.outcome)]
    failed = [str(failure.row()["participant_id"]) for failure in page.failures]
    measured_ones = [str(row.get(page.subject_column)) for row in [*records(page.measurements), *quality]]
    by_subject = _by_subject(quality if page.blinded else rows, page)
    judged = _by_subject(quality, page)
    return [
        {
            "name": subject,
            "link": f"{quote(subject)}.html",
            "group": groups.get(subject, "") or MISSING,
            "levels": [
                _values([row for row in by_subject.get(subject, ()) if cell.holds(row)], page) for cell in cells
            ],
            "verdicts": _verdicts(judged.get(subject, ())),
        }
        for subject in sorted({*measured_ones, *failed} - {MISSING})
    ]


def _by_subject(rows: Sequence[Row], page: GroupPage) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(row.get(page.subject_column)), []).append(row)
    return found


def _values(rows: Sequence[Row], page: GroupPage) -> "Markup | str":
    from markupsafe import Markup

    shown: list[Markup | str] = []
    for row in rows:
        if page.blinded:
            value = scan_origin("group/quality.tsv", row).cite("snr", row.get("snr"), number(row.get("snr")))
        else:
            origin = scan_origin("group/measurements.tsv", row, "metabolite", "quantity")
            value = origin.cite("value", row.get("value"), number(row.get("value")))
        shown.append(value if page.blinded or row.get("included", True) else Markup("({})").format(value))
    return joined(shown) if shown else MISSING


def _verdicts(rows: Sequence[Row]) -> list[tuple[str, int]]:
    found = [str(row.get("verdict")) for row in rows]
    return [(verdict, found.count(verdict)) for verdict in OPENINGS if verdict in found]


def exclusion_view(page: GroupPage) -> dict[str, Any]:
    """Give what was left out: a row a scan and reason, with the metabolites and analyses it concerns."""
    gathered: dict[tuple[str, ...], dict[str, dict[str, None]]] = {}
    names = [str(name) for name in page.exclusions.columns]
    merged = [name for name in ("metabolite", "analysis") if name in names]
    kept = [name for name in names if name not in merged]
    for row in records(page.exclusions):
        entry = gathered.setdefault(tuple(words(row[name]) for name in kept), {name: {} for name in merged})
        for name in merged:
            entry[name][words(row[name])] = None
    rows = [
        {
            "subject": key[kept.index(page.subject_column)] if page.subject_column in kept else "",
            "cells": [key[kept.index(name)] if name in kept else ", ".join(entry[name]) for name in names],
        }
        for key, entry in gathered.items()
    ]
    return {"columns": [_TITLES.get(name, humanised(name)) for name in names], "rows": rows}


_TITLES = {"participant_id": "Subject", "session_id": "Session", "task_id": "Task", "metabolite": "Metabolites",
           "analysis": "Left out of"}  # fmt: skip
