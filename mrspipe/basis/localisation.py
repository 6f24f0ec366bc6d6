"""PRESS with slice-selective pulses: the density matrix averaged over the voxel.

Each of the three pulses selects along a direction of its own, and crushers keep one coherence order between them, so
that the sum over the voxel is a product of three sums over one direction each (Zhang et al. 2017,
doi 10.1002/mp.12375): n + n + n positions instead of n^3. A position is written as the frequency offset that the
slice gradient gives there, in Hz; a slice is then as wide as the bandwidth of its pulse.

Signals are divided by that of a lone spin on the carrier, so that a singlet keeps its protons wherever it resonates:
its voxel is displaced, not smaller. What coupled spins lose by the displacement of their voxels against each other,
and by pulses that do not turn them all alike, remains.
"""

from functools import lru_cache

import numpy as np

from mrspipe.basis.pulses import Pulse, PulseSettings, excitation_pulse, refocusing_pulse
from mrspipe.basis.spin_dynamics import LineList, Spins, coupled_spins, detected_lines, evolved, with_order
from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.errors import ConfigError
from mrspipe.physics.metabolites import SpinPart

# Positions lie this part of 1 / duration apart: a response of a pulse holds no finer detail than 1 / (2 duration).
_SPACING = 0.25
# The slice is followed this many 1 / duration beyond its edges; a Hamming filter falls off over 1.7.
_BEYOND = 2.5


def press_lines(
    part: SpinPart, echo_times_s: tuple[float, float], pulses: PulseSettings, spectrometer_hz: float
) -> list[LineList]:
    """Lines of a part after PRESS with shaped pulses, one list for each of its independent systems.

    Parameters
    ----------
    part : SpinPart
    echo_times_s : (float, float)
        TE1 and TE2, between the centres of the pulses, in s.
    pulses : PulseSettings
    spectrometer_hz : float
        Proton frequency, in Hz.

    Raises
    ------
    ConfigError
        The pulses do not fit into the echo times.
    """
    carrier_hz = pulses.carrier_ppm * spectrometer_hz * 1e-6
    offsets_hz = tuple(np.array(part.shifts_ppm) * spectrometer_hz * 1e-6 - carrier_hz)
    whole = _lone_spin(echo_times_s, pulses)
    lists = []
    for spins in coupled_spins(part, spectrometer_hz, carrier_hz=carrier_hz):
        lines = detected_lines(spins, _after_press(spins, offsets_hz, echo_times_s, pulses))
        lists.append(LineList(lines.frequency_hz + carrier_hz, lines.amplitude / whole))
    return lists


@lru_cache(maxsize=32)
def _lone_spin(echo_times_s: tuple[float, float], pulses: PulseSettings) -> complex:
    """Signal of a spin on the carrier."""
    (spins,) = coupled_spins(SpinPart((0.0,), (1,)), 1e8)
    return complex(detected_lines(spins, _after_press(spins, (0.0,), echo_times_s, pulses)).amplitude.sum())


def _after_press(
    spins: Spins, offsets_hz: tuple[float, ...], echo_times_s: tuple[float, float], pulses: PulseSettings
) -> ComplexArray:
    """Density matrix at the first point of the FID, in the frame of the carrier."""
    excitation, refocusing = excitation_pulse(pulses), refocusing_pulse(pulses)
    turn = _propagators(spins, refocusing, _positions_hz(refocusing, offsets_hz))
    delays_s = _delays_s(echo_times_s, excitation, refocusing)
    rho = with_order(spins, _excited(spins, excitation, _positions_hz(excitation, offsets_hz)), -1)
    rho = _turned(turn, evolved(spins, rho, delays_s[0]))
    rho = with_order(spins, rho, +1)
    rho = _turned(turn, evolved(spins, rho, delays_s[1]))
    return evolved(spins, with_order(spins, rho, -1), delays_s[2])


def _delays_s(echo_times_s: tuple[float, float], excitation: Pulse, refocusing: Pulse) -> tuple[float, float, float]:
    """Delays between the edges of the pulses."""
    te1_s, te2_s = echo_times_s
    delays_s = (
        (te1_s - excitation.duration_s - refocusing.duration_s) / 2,
        (te1_s + te2_s) / 2 - refocusing.duration_s,
        (te2_s - refocusing.duration_s) / 2,
    )
    if min(delays_s) < 0:
        raise ConfigError(
            f"Pulses of {1e3 * excitation.duration_s:g} and {1e3 * refocusing.duration_s:g} ms do not fit into echoes "
            f"of {1e3 * te1_s:g} and {1e3 * te2_s:g} ms.",
            where="pulse_shapes",
            cure="Give shorter pulses, or other echo times (te1_s).",
            code="pulse-duration",
        )
    return delays_s


def _positions_hz(pulse: Pulse, offsets_hz: tuple[float, ...]) -> FloatArray:
    """Positions that cover the slices of all spins, as multiples of one spacing."""
    spacing_hz = _SPACING / pulse.duration_s
    reach_hz = pulse.bandwidth_hz / 2 + _BEYOND / pulse.duration_s
    first = np.floor((-reach_hz - max(offsets_hz)) / spacing_hz)
    last = np.ceil((reach_hz - min(offsets_hz)) / spacing_hz)
    positions: FloatArray = np.arange(first, last + 1) * spacing_hz
    return positions


def _propagators(spins: Spins, pulse: Pulse, positions_hz: FloatArray) -> ComplexArray:
    """Propagator of a pulse at each position, shape (n, n_positions, n).

    Precession is diagonal and differs between positions; the rotations are real and are the same at all of them.
    """
    n, n_positions = spins.energy_hz.size, positions_hz.size
    level_hz = spins.energy_hz[:, None] + spins.order[:, :1] * positions_hz
    half = np.exp(-1j * np.pi * level_hz * pulse.dwell_s)[:, :, None]
    propagators = np.broadcast_to(np.eye(n)[:, None, :] * half, (n, n_positions, n)).copy()
    momenta, vectors = np.linalg.eigh(0.5j * (spins.raising.T - spins.raising))
    for k, angle in enumerate(pulse.angle_rad):
        rotation = ((vectors * np.exp(-1j * angle * momenta)) @ vectors.conj().T).real
        # A real matrix times a complex one, as one real product.
        propagators = (rotation @ propagators.reshape(n, -1).view(np.float64)).view(np.complex128)
        propagators = propagators.reshape(n, n_positions, n)
        propagators *= half if k == pulse.angle_rad.size - 1 else half**2
    return propagators


def _excited(spins: Spins, pulse: Pulse, positions_hz: FloatArray) -> ComplexArray:
    """Density matrix after the excitation of thermal equilibrium and the rephasing of the slice, over all positions."""
    propagators = _propagators(spins, pulse, positions_hz)
    momentum = spins.order[:, 0] - spins.order[:, 0].mean()
    propagators *= np.exp(1j * np.pi * np.outer(momentum, positions_hz) * pulse.duration_s)[:, :, None]
    flat = propagators.reshape(momentum.size, -1)
    rho: ComplexArray = (propagators * momentum).reshape(flat.shape) @ flat.conj().T
    return rho


def _turned(propagators: ComplexArray, rho: ComplexArray) -> ComplexArray:
    """Density matrix after a pulse, over all positions."""
    n = rho.shape[0]
    flat = propagators.reshape(n, -1)
    result: ComplexArray = (propagators.reshape(-1, n) @ rho).reshape(n, -1) @ flat.conj().T
    return result
