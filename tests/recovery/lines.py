"""Line shapes as decays: their width, and how to give them another one."""

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.axis import SpectralAxis

# Zero-filled to bins of 0.06 Hz at 2 kHz; half-maximum points are interpolated between them.
_N_FFT = 1 << 15


def fwhm_hz(decay: ComplexArray, axis: SpectralAxis) -> float:
    """Full width at half maximum of the real line that a decay gives, in Hz.

    Examples
    --------
    >>> axis = SpectralAxis(2048, 1 / 2000, 127.7e6, 4.65)
    >>> round(fwhm_hz(np.exp(-np.pi * 6.0 * axis.time_s) + 0j, axis), 2)
    6.00
    """
    spectrum, frequency = _spectrum(decay, axis)
    line = spectrum.real
    top = int(np.argmax(line))
    half = line[top] / 2
    # Walk from the peak: beyond the line, noise or sidebands may rise above the half maximum again.
    right = top + int(np.argmax(line[top:] < half))
    left = top - int(np.argmax(line[top::-1] < half))
    high = np.interp(half, line[[right, right - 1]], frequency[[right, right - 1]])
    low = np.interp(half, line[[left, left + 1]], frequency[[left, left + 1]])
    return float(high - low)


def with_fwhm(decay: ComplexArray, axis: SpectralAxis, width_hz: float) -> ComplexArray:
    """Give a line another width and keep its shape: its frequency axis is stretched, so its time axis shrinks."""
    stretch = width_hz / fwhm_hz(decay, axis)
    stretched: ComplexArray = np.interp(stretch * axis.time_s, axis.time_s, decay, right=0.0)
    return stretched


def centred(decay: ComplexArray, axis: SpectralAxis) -> ComplexArray:
    """Put the line's highest magnitude at frequency zero, and its magnitude at time zero to 1."""
    spectrum, frequency = _spectrum(decay / np.abs(decay[0]), axis)
    return decay / np.abs(decay[0]) * np.exp(-2j * np.pi * frequency[np.argmax(np.abs(spectrum))] * axis.time_s)


def _spectrum(decay: ComplexArray, axis: SpectralAxis) -> tuple[ComplexArray, FloatArray]:
    padded = np.zeros(_N_FFT, dtype=np.complex128)
    padded[: axis.n_points] = decay
    padded[0] *= 0.5
    frequency = np.fft.fftshift(np.fft.fftfreq(_N_FFT, axis.dwell_s))
    return np.fft.fftshift(np.fft.fft(padded)), frequency
