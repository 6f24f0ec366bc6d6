"""The functions of the macromolecules are copies of one: their spectra are read from one transform."""

import numpy as np
import pytest
from scipy.fft import fft

from mrspipe.fit.macromolecules import CENTRES_PPM, gaussian_lines, grid_functions, projected, spread


def test_a_copy_read_from_the_fine_spectrum_is_the_transform_of_its_signal(prepared):
    # Slow twin: one transform for each function, with a line shape that decays and turns.
    grid, smooth, window = prepared.grid, prepared.model.smooth, prepared.model.window
    line = np.exp((2j * np.pi * 0.7 - np.pi * 4.0) * grid.time_s)
    direct = fft(smooth.signals * line)[:, window]
    read = smooth.fine_spectrum(smooth.signal * line)[smooth.places(window)]
    np.testing.assert_allclose(read, direct, atol=1e-12 * np.abs(direct).max())


def test_copies_are_gaussian_lines_at_their_places(prepared):
    # Rounded to a sixteenth of a bin, 0.06 Hz: of a line 14 Hz wide that is 0.7 % of its height at the steepest place.
    grid, smooth = prepared.grid, grid_functions(prepared.grid)
    width_hz = np.full(CENTRES_PPM.size, 0.11 * grid.hz_per_ppm)
    lines = grid.to_spectrum(gaussian_lines(grid, CENTRES_PPM, width_hz)).real
    copies = grid.to_spectrum(smooth.signals).real
    inside = (grid.ppm > 0.2) & (grid.ppm < 4.2)
    height = lines.max()
    assert np.abs(copies - lines)[:, inside].max() < 0.01 * height
    peaks = grid.ppm[copies.argmax(axis=1)]
    # The bin nearest to a place that was rounded.
    assert np.abs(peaks - CENTRES_PPM).max() <= (1 / 2 + 1 / 16) * grid.spacing_hz / grid.hz_per_ppm


@pytest.mark.parametrize("width_hz", [14.0, 15.0])
@pytest.mark.parametrize("part", [0.0, 0.25, 0.5, 0.75])
def test_a_macromolecule_line_is_followed_at_any_place(prepared, part, width_hz):
    # As narrow as the functions or broader, anywhere between two of them, as a common line of 5 Hz shows it. What no
    # weights follow is what its transform has beyond half the sampling frequency of the places: for a Gaussian of
    # standard deviation s at spacing d, relative to its height, exp(-(pi s / d)^2 / 2): 1.9 % for 14 Hz, 1.1 % for 15.
    grid, smooth = prepared.grid, grid_functions(prepared.grid)
    decay = np.exp(-((np.pi * 5.0 * grid.time_s) ** 2) / (4 * np.log(2)))
    place = CENTRES_PPM[30] + part * (CENTRES_PPM[31] - CENTRES_PPM[30])
    line = gaussian_lines(grid, np.array([place]), np.array([width_hz]))[0]
    followed = projected(grid, smooth.signals, line, slice(None)) @ smooth.signals
    wanted, got = (grid.to_spectrum(signal * decay).real for signal in (line, followed))
    sd_hz, spacing_hz = np.hypot(width_hz, 5.0) / np.sqrt(8 * np.log(2)), 0.055 * grid.hz_per_ppm
    assert np.abs(wanted - got).max() < np.exp(-((np.pi * sd_hz / spacing_hz) ** 2) / 2) * wanted.max()


def test_the_spread_of_macromolecules_is_that_of_a_stretch_as_long_as_a_function_is_wide():
    # Functions 0.11 ppm wide, two for each such stretch: the area of two that deviate independently.
    level = np.full(20, 0.3)
    sd = spread(level, 0.2, 0.05)[5:15]
    assert np.sqrt(sd[0] ** 2 + sd[1] ** 2) / (level[0] + level[1]) == pytest.approx(0.2 + 0.05)
