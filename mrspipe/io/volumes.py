"""Three-dimensional images: NIfTI <-> `Volume`, and FreeSurfer's MGH format to it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import FileError, HeaderError
from mrspipe.core.volume import Volume
from mrspipe.io.nifti_files import file_content, load_nifti, nibabel, nifti_image, write_image

_SCANNER = 1  # NIfTI code of "scanner-based coordinates".
_MGH_FLAG = slice(28, 30)  # Where the MGH header says whether it holds a position (goodRASFlag).


def read_volume(path: Path) -> Volume:
    """Read a three-dimensional NIfTI image, or one in FreeSurfer's format.

    Parameters
    ----------
    path : Path
        ``.nii``, ``.nii.gz``, ``.mgh`` or ``.mgz``. Further dimensions of length 1 are dropped.

    Returns
    -------
    Volume

    Raises
    ------
    FileError
        Codes ``missing``, ``truncated``, ``not-nifti``, ``wrong-shape``, ``not-real``, ``not-finite``.
    HeaderError
        ``no-position``: the header does not say where the image is.
    """
    image, affine = _mgh(path) if path.name.endswith((".mgh", ".mgz")) else _nifti(path)
    data = _three_dimensional(_real(image, path), path)
    if affine is None:
        raise HeaderError(
            "The image does not say where it is (NIfTI: qform_code and sform_code are 0; MGH: goodRASFlag is 0).",
            where=str(path),
            cure="Convert it again from DICOM.",
            code="no-position",
        )
    if not np.isfinite(data).all():
        raise FileError(
            f"{np.count_nonzero(~np.isfinite(data))} voxels of the image are not finite.",
            where=str(path),
            cure="Set them to 0 if they are background.",
            code="not-finite",
        )
    return Volume(data, affine)


def _nifti(path: Path) -> tuple[Any, FloatArray | None]:
    """The image, and its position where the header has one."""
    image = load_nifti(path)
    affine, code = image.header.get_sform(coded=True)
    if not code:
        affine, code = image.header.get_qform(coded=True)
    return image, affine if code else None


def _mgh(path: Path) -> tuple[Any, FloatArray | None]:
    nib = nibabel()
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    content = file_content(path)
    try:
        image = nib.MGHImage.from_bytes(content)
        np.asarray(image.dataobj)
    except (OSError, ValueError, TypeError, HeaderDataError, ImageFileError) as error:
        raise FileError(
            f"The file is cut short or no MGH image ({error}).",
            where=str(path),
            cure="Copy it again.",
            code="truncated",
        ) from error
    # Where the flag is 0, nibabel puts in a position of its own and sets the flag.
    return image, image.affine if content[_MGH_FLAG] != b"\0\0" else None


def _real(image: Any, path: Path) -> np.ndarray[Any, Any]:
    if image.get_data_dtype().kind not in "iuf":
        raise FileError(
            f"An image of {image.get_data_dtype()} values is not one number a voxel.",
            where=str(path),
            cure="Give a magnitude image or a map.",
            code="not-real",
        )
    data: np.ndarray[Any, Any] = np.asarray(image.dataobj, dtype=np.float64)
    return data


def _three_dimensional(data: np.ndarray[Any, Any], path: Path) -> np.ndarray[Any, Any]:
    if data.ndim < 3 or any(n != 1 for n in data.shape[3:]):
        raise FileError(
            f"The image has shape {data.shape}, not three dimensions.",
            where=str(path),
            cure="Give one volume.",
            code="wrong-shape",
        )
    return data.reshape(data.shape[:3])


def write_volume(path: Path, volume: Volume, *, dtype: DTypeLike = np.float32) -> None:
    """Write an image as NIfTI-1; the same volume always gives the same bytes.

    Parameters
    ----------
    path : Path
        Ends with ``.nii`` or ``.nii.gz``.
    volume : Volume
    dtype : numpy type, optional
        Type on disk. Whole-number types are rounded to.

    Raises
    ------
    ValueError
        A value does not fit into the type.
    """
    kind = np.dtype(dtype)
    values = volume.data
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        values = np.rint(values)
        if values.size and (values.min() < limits.min or values.max() > limits.max):
            raise ValueError(f"Values from {values.min():g} to {values.max():g} do not fit into {kind}.")
    image = nifti_image(values.astype(kind), version=1)
    image.header.set_data_dtype(kind)
    image.header.set_sform(volume.affine, _SCANNER)
    image.header.set_qform(volume.affine, _SCANNER)
    image.header.set_xyzt_units("mm")
    write_image(path, image)
