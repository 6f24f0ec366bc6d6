"""Vendor files -> `Signal`, through the functions of spec2nii.

spec2nii (Clarke et al. 2022, doi 10.1002/mrm.29418) is the field's converter and is not rewritten here. What it
does not say is taken from the vendor's header beside it (number of transients, inversion time of a SPAR file in ms).
What could identify a person (name, birth date, ...) or would differ between two conversions is left out.
"""

import contextlib
import importlib
import io
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mrspipe.core.errors import FileError, InputError, MrspipeError
from mrspipe.core.signal import ProcessingStep, Signal
from mrspipe.io.first_point import first_point_is_halved
from mrspipe.io.nifti_files import load_nifti
from mrspipe.io.nifti_mrs import extension_of, signal_from_image

_FORMAT_OF_ENDING = {
    ".sdat": "sdat",
    ".spar": "sdat",
    ".rda": "rda",
    ".ima": "dicom",
    ".dcm": "dicom",
    ".dat": "twix",
    ".7": "pfile",
    ".nii": "nifti",
    ".nii.gz": "nifti",
}
_LEFT_OUT = frozenset(
    {"PatientName", "PatientID", "PatientDoB", "PatientSex", "PatientWeight", "DeviceSerialNumber"}
    | {"OriginalFile", "ConversionTime"}
)
_EDITED = re.compile(r"mega|hermes|hercules|edit", re.IGNORECASE)
_FAMILIES = {
    "press": r"(?<![a-z])press(?![a-z])",
    "steam": r"(?<![a-z])steam(?![a-z])",
    "slaser": r"(?<![a-z])s(emi)?[-_ ]?laser(?![a-z])",
}


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """One spectrum of a vendor file.

    ``label`` names it in messages; ``header`` is its NIfTI-MRS header without personal data; ``notes`` say what was
    found or repaired, in plain words.
    """

    name: str
    label: str
    format: str
    files: tuple[Path, ...]
    signal: Signal
    header: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Raw:
    """What a reader gives: spec2nii's images with their names, and facts that spec2nii does not pass on."""

    images: Sequence[Any]
    names: Sequence[str]
    header: Mapping[str, Any]
    n_transients: int | None = None
    n_points: int | None = None
    notes: tuple[str, ...] = ()


def vendor_format(path: Path) -> str | None:
    """Tell the format of a file from its ending, or from the mark of DICOM in it; None when it is none of them.

    Examples
    --------
    >>> [vendor_format(Path(name)) for name in ("a.SDAT", "P01024.7", "meas.dat", "notes.txt")]
    ['sdat', 'pfile', 'twix', None]
    """
    name = path.name.lower()
    for ending, kind in _FORMAT_OF_ENDING.items():
        if name.endswith(ending):
            return kind
    return "dicom" if _has_dicom_mark(path) else None


def _has_dicom_mark(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def convert(files: Sequence[Path]) -> tuple[Converted, ...]:
    """Read one acquisition: a file, an SDAT/SPAR pair (one of the two is enough), or the DICOM files of a series.

    Parameters
    ----------
    files : sequence of Path

    Returns
    -------
    tuple of Converted
        More than one where the file holds its water reference as well.

    Raises
    ------
    InputError
        Codes ``vendor-extra`` (spec2nii is not installed), ``unknown-format``, ``missing``, ``truncated``,
        ``unreadable``, and those of `mrspipe.io.nifti_mrs.read_signal`.
    """
    paths = tuple(Path(file) for file in files)
    for path in paths:
        if not path.is_file():
            raise FileError("The file does not exist.", where=str(path), code="missing")
    kinds = {vendor_format(path) for path in paths}
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind is None:
        raise FileError(
            "The format is not known.",
            where=_names(paths),
            cure="Give SDAT+SPAR, RDA, DICOM (.IMA, .dcm), twix (.dat), GE P-files (.7) or NIfTI-MRS.",
            code="unknown-format",
        )
    if kind == "nifti":
        return tuple(_from_nifti(path) for path in paths)
    paths = _pair(paths[0]) if kind == "sdat" else paths
    raw = _read(kind, paths)
    return tuple(_converted(kind, paths, raw, i) for i in range(len(raw.images)))


def _from_nifti(path: Path) -> Converted:
    image = load_nifti(path)
    header = extension_of(image, where=str(path))
    signal = signal_from_image(image, header, where=str(path))
    return Converted(re.sub(r"\.nii(\.gz)?$", "", path.name), path.name, "nifti", (path,), signal, _public(header))


def _public(header: Mapping[str, Any]) -> dict[str, Any]:
    return {
        k: v for k, v in header.items() if k not in _LEFT_OUT and not k.startswith("private_") and v not in ("", [])
    }


def _pair(path: Path) -> tuple[Path, ...]:
    """The SDAT and the SPAR file of a pair, whatever the case of their endings."""
    siblings = sorted(p for p in path.parent.iterdir() if p.stem.lower() == path.stem.lower())
    found = {p.suffix.lower(): p for p in siblings if p.suffix.lower() in (".sdat", ".spar")}
    missing = {".sdat", ".spar"} - set(found)
    if missing:
        raise FileError(
            f"The {missing.pop()[1:].upper()} file that belongs to it is not beside it.",
            where=str(path),
            cure="Export both files of the pair into one folder.",
            code="missing",
        )
    return found[".sdat"], found[".spar"]


def _read(kind: str, paths: tuple[Path, ...]) -> _Raw:
    with _named_errors(_names(paths)), _quiet():
        return _READERS[kind](paths)


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))


@contextlib.contextmanager
def _named_errors(where: str) -> Iterator[None]:
    """Turn whatever spec2nii raises into one error that names the file."""
    try:
        yield
    except MrspipeError:
        raise
    except ModuleNotFoundError as error:
        raise InputError(
            f"Vendor files are read by spec2nii, which is not installed ({error.name}).",
            where=where,
            cure="pip install 'mrspipe[vendor]'",
            code="vendor-extra",
        ) from error
    except Exception as error:
        # The readers' own errors are direct subclasses of Exception, so nothing narrower catches them.
        raise FileError(
            f"spec2nii cannot read it: {type(error).__name__}: {' '.join(str(error).split())}.",
            where=where,
            cure="Export the scan again; if it still fails, convert it with spec2nii itself.",
            code="unreadable",
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _read_sdat(paths: tuple[Path, ...]) -> _Raw:
    from spec2nii.Philips.philips import read_sdat_spar_pair, read_spar

    sdat, spar = paths
    said = read_spar(spar)
    expected = int(said["samples"]) * int(said["rows"]) * 8
    if sdat.stat().st_size < expected:
        raise FileError(
            f"The file is cut short: its SPAR needs {expected} bytes, it has {sdat.stat().st_size}.",
            where=str(sdat),
            cure="Copy or export it again.",
            code="truncated",
        )
    # `tags` must be a new list: the reader appends to it.
    images, names = read_sdat_spar_pair(sdat, spar, tags=[])
    inversion_ms = float(said.get("spectrum_inversion_time") or 0.0)
    header = {"InversionTime": inversion_ms / 1000} if inversion_ms > 0 else {}
    averages = int(said["averages"]) if said.get("averages") and int(said["rows"]) == 1 else None
    return _Raw(images, names, header, averages)


def _read_rda(paths: tuple[Path, ...]) -> _Raw:
    from spec2nii.Siemens.rda import convert_rda

    said = _rda_header(paths[0])
    images, names = convert_rda(paths[0], None, False)
    averages = float(said.get("NumberOfAverages", "0").replace(",", "."))
    note = (
        f"{paths[0].name} gives the dwell time in whole us ({said['DwellTime']}); DICOM of the same scan is more exact."
    )
    return _Raw(images, names, {}, int(averages) or None, int(said["VectorSize"]), (note,))


def _rda_header(path: Path) -> dict[str, str]:
    text = path.read_bytes().partition(b">>> End of header <<<")[0].decode("latin-1")
    pairs = (line.partition(": ") for line in text.splitlines())
    return {key.strip(): value.strip() for key, found, value in pairs if found}


def _read_dicom(paths: tuple[Path, ...]) -> _Raw:
    import pydicom

    dataset = pydicom.dcmread(paths[0])
    maker = str(dataset.get("Manufacturer", "")).lower()
    if maker.startswith("siemens"):
        from spec2nii.Siemens.dicomfunctions import multi_file_dicom
    elif maker.startswith("philips"):
        from spec2nii.Philips.philips_dcm import multi_file_dicom
    elif maker.startswith(("uih", "united imaging")):
        from spec2nii.uih import multi_file_dicom
    else:
        raise FileError(
            f"DICOM spectra of {maker or 'an unnamed manufacturer'} cannot be read.",
            where=str(paths[0]),
            cure="Export another format.",
            code="unknown-format",
        )
    images, names = multi_file_dicom(list(paths), None, None, False)
    return _Raw(images, names, {}, _dicom_averages(dataset) if len(paths) == 1 else None)


def _dicom_averages(dataset: Any) -> int | None:
    """Number of averages: a tag of its own, in the shared groups of enhanced DICOM, or in Siemens' private header."""
    csareader: Any = importlib.import_module("nibabel.nicom.csareader")
    shared = dataset.get("SharedFunctionalGroupsSequence") or [{}]
    groups = shared[0].get("MRAveragesSequence") or [{}]
    value = dataset.get("NumberOfAverages") or groups[0].get("NumberOfAverages")
    if value is None:
        private = csareader.get_csa_header(dataset, "image") or {"tags": {}}
        items = private["tags"].get("NumberOfAverages", {}).get("items") or [None]
        value = items[0]
    return int(float(value)) if value else None


def _read_twix(paths: tuple[Path, ...]) -> _Raw:
    from spec2nii.Siemens.twixfunctions import process_twix

    # A multi-raid file lists the adjustments before the measurement itself.
    twix = importlib.import_module("mapvbvd").mapVBVD(str(paths[0]), quiet=True)
    measurement = twix[-1] if isinstance(twix, list) else twix
    overrides = {"dims": (None, None, None), "tags": (None, None, None)}
    images, names = process_twix(measurement, None, paths[0].name, "image", overrides, quiet=True)
    return _Raw(images, names, {})


def _read_pfile(paths: tuple[Path, ...]) -> _Raw:
    from spec2nii.GE.ge_pfile import read_pfile

    images, names = read_pfile(paths[0], None)
    return _Raw(images, names, {})


_READERS: Mapping[str, Callable[[tuple[Path, ...]], _Raw]] = {
    "sdat": _read_sdat,
    "rda": _read_rda,
    "dicom": _read_dicom,
    "twix": _read_twix,
    "pfile": _read_pfile,
}


def _converted(kind: str, paths: tuple[Path, ...], raw: _Raw, index: int) -> Converted:
    where = _names(paths)
    name = str(raw.names[index])
    label = paths[0].name if len(raw.images) == 1 else f"{paths[0].name} ({name})"
    image, extension = _through_disk(raw.images[index], where)
    header = _public(extension) | dict(raw.header)
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
    with tempfile.TemporaryDirectory() as folder, _named_errors(where), _quiet():
        path = Path(folder) / "converted.nii.gz"
        image.save(path)
        loaded = load_nifti(path)
        return loaded, extension_of(loaded, where=where)


def _with_sequence(signal: Signal, header: Mapping[str, Any], label: str) -> tuple[Signal, tuple[str, ...]]:
    """Name the kind of sequence when the sequence's or the protocol's name spells it out."""
    for key in ("SequenceName", "ProtocolName"):
        text = str(header.get(key, ""))
        found = [family for family, pattern in _FAMILIES.items() if re.search(pattern, text, re.IGNORECASE)]
        if signal.acquisition.sequence in (*_FAMILIES, "laser", "special") or _EDITED.search(text):
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
