"""A first mapping of a folder of scans, for the user to complete.

What is found is told apart by the rules of `mrspipe.io.vendor_sources`; on top of them, a spectrum that is five times
stronger than the only other spectrum of its folder is taken as its water reference. Labels are taken from names such
as ``sub-01`` or ``ses-2`` in the path, and from nothing else: who a file belongs to is not guessed.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrspipe.core.errors import MrspipeError
from mrspipe.io.import_mapping import DRAFT_COLUMNS
from mrspipe.io.names import labels_in
from mrspipe.io.tables import MISSING, table_of, write_table
from mrspipe.io.vendor import strength
from mrspipe.io.vendor_files import Converted, convert
from mrspipe.io.vendor_formats import FORMAT_NAMES, vendor_format
from mrspipe.io.vendor_sources import gather, is_inversion, is_reference, is_t1w, without_role

_LABELS = {"sub": "participant_id", "ses": "session", "task": "task", "acq": "acq", "run": "run"}
# As in `mrspipe.io.vendor`: unsuppressed water is far more than five times what is left of it.
_WATER_RATIO = 5.0


@dataclass(frozen=True, slots=True)
class Draft:
    """What was found: number of scans, what could not be read, and notes, in plain words."""

    n_scans: int
    formats: tuple[str, ...]
    unreadable: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """An acquisition: the path that names it in the mapping, and its only spectrum where it was readable."""

    path: Path
    spectra: tuple[Converted, ...]

    @property
    def scan(self) -> Converted | None:
        return self.spectra[0] if len(self.spectra) == 1 else None


def write_draft(source_dir: Path, path: Path) -> Draft:
    """Write a draft of the mapping of a folder.

    Parameters
    ----------
    source_dir : Path
    path : Path
        The table to write.

    Raises
    ------
    MrspipeError
        Nothing in the folder is a scan.
    """
    acquisitions, images, notes = gather([source_dir])
    found, unreadable = _readable(acquisitions)
    if not acquisitions:
        raise MrspipeError(
            "There is no file here that is a scan.",
            where=str(source_dir),
            cure=f"Known formats: {', '.join(FORMAT_NAMES.values())}.",
            code="no-scan",
        )
    rows = []
    folders: dict[Path, list[_Found]] = defaultdict(list)
    for one in found:
        folders[one.path.parent].append(one)
    for folder, here in sorted(folders.items()):
        anatomy = [image for image in images if is_t1w(image) and _is_near(image, folder, source_dir)]
        t1w = anatomy[0] if len(anatomy) == 1 else None
        for scan, reference in _paired(here):
            rows.append(_row(scan, reference, t1w, source_dir))
    write_table(path, table_of(rows, DRAFT_COLUMNS))
    kinds = sorted({FORMAT_NAMES[kind] for files in acquisitions if (kind := vendor_format(files[0]))})
    return Draft(len(rows), tuple(kinds), tuple(unreadable), tuple(notes))


def _readable(acquisitions: Iterable[Sequence[Path]]) -> tuple[list[_Found], list[str]]:
    """Read every acquisition; one that cannot be read, or not without what the user knows, stays in the draft."""
    found, unreadable = [], []
    for files in acquisitions:
        path = files[0].parent if len(files) > 1 and vendor_format(files[0]) == "dicom" else files[0]
        try:
            spectra = convert(files)
        except MrspipeError as error:
            spectra = ()
            unreadable.append(str(error))
        found.append(_Found(path, spectra))
    return found, unreadable


def _paired(here: Sequence[_Found]) -> list[tuple[_Found, _Found | None]]:
    """Scans of one folder, each with its water reference."""
    references = [one for one in here if _named_reference(one)]
    scans = [one for one in here if one not in references]
    if not references and len(scans) == 2:
        scans, references = _by_strength(*scans)
    return [(scan, _reference_of(scan, references, alone=len(scans) == 1)) for scan in scans]


def _named_reference(one: _Found) -> bool:
    if one.scan is not None:
        return is_reference(one.scan)
    return one.path.suffix.lower() == ".h2o"


def _by_strength(left: _Found, right: _Found) -> tuple[list[_Found], list[_Found]]:
    if left.scan is None or right.scan is None or is_inversion(left.scan) != is_inversion(right.scan):
        return [left, right], []
    weak, strong = sorted((left, right), key=lambda one: strength(one.spectra[0].signal))
    ratio = strength(strong.spectra[0].signal) / strength(weak.spectra[0].signal)
    return ([weak], [strong]) if ratio > _WATER_RATIO else ([left, right], [])


def _reference_of(scan: _Found, references: Sequence[_Found], *, alone: bool) -> _Found | None:
    """The reference that is named as the scan, else the only one beside the only scan."""
    named = [one for one in references if without_role(one.path.stem) == without_role(scan.path.stem)]
    fitting = named or (list(references) if alone else [])
    return fitting[0] if len(fitting) == 1 else None


def _is_near(image: Path, folder: Path, source_dir: Path) -> bool:
    """The image lies beside the scans, or in another folder of the same parent that is not the source folder itself."""
    return image.parent == folder or (folder != source_dir and image.parent.parent == folder.parent != source_dir)


def _row(scan: _Found, reference: _Found | None, t1w: Path | None, source_dir: Path) -> dict[str, str]:
    row = dict.fromkeys(DRAFT_COLUMNS, MISSING)
    row["file"] = scan.path.relative_to(source_dir).as_posix()
    named = labels_in(row["file"])
    row |= {column: named[entity] for entity, column in _LABELS.items() if entity in named}
    if any(is_inversion(one) for one in scan.spectra):
        row["inv"] = "1"
    if reference is not None:
        row["reference"] = reference.path.relative_to(source_dir).as_posix()
    if t1w is not None:
        row["t1w"] = t1w.relative_to(source_dir).as_posix()
    return row
