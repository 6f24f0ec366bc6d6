"""What a scanner gave, and what became of it: `Acquisition`, `Signal`, `Scan`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray, frozen_complex, frozen_float
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import FileError
from mrspipe.core.results import TissueFractions

DIMENSIONS = ("coil", "transient", "cycle", "edit", "phase_cycle", "other")


@dataclass(frozen=True, slots=True)
class Acquisition:
    """How a signal was acquired. Unknown is ``None``, never a guess.

    Parameters
    ----------
    nucleus : str
        Such as ``"1H"``.
    field_t : float or None
        Static field, in T.
    sequence : str or None
        Sequence name in lower case, such as ``"press"``.
    echo_time_s, repetition_time_s, mixing_time_s, inversion_time_s : float or None
        In s.
    manufacturer : str or None
    n_transients : int or None
        Number of transients acquired, also when the file holds only their average.
    voxel_mm : tuple of float or None
        Nominal voxel size, in mm.
    water_suppressed : bool or None
    """

    nucleus: str = "1H"
    field_t: float | None = None
    sequence: str | None = None
    echo_time_s: float | None = None
    repetition_time_s: float | None = None
    mixing_time_s: float | None = None
    inversion_time_s: float | None = None
    manufacturer: str | None = None
    n_transients: int | None = None
    voxel_mm: tuple[float, float, float] | None = None
    water_suppressed: bool | None = None


@dataclass(frozen=True, slots=True)
class ProcessingStep:
    """One entry of a signal's history: what was done, with which settings, and what was measured on the way.

    ``details`` holds JSON values only; it is written to ``ProcessingApplied`` of NIfTI-MRS.
    """

    method: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Signal:
    """Complex time-domain data with named dimensions.

    Parameters
    ----------
    samples : complex array, shape (..., n_points)
        Read-only; sign convention of `mrspipe.core.axis`; the first point is not halved.
    dims : tuple of str
        A name of `DIMENSIONS` for each dimension, ending with ``"time"``.
    axis : SpectralAxis
    acquisition : Acquisition
    history : tuple of ProcessingStep
    affine : float array, shape (4, 4), or None
        Voxel position in scanner space, in mm: maps the unit cube around the origin to the voxel. None: not localised.
    """

    samples: ComplexArray
    dims: tuple[str, ...]
    axis: SpectralAxis
    acquisition: Acquisition = Acquisition()
    history: tuple[ProcessingStep, ...] = ()
    affine: FloatArray | None = None

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples)
        if self.dims[-1:] != ("time",) or len(self.dims) != samples.ndim:
            raise FileError(f"A signal of shape {samples.shape} cannot have dimensions {self.dims}.")
        unknown = set(self.dims[:-1]) - set(DIMENSIONS)
        if unknown or len(set(self.dims)) != len(self.dims):
            raise FileError(f"Dimensions must be different names of {DIMENSIONS} and 'time', got {self.dims}.")
        if samples.shape[-1] != self.axis.n_points:
            raise FileError(f"A signal has {samples.shape[-1]} points but its axis {self.axis.n_points}.")
        if not np.isfinite(samples).all():
            raise FileError(
                "The signal holds values that are not finite.", cure="Convert or export it again.", code="not-finite"
            )
        object.__setattr__(self, "samples", frozen_complex(samples))
        if self.affine is not None:
            object.__setattr__(self, "affine", frozen_float(self.affine))

    @property
    def fid(self) -> ComplexArray:
        """The samples of a fully combined signal, shape (n_points,)."""
        if self.dims != ("time",):
            raise ValueError(f"Only a combined signal has one FID; this one has dimensions {self.dims}.")
        return self.samples

    def size(self, dim: str) -> int:
        """Length of a dimension, 1 when the signal does not have it."""
        return self.samples.shape[self.dims.index(dim)] if dim in self.dims else 1

    def after(self, step: ProcessingStep, samples: ComplexArray, dims: tuple[str, ...] | None = None) -> "Signal":
        """Return the signal with new samples and one more entry in its history."""
        return replace(self, samples=samples, dims=dims or self.dims, history=(*self.history, step))


@dataclass(frozen=True, slots=True, order=True)
class ScanKey:
    """The BIDS entities that name one scan, in BIDS order; absent is ``None``.

    Examples
    --------
    >>> ScanKey(sub="01", task="cue").label
    'sub-01_task-cue'
    """

    sub: str
    ses: str | None = None
    task: str | None = None
    acq: str | None = None
    nuc: str | None = None
    voi: str | None = None
    rec: str | None = None
    run: str | None = None
    echo: str | None = None
    inv: str | None = None

    @property
    def label(self) -> str:
        """File-name stem without the suffix."""
        return "_".join(f"{name}-{value}" for name, value in self.entities.items())

    @property
    def entities(self) -> dict[str, str]:
        """Entities that are set, in BIDS order."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Scan:
    """One metabolite signal with what belongs to it.

    ``water_note`` says why ``water`` is None, or what is special about it.
    """

    key: ScanKey
    metabolites: Signal
    water: Signal | None = None
    tissue: TissueFractions | None = None
    water_note: str = ""
    tissue_note: str = ""
