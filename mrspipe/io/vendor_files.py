"""Vendor files -> `Signal`, through the functions of spec2nii.

spec2nii (Clarke et al. 2022, doi 10.1002/mrm.29418) is the field's converter and is not rewritten here. What it
does not say is taken from the vendor's header beside it (number of transients, inversion time of a SPAR file in ms).
Headers are given whole but for what would differ between two conversions; `mrspipe.io.identity` takes out of them what
could identify a person.
"""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mrspipe.core.errors import FileError, HeaderError
from mrspipe.core.signal import Acquisition, ProcessingStep, Signal
from mrspipe.io.first_point import first_point_is_halved
from mrspipe.io.lcmodel_files import read_raw
from mrspipe.io.nifti_files import load_nifti
from mrspipe.io.nifti_mrs import extension_of, signal_from_image
from mrspipe.io.vendor_formats import FORMAT_NAMES, vendor_format
from mrspipe.io.vendor_readers import Raw, named_errors, names_of, quiet, read_with_spec2nii

# Files that belong together: their endings in the order that the reader takes them.
_PAIRS = {"sdat": (".sdat", ".spar"), "datalist": (".data", ".list", ".spar")}
# The time of conversion would make every conversion write another file.
_NOT_OF_THE_SCAN = frozenset({"ConversionTime"})
# What a header and the caller say must agree within this part.
_AGREEMENT = 0.01
_EDITED = re.compile(r"mega|hermes|hercules|edit", re.IGNORECASE)
_FAMILIES = {
    "press": r"(?<![a-z])press(?![a-z])",
    "steam": r"(?<![a-z])steam(?![a-z])",
    "slaser": r"(?<![a-z])s(emi)?[-_ ]?laser(?![a-z])",
}
# Names by which a sequence is known for what it is; others (svs_se, ...) are the vendors' own.
_SEQUENCES = frozenset({*_FAMILIES, "laser", "special"})


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """One spectrum of a vendor file.

    ``label`` names it in messages; ``header`` is its NIfTI-MRS header, which may hold personal data; ``notes`` say what
    was found or repaired, in plain words.
    """

    name: str
    label: str
    format: str
    files: tuple[Path, ...]
    signal: Signal
    header: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What a file may not say itself, told by the user; None where nothing is told. A contradiction is refused.

    Parameters
    ----------
    echo_time_s, repetition_time_s : float or None
        In s.
    sequence : str or None
        Such as ``"press"``.
    dwell_s : float or None
        Time between points, in s; only LCModel RAW files do not have it.
    spectrometer_hz : float or None
        In Hz; only LCModel RAW files do not have it.
    """

    echo_time_s: float | None = None
    repetition_time_s: float | None = None
    sequence: str | None = None
    dwell_s: float | None = None
    spectrometer_hz: float | None = None


NOTHING_KNOWN = Known()
"""Nothing is told."""


def convert(files: Sequence[Path], known: Known | None = None) -> tuple[Converted, ...]:
    """Read one acquisition: a file, a pair (one of its files is enough), the DICOM files of a series, or a folder.

    Parameters
    ----------
    files : sequence of Path
        A folder only where it is one experiment of Bruker.
    known : Known, optional

    Returns
    -------
    tuple of Converted
        More than one where the file holds its water reference as well.

    Raises
    ------
    InputError
        Codes ``vendor-extra`` (spec2nii is not installed), ``unknown-format``, ``missing``, ``truncated``,
        ``unreadable``, ``header-key``, ``header-conflict``, and those of `mrspipe.io.nifti_mrs.read_signal`.
    """
    known = known or NOTHING_KNOWN
    paths = tuple(Path(file) for file in files)
    for path in paths:
        if not path.exists():
            raise FileError("The file does not exist.", where=str(path), code="missing")
    kinds = {vendor_format(path) for path in paths}
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind is None:
        raise FileError(
            "The format is not known.",
            where=names_of(paths),
            cure=f"Give one of {', '.join(FORMAT_NAMES.values())}.",
            code="unknown-format",
        )
    if kind == "nifti":
        found = tuple(_from_nifti(path) for path in paths)
    elif kind == "raw":
        found = tuple(_from_raw(path, known) for path in paths)
    else:
        paths = _together(paths[0], kind) if kind in _PAIRS else paths
        raw = read_with_spec2nii(kind, paths)
        found = tuple(_converted(kind, paths, raw, i) for i in range(len(raw.images)))
    return tuple(_with_known(one, known) for one in found)


def _from_nifti(path: Path) -> Converted:
    image = load_nifti(path)
    header = extension_of(image, where=str(path))
    signal = signal_from_image(image, header, where=str(path))
    name = re.sub(r"\.nii(\.gz)?$", "", path.name)
    return Converted(name, path.name, "nifti", (path,), signal, _of_the_scan(header))


def _from_raw(path: Path, known: Known) -> Converted:
    if known.dwell_s is None or known.spectrometer_hz is None:
        raise HeaderError(
            "An LCModel RAW file does not hold its dwell time, nor always its frequency.",
            where=str(path),
            cure="Give both (dwell_s and spectrometer_mhz).",
            code="header-key",
        )
    signal = read_raw(path, dwell_s=known.dwell_s, spectrometer_hz=known.spectrometer_hz, echo_time_s=known.echo_time_s)
    return Converted(path.stem, path.name, "raw", (path,), signal, {})


def _of_the_scan(header: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in header.items() if key not in _NOT_OF_THE_SCAN and value not in ("", [])}


def _with_known(converted: Converted, known: Known) -> Converted:
    """Fill in what the header leaves out; what it says must agree."""
    acquisition = converted.signal.acquisition
    changes: dict[str, Any] = {}
    for name in ("echo_time_s", "repetition_time_s", "sequence"):
        said, given = getattr(acquisition, name), getattr(known, name)
        if given is None or said == given:
            continue
        if said is None or (said not in _SEQUENCES and isinstance(said, str)):
            changes[name] = given
        elif isinstance(said, str) or abs(said - given) > _AGREEMENT * given:
            raise HeaderError(
                f"Its header says {name} = {said}, but {given} was given.",
                where=converted.label,
                cure="Correct what was given, or leave it out.",
                code="header-conflict",
            )
    return knowing(converted, **changes)


def knowing(converted: Converted, **changes: Any) -> Converted:
    """Set fields of the spectrum's acquisition."""
    acquisition: Acquisition = replace(converted.signal.acquisition, **changes)
    return replace(converted, signal=replace(converted.signal, acquisition=acquisition))


def _together(path: Path, kind: str) -> tuple[Path, ...]:
    """The files of a pair, whatever the case of their endings."""
    endings = _PAIRS[kind]
    siblings = sorted(p for p in path.parent.iterdir() if p.stem.lower() == path.stem.lower())
    found = {p.suffix.lower(): p for p in siblings if p.suffix.lower() in endings}
    missing = [ending[1:].upper() for ending in endings if ending not in found]
    if missing:
        raise FileError(
            f"The {missing[0]} file that belongs to it is not beside it.",
            where=str(path),
            cure=f"Export {', '.join(ending[1:].upper() for ending in endings)} into one folder.",
            code="missing",
        )
    return tuple(found[ending] for ending in endings)


def _converted(kind: str, paths: tuple[Path, ...], raw: Raw, index: int) -> Converted:
    where = names_of(paths)
    name = str(raw.names[index])
    label = paths[0].name if len(raw.images) == 1 else f"{paths[0].name} ({name})"
    image, extension = _through_disk(raw.images[index], where)
    header = _of_the_scan(extension) | dict(raw.header)
    signal = signal_from_image(image, header, where=where)
    if raw.n_points is not None and signal.axis.n_points != raw.n_points:
        raise FileError(
            f"The file is cut short: its header says {raw.n_points} points, it has {signal.axis.n_points}.",
            where=where,
            cure="Copy or export it again.",
            code="truncated",
        )
    signal, notes = _with_sequence(signal, header, label)
    if signal.acquisition.n_transients is None:
        signal = replace(signal, acquisition=replace(signal.acquisition, n_transients=raw.n_transients))
    if kind == "sdat":
        signal, more = _with_whole_first_point(signal, label)
        notes += more
    return Converted(name, label, kind, paths, signal, header, (*raw.notes, *notes))


def _through_disk(image: Any, where: str) -> tuple[Any, dict[str, Any]]:
    """Let spec2nii write the image, which validates it, and read the file as any other."""
    with tempfile.TemporaryDirectory() as folder, named_errors(where), quiet():
        path = Path(folder) / "converted.nii.gz"
        image.save(path)
        loaded = load_nifti(path)
        return loaded, extension_of(loaded, where=where)


def _with_sequence(signal: Signal, header: Mapping[str, Any], label: str) -> tuple[Signal, tuple[str, ...]]:
    """Name the kind of sequence when the sequence's or the protocol's name spells it out."""
    for key in ("SequenceName", "ProtocolName"):
        text = str(header.get(key, ""))
        found = [family for family, pattern in _FAMILIES.items() if re.search(pattern, text, re.IGNORECASE)]
        if signal.acquisition.sequence in _SEQUENCES or _EDITED.search(text):
            break
        if len(found) == 1:
            note = f"{label}: the sequence {found[0].upper()} is taken from the {key} {text!r}."
            return replace(signal, acquisition=replace(signal.acquisition, sequence=found[0])), (note,)
    return signal, ()


def _with_whole_first_point(signal: Signal, label: str) -> tuple[Signal, tuple[str, ...]]:
    """Double the first point of all FIDs when that of their mean is halved."""
    mean = signal.samples.mean(axis=tuple(range(signal.samples.ndim - 1)))
    halved = first_point_is_halved(mean)
    if halved is None:
        return signal, (f"{label}: whether the first point is halved cannot be told; it is left as it is.",)
    if not halved:
        return signal, ()
    samples = np.array(signal.samples)
    samples[..., 0] *= 2.0
    step = ProcessingStep("first point doubled", {"reason": "the file holds half of the first point"})
    return signal.after(step, samples), (f"{label}: the first point was halved and is restored.",)
