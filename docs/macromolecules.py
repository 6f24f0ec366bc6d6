"""Print the areas of the macromolecule lines as two spectra measured in vivo have them.

Usage: python docs/macromolecules.py [--data FOLDER]

FOLDER holds the metabolite-nulled scan of Osprey's example data (``philips_press30_mm``) and the basis set of the ISMRM
fitting challenge with its measured macromolecules (``basis``); neither is part of this repository. Each spectrum is
described by the fit's smooth functions, of area 1 between 0.7 and 1.08 ppm, and the two are averaged. Areas of narrow
lines alone leave valleys that the measured spectra do not have; those spectra alone fit worse where a study's lines
are narrow. So three parts of the lines and one of the spectra are mixed, and the mixture gets the areas printed.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from recovery.generator import AXIS
from recovery.shapes import measured_shapes

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.fit.grid import BandGrid
from mrspipe.fit.macromolecules import CENTRES_PPM, FWHM_PPM, gaussian_lines, grid_functions, projected
from mrspipe.io.basis_files import read_basis
from mrspipe.physics.macromolecules import MacromoleculeLine, macromolecule_lines

_DATA = Path(__file__).parents[2] / "shared" / "data"
_CHALLENGE = "basis/challenge_press30_3T_measuredMM.basis"
_DURATION_S = 0.512
_SHOWN_PPM, _REFERENCE_PPM, _KEPT_PPM = (0.3, 4.2), (0.7, 1.08), (0.7, 4.1)
# Lines from this width on fill valleys.
_BROAD_HZ = 45.0
_LINES_PART = 0.75


def main() -> None:
    """Print a row for each line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=_DATA, help="folder of the measured spectra")
    measured = _measured(parser.parse_args().data)
    lines = macromolecule_lines()
    narrow = [line for line in lines if line.fwhm_ppm * AXIS.hz_per_ppm < _BROAD_HZ]
    of_narrow = _unit_areas(narrow)
    mixture = _LINES_PART * _relative(of_narrow @ _areas(of_narrow, measured)) + (1 - _LINES_PART) * _kept(measured)
    areas = _areas(_unit_areas(lines), mixture)
    for line, area in zip(lines, areas, strict=True):
        sys.stdout.write(f"{line.name} {line.ppm:.2f} ppm: {area / areas[0]:.2f} (list: {line.ratio:.2f})\n")


def _measured(folder: Path) -> FloatArray:
    challenge = read_basis(folder / _CHALLENGE)
    nulled = _amplitudes(measured_shapes(folder).macromolecules, AXIS)
    return (nulled + _amplitudes(challenge.only(challenge.macromolecule_names).fids[0], challenge.axis)) / 2


def _amplitudes(fid: ComplexArray, axis: SpectralAxis) -> FloatArray:
    """Amplitudes of the smooth functions, shape (n_smooth,)."""
    grid = BandGrid.of(axis, _DURATION_S)
    signal = grid.to_time(grid.spectra(fid[None], axis))[0]
    return _relative(projected(grid, grid_functions(grid).signals, signal, grid.slice_ppm(*_SHOWN_PPM)))


def _unit_areas(lines: Sequence[MacromoleculeLine]) -> FloatArray:
    """Amplitudes of the smooth functions for each line of area 1, shape (n_smooth, n_lines)."""
    grid = BandGrid.of(AXIS, _DURATION_S)
    places, widths = (np.array([getattr(line, name) for line in lines]) for name in ("ppm", "fwhm_ppm"))
    signals = gaussian_lines(grid, places, widths * grid.hz_per_ppm)
    smooth = grid_functions(grid).signals
    return np.array([projected(grid, smooth, signal, slice(None)) for signal in signals]).T


def _areas(columns: FloatArray, wanted: FloatArray) -> FloatArray:
    """Areas, none negative, whose sum looks most like what is wanted."""
    distance = np.arange(*_SHOWN_PPM, 0.01)[:, None] - CENTRES_PPM
    looks = np.exp(-4 * np.log(2) * (distance / FWHM_PPM) ** 2)
    return np.asarray(nnls(looks @ columns, looks @ wanted)[0])


def _relative(amplitudes: FloatArray) -> FloatArray:
    return amplitudes / amplitudes[_between(_REFERENCE_PPM)].sum()


def _kept(amplitudes: FloatArray) -> FloatArray:
    """Without what is negative or outside of the lines: imperfect nulling, baseline."""
    return np.where(_between(_KEPT_PPM), np.maximum(amplitudes, 0.0), 0.0)


def _between(range_ppm: tuple[float, float]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return (range_ppm[0] < CENTRES_PPM) & (range_ppm[1] > CENTRES_PPM)


if __name__ == "__main__":
    main()
