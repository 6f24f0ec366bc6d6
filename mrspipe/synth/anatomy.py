"""A phantom head: a T1-weighted image and its tissue maps, with known tissue where the voxel lies.

Around the intended place of the voxel the maps are a linear gradient from left to right, so that the mean over any
box centered there is the value at its center, whatever its size and rotation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.results import TissueFractions
from mrspipe.core.volume import Volume
from mrspipe.synth.acquisition import MeasurementSettings
from mrspipe.synth.cohort import GM_PER_MM

_FIELD_OF_VIEW_MM = 192.0
_HEAD_RADII_MM = (78.0, 95.0, 85.0)
_BRAIN_RADII_MM = (66.0, 84.0, 70.0)
_VENTRICLE_RADII_MM = (14.0, 28.0, 12.0)
_VENTRICLE_CENTRE_MM = (0.0, -8.0, 14.0)
# Depth at which grey matter becomes white, as part of the brain's radius.
_CORTEX = 0.86
# Half the diagonal of the voxel and its largest displacement fit into it.
_NEIGHBOURHOOD_MM = 22.0
_INTENSITY = {"GM": 620.0, "WM": 900.0, "CSF": 240.0}
_SCALP_INTENSITY = 480.0
_NOISE_SD = 12.0


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """A T1-weighted image and tissue maps (GM, WM, CSF) on the same grid."""

    t1w: Volume
    maps: Mapping[str, Volume]


def draw_anatomy(tissue: TissueFractions, settings: MeasurementSettings, rng: np.random.Generator) -> Anatomy:
    """Make one participant's images.

    Parameters
    ----------
    tissue : TissueFractions
        At the intended place of the voxel.
    settings : MeasurementSettings
    rng : Generator
        Draws the noise of the T1-weighted image.

    Returns
    -------
    Anatomy
    """
    affine, at, phantom, head = _phantom(settings.image_voxel_mm)
    x = at[0]
    place = np.array(settings.voxel_centre_mm)
    near = np.linalg.norm(at - place.reshape(3, 1, 1, 1), axis=0) < _NEIGHBOURHOOD_MM
    gm = np.clip(tissue.gm + GM_PER_MM * (x - place[0]), 0.0, 1.0 - tissue.csf)
    local = {"GM": gm, "WM": 1.0 - tissue.csf - gm, "CSF": np.full_like(gm, tissue.csf)}
    maps = {name: np.where(near, local[name], values) for name, values in phantom.items()}
    brain = sum((_INTENSITY[name] * values for name, values in maps.items()), np.zeros_like(x))
    t1w = np.where(brain > 0, brain, _SCALP_INTENSITY * head)
    t1w = np.rint(np.clip(t1w + head * _NOISE_SD * rng.standard_normal(t1w.shape), 0, None))
    return Anatomy(Volume(t1w, affine), {name: Volume(values, affine) for name, values in maps.items()})


@lru_cache(maxsize=2)
def _phantom(voxel_mm: float) -> tuple[FloatArray, FloatArray, Mapping[str, FloatArray], np.ndarray[Any, Any]]:
    """What all heads share: affine, coordinates (3, n, n, n), tissue maps, and where the head is. Not to be changed."""
    affine, coordinates = _grid(voxel_mm)
    at = np.stack(coordinates)
    return affine, at, _phantom_maps(at), _radius(at, _HEAD_RADII_MM) < 1


def _grid(voxel_mm: float) -> tuple[FloatArray, tuple[FloatArray, FloatArray, FloatArray]]:
    """Affine, and the coordinates of each image voxel's center."""
    n = round(_FIELD_OF_VIEW_MM / voxel_mm)
    first = -voxel_mm * (n - 1) / 2
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = first
    line = first + voxel_mm * np.arange(n)
    x, y, z = np.meshgrid(line, line, line, indexing="ij")
    return affine, (x, y, z)


def _radius(
    at: FloatArray, radii_mm: tuple[float, float, float], centre_mm: tuple[float, ...] = (0, 0, 0)
) -> FloatArray:
    """Distance from a center in units of an ellipsoid's radii: below 1 is inside."""
    scaled = (at - np.reshape(centre_mm, (3, 1, 1, 1))) / np.reshape(radii_mm, (3, 1, 1, 1))
    return np.asarray(np.linalg.norm(scaled, axis=0))


def _phantom_maps(at: FloatArray) -> dict[str, FloatArray]:
    radius = _radius(at, _BRAIN_RADII_MM)
    csf = (_radius(at, _VENTRICLE_RADII_MM, _VENTRICLE_CENTRE_MM) < 1).astype(float)
    gm = ((radius >= _CORTEX) & (radius < 1)).astype(float) * (1 - csf)
    return {"GM": gm, "WM": (radius < 1) * (1 - csf - gm), "CSF": csf}


def voxel_affine(settings: MeasurementSettings, *, displacement_mm: float, angle_deg: float) -> FloatArray:
    """Position of the spectroscopy voxel, shape (4, 4), in mm: turned about the head-foot axis, moved to the right."""
    angle = np.deg2rad(angle_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(settings.voxel_mm)
    affine[:3, 3] = np.add(settings.voxel_centre_mm, (displacement_mm, 0.0, 0.0))
    return affine
