"""Which of the files given to ``mrspipe import`` is the scan, which its water reference, which the anatomy.

The rules, in order:

1. A reference named by the user is the reference.
2. Otherwise a spectrum whose name has a word such as ``ref``, ``water`` or ``h2o`` is a reference (Philips: ``_ref``).
3. A spectrum with an inversion time, or with ``inverted`` or ``TI_600`` in its name, is an inversion scan: its
   metabolites are nulled, so it must not be analysed as a normal scan. It is left out unless an inversion index is
   asked for.
4. Exactly one scan must remain, and at most one reference that belongs to it; more are refused by name.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mrspipe.core.errors import FileError, HeaderError, PairingError
from mrspipe.core.signal import ScanKey
from mrspipe.io.nifti_files import load_nifti
from mrspipe.io.nifti_mrs import is_nifti_mrs
from mrspipe.io.vendor_files import NOTHING_KNOWN, Converted, Known, convert
from mrspipe.io.vendor_formats import is_bruker_folder, vendor_format

_REFERENCE_WORDS = frozenset({"ref", "mrsref", "wref", "water", "h2o", "unsuppressed", "nows", "quant", "ecc"})
_EDDY_WORDS = frozenset({"ecc"})
_ROLE_WORDS = _REFERENCE_WORDS | {"act", "sup", "ws", "metab", "svs"}
_INVERSION = re.compile(
    r"invert|inversion|metab[a-z]*[-_ ]?null|(?<![a-z0-9])ti[-_ ]?(?P<ms>\d{2,4})(?!\d)", re.IGNORECASE
)
_T1_WORDS = frozenset({"t1w", "t1", "mprage", "bravo"})
# DICOM storage classes of what is not a spectrum begin with this; that of spectra is the exception.
_STANDARD_STORAGE = "1.2.840.10008.5.1.4.1.1."
_SPECTROSCOPY_STORAGE = "1.2.840.10008.5.1.4.1.1.4.2"


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What will be imported."""

    scan: Converted
    reference: Converted | None
    t1w: Path | None
    notes: tuple[str, ...]


def choose(
    sources: Sequence[Path],
    key: ScanKey,
    *,
    reference: Path | None,
    t1w: Path | None,
    known: Known = NOTHING_KNOWN,
    scan_is_named: bool = False,
) -> Choice:
    """Decide which file is what.

    Parameters
    ----------
    sources : sequence of Path
        Files, or folders that are searched with all folders in them.
    key : ScanKey
        With ``inv`` set, the inversion scan is chosen instead of the normal one.
    reference : Path or None
        The water reference, when the user names it.
    t1w : Path or None
        The T1-weighted image, when the user names it.
    known : Known, optional
        What the files do not say themselves.
    scan_is_named : bool, optional
        The only spectrum of the sources is the scan, whatever its name.

    Raises
    ------
    PairingError
        No scan, or more than one: the message names them.
    """
    acquisitions, images, notes = gather(sources)
    given = _only(_convert_all(reference, known), reference) if reference is not None else None
    used = {path.resolve() for path in given.files} if given is not None else set()
    spectra = [c for files in acquisitions if not used & {p.resolve() for p in files} for c in convert(files, known)]
    is_certain = given is not None or (scan_is_named and len(spectra) == 1)
    scans = [c for c in spectra if not is_reference(c)] or (spectra if is_certain else [])
    scan = _only_scan(scans, sources, wanted=key.inv is not None)
    notes += [_about_left_out(c) for c in scans if c is not scan]
    references = [c for c in spectra if c not in scans]
    found, more = (given, []) if given is not None else _reference_of(scan, references)
    image, about_image = _t1w(images, t1w)
    scan, found = _with_inversion_time(scan), found and _with_inversion_time(found)
    if key.inv is not None and scan.signal.acquisition.inversion_time_s is None:
        raise HeaderError(
            "Neither the header nor the name of the scan says the inversion time, which a scan with inv must have.",
            where=scan.label,
            cure="Put it into the name in ms, such as TI_600.",
            code="header-key",
        )
    return Choice(scan, found, image, (*notes, *more, *about_image))


def _convert_all(path: Path, known: Known) -> list[Converted]:
    """Read a file, or all acquisitions of a folder."""
    acquisitions, _, _ = gather([path])
    return [converted for files in acquisitions for converted in convert(files, known)]


def _only(converted: Sequence[Converted], path: Path) -> Converted:
    if len(converted) != 1:
        raise PairingError(
            f"It holds {len(converted)} spectra: {', '.join(c.name for c in converted)}.",
            where=str(path),
            cure="Name one file, or a folder with one series.",
            code="ambiguous",
        )
    return converted[0]


def _about_left_out(converted: Converted) -> str:
    if is_inversion(converted):
        return f"{converted.label}: left out, an inversion scan (metabolites nulled); --inv 1 imports it as such."
    return f"{converted.label}: left out, not an inversion scan; import it without --inv."


def is_inversion(converted: Converted) -> bool:
    """Tell an inversion scan by its header or, as headers often leave that out, by its name."""
    return converted.signal.acquisition.inversion_time_s is not None or _INVERSION.search(_texts(converted)) is not None


def _texts(converted: Converted) -> str:
    return f"{converted.name} {converted.header.get('ProtocolName', '')}"


def is_reference(converted: Converted) -> bool:
    """Tell by its name, or that of its protocol, whether a spectrum is a water reference."""
    words = _words(_texts(converted))
    # "water suppressed" and "ws" name the scan, not the reference.
    found = (words & _REFERENCE_WORDS) - ({"water"} if "suppressed" in words else set())
    return bool(found) or "rf_off" in converted.name.lower()


def _words(text: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", text.lower()))


def gather(sources: Sequence[Path]) -> tuple[list[tuple[Path, ...]], list[Path], list[str]]:
    """Find what belongs together in files and folders; nothing is read but what tells the format.

    Parameters
    ----------
    sources : sequence of Path
        Folders are searched with all folders in them.

    Returns
    -------
    acquisitions : list of tuple of Path
        The files of each acquisition.
    images : list of Path
        NIfTI images that are no spectra.
    notes : list of str
        What was passed over.
    """
    acquisitions: dict[object, list[Path]] = {}
    images: list[Path] = []
    ignored: list[str] = []
    for path, is_named in _files(sources):
        kind = vendor_format(path)
        if kind == "nifti" and _is_image(path):
            images.append(path)
        elif kind is None and not is_named:
            ignored.append(path.name)
        elif kind == "dicom":
            series = _dicom_series(path)
            if series is not None or is_named:
                acquisitions.setdefault(series or path, []).append(path)
            else:
                ignored.append(path.name)
        else:
            # The files of a Philips pair have the same name but for the ending.
            group = (kind, path.with_suffix("").as_posix().lower()) if kind in ("sdat", "datalist") else path
            acquisitions.setdefault(group, []).append(path)
    notes = [f"Not a spectrum, passed over: {', '.join(ignored)}."] if ignored else []
    return [tuple(files) for files in acquisitions.values()], images, notes


def _is_image(path: Path) -> bool:
    """A file that cannot be read is no image: whoever reads it as a spectrum will say what is wrong with it."""
    try:
        return not is_nifti_mrs(load_nifti(path))
    except FileError:
        return False


def _files(sources: Sequence[Path]) -> Iterable[tuple[Path, bool]]:
    """All files, and whether each was named itself rather than found in a folder; an experiment of Bruker is one."""
    for source in sources:
        if source.is_dir() and not is_bruker_folder(source):
            yield from ((path, False) for path in _within(source))
        else:
            yield source, True


def _within(folder: Path) -> Iterable[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not is_bruker_folder(path):
            yield from _within(path)
        else:
            yield path


def _dicom_series(path: Path) -> str | None:
    """Series of a DICOM spectrum; None for images."""
    try:
        import pydicom
    except ModuleNotFoundError:
        return str(path)  # The converter will say what is missing.
    tags: list[Any] = ["SOPClassUID", "SeriesInstanceUID"]
    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags, force=True)
    storage = str(header.get("SOPClassUID", ""))
    if storage.startswith(_STANDARD_STORAGE) and storage != _SPECTROSCOPY_STORAGE:
        return None
    return str(header.get("SeriesInstanceUID", path))


def _only_scan(scans: Sequence[Converted], sources: Sequence[Path], *, wanted: bool) -> Converted:
    where = ", ".join(map(str, sources))
    fitting = [c for c in scans if is_inversion(c) == wanted]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise PairingError(
            f"More than one scan: {', '.join(c.label for c in fitting)}.",
            where=where,
            cure="Name the files of one scan, with --ref for its water reference, and import each in turn.",
            code="ambiguous",
        )
    if scans and not wanted:
        raise PairingError(
            f"Only an inversion scan: {', '.join(c.label for c in scans)}.",
            where=where,
            cure="Its metabolites are nulled; give inv 1 to import it as such.",
            code="inversion",
        )
    raise PairingError(
        f"There is no {'inversion scan' if wanted else 'metabolite spectrum'}.",
        where=where,
        cure="Give the water-suppressed scan, as SDAT+SPAR, RDA, DICOM, twix, P-file or NIfTI-MRS.",
        code="no-scan",
    )


def _reference_of(scan: Converted, references: Sequence[Converted]) -> tuple[Converted | None, list[str]]:
    """The reference that has the scan's name but for the role, else the only one that fits."""
    notes = []
    fitting = [c for c in references if is_inversion(c) == is_inversion(scan)]
    if len(fitting) > 1:
        eddy = [c for c in fitting if _words(c.name) & _EDDY_WORDS]
        notes = [f"{c.label}: left out, a reference for eddy currents beside one for concentrations." for c in eddy]
        fitting = [c for c in fitting if c not in eddy] or fitting
    named_alike = [c for c in fitting if without_role(c.name) == without_role(scan.name)]
    candidates = named_alike or fitting
    if len(candidates) > 1:
        raise PairingError(
            f"More than one water reference fits {scan.label}: {', '.join(c.label for c in candidates)}.",
            where=str(scan.files[0]),
            cure="Name the right one with --ref.",
            code="ambiguous",
        )
    if not candidates:
        notes.append("There is no water reference: ratios can be analysed, concentrations cannot. Name one with --ref.")
    left_out = [c for c in references if c not in fitting]
    notes += [f"{c.label}: left out, it belongs to the inversion scan." for c in left_out if is_inversion(c)]
    return (candidates[0] if candidates else None), notes


def without_role(name: str) -> tuple[str, ...]:
    """Words of a name without those that tell scan from reference."""
    return tuple(word for word in re.split(r"[^a-z0-9]+", name.lower()) if word not in _ROLE_WORDS)


def _with_inversion_time(scan: Converted) -> Converted:
    """Take the inversion time from the name (TI_600: 600 ms) where the header has none."""
    match = next((m for m in _INVERSION.finditer(_texts(scan)) if m["ms"]), None)
    if scan.signal.acquisition.inversion_time_s is not None or match is None:
        return scan
    acquisition = replace(scan.signal.acquisition, inversion_time_s=int(match["ms"]) / 1000)
    note = f"{scan.label}: the inversion time {match['ms']} ms is taken from its name; the header does not say it."
    return replace(scan, signal=replace(scan.signal, acquisition=acquisition), notes=(*scan.notes, note))


def is_t1w(path: Path) -> bool:
    """Tell by its name whether an image is T1-weighted."""
    return bool(_words(path.name) & _T1_WORDS)


def _t1w(images: Sequence[Path], given: Path | None) -> tuple[Path | None, list[str]]:
    if given is not None:
        return given, []
    fitting = [path for path in images if is_t1w(path)]
    if len(fitting) == 1:
        return fitting[0], [f"{fitting[0].name}: imported as the T1-weighted image, by its name."]
    notes = [f"{path.name}: left out; name the T1-weighted image with --t1w." for path in images]
    return None, notes
