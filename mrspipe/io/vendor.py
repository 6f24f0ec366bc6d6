"""Vendor files into memory (`read_vendor`) and into a BIDS dataset (`import_files`)."""

import gzip
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mrspipe.core.errors import ConfigError, FileError, PairingError
from mrspipe.core.signal import ScanKey, Signal
from mrspipe.io.atomic import atomic_write_bytes
from mrspipe.io.bids_skeleton import participants_with, skeleton
from mrspipe.io.identity import image_without_identity, without_identity
from mrspipe.io.import_sidecar import sidecar_of
from mrspipe.io.nifti_mrs import signal_bytes
from mrspipe.io.tables import json_bytes
from mrspipe.io.vendor_files import NOTHING_KNOWN, Converted, Known, convert, knowing
from mrspipe.io.vendor_readers import names_of
from mrspipe.io.vendor_sources import choose
from mrspipe.io.volumes import read_volume

_LABEL = re.compile(r"[A-Za-z0-9+]+")
_INDEX = re.compile(r"[0-9]+")
_INDEX_ENTITIES = frozenset({"run", "echo", "inv"})
# Tissue water is about 40 mol/kg and metabolites are about 10 mmol/kg: even poor suppression leaves a factor of five.
_SUPPRESSED_BELOW = 1 / 5
# Points whose mean size is a signal's strength: after the first, which may be halved or distorted.
_STRENGTH_POINTS = slice(1, 9)


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import wrote, and what it found or left out, in plain words.

    ``targets`` are all files of this scan, also those that were there already; ``format`` is the vendor's.
    """

    written: tuple[Path, ...]
    notes: tuple[str, ...]
    targets: tuple[Path, ...]
    format: str


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How files are imported.

    Parameters
    ----------
    overwrite : bool
        Replace files that are there with other content.
    keep_identity : bool
        Keep what could identify a person; see `mrspipe.io.identity`.
    dry_run : bool
        Write nothing.
    """

    overwrite: bool = False
    keep_identity: bool = False
    dry_run: bool = False


_DEFAULT = ImportOptions()


def read_vendor(paths: Sequence[Path]) -> Signal:
    """Read one spectrum from vendor files.

    Parameters
    ----------
    paths : sequence of Path
        An SDAT/SPAR pair (one of the two is enough), an RDA, twix (.dat), GE P-file (.7) or NIfTI-MRS file, or the
        DICOM files of one series.

    Returns
    -------
    Signal
        A halved first point of an SDAT file is restored and noted in the history.

    Raises
    ------
    InputError
        See `mrspipe.io.vendor_files.convert`; ``ambiguous`` when the file holds several spectra.
    """
    spectra = convert(paths)
    if len(spectra) > 1:
        raise PairingError(
            f"The file holds {len(spectra)} spectra: {', '.join(c.name for c in spectra)}.",
            where=str(paths[0]),
            cure="Import it into a BIDS dataset, which keeps scan and reference apart.",
            code="ambiguous",
        )
    return spectra[0].signal


def import_files(
    sources: Sequence[Path],
    bids_dir: Path,
    key: ScanKey,
    *,
    reference: Path | None = None,
    t1w: Path | None = None,
    suffix: str = "svs",
    known: Known = NOTHING_KNOWN,
    scan_is_named: bool = False,
    options: ImportOptions = _DEFAULT,
) -> ImportReport:
    """Convert the vendor files of one scan into a BIDS dataset, which is started where there is none.

    Nothing is written unless everything can be; a file that is there with other content is replaced only where that is
    asked for. What could identify a person is left out unless it is asked for.

    Parameters
    ----------
    sources : sequence of Path
        Files or folders; the rules by which scan, reference and anatomy are told apart are those of
        `mrspipe.io.vendor_sources`.
    bids_dir : Path
    key : ScanKey
        Entities of the scan. With ``inv``, the inversion scan is imported instead of the normal one.
    reference : Path, optional
        The water reference, where its name does not tell.
    t1w : Path, optional
        The T1-weighted image, NIfTI.
    suffix : str, optional
        BIDS suffix of the scan.
    known : Known, optional
        What the files do not say themselves.
    scan_is_named : bool, optional
        The only spectrum of the sources is the scan, whatever its name.
    options : ImportOptions, optional

    Returns
    -------
    ImportReport

    Raises
    ------
    InputError
        Codes ``ambiguous``, ``no-scan``, ``inversion``, ``swapped``, ``exists``, and those of the readers.
    """
    for entity, value in key.entities.items():
        problem = label_problem(entity, value)
        if problem:
            raise ConfigError(problem, where=f"--{entity}", code="label")
    bids_dir = Path(bids_dir)
    choice = choose(
        [Path(s) for s in sources], key, reference=reference, t1w=t1w, known=known, scan_is_named=scan_is_named
    )
    scan, water, about_water = _told_apart(choice.scan, choice.reference)
    notes = (*choice.notes, *scan.notes, *(water.notes if water else ()), *about_water)
    planned = _planned(bids_dir, key, scan, water, choice.t1w, suffix, keep_identity=options.keep_identity)
    targets = tuple(planned)
    if not options.overwrite:
        _refuse_to_replace(planned)
    planned |= _dataset_files(bids_dir, key.sub)
    written = tuple(path for path, content in planned.items() if not _is_same(path, content))
    for path in () if options.dry_run else written:
        atomic_write_bytes(path, planned[path])
    return ImportReport(written, tuple(dict.fromkeys(notes)), targets, scan.format)


def _planned(
    bids_dir: Path,
    key: ScanKey,
    scan: Converted,
    water: Converted | None,
    t1w: Path | None,
    suffix: str,
    *,
    keep_identity: bool,
) -> dict[Path, bytes]:
    """Content of the subject's new files, linked with each other."""
    subject = bids_dir / f"sub-{key.sub}"
    session = subject / f"ses-{key.ses}" if key.ses else subject
    planned: dict[Path, bytes] = {}
    links: dict[str, str] = {}
    anatomy = _anatomy(session, subject)
    if t1w is not None:
        anatomy = session / "anat" / f"{ScanKey(sub=key.sub, ses=key.ses).label}_T1w.nii.gz"
        planned[anatomy] = _image(t1w, keep_identity=keep_identity)
    if anatomy is not None:
        links["AnatomicalImage"] = _uri(anatomy, bids_dir)
    if water is not None:
        # A normal reference of an inversion scan: with inv in its name it would need an inversion time.
        plain_water = water.signal.acquisition.inversion_time_s is None
        path = session / "mrs" / f"{(replace(key, inv=None) if plain_water else key).label}_mrsref.nii.gz"
        planned |= _spectrum(path, water, links, keep_identity=keep_identity)
        links["ReferenceSignal"] = _uri(path, bids_dir)
    path = session / "mrs" / f"{key.label}_{suffix}.nii.gz"
    return planned | _spectrum(path, scan, links, keep_identity=keep_identity)


def _dataset_files(bids_dir: Path, subject: str) -> dict[Path, bytes]:
    files = {
        bids_dir / name: content.encode() if isinstance(content, str) else json_bytes(content)
        for name, content in skeleton(bids_dir).items()
    }
    participants = bids_dir / "participants.tsv"
    text = participants_with(participants, subject)
    return files if text is None else files | {participants: text.encode()}


def label_problem(entity: str, value: str) -> str:
    """Say why BIDS does not allow a label; empty where it does.

    Examples
    --------
    >>> label_problem("sub", "0_1")
    "A BIDS label has only letters and digits, got '0_1'; for example 01."
    """
    allowed, rule = (_INDEX, "digits") if entity in _INDEX_ENTITIES else (_LABEL, "letters and digits")
    if allowed.fullmatch(value):
        return ""
    instead = "".join(allowed.findall(value)) or "01"
    return f"A BIDS label has only {rule}, got {value!r}; for example {instead}."


def _told_apart(scan: Converted, water: Converted | None) -> tuple[Converted, Converted | None, tuple[str, ...]]:
    """Check that the reference is the stronger signal, and conclude which of the two has its water suppressed."""
    if water is None:
        return scan, None, ()
    # A SPAR file of a reference repeats the number of averages of the scan.
    if water.format == "sdat":
        water = knowing(water, n_transients=None)
    ratio = strength(scan.signal) / strength(water.signal)
    if ratio > 1:
        raise PairingError(
            f"The water reference {water.label} is weaker than the scan {scan.label}.",
            where=str(scan.files[0]),
            cure="They may be swapped; name the reference with --ref.",
            code="swapped",
        )
    if ratio > _SUPPRESSED_BELOW:
        return (
            scan,
            water,
            (f"{scan.label}: whether its water is suppressed is not clear; WaterSuppression is left out.",),
        )
    note = f"{water.label}: {1 / ratio:.0f} times stronger than the scan, whose water is therefore suppressed."
    return knowing(scan, water_suppressed=True), knowing(water, water_suppressed=False), (note,)


def strength(signal: Signal) -> float:
    """Size of the first points of a signal, root mean square over all FIDs."""
    return float(np.sqrt(np.mean(np.abs(signal.samples[..., _STRENGTH_POINTS]) ** 2)))


def _image(path: Path, *, keep_identity: bool) -> bytes:
    """Bytes of an image for the dataset, compressed anew: the compressed file may hold the original's name and date."""
    read_volume(path)  # An image that cannot be read is refused before anything is written.
    content = path.read_bytes()
    content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    return gzip.compress(content if keep_identity else image_without_identity(content), 6, mtime=0)


def _anatomy(session: Path, subject: Path) -> Path | None:
    """The T1-weighted image that is there: the only one of this session, else of the subject."""
    for folder in (session, subject):
        found = sorted((folder / "anat").glob("*_T1w.nii*"))
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _uri(path: Path, bids_dir: Path) -> str:
    return f"bids::{path.relative_to(bids_dir).as_posix()}"


def _spectrum(path: Path, converted: Converted, links: Mapping[str, Any], *, keep_identity: bool) -> dict[Path, bytes]:
    where = names_of(converted.files)
    signal, header = converted.signal, converted.header
    if not keep_identity:
        signal, header, _ = without_identity(signal, header)
    sidecar = sidecar_of(signal, header, where=where) | dict(links)
    repairs = [step.method for step in signal.history]
    if repairs:
        sidecar["ImportRepairs"] = repairs
    return {
        path: signal_bytes(signal, compressed=True, extra_header=header),
        path.with_name(path.name.replace(".nii.gz", ".json")): json_bytes(sidecar),
    }


def _is_same(path: Path, content: bytes) -> bool:
    return path.exists() and path.read_bytes() == content


def _refuse_to_replace(planned: Mapping[Path, bytes]) -> None:
    differing = [path for path, content in planned.items() if path.exists() and not _is_same(path, content)]
    if differing:
        raise FileError(
            f"It exists with other content ({len(differing)} of {len(planned)} files); nothing was written.",
            where=str(differing[0]),
            cure="Give another run, acq or session, or replace it with --overwrite.",
            code="exists",
        )
