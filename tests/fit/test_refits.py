import numpy as np
import pytest

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.fit.refits import broadened

AXIS = SpectralAxis(4096, 1 / 2000, 127.7e6, 4.65)


def gaussian_line(width_hz):
    decay = np.exp(-((np.pi * width_hz * AXIS.time_s) ** 2) / (4 * np.log(2)))
    return Signal(decay.astype(complex), ("time",), AXIS, Acquisition(field_t=3.0))


def width_of(signal):
    """Full width at half maximum of a line at zero frequency, from a finely padded spectrum."""
    fid = np.array(signal.samples)
    fid[0] /= 2
    n = 1 << 18
    spectrum = np.fft.fftshift(np.fft.fft(fid, n)).real
    above = np.flatnonzero(spectrum > spectrum.max() / 2)
    return len(above) * AXIS.bandwidth_hz / n


@pytest.mark.parametrize(("width_hz", "target_hz"), [(4.0, 7.0), (6.0, 6.5)])
def test_a_gaussian_line_gets_the_width_asked_for_and_keeps_its_area(width_hz, target_hz):
    before = gaussian_line(width_hz)
    after = broadened(before, width_hz, target_hz)
    assert width_of(after) == pytest.approx(target_hz, abs=0.02)
    assert after.samples[0] == before.samples[0]


@pytest.mark.parametrize("target_hz", [3.0, 4.0, float("nan")])
def test_a_line_that_is_broad_enough_stays(target_hz):
    before = gaussian_line(4.0)
    assert broadened(before, 4.0, target_hz) is before
