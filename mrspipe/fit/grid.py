"""The band-limited grid: the few hundred frequency bins around the metabolites on which a fit is computed.

A spectrum is the integral of an FID over the first ``duration_s``, taken at equally spaced frequencies around
2.2 ppm. It does not depend on the dwell time, so data and basis sets of any sampling meet on one grid. The inverse FFT
gives band-limited time signals; the ringing before time zero is wrapped to their end.

The spacing is 1 / (2 duration): the real part of a spectrum that is zero-filled by two holds the whole information of
a causal FID, and its noise is white.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.fft import fft, next_fast_len

from mrspipe.core.arrays import ComplexArray, FloatArray, IntArray
from mrspipe.core.axis import SpectralAxis

_CENTRE_PPM = 2.2
_HALF_WIDTH_PPM = 3.0
# The wrapped end of a band-limited signal are times before zero, where a decaying factor would grow without bound.
_EARLIEST_S = -0.01


@dataclass(frozen=True)
class BandGrid:
    """Frequencies of the fit.

    Parameters
    ----------
    n_bins : int
    spacing_hz : float
    hz_per_ppm : float
    centre_ppm : float
        Chemical shift of bin ``n_bins // 2``.
    duration_s : float
        Part of the FIDs that is transformed.
    """

    n_bins: int
    spacing_hz: float
    hz_per_ppm: float
    centre_ppm: float
    duration_s: float

    @classmethod
    def of(cls, axis: SpectralAxis, duration_s: float) -> "BandGrid":
        """Lay the grid for data on ``axis``."""
        duration = min(axis.n_points, round(duration_s / axis.dwell_s)) * axis.dwell_s
        spacing = 0.5 / duration
        # Even, so that alternating signs in time move a spectrum by half its width.
        n_bins = 2 * next_fast_len(int(np.ceil(_HALF_WIDTH_PPM * axis.hz_per_ppm / spacing)))
        return cls(n_bins, spacing, axis.hz_per_ppm, _CENTRE_PPM, duration)

    @cached_property
    def ppm(self) -> FloatArray:
        """Ascending chemical shift of each bin, shape (n_bins,)."""
        offset_hz = (np.arange(self.n_bins, dtype=np.float64) - self.n_bins // 2) * self.spacing_hz
        return self.centre_ppm + offset_hz / self.hz_per_ppm

    @cached_property
    def time_s(self) -> FloatArray:
        """Time of each point of a band-limited signal, shape (n_bins,); times before zero are clipped."""
        time = signed_points(self.n_bins) / (self.n_bins * self.spacing_hz)
        return np.asarray(np.maximum(time, _EARLIEST_S))

    def slice_ppm(self, low_ppm: float, high_ppm: float) -> slice:
        """Bins from ``low_ppm`` to ``high_ppm``."""
        return slice(int(np.searchsorted(self.ppm, low_ppm)), int(np.searchsorted(self.ppm, high_ppm, side="right")))

    def spectra(self, fids: ComplexArray, axis: SpectralAxis) -> ComplexArray:
        """Transform FIDs on ``axis`` to the grid's chemical shifts, shape (..., n_bins)."""
        n_used = min(axis.n_points, round(self.duration_s / axis.dwell_s))
        weighted = np.array(fids[..., :n_used], dtype=np.complex128)
        weighted[..., 0] *= 0.5
        frequency = (self.ppm - axis.centre_ppm) * axis.hz_per_ppm
        if abs(n_used * axis.dwell_s - self.duration_s) < 1e-9 * self.duration_s and self.n_bins <= 2 * n_used:
            return _zero_filled(weighted, frequency[0], axis.dwell_s)[..., : self.n_bins]
        return np.asarray(weighted @ _waves(frequency, axis.dwell_s, n_used) * axis.dwell_s)

    def to_time(self, spectra: ComplexArray) -> ComplexArray:
        """Band-limited time signals of spectra on the grid."""
        return np.asarray(np.fft.ifft(np.fft.ifftshift(spectra, axes=-1), axis=-1))

    def to_spectrum(self, signals: ComplexArray) -> ComplexArray:
        """Inverse of `to_time`."""
        return np.asarray(np.fft.fftshift(np.fft.fft(signals, axis=-1), axes=-1))


def first_early(n_bins: int) -> int:
    """First point of a band-limited signal that is before time zero: the last quarter is wrapped."""
    return -(-3 * n_bins // 4)


def signed_points(n_bins: int) -> IntArray:
    """Number of each point of a band-limited signal from time zero, negative before it, shape (n_bins,)."""
    point = np.arange(n_bins)
    return np.where(point < first_early(n_bins), point, point - n_bins)


def _zero_filled(fids: ComplexArray, first_hz: float, dwell_s: float) -> ComplexArray:
    """Spectra from ``first_hz`` upwards, 1 / (2 duration) apart: one FFT, zero-filled by two."""
    n_points = fids.shape[-1]
    moved = fids * np.exp(-2j * np.pi * first_hz * dwell_s * np.arange(n_points))
    return np.asarray(fft(moved, 2 * n_points, axis=-1) * dwell_s)


def _waves(frequency_hz: FloatArray, dwell_s: float, n_points: int) -> ComplexArray:
    """``exp(-2 pi i f t)``, shape (n_points, n_frequencies).

    Composed of two short series, because ``exp`` of every element would cost ten times the product.
    """
    block = 64
    fine = np.exp(-2j * np.pi * dwell_s * np.outer(np.arange(block), frequency_hz))
    coarse = np.exp(-2j * np.pi * dwell_s * block * np.outer(np.arange(-(-n_points // block)), frequency_hz))
    return np.asarray((coarse[:, None, :] * fine[None, :, :]).reshape(-1, frequency_hz.size)[:n_points])
