"""The tables of a study, made from the results of its scans."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrspipe.core.results import Failure
from mrspipe.core.signal import ScanKey
from mrspipe.io.bids import ScanFiles, participants, sessions
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
from mrspipe.io.tables import MISSING, format_cell, read_json, read_table, table_of, write_json, write_table
from mrspipe.stats.design import Design
from mrspipe.stats.ratings import ratings_table

if TYPE_CHECKING:
    from pandas import DataFrame

_OTHER_ENTITIES = ("acq", "nuc", "voi", "rec", "echo", "inv")
_FAILURES = Path("logs") / "failures"
_SCAN_COLUMNS = ("participant_id", "session_id", "task_id", "run")


def collect(out_dir: Path, bids_dir: Path, scans: Sequence[ScanFiles]) -> None:
    """Write ``measurements``, ``alternatives`` and ``quality`` (``.tsv``) of all scans that have results.

    Columns of ``participants.tsv`` and of the sessions files are joined on, and both are written as tables of their own
    (``participants`` and, where there are any, ``sessions``), so that the group analysis needs these tables only.

    Parameters
    ----------
    out_dir, bids_dir : Path
    scans : sequence of ScanFiles
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
    write_table(folder / "alternatives.tsv", _alternatives(out_dir, finished), SCAN_ALTERNATIVES)
    if not visits.empty:
        write_table(folder / "sessions.tsv", visits)


def write_ratings(folder: Path, design: Design) -> "DataFrame | None":
    """Write ``ratings.tsv``, if the participants rated what the design names; gives them as they are read.

    Parameters
    ----------
    folder : Path
        With ``participants.tsv`` and, where there are sessions, ``sessions.tsv``.
    design : Design
    """
    rated = read_table(folder / "participants.tsv")
    if (folder / "sessions.tsv").exists():
        rated = _joined(read_table(folder / "sessions.tsv"), rated, ["participant_id"])
    # Without sessions, a visit is the participant.
    ratings = ratings_table(rated, design)
    if ratings is None:
        return None
    write_table(folder / "ratings.tsv", ratings)
    return read_table(folder / "ratings.tsv")


def _alternatives(out_dir: Path, keys: Sequence[ScanKey]) -> "DataFrame":
    import pandas as pd

    tables = [read_alternatives(out_dir, key).assign(**scan_columns(key)) for key in keys]
    found = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(SCAN_ALTERNATIVES))
    return found[list(SCAN_ALTERNATIVES)]


def _columns(rows: Iterable[dict[str, Any]], first: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*first, *(name for row in rows for name in row)]))


def _joined(table: "DataFrame", other: "DataFrame", on: list[str]) -> "DataFrame":
    """Join columns that the table does not have yet."""
    new = [name for name in other.columns if name not in table.columns]
    return table.merge(other[[*on, *new]], "left", on=on) if new else table


def record_failure(out_dir: Path, label: str, failure: Failure) -> None:
    """Note why a scan has no results, until it has: in a file of its own, so that runs need not wait for each other."""
    write_json(out_dir / _FAILURES / f"{label}.json", failure)


def forget_failures(out_dir: Path, labels: Iterable[str]) -> None:
    """Remove the notes of scans that have results now."""
    noted = {path.stem: path for path in (out_dir / _FAILURES).glob("*.json")}
    for label in labels:
        if label in noted:
            noted[label].unlink(missing_ok=True)


def recorded_failures(out_dir: Path, labels: Iterable[str]) -> list[Failure]:
    """Read the notes of scans, by their labels; there need be none."""
    wanted = set(labels)
    paths = [path for path in sorted((out_dir / _FAILURES).glob("*.json")) if path.stem in wanted]
    return [Failure(**read_json(path)) for path in paths]


def in_order(found: Iterable[Failure]) -> tuple[Failure, ...]:
    """Give each failure once, in the order of ``failures.tsv`` and as that table will be read."""
    rows = {tuple(format_cell(value) for value in failure.row().values()) for failure in found}
    named = [dict(zip(FAILURES, row, strict=True)) for row in rows]
    named.sort(key=lambda row: tuple(row[name] for name in (*_SCAN_COLUMNS, "stage", "message")))
    return tuple(_failure(row) for row in named)


def write_failures(out_dir: Path, failures: Sequence[Failure]) -> None:
    """Write ``failures.tsv``."""
    rows = [failure.row() for failure in failures]
    write_table(out_dir / "group" / "failures.tsv", table_of(rows, FAILURES), FAILURES)


def failures_of(out_dir: Path) -> tuple[Failure, ...]:
    """Read ``failures.tsv``; empty when there is none."""
    return tuple(_failure(row) for row in _rows(out_dir / "group" / "failures.tsv"))


def _failure(row: Mapping[str, str]) -> Failure:
    entities = {
        entity: row[column].removeprefix(f"{entity}-")
        for entity, column in zip(("sub", "ses", "task", "run"), _SCAN_COLUMNS, strict=True)
        if row[column] != MISSING
    }
    return Failure(entities, *("" if row[n] == MISSING else row[n] for n in ("stage", "code", "message", "cure")))


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    table = read_table(path).astype(object)
    return [{str(name): str(value) for name, value in row.items()} for row in table.fillna(MISSING).to_dict("records")]
