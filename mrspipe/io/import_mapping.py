"""The table that says which file becomes which scan: read and checked as a whole before anything is converted.

One row for each scan, tab-separated. ``file``, ``reference`` and ``t1w`` are paths below the source folder; a pair
(SDAT+SPAR) is named by one of its files, a DICOM series or a Bruker experiment by its folder. Labels may have their
BIDS prefix or not. Empty cells and ``n/a`` mean that there is none.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mrspipe.core.errors import FileError
from mrspipe.core.signal import ScanKey
from mrspipe.io.tables import MISSING
from mrspipe.io.vendor import label_problem
from mrspipe.io.vendor_files import NOTHING_KNOWN, Known

_ENTITY_OF_COLUMN = {
    "participant_id": "sub",
    "session": "ses",
    "task": "task",
    "acq": "acq",
    "run": "run",
    "inv": "inv",
}
_PATHS = ("file", "reference", "t1w")
# Numbers that a file may lack, and what makes them SI units.
_NUMBERS = {"te_ms": 1e-3, "tr_ms": 1e-3, "dwell_s": 1.0, "spectrometer_mhz": 1e6}
REQUIRED = ("file", "participant_id")
DRAFT_COLUMNS = ("file", *_ENTITY_OF_COLUMN, "reference", "t1w")
"""Columns of a draft, in their order."""
COLUMNS = (*DRAFT_COLUMNS, "sequence", *_NUMBERS)
"""All columns that a mapping may have."""
_EMPTY = ("", MISSING)
_MOST_SECONDS = 100.0


@dataclass(frozen=True, slots=True)
class ImportRow:
    """One scan to import.

    Parameters
    ----------
    line : int
        Line of the table, the header being 1.
    key : ScanKey
    file, reference, t1w : Path
        Whole paths.
    known : Known
        What the files do not say themselves.
    """

    line: int
    key: ScanKey
    file: Path
    reference: Path | None = None
    t1w: Path | None = None
    known: Known = NOTHING_KNOWN

    @property
    def target(self) -> str:
        """Path of the spectrum in the dataset."""
        folders = [f"sub-{self.key.sub}", *([f"ses-{self.key.ses}"] if self.key.ses else []), "mrs"]
        return "/".join([*folders, f"{self.key.label}_svs.nii.gz"])


def read_mapping(path: Path, source_dir: Path) -> tuple[tuple[ImportRow, ...], tuple[str, ...]]:
    """Read a mapping and find everything that is wrong with it.

    Parameters
    ----------
    path : Path
    source_dir : Path
        The folder that its paths are relative to.

    Returns
    -------
    rows : tuple of ImportRow
        Those without a problem.
    problems : tuple of str
        One line each; nothing may be written while there is one.

    Raises
    ------
    FileError
        There is no such table, or it is no text.
    """
    lines = _lines(path)
    if not lines:
        return (), (f"{path.name}: it is empty; its header must be {', '.join(REQUIRED)}, ...",)
    header = [name.strip() for name in lines[0][1]]
    problems = _header_problems(header)
    if problems:
        return (), tuple(problems)
    rows: list[ImportRow] = []
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            problems.append(f"line {line}: it has {len(cells)} cells but the header has {len(header)}; use tabs.")
            continue
        row, wrong = _row(line, dict(zip(header, (cell.strip() for cell in cells), strict=True)), source_dir)
        problems += [f"line {line}: {text}" for text in wrong]
        if row is not None:
            rows.append(row)
    if len(lines) == 1:
        problems.append("it has no row.")
    return tuple(rows), (*problems, *_duplicates(rows))


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileError(
            "The mapping does not exist.",
            where=str(path),
            cure="Write a draft with: mrspipe import SOURCE_DIR --draft mapping.tsv",
            code="table",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"The mapping cannot be read: {error}.", where=str(path), code="table") from error
    numbered = enumerate(text.splitlines(), start=1)
    return [(number, line.split("\t")) for number, line in numbered if line.strip()]


def _header_problems(header: list[str]) -> list[str]:
    problems = []
    for name in header:
        if name not in COLUMNS:
            nearest = difflib.get_close_matches(name, COLUMNS, n=1)
            hint = f"did you mean '{nearest[0]}'?" if nearest else f"there are {', '.join(COLUMNS)}."
            problems.append(f"line 1: there is no column '{name}'; {hint}")
    problems += [f"line 1: the column '{name}' is missing." for name in REQUIRED if name not in header]
    twice = sorted({name for name in header if header.count(name) > 1})
    return problems + [f"line 1: the column '{name}' is there twice." for name in twice]


def _row(line: int, cells: Mapping[str, str], source_dir: Path) -> tuple[ImportRow | None, list[str]]:
    problems: list[str] = []
    given = {name: text for name, text in cells.items() if text not in _EMPTY}
    problems += [f"{name} is empty." for name in REQUIRED if name not in given]
    labels: dict[str, str] = {}
    for column, entity in _ENTITY_OF_COLUMN.items():
        if column in given:
            labels[entity] = given[column].removeprefix(f"{entity}-")
            wrong = label_problem(entity, labels[entity])
            problems += [f"{column}: {wrong}"] if wrong else []
    paths = {name: source_dir / given[name] for name in _PATHS if name in given}
    for name, path in paths.items():
        if not path.exists():
            problems.append(f"{name}: there is no {given[name]} in {source_dir}.")
        elif not path.resolve().is_relative_to(source_dir.resolve()):
            problems.append(f"{name}: {given[name]} lies outside {source_dir}.")
    if "reference" in paths and paths["reference"] == paths.get("file"):
        problems.append("reference: it is the scan itself.")
    known, wrong_numbers = _known(given)
    problems += wrong_numbers
    if problems:
        return None, problems
    return ImportRow(line, ScanKey(**labels), paths["file"], paths.get("reference"), paths.get("t1w"), known), []


def _known(given: Mapping[str, str]) -> tuple[Known, list[str]]:
    numbers: dict[str, float] = {}
    problems: list[str] = []
    for name, factor in _NUMBERS.items():
        if name in given:
            try:
                numbers[name] = float(given[name]) * factor
            except ValueError:
                problems.append(f"{name}: {given[name]!r} is no number.")
                continue
            largest = 1e9 if name == "spectrometer_mhz" else _MOST_SECONDS
            if not 0 < numbers[name] < largest:
                problems.append(f"{name}: {given[name]} is not possible.")
    known = Known(
        echo_time_s=numbers.get("te_ms"),
        repetition_time_s=numbers.get("tr_ms"),
        sequence=given["sequence"].lower() if "sequence" in given else None,
        dwell_s=numbers.get("dwell_s"),
        spectrometer_hz=numbers.get("spectrometer_mhz"),
    )
    return known, problems


def _duplicates(rows: list[ImportRow]) -> list[str]:
    """Rows that would write the same file; run 1 and run 01 are the same run."""
    first: dict[tuple[tuple[str, str], ...], ImportRow] = {}
    problems = []
    for row in rows:
        place = tuple((name, value.lstrip("0") if value.isdecimal() else value) for name, value in _place(row.key))
        other = first.setdefault(place, row)
        if other is not row:
            problems.append(f"line {row.line}: {row.target} is also the target of line {other.line}.")
    return problems


def _place(key: ScanKey) -> list[tuple[str, str]]:
    # Participants 1 and 01 may be two people; runs 1 and 01 are one.
    return [(name, value if name in {"run", "inv"} else f"={value}") for name, value in key.entities.items()]
