import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.operators import broadened, phased, shifted, to_fid, to_spectrum

AXIS = SpectralAxis(2048, 1 / 2000, 127.7e6, 4.65)


def noise(seed, shape=(3, 2048)):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


@given(st.integers(0, 2**32 - 1))
def test_spectrum_and_fid_are_inverse(seed):
    np.testing.assert_allclose(to_fid(to_spectrum(noise(seed))), noise(seed), atol=1e-10)


@given(st.floats(-50, 50), st.floats(-7, 7))
def test_shift_and_phase_undo_themselves(shift_hz, phase_rad):
    moved = phased(shifted(noise(1), AXIS, shift_hz), phase_rad)
    np.testing.assert_allclose(shifted(phased(moved, -phase_rad), AXIS, -shift_hz), noise(1), atol=1e-10)


def test_a_tone_on_a_bin_fills_that_bin_alone():
    tone = np.exp(2j * np.pi * AXIS.frequency_hz[700] * AXIS.time_s)
    size = np.abs(np.fft.fftshift(np.fft.fft(tone)))
    assert np.argmax(size) == 700
    assert np.delete(size, 700).max() < 1e-9 * size[700]


def test_a_shift_moves_up_in_frequency():
    fid = np.exp(-10 * AXIS.time_s).astype(complex)
    assert AXIS.frequency_hz[np.argmax(to_spectrum(shifted(fid, AXIS, 125.0)).real)] == pytest.approx(125, abs=0.5)


@pytest.mark.parametrize(("lorentz_hz", "gauss_hz"), [(12.0, 0.0), (0.0, 12.0)])
def test_a_broadened_line_has_the_width_at_half_its_height(lorentz_hz, gauss_hz):
    axis = SpectralAxis(1 << 16, 1 / 2000, 127.7e6, 4.65)
    line = to_spectrum(broadened(np.ones(axis.n_points, complex), axis, lorentz_hz=lorentz_hz, gauss_hz=gauss_hz)).real
    above = axis.frequency_hz[line > line.max() / 2]
    assert above[-1] - above[0] == pytest.approx(12.0, abs=0.1)


def test_a_halved_first_point_leaves_no_pedestal():
    # The spectrum of a decaying tone far from zero frequency vanishes far from the tone.
    fid = np.exp((2j * np.pi * 300 - 20) * AXIS.time_s)
    far = to_spectrum(fid)[np.abs(AXIS.frequency_hz + 600) < 50].real
    assert np.abs(far).max() < 2e-3 * np.abs(to_spectrum(fid)).max()
