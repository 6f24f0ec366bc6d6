"""Repeated measurements of one signal: their noise, and those that do not belong."""

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.preprocess.alignment import band_limited, complex_median

# The last eighth of an FID holds noise, and what is left there of slow signals goes with differences of neighbours.
_TAIL_PART = 8
# A full covariance is used when there are this many samples per coil: the SNR lost to its own errors is then under 3 %
# (Reed et al. 1974, doi 10.1109/TAES.1974.307893).
_SAMPLES_PER_COIL = 20
# Standard deviation of a normal distribution in units of its median absolute deviation.
_SD_PER_MAD = 1.4826
# A spread of the distances below this part of the signal is rounding, not scatter.
_ROUNDING = 1e-9


def noise_covariance(fids: ComplexArray) -> ComplexArray:
    """Covariance of the complex noise between coils.

    Parameters
    ----------
    fids : complex array, shape (n_coils, ..., n_points)

    Returns
    -------
    complex array, shape (n_coils, n_coils)
        Mean of ``noise_i conj(noise_j)``; diagonal when the samples are too few for more.
    """
    noise = _tail_noise(fids).reshape(len(fids), -1)
    covariance: ComplexArray = noise @ noise.conj().T / noise.shape[1]
    if noise.shape[1] < _SAMPLES_PER_COIL * len(fids):
        return np.diag(np.diag(covariance))
    return covariance


def noise_sd(fids: ComplexArray) -> float:
    """Standard deviation of the real part of the noise of one point."""
    return float(np.sqrt(np.mean(np.abs(_tail_noise(fids)) ** 2) / 2))


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


def _tail_noise(fids: ComplexArray) -> ComplexArray:
    n_tail = max(fids.shape[-1] // _TAIL_PART, 2)
    noise: ComplexArray = np.diff(fids[..., -n_tail:], axis=-1) / np.sqrt(2)
    return noise
