"""Does a signal look like the brain's metabolites, and on which side of the centre: from its line heights alone.

No fit, no basis set: the magnitude spectrum, freed of everything wide, is compared with three narrow lines that every
brain spectrum shows (total NAA, total creatine, total choline), as it is and mirrored about the centre, which is what
conjugated samples look like. Magnitudes do not feel phase, and sums over coils need no combination.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

from mrspipe.core.arrays import ComplexArray, FloatArray
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
    ppm, magnitude = _magnitude(signal)
    centre = signal.axis.centre_ppm
    low, high = _RANGE_PPM[0] - _LARGEST_SHIFT_PPM, _RANGE_PPM[1] + _LARGEST_SHIFT_PPM
    grid = np.arange(low, high, _STEP_PPM)
    sides = [np.interp(where, ppm, magnitude, left=0.0, right=0.0) for where in (grid, 2 * centre - grid)]
    width = round(_WIDE_PPM / _STEP_PPM)
    narrow = [side - median_filter(side, width, mode="nearest") for side in sides]
    noise = _noise(signal)
    straight, mirrored = (_match(grid, side, noise) for side in narrow)
    near_water = np.abs(ppm - WATER_PPM) < _WATER_RANGE_PPM
    water = float(magnitude[near_water].max(initial=0.0))
    return Pattern(straight, mirrored, water)


def amplitude(signal: Signal) -> float:
    """Size of the FID at its start: mean over transients, root of the sum of squares over coils and the rest."""
    n_start = max(2, signal.axis.n_points // 256)
    return float(np.sqrt((np.abs(_averaged(signal)[:, :n_start]) ** 2).sum(axis=0)).max())


def _averaged(signal: Signal, *, difference: bool = False) -> ComplexArray:
    """Samples of shape (n, n_points): averaged over transients, and over the shots of a cycle or their difference."""
    samples, dims = signal.samples, list(signal.dims)
    for dim in ("transient", "cycle"):
        if dim in dims:
            at = dims.index(dim)
            if dim == "cycle" and difference and samples.shape[at] > 1:
                samples = np.take(samples, 0, at) - np.take(samples, 1, at)
            else:
                samples = samples.mean(axis=at)
            dims.pop(at)
    flat: ComplexArray = samples.reshape(-1, samples.shape[-1])
    return flat


def _magnitude(signal: Signal) -> tuple[FloatArray, FloatArray]:
    """Chemical shift, ascending, in ppm, and the magnitude spectrum, each of shape (2 n_points,)."""
    axis = signal.axis
    fids = _averaged(signal, difference=True) * np.exp(-np.pi * _BROADENING_HZ * axis.time_s)
    n_filled = 2 * axis.n_points
    power = (np.abs(np.fft.fftshift(np.fft.fft(fids, n_filled, axis=-1), axes=-1)) ** 2).sum(axis=0)
    frequency_hz = np.fft.fftshift(np.fft.fftfreq(n_filled, axis.dwell_s))
    return axis.centre_ppm + frequency_hz / axis.hz_per_ppm, np.sqrt(power)


def _noise(signal: Signal) -> float:
    """Standard deviation of the magnitude spectrum's noise, from the differences at the end of the FID."""
    fids = _averaged(signal, difference=True)
    tail = fids[:, -max(8, signal.axis.n_points // 8) :]
    per_point = float((np.abs(np.diff(tail)) ** 2).mean(axis=-1).sum()) / 2
    weight = np.exp(-np.pi * _BROADENING_HZ * signal.axis.time_s)
    return float(np.sqrt(per_point * (weight**2).sum()))


def _match(grid: FloatArray, narrow: FloatArray, noise: float) -> Match:
    """Find the shift at which the lines fit best."""
    shifts = np.arange(-_LARGEST_SHIFT_PPM, _LARGEST_SHIFT_PPM + _STEP_PPM / 2, _STEP_PPM)
    found = [_match_at(grid, narrow, noise, float(shift)) for shift in shifts]
    return max(found, key=lambda match: match.likeness)


def _match_at(grid: FloatArray, narrow: FloatArray, noise: float, shift_ppm: float) -> Match:
    inside = (grid > _RANGE_PPM[0] + shift_ppm) & (grid < _RANGE_PPM[1] + shift_ppm)
    width = _LINE_FWHM_PPM / np.sqrt(8 * np.log(2))
    lines = sum(h * np.exp(-0.5 * ((grid[inside] - p - shift_ppm) / width) ** 2) for p, h in _LINES)
    part = narrow[inside]
    product, size = float(part @ lines), float(np.linalg.norm(part))
    length = float(np.linalg.norm(lines))
    likeness = product / (size * length) if size > 0 else 0.0
    height = product / length**2
    return Match(likeness, height / noise if noise > 0 else 0.0, height, shift_ppm)
