"""NIfTI files as bytes: whole or refused on reading, the same bytes every time on writing.

A file is read completely before it is parsed, so that one cut short by a full disk or a broken copy is named as such
(code ``truncated``) and never gives half a signal. What is written holds no time stamp and no file name.
"""

import gzip
import importlib
import io
import math
import sys
import zlib
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mrspipe.core.errors import FileError
from mrspipe.io.atomic import atomic_write_bytes

_GZIP_MAGIC = b"\x1f\x8b"
# The first field of a header is its own length, which tells the version (NIfTI-1: 348, NIfTI-2: 540 bytes).
_HEADER_SIZES = {348: "Nifti1", 540: "Nifti2"}
_LONGEST_HEADER = max(_HEADER_SIZES)
_PADDING = 1 << 20
# The deflate format makes data at most this much smaller (zlib, technical details): a file that is smaller still
# cannot hold what its header declares.
_HIGHEST_RATIO = 1032
# No single-voxel scan and no image of a brain is larger; what is, is not one, or is meant to fill the memory.
LARGEST_BYTES = 4 << 30
_SINGLE_FILE_MAGIC = (b"n+1", b"n+2")


def load_nifti(path: Path) -> Any:
    """Read a ``.nii`` or ``.nii.gz`` file into a nibabel image, after checking that it is complete.

    Parameters
    ----------
    path : Path

    Returns
    -------
    nibabel image
        ``Nifti1Image`` or ``Nifti2Image``, with its data in memory.

    Raises
    ------
    FileError
        Codes ``missing``, ``truncated``, ``not-nifti``.
    """
    raw = _raw_content(path)
    start = _decompressed(raw, _LONGEST_HEADER, path)
    image_class = _image_class(start, path)
    expected = _expected_size(start, image_class, path)
    if expected > _HIGHEST_RATIO * len(raw):
        raise _truncated(path, expected, None)
    if expected > LARGEST_BYTES:
        raise _too_large(path)
    # A little more is taken, because some programs pad; a compressed file that holds far more than its header says
    # would only fill the memory.
    content = _decompressed(raw, expected + _PADDING, path)
    if len(content) < expected:
        raise _truncated(path, expected, len(content))
    return _parsed(image_class, content, path)


def nibabel() -> Any:
    """Give the library for NIfTI, loaded without the one for DICOM where neither is loaded yet.

    nibabel looks for pydicom at once, for DICOM headers inside NIfTI files, which nothing here reads; with pydicom it
    takes three times as long to load. In this process such headers then stay bytes; pydicom itself can be loaded later.
    """
    if not {"nibabel", "pydicom"} & sys.modules.keys():
        # What stands as None counts as not installed.
        sys.modules["pydicom"] = None  # type: ignore[assignment]
        try:
            return importlib.import_module("nibabel")
        finally:
            sys.modules.pop("pydicom", None)
    return importlib.import_module("nibabel")


def _expected_size(start: bytes, image_class: Any, path: Path) -> int:
    """Size in bytes of the whole file, from its header."""
    header_size = image_class.header_class.sizeof_hdr
    if len(start) < header_size:
        raise _truncated(path, header_size, len(start))
    header = image_class.header_class(start[:header_size], check=False)
    if bytes(header["magic"].item())[:3] not in _SINGLE_FILE_MAGIC:
        raise _not_nifti(path)
    lengths = [int(n) for n in header["dim"][1 : 1 + int(header["dim"][0])]]
    if any(n < 0 for n in lengths):
        raise FileError(
            f"The header names a negative length: {lengths}.",
            where=str(path),
            cure="Convert it again.",
            code="not-nifti",
        )
    # Not np.prod: dimensions that a damaged header makes up can have a product beyond 64 bits.
    return int(header["vox_offset"]) + math.prod(lengths) * int(header["bitpix"]) // 8


def file_content(path: Path) -> bytes:
    """Read a file as bytes, decompressed where it is compressed.

    Raises
    ------
    FileError
        Codes ``missing``, ``truncated``, ``too-large``.
    """
    content = _decompressed(_raw_content(path), LARGEST_BYTES + 1, path)
    if len(content) > LARGEST_BYTES:
        raise _too_large(path)
    return content


def _raw_content(path: Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise FileError("The file does not exist.", where=str(path), code="missing") from None
    except OSError as error:
        raise FileError(f"The file cannot be read: {error.strerror}.", where=str(path)) from error


def _decompressed(raw: bytes, n_bytes: int, path: Path) -> bytes:
    """The first bytes of a file's content, as many as asked for; a compressed file that ends before is checked."""
    if not raw.startswith(_GZIP_MAGIC):
        return raw
    try:
        with gzip.open(io.BytesIO(raw)) as stream:
            return stream.read(n_bytes)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError(
            f"The compressed file is cut short or damaged ({error}).",
            where=str(path),
            cure="Copy or convert it again.",
            code="truncated",
        ) from error


def _image_class(content: bytes, path: Path) -> Any:
    nib = nibabel()
    kinds = {"Nifti1": nib.Nifti1Image, "Nifti2": nib.Nifti2Image}
    sizes = {int.from_bytes(content[:4], "little"), int.from_bytes(content[:4], "big")}
    names = [name for size, name in _HEADER_SIZES.items() if size in sizes]
    if not content:
        raise _truncated(path, min(_HEADER_SIZES), 0)
    if not names:
        raise _not_nifti(path)
    return kinds[names[0]]


def _parsed(image_class: Any, content: bytes, path: Path) -> Any:
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    try:
        return image_class.from_bytes(content)
    except (HeaderDataError, ImageFileError, WrapStructError, ValueError) as error:
        raise FileError(
            f"The NIfTI header is damaged ({error}).", where=str(path), cure="Convert it again.", code="not-nifti"
        ) from error


def _truncated(path: Path, expected: int, found: int | None) -> FileError:
    has = "it is far too small for that" if found is None else f"it has {found}"
    return FileError(
        f"The file is cut short: its header needs {expected} bytes, {has}.",
        where=str(path),
        cure="Copy or convert it again.",
        code="truncated",
    )


def _too_large(path: Path) -> FileError:
    return FileError(
        f"The file holds more than {LARGEST_BYTES >> 30} GiB.",
        where=str(path),
        cure="Give one scan, or one image of a brain.",
        code="too-large",
    )


def _not_nifti(path: Path) -> FileError:
    return FileError(
        "This is not a NIfTI file in one piece.",
        where=str(path),
        cure="Give a .nii or .nii.gz file; vendor files go through mrspipe import.",
        code="not-nifti",
    )


def nifti_image(data: NDArray[Any], *, version: int) -> Any:
    """Make a nibabel image of an array, with a header that says nothing yet."""
    nib = nibabel()
    image_class: Any = {1: nib.Nifti1Image, 2: nib.Nifti2Image}[version]
    return image_class(data, None)


def image_bytes(image: Any, *, compressed: bool) -> bytes:
    """Give a nibabel image as the bytes of a ``.nii`` or, compressed, of a ``.nii.gz`` file."""
    content: bytes = image.to_bytes()
    return gzip.compress(content, compresslevel=6, mtime=0) if compressed else content


def is_compressed(path: Path) -> bool:
    """Tell from a file name whether the file is compressed.

    Raises
    ------
    ValueError
        It ends neither with ``.nii`` nor with ``.nii.gz``.
    """
    if path.name.endswith(".nii.gz"):
        return True
    if path.name.endswith(".nii"):
        return False
    raise ValueError(f"A NIfTI file name ends with .nii or .nii.gz, got {path.name}.")


def write_image(path: Path, image: Any) -> None:
    """Write a nibabel image, completely or not at all."""
    path = Path(path)
    atomic_write_bytes(path, image_bytes(image, compressed=is_compressed(path)))
