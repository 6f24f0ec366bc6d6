"""Macromolecules as a smooth function of chemical shift: overlapping Gaussians of equal width on a regular grid.

Macromolecules of a brain are no sum of a dozen Gaussian lines, but they are smooth: nothing of theirs is narrower than
about 15 Hz. A fine grid of slightly narrower Gaussians can follow any such shape; what is known of macromolecules -
which places, which relative heights (`mrspipe.physics.macromolecules`) - is the prior mean of its amplitudes.
"""

from dataclasses import dataclass

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.fit.grid import BandGrid
from mrspipe.fit.model import Copies, gaussian_decay
from mrspipe.physics.macromolecules import macromolecule_lines

# Narrower than the narrowest macromolecule line, about 15 Hz at 3 T: a sum of functions can be broader than they are,
# not narrower, and what it cannot follow it takes from the metabolites (decision 0008). The spacing is half of that
# width: a line of 15 Hz between two places is then followed, too (decision 0017). Both in ppm: macromolecules widen
# with the field in Hz.
FWHM_PPM = 0.11
"""Width of each function of the grid."""
_SPACING_PPM = 0.055
_FIRST_PPM, _LAST_PPM = 0.15, 4.35
# Shapes are compared as they appear, with a typical common line width in Hz.
_TYPICAL_GAUSS_HZ = 5.0
# Ridge of the projection, relative to the mean of the diagonal: neighbours overlap.
_RIDGE = 1e-3
# Sampling of the functions, fine enough that their spectra are those of a continuous signal.
_DWELL_S = 1e-4

CENTRES_PPM: FloatArray = np.arange(_FIRST_PPM, _LAST_PPM + 1e-9, _SPACING_PPM)
"""Chemical shift of each function of the grid."""


def grid_functions(grid: BandGrid) -> Copies:
    """Band-limited signals of the grid's functions, of unit amplitude at time zero; places to a sixteenth of a bin."""
    middle = gaussian_lines(grid, np.array([grid.centre_ppm]), np.array([FWHM_PPM * grid.hz_per_ppm]))[0]
    parts_per_ppm = Copies.N_PARTS * grid.hz_per_ppm / grid.spacing_hz
    return Copies(middle, np.rint((CENTRES_PPM - grid.centre_ppm) * parts_per_ppm).astype(int))


def gaussian_lines(grid: BandGrid, ppm: FloatArray, fwhm_hz: FloatArray) -> ComplexArray:
    """Band-limited Gaussian lines of unit amplitude at time zero, shape (n_lines, n_bins)."""
    n_points = round(grid.duration_s / _DWELL_S)
    axis = SpectralAxis(n_points, _DWELL_S, grid.hz_per_ppm * 1e6, grid.centre_ppm)
    return grid.to_time(grid.spectra(_gaussian_fids(axis, ppm, fwhm_hz), axis))


def grid_fid(amplitudes: FloatArray, axis: SpectralAxis) -> ComplexArray:
    """FID of macromolecules with the given amplitudes of the grid's functions, shape (n_points,)."""
    return np.asarray(
        amplitudes @ _gaussian_fids(axis, CENTRES_PPM, np.full(CENTRES_PPM.size, FWHM_PPM * axis.hz_per_ppm))
    )


def _gaussian_fids(axis: SpectralAxis, ppm: FloatArray, fwhm_hz: FloatArray) -> ComplexArray:
    turn = np.exp(2j * np.pi * ((ppm - axis.centre_ppm) * axis.hz_per_ppm)[:, None] * axis.time_s)
    return np.asarray(turn * gaussian_decay(fwhm_hz[:, None] ** 2, axis.time_s**2))


@dataclass(frozen=True, eq=False)
class SmoothShape:
    """Amplitudes of the grid's functions, relative to a common amplitude.

    Parameters
    ----------
    mean, sd : float array, shape (n_smooth,)
        Expected amplitudes and their standard deviations.
    """

    mean: FloatArray
    sd: FloatArray

    @property
    def rows(self) -> FloatArray:
        """Rows that keep the amplitudes in proportion, shape (n_smooth, n_smooth); their target is zero.

        The common amplitude is eliminated, which projects the rows away from it.
        """
        along = self.mean / self.sd
        return np.asarray(np.diag(1 / self.sd) - np.outer(along, along / self.sd) / (along @ along))

    @property
    def common_row(self) -> FloatArray:
        """Row that gives the amplitude common to all functions that suits theirs best, shape (n_smooth,)."""
        along = self.mean / self.sd
        return np.asarray(along / self.sd / (along @ along))

    def common(self, amplitudes: FloatArray) -> float:
        """Amplitude common to all functions that suits the given ones best."""
        return float(self.common_row @ amplitudes)


def spread(mean: FloatArray, relative: float, floor: float) -> FloatArray:
    """Standard deviation (SD) of each amplitude: a part of what is expected around it, and a part of the largest.

    Parameters
    ----------
    mean : float array, shape (n_smooth,)
    relative, floor : float
        SD of the macromolecules over a stretch as long as a function is wide (`FWHM_PPM`), relative to what is expected
        there and to the largest expectation. The functions in it deviate independently, each by more.
    """
    local = np.convolve(np.abs(mean), [0.25, 0.5, 0.25], "same")
    return np.asarray(np.sqrt(FWHM_PPM / _SPACING_PPM) * (relative * local + floor * np.abs(mean).max()))


def generic_mean(grid: BandGrid, signals: ComplexArray) -> FloatArray:
    """Amplitudes on the grid that resemble the list of known resonances, relative to the first of them."""
    lines = macromolecule_lines()
    fwhm_hz = np.array([line.fwhm_ppm for line in lines]) * grid.hz_per_ppm
    known = gaussian_lines(grid, np.array([line.ppm for line in lines]), fwhm_hz)
    return projected(grid, signals, np.array([line.ratio for line in lines]) @ known, slice(None))


def projected(grid: BandGrid, signals: ComplexArray, signal: ComplexArray, window: slice) -> FloatArray:
    """Amplitudes on the grid whose sum resembles a signal in the real spectrum, shape (n_smooth,).

    Parameters
    ----------
    grid : BandGrid
    signals : complex array, shape (n_smooth, n_bins)
        The grid's functions.
    signal : complex array, shape (n_bins,)
    window : slice
        Bins that are compared.
    """
    decay = gaussian_decay(_TYPICAL_GAUSS_HZ**2, grid.time_s**2)
    columns = grid.to_spectrum(signals * decay).real[:, window]
    gram = columns @ columns.T
    ridge = _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    return np.asarray(np.linalg.solve(gram + ridge, columns @ grid.to_spectrum(signal * decay).real[window]))
