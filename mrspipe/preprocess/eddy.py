"""Eddy-current correction: the phase of the water signal is taken off (Klose 1990, doi 10.1002/mrm.1910140104).

Eddy currents shift the field during the FID, for all resonances alike. The water signal, one line on resonance, shows
that shift as its phase. Where the water has decayed into the noise its phase is random: from there the last phase is
kept, on top of the steady precession.
"""

from dataclasses import dataclass

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.noise import noise_sd

# Fewer usable points than this are no water signal.
_MIN_POINTS = 16
# Water is called strong above this part of its largest point.
_STRONG = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class WaterPhase:
    """Phase of a water signal over time.

    Parameters
    ----------
    frequency_hz : float
        Steady precession, in Hz.
    deviation_rad : float array, shape (n_points,)
        Phase beyond the steady precession, in rad; constant where the water has decayed.
    axis : SpectralAxis
    usable_s : float
        Time at which the phase was last measured, in s.
    deviation_range_rad : float
        Range of the deviation while the water is strong, in rad; later it is mostly noise.
    """

    frequency_hz: float
    deviation_rad: FloatArray
    axis: SpectralAxis
    usable_s: float
    deviation_range_rad: float

    def at(self, time_s: FloatArray) -> FloatArray:
        """Phase at the given times, in rad."""
        deviation = np.interp(time_s, self.axis.time_s, self.deviation_rad)
        phase: FloatArray = 2 * np.pi * self.frequency_hz * time_s + deviation
        return phase


def water_phase(water: ComplexArray, axis: SpectralAxis, *, noise_factor: float = 5.0) -> WaterPhase | None:
    """Measure the phase of a water signal.

    Parameters
    ----------
    water : complex array, shape (n_points,)
    axis : SpectralAxis
    noise_factor : float
        Points smaller than this many noise standard deviations take the phase of the point before them.

    Returns
    -------
    WaterPhase or None
        None when hardly any point stands out of the noise.
    """
    usable = np.abs(water) > noise_factor * noise_sd(water)
    if np.count_nonzero(usable) < _MIN_POINTS:
        return None
    last = int(np.flatnonzero(usable)[-1])
    strong = np.abs(water) > _STRONG * np.abs(water).max()
    frequency = _late_frequency(water[: np.flatnonzero(strong)[-1] + 1], axis)
    slow = water * np.exp(-2j * np.pi * frequency * axis.time_s)
    # Each point points at the last usable one up to it; before the first usable one, at that one.
    source = np.maximum.accumulate(np.where(usable, np.arange(len(water)), np.argmax(usable)))
    deviation = np.unwrap(np.angle(slow[source]))
    return WaterPhase(frequency, deviation, axis, float(axis.time_s[last]), float(np.ptp(deviation[strong])))


def without_phase(fid: ComplexArray, axis: SpectralAxis, phase: WaterPhase, *, water_ppm: float) -> ComplexArray:
    """Take the water's phase off a signal, so that water would lie at ``water_ppm`` with zero phase.

    Parameters
    ----------
    fid : complex array, shape (n_points,)
    axis : SpectralAxis
        Of ``fid``; it may differ from the water's.
    phase : WaterPhase
    water_ppm : float
        Chemical shift of water, in ppm.

    Returns
    -------
    complex array, shape (n_points,)
        Of the same size in every point.
    """
    nominal = 2 * np.pi * axis.offset_hz(water_ppm) * axis.time_s
    corrected: ComplexArray = fid * np.exp(1j * (nominal - phase.at(axis.time_s)))
    return corrected


def _late_frequency(water: ComplexArray, axis: SpectralAxis) -> float:
    """Mean frequency of the second half, where eddy currents have decayed most, in Hz."""
    late = water[len(water) // 2 :]
    turn = np.vdot(late[:-1], late[1:])
    return float(np.angle(turn)) / (2 * np.pi * axis.dwell_s)
