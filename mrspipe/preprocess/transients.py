"""Repeated measurements of one signal: those that do not belong."""

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.preprocess.alignment import band_limited, complex_median

# Standard deviation of a normal distribution in units of its median absolute deviation.
_SD_PER_MAD = 1.4826
# A spread of the distances below this part of the signal is rounding, not scatter.
_ROUNDING = 1e-9


def outliers(
    fids: ComplexArray,
    axis: SpectralAxis,
    *,
    threshold: float = 5.0,
    max_fraction: float = 0.2,
    band_ppm: tuple[float, float] | None = None,
    duration_s: float = 0.2,
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell which transients lie far from the others.

    The distance of a transient is the norm of its difference to the median transient. It is an outlier when its
    distance exceeds the median distance by ``threshold`` robust standard deviations.

    Parameters
    ----------
    fids : complex array, shape (n_transients, ..., n_points)
        Aligned. Signals that share a transient (both halves of a cycle) are judged together.
    axis : SpectralAxis
    threshold : float
        In robust standard deviations.
    max_fraction : float
        At most this part of the transients is called outlying: the most distant ones.
    band_ppm : tuple of float, optional
        Part of the spectrum that is compared, in ppm; all of it by default.
    duration_s : float
        Part of the FID that is compared, in s.

    Returns
    -------
    bool array, shape (n_transients,)
    """
    n_used = int(np.clip(round(duration_s / axis.dwell_s), 2, axis.n_points))
    compared = band_limited(fids, axis, band_ppm)[..., :n_used]
    median = complex_median(compared)
    distance = np.sqrt(np.sum(np.abs(compared - median) ** 2, axis=tuple(range(1, fids.ndim))))
    excess = robust_excess(distance, floor=_ROUNDING * float(np.linalg.norm(median)))
    n_most = int(max_fraction * len(fids))
    worst_first = np.argsort(-excess, kind="stable")[:n_most]
    outlying = np.zeros(len(fids), dtype=np.bool_)
    outlying[worst_first] = excess[worst_first] > threshold
    return outlying


def robust_excess(values: FloatArray, *, floor: float) -> FloatArray:
    """Values above their median, in robust standard deviations of at least ``floor``."""
    above = values - np.median(values)
    scatter = max(_SD_PER_MAD * float(np.median(np.abs(above))), floor)
    return above / scatter if scatter > 0 else np.zeros_like(above)
