import numpy as np
import pytest

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.operators import phased, to_spectrum
from mrspipe.preprocess.cycling import inversion_efficiency, separated, water_share


def test_sum_and_difference_give_water_and_metabolites_exactly(mr):
    water, metabolites = separated(mr.water + mr.metabolites, mr.water - mr.metabolites)
    np.testing.assert_allclose(water, mr.water, atol=1e-12)
    np.testing.assert_allclose(metabolites, mr.metabolites, atol=1e-12)


def test_an_imperfect_inversion_is_scaled_back(mr):
    inverted = mr.water - 0.95 * mr.metabolites
    metabolites = separated(mr.water + mr.metabolites, inverted, inversion_efficiency=0.95)[1]
    np.testing.assert_allclose(metabolites, mr.metabolites, atol=1e-12)


@pytest.mark.parametrize("turn", [0.0, 1.2, np.pi])
@pytest.mark.parametrize("mismatch", [-0.02, 0.0, 0.02])
def test_a_mismatch_of_the_shots_is_measured_whatever_their_phase(mr, mismatch, turn):
    shots = phased(np.stack([(1 + mismatch) * mr.water + mr.metabolites, mr.water - mr.metabolites]), turn)
    found = water_share(*shots, mr.axis)
    # Near the water's peak, of a width of 7 Hz, tails of the metabolites 0.7 ppm and more away are below
    # sum(amplitudes) / 1000 times the widths over the distance, 5 Hz / 90 Hz: some 1e-4 of the water.
    assert found.amplitude_mismatch == pytest.approx(mismatch, abs=5e-4)
    assert found.unlike < 1e-3


def test_a_mismatch_leaves_neither_water_nor_sidebands_and_the_metabolites_as_they_are(mr):
    sidebands = mr.line(4.65 - 1.4, 5.0, 7.0) - mr.line(4.65 + 1.4, 5.0, 7.0)
    water = mr.water + sidebands
    upright, inverted = 1.02 * water + mr.metabolites, water - mr.metabolites
    residual = water_share(upright, inverted, mr.axis).of((upright + inverted) / 2, mr.axis)
    metabolites = separated(upright, inverted, residual=residual)[1]
    # Without it, 10 times the metabolites' amplitude is left of the water, and a twentieth in each sideband.
    assert abs(separated(upright, inverted)[1][0]) > 10
    left = metabolites - mr.metabolites
    # What the share takes in excess is the tails of metabolites below the water, see above: 1e-4 of it.
    assert np.abs(left).max() < 5e-4 * np.abs(water).max()
    window = np.exp(-2j * np.pi * mr.axis.offset_hz(2.01) * mr.axis.time_s)
    assert abs(np.sum(window * left)) < 0.005 * abs(np.sum(window * mr.metabolites))


def test_a_frequency_that_alternates_with_the_shots_leaves_no_water_and_is_told(mr):
    swing = np.exp(2j * np.pi * 0.01 * mr.axis.time_s)
    upright, inverted = mr.water * swing + mr.metabolites, mr.water / swing - mr.metabolites
    found = water_share(upright, inverted, mr.axis)
    assert found.frequency_mismatch_hz == pytest.approx(0.02, abs=0.002)
    residual = found.of((upright + inverted) / 2, mr.axis)
    left = to_spectrum(separated(upright, inverted, residual=residual)[1] - mr.metabolites)
    before = to_spectrum(separated(upright, inverted)[1] - mr.metabolites)
    assert np.abs(left).max() < 0.05 * np.abs(before).max()


def test_a_broad_signal_below_the_water_is_not_taken_for_water(mr):
    # A hump 150 Hz wide at 4 ppm, as strong as a twentieth of the water at time zero; over 64 Hz it is smooth.
    hump = mr.line(4.0, 50.0, 150.0)
    found = water_share(mr.water + hump, mr.water - hump, mr.axis)
    exact, below = (np.abs(to_spectrum(one))[mr.axis.slice_ppm(4.6, 4.7)].max() for one in (mr.water, hump))
    # Without the polynomial its height below the peak would be the share.
    assert abs(found.share) < 0.05 * below / exact


def test_another_line_shape_in_every_other_shot_is_told(mr):
    broad = mr.line(4.65, 1000.0, 9.0)
    plain, unlike = (water_share(one, mr.water, mr.axis).unlike for one in (mr.water, broad))
    assert plain < 1e-9
    assert unlike > 1e-3


@pytest.mark.parametrize("n_points", [180, 200, 209, 220])
def test_spectra_too_coarse_to_tell_are_left_alone(n_points):
    axis = SpectralAxis(n_points, 1 / 4000, 127.7e6, 4.65)
    metabolites = np.exp((2j * np.pi * axis.offset_hz(2.01) - 15) * axis.time_s)
    water = 100 * np.exp((2j * np.pi * axis.offset_hz(4.65) - 20) * axis.time_s)
    upright, inverted = water + metabolites, 0.98 * water - metabolites
    assert water_share(upright, inverted, axis).share == 0
    assert "too few points" in inversion_efficiency(upright, inverted, axis).note


def test_silence_has_no_share_and_no_efficiency(mr):
    silence = np.zeros_like(mr.water)
    assert water_share(silence, silence, mr.axis).share == 0.0
    assert inversion_efficiency(silence, silence, mr.axis).value is None


@pytest.mark.parametrize("efficiency", [1.0, 0.95, 0.8])
def test_the_efficiency_of_the_inversion_is_found_in_the_sum(mr, efficiency):
    eddy = np.exp(0.2j * np.exp(-mr.axis.time_s / 0.05))
    upright, inverted = (mr.water + part * mr.metabolites for part in (1.0, -efficiency))
    found = inversion_efficiency(upright * eddy, 0.98 * inverted * eddy, mr.axis)
    # The water takes part in the mismatch of 2 %, and its inverted shots carry 2 % less of the metabolites.
    assert found.value == pytest.approx(0.98 * efficiency, abs=0.005)


def test_the_error_of_the_efficiency_is_the_scatter_between_noises(mr):
    rng = np.random.default_rng(3)
    upright, inverted = mr.water + mr.metabolites, mr.water - 0.95 * mr.metabolites
    noisy = [(upright + mr.noise(rng, 0.03), inverted + mr.noise(rng, 0.03)) for _ in range(200)]
    found = [inversion_efficiency(*pair, mr.axis) for pair in noisy]
    values = np.array([one.value for one in found])
    # Of 200 draws the mean is known to se / sqrt(200), the SD to 5 %.
    assert values.mean() == pytest.approx(0.95, abs=4 * values.std() / np.sqrt(200))
    assert np.mean([one.se for one in found]) == pytest.approx(values.std(), rel=0.2)


def test_without_signal_enough_the_efficiency_is_not_given_and_the_note_says_why(mr):
    rng = np.random.default_rng(4)
    found = inversion_efficiency(mr.water + mr.noise(rng, 3.0), mr.water + mr.noise(rng, 3.0), mr.axis)
    assert found.value is None
    assert "standard error" in found.note


def test_noise_of_the_metabolites_is_that_of_an_average_of_both_shots(mr):
    rng = np.random.default_rng(1)
    _, metabolites = separated(mr.noise(rng, 1.0, 50), mr.noise(rng, 1.0, 50))
    assert metabolites.real.std() == pytest.approx(1 / np.sqrt(2), rel=0.02)
