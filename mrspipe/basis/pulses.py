"""Shaped radio-frequency (RF) pulses: their design, and what they do to one spin.

A pulse is a train of hard rotations about y, one in the middle of each sample, with free precession in between: the
model in which the Shinnar-Le Roux (SLR) transform is exact (Pauly et al. 1991, doi 10.1109/42.75611). One spin of
offset f is turned by the matrix ``[[a, -b*], [b, a*]]``; a and b are polynomials in ``exp(-2 pi i f dt)``. An
excitation gives the transverse magnetisation ``2 a* b``, and a refocusing pulse between equal crushers turns it to its
conjugate times ``-b^2``.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator
from scipy.signal import firwin

from mrspipe.core.arrays import ComplexArray, FloatArray, frozen_float
from mrspipe.core.errors import ConfigError
from mrspipe.settings import Settings

# Samples of a designed pulse: its replica lie at n / duration, 9 kHz for 7 ms, far from every line.
_N_SAMPLES = 64
# Largest |b| of a design; 1 would need an infinite logarithm. Refocuses 99.8 % in the middle of the slice.
_LARGEST_B = 0.999
# Fourier transforms of the design are this much longer than the pulse, so that the cepstrum does not alias.
_OVERSAMPLING = 64
# Corrections of the cut-off frequency; each gains about two digits.
_N_WIDTH_STEPS = 6
# Bandwidth times duration: below, the Hamming window has no flat slice; above, the samples are too few.
_LEAST_PRODUCT, _LARGEST_PRODUCT = 3.5, 40.0

Purpose = Literal["excitation", "refocusing"]
_LARGEST: dict[Purpose, float] = {"excitation": np.sqrt(0.5), "refocusing": _LARGEST_B}
_ANGLE_RAD: dict[Purpose, float] = {"excitation": np.pi / 2, "refocusing": np.pi}

Waveform = tuple[float, ...]


class PulseSettings(Settings):
    """Pulses of PRESS; the defaults are typical of a body coil at 3 T (assumed).

    The voxel of a line at ``p`` ppm is displaced by ``(p - carrier_ppm) f0 / bandwidth`` voxel sizes.
    """

    excitation_bandwidth_hz: Annotated[float, Field(gt=0)] = 2000.0
    """Full width at half maximum of the excited slice, in Hz (assumed)."""
    excitation_duration_s: Annotated[float, Field(gt=0)] = 0.004
    """Duration of the excitation pulse, in s (assumed)."""
    refocusing_bandwidth_hz: Annotated[float, Field(gt=0)] = 1200.0
    """Full width at half maximum of the refocused slice, in Hz (assumed)."""
    refocusing_duration_s: Annotated[float, Field(gt=0)] = 0.0065
    """Duration of each refocusing pulse, in s (assumed)."""
    carrier_ppm: float = 3.0
    """Chemical shift that the pulses are centred on, in ppm (assumed)."""
    excitation_shape: Waveform = ()
    """Relative amplitudes of a symmetric excitation pulse; empty: designed with the SLR transform. Its bandwidth is
    then that of the shape, and the setting only says how far to look."""
    refocusing_shape: Waveform = ()
    """Relative amplitudes of a symmetric refocusing pulse; empty: designed with the SLR transform."""

    @field_validator("excitation_shape", "refocusing_shape")
    @classmethod
    def _is_symmetric(cls, shape: Waveform) -> Waveform:
        if shape and not np.allclose(shape, shape[::-1], atol=1e-3 * max(abs(value) for value in shape)):
            raise ValueError("a shape must be symmetric in time, because its centre is taken for its middle")
        if shape and sum(shape) <= 0:
            raise ValueError("the sum of a shape must be positive, because it sets the flip angle")
        return shape


@dataclass(frozen=True, slots=True, eq=False)
class Pulse:
    """A symmetric pulse about y.

    Parameters
    ----------
    angle_rad : float array, shape (n_samples,)
        Rotation in the middle of each sample.
    duration_s : float
    bandwidth_hz : float
        Full width at half maximum of the slice.
    """

    angle_rad: FloatArray
    duration_s: float
    bandwidth_hz: float

    @property
    def dwell_s(self) -> float:
        """Duration of a sample. Unit: s."""
        return self.duration_s / self.angle_rad.size


def excitation_pulse(settings: PulseSettings) -> Pulse:
    """Give the 90 degree pulse of the settings."""
    return _pulse(
        "excitation", settings.excitation_shape, settings.excitation_duration_s, settings.excitation_bandwidth_hz
    )


def refocusing_pulse(settings: PulseSettings) -> Pulse:
    """Give the 180 degree pulse of the settings."""
    return _pulse(
        "refocusing", settings.refocusing_shape, settings.refocusing_duration_s, settings.refocusing_bandwidth_hz
    )


def _pulse(purpose: Purpose, shape: Waveform, duration_s: float, bandwidth_hz: float) -> Pulse:
    if not shape:
        return designed_pulse(purpose, duration_s, bandwidth_hz)
    relative = np.array(shape)
    return Pulse(frozen_float(relative * _ANGLE_RAD[purpose] / relative.sum()), duration_s, bandwidth_hz)


@lru_cache(maxsize=32)
def designed_pulse(purpose: Purpose, duration_s: float, bandwidth_hz: float) -> Pulse:
    """Design a linear-phase pulse with the SLR transform.

    Parameters
    ----------
    purpose : {"excitation", "refocusing"}
    duration_s : float
    bandwidth_hz : float
        Full width at half maximum of the transverse magnetisation that is excited, or refocused between crushers.

    Raises
    ------
    ConfigError
        The product of bandwidth and duration is outside 3.5 to 40.
    """
    if not _LEAST_PRODUCT <= bandwidth_hz * duration_s <= _LARGEST_PRODUCT:
        raise ConfigError(
            f"A pulse of {bandwidth_hz:g} Hz and {1e3 * duration_s:g} ms cannot be designed.",
            where="pulse_shapes",
            cure=f"Bandwidth times duration must be {_LEAST_PRODUCT:g} to {_LARGEST_PRODUCT:g}.",
            code="pulse-bandwidth",
        )
    dwell_s = duration_s / _N_SAMPLES
    cutoff_hz = bandwidth_hz
    for _ in range(_N_WIDTH_STEPS):
        b = _filter(purpose, cutoff_hz, dwell_s)
        pulse = Pulse(frozen_float(inverse_slr(b)), duration_s, bandwidth_hz)
        cutoff_hz *= bandwidth_hz / _width_hz(pulse, purpose)
    return pulse


def _filter(purpose: Purpose, cutoff_hz: float, dwell_s: float) -> FloatArray:
    """Polynomial b of a slice: a low-pass filter with a Hamming window, scaled to what the purpose needs."""
    b = np.asarray(firwin(_N_SAMPLES, cutoff_hz / 2, window="hamming", fs=1 / dwell_s), dtype=np.float64)
    largest = np.abs(np.fft.fft(b, _OVERSAMPLING * _N_SAMPLES)).max()
    scaled: FloatArray = b * _LARGEST[purpose] / largest
    return scaled


def inverse_slr(b: FloatArray) -> FloatArray:
    """Rotation angles of the pulse with a polynomial ``b``.

    Parameters
    ----------
    b : float array, shape (n_samples,)
        Its Fourier transform must stay below 1.

    Returns
    -------
    float array, shape (n_samples,)
        In rad.
    """
    a = _minimum_phase(b)
    angles = np.empty(b.size)
    for k in range(b.size - 1, -1, -1):
        half = np.arctan2(b[0], a[0])
        angles[k] = 2 * half
        # Undo the rotation, then the precession, which had moved b by one sample.
        a, b = (np.cos(half) * a + np.sin(half) * b)[:-1], (np.cos(half) * b - np.sin(half) * a)[1:]
    return angles


def _minimum_phase(b: FloatArray) -> FloatArray:
    """Polynomial a with ``|a|^2 + |b|^2 = 1`` and the least phase, from its cepstrum."""
    n = _OVERSAMPLING * b.size
    cepstrum = np.fft.ifft(0.5 * np.log(1 - np.abs(np.fft.fft(b, n)) ** 2)).real
    cepstrum[1 : n // 2] *= 2
    cepstrum[n // 2 + 1 :] = 0
    a: FloatArray = np.fft.ifft(np.exp(np.fft.fft(cepstrum))).real[: b.size]
    return a


def cayley_klein(pulse: Pulse, offset_hz: FloatArray) -> tuple[ComplexArray, ComplexArray]:
    """Cayley-Klein parameters a and b of a pulse for spins off resonance, each of the shape of ``offset_hz``."""
    # Precession for half a sample turns the two components of a spinor by opposite halves of its angle.
    root = np.exp(0.5j * np.pi * np.asarray(offset_hz) * pulse.dwell_s)
    a, b = np.ones_like(root), np.zeros_like(root)
    for angle in pulse.angle_rad:
        a, b = a * root.conj(), b * root
        a, b = np.cos(angle / 2) * a - np.sin(angle / 2) * b, np.sin(angle / 2) * a + np.cos(angle / 2) * b
        a, b = a * root.conj(), b * root
    return a, b


def slice_profile(pulse: Pulse, purpose: Purpose, offset_hz: FloatArray) -> FloatArray:
    """Size of the transverse magnetisation that is excited, or refocused between crushers."""
    a, b = cayley_klein(pulse, offset_hz)
    return np.asarray(2 * np.abs(a * b) if purpose == "excitation" else np.abs(b) ** 2, dtype=np.float64)


def _width_hz(pulse: Pulse, purpose: Purpose) -> float:
    """Full width at half maximum of the slice, in Hz."""
    offset_hz = np.linspace(0, 1 / (2 * pulse.dwell_s), 4097)
    profile = slice_profile(pulse, purpose, offset_hz)
    edge = int(np.argmax(profile < 0.5 * profile[0]))
    inside, outside = profile[edge - 1], profile[edge]
    fraction = (inside - 0.5 * profile[0]) / (inside - outside)
    return float(2 * (offset_hz[edge - 1] + fraction * (offset_hz[edge] - offset_hz[edge - 1])))
