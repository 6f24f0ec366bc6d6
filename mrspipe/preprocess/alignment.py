"""Frequency and phase of each transient, brought onto a common target.

Least squares in the time domain over the first part of the FID (spectral registration, Near et al. 2015, doi
10.1002/mrm.25094). An `Alignment` holds *corrections*: multiplying a transient by
``exp(i (2 pi shift_hz t + phase_rad))`` brings it onto the target.
"""

from dataclasses import dataclass

import numpy as np
from scipy.fft import fft, next_fast_len

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.noise import noise_sd
from mrspipe.core.operators import phased, shifted
from mrspipe.preprocess.shrinkage import believed

_MAX_ITERATIONS = 50
# Iterations end when no frequency (Hz) and no phase (rad) moves by more than this: far below any noise.
_TOLERANCE = 1e-9
# The starting frequency comes from a correlation this many times finer than the resolution of the window.
_ZERO_FILLING = 4
# The target gets sharper with each pass; after three it no longer changes.
_N_PASSES = 3
_POWER_ITERATIONS = 20
# Width of the cosine edges of a band, outside of it: sharp edges would ring through the whole FID.
_EDGE_PPM = 0.1
# An FID that starts at full size has wide dispersive tails; one that rises within this time has not, so that strong
# water stays out of a band beside it. Broad signals, which would blur the comparison, go as well.
_RISE_S = 0.006


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """Corrections of frequency (Hz) and phase (rad), each of shape (n_transients,)."""

    shift_hz: FloatArray
    phase_rad: FloatArray

    def applied(self, fids: ComplexArray, axis: SpectralAxis) -> ComplexArray:
        """Correct FIDs of shape (n_transients, n_points)."""
        return phased(shifted(fids, axis, self.shift_hz), self.phase_rad)


def align(
    fids: ComplexArray,
    axis: SpectralAxis,
    *,
    duration_s: float = 0.2,
    max_shift_hz: float = 20.0,
    band_ppm: tuple[float, float] | None = None,
) -> Alignment:
    """Find the corrections that bring all transients onto each other.

    The first target is the signal that the transients have most in common whatever their phases (the leading right
    singular vector of the transients, each scaled to unit energy); the next ones are the median of the transients
    aligned so far. In the end a correction that is likely noise is brought towards the drift. Only differences between
    transients have a meaning, so the median shift and the mean phase of the corrections are zero: the average stays
    where it was.

    Parameters
    ----------
    fids : complex array, shape (n_transients, n_points)
    axis : SpectralAxis
    duration_s : float
        Part of the FID that is compared, in s.
    max_shift_hz : float
        Largest shift that is looked for, in Hz.
    band_ppm : tuple of float, optional
        Part of the spectrum that is compared, in ppm; all of it by default.

    Returns
    -------
    Alignment
    """
    total = Alignment(np.zeros(len(fids)), np.zeros(len(fids)))
    target = np.zeros(axis.n_points, dtype=np.complex128)
    for number in range(_N_PASSES):
        current = band_limited(total.applied(fids, axis), axis, band_ppm)
        target = _common_signal(current) if number == 0 else complex_median(current)
        found = register(current, target, axis, duration_s=duration_s, max_shift_hz=max_shift_hz)
        total = _centred(Alignment(total.shift_hz + found.shift_hz, total.phase_rad + found.phase_rad))
    return _centred(_without_noise(total, target, noise_sd(fids), axis, duration_s))


def _without_noise(
    found: Alignment, target: ComplexArray, sd: float, axis: SpectralAxis, duration_s: float
) -> Alignment:
    """Take out of the corrections what is likely their error (`mrspipe.preprocess.shrinkage`)."""
    design, weights = _window(target, axis, duration_s)
    information = (design * weights) @ design.T
    if not (sd > 0 and np.linalg.det(information) > 0):
        return found
    corrections = np.stack([found.shift_hz, np.unwrap(found.phase_rad)], axis=1)
    kept = believed(corrections, np.asarray(sd**2 * np.linalg.inv(information)))
    return Alignment(kept[:, 0], _wrapped(kept[:, 1]))


def _window(target: ComplexArray, axis: SpectralAxis, duration_s: float) -> tuple[FloatArray, FloatArray]:
    """Derivative of the angle by frequency and phase, shape (2, n_used), and the squared size of the target there."""
    n_used = int(np.clip(round(duration_s / axis.dwell_s), 2, axis.n_points))
    design = np.stack([2 * np.pi * axis.time_s[:n_used], np.ones(n_used)])
    return design, np.abs(target[:n_used]) ** 2


def register(
    fids: ComplexArray, target: ComplexArray, axis: SpectralAxis, *, duration_s: float = 0.2, max_shift_hz: float = 20.0
) -> Alignment:
    """Find the frequency and phase that bring each transient onto the target.

    Minimises ``sum_t |y(t) exp(i (2 pi f t + p)) - r(t)|^2`` over ``f`` and ``p`` for all transients at once, by
    Newton steps from the best frequency of a fine correlation.

    Parameters
    ----------
    fids : complex array, shape (n_transients, n_points)
    target : complex array, shape (n_points,)
    axis : SpectralAxis
    duration_s : float
        Part of the FID that is compared, in s.
    max_shift_hz : float
        Largest shift of the starting value, in Hz.

    Returns
    -------
    Alignment

    Examples
    --------
    >>> axis = SpectralAxis(512, 1 / 2000, 127.7e6, 4.65)
    >>> target = np.exp(-20 * axis.time_s).astype(complex)
    >>> found = register(shifted(target[None], axis, -3.0), target, axis)
    >>> round(float(found.shift_hz[0]), 6)
    3.0
    """
    design, weights = _window(target, axis, duration_s)
    n_used = weights.size
    products = target[:n_used].conj() * fids[:, :n_used]
    energy = float(weights.sum())
    if energy == 0.0:
        return Alignment(np.zeros(len(fids)), np.zeros(len(fids)))
    usual = (design * weights) @ design.T / energy
    parameters = _start(products, axis, max_shift_hz)
    moving = np.arange(len(fids))
    # A longer step than half the resolution of the window, or a quarter turn, would leave the maximum it starts from.
    largest = np.array([0.5 / (n_used * axis.dwell_s), np.pi / 2])
    for _ in range(_MAX_ITERATIONS):
        rotated = products[moving] * np.exp(1j * parameters[moving] @ design)
        step = np.clip(_newton_step(rotated, design, usual), -largest, largest)
        parameters[moving] += step
        moving = moving[np.abs(step).max(axis=1, initial=0.0) >= _TOLERANCE]
        if moving.size == 0:
            break
    return Alignment(parameters[:, 0], _wrapped(parameters[:, 1]))


def band_limited(fids: ComplexArray, axis: SpectralAxis, band_ppm: tuple[float, float] | None) -> ComplexArray:
    """Keep what lies inside a band, for comparisons only; None keeps everything.

    The FIDs are silenced over their first milliseconds, and the band has cosine edges 0.1 ppm wide outside of it.
    """
    if band_ppm is None:
        return fids
    rising = fids * (1 - np.exp(-((axis.time_s / _RISE_S) ** 2)))
    outside = np.maximum(np.maximum(band_ppm[0] - axis.ppm, axis.ppm - band_ppm[1]), 0.0)
    passed = np.cos(np.pi / 2 * np.minimum(outside / _EDGE_PPM, 1.0)) ** 2
    kept: ComplexArray = np.fft.ifft(np.fft.fft(rising, axis=-1) * np.fft.ifftshift(passed), axis=-1)
    return kept


def complex_median(fids: ComplexArray) -> ComplexArray:
    """Median over the first dimension, of real and imaginary parts separately."""
    median: ComplexArray = np.median(fids.real, axis=0) + 1j * np.median(fids.imag, axis=0)
    return median


def _start(products: ComplexArray, axis: SpectralAxis, max_shift_hz: float) -> FloatArray:
    """Frequency and phase of the largest correlation with the target, shape (n_transients, 2)."""
    n_fine = next_fast_len(_ZERO_FILLING * products.shape[1])
    frequency = np.fft.fftfreq(n_fine, axis.dwell_s)
    near = np.flatnonzero(np.abs(frequency) <= max_shift_hz)
    correlation = fft(products, n_fine, axis=1)[:, near]
    best = np.argmax(np.abs(correlation), axis=1)
    phase = -np.angle(correlation[np.arange(len(products)), best])
    return np.column_stack([-frequency[near][best], phase])


def _newton_step(rotated: ComplexArray, design: FloatArray, usual: FloatArray) -> FloatArray:
    """Newton step of each transient's frequency and phase towards the largest correlation, shape (n_transients, 2).

    Where noise has turned the curvature around, the curvature of the target takes its place, scaled by the transient's
    amplitude.
    """
    rate, one = design
    a, b, c = (rotated.real @ product for product in (rate * rate, rate * one, one * one))
    convex = (a > 0) & (a * c > b * b)
    gain = np.maximum(np.abs(rotated.sum(axis=1)), np.finfo(float).tiny)
    a, b, c = (
        np.where(convex, own, gain * other) for own, other in ((a, usual[0, 0]), (b, usual[0, 1]), (c, usual[1, 1]))
    )
    slope_rate, slope_one = rotated.imag @ rate, rotated.imag @ one
    determinant = a * c - b * b
    # Silence has neither slope nor curvature.
    determinant = np.where(determinant > 0, determinant, 1.0)
    return -np.column_stack([c * slope_rate - b * slope_one, a * slope_one - b * slope_rate]) / determinant[:, None]


def _common_signal(fids: ComplexArray) -> ComplexArray:
    """Leading right singular vector of the transients, each scaled to unit energy."""
    energy = np.sqrt(np.sum(np.abs(fids) ** 2, axis=1, keepdims=True))
    unit = fids / np.where(energy > 0, energy, 1.0)
    # By power iteration on the small Gram matrix, from the transient that has most in common with the others: a start
    # for the alignment need not be exact.
    gram = unit @ unit.conj().T
    weights = gram[:, np.argmax(np.abs(gram).sum(axis=0))]
    for _ in range(_POWER_ITERATIONS):
        weights = gram @ weights
        weights = weights / max(float(np.linalg.norm(weights)), np.finfo(float).tiny)
    return weights.conj() @ unit


def _centred(alignment: Alignment) -> Alignment:
    shift = alignment.shift_hz - np.median(alignment.shift_hz)
    common = np.angle(np.mean(np.exp(1j * alignment.phase_rad)))
    return Alignment(shift, _wrapped(alignment.phase_rad - common))


def _wrapped(phase_rad: FloatArray) -> FloatArray:
    wrapped: FloatArray = np.angle(np.exp(1j * phase_rad))
    return wrapped
