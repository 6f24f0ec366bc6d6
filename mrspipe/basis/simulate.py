"""Simulate a basis set: the FID of each metabolite at unit concentration, for a given sequence."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from math import ceil, sqrt

import numpy as np

from mrspipe.basis.localisation import lines_of
from mrspipe.basis.sequences import SequenceSettings
from mrspipe.basis.spin_dynamics import LineList, merged_lines
from mrspipe.core.arrays import ComplexArray, frozen_complex, frozen_float
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.basis_set import BasisSet
from mrspipe.physics.metabolites import METABOLITES, SpinPart, spin_system


def simulate_basis(
    sequence: SequenceSettings,
    axis: SpectralAxis,
    *,
    metabolites: Sequence[str] = METABOLITES,
    linewidth_hz: float = 1.0,
) -> BasisSet:
    """Simulate metabolites with ideal pulses, or shaped ones where ``sequence.pulses`` says so.

    Relaxation is left out. The field is that of ``axis.spectrometer_hz``.

    Parameters
    ----------
    sequence : SequenceSettings
    axis : SpectralAxis
    metabolites : sequence of str
        Names with a spin system in `mrspipe.physics.metabolites`.
    linewidth_hz : float
        Full width at half maximum of the Lorentzian lines, in Hz.

    Returns
    -------
    BasisSet
        One proton has an amplitude of 1 at time zero; the first point is whole.

    Examples
    --------
    >>> axis = SpectralAxis(1024, 1 / 2000, 127.7e6, 4.65)
    >>> basis = simulate_basis(SequenceSettings(sequence="press", echo_time_s=0.03), axis, metabolites=("Cr",))
    >>> float(abs(basis.fids[0, 0]))
    5.0
    """
    decay = np.exp(-np.pi * linewidth_hz * axis.time_s)
    fids = [fid_of(line_list(name, sequence, axis.spectrometer_hz), axis) * decay for name in metabolites]
    return BasisSet(
        names=tuple(metabolites),
        fids=np.array(fids).reshape(len(fids), axis.n_points),
        axis=axis,
        sequence=sequence.sequence,
        echo_time_s=sequence.echo_time_s,
        proton_amplitude=1.0,
        linewidth_hz=linewidth_hz,
        made_by=f"mrspipe: density matrix, {sequence.pulses} pulses",
    )


def with_reference(basis: BasisSet) -> BasisSet:
    """Add a singlet of one proton at 0 ppm to every metabolite, by which LCModel's makebasis finds phase and shift."""
    axis = basis.axis
    step = 2j * np.pi * axis.offset_hz(0.0) - np.pi * basis.linewidth_hz
    singlet = (basis.proton_amplitude or 1.0) * np.exp(step * axis.time_s)
    return replace(basis, fids=basis.fids + singlet, made_by=f"{basis.made_by}, reference at 0 ppm")


@lru_cache(maxsize=1024)
def line_list(metabolite: str, sequence: SequenceSettings, spectrometer_hz: float) -> LineList:
    """Lines of one metabolite, remembered for the life of the process.

    Parameters
    ----------
    metabolite : str
    sequence : SequenceSettings
    spectrometer_hz : float
        Proton frequency, in Hz.
    """
    # Merged part by part: weak against the singlet of a methyl group is not weak in a multiplet.
    parts = [merged_lines(lines_of(part, sequence, spectrometer_hz)) for part in _parts(metabolite, sequence)]
    return LineList(
        frozen_float(np.concatenate([lines.frequency_hz for lines in parts])),
        frozen_complex(np.concatenate([lines.amplitude for lines in parts])),
    )


def _parts(metabolite: str, sequence: SequenceSettings) -> tuple[SpinPart, ...]:
    parts = spin_system(metabolite).parts
    return parts if sequence.nitrogen else tuple(replace(part, nitrogen_hz=()) for part in parts)


def fid_of(lines: LineList, axis: SpectralAxis) -> ComplexArray:
    """Sum of undamped lines on an axis, shape (n_points,).

    ``exp(2 pi i f t)`` is separable in ``t = t_coarse + t_fine``, so that the sum is one matrix product.
    """
    n_fine = ceil(sqrt(axis.n_points))
    offset_hz = lines.frequency_hz - axis.centre_ppm * axis.hz_per_ppm
    step = 2j * np.pi * axis.dwell_s * offset_hz
    fine = np.exp(np.outer(step, np.arange(n_fine)))
    coarse = np.exp(np.outer(np.arange(ceil(axis.n_points / n_fine)) * n_fine, step)) * lines.amplitude
    fid: ComplexArray = (coarse @ fine).ravel()[: axis.n_points]
    return fid
