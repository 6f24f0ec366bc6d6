"""Density matrices of coupled protons: pulses, delays, and the lines that are detected.

The Hamiltonian in Hz is ``H = sum_i nu_i I_iz + sum_ij J_ij I_i . I_j``, so that frequency rises with ppm
(`mrspipe.core.axis`). Everything is expressed in its eigenbasis: a delay is then one multiplication per element, and
the FID is a finite sum of lines. Pulses are ideal: hard, instantaneous, of exact angle.

Magnetically equivalent protons couple to the others only through their total spin. A group of n is therefore
replaced by composite spins n/2, n/2 - 1, ..., each as often as it occurs in the product of n spins 1/2; the couplings
inside the group then commute with everything detected and drop out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import comb

import numpy as np
from scipy.linalg import expm

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.physics.metabolites import SpinPart

# Lines weaker than this part of the strongest are dropped ...
_WEAKEST_LINE = 1e-6
# ... and neighbours closer than this are merged at their weighted mean, in Hz: far below 1 / duration of any FID.
_MERGE_HZ = 1e-4
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
    """Operators of a coupled system in the eigenbasis of its Hamiltonian.

    Parameters
    ----------
    energy_hz : float array, shape (n,)
    order : float array, shape (n, n)
        Coherence order of each element of a density matrix.
    fx, fy90, flip : float array, shape (n, n)
        Total x magnetisation; rotation by 90 degrees about y; rotation by 180 degrees about x up to its phase, which
        cancels in a density matrix.
    raising : float array, shape (n, n)
        ``F+``; the detected signal is the trace of density matrix times ``F+``.
    weight : float
        FID amplitude per unit of that trace.
    """

    energy_hz: FloatArray
    order: FloatArray
    fx: FloatArray
    fy90: FloatArray
    flip: FloatArray
    raising: FloatArray
    weight: float


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


def excited(spins: Spins) -> ComplexArray:
    """Density matrix after a 90 degree pulse about y on thermal equilibrium, along x."""
    return spins.fx.astype(np.complex128)


def evolved(spins: Spins, rho: ComplexArray, duration_s: float) -> ComplexArray:
    """Let a density matrix evolve freely."""
    phase = np.exp(-2j * np.pi * spins.energy_hz * duration_s)
    return rho * np.outer(phase, phase.conj())


def refocused(spins: Spins, rho: ComplexArray) -> ComplexArray:
    """Apply a 180 degree pulse about x. Every coherence changes sign, so its spoilers have nothing to remove."""
    return spins.flip @ rho @ spins.flip.T


def turned(spins: Spins, rho: ComplexArray, *, backwards: bool = False) -> ComplexArray:
    """Apply a 90 degree pulse about y, or about -y."""
    rotation = spins.fy90.T if backwards else spins.fy90
    return rotation @ rho @ rotation.T


def with_order(spins: Spins, rho: ComplexArray, order: int) -> ComplexArray:
    """Keep one coherence order, as gradients do."""
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
    spins: tuple[float, ...],
    weight: float,
) -> Spins:
    """Operators in the eigenbasis of the Hamiltonian."""
    z, raising, turn = _product_operators(spins)
    hamiltonian = np.diag(np.einsum("g,gn->n", frequencies_hz, z))
    for i, j, coupling in couplings_hz:
        exchange = raising[i] @ raising[j].T
        hamiltonian += coupling * (np.diag(z[i] * z[j]) + (exchange + exchange.T) / 2)
    m = z.sum(axis=0)
    energy, vectors = _eigenbasis(hamiltonian, m)
    f_raising = vectors.T @ raising.sum(axis=0) @ vectors
    return Spins(
        energy_hz=energy,
        order=m[:, None] - m[None, :],
        fx=(f_raising + f_raising.T) / 2,
        fy90=vectors.T @ turn @ vectors,
        # exp(-i pi Ix) turns |m> into |-m>, and the product basis runs from all up to all down.
        flip=vectors.T @ vectors[::-1],
        raising=f_raising,
        weight=weight,
    )


def _eigenbasis(hamiltonian: FloatArray, m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Diagonalise within each total m: degenerate states of different m must not mix, or they lose their order."""
    energy, vectors = np.zeros(m.size), np.zeros_like(hamiltonian)
    for value in np.unique(m):
        block = np.flatnonzero(m == value)
        energy[block], vectors[np.ix_(block, block)] = np.linalg.eigh(hamiltonian[np.ix_(block, block)])
    return energy, vectors


@cache
def _product_operators(spins: tuple[float, ...]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Product basis: Iz diagonals (n_groups, n), I+ (n_groups, n, n), 90 degree rotation about y (n, n)."""
    single = [_single_operators(spin) for spin in spins]
    identity = [np.eye(turn.shape[0]) for _, _, turn in single]

    def embedded(operator: FloatArray, group: int) -> FloatArray:
        return _kronecker([operator if g == group else one for g, one in enumerate(identity)])

    z = np.stack([np.diag(embedded(np.diag(z), g)) for g, (z, _, _) in enumerate(single)])
    raising = np.stack([embedded(raising, g) for g, (_, raising, _) in enumerate(single)])
    return z, raising, _kronecker([turn for _, _, turn in single])


def _kronecker(factors: list[FloatArray]) -> FloatArray:
    result = np.ones((1, 1))
    for factor in factors:
        result = np.asarray(np.kron(result, factor), dtype=np.float64)
    return result


def _single_operators(spin: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Diagonal of Iz, I+, and exp(-i pi/2 Iy) of one spin; states run from m = I down to -I."""
    m = np.arange(spin, -spin - 0.5, -1.0)
    raising = np.diag(np.sqrt(spin * (spin + 1) - m[1:] * (m[1:] + 1)), k=1)
    # -i Iy = -(I+ - I-) / 2 is real.
    return m, raising, expm(-np.pi / 4 * (raising - raising.T))
