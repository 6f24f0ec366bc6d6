"""Density matrices of coupled protons: delays, pulses, and the lines that are detected.

The Hamiltonian in Hz is ``H = sum_i nu_i I_iz + sum_ij J_ij I_i . I_j``, so that frequency rises with ppm
(`mrspipe.core.axis`). Density matrices are expressed in its eigenbasis: a delay is then one multiplication per element,
and the FID is a finite sum of lines.

A pulse turns each group of spins by itself, while the couplings do their part. The RF field commutes with the coupling
of spins that precess alike, so what a pulse does may be cut into segments, with the coupling between them: the error
of a segment is of second order in the precession of the groups against each other [1]_.

Magnetically equivalent protons couple to the others only through their total spin. A group of n is therefore
replaced by composite spins n/2, n/2 - 1, ..., each as often as it occurs in the product of n spins 1/2; the couplings
inside the group then commute with everything detected and drop out.

References
----------
.. [1] Strang 1968, doi 10.1137/0705041, on splitting an operator into two.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product
from math import ceil, comb

import numpy as np

from mrspipe.basis.pulses import Pulse, cayley_klein
from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.physics.metabolites import SpinPart

# Lines weaker than this part of the strongest are dropped ...
_WEAKEST_LINE = 1e-6
# ... and neighbours closer than this are merged at their weighted mean, in Hz: far below 1 / duration of any FID.
_MERGE_HZ = 1e-4
# Segments of a pulse on several groups: so many, and one more for each part of a cycle that the groups precess against
# each other. Signals are then within 0.2 % of those of infinitely short segments.
_LEAST_SEGMENTS = 6
_SEGMENT_CYCLES = 0.1
# Magnetic quantum numbers of 31P (spin 1/2) and 14N (spin 1).
_PHOSPHORUS_STATES = (-0.5, 0.5)
_NITROGEN_STATES = (-1.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class LineList:
    """An FID as a sum of lines, ``sum_k amplitude_k exp(2 pi i frequency_k t)``.

    Parameters
    ----------
    frequency_hz : float array, shape (n_lines,)
        Relative to 0 ppm.
    amplitude : complex array, shape (n_lines,)
        At time zero; all lines of n protons after a 90 degree pulse sum to n.
    """

    frequency_hz: FloatArray
    amplitude: ComplexArray


@dataclass(frozen=True, slots=True, eq=False)
class Spins:
    """A coupled system in the eigenbasis of its Hamiltonian.

    Parameters
    ----------
    groups : tuple of float
        Spin of each group of equivalent protons.
    frequency_hz : float array, shape (n_groups,)
        Relative to the carrier.
    energy_hz, momentum : float array, shape (n,)
        Energy and z component of the total spin, of each state.
    vectors : float array, shape (n, n)
        Each column a state, in the product basis of the groups.
    raising : float array, shape (n, n)
        ``F+``; the detected signal is the trace of density matrix times ``F+``.
    weight : float
        FID amplitude per unit of that trace.
    """

    groups: tuple[float, ...]
    frequency_hz: FloatArray
    energy_hz: FloatArray
    momentum: FloatArray
    vectors: FloatArray
    raising: FloatArray
    weight: float

    @property
    def order(self) -> FloatArray:
        """Coherence order of each element of a density matrix, shape (n, n)."""
        return np.subtract.outer(self.momentum, self.momentum)


def coupled_spins(part: SpinPart, spectrometer_hz: float, *, carrier_hz: float = 0.0) -> Iterator[Spins]:
    """Independent coupled systems whose signals add up to that of a part.

    One for each choice of composite spins and of the states of 31P and 14N. Pulses on protons do not touch those
    nuclei, so each of their states just moves the protons' frequencies by ``m J``: weak coupling, exact in the limit
    of a large frequency difference between the nuclei.

    Parameters
    ----------
    part : SpinPart
    spectrometer_hz : float
        Proton frequency, in Hz.
    carrier_hz : float, optional
        Frequency of the rotating frame relative to 0 ppm, in Hz.
    """
    shifts_hz = np.array(part.shifts_ppm) * spectrometer_hz * 1e-6 - carrier_hz
    phosphorus, nitrogen = _states(part.phosphorus_hz, _PHOSPHORUS_STATES), _states(part.nitrogen_hz, _NITROGEN_STATES)
    share = part.scale / (len(phosphorus) * len(nitrogen))
    for by_phosphorus, by_nitrogen in product(phosphorus, nitrogen):
        for spins, count in _composite_spins(part.multiplicity):
            frequencies = shifts_hz + by_phosphorus + by_nitrogen
            # Tr(Fx F+) of N protons is N 2^(N-2), which is to give N.
            weight = share * count * 4.0 / 2.0 ** sum(part.multiplicity)
            yield _diagonalised(frequencies, part.couplings_hz, spins, weight)


def in_equilibrium(spins: Spins) -> ComplexArray:
    """Density matrix of thermal equilibrium, along z."""
    return np.diag(spins.momentum).astype(np.complex128)


def evolved(spins: Spins, rho: ComplexArray, duration_s: float) -> ComplexArray:
    """Let density matrices evolve freely."""
    phase = np.exp(-2j * np.pi * spins.energy_hz * duration_s)
    return rho * np.outer(phase, phase.conj())


def turned(rho: ComplexArray, propagators: ComplexArray) -> ComplexArray:
    """Apply a pulse to density matrices."""
    result: ComplexArray = propagators @ rho @ propagators.conj().swapaxes(-1, -2)
    return result


def propagators(spins: Spins, pulse: Pulse, position_hz: FloatArray) -> ComplexArray:
    """Propagator of a pulse at each position, shape (n_positions, n, n).

    Precession in the slice gradient is undone from the edges of the pulse to its middle, as rephasing gradients do.

    Parameters
    ----------
    spins : Spins
    pulse : Pulse
    position_hz : float array, shape (n_positions,)
    """
    segments = pulse.segments(_n_segments(spins, pulse))
    coupling = _coupling(spins)
    start = coupling(segments[0].duration_s / 2)
    total = _after_rotations(spins, segments[0], position_hz, np.repeat(start[None], position_hz.size, axis=0))
    for before, segment in pairwise(segments):
        between = coupling((before.duration_s + segment.duration_s) / 2)
        total = _after_rotations(spins, segment, position_hz, between @ total)
    total = spins.vectors.T @ (coupling(segments[-1].duration_s / 2) @ total @ spins.vectors)
    undo = np.exp(1j * np.pi * pulse.dwell_s * pulse.gradient.sum() * np.outer(position_hz, spins.momentum))
    result: ComplexArray = undo[:, :, None] * total * undo[:, None, :]
    return result


def with_order(spins: Spins, rho: ComplexArray, order: int) -> ComplexArray:
    """Keep one coherence order of density matrices, as gradients do."""
    return np.where(np.round(spins.order) == order, rho, 0.0)


def detected_lines(spins: Spins, rho: ComplexArray) -> LineList:
    """Lines of the FID that starts with a density matrix."""
    amplitude = spins.weight * rho * spins.raising.T
    row, column = np.nonzero(np.round(spins.order) == -1)
    return LineList(spins.energy_hz[column] - spins.energy_hz[row], amplitude[row, column])


def merged_lines(lists: list[LineList], *, weakest: float = _WEAKEST_LINE, merge_hz: float = _MERGE_HZ) -> LineList:
    """Join line lists, drop weak lines and merge those that cannot be told apart.

    Parameters
    ----------
    lists : list of LineList
    weakest : float
        Smallest amplitude kept, relative to the largest.
    merge_hz : float
        Largest distance of neighbours that are merged, in Hz.
    """
    frequency = np.concatenate([lines.frequency_hz for lines in lists])
    amplitude = np.concatenate([lines.amplitude for lines in lists])
    by_frequency = np.argsort(frequency, kind="stable")
    frequency, amplitude = frequency[by_frequency], amplitude[by_frequency]
    start = np.flatnonzero(np.diff(frequency, prepend=-np.inf) > merge_hz)
    size = np.maximum(np.abs(amplitude), np.finfo(float).tiny)
    frequency = np.add.reduceat(size * frequency, start) / np.add.reduceat(size, start)
    amplitude = np.add.reduceat(amplitude, start)
    kept = np.abs(amplitude) > weakest * np.abs(amplitude).max()
    return LineList(frequency[kept], amplitude[kept])


def _states(couplings_hz: tuple[float, ...], quantum_numbers: tuple[float, ...]) -> list[FloatArray]:
    """Frequency offsets of the protons for each state of a nucleus; one without offset where it is absent."""
    return [m * np.array(couplings_hz) for m in quantum_numbers] if couplings_hz else [np.zeros(1)]


def _composite_spins(multiplicity: tuple[int, ...]) -> Iterator[tuple[tuple[float, ...], int]]:
    """Total spins of the groups, and how often this choice occurs."""
    # n spins 1/2 hold the total spin n/2 - k as often as C(n, k) - C(n, k - 1).
    choices = [
        [(n / 2 - k, comb(n, k) - (comb(n, k - 1) if k else 0)) for k in range(n // 2 + 1)] for n in multiplicity
    ]
    for choice in product(*choices):
        yield tuple(spin for spin, _ in choice), int(np.prod([count for _, count in choice]))


def _diagonalised(
    frequencies_hz: FloatArray,
    couplings_hz: tuple[tuple[int, int, float], ...],
    groups: tuple[float, ...],
    weight: float,
) -> Spins:
    """Find the eigenbasis of the Hamiltonian, and the operators in it."""
    z, raising = _product_operators(groups)
    hamiltonian = np.diag(np.einsum("g,gn->n", frequencies_hz, z))
    for i, j, coupling in couplings_hz:
        exchange = raising[i] @ raising[j].T
        hamiltonian += coupling * (np.diag(z[i] * z[j]) + (exchange + exchange.T) / 2)
    m = z.sum(axis=0)
    energy, vectors = _eigenbasis(hamiltonian, m)
    return Spins(
        groups=groups,
        frequency_hz=frequencies_hz,
        energy_hz=energy,
        momentum=m,
        vectors=vectors,
        raising=vectors.T @ raising.sum(axis=0) @ vectors,
        weight=weight,
    )


def _n_segments(spins: Spins, pulse: Pulse) -> int:
    if len(spins.groups) == 1:
        return 1
    return _LEAST_SEGMENTS + ceil(np.ptp(spins.frequency_hz) * pulse.duration_s / _SEGMENT_CYCLES)


def _coupling(spins: Spins) -> Callable[[float], ComplexArray]:
    """Propagator of the couplings alone for a duration, in the product basis."""
    z, _ = _product_operators(spins.groups)
    hamiltonian = (spins.vectors * spins.energy_hz) @ spins.vectors.T - np.diag(spins.frequency_hz @ z)
    energy, vectors = _eigenbasis(hamiltonian, spins.momentum)

    def propagator(duration_s: float) -> ComplexArray:
        result: ComplexArray = (vectors * np.exp(-2j * np.pi * energy * duration_s)) @ vectors.T
        return result

    return propagator


def _after_rotations(spins: Spins, pulse: Pulse, position_hz: FloatArray, total: ComplexArray) -> ComplexArray:
    """Propagators ``total`` and then a pulse on uncoupled groups, in the product basis, shape (n_positions, n, n).

    The pulse is a Kronecker product of what it does to the groups. Half of them at a time costs far less than all.
    """
    half = len(spins.groups) // 2
    first, last = (_rotations(spins, pulse, position_hz, groups) for groups in (slice(half), slice(half, None)))
    halves = (position_hz.size, first.shape[1], last.shape[1], total.shape[2])
    total = last[:, None] @ total.reshape(halves)
    result: ComplexArray = first @ total.reshape(*halves[:2], -1)
    return result.reshape(position_hz.size, halves[3], halves[3])


def _rotations(spins: Spins, pulse: Pulse, position_hz: FloatArray, groups: slice) -> ComplexArray:
    """What a pulse does to some uncoupled groups at each position, shape (n_positions, n, n)."""
    total = np.ones((position_hz.size, 1, 1), dtype=np.complex128)
    for spin, frequency_hz in zip(spins.groups[groups], spins.frequency_hz[groups], strict=True):
        turn = rotation_matrix(spin, *cayley_klein(pulse, position_hz, frequency_hz))
        n = total.shape[1] * turn.shape[1]
        total = np.einsum("pij,pkl->pikjl", total, turn).reshape(position_hz.size, n, n)
    return total


def rotation_matrix(spin: float, a: ComplexArray, b: ComplexArray) -> ComplexArray:
    """Matrices that turn one spin, from the parameters that turn a spin 1/2 (Wigner's D matrices).

    Parameters
    ----------
    spin : float
    a, b : complex array, shape (n,)
        Cayley-Klein parameters.

    Returns
    -------
    complex array, shape (n, 2 spin + 1, 2 spin + 1)
        States run from m = spin down to -spin.
    """
    m, momenta, vectors = _y_rotation(spin)
    about_y = np.exp(-2j * np.outer(np.arctan2(np.abs(b), np.abs(a)), momenta))
    turn = np.einsum("ij,pj,kj->pik", vectors, about_y, vectors.conj())
    after = np.exp(-1j * np.outer(np.angle(b) - np.angle(a), m))
    before = np.exp(1j * np.outer(np.angle(b) + np.angle(a), m))
    result: ComplexArray = after[:, :, None] * turn * before[:, None, :]
    return result


@cache
def _y_rotation(spin: float) -> tuple[FloatArray, FloatArray, ComplexArray]:
    """Quantum numbers of Iz; eigenvalues and eigenvectors of Iy."""
    m, raising = _single_operators(spin)
    momenta, vectors = np.linalg.eigh(0.5j * (raising.T - raising))
    return m, momenta, vectors


def _eigenbasis(hamiltonian: FloatArray, m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Diagonalise within each total m: degenerate states of different m must not mix, or they lose their order."""
    energy, vectors = np.zeros(m.size), np.zeros_like(hamiltonian)
    for value in np.unique(m):
        block = np.flatnonzero(m == value)
        energy[block], vectors[np.ix_(block, block)] = np.linalg.eigh(hamiltonian[np.ix_(block, block)])
    return energy, vectors


@cache
def _product_operators(groups: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    """Product basis: Iz diagonals, shape (n_groups, n), and I+, shape (n_groups, n, n)."""
    single = [_single_operators(spin) for spin in groups]
    identity = [np.eye(m.size) for m, _ in single]

    def embedded(operator: FloatArray, group: int) -> FloatArray:
        return _kronecker([operator if g == group else one for g, one in enumerate(identity)])

    z = np.stack([np.diag(embedded(np.diag(m), g)) for g, (m, _) in enumerate(single)])
    return z, np.stack([embedded(raising, g) for g, (_, raising) in enumerate(single)])


def _kronecker(factors: list[FloatArray]) -> FloatArray:
    result = np.ones((1, 1))
    for factor in factors:
        result = np.asarray(np.kron(result, factor), dtype=np.float64)
    return result


def _single_operators(spin: float) -> tuple[FloatArray, FloatArray]:
    """Diagonal of Iz, and I+, of one spin; states run from m = I down to -I."""
    m = np.arange(spin, -spin - 0.5, -1.0)
    return m, np.diag(np.sqrt(spin * (spin + 1) - m[1:] * (m[1:] + 1)), k=1)
