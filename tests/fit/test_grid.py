import numpy as np
import pytest
from brain_like import make_basis

from mrspipe.core.axis import SpectralAxis
from mrspipe.fit.grid import BandGrid


@pytest.fixture
def grid(axis):
    return BandGrid.of(axis, 0.512)


def test_a_decaying_tone_has_its_analytic_spectrum(grid):
    # The integral of exp((i w0 - a) t) over [0, T] against exp(-i w t); the sum differs by the trapezoid rule's
    # error, of relative size (w dwell)^2 / 12.
    axis = SpectralAxis(8192, 1 / 16000, 127.7e6, 4.65)
    decay, offset = 30.0, 2 * np.pi * axis.offset_hz(2.0)
    fid = np.exp((1j * offset - decay) * axis.time_s)
    omega = 2 * np.pi * (grid.ppm - axis.centre_ppm) * axis.hz_per_ppm
    rate = decay + 1j * (omega - offset)
    expected = (1 - np.exp(-rate * grid.duration_s)) / rate
    np.testing.assert_allclose(grid.spectra(fid, axis), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(("points", "rate", "centre"), [(4096, 4000, 4.65), (1024, 2000, 4.65), (2048, 2500, 3.0)])
def test_data_of_any_sampling_meet_on_one_grid(grid, axis, points, rate, centre):
    other = SpectralAxis(points, 1 / rate, axis.spectrometer_hz, centre)
    ours = grid.spectra(make_basis(axis).fids, axis)
    theirs = grid.spectra(make_basis(other).fids, other)
    assert np.abs(ours - theirs).max() < 0.02 * np.abs(ours).max()


def test_time_and_spectrum_are_inverse(grid):
    rng = np.random.default_rng(1)
    spectra = rng.standard_normal((3, grid.n_bins)) + 1j * rng.standard_normal((3, grid.n_bins))
    np.testing.assert_allclose(grid.to_spectrum(grid.to_time(spectra)), spectra, atol=1e-12)


def test_a_shift_of_one_bin_in_time_is_a_shift_of_one_bin_in_frequency(grid, axis):
    signal = grid.to_time(grid.spectra(make_basis(axis).fids[0], axis))
    time = np.arange(grid.n_bins) / (grid.n_bins * grid.spacing_hz)
    moved = grid.to_spectrum(signal * np.exp(2j * np.pi * grid.spacing_hz * time))
    np.testing.assert_allclose(moved, np.roll(grid.to_spectrum(signal), 1), atol=1e-10)
