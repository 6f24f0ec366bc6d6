"""The tables of a study, made from the results of its scans."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrspipe.core.results import Failure
from mrspipe.core.signal import ScanKey
from mrspipe.io.bids import ScanFiles, StudyFiles, participants, sessions
from mrspipe.io.columns import FAILURES, MEASUREMENTS, QUALITY, SCAN_ALTERNATIVES
from mrspipe.io.derivatives import (
    measurement_rows,
    quality_row,
    read_alternatives,
    read_levels,
    read_quality,
    results_exist,
)
from mrspipe.io.rows import scan_columns
from mrspipe.io.tables import MISSING, read_table, write_table
from mrspipe.stats.design import Design
from mrspipe.stats.ratings import ratings_table

if TYPE_CHECKING:
    from pandas import DataFrame

_OTHER_ENTITIES = ("acq", "nuc", "voi", "rec", "echo", "inv")
_SCAN_COLUMNS = ("participant_id", "session_id", "task_id", "run")


def collect(
    out_dir: Path,
    bids_dir: Path,
    scans: Sequence[ScanFiles],
    design: Design,
    alternatives: Sequence[dict[str, Any]] = (),
) -> None:
    """Write ``measurements``, ``alternatives``, ``quality`` and ``ratings`` (``.tsv``) of all scans that have results.

    Columns of ``participants.tsv`` and of the sessions files are joined on, so that the group analysis needs these
    tables only.

    Parameters
    ----------
    out_dir, bids_dir : Path
    scans : sequence of ScanFiles
    design : Design
    alternatives : sequence of dict, optional
        Further rows of ``alternatives.tsv``, beside those of the scans.
    """
    import pandas as pd

    finished = [scan.key for scan in scans if results_exist(out_dir, scan.key)]
    measured: list[dict[str, Any]] = []
    judged: list[dict[str, Any]] = []
    for key in finished:
        quality = read_quality(out_dir, key)
        measured += measurement_rows(key, read_levels(out_dir, key), quality)
        judged.append(quality_row(key, quality))
    people, visits = participants(bids_dir), sessions(bids_dir)
    quality_table = pd.DataFrame(judged, columns=_columns(judged, (*_SCAN_COLUMNS, "verdict", "reasons")))
    measurements = pd.DataFrame(measured, columns=_columns(measured, tuple(MEASUREMENTS)))
    tissue = [name for name in ("gm_fraction", "wm_fraction", "csf_fraction") if name in quality_table]
    if tissue:
        keys = [*_SCAN_COLUMNS, *(name for name in _OTHER_ENTITIES if name in quality_table)]
        measurements = measurements.merge(quality_table[[*keys, *tissue]], "left", on=keys, validate="many_to_one")
    measurements = _joined(_joined(measurements, people, ["participant_id"]), visits, ["participant_id", "session_id"])
    folder = out_dir / "group"
    write_table(folder / "measurements.tsv", measurements, MEASUREMENTS)
    write_table(folder / "quality.tsv", quality_table, QUALITY)
    write_table(folder / "participants.tsv", people)
    write_table(folder / "alternatives.tsv", _alternatives(out_dir, finished, alternatives), SCAN_ALTERNATIVES)
    # Without sessions, a visit is the participant.
    rated = people if visits.empty else _joined(visits, people, ["participant_id"])
    ratings = ratings_table(rated, design)
    if ratings is not None:
        write_table(folder / "ratings.tsv", ratings)


def _alternatives(out_dir: Path, keys: Sequence[ScanKey], more: Sequence[dict[str, Any]]) -> "DataFrame":
    import pandas as pd

    tables = [read_alternatives(out_dir, key).assign(**scan_columns(key)) for key in keys]
    tables += [pd.DataFrame(list(more))] if more else []
    found = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(SCAN_ALTERNATIVES))
    return found[list(SCAN_ALTERNATIVES)]


def _columns(rows: Iterable[dict[str, Any]], first: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*first, *(name for row in rows for name in row)]))


def _joined(table: "DataFrame", other: "DataFrame", on: list[str]) -> "DataFrame":
    """Join columns that the table does not have yet."""
    new = [name for name in other.columns if name not in table.columns]
    return table.merge(other[[*on, *new]], "left", on=on) if new else table


def write_failures(
    out_dir: Path, found: Sequence[Failure], files: StudyFiles, everything: StudyFiles
) -> tuple[Failure, ...]:
    """Write ``failures.tsv``: what failed now, and what failed in earlier runs and was not repaired since.

    Returns
    -------
    tuple of Failure
        Those of the table, in its order.
    """
    import pandas as pd

    settled = {_place(failure.row()) for failure in found}
    settled |= {_place(scan_columns(scan.key)) for scan in files.scans if results_exist(out_dir, scan.key)}
    rows = [*(failure.row() for failure in found)]
    known = {_place(scan_columns(scan.key)) for scan in everything.scans}
    known |= {_place(failure.row()) for failure in everything.failures}
    earlier = [row for row in _rows(out_dir / "group" / "failures.tsv") if _place(row) in known - settled]
    rows += [row for row in earlier if row["code"] != "no-scan"]
    rows.sort(key=lambda row: tuple(str(row[name]) for name in (*_SCAN_COLUMNS, "stage", "message")))
    write_table(out_dir / "group" / "failures.tsv", pd.DataFrame(rows, columns=list(FAILURES)), FAILURES)
    return failures_of(out_dir)


def failures_of(out_dir: Path) -> tuple[Failure, ...]:
    """Read ``failures.tsv``; empty when there is none."""
    return tuple(
        Failure(
            {
                entity: row[column].removeprefix(f"{entity}-")
                for entity, column in zip(("sub", "ses", "task", "run"), _SCAN_COLUMNS, strict=True)
                if row[column] != MISSING
            },
            *(row[name] if row[name] != MISSING else "" for name in ("stage", "code", "message", "cure")),
        )
        for row in _rows(out_dir / "group" / "failures.tsv")
    )


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    table = read_table(path).astype(object)
    return [{str(name): str(value) for name, value in row.items()} for row in table.fillna(MISSING).to_dict("records")]


def _place(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in _SCAN_COLUMNS)
