"""Metabolite cycling: water and metabolites from pairs of shots (Dreher & Leibfritz 2005, doi 10.1002/mrm.20537).

In every other shot an inversion pulse flips the metabolites and leaves the water: ``A = W + M`` and ``B = W - M``, so
``W = (A + B) / 2`` and ``M = (A - B) / 2``. Both come from the same shots and share one scale. What differs between
the water of the two shots, such as a mismatch of their amplitudes, stays in ``M`` as residual water with all its
sidebands; it is a part of ``W``, and subtracted as such, which does not touch the scale of the metabolites.
"""

from dataclasses import dataclass

import numpy as np

from mrspipe.core.arrays import ComplexArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.operators import to_spectrum

# Half the width of the range around its peak in which water is compared, in ppm: no strong metabolite comes as near.
_NEAR_WATER_PPM = 0.25
_BELOW_WATER_DEGREE = 3
# Where strong metabolites are fully inverted and have distinct peaks, in ppm, and water has a smooth tail: with its
# peak 2.7 half-widths from the middle, polynomials follow 1 / frequency to 5^-9 (Bernstein's ellipse).
_COMPARED_PPM = (1.9, 3.4)
_TAIL_DEGREE = 8
# A larger error does not tell a pulse that inverts everything from one that inverts nine tenths; assumed.
_LARGEST_SE = 0.05
# Points beyond the parameters, from which an error can be told.
_FEWEST_FREE = 10


@dataclass(frozen=True, slots=True)
class WaterShare:
    """How the water of the two shots of a cycle differs: half the difference holds ``(share + rate t) W``.

    Parameters
    ----------
    share : complex
        Real: amplitude; imaginary: phase.
    rate : complex
        In 1/s. Real: line width; imaginary: frequency. Metabolites below the water pull its frequency, and thus the
        alignment of the two shots, in opposite directions.
    unlike : float
        Norm of what is left in the difference near water, relative to that of the water: another line shape.
    """

    share: complex
    rate: complex
    unlike: float

    def of(self, water: ComplexArray, axis: SpectralAxis) -> ComplexArray:
        """The water in half the difference, given the water; shape (..., n_points)."""
        return np.asarray((self.share + self.rate * axis.time_s) * water)

    @property
    def amplitude_mismatch(self) -> float:
        """Size of the upright shots' water relative to that of the inverted ones, minus one."""
        return abs(1 + self.share) / abs(1 - self.share) - 1.0

    @property
    def frequency_mismatch_hz(self) -> float:
        """Frequency of the upright shots' water minus that of the inverted ones, in Hz, to first order."""
        return self.rate.imag / np.pi


@dataclass(frozen=True, slots=True)
class InversionEfficiency:
    """Part of the metabolite magnetisation that was inverted, and its standard error; None where it is not seen."""

    value: float | None
    se: float | None
    note: str = ""


def separated(
    upright: ComplexArray,
    inverted: ComplexArray,
    *,
    residual: ComplexArray | float = 0.0,
    inversion_efficiency: float = 1.0,
) -> tuple[ComplexArray, ComplexArray]:
    """Separate water and metabolites.

    Parameters
    ----------
    upright, inverted : complex array, shape (..., n_points)
        Shots with the metabolites as they are, and inverted.
    residual : complex array, shape (..., n_points), optional
        Water in half the difference, which is taken out of it.
    inversion_efficiency : float
        Part of the metabolite magnetisation that is inverted, 1 for a perfect pulse: with ``e`` the inverted shot
        holds ``W - e M``, and half the difference is ``(1 + e) M / 2``, which is scaled back.

    Returns
    -------
    water, metabolites : complex array, shape (..., n_points)
        With ``e < 1`` the water keeps ``(1 - e) / 2`` of the metabolites.

    Examples
    --------
    >>> water, metabolites = separated(np.array([5.0 + 0j]), np.array([3.0 + 0j]))
    >>> float(water[0].real), float(metabolites[0].real)
    (4.0, 1.0)
    """
    return (upright + inverted) / 2, (upright - inverted - 2 * residual) / (1 + inversion_efficiency)


def water_share(upright: ComplexArray, inverted: ComplexArray, axis: SpectralAxis) -> WaterShare:
    """Find the water in the difference, by least squares around the peak of the water, beside a smooth polynomial.

    Parameters
    ----------
    upright, inverted : complex array, shape (n_points,)
    axis : SpectralAxis

    Returns
    -------
    WaterShare
        Zero for silence, and for spectra too coarse to tell.
    """
    water = (upright + inverted) / 2
    spectra = to_spectrum(np.array([water, axis.time_s * water, (upright - inverted) / 2]))
    peak = axis.ppm[np.argmax(np.abs(spectra[0]))]
    near = np.abs(axis.ppm - peak) <= _NEAR_WATER_PPM
    # Metabolites reach below the water with smooth tails, which are no water.
    line, slope, difference = (_without_smooth(part[near], _BELOW_WATER_DEGREE) for part in spectra)
    size = float(np.linalg.norm(line))
    # Too few bins around the water to tell it from the smooth tails.
    if size == 0.0 or near.sum() < 2 * (_BELOW_WATER_DEGREE + 3):
        return WaterShare(0.0, 0.0, 0.0)
    design = np.column_stack([line, slope])
    share, rate = np.linalg.lstsq(design, difference, rcond=None)[0]
    left = difference - design @ [share, rate]
    return WaterShare(complex(share), complex(rate), float(np.linalg.norm(left)) / size)


def inversion_efficiency(upright: ComplexArray, inverted: ComplexArray, axis: SpectralAxis) -> InversionEfficiency:
    """Measure the efficiency of the inversion, from the metabolites that stay in the sum of the shots.

    With ``B = W - e M`` the sum holds ``(1 - e) / (1 + e)`` of the metabolites in the difference. This part is found
    by least squares between 1.9 and 3.4 ppm, beside polynomials for the tail of the water.

    Parameters
    ----------
    upright, inverted : complex array, shape (n_points,)
        Averages: the noise must be far below the metabolites.
    axis : SpectralAxis

    Returns
    -------
    InversionEfficiency
        Without a value when the standard error exceeds 0.05.
    """
    window = axis.slice_ppm(*_COMPARED_PPM)
    total, difference = to_spectrum((upright + inverted) / 2)[window], to_spectrum((upright - inverted) / 2)[window]
    total, difference = (_without_smooth(part, _TAIL_DEGREE) for part in (total, difference))
    energy = float(np.vdot(difference, difference).real)
    if energy == 0.0:
        return InversionEfficiency(None, None, "There is no signal.")
    part = float(np.vdot(difference, total).real) / energy
    n_free = total.size - _TAIL_DEGREE - 2
    if n_free < _FEWEST_FREE:
        return InversionEfficiency(None, None, "There are too few points between 1.9 and 3.4 ppm.")
    # Of one real parameter in complex noise: half of the noise is beside it.
    variance = float(np.sum(np.abs(total - part * difference) ** 2)) / n_free / 2
    se = 2 / (1 + part) ** 2 * float(np.sqrt(variance / energy))
    if not se <= _LARGEST_SE:
        return InversionEfficiency(None, None, f"Its standard error of {se:.2g} exceeds {_LARGEST_SE}.")
    return InversionEfficiency((1 - part) / (1 + part), se)


def _without_smooth(spectrum: ComplexArray, degree: int) -> ComplexArray:
    """Take the best polynomial off a piece of a spectrum."""
    polynomials = np.polynomial.legendre.legvander(np.linspace(-1, 1, spectrum.size), degree)
    smooth = np.linalg.qr(polynomials)[0]
    return np.asarray(spectrum - smooth @ (smooth.T @ spectrum))
