import numpy as np
import pytest

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.operators import shifted
from mrspipe.preprocess.eddy import water_phase, without_phase


def _eddy_phase(t):
    """20 degrees that build up with a time constant of 40 ms."""
    return np.deg2rad(20) * (1 - np.exp(-t / 0.04))


def _corrected(fid, water, axis):
    return without_phase(fid, axis, water_phase(water, axis), water_ppm=4.65)


def test_a_phase_modulated_line_is_restored(mr):
    turn = np.exp(1j * (_eddy_phase(mr.axis.time_s) + 0.4))
    np.testing.assert_allclose(_corrected(mr.metabolites * turn, mr.water * turn, mr.axis), mr.metabolites, atol=1e-9)


def test_water_itself_becomes_its_modulus(mr):
    turn = np.exp(1j * _eddy_phase(mr.axis.time_s))
    np.testing.assert_allclose(_corrected(mr.water * turn, mr.water * turn, mr.axis), np.abs(mr.water), atol=1e-9)


def test_a_shift_common_to_both_signals_is_taken_off(mr):
    off = 7.3
    found = _corrected(shifted(mr.metabolites, mr.axis, off), shifted(mr.water, mr.axis, off), mr.axis)
    np.testing.assert_allclose(found, mr.metabolites, atol=1e-9)


def test_water_lands_on_its_shift_wherever_the_centre_of_the_axis_is(mr):
    axis = SpectralAxis(1024, 1 / 2000, 127.7e6, 3.0)
    t = axis.time_s
    naa = np.exp(2j * np.pi * axis.offset_hz(2.01) * t - 15 * t)
    water = 1000 * np.exp(2j * np.pi * axis.offset_hz(4.65) * t - 20 * t)
    found = _corrected(shifted(naa, axis, 4.0), shifted(water, axis, 4.0), axis)
    np.testing.assert_allclose(found, naa, atol=1e-9)


def test_hardly_any_noise_is_added(mr):
    rng = np.random.default_rng(1)
    turn = np.exp(1j * _eddy_phase(mr.axis.time_s))
    # Water 50 times the noise only: far worse than any scanner gives.
    sd = 20.0
    added, given = [], []
    for _ in range(40):
        given.append(mr.noise(rng, sd))
        found = _corrected(100 * mr.metabolites * turn + given[-1], mr.water * turn + mr.noise(rng, sd), mr.axis)
        added.append(found - 100 * mr.metabolites)
    assert np.std(added) / np.std(given) < 1.03


def test_after_the_water_has_decayed_the_correction_is_smooth(mr):
    water = mr.line(4.65, 1000.0, 30.0) * np.exp(1j * _eddy_phase(mr.axis.time_s))
    phase = water_phase(water + mr.noise(np.random.default_rng(2), 1.0), mr.axis)
    assert phase.usable_s < 0.1
    assert np.ptp(phase.deviation_rad[mr.axis.time_s > phase.usable_s]) == 0


def test_the_reported_deviation_is_the_eddy_phase_and_not_noise(mr):
    # A time constant of 8 ms: the phase is steady long before the water has decayed.
    turn = np.exp(1j * np.deg2rad(20) * (1 - np.exp(-mr.axis.time_s / 0.008)))
    phase = water_phase(shifted(mr.water * turn, mr.axis, 5.0) + mr.noise(np.random.default_rng(5), 0.5), mr.axis)
    assert phase.frequency_hz == pytest.approx(5.0, abs=0.05)
    assert np.rad2deg(phase.deviation_range_rad) == pytest.approx(20, rel=0.05)


def test_a_correction_measured_on_a_longer_finer_water_signal_is_the_same(mr):
    fine = SpectralAxis(4096, 1 / 4000, 127.7e6, 4.65)
    water = 1000 * np.exp(-20 * fine.time_s + 1j * _eddy_phase(fine.time_s))
    turn = np.exp(1j * _eddy_phase(mr.axis.time_s))
    phase = water_phase(water, fine)
    found = without_phase(mr.metabolites * turn, mr.axis, phase, water_ppm=4.65)
    np.testing.assert_allclose(found, mr.metabolites, atol=1e-9)


def test_correcting_twice_changes_nothing_more(mr):
    rng = np.random.default_rng(3)
    water = mr.water * np.exp(1j * _eddy_phase(mr.axis.time_s)) + mr.noise(rng, 0.1)
    once = _corrected(water, water, mr.axis)
    strong = np.abs(once) > 1.0
    np.testing.assert_allclose(_corrected(once, once, mr.axis)[strong], once[strong], rtol=1e-9)


def test_pure_noise_is_no_water(mr):
    assert water_phase(mr.noise(np.random.default_rng(4), 1.0), mr.axis) is None


def test_sizes_stay_what_they_are(mr):
    found = _corrected(mr.metabolites, mr.water * np.exp(1j * _eddy_phase(mr.axis.time_s)), mr.axis)
    assert np.abs(found) == pytest.approx(np.abs(mr.metabolites))
