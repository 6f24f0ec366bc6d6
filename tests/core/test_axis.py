import re

import numpy as np
import pytest

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import HeaderError


@pytest.fixture
def axis():
    return SpectralAxis(1024, 1 / 2000, 127.7e6, 4.65)


def test_frequency_and_ppm_rise_together(axis):
    assert (np.diff(axis.frequency_hz) > 0).all()
    assert (np.diff(axis.ppm) > 0).all()


def test_the_axes_are_those_of_the_fft(axis):
    np.testing.assert_array_equal(axis.frequency_hz, np.fft.fftshift(np.fft.fftfreq(1024, 1 / 2000)))
    assert axis.time_s[0] == 0
    assert axis.time_s[-1] == pytest.approx(1023 / 2000)
    assert axis.ppm[512] == 4.65


def test_a_resonance_right_of_water_is_slower(axis):
    assert axis.offset_hz(2.01) == pytest.approx(-2.64 * 127.7)
    assert axis.ppm[np.argmin(np.abs(axis.frequency_hz - axis.offset_hz(2.01)))] == pytest.approx(2.01, abs=0.02)


def test_a_slice_holds_the_bins_between_its_ends(axis):
    ppm = axis.ppm[axis.slice_ppm(0.2, 4.2)]
    assert ppm.min() >= 0.2
    assert ppm.max() <= 4.2
    assert ppm.size == np.sum((axis.ppm >= 0.2) & (axis.ppm <= 4.2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spectrometer_hz": 127.7}, "must be in Hz, got 127.7. If this is MHz, pass 127700000."),
        ({"dwell_s": 500.0}, "dwell_s must be in s, got 500.0."),
        ({"n_points": 1}, "n_points must be at least 2, got 1."),
        ({"centre_ppm": 594.0}, "centre_ppm must be in ppm, got 594.0."),
    ],
)
def test_a_wrong_unit_is_named_with_its_cure(changes, message):
    with pytest.raises(HeaderError, match=re.escape(message)):
        SpectralAxis(**{"n_points": 1024, "dwell_s": 5e-4, "spectrometer_hz": 127.7e6, "centre_ppm": 4.65, **changes})
