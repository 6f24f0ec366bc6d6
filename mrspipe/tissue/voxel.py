"""The spectroscopy voxel in an image: which part of each image voxel it covers, and the tissue inside.

Each image voxel is divided into 27 cells; a cell counts when its centre lies in the spectroscopy voxel. The voxel is
the unit cube around the origin under its affine, as in `mrspipe.core.signal.Signal`.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Literal

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import AnalysisError
from mrspipe.core.results import TissueFractions
from mrspipe.core.volume import Volume

# Centres of the cells along one axis of an image voxel, from its centre, in voxels.
_CELLS = (-1 / 3, 0.0, 1 / 3)
# The voxel may stick out of the image by this part, ...
LARGEST_PART_OUTSIDE = 0.01
# ... found on a grid of this many points along each of its edges.
_POINTS_PER_EDGE = 40
# At least this part of the voxel must be some tissue in the maps.
_SMALLEST_TISSUE_COVER = 0.90
# What the maps leave open is decided for this volume at a time, in mm3: the usual resolution of a T1w image. Assumed.
_DRAWN_TOGETHER_MM3 = 1.0
# Two images have the same grid when their affines agree within this, in mm.
_SAME_GRID_MM = 1e-3


def voxel_mask(signal_affine: FloatArray, like: Volume) -> Volume:
    """Fraction of each image voxel that lies in the spectroscopy voxel.

    Parameters
    ----------
    signal_affine : float array, shape (4, 4)
        Maps the unit cube around the origin to the voxel, in mm of scanner space.
    like : Volume
        The image whose grid is used.

    Returns
    -------
    Volume
        Values 0 to 1; their sum times the volume of an image voxel is the volume of the part inside the image.
    """
    to_unit = np.linalg.inv(np.asarray(signal_affine, dtype=float)) @ like.affine
    box = _index_box(signal_affine, like)
    fraction = np.zeros(like.data.shape)
    if all(part.stop > part.start for part in box):
        grid = np.meshgrid(*[np.arange(part.start, part.stop, dtype=float) for part in box], indexing="ij")
        for offset in product(_CELLS, repeat=3):
            fraction[box] += _cell_inside(grid, offset, to_unit)
    return Volume(fraction / len(_CELLS) ** 3, like.affine)


def voxel_fractions(
    affine: FloatArray, maps: Mapping[Literal["GM", "WM", "CSF"], Volume], *, source: str = ""
) -> TissueFractions:
    """Tissue fractions in the spectroscopy voxel.

    Parameters
    ----------
    affine : float array, shape (4, 4)
        Of the spectroscopy voxel, as in `voxel_mask`.
    maps : mapping of tissue to Volume
        Probability maps (0 to 1) of GM, WM and CSF on one grid.
    source : str, optional
        Where the maps come from.

    Returns
    -------
    TissueFractions
        Renormalised to a sum of 1; the SD is that of independent draws of each mm3 with the maps' probabilities.

    Raises
    ------
    AnalysisError
        ``tissue-maps`` when maps are missing or differ in grid; ``voxel-outside`` when the voxel is partly outside
        the image; ``tissue-cover`` when the maps hold tissue for less than 90 % of the voxel.
    """
    _check_maps(maps)
    like = maps["GM"]
    mask = voxel_mask(affine, like).data
    inside = part_inside(affine, like)
    if inside < 1 - LARGEST_PART_OUTSIDE:
        raise AnalysisError(
            f"The image covers only {100 * inside:.1f} % of the spectroscopy voxel.",
            cure="Check that image and spectroscopy are of the same session and in the same scanner space.",
            code="voxel-outside",
        )
    if not mask.any():
        raise AnalysisError("The spectroscopy voxel is smaller than the image resolves.", code="voxel-outside")
    sums = {tissue: float((mask * maps[tissue].data).sum()) for tissue in ("GM", "WM", "CSF")}
    cover = sum(sums.values()) / float(mask.sum())
    if cover < _SMALLEST_TISSUE_COVER:
        raise AnalysisError(
            f"The tissue maps hold tissue for only {100 * cover:.1f} % of the spectroscopy voxel.",
            cure="Is the voxel at the edge of the brain, or are the maps of another image?",
            code="tissue-cover",
        )
    total = sum(sums.values())
    gm, wm, csf = (_spread(mask, maps[tissue]) / total for tissue in ("GM", "WM", "CSF"))
    return TissueFractions(sums["GM"] / total, sums["WM"] / total, sums["CSF"] / total, source, (gm, wm, csf))


def _spread(mask: FloatArray, probability: Volume) -> float:
    """SD of the amount of a tissue, in image voxels, when every mm3 is drawn on its own (a binomial)."""
    draws = abs(float(np.linalg.det(probability.affine[:3, :3]))) / _DRAWN_TOGETHER_MM3
    p = probability.data
    return float(np.sqrt(np.sum(mask**2 * np.clip(p * (1 - p), 0.0, None)) / draws))


def _corners(signal_affine: FloatArray, like: Volume) -> FloatArray:
    """Corners of the voxel in indices of the image, shape (8, 3)."""
    unit = np.array([(*corner, 1.0) for corner in product((-0.5, 0.5), repeat=3)])
    indices: FloatArray = (unit @ (np.linalg.inv(like.affine) @ signal_affine).T)[:, :3]
    return indices


def _index_box(signal_affine: FloatArray, like: Volume) -> tuple[slice, ...]:
    """Image voxels that the spectroscopy voxel can touch."""
    corners = _corners(signal_affine, like)
    low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, like.data.shape)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, 0, like.data.shape)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def _cell_inside(grid: Sequence[FloatArray], offset: tuple[float, ...], to_unit: FloatArray) -> FloatArray:
    """1 where the centre of this cell of an image voxel lies in the unit cube, else 0."""
    x, y, z = (axis + shift for axis, shift in zip(grid, offset, strict=True))
    # Both borders are moved the same way, so that a cell on a border shared by two voxels is counted once.
    inside = np.ones(x.shape)
    for row in to_unit[:3]:
        place = row[0] * x + row[1] * y + row[2] * z + row[3]
        inside *= (place >= -0.5 - 1e-9) & (place < 0.5 - 1e-9)
    return inside


def part_inside(affine: FloatArray, like: Volume) -> float:
    """Part of the spectroscopy voxel that lies in the image, from a fine grid of points in the voxel.

    Parameters
    ----------
    affine : float array, shape (4, 4)
        Of the spectroscopy voxel, as in `voxel_mask`.
    like : Volume
        The image.

    Returns
    -------
    float
        0 to 1.
    """
    places = (np.arange(_POINTS_PER_EDGE) + 0.5) / _POINTS_PER_EDGE - 0.5
    unit = np.stack([*np.meshgrid(places, places, places, indexing="ij"), np.ones((places.size,) * 3)], axis=-1)
    indices = (unit @ (np.linalg.inv(like.affine) @ affine).T)[..., :3]
    return float(((indices >= -0.5) & (indices <= np.array(like.data.shape) - 0.5)).all(axis=-1).mean())


def _check_maps(maps: Mapping[Literal["GM", "WM", "CSF"], Volume]) -> None:
    missing = [tissue for tissue in ("GM", "WM", "CSF") if tissue not in maps]
    if missing:
        raise AnalysisError(f"There is no tissue map of {', '.join(missing)}.", code="tissue-maps")
    like = maps["GM"]
    for tissue, volume in maps.items():
        if volume.data.shape != like.data.shape or not np.allclose(volume.affine, like.affine, atol=_SAME_GRID_MM):
            raise AnalysisError(f"The tissue maps of GM and {tissue} are not on one grid.", code="tissue-maps")
        if volume.data.min() < -1e-3 or volume.data.max() > 1 + 1e-3:
            raise AnalysisError(
                f"The tissue map of {tissue} holds values from {volume.data.min():g} to {volume.data.max():g}.",
                cure="Give probabilities from 0 to 1.",
                code="tissue-maps",
            )
