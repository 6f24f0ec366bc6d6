"""A radio-frequency (RF) pulse with its slice gradient, and what it does to one spin.

A pulse is a train of hard rotations, one in the middle of each sample, with free precession in between. One spin is
turned by the matrix ``[[a, -b*], [b, a*]]``. An excitation gives the transverse magnetisation ``2 a* b``; a refocusing
pulse between equal crushers turns it to its conjugate times ``-b^2``; an inversion leaves ``|a|^2 - |b|^2`` along z.

A position is the frequency offset that the largest slice gradient gives there, in Hz: a slice is as wide as the
bandwidth of its pulse, and a spin of offset f has its slice displaced by -f where the gradient is constant.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray, frozen_complex, frozen_float

# Points of a profile between the middle of the slice and half the sampling rate.
_N_PROFILE = 4097

Purpose = Literal["excitation", "refocusing", "inversion"]
ANGLE_RAD: dict[Purpose, float] = {"excitation": np.pi / 2, "refocusing": np.pi, "inversion": np.pi}


@dataclass(frozen=True, slots=True, eq=False)
class Pulse:
    """A pulse and its slice gradient.

    Parameters
    ----------
    rotation : complex array, shape (n_samples,)
        Rotation in the middle of each sample: its size in rad, and as its argument the angle of its axis from y.
    gradient : float array, shape (n_samples,)
        Slice gradient relative to its largest value.
    duration_s : float
        0 for an ideal pulse, which has no slice.
    """

    rotation: ComplexArray
    gradient: FloatArray
    duration_s: float

    @property
    def dwell_s(self) -> float:
        """Duration of a sample. Unit: s."""
        return self.duration_s / self.rotation.size

    def segments(self, n: int) -> tuple["Pulse", ...]:
        """Cut into ``n`` consecutive pulses, or one for each sample where that is less."""
        return tuple(
            Pulse(self.rotation[samples], self.gradient[samples], samples.size * self.dwell_s)
            for samples in np.array_split(np.arange(self.rotation.size), min(n, self.rotation.size))
        )


def pulse_of(rotation: ComplexArray | FloatArray, duration_s: float, gradient: FloatArray | None = None) -> Pulse:
    """Give a pulse that cannot be changed, in a constant gradient unless one is given."""
    return Pulse(
        frozen_complex(rotation),
        frozen_float(np.ones(rotation.size) if gradient is None else gradient),
        duration_s,
    )


def ideal_pulse(purpose: Purpose) -> Pulse:
    """Give the hard, instantaneous pulse of exact angle about y."""
    return pulse_of(np.array([ANGLE_RAD[purpose]]), 0.0)


def cayley_klein(
    pulse: Pulse, position_hz: FloatArray | float, offset_hz: float = 0.0
) -> tuple[ComplexArray, ComplexArray]:
    """Cayley-Klein parameters a and b of a pulse.

    Parameters
    ----------
    pulse : Pulse
    position_hz : float array
        Frequency offset by the largest slice gradient, in Hz.
    offset_hz : float
        Frequency offset of the spin from the carrier, in Hz.

    Returns
    -------
    a, b : complex array
        Each of the shape of ``position_hz``.
    """
    position_hz = np.asarray(position_hz, dtype=np.float64)
    a, b = np.ones(position_hz.shape, dtype=np.complex128), np.zeros(position_hz.shape, dtype=np.complex128)
    cosine, sine = np.cos(np.abs(pulse.rotation) / 2), np.sin(np.abs(pulse.rotation) / 2)
    axis = np.exp(1j * np.angle(pulse.rotation))
    for k, gradient in enumerate(pulse.gradient):
        # Precession for half a sample turns the two components of a spinor by opposite halves of its angle.
        root = np.exp(0.5j * np.pi * pulse.dwell_s * (offset_hz + gradient * position_hz))
        a, b = a * root.conj(), b * root
        a, b = cosine[k] * a - sine[k] * axis[k].conj() * b, sine[k] * axis[k] * a + cosine[k] * b
        a, b = a * root.conj(), b * root
    return a, b


def slice_profile(pulse: Pulse, purpose: Purpose, position_hz: FloatArray) -> FloatArray:
    """Part of the magnetisation that is excited, refocused between crushers, or inverted, at each position."""
    a, b = cayley_klein(pulse, position_hz)
    return np.asarray(2 * np.abs(a * b) if purpose == "excitation" else np.abs(b) ** 2, dtype=np.float64)


def width_hz(pulse: Pulse, purpose: Purpose) -> float:
    """Full width of the slice where the profile falls to half of its middle, in Hz; NaN where it does not fall."""
    position_hz = np.linspace(0, 1 / (2 * pulse.dwell_s), _N_PROFILE)
    profile = slice_profile(pulse, purpose, position_hz)
    outside = np.flatnonzero(profile < 0.5 * profile[0])
    if outside.size == 0:
        return np.nan
    edge = outside[0]
    before, after = profile[edge - 1], profile[edge]
    fraction = (before - 0.5 * profile[0]) / (before - after)
    return float(2 * (position_hz[edge - 1] + fraction * (position_hz[edge] - position_hz[edge - 1])))
