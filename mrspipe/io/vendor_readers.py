"""The functions of spec2nii, one for each format, behind one interface: files in, images and facts out.

What spec2nii does not pass on is read from the vendor's header beside it: the number of transients, the number of
points, the inversion time of a SPAR file (in ms there).
"""

import argparse
import contextlib
import importlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrspipe.core.errors import FileError, InputError, MrspipeError


@dataclass(frozen=True, slots=True)
class Raw:
    """What a reader gives: spec2nii's images with their names, and facts that spec2nii does not pass on."""

    images: Sequence[Any]
    names: Sequence[str]
    header: Mapping[str, Any]
    n_transients: int | None = None
    n_points: int | None = None
    notes: tuple[str, ...] = ()


@contextlib.contextmanager
def named_errors(where: str) -> Iterator[None]:
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
def quiet() -> Iterator[None]:
    """Keep spec2nii's messages and warnings away from the user."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _read_sdat(paths: tuple[Path, ...]) -> Raw:
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
    return Raw(images, names, header, averages)


def _read_rda(paths: tuple[Path, ...]) -> Raw:
    from spec2nii.Siemens.rda import convert_rda

    said = _rda_header(paths[0])
    images, names = convert_rda(paths[0], None, False)
    averages = float(said.get("NumberOfAverages", "0").replace(",", "."))
    note = (
        f"{paths[0].name} gives the dwell time in whole us ({said['DwellTime']}); DICOM of the same scan is more exact."
    )
    return Raw(images, names, {}, int(averages) or None, int(said["VectorSize"]), (note,))


def _rda_header(path: Path) -> dict[str, str]:
    text = path.read_bytes().partition(b">>> End of header <<<")[0].decode("latin-1")
    pairs = (line.partition(": ") for line in text.splitlines())
    return {key.strip(): value.strip() for key, found, value in pairs if found}


def _read_dicom(paths: tuple[Path, ...]) -> Raw:
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
    return Raw(images, names, {}, _dicom_averages(dataset) if len(paths) == 1 else None)


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


def _read_twix(paths: tuple[Path, ...]) -> Raw:
    from spec2nii.Siemens.twixfunctions import process_twix

    # A multi-raid file lists the adjustments before the measurement itself.
    twix = importlib.import_module("mapvbvd").mapVBVD(str(paths[0]), quiet=True)
    measurement = twix[-1] if isinstance(twix, list) else twix
    overrides = {"dims": (None, None, None), "tags": (None, None, None)}
    images, names = process_twix(measurement, None, paths[0].name, "image", overrides, quiet=True)
    return Raw(images, names, {})


def _read_pfile(paths: tuple[Path, ...]) -> Raw:
    from spec2nii.GE.ge_pfile import read_pfile

    images, names = read_pfile(paths[0], None)
    return Raw(images, names, {})


def _read_datalist(paths: tuple[Path, ...]) -> Raw:
    from spec2nii.Philips.philips_data_list import read_data_list_pair

    images, names = read_data_list_pair(*paths)
    # The first mix is the scan, the second the water reference; noise and phase corrections are no spectra.
    roles = {"STD_0": paths[0].stem, "STD_1": f"{paths[0].stem}_ref"}
    kept = [(image, roles[name]) for image, name in zip(images, names, strict=True) if name in roles]
    if not kept:
        raise FileError(
            f"It has no standard data (STD), only {', '.join(names) or 'nothing'}.",
            where=str(paths[0]),
            cure="Export the scan as SDAT+SPAR.",
            code="unreadable",
        )
    return Raw([image for image, _ in kept], [name for _, name in kept], {})


def _read_bruker(paths: tuple[Path, ...]) -> Raw:
    from spec2nii.bruker import read_bruker

    folder = paths[0]
    mode = next((mode for name, mode in _BRUKER_MODES.items() if (folder / name).is_file()), "FID")
    options: dict[str, Any] = {
        "query": [],
        "fileout": None,
        "zeropad": False,
        "nospectrum": False,
        "dump_headers": False,
    }
    images, names = read_bruker(argparse.Namespace(file=folder, mode=mode, **options))
    if not images:
        raise FileError("It holds no spectrum.", where=str(folder), cure="Give the scan's folder.", code="unreadable")
    return Raw(images, names, {})


def _read_jmrui(paths: tuple[Path, ...]) -> Raw:
    from spec2nii.jmrui import jmrui_mrui, jmrui_txt

    (path,) = paths
    with path.open("rb") as file:
        read = jmrui_txt if b"jMRUI" in file.read(64) else jmrui_mrui
    images, names = read(argparse.Namespace(file=path, affine=None, fileout=None))
    return Raw(images, names, {})


_BRUKER_MODES = {"fid": "FID", "fid_proc.64": "FID", "2dseq": "2DSEQ", "rawdata.job0": "RAWDATA"}
_READERS: Mapping[str, Callable[[tuple[Path, ...]], Raw]] = {
    "sdat": _read_sdat,
    "rda": _read_rda,
    "dicom": _read_dicom,
    "twix": _read_twix,
    "pfile": _read_pfile,
    "datalist": _read_datalist,
    "bruker": _read_bruker,
    "jmrui": _read_jmrui,
}


def read_with_spec2nii(kind: str, paths: tuple[Path, ...]) -> Raw:
    """Read the files of one acquisition; whatever spec2nii raises becomes one error that names them.

    Parameters
    ----------
    kind : str
        A format of `mrspipe.io.vendor_formats.FORMAT_NAMES` that spec2nii reads.
    paths : tuple of Path
        All files of the acquisition, in the order that the reader takes.

    Raises
    ------
    InputError
        Codes ``vendor-extra``, ``truncated``, ``unreadable``, ``unknown-format``.
    """
    with named_errors(names_of(paths)), quiet():
        return _READERS[kind](paths)


def names_of(paths: Sequence[Path]) -> str:
    """Name files in one line."""
    return ", ".join(map(str, paths))
