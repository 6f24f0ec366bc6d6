"""A three-dimensional image with its position."""

from dataclasses import dataclass

import numpy as np

from mrspipe.core.arrays import FloatArray, frozen_float
from mrspipe.core.errors import FileError


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Image values and where they are.

    Parameters
    ----------
    data : float array, shape (nx, ny, nz)
    affine : float array, shape (4, 4)
        Maps voxel indices to scanner space, in mm.
    """

    data: FloatArray
    affine: FloatArray

    def __post_init__(self) -> None:
        data, affine = np.asarray(self.data), np.asarray(self.affine)
        if data.ndim != 3 or affine.shape != (4, 4):
            raise FileError(
                f"A volume must have shape (nx, ny, nz) and affine (4, 4), got {data.shape}, {affine.shape}."
            )
        if not np.isfinite(data).all():
            raise FileError("The image holds values that are not finite.", code="not-finite")
        object.__setattr__(self, "data", frozen_float(data))
        object.__setattr__(self, "affine", frozen_float(affine))
