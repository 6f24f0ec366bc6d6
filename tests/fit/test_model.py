"""The functions of the macromolecules are copies of one: their spectra are read from one transform."""

import numpy as np
from scipy.fft import fft

from mrspipe.fit.macromolecules import CENTRES_PPM, gaussian_lines, grid_functions


def test_a_copy_read_from_the_fine_spectrum_is_the_transform_of_its_signal(prepared):
    # Slow twin: one transform for each function, with a line shape that decays and turns.
    grid, smooth, window = prepared.grid, prepared.model.smooth, prepared.model.window
    line = np.exp((2j * np.pi * 0.7 - np.pi * 4.0) * grid.time_s)
    direct = fft(smooth.signals * line)[:, window]
    read = smooth.fine_spectrum(smooth.signal * line)[smooth.places(window)]
    np.testing.assert_allclose(read, direct, atol=1e-12 * np.abs(direct).max())


def test_copies_are_gaussian_lines_at_their_places(prepared):
    # Rounded to a sixteenth of a bin, 0.06 Hz: of a line 13 Hz wide that is 0.7 % of its height at the steepest place.
    grid, smooth = prepared.grid, grid_functions(prepared.grid)
    width_hz = np.full(CENTRES_PPM.size, 0.10 * grid.hz_per_ppm)
    lines = grid.to_spectrum(gaussian_lines(grid, CENTRES_PPM, width_hz)).real
    copies = grid.to_spectrum(smooth.signals).real
    inside = (grid.ppm > 0.2) & (grid.ppm < 4.2)
    height = lines.max()
    assert np.abs(copies - lines)[:, inside].max() < 0.01 * height
    peaks = grid.ppm[copies.argmax(axis=1)]
    # The bin nearest to a place that was rounded.
    assert np.abs(peaks - CENTRES_PPM).max() <= (1 / 2 + 1 / 16) * grid.spacing_hz / grid.hz_per_ppm
