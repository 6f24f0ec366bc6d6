"""FID to spectrum and back; phase, shift and broaden. The signs follow `mrspipe.core.axis`.

All functions work on the last dimension and return new arrays.
"""

import numpy as np
from numpy.typing import ArrayLike

from mrspipe.core.arrays import ComplexArray
from mrspipe.core.axis import SpectralAxis


def to_spectrum(fids: ComplexArray) -> ComplexArray:
    """Fourier transform FIDs to spectra with ascending frequency.

    The first point is halved, because an FID is a one-sided integral and the trapezoid rule gives its end
    half weight (Otting et al. 1986, J Magn Reson 66:187); without that, the baseline is lifted.

    Parameters
    ----------
    fids : complex array, shape (..., n_points)

    Returns
    -------
    complex array, shape (..., n_points)
    """
    weighted = np.array(fids, dtype=np.complex128)
    weighted[..., 0] *= 0.5
    spectra: ComplexArray = np.fft.fftshift(np.fft.fft(weighted, axis=-1), axes=-1)
    return spectra


def to_fid(spectra: ComplexArray) -> ComplexArray:
    """Inverse of `to_spectrum`.

    Examples
    --------
    >>> fid = np.exp(-np.arange(8.0)).astype(complex)
    >>> bool(np.allclose(to_fid(to_spectrum(fid)), fid))
    True
    """
    fids: ComplexArray = np.fft.ifft(np.fft.ifftshift(spectra, axes=-1), axis=-1)
    fids[..., 0] *= 2.0
    return fids


def phased(fids: ComplexArray, phase_rad: ArrayLike) -> ComplexArray:
    """Multiply by ``exp(i phase)``; ``phase_rad`` broadcasts against ``fids.shape[:-1]``."""
    return fids * np.exp(1j * np.asarray(phase_rad, dtype=float))[..., None]


def shifted(fids: ComplexArray, axis: SpectralAxis, shift_hz: ArrayLike) -> ComplexArray:
    """Move spectra up in frequency by ``shift_hz``, which broadcasts against ``fids.shape[:-1]``."""
    return fids * np.exp(2j * np.pi * np.asarray(shift_hz, dtype=float)[..., None] * axis.time_s)


def broadened(
    fids: ComplexArray, axis: SpectralAxis, *, lorentz_hz: float = 0.0, gauss_hz: float = 0.0
) -> ComplexArray:
    """Convolve spectra with a Lorentzian and a Gaussian of the given full widths at half maximum (FWHM), in Hz.

    ``exp(-pi L t)`` has a Lorentzian of FWHM ``L``; ``exp(-pi^2 G^2 t^2 / (4 ln 2))`` has a Gaussian of FWHM ``G``.
    """
    t = axis.time_s
    decay: ComplexArray = fids * np.exp(-np.pi * lorentz_hz * t - (np.pi * gauss_hz * t) ** 2 / (4 * np.log(2)))
    return decay
