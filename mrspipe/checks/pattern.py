"""Does a signal look like the brain's metabolites, and on which side of the centre: from its line heights alone.

No fit, no basis set: the magnitude spectrum, freed of everything wide, is compared with three narrow lines that every
brain spectrum shows (total NAA, total creatine, total choline), as it is and mirrored about the centre, which is what
conjugated samples look like. Magnitudes do not feel phase, and sums over coils need no combination.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import median_filter

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.noise import noise_covariance
from mrspipe.core.signal import Signal
from mrspipe.physics.constants import WATER_PPM

# Chemical shift, in ppm, and height relative to NAA of the lines at short and long echo times.
_LINES = ((2.01, 1.0), (3.03, 0.75), (3.21, 0.7))
_LINE_FWHM_PPM = 0.06
# The part of the spectrum that the lines are looked for in, in ppm, and how far a spectrum may be off.
_RANGE_PPM = (1.7, 3.5)
_LARGEST_SHIFT_PPM = 0.4
_STEP_PPM = 0.005
# What is wider than this is no line, in ppm.
_WIDE_PPM = 0.3
_WATER_RANGE_PPM = 0.6
# Broadening that makes the noise smaller than the lines, in Hz.
_BROADENING_HZ = 4.0


@dataclass(frozen=True, slots=True)
class Match:
    """How well the lines of the brain are seen.

    Parameters
    ----------
    likeness : float
        Cosine between the narrow part of the spectrum and the lines, at the best shift; 1 is perfect.
    strength : float
        Height of the lines over the noise.
    height : float
        Height of NAA in the magnitude spectrum, in units of the samples times points.
    shift_ppm : float
        How far the lines are off.
    """

    likeness: float
    strength: float
    height: float
    shift_ppm: float


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a signal looks like: the lines of the brain as it is and mirrored, and the height of its water."""

    straight: Match
    mirrored: Match
    water_height: float


def pattern_of(signal: Signal) -> Pattern:
    """Compare a signal with the lines of the brain.

    Parameters
    ----------
    signal : Signal
        Any dimensions: transients are averaged, of the two shots of metabolite cycling the difference is taken, all
        other dimensions are summed in power.
    """
    found = [_pattern(fids, signal.axis) for fids in _without_cycled_water(signal)]
    return Pattern(
        straight=max((one.straight for one in found), key=lambda match: match.likeness),
        mirrored=max((one.mirrored for one in found), key=lambda match: match.likeness),
        water_height=found[0].water_height,
    )


def amplitude(signal: Signal) -> float:
    """Size of the FID at its start: mean over transients, root of the sum of squares over coils and the rest."""
    n_start = max(2, signal.axis.n_points // 256)
    return float(np.sqrt((np.abs(_averaged(signal)[:, :n_start]) ** 2).sum(axis=0)).max())


def _averaged(signal: Signal) -> ComplexArray:
    """Samples averaged over transients and cycles, shape (n, n_points)."""
    at = tuple(signal.dims.index(dim) for dim in ("transient", "cycle") if dim in signal.dims)
    averaged: ComplexArray = signal.samples.mean(axis=at).reshape(-1, signal.axis.n_points)
    return averaged


def _without_cycled_water(signal: Signal) -> list[ComplexArray]:
    """Averaged samples, each of shape (n, n_points); of cycled shots their difference, in two ways.

    The water of two shots differs in amplitude and phase. Scaling one to the other removes what is left of it; when the
    shots drift, it can also do harm. Whichever shows the lines better counts.
    """
    if signal.size("cycle") < 2:
        return [_averaged(signal)]
    shots = np.moveaxis(signal.samples, signal.dims.index("cycle"), 0)
    upright, inverted = shots[0], shots[1]
    size = (np.abs(inverted) ** 2).sum(axis=-1, keepdims=True)
    scale = (inverted.conj() * upright).sum(axis=-1, keepdims=True) / np.where(size > 0, size, 1.0)
    dims = tuple(dim for dim in signal.dims if dim != "cycle")
    differences = (upright - inverted, upright - scale * inverted)
    return [_averaged(replace(signal, samples=difference, dims=dims)) for difference in differences]


def _pattern(fids: ComplexArray, axis: SpectralAxis) -> Pattern:
    ppm, magnitude = _magnitude(fids, axis)
    low, high = _RANGE_PPM[0] - _LARGEST_SHIFT_PPM, _RANGE_PPM[1] + _LARGEST_SHIFT_PPM
    grid = np.arange(low, high, _STEP_PPM)
    sides = [np.interp(where, ppm, magnitude, left=0.0, right=0.0) for where in (grid, 2 * axis.centre_ppm - grid)]
    width = round(_WIDE_PPM / _STEP_PPM)
    narrow = [side - median_filter(side, width, mode="nearest") for side in sides]
    noise = _noise(fids, axis)
    straight, mirrored = (_match(grid, side, noise) for side in narrow)
    near_water = np.abs(ppm - WATER_PPM) < _WATER_RANGE_PPM
    return Pattern(straight, mirrored, float(magnitude[near_water].max(initial=0.0)))


def _magnitude(fids: ComplexArray, axis: SpectralAxis) -> tuple[FloatArray, FloatArray]:
    """Chemical shift, ascending, in ppm, and the magnitude spectrum, each of shape (2 n_points,)."""
    n_filled = 2 * axis.n_points
    spectra = np.fft.fftshift(np.fft.fft(fids * _decay(axis), n_filled, axis=-1), axes=-1)
    frequency_hz = np.fft.fftshift(np.fft.fftfreq(n_filled, axis.dwell_s))
    return axis.centre_ppm + frequency_hz / axis.hz_per_ppm, np.sqrt((np.abs(spectra) ** 2).sum(axis=0))


def _noise(fids: ComplexArray, axis: SpectralAxis) -> float:
    """Standard deviation of the magnitude spectrum's noise, from that of a point of the FID."""
    return float(np.sqrt(np.trace(noise_covariance(fids)).real * (_decay(axis) ** 2).sum()))


def _decay(axis: SpectralAxis) -> FloatArray:
    weight: FloatArray = np.exp(-np.pi * _BROADENING_HZ * axis.time_s)
    return weight


def _match(grid: FloatArray, narrow: FloatArray, noise: float) -> Match:
    """Find the shift at which the lines fit best: all shifts at once, a grid step apart."""
    n_window = round((_RANGE_PPM[1] - _RANGE_PPM[0]) / _STEP_PPM)
    width = _LINE_FWHM_PPM / np.sqrt(8 * np.log(2))
    # The first window of the grid is that of the largest shift downwards.
    unshifted = grid[:n_window] + _LARGEST_SHIFT_PPM
    lines = sum(height * np.exp(-0.5 * ((unshifted - ppm) / width) ** 2) for ppm, height in _LINES)
    product = np.correlate(narrow, lines, "valid")
    size = np.sqrt(np.correlate(narrow**2, np.ones(n_window), "valid"))
    length = float(np.linalg.norm(lines))
    likeness = np.divide(product, size * length, out=np.zeros_like(product), where=size > 0)
    best = int(np.argmax(likeness))
    height = float(product[best]) / length**2
    shift_ppm = best * _STEP_PPM - _LARGEST_SHIFT_PPM
    return Match(float(likeness[best]), height / noise if noise > 0 else 0.0, height, shift_ppm)
