"""What changed between the spectra of one subject, from a fit of all of them together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrspipe.config import StudyConfig
from mrspipe.core.errors import MrspipeError
from mrspipe.core.signal import ScanKey, Signal
from mrspipe.engine import Progress, Workers
from mrspipe.fit.dynamic import Change, fit_jointly
from mrspipe.fit.learning import LearnedMacromolecules
from mrspipe.io.columns import CHANGES, SCAN_CHANGES, SPECTRUM_CHANGES, Descriptions
from mrspipe.io.derivatives import read_clean
from mrspipe.io.tables import table_of, write_table
from mrspipe.pipeline.basis import basis_for
from mrspipe.pipeline.kept_rows import KeptRows, Row

Cells = Mapping[str, Any]
# Metabolites and sums whose changes are reported, where they were fitted.
_REPORTED = ("Glu", "Gln", "Glx", "tNAA", "tCho", "Ins", "GABA", "GSH")


@dataclass(frozen=True, slots=True)
class SubjectJob:
    """Preprocessed spectra of one subject, and the cells that name each in a table."""

    names: tuple[Cells, ...]
    signals: tuple[Signal, ...]
    config: StudyConfig
    learned: LearnedMacromolecules | None


def write_spectrum_changes(
    path: Path, spectra: Mapping[str, Signal], config: StudyConfig, learned: LearnedMacromolecules | None
) -> None:
    """Write the changes from the first of some preprocessed spectra of one subject to each of the others.

    Raises
    ------
    MrspipeError
        They cannot be fitted together.
    """
    job = SubjectJob(tuple({"spectrum": name} for name in spectra), tuple(spectra.values()), config, learned)
    _write(path, _changes(job), SPECTRUM_CHANGES)


def write_scan_changes(
    kept: KeptRows,
    keys: Sequence[ScanKey],
    config: StudyConfig,
    learned: LearnedMacromolecules | None,
    workers: Workers,
    progress: Progress,
) -> None:
    """Write ``group/changes.tsv``: in every subject, the changes from the first scan to each of the others.

    A subject whose spectra cannot be fitted together has no rows; what is wrong with a scan is among the failures.
    """

    def job(scans: tuple[ScanKey, ...]) -> SubjectJob:
        signals = tuple(read_clean(kept.out_dir, key) for key in scans)
        return SubjectJob(tuple(_cells(key) for key in scans), signals, config, learned)

    rows = kept.of_subjects(keys, job, _changes_or_none, workers, progress)
    _write(kept.out_dir / "group" / "changes.tsv", rows, SCAN_CHANGES)


def _write(path: Path, rows: Sequence[Row], names: Descriptions) -> None:
    columns = {**names, **CHANGES}
    write_table(path, table_of(rows, columns), columns)


def _cells(key: ScanKey) -> Cells:
    return {
        "participant_id": f"sub-{key.sub}",
        "session_id": f"ses-{key.ses}" if key.ses else None,
        "task_id": key.task,
        "run": key.run,
    }


def _changes_or_none(job: SubjectJob) -> list[Row]:
    if len(job.signals) < 2:
        return []
    try:
        return _changes(job)
    except MrspipeError:
        return []


def _changes(job: SubjectJob) -> list[Row]:
    basis = basis_for(job.signals[0], job.config.basis)
    joint = fit_jointly(job.signals, basis, job.config.fit, job.learned)
    changes = [change for metabolite in _REPORTED for change in joint.changes(metabolite)]
    # Scan by scan, and the metabolites of each in the order above.
    in_order = sorted(changes, key=lambda change: change.second)
    return [{**job.names[change.second], **_since(job.names[0]), **_row(change)} for change in in_order]


def _since(first: Cells) -> Row:
    """Cells of the scan that a change is relative to, apart from the subject's name."""
    return {f"since_{name}": value for name, value in first.items() if name != "participant_id"}


def _row(change: Change) -> Row:
    percent = 100 / change.reference
    return {
        "metabolite": change.metabolite,
        "quantity": "ratio_tcr",
        "reference": change.reference,
        "change": change.value,
        "change_se": change.se,
        "change_pct": percent * change.value,
        "change_pct_se": abs(percent) * change.se,
        "separate_change": change.separate,
        "separate_change_se": change.separate_se,
    }
