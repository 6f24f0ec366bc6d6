import numpy as np
import pytest

from mrspipe.core.operators import broadened, to_spectrum
from mrspipe.preprocess.water import decomposed, lines_stand_out, water_oscillations


def _removed(fid, axis):
    return fid - water_oscillations(fid, axis).fid(axis.n_points)


def _water(mr):
    return mr.line(4.65, 600, 6, 0.3) + mr.line(4.6, 250, 9, -0.2) + mr.line(4.72, 150, 14, 1.0)


def _rms(values):
    return np.sqrt(np.mean(np.abs(values) ** 2))


def test_the_parameters_of_noise_free_oscillations_are_found(mr):
    found = decomposed(mr.metabolites, n_components=6)
    order = np.argsort(found.frequency_hz(mr.axis))
    ppm = mr.axis.centre_ppm + found.frequency_hz(mr.axis)[order] / mr.axis.hz_per_ppm
    np.testing.assert_allclose(ppm, [2.01, 2.35, 3.03, 3.2, 3.55, 3.93], atol=1e-8)
    np.testing.assert_allclose(np.abs(found.amplitudes)[order], [1.0, 0.4, 0.8, 0.6, 0.5, 0.6], rtol=1e-6)


def test_water_a_thousand_times_naa_goes_below_the_noise(mr):
    rng = np.random.default_rng(1)
    given = mr.noise(rng, 0.03)
    left = to_spectrum(_removed(mr.metabolites + _water(mr) + given, mr.axis) - mr.metabolites - given)
    noise_level = _rms(to_spectrum(given))
    assert _rms(left[mr.axis.slice_ppm(4.2, 5.1)]) < noise_level
    assert _rms(left[mr.axis.slice_ppm(0.2, 4.2)]) < 0.1 * noise_level


def test_naa_keeps_its_amplitude(mr):
    rng = np.random.default_rng(2)
    given = mr.noise(rng, 0.03)
    change = _removed(mr.metabolites + _water(mr) + given, mr.axis) - mr.metabolites - given
    naa = mr.line(2.01, 1.0, 5)
    assert abs(np.vdot(naa, change)) / np.vdot(naa, naa).real < 0.005


def test_more_components_than_signals_do_no_harm_without_noise(mr):
    found = _removed(mr.metabolites + _water(mr), mr.axis)
    np.testing.assert_allclose(found, mr.metabolites, atol=1e-3)


def test_water_with_a_gaussian_line_is_removed_too(mr):
    water = broadened(_water(mr), mr.axis, gauss_hz=5.0)
    left = to_spectrum(_removed(mr.metabolites + water + mr.noise(np.random.default_rng(3), 0.03), mr.axis))
    given = to_spectrum(water)
    inside, outside = mr.axis.slice_ppm(4.3, 5.0), mr.axis.slice_ppm(1.8, 4.1)
    assert _rms(left[inside]) < 2e-3 * _rms(given[inside])
    assert _rms((left - to_spectrum(mr.metabolites))[outside]) < 0.05 * np.abs(to_spectrum(mr.metabolites)).max()


def test_a_wide_line_in_the_range_stays(mr):
    wide = mr.line(4.4, 5.0, 80.0)
    fid = mr.metabolites + _water(mr) + wide + mr.noise(np.random.default_rng(7), 0.003)
    change = to_spectrum(_removed(fid, mr.axis) + _water(mr) - fid)[mr.axis.slice_ppm(0.2, 4.1)]
    assert np.abs(change).max() < 0.2 * np.abs(to_spectrum(wide)[mr.axis.slice_ppm(0.2, 4.1)]).max()


def test_without_water_the_metabolites_stay(mr):
    fid = mr.metabolites + mr.noise(np.random.default_rng(4), 0.01)
    change = to_spectrum(_removed(fid, mr.axis) - fid)[mr.axis.slice_ppm(0.2, 4.1)]
    assert np.abs(change).max() < 0.005 * np.abs(to_spectrum(mr.metabolites)).max()


def test_the_result_is_the_same_in_every_run(mr):
    fid = mr.metabolites + _water(mr) + mr.noise(np.random.default_rng(5), 0.03)
    np.testing.assert_array_equal(_removed(fid, mr.axis), _removed(fid, mr.axis))


def test_products_with_the_hankel_matrix_need_no_matrix(mr):
    """The slow twin: an SVD of the matrix written out spans the same signal subspace."""
    from scipy.linalg import hankel

    from mrspipe.preprocess.water import _signal_subspace

    fid = (mr.metabolites + mr.noise(np.random.default_rng(6), 0.01))[:255]
    slow = np.linalg.svd(hankel(fid[:129], fid[128:]))[0][:, :6]
    fast = _signal_subspace(fid, 6)[:, -6:]
    overlaps = np.linalg.svd(slow.conj().T @ fast, compute_uv=False)
    assert overlaps == pytest.approx(np.ones(6), abs=1e-8)


@pytest.mark.real
@pytest.mark.parametrize("number", [1, 4, 7, 11])
def test_real_spectra_lose_added_water_and_nothing_else(real_data, number):
    """Challenge spectra hold no water: about a hundredth of their own reference is added, turned and shifted."""
    from mrspipe.io.lcmodel_files import read_raw

    folder = real_data / "fitting_challenge"
    options = {"dwell_s": 1 / 4000, "spectrometer_hz": 123.26e6}
    signal = read_raw(folder / f"dataset{number}.RAW", **options)
    reference = read_raw(folder / f"dataset{number}.H2O", **options).fid
    t, axis = signal.axis.time_s, signal.axis
    added = 0.01 * reference * np.exp(0.9j) + 0.003 * reference * np.exp(2j * np.pi * 9 * t - 1j)
    without = to_spectrum(_removed(signal.fid, axis))
    found = to_spectrum(_removed(signal.fid + added, axis))
    # The noise near water is fitted with it, so a part of its own size differs.
    near, far = axis.slice_ppm(4.4, 4.9), axis.slice_ppm(0.2, 4.1)
    assert _rms((found - without)[near]) < 0.02 * _rms(to_spectrum(added)[near])
    noise = _rms(without[axis.slice_ppm(10.0, 15.0)])
    assert _rms((found - without)[far]) < 0.5 * noise


def test_noise_and_smooth_humps_do_not_stand_out(mr):
    noise = [mr.noise(np.random.default_rng(seed), 0.03) for seed in range(200)]
    hump = broadened(mr.line(4.6, 3.0, 0.0), mr.axis, gauss_hz=150.0)
    assert np.abs(to_spectrum(hump)).max() > 10 * _rms(to_spectrum(noise[0]))
    assert not any(lines_stand_out(mr.metabolites + hump + given, mr.axis) for given in noise)


@pytest.mark.parametrize("width_hz", [2.0, 8.0, 30.0])
@pytest.mark.parametrize("ppm", [4.45, 4.8])
def test_water_a_dozen_times_the_noise_stands_out(mr, ppm, width_hz):
    # A Lorentzian is as high as 1 / (pi width dwell) of its amplitude.
    noise = [mr.noise(np.random.default_rng(seed), 0.03) for seed in range(50)]
    n_used = round(0.512 / mr.axis.dwell_s)
    height = 12 * 0.03 * np.sqrt(2 * n_used)
    water = mr.line(ppm, height * np.pi * (width_hz + 1 / (np.pi * 0.512)) * mr.axis.dwell_s, width_hz)
    assert all(lines_stand_out(mr.metabolites + water + given, mr.axis) for given in noise)
    assert not any(lines_stand_out(mr.metabolites + water / 12 + given, mr.axis) for given in noise)
