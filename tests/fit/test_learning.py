import json
from dataclasses import replace

import numpy as np
import pytest
from brain_like import TRUTH, make_signal

from mrspipe.core.errors import ConfigError
from mrspipe.core.operators import broadened
from mrspipe.fit.learning import MacromoleculePosterior, from_json, learn_macromolecules, to_json
from mrspipe.fit.settings import FitPriors, FitSettings
from mrspipe.fit.spectrum import fit_for_learning, fit_spectrum
from mrspipe.physics.macromolecules import macromolecule_lines

PRIORS = FitPriors(t2_widths=False)
SETTINGS = FitSettings(mm="study", priors=PRIORS)
N = len(macromolecule_lines())
BETWEEN = np.repeat([0.10, 0.005, 0.05], N)
MOVED_PPM, BROADER = 0.02, 1.15


def draw_study(rng, n_spectra):
    """Values of a study and what each spectrum says about its own, exactly as the model of the study has it."""
    study = np.concatenate([rng.normal(1, 0.2, N), rng.normal(0, 0.01, N), rng.normal(0, 0.1, N)])
    fits = []
    for _ in range(n_spectra):
        value = study + BETWEEN * rng.standard_normal(3 * N)
        mix = rng.standard_normal((3 * N, 3 * N)) / np.sqrt(3 * N)
        covariance = np.outer(BETWEEN, BETWEEN) * (np.eye(3 * N) + mix @ mix.T)
        seen = rng.multivariate_normal(value, covariance)
        information = np.linalg.inv(covariance)
        fits.append(MacromoleculePosterior(seen, covariance, information, information @ seen))
    return study, fits


def study_signal(basis, seed):
    """A spectrum of a study whose macromolecules are not those of the generic list."""
    axis = basis.axis
    signal = make_signal(basis, noise=0.5, seed=seed, macromolecules=0.0)
    for line in macromolecule_lines():
        tone = np.exp(2j * np.pi * axis.offset_hz(line.ppm + MOVED_PPM) * axis.time_s)
        fid = broadened(tone, axis, gauss_hz=BROADER * line.fwhm_ppm * axis.hz_per_ppm)
        signal = replace(signal, samples=signal.fid + 3.0 * line.ratio * broadened(fid, axis, gauss_hz=4.5))
    return signal


@pytest.fixture(scope="module")
def learned(basis):
    return learn_macromolecules(
        [fit_for_learning(study_signal(basis, seed), basis, SETTINGS) for seed in range(16)], PRIORS
    )


def test_without_spectra_the_generic_list_comes_back():
    lines = learn_macromolecules([], PRIORS).line_priors
    np.testing.assert_allclose(lines.area, 1.0)
    np.testing.assert_allclose(lines.area_sd, PRIORS.mm_amplitude_sd)
    np.testing.assert_allclose(lines.shift_ppm, 0.0, atol=1e-12)
    np.testing.assert_allclose(lines.shift_sd_ppm, PRIORS.mm_shift_sd_ppm)
    np.testing.assert_allclose(lines.log_width, 0.0, atol=1e-12)
    np.testing.assert_allclose(lines.log_width_sd, PRIORS.mm_log_width_sd)


def test_spectra_that_say_nothing_leave_the_generic_list():
    silent = MacromoleculePosterior(np.zeros(3 * N), np.eye(3 * N), np.zeros((3 * N, 3 * N)), np.zeros(3 * N))
    lines = learn_macromolecules([silent] * 20, PRIORS).line_priors
    np.testing.assert_allclose(lines.shift_ppm, 0.0, atol=1e-9)
    np.testing.assert_allclose(lines.area, 1.0, rtol=1e-6)
    np.testing.assert_allclose(lines.shift_sd_ppm, PRIORS.mm_shift_sd_ppm, rtol=1e-6)


def test_the_values_of_the_study_and_the_spread_between_spectra_are_found():
    study, fits = draw_study(np.random.default_rng(5), 60)
    lines = learn_macromolecules(fits, PRIORS).line_priors
    # The scale of the areas means nothing: it is the spectrum's own amplitude.
    area = lines.area * study[:N].mean() / lines.area.mean()
    # A spectrum knows its own value no better than values spread, so the study's value has about sqrt(3 / 60) of that.
    error = np.concatenate([area, lines.shift_ppm, lines.log_width]) - study
    assert np.sqrt(np.mean((error / BETWEEN) ** 2)) < 1.5 * np.sqrt(3 / 60)
    # The spread comes with a chi-squared error of about 1 / sqrt(60) and a pull towards what is expected.
    for found, true in ((lines.shift_sd_ppm, 0.005), (lines.log_width_sd, 0.05)):
        assert np.mean(found) == pytest.approx(true, rel=0.25)


def test_the_order_of_the_spectra_does_not_matter():
    _, fits = draw_study(np.random.default_rng(6), 16)
    first, second = learn_macromolecules(fits, PRIORS), learn_macromolecules(fits[::-1], PRIORS)
    assert to_json(first) == to_json(second)


def test_a_spectrum_that_could_not_be_fitted_is_left_out():
    _, fits = draw_study(np.random.default_rng(6), 16)
    nothing = np.full((3 * N, 3 * N), np.nan)
    failed = MacromoleculePosterior(nothing[0], nothing, nothing, nothing[0])
    assert to_json(learn_macromolecules([*fits, failed], PRIORS)) == to_json(learn_macromolecules(fits, PRIORS))


def test_lines_that_no_macromolecules_have_are_not_learned():
    # Every spectrum insists on lines three times as narrow as any measured: the sign of a wrong model.
    _, fits = draw_study(np.random.default_rng(8), 20)
    narrow = np.concatenate([np.zeros(2 * N), np.full(N, -1.1)])
    fits = [replace(fit, moment=fit.information @ (fit.mean + narrow)) for fit in fits]
    learned = learn_macromolecules(fits, PRIORS)
    assert not learned.trusted
    np.testing.assert_allclose(learned.line_priors.log_width, 0.0, atol=1e-12)
    np.testing.assert_allclose(learned.line_priors.shift_sd_ppm, PRIORS.mm_shift_sd_ppm)


def test_too_few_spectra_leave_the_generic_list():
    _, fits = draw_study(np.random.default_rng(9), 6)
    learned = learn_macromolecules(fits, PRIORS)
    assert not learned.trusted
    np.testing.assert_allclose(learned.line_priors.shift_ppm, 0.0, atol=1e-12)


def test_a_file_gives_back_what_was_learned():
    _, fits = draw_study(np.random.default_rng(7), 16)
    content = to_json(learn_macromolecules(fits, PRIORS))
    assert to_json(from_json(json.loads(json.dumps(content)))) == content


def test_lines_of_another_list_are_refused():
    content = to_json(learn_macromolecules([], PRIORS))
    content["lines"][0]["name"] = "MM000"
    with pytest.raises(ConfigError, match="MM000"):
        from_json(content)


def test_a_study_reveals_that_its_lines_are_elsewhere_and_broader(learned):
    lines = learned.line_priors
    # Between 0.9 and 1.7 ppm no metabolite of these spectra hides the lines; elsewhere the stated errors must cover.
    assert lines.shift_ppm[:4] == pytest.approx(MOVED_PPM, abs=0.006)
    assert np.mean(lines.log_width[:4]) == pytest.approx(np.log(BROADER), abs=0.08)
    assert (np.abs(lines.shift_ppm - MOVED_PPM) < 3 * lines.shift_sd_ppm).all()
    assert (lines.shift_sd_ppm < 0.8 * PRIORS.mm_shift_sd_ppm).all()
    assert learned.n_spectra == 16
    assert learned.trusted


def test_learned_macromolecules_lower_error_and_stated_error(basis, learned):
    signals = [study_signal(basis, seed) for seed in range(100, 112)]
    generic, study = ([fit_spectrum(signal, basis, SETTINGS, known) for signal in signals] for known in (None, learned))
    names = generic[0].names
    for name in ("Glu", "Ins"):
        at = names.index(name)
        errors = [[fit.amplitudes[at] / TRUTH[name] - 1 for fit in fits] for fits in (generic, study)]
        before, after = (np.sqrt(np.mean(np.square(error))) for error in errors)
        assert after < before
    glu = names.index("Glu")
    assert study[0].covariance[glu, glu] < 0.8 * generic[0].covariance[glu, glu]
    assert study[0].macromolecule_model == "study-learned Gaussian lines"


def test_measured_macromolecules_take_no_notice_of_learned_ones(basis, learned):
    shape = make_signal(basis, noise=0.0).fid - make_signal(basis, noise=0.0, macromolecules=0.0).fid
    measured = replace(basis, names=(*basis.names, "Mac"), fids=np.vstack([basis.fids, shape / 3.0]))
    settings = SETTINGS.model_copy(update={"mm": "basis"})
    signal = make_signal(basis, noise=0.3)
    plain, told = (fit_spectrum(signal, measured, settings, known) for known in (None, learned))
    assert plain.amplitudes.tobytes() == told.amplitudes.tobytes()


def test_a_study_without_learned_macromolecules_is_fitted_with_the_generic_lines(basis):
    signal = make_signal(basis, noise=0.3)
    measured = replace(basis, names=(*basis.names, "Mac"), fids=np.vstack([basis.fids, basis.fids[:1]]))
    study, parametrised = (
        fit_spectrum(signal, measured, SETTINGS.model_copy(update={"mm": mm})) for mm in ("study", "parametrised")
    )
    assert study.amplitudes.tobytes() == parametrised.amplitudes.tobytes()
    assert study.macromolecule_model == "Gaussian lines"


def test_the_likelihood_of_a_spectrum_holds_no_prior_of_the_lines(basis):
    # At a good signal the same data say the same whatever the priors of the lines were.
    signal = make_signal(basis, noise=0.05)
    tight = PRIORS.model_copy(update={"mm_shift_sd_ppm": 0.005, "mm_log_width_sd": 0.05, "mm_amplitude_sd": 0.1})
    wide, narrow = (
        fit_for_learning(signal, basis, SETTINGS.model_copy(update={"priors": priors})) for priors in (PRIORS, tight)
    )
    strongest = np.array([0, 4]) + N
    said = [np.diag(fit.information)[strongest] for fit in (wide, narrow)]
    np.testing.assert_allclose(said[0], said[1], rtol=0.3)
    assert (np.diag(narrow.covariance)[strongest] < np.diag(wide.covariance)[strongest]).all()
