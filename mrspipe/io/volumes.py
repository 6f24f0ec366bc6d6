"""Three-dimensional images: NIfTI <-> `Volume`."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from mrspipe.core.errors import FileError, HeaderError
from mrspipe.core.volume import Volume
from mrspipe.io.nifti_files import load_nifti, nifti_image, write_image

_SCANNER = 1  # NIfTI code of "scanner-based coordinates".


def read_volume(path: Path) -> Volume:
    """Read a three-dimensional NIfTI image.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``. Further dimensions of length 1 are dropped.

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
    image = load_nifti(path)
    data = _three_dimensional(_real(image, path), path)
    affine, code = image.header.get_sform(coded=True)
    if not code:
        affine, code = image.header.get_qform(coded=True)
    if not code:
        raise HeaderError(
            "The image does not say where it is (qform_code and sform_code are 0).",
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
