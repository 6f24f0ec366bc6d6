"""Simulate a sequence: the density matrix of coupled spins, averaged over the voxel.

The pulses of each direction select along that direction alone, and crushers keep one coherence order between them, so
that the sum over the voxel is a product of sums over one direction each (Zhang et al. 2017, doi 10.1002/mp.12375):
n + n + n positions instead of n^3. An ideal pulse has no slice, and one position.

Signals are divided by that of a lone spin on the carrier, so that a singlet keeps its protons wherever it resonates:
its voxel is displaced, not smaller. What coupled spins lose by the displacement of their voxels against each other,
and by pulses that do not turn them all alike, remains.
"""

from collections.abc import Mapping
from functools import lru_cache
from itertools import groupby, pairwise

import numpy as np

from mrspipe.basis.pulses import Pulse, Purpose, ideal_pulse, width_hz
from mrspipe.basis.sequences import SEQUENCES, SequenceSettings, Timeline, Turn
from mrspipe.basis.spin_dynamics import (
    LineList,
    Spins,
    coupled_spins,
    detected_lines,
    evolved,
    in_equilibrium,
    propagators,
    turned,
    with_order,
)
from mrspipe.basis.waveforms import shaped_pulse
from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.errors import ConfigError
from mrspipe.physics.metabolites import SpinPart

# Positions lie this part of 1 / duration apart: a response of a pulse holds no finer detail than 1 / (2 duration).
_SPACING = 0.4
# The slice is followed this many 1 / duration beyond its edges; a Hamming filter falls off over 1.7.
_BEYOND = 2.5
# Positions are taken together up to this number of matrix elements, 32 MB.
_BATCH = 2**21


def lines_of(part: SpinPart, settings: SequenceSettings, spectrometer_hz: float) -> list[LineList]:
    """Lines of a part after a sequence, one list for each of its independent systems.

    Parameters
    ----------
    part : SpinPart
    settings : SequenceSettings
    spectrometer_hz : float
        Proton frequency, in Hz.

    Raises
    ------
    ConfigError
        The pulses do not fit into the sequence.
    """
    carrier_hz = settings.pulse_shapes.carrier_ppm * spectrometer_hz * 1e-6
    scale = abs(_lone_spin(settings.model_copy(update={"pulses": "ideal"}))) / _lone_spin(settings)
    lists = []
    for spins in coupled_spins(part, spectrometer_hz, carrier_hz=carrier_hz):
        lines = detected_lines(spins, density_matrix(spins, settings))
        lists.append(LineList(lines.frequency_hz + carrier_hz, lines.amplitude * scale))
    return lists


@lru_cache(maxsize=32)
def _lone_spin(settings: SequenceSettings) -> complex:
    """Signal of a spin on the carrier."""
    (spins,) = coupled_spins(SpinPart((0.0,), (1,)), 1e8)
    return complex(detected_lines(spins, density_matrix(spins, settings)).amplitude.sum())


def density_matrix(spins: Spins, settings: SequenceSettings) -> ComplexArray:
    """Density matrix at the first point of the FID, in the frame of the carrier.

    Parameters
    ----------
    spins : Spins
    settings : SequenceSettings

    Returns
    -------
    complex array, shape (n, n)
    """
    timeline = SEQUENCES[settings.sequence](settings)
    pulses = {turn.purpose: _pulse(turn.purpose, settings) for turn in timeline.turns}
    *delays_s, last_s = _delays_s(timeline, pulses)
    rho = in_equilibrium(spins)
    steps = zip(timeline.turns, delays_s, strict=True)
    for _, of_direction in groupby(steps, key=lambda step: step[0].direction):
        slice_steps = list(of_direction)
        purpose = slice_steps[0][0].purpose
        rho = _through_slice(spins, rho, slice_steps, pulses[purpose], purpose)
    return evolved(spins, rho, last_s)


def _pulse(purpose: Purpose, settings: SequenceSettings) -> Pulse:
    if settings.pulses == "ideal":
        return ideal_pulse(purpose)
    return shaped_pulse(purpose, settings.pulse_shapes, in_pairs=settings.sequence == "slaser")


def _delays_s(timeline: Timeline, pulses: Mapping[Purpose, Pulse]) -> list[float]:
    """Delays before each pulse and before the FID, between the edges of the pulses."""
    half_s = [pulses[turn.purpose].duration_s / 2 for turn in timeline.turns]
    edges = [(turn.middle_s - half, turn.middle_s + half) for turn, half in zip(timeline.turns, half_s, strict=True)]
    edges.append((timeline.end_s, timeline.end_s))
    delays_s = [0.0, *(after[0] - before[1] for before, after in pairwise(edges))]
    if timeline.turns[0].purpose == "inversion":
        delays_s[1] = 0.0
    if min(delays_s) < 0:
        durations = " and ".join(f"{1e3 * pulse.duration_s:g} ms ({name})" for name, pulse in pulses.items())
        middles = ", ".join(f"{1e3 * turn.middle_s:g}" for turn in timeline.turns)
        raise ConfigError(
            f"Pulses of {durations} do not fit: their middles are at {middles} ms, and the FID starts at "
            f"{1e3 * timeline.end_s:g} ms.",
            where="pulse_shapes",
            cure="Give shorter pulses, or other times (echo_time_s, te1_s, mixing_time_s).",
            code="pulse-duration",
        )
    return delays_s


def _through_slice(
    spins: Spins, rho: ComplexArray, steps: list[tuple[Turn, float]], pulse: Pulse, purpose: Purpose
) -> ComplexArray:
    """Density matrix after the pulses of one direction, summed over all positions."""
    positions_hz = _positions_hz(pulse, purpose, spins.frequency_hz)
    n_batches = 1 + positions_hz.size * spins.energy_hz.size**2 // _BATCH
    total = np.zeros_like(rho)
    for batch_hz in np.array_split(positions_hz, n_batches):
        turns = propagators(spins, pulse, batch_hz)
        rhos = rho
        for turn, delay_s in steps:
            before = evolved(spins, rhos, delay_s)
            after = turned(before, turns)
            rhos = with_order(spins, (before - after) / 2 if turn.purpose == "inversion" else after, turn.order)
        total += rhos.sum(axis=0)
    return total


def _positions_hz(pulse: Pulse, purpose: Purpose, offsets_hz: FloatArray) -> FloatArray:
    """Positions that cover the slices of all spins, as multiples of one spacing."""
    if pulse.duration_s == 0:
        return np.zeros(1)
    spacing_hz = _SPACING / pulse.duration_s
    reach_hz = width_hz(pulse, purpose) / 2 + _BEYOND / pulse.duration_s
    first = np.floor((-reach_hz - offsets_hz.max()) / spacing_hz)
    last = np.ceil((reach_hz - offsets_hz.min()) / spacing_hz)
    positions: FloatArray = np.arange(first, last + 1) * spacing_hz
    return positions
