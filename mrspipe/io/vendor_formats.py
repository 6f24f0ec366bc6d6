"""Which format a scanner's file has: by marks in its content, by its ending only where the format has no mark.

A file that was renamed is still recognised, and a text file that happens to end with ``.dat`` or ``.txt`` is not taken
for a scan where its content says what it is.
"""

import gzip
import re
import struct
import zlib
from pathlib import Path

from mrspipe.io.lcmodel_files import looks_like_raw

_FORMAT_OF_ENDING = {
    ".sdat": "sdat",
    ".spar": "sdat",
    ".data": "datalist",
    ".list": "datalist",
    ".rda": "rda",
    ".ima": "dicom",
    ".dcm": "dicom",
    ".dat": "twix",
    ".7": "pfile",
    ".mrui": "jmrui",
    ".raw": "raw",
    ".h2o": "raw",
    ".nii": "nifti",
    ".nii.gz": "nifti",
}
FORMAT_NAMES = {
    "sdat": "Philips SDAT+SPAR",
    "datalist": "Philips data/list",
    "rda": "Siemens RDA",
    "dicom": "DICOM",
    "twix": "Siemens twix",
    "pfile": "GE P-file",
    "bruker": "Bruker",
    "jmrui": "jMRUI",
    "raw": "LCModel RAW",
    "nifti": "NIfTI-MRS",
}
"""What each format is called."""

_HEAD = 16384
_SPAR = re.compile(rb"^\s*samples\s*:\s*\d+\s*$.*^\s*rows\s*:\s*\d+", re.MULTILINE | re.DOTALL)
# Offset and text of GE's raw header that say who wrote it.
_GE_LOGO = slice(34, 44)
_GE_LOGOS = (b"GE_MED_NMR", b"INVALIDNMR")
# A twix file of software VD and later begins with 0 and the number of measurements; each has an entry of 152 bytes.
_TWIX_MOST_MEASUREMENTS = 64
_TWIX_FIRST_OFFSET = 10240
# Of a jMRUI binary file: 64 numbers of 8 bytes, then two for each point.
_MRUI_HEADER = 512
_MRUI_MOST_POINTS = 1 << 20
_BRUKER_DATA = ("fid", "fid_proc.64", "rawdata.job0", "2dseq")


def vendor_format(path: Path) -> str | None:
    """Tell the format of a file, or of a folder as Bruker writes it; None when it is none of `FORMAT_NAMES`.

    Examples
    --------
    >>> [vendor_format(Path(name)) for name in ("a.SDAT", "P01024.7", "meas.dat", "notes.txt")]
    ['sdat', 'pfile', 'twix', None]
    """
    if path.is_dir():
        return "bruker" if is_bruker_folder(path) else None
    return _by_content(path) or _by_ending(path)


def is_bruker_folder(path: Path) -> bool:
    """Tell whether a folder is an experiment of ParaVision: the parameters ``method`` or ``acqp`` beside the data."""
    has_parameters = any((path / name).is_file() for name in ("method", "acqp"))
    return has_parameters and any((path / name).is_file() for name in _BRUKER_DATA)


def _by_ending(path: Path) -> str | None:
    name = path.name.lower()
    kind = next((kind for ending, kind in _FORMAT_OF_ENDING.items() if name.endswith(ending)), None)
    # A SPAR file beside data and list, without SDAT, is where their geometry and timing stand.
    alone = kind == "sdat" and name.endswith(".spar")
    return "datalist" if alone and _sibling(path, ".list") and not _sibling(path, ".sdat") else kind


def _sibling(path: Path, ending: str) -> Path | None:
    if not path.parent.is_dir():
        return None
    same = (p for p in path.parent.iterdir() if p.stem.lower() == path.stem.lower())
    return next((p for p in same if p.suffix.lower() == ending), None)


def _by_content(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"\x1f\x8b"):
        return "nifti" if _is_nifti(_unpacked(path)) else None
    size = path.stat().st_size
    found = {
        "dicom": head[128:132] == b"DICM",
        "rda": head.startswith(b">>> Begin of header <<<"),
        "nifti": _is_nifti(head),
        "pfile": head[_GE_LOGO] in _GE_LOGOS,
        "twix": _is_twix(head, size),
        "jmrui": head.lstrip().startswith(b"jMRUI Data Textfile") or _is_mrui(head, size),
        "raw": looks_like_raw(path),
        "datalist": b"DATA DESCRIPTION FILE" in head[:2048],
    }
    if _SPAR.search(head):
        return _by_ending(path.with_suffix(".spar"))
    return next((kind for kind, is_so in found.items() if is_so), None)


def _unpacked(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            return file.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        return b""


def _is_nifti(head: bytes) -> bool:
    return head[344:347] in (b"n+1", b"ni1") or head[4:7] in (b"n+2", b"ni2")


def _is_twix(head: bytes, size: int) -> bool:
    if len(head) < 32:
        return False
    first, second = map(int, struct.unpack_from("<II", head))
    if head[8:15] == b"Config\x00":  # Software VB: length of the header, number of buffers, name of the first.
        return 0 < first < size
    offset = int.from_bytes(head[16:24], "little")
    return first == 0 and 1 <= second <= _TWIX_MOST_MEASUREMENTS and _TWIX_FIRST_OFFSET <= offset < size


def _is_mrui(head: bytes, size: int) -> bool:
    if len(head) < _MRUI_HEADER:
        return False
    kind, points, interval_ms = map(float, struct.unpack_from(">3d", head))
    if not (kind in (0.0, 1.0, 2.0) and 16 <= points <= _MRUI_MOST_POINTS and points.is_integer()):
        return False
    return 1e-3 < interval_ms < 100 and size >= _MRUI_HEADER + 16 * int(points)
