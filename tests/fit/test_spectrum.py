from dataclasses import replace

import numpy as np
import pytest
from brain_like import TRUTH, make_basis, make_signal

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import AnalysisError, ConfigError
from mrspipe.core.operators import broadened, phased, shifted
from mrspipe.core.signal import Signal
from mrspipe.fit.grid import BandGrid
from mrspipe.fit.prepare import prepare
from mrspipe.fit.priors import Roles, own_widths_hz
from mrspipe.fit.reference import noise_sd
from mrspipe.fit.settings import FitPriors, FitSettings, RatioPrior
from mrspipe.fit.spectrum import fit_point, fit_spectrum
from mrspipe.physics.relaxation import metabolite_relaxation

# The lines of these spectra are equally broad for all metabolites.
SETTINGS = FitSettings(priors=FitPriors(t2_contrast=RatioPrior(mean=0.0, sd=0.3)))


def test_the_noise_is_what_theory_says(axis):
    # Independent noise of variance s^2 in each of n points gives a spectrum of variance n (s dwell)^2 per part.
    grid = BandGrid.of(axis, 0.512)
    rng = np.random.default_rng(4)
    found = []
    for _ in range(20):
        noise = rng.standard_normal(axis.n_points) + 1j * rng.standard_normal(axis.n_points)
        found.append(noise_sd(Signal(noise, ("time",), axis), grid))
    # 20 x 2 x about 700 differences: the standard error of the mean is below 1 %.
    assert np.mean(found) == pytest.approx(np.sqrt(1024) * axis.dwell_s, rel=0.02)


def test_amplitudes_come_back_within_their_standard_errors(basis):
    # The true ratios are the prior means or have no prior, so no bias is expected.
    fits = [fit_spectrum(make_signal(basis, noise=0.3, seed=seed), basis, SETTINGS) for seed in range(12)]
    mean = np.mean([fit.amplitudes for fit in fits], axis=0)
    se = np.mean([np.sqrt(np.diag(fit.covariance)) for fit in fits], axis=0)
    truth = np.array([TRUTH[name] for name in basis.names])
    assert (np.abs(mean - truth) < 3 * se / np.sqrt(12) + 0.01 * truth).all()
    assert all(fit.status == "converged" for fit in fits)


def test_later_points_of_the_fid_hold_next_to_nothing(basis):
    # Lines of about 7 Hz have fallen to a ten-thousandth after 0.35 s, so nobody is told more by a longer time.
    longer = SETTINGS.model_copy(update={"duration_s": 0.512})
    for seed in range(3):
        signal = make_signal(basis, noise=0.3, seed=seed)
        short, long = (fit_spectrum(signal, basis, settings) for settings in (SETTINGS, longer))
        # Relative to the noise, which is known to 5 % only: priors of the macromolecules then count a little more or
        # less, by no more than half of that.
        bounds = [
            np.sqrt(np.diag(fit.crlb_covariance) * seconds) / noise_sd(signal, BandGrid.of(signal.axis, seconds))
            for fit, seconds in ((short, 0.35), (long, 0.512))
        ]
        np.testing.assert_allclose(bounds[0], bounds[1], rtol=0.025)
        assert (np.abs(short.amplitudes - long.amplitudes) < 0.2 * np.sqrt(np.diag(long.covariance))).all()


def test_what_is_shown_is_the_whole_spectrum_with_the_noise_of_its_points(basis):
    signal = make_signal(basis, noise=0.3)
    fit = fit_spectrum(signal, basis, SETTINGS)
    grid = BandGrid.of(signal.axis, 0.512)
    spectrum = grid.spectra(signal.fid, signal.axis).real[grid.slice_ppm(fit.ppm[0] - 1e-9, fit.ppm[-1] + 1e-9)]
    np.testing.assert_allclose(np.diff(fit.ppm), np.diff(grid.ppm)[0], rtol=1e-9)
    # The fit may turn and shift the data by a little.
    assert np.corrcoef(fit.data, spectrum)[0, 1] > 0.999
    assert fit.noise_sd == pytest.approx(noise_sd(signal, grid))
    # Points that were not fitted are followed as well.
    assert np.std(fit.residual) == pytest.approx(fit.noise_sd, rel=0.1)
    parts = fit.components.sum(axis=0) + fit.macromolecules + fit.baseline
    np.testing.assert_allclose(fit.fit, parts, atol=1e-6 * np.abs(fit.fit).max())


@pytest.mark.parametrize("spectrometer_hz", [63.6e6, 127.7e6, 297.2e6])
@pytest.mark.parametrize("fitted_range", [(0.2, 4.2), (0.5, 4.03)], ids=str)
def test_the_baseline_has_as_many_functions_wherever_the_bins_of_its_range_lie(spectrometer_hz, fitted_range):
    # Where the baseline is as flexible as it may be, one function less moved glutamate by a fifth.
    axis = SpectralAxis(2048, 1 / 4000, spectrometer_hz, 4.65)
    basis = make_basis(axis)
    found = {
        prepare(
            basis, axis, SETTINGS.model_copy(update={"duration_s": seconds, "range_ppm": fitted_range})
        ).base.penalty.size
        for seconds in (0.15, 0.2, 0.256, 0.35, 0.512)
    }
    assert found == {round((fitted_range[1] - fitted_range[0]) * 20) + 3}


@pytest.mark.parametrize(
    "window",
    [lambda time: time < 0.35, lambda time: np.exp(-3 * np.pi * time), lambda time: np.exp(-((time / 0.2) ** 2))],
    ids=["zero-filled", "broadened", "Gauss"],
)
def test_the_noise_of_a_filtered_fid_is_that_of_the_part_that_is_fitted(basis, window):
    signal = make_signal(basis, noise=0.3)
    filtered = replace(signal, samples=signal.fid * window(signal.axis.time_s))
    assert fit_point(filtered, basis, SETTINGS).unexplained == pytest.approx(1, abs=0.25)


def test_noise_alone_leaves_a_misfit_of_one(basis):
    # What is left of n points after p parameters took theirs has n - p degrees of freedom.
    found = []
    for seed in range(12):
        fitted = fit_point(make_signal(basis, noise=0.3, seed=seed), basis, SETTINGS)
        found.append(fitted.unexplained)
    # About 200 degrees of freedom each, and the noise is known to 5 %: the mean of 12 to 2 %.
    assert np.mean(found) == pytest.approx(1, abs=3 * 0.02)


def test_where_the_walk_stops_does_not_matter(basis):
    tight = SETTINGS.model_copy(update={"tolerance": 1e-5})
    for seed in range(3):
        signal = make_signal(basis, noise=0.3, seed=seed)
        usual, exact = (fit_spectrum(signal, basis, settings) for settings in (SETTINGS, tight))
        assert (np.abs(usual.amplitudes - exact.amplitudes) < 0.05 * np.sqrt(np.diag(exact.covariance))).all()
        assert usual.n_iterations < exact.n_iterations


@pytest.mark.slow
def test_stated_errors_cover_the_truth_when_truths_vary_as_the_priors_say(basis):
    rng = np.random.default_rng(11)
    inside = []
    for seed in range(120):
        creatine, share = 8.0, rng.normal(0.53, 0.15)
        truth = {name: value * rng.normal(1, 0.1) for name, value in TRUTH.items()}
        truth |= {"Cr": creatine * share, "PCr": creatine * (1 - share), "GABA": creatine * rng.normal(0.20, 0.12)}
        fit = fit_spectrum(make_signal(basis, noise=0.6, seed=seed, truth=truth), basis, SETTINGS)
        errors = (fit.amplitudes - [truth[name] for name in fit.names]) / np.sqrt(np.diag(fit.covariance))
        inside.append(np.abs(errors) < 1.96)
    coverage = np.mean(inside, axis=0)
    # Binomial standard error at 120 spectra is 2 %. The macromolecules of these spectra sit at their expected places,
    # so some metabolites are covered more often than 95 %; none may be covered less.
    assert (coverage > 0.95 - 3 * 0.02).all(), dict(zip(basis.names, coverage, strict=True))


@pytest.mark.parametrize("phase_deg", [180, 90, -120, 45])
@pytest.mark.parametrize("shift_hz", [12.0, -13.0])
def test_phase_and_shift_of_the_scanner_do_not_matter(basis, phase_deg, shift_hz):
    plain = make_signal(basis, noise=0.3)
    turned = phased(shifted(plain.fid, plain.axis, shift_hz), np.deg2rad(phase_deg))
    expected = fit_spectrum(plain, basis, SETTINGS)
    found = fit_spectrum(replace(plain, samples=turned), basis, SETTINGS)
    change = np.abs(found.amplitudes - expected.amplitudes) / np.sqrt(np.diag(expected.covariance))
    assert change.max() < 0.25
    assert found.nuisance["shift_hz"] - expected.nuisance["shift_hz"] == pytest.approx(shift_hz, abs=0.1)
    turn = (found.nuisance["phase0_deg"] - expected.nuisance["phase0_deg"] - phase_deg + 180) % 360 - 180
    assert turn == pytest.approx(0, abs=2.0)


def test_the_unit_of_the_data_scales_the_amplitudes_alone(basis):
    plain = make_signal(basis, noise=0.3)
    expected, found = (
        fit_spectrum(replace(plain, samples=plain.fid * factor), basis, SETTINGS) for factor in (1.0, 1e-7)
    )
    np.testing.assert_allclose(found.amplitudes * 1e7, expected.amplitudes, rtol=1e-6)
    np.testing.assert_allclose(found.covariance * 1e14, expected.covariance, rtol=1e-5)


def test_the_basis_may_be_sampled_differently(basis):
    signal = make_signal(basis, noise=0.3)
    finer = make_basis(SpectralAxis(4096, 1 / 4000, 127.7e6, 4.65))
    expected, found = (fit_spectrum(signal, one, SETTINGS) for one in (basis, finer))
    np.testing.assert_allclose(found.amplitudes, expected.amplitudes, rtol=0.02)


def test_a_measured_macromolecule_entry_is_used_and_recovered(basis, axis):
    lines = replace(make_signal(basis, noise=0.0), samples=make_signal(basis, noise=0.0).fid)
    without = make_signal(basis, noise=0.0, macromolecules=0.0)
    # What is left is the macromolecules with the common Gaussian; 3 units of it are in the data.
    shape = (lines.fid - without.fid) / 3.0
    measured = replace(basis, names=(*basis.names, "Mac"), fids=np.vstack([basis.fids, shape]))
    fit = fit_spectrum(make_signal(basis, noise=0.3), measured, SETTINGS)
    assert fit.macromolecule_model == "measured shape with deviations"
    truth = np.array([TRUTH[name] for name in fit.names])
    assert (np.abs(fit.amplitudes - truth) < 4 * np.sqrt(np.diag(fit.covariance)) + 0.02 * truth).all()


def test_the_parts_add_up_to_the_fit(basis):
    fit = fit_spectrum(make_signal(basis, noise=0.3), basis, SETTINGS)
    np.testing.assert_allclose(fit.components.sum(axis=0) + fit.macromolecules + fit.baseline, fit.fit, atol=1e-9)


def test_the_same_input_gives_the_same_bytes(basis):
    first, second = (fit_spectrum(make_signal(basis, noise=0.3), basis, SETTINGS) for _ in range(2))
    assert first.amplitudes.tobytes() == second.amplitudes.tobytes()


def test_a_basis_of_another_echo_time_is_refused_unless_allowed(basis, axis):
    signal = make_signal(basis, noise=0.3)
    other = make_basis(axis, echo_time_s=0.144)
    with pytest.raises(ConfigError, match="144 ms, the spectrum has 30 ms"):
        fit_spectrum(signal, other, SETTINGS)
    assert fit_spectrum(signal, other, SETTINGS.model_copy(update={"allow_basis_mismatch": True})).status == "converged"


def test_a_basis_of_another_field_is_refused(basis):
    other = make_basis(SpectralAxis(2048, 1 / 2000, 64e6, 4.65))
    with pytest.raises(ConfigError, match=r"64\.00 MHz"):
        fit_spectrum(make_signal(basis, noise=0.3), other, SETTINGS)


def test_a_metabolite_that_the_basis_lacks_is_named(basis):
    with pytest.raises(ConfigError, match="no PE"):
        fit_spectrum(
            make_signal(basis, noise=0.3), basis, SETTINGS.model_copy(update={"metabolites": ("NAA", "Cr", "PE")})
        )


def test_a_spectrum_without_noise_has_no_uncertainty_and_is_refused(basis):
    with pytest.raises(AnalysisError, match="no noise"):
        fit_spectrum(replace(make_signal(basis, noise=0.3), samples=np.zeros(2048, complex)), basis, SETTINGS)


def test_the_crlb_holds_less_than_the_standard_error(basis):
    # The bound takes the line shape as known; the posterior pays for it.
    fit = fit_spectrum(make_signal(basis, noise=0.3), basis, SETTINGS)
    assert (np.diag(fit.crlb_covariance) < np.diag(fit.covariance))[[0, 3, 4, 5]].all()


def test_standard_errors_grow_with_what_the_model_misses(basis):
    plain = make_signal(basis, noise=0.3)
    # Noise between the metabolites' ends only, where the noise is not measured.
    rng = np.random.default_rng(3)
    inside = (plain.axis.ppm > -1.5) & (plain.axis.ppm < 5.5)
    spectrum = 0.4 * np.sqrt(2048) * inside * (rng.standard_normal(2048) + 1j * rng.standard_normal(2048))
    extra = np.fft.ifft(np.fft.ifftshift(spectrum))
    expected, found = (fit_spectrum(replace(plain, samples=plain.fid + more), basis, SETTINGS) for more in (0, extra))
    ratio = np.std(found.residual) / found.noise_sd
    assert ratio > 1.3
    name = found.names.index("GPC")
    grown = np.sqrt(found.covariance[name, name] / expected.covariance[name, name])
    # At least by the misfit; a baseline that bends to it costs more.
    assert grown > 0.9 * ratio
    assert any("times the noise" in line for line in found.advice)


def test_sharp_lines_of_nothing_known_are_tamed_and_said(basis):
    plain = make_signal(basis, noise=0.3)
    tones = [np.exp(2j * np.pi * plain.axis.offset_hz(ppm) * plain.axis.time_s) for ppm in (0.6, 1.05, 1.5)]
    # As high as the methyl line of GABA, and much sharper.
    spikes = 1.0 * broadened(np.sum(tones, axis=0), plain.axis, lorentz_hz=2.0)
    expected, found = (fit_spectrum(replace(plain, samples=plain.fid + more), basis, SETTINGS) for more in (0, spikes))
    moved = np.abs(found.amplitudes - expected.amplitudes)
    # What is left of them makes the baseline flexible, and the stated errors say what that costs.
    assert (moved < 2 * np.sqrt(np.diag(found.covariance))).all()
    assert (moved < 4 * np.sqrt(np.diag(expected.covariance))).all()
    assert any("given less weight" in line for line in found.advice)


def test_the_widths_that_are_expected_are_those_of_the_stated_tissue():
    roles = Roles(("Glu", "NAA", "PCr"), measured_mm=False, n_smooth=1)
    rates = {
        tissue: np.array([1 / (np.pi * metabolite_relaxation(name, tissue).t2_s) for name in ("Glu", "NAA", "Cr")])
        for tissue in ("GM", "WM")
    }
    for grey in (0.0, 0.6, 1.0):
        mixed = grey * rates["GM"] + (1 - grey) * rates["WM"]
        expected = [mixed[0] - mixed[2], mixed[1] - mixed[2], 0.0]
        assert own_widths_hz(roles, 3.0, grey) == pytest.approx(expected, abs=1e-12)
    assert not own_widths_hz(roles, 7.0, 0.6).any()


def test_the_setting_of_the_tissue_reaches_the_model(basis, axis):
    for grey in (0.2, 0.9):
        prepared = prepare(basis, axis, FitSettings(priors=FitPriors(grey_matter=grey)))
        assert (prepared.model.t2_widths_hz == own_widths_hz(prepared.roles, 3.0, grey)).all()


def test_lines_as_broad_as_their_t2_says_are_fitted_without_bias(basis, axis):
    # 1 / (pi T2) in grey matter: Glu 2.5 Hz and NAA 1.2 Hz at 3 T, so one common width would misjudge both.
    widths = [1 / (np.pi * metabolite_relaxation(name, "GM").t2_s) for name in basis.names]
    broad = np.array([broadened(fid, axis, lorentz_hz=width) for fid, width in zip(basis.fids, widths, strict=True)])
    truth = np.array([TRUTH[name] for name in basis.names])
    clean = make_signal(basis, noise=0.0)
    equal = broadened(truth @ basis.fids, axis, lorentz_hz=2.0, gauss_hz=4.5)
    noise = make_signal(basis, noise=0.3).fid - clean.fid
    signal = replace(clean, samples=clean.fid - equal + broadened(truth @ broad, axis, gauss_hz=4.5) + noise)
    fit = fit_spectrum(signal, basis, FitSettings(priors=FitPriors(grey_matter=1.0)))
    assert (np.abs(fit.amplitudes - truth) < 3 * np.sqrt(np.diag(fit.covariance)) + 0.01 * truth).all()


@pytest.mark.parametrize("gauss_hz", [8.0, 10.0, 12.0])
def test_a_bad_shim_makes_lines_broad_and_leaves_areas_within_their_errors(basis, gauss_hz):
    # Noise of the same size for all; the lines of the spectrum are 10 to 14 Hz broad.
    errors = []
    for seed in range(4):
        clean, noisy = (make_signal(basis, noise=noise, seed=seed) for noise in (0.0, 0.3))
        fid = broadened(clean.fid, clean.axis, gauss_hz=gauss_hz) + noisy.fid - clean.fid
        fit = fit_spectrum(replace(clean, samples=fid), basis, FitSettings())
        assert fit.at_limit == ()
        index = [fit.names.index(name) for name in ("NAA", "Cr", "Glu", "Ins")]
        truth = np.array([TRUTH[fit.names[place]] for place in index])
        errors.append((fit.amplitudes[index] - truth) / np.sqrt(np.diag(fit.covariance))[index])
    assert np.abs(errors).max() < 3


@pytest.mark.parametrize("sd_hz", [0.05, 0.5])
def test_a_line_that_is_expected_narrower_than_the_basis_set_s_is_fitted_within_the_limits(basis, sd_hz):
    # The basis set's own lines are 1 Hz broad: the expectation itself lies beyond the limit, and the fit starts there.
    priors = FitPriors(lorentz_hz=0.0, lorentz_sd_hz=sd_hz)
    fit = fit_spectrum(make_signal(basis, noise=0.3), basis, FitSettings(priors=priors))
    assert fit.status == "converged"
    assert basis.linewidth_hz <= fit.nuisance["lorentz_hz"]
    truth = np.array([TRUTH[name] for name in fit.names])
    assert (np.abs(fit.amplitudes - truth) < 0.3 * truth + 3 * np.sqrt(np.diag(fit.covariance))).all()


def test_a_purely_lorentzian_phantom_is_reached_although_a_gaussian_part_is_expected(basis):
    # Creatine alone, almost without noise: the width parameter must be able to reach zero from the prior's 4.5 Hz.
    axis = basis.axis
    rng = np.random.default_rng(7)
    noise = 1e-3 * (rng.standard_normal(axis.n_points) + 1j * rng.standard_normal(axis.n_points))
    clean = broadened(basis.fids[basis.names.index("Cr")], axis, lorentz_hz=3.0)
    fit = fit_spectrum(Signal(10 * clean + noise, ("time",), axis), basis, SETTINGS)
    assert fit.status == "converged"
    assert fit.weights("tCr") @ fit.amplitudes == pytest.approx(10.0, rel=1e-3)
    assert np.std(fit.residual) < 1.2 * fit.noise_sd
