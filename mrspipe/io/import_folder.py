"""A whole folder of scans into a BIDS dataset, row by row of a mapping, with a report of what became of each.

A row that cannot be converted does not stop the others. What is there already with the same content is left as it is,
so an interrupted import is resumed by the same command.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrspipe.core.errors import MrspipeError
from mrspipe.io.import_mapping import ImportRow
from mrspipe.io.tables import MISSING, read_table, table_of, write_table
from mrspipe.io.vendor import ImportOptions, ImportReport, import_files
from mrspipe.io.vendor_formats import FORMAT_NAMES

REPORT = Path("code") / "mrspipe_import.tsv"
"""The report in the dataset; BIDS leaves the content of ``code`` to the user."""

_COLUMNS: Mapping[str, str | Mapping[str, Any]] = {
    "target": "The spectrum in the dataset.",
    "status": {
        "Description": "What became of the row of the mapping.",
        "Levels": {
            "imported": "It was converted and written.",
            "unchanged": "It was there already with the same content.",
            "failed": "It could not be converted; nothing of it was written.",
        },
    },
    "format": "Format of the scanner's file.",
    "mapping_line": "Line of the mapping, the header being 1.",
    "source": "File below the source folder; n/a where the import leaves out what could identify a person.",
    "source_sha256": "SHA-256 of the scanner's file, by which it is found again; n/a for a folder.",
    "reference": "The water reference in the dataset.",
    "t1w": "The T1-weighted image in the dataset, where this row brought it.",
    "code": "Short name of the problem.",
    "message": "What is wrong.",
    "cure": "What to do about it.",
}
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """What became of one row: a report, or an error."""

    row: ImportRow
    report: ImportReport | None
    error: MrspipeError | None = None

    @property
    def status(self) -> str:
        """``imported``, ``unchanged`` or ``failed``."""
        if self.report is None:
            return "failed"
        return "imported" if set(self.report.written) & set(self.report.targets) else "unchanged"


def import_folder(
    rows: Sequence[ImportRow],
    source_dir: Path,
    bids_dir: Path,
    options: ImportOptions,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> tuple[RowOutcome, ...]:
    """Import all rows of a mapping.

    Parameters
    ----------
    rows : sequence of ImportRow
        From `mrspipe.io.import_mapping.read_mapping`, without a problem.
    source_dir, bids_dir : Path
    options : ImportOptions
    progress : callable, optional
        Is told what is done, how many rows are done, and how many there are.

    Returns
    -------
    tuple of RowOutcome
        One for each row. The report is written unless it is a dry run.
    """
    outcomes = []
    for done, row in enumerate(rows, start=1):
        outcomes.append(_imported(row, bids_dir, options))
        progress("Scans", done, len(rows))
    if not options.dry_run:
        _write_report(outcomes, source_dir, bids_dir, options)
    return tuple(outcomes)


def _imported(row: ImportRow, bids_dir: Path, options: ImportOptions) -> RowOutcome:
    try:
        report = import_files(
            [row.file],
            bids_dir,
            row.key,
            reference=row.reference,
            t1w=row.t1w,
            known=row.known,
            scan_is_named=True,
            options=options,
        )
    except MrspipeError as error:
        return RowOutcome(row, None, error)
    except OSError as error:
        where = str(error.filename or row.file)
        problem = MrspipeError(
            f"{error.strerror or error}.", where=where, cure="Check permissions and disk.", code="disk"
        )
        return RowOutcome(row, None, problem)
    return RowOutcome(row, report)


def _write_report(outcomes: Sequence[RowOutcome], source_dir: Path, bids_dir: Path, options: ImportOptions) -> None:
    path = bids_dir / REPORT
    rows = {str(row["target"]): row for row in _earlier(path)}
    rows |= {outcome.row.target: _report_row(outcome, source_dir, bids_dir, options) for outcome in outcomes}
    ordered = [rows[target] for target in sorted(rows)]
    write_table(path, table_of(ordered, _COLUMNS), _COLUMNS)


def _earlier(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    table = read_table(path).astype(object)
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _report_row(outcome: RowOutcome, source_dir: Path, bids_dir: Path, options: ImportOptions) -> dict[str, Any]:
    row, report, error = outcome.row, outcome.report, outcome.error
    found: dict[str, Any] = {"target": row.target, "status": outcome.status, "mapping_line": row.line}
    found["source"] = row.file.relative_to(source_dir).as_posix() if options.keep_identity else MISSING
    found["source_sha256"] = _sha256(row.file)
    if report is not None:
        targets = [path.relative_to(bids_dir).as_posix() for path in report.targets]
        found["format"] = FORMAT_NAMES[report.format]
        for column, ending in (("reference", "_mrsref.nii.gz"), ("t1w", "_T1w.nii.gz")):
            found[column] = next((target for target in targets if target.endswith(ending)), MISSING)
    if error is not None:
        shown = error if options.keep_identity else _anonymous(error, row)
        found |= {"code": shown.code, "message": shown.message, "cure": shown.cure}
    return found


def _anonymous(error: MrspipeError, row: ImportRow) -> MrspipeError:
    """Name source files by their role: their own names may be those of people."""
    names = {"t1w": row.t1w, "reference": row.reference, "file": row.file}
    texts = [error.message, error.cure]
    for role, path in names.items():
        for spelling in () if path is None else (str(path), path.name, path.stem):
            texts = [text.replace(spelling, f"the {role}") for text in texts]
    siblings = [] if not row.file.is_dir() else [path.name for path in row.file.rglob("*")]
    for name in siblings:
        texts = [text.replace(name, "a file") for text in texts]
    return type(error)(texts[0], cure=texts[1], code=error.code)


def _sha256(path: Path) -> str:
    if not path.is_file():
        return MISSING
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
