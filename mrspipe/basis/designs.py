"""Design of slice-selective pulses from their bandwidth and duration.

Pulses of constant phase: sinc with a Gaussian window, and the Shinnar-Le Roux (SLR) transform of a filter (Pauly et
al. 1991, doi 10.1109/42.75611). Their bandwidth is the full width of the slice at half maximum.

Adiabatic pulses sweep their frequency over the bandwidth and turn magnetisation by 180 degrees whatever the strength
of the RF field, once it is strong enough. A slice of position x is passed when the frequency is ``G(t) x``; with the
path ``x(t)`` through the slice the frequency is therefore ``F = G x``, and the adiabaticity at that moment is

``K = 2 pi B^2 / (G dx/dt)``

with the RF amplitude B and F in Hz. The hyperbolic secant has a constant gradient (Silver et al. 1985, doi
10.1103/PhysRevA.31.2753), FOCI raises gradient and RF field of its flanks (Ordidge et al. 1996, doi
10.1002/mrm.1910360420), and GOIA chooses the path that makes K constant for given B and G (Tannus and Garwood 1997,
doi 10.1002/(SICI)1099-1492(199712)10:8<423::AID-NBM488>3.0.CO;2-X), here those of GOIA-W(16,4) (Andronesi et al.
2010, doi 10.1016/j.jmr.2010.01.010).
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import ceil, isfinite

import numpy as np

from mrspipe.basis.pulses import ANGLE_RAD, Pulse, Purpose, pulse_of, slice_profile, width_hz
from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import ConfigError

# Samples of a pulse of constant phase: its replica lie at n / duration, 9 kHz for 7 ms, far from every line.
_N_SAMPLES = 64
# Largest |b| of a design; 1 would need an infinite logarithm. Refocuses 99.8 % in the middle of the slice.
_LARGEST_B = 0.999
# Fourier transforms of the design are this much longer than the pulse, so that the cepstrum does not alias.
_OVERSAMPLING = 64
# Corrections of the cut-off frequency; each gains about two digits.
_N_WIDTH_STEPS = 6
# Bandwidth times duration of pulses of constant phase: below, no flat slice; above, the samples are too few.
_LEAST_PRODUCT, _LARGEST_PRODUCT = 3.5, 40.0
# The Gaussian window of a sinc falls to exp(-3) at the ends of the pulse (assumed).
_WINDOW_EXPONENT = 3.0

# Bandwidth times duration of adiabatic pulses: below, the edges of the slice meet.
_LEAST_SWEEP, _LARGEST_SWEEP = 8.0, 400.0
# The hyperbolic secant is cut off where it has fallen to 1 %.
_SECH_CUT = float(np.arccosh(100.0))
# FOCI and GOIA: ratio of the largest to the smallest gradient.
_GRADIENT_RATIO = 10.0
# Exponents of the RF amplitude and the gradient of GOIA-W(16,4).
_GOIA_RF_POWER, _GOIA_GRADIENT_POWER = 16, 4
# Adiabaticity where no amplitude is given: by Landau and Zener exp(-pi K / 2) = 8e-5 are not inverted (assumed).
_ADIABATICITY = 6.0
# An adiabatic pulse must invert this part of the magnetisation in the middle of its slice.
_LEAST_INVERSION = 0.95
# Samples of an adiabatic pulse, and per cycle of the sweep.
_LEAST_SAMPLES, _SAMPLES_PER_CYCLE = 256, 4

Modulation = Callable[[FloatArray], tuple[FloatArray, FloatArray, FloatArray]]


@lru_cache(maxsize=32)
def slr_pulse(purpose: Purpose, duration_s: float, bandwidth_hz: float) -> Pulse:
    """Design a linear-phase pulse with the SLR transform.

    Parameters
    ----------
    purpose : {"excitation", "refocusing", "inversion"}
    duration_s : float
    bandwidth_hz : float
        Full width at half maximum of the magnetisation that is excited, refocused between crushers, or inverted.

    Raises
    ------
    ConfigError
        The product of bandwidth and duration is outside 3.5 to 40.
    """
    largest = np.sqrt(0.5) if purpose == "excitation" else _LARGEST_B

    def built(cutoff_hz: float) -> Pulse:
        b = _low_pass(cutoff_hz * duration_s / _N_SAMPLES)
        scaled = b * largest / np.abs(np.fft.fft(b, _OVERSAMPLING * _N_SAMPLES)).max()
        return pulse_of(inverse_slr(scaled), duration_s)

    return _as_wide_as(bandwidth_hz, duration_s, purpose, built)


def _low_pass(cutoff: float) -> FloatArray:
    """Low-pass filter with a Hamming window: pass band of full width ``cutoff``, in cycles a sample."""
    sample = np.arange(_N_SAMPLES) - 0.5 * (_N_SAMPLES - 1)
    taps = np.sinc(cutoff * sample) * np.hamming(_N_SAMPLES)
    return np.asarray(taps / taps.sum())


@lru_cache(maxsize=32)
def sinc_gauss_pulse(purpose: Purpose, duration_s: float, bandwidth_hz: float) -> Pulse:
    """Design a sinc with a Gaussian window; parameters and errors as for `slr_pulse`."""
    time = (np.arange(_N_SAMPLES) + 0.5) / _N_SAMPLES - 0.5

    def built(cutoff_hz: float) -> Pulse:
        shape = np.sinc(cutoff_hz * duration_s * time) * np.exp(-_WINDOW_EXPONENT * (2 * time) ** 2)
        return pulse_of(shape * ANGLE_RAD[purpose] / shape.sum(), duration_s)

    return _as_wide_as(bandwidth_hz, duration_s, purpose, built)


def _as_wide_as(bandwidth_hz: float, duration_s: float, purpose: Purpose, built: Callable[[float], Pulse]) -> Pulse:
    """Correct the cut-off frequency until the slice has its bandwidth."""
    _check_product(bandwidth_hz, duration_s, _LEAST_PRODUCT, _LARGEST_PRODUCT)
    cutoff_hz = bandwidth_hz
    for _ in range(_N_WIDTH_STEPS):
        pulse = built(cutoff_hz)
        cutoff_hz *= bandwidth_hz / width_hz(pulse, purpose)
    return pulse


def _check_product(bandwidth_hz: float, duration_s: float, least: float, largest: float) -> None:
    if not least <= bandwidth_hz * duration_s <= largest:
        raise ConfigError(
            f"A pulse of {bandwidth_hz:g} Hz and {1e3 * duration_s:g} ms cannot be designed.",
            where="pulse_shapes",
            cure=f"Bandwidth times duration must be {least:g} to {largest:g}.",
            code="pulse-bandwidth",
        )


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


def hyperbolic_secant(time: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """RF amplitude, gradient and path of the hyperbolic secant.

    Parameters
    ----------
    time : float array
        From -1 to 1.

    Returns
    -------
    amplitude, gradient, path : float array
        The first two relative to their largest values, the path from -1 to 1.
    """
    amplitude = 1 / np.cosh(_SECH_CUT * time)
    return amplitude, np.ones_like(time), np.tanh(_SECH_CUT * time) / np.tanh(_SECH_CUT)


def foci(time: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """RF amplitude, gradient and path of the C-shaped FOCI; see `hyperbolic_secant`."""
    amplitude, _, path = hyperbolic_secant(time)
    raised = np.minimum(1 / amplitude, _GRADIENT_RATIO)
    return amplitude * raised, raised / _GRADIENT_RATIO, path


def goia_wurst(time: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """RF amplitude, gradient and path of GOIA-W(16,4); see `hyperbolic_secant`."""
    sine = np.abs(np.sin(np.pi * time / 2))
    amplitude = 1 - sine**_GOIA_RF_POWER
    gradient = (1 + (_GRADIENT_RATIO - 1) * sine**_GOIA_GRADIENT_POWER) / _GRADIENT_RATIO
    speed = amplitude**2 / gradient
    path = np.cumsum(speed) - speed / 2
    # The path is odd in time, and ends half a sample after the last one.
    path = 2 * path / speed.sum() - 1
    return amplitude, gradient, path


ADIABATIC: Mapping[str, Modulation] = {"hs": hyperbolic_secant, "foci": foci, "goia": goia_wurst}
"""Modulation of an adiabatic pulse, by the name of its design."""


@lru_cache(maxsize=32)
def adiabatic_pulse(design: str, duration_s: float, bandwidth_hz: float, peak_hz: float | None = None) -> Pulse:
    """Design an adiabatic full passage.

    Parameters
    ----------
    design : {"hs", "foci", "goia"}
    duration_s : float
    bandwidth_hz : float
        Width of the sweep, which is that of the slice but for its edges, in Hz.
    peak_hz : float, optional
        Largest RF amplitude, gamma B1 / 2 pi, in Hz; without it the one that gives an adiabaticity of 6.

    Raises
    ------
    ConfigError
        The product of bandwidth and duration is outside 8 to 400, or the RF amplitude is too small to invert.
    """
    _check_product(bandwidth_hz, duration_s, _LEAST_SWEEP, _LARGEST_SWEEP)
    n = max(_LEAST_SAMPLES, ceil(_SAMPLES_PER_CYCLE * bandwidth_hz * duration_s))
    dwell_s = duration_s / n
    amplitude, gradient, path = ADIABATIC[design]((2 * np.arange(n) + 1) / n - 1)
    position_hz = path * bandwidth_hz / 2
    least_hz = least_peak_hz(amplitude, gradient, position_hz, dwell_s)
    sweep_hz = gradient * position_hz
    phase = 2 * np.pi * dwell_s * (np.cumsum(sweep_hz) - sweep_hz / 2)
    rotation = 2 * np.pi * dwell_s * (peak_hz or least_hz) * amplitude * np.exp(1j * phase)
    pulse = pulse_of(rotation, duration_s, gradient)
    _check_inversion(pulse, peak_hz, least_hz)
    return pulse


def least_peak_hz(amplitude: FloatArray, gradient: FloatArray, position_hz: FloatArray, dwell_s: float) -> float:
    """RF amplitude that is adiabatic all over the slice, in Hz.

    Parameters
    ----------
    amplitude, gradient : float array, shape (n_samples,)
        Relative to their largest values.
    position_hz : float array, shape (n_samples,)
        Path through the slice.
    dwell_s : float
    """
    passed = np.abs(position_hz) < 0.9 * np.abs(position_hz).max()
    speed = gradient * np.gradient(position_hz, dwell_s) / amplitude**2
    return float(np.sqrt(_ADIABATICITY * speed[passed].max() / (2 * np.pi)))


def _check_inversion(pulse: Pulse, peak_hz: float | None, least_hz: float) -> None:
    inverted = float(slice_profile(pulse, "inversion", np.zeros(1))[0])
    if not isfinite(inverted) or inverted < _LEAST_INVERSION:
        raise ConfigError(
            f"An RF amplitude of {peak_hz:g} Hz inverts only {inverted:.0%} in the middle of the slice.",
            where="pulse_shapes",
            cure=f"Give at least {least_hz:.0f} Hz (peak_hz), a longer pulse, or a smaller bandwidth.",
            code="pulse-adiabaticity",
        )
