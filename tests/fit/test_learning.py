import json
from dataclasses import replace

import numpy as np
import pytest
from brain_like import TRUTH, make_signal

from mrspipe.core.errors import ConfigError
from mrspipe.core.operators import broadened
from mrspipe.fit.grid import BandGrid
from mrspipe.fit.learning import MacromoleculePosterior, from_json, learn_macromolecules, of_one_study, to_json
from mrspipe.fit.macromolecules import SmoothShape, gaussian_lines, generic_mean, grid_functions, projected, spread
from mrspipe.fit.nuisance import Nuisance
from mrspipe.fit.settings import FitPriors, FitSettings, RatioPrior
from mrspipe.fit.spectrum import fit_for_learning, fit_spectrum
from mrspipe.physics.lineshapes import voigt_fwhm
from mrspipe.physics.macromolecules import macromolecule_lines

# The lines of these spectra are equally broad for all metabolites.
PRIORS = FitPriors(t2_contrast=RatioPrior(mean=0.0, sd=0.3))
SETTINGS = FitSettings(mm="study", priors=PRIORS)
MOVED_PPM, BROADER = 0.02, 1.15
METABOLITES = ("NAA", "Cr", "GABA", "Glu")


@pytest.fixture(scope="module")
def generic(axis):
    grid = BandGrid.of(axis, 0.512)
    return Nuisance.generic(generic_mean(grid, grid_functions(grid).signals), METABOLITES, PRIORS, basis_width_hz=1.0)


def posterior(generic, information, moment):
    return MacromoleculePosterior(METABOLITES, generic, information, moment)


def draw_study(generic, rng, n_spectra):
    """Values of a study and what each spectrum says about its own, exactly as the model of the study has it."""
    between = 0.3 * generic.sd
    study = generic.mean + 0.7 * generic.sd * rng.standard_normal(generic.mean.size)
    fits = []
    for _ in range(n_spectra):
        value = study + between * rng.standard_normal(study.size)
        information = np.diag(between**-2.0)
        seen = value + between * rng.standard_normal(study.size)
        fits.append(posterior(generic, information, information @ seen))
    return study, between, fits


def study_signal(basis, seed):
    """A spectrum of a study whose macromolecules are not those of the generic list."""
    axis = basis.axis
    signal = make_signal(basis, noise=0.5, seed=seed, macromolecules=0.0)
    for line in macromolecule_lines():
        tone = np.exp(2j * np.pi * axis.offset_hz(line.ppm + MOVED_PPM) * axis.time_s)
        fid = broadened(tone, axis, gauss_hz=BROADER * line.fwhm_ppm * axis.hz_per_ppm)
        fid = broadened(fid, axis, gauss_hz=4.5, lorentz_hz=2.0)
        signal = replace(signal, samples=signal.fid + 3.0 * line.ratio * fid)
    return signal


@pytest.fixture(scope="module")
def learned(basis):
    fits = [fit_for_learning(study_signal(basis, seed), basis, SETTINGS) for seed in range(16)]
    return learn_macromolecules(fits, PRIORS)


def test_without_spectra_nothing_is_learned():
    learned = learn_macromolecules([], PRIORS)
    assert learned.nuisance is None
    assert not learned.trusted


def test_spectra_that_say_nothing_leave_the_generic_means(generic):
    # Next to nothing: a ten-thousandth of what was known before, all about something else.
    information = 1e-4 * np.diag(generic.sd**-2.0)
    moment = information @ (generic.mean + 3 * generic.sd)
    found = learn_macromolecules([posterior(generic, information, moment)] * 20, PRIORS).nuisance
    rest = slice(generic.groups[0].stop, None)
    assert (np.abs(found.mean - generic.mean)[rest] < 0.01 * generic.sd[rest]).all()


def test_the_values_of_the_study_are_found(generic):
    study, between, fits = draw_study(generic, np.random.default_rng(5), 60)
    found = learn_macromolecules(fits, PRIORS).nuisance
    # The scale of the macromolecules means nothing: it is the spectrum's own amplitude.
    smooth, ratios = generic.groups.smooth, generic.groups.ratios
    scale = generic.smooth.common(study[smooth]) / generic.smooth.common(found.mean[smooth])
    error = (found.mean - study) / between
    error[smooth] = (found.mean[smooth] * scale - study[smooth]) / between[smooth]
    # Each spectrum sees its own value with the spread's own size, so the mean has an error of sqrt(2 / 60) spreads.
    assert np.sqrt(np.mean(error**2)) < 1.5 * np.sqrt(2 / 60)
    assert [ratio.sd for ratio in found.ratios.values()] == [ratio.sd for ratio in generic.ratios.values()]
    assert found.mean[ratios].size == 1


def test_the_spread_between_spectra_is_found(generic):
    # One spread seen in 60 spectra, with errors as large as itself, has a relative standard error of 13 %: the mean
    # of 16 studies is judged.
    _, _, *rest = generic.groups
    ratios = []
    for seed in range(16):
        _, between, fits = draw_study(generic, np.random.default_rng(seed), 60)
        found = learn_macromolecules(fits, PRIORS).nuisance
        ratios.append([np.mean(found.sd[group] / between[group]) for group in rest])
    # The generic spread is 3.3 times as large and counts as two spectra: that alone gives 1.15, few steps more.
    assert ((np.mean(ratios, axis=0) > 1.0) & (np.mean(ratios, axis=0) < 1.45)).all()


def test_where_spectra_say_little_their_macromolecules_differ_as_much_as_is_expected_of_one_study(generic):
    # Each knows how much there is, and of the shape a hundredth of what is known without it. Left to the steps that
    # find means, the spread would stay where they begin: at the generic one, how little is known of any study.
    along = np.zeros(generic.mean.size)
    along[generic.groups.smooth] = generic.smooth.common_row
    information = 0.01 * np.diag(generic.sd**-2.0) + 1e4 * np.outer(along, along)
    fits = [posterior(generic, information, information @ generic.mean)] * 60
    found = learn_macromolecules(fits, PRIORS).nuisance
    smooth = generic.groups.smooth
    expected = spread(found.mean[smooth], 0.1, 0.017)
    unknown = np.mean((generic.sd[smooth] / expected) ** 2)
    # Of 62 spectra, 60 are as expected and two, the prior's, as different as generic ones.
    assert found.sd[smooth] / expected == pytest.approx(np.sqrt((60 + 2 * unknown) / 62), rel=0.25)
    assert (found.sd[smooth] < 0.7 * generic.sd[smooth]).all()


def test_spectra_of_one_study_differ_no_more_than_spectra_in_general(generic):
    among = of_one_study(generic)
    assert (among.smooth.sd < generic.smooth.sd).all()
    # A study whose spectra hardly differ keeps that.
    alike = of_one_study(replace(generic, smooth=SmoothShape(generic.smooth.mean, 0.01 * generic.smooth.sd)))
    assert alike.smooth.sd == pytest.approx(0.01 * generic.smooth.sd)


def test_no_study_has_lines_narrower_than_nothing(generic):
    # All spectra say that the Lorentzian part lies 2 Hz below that of the basis set, with little doubt.
    lorentz, value = generic.groups.lorentz.start, generic.mean.copy()
    value[lorentz] = -2.0
    information = np.diag(np.where(generic.mean == value, 0.01, 25.0) * generic.sd**-2.0)
    learned = learn_macromolecules([posterior(generic, information, information @ value)] * 20, PRIORS)
    assert learned.nuisance.line_mean[0] == 0.0


@pytest.mark.parametrize("size", [0.5, 2.0])
def test_spectra_that_know_their_macromolecules_tell_how_much_these_differ(generic, size):
    smooth, ratios = generic.groups.smooth, []
    between = size * spread(generic.smooth.mean, 0.1, 0.017)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        precision = generic.sd**-2.0
        precision[smooth] = (0.2 * between) ** -2.0
        fits = []
        for _ in range(60):
            value = generic.mean.copy()
            value[smooth] += between * rng.standard_normal(between.size)
            seen = value + precision**-0.5 * rng.standard_normal(value.size)
            fits.append(posterior(generic, np.diag(precision), precision * seen))
        ratios.append(np.mean(learn_macromolecules(fits, PRIORS).nuisance.sd[smooth] / between))
    # Two spectra are as different as generic ones: with the small spread that is much.
    unknown = np.mean((generic.sd[smooth] / between) ** 2)
    assert np.mean(ratios) == pytest.approx(np.sqrt((60 + 2 * unknown) / 62), rel=0.15)


def test_integrating_out_the_other_parameters_once_changes_nothing(generic):
    """The slow twin keeps all parameters in every step."""
    from mrspipe.fit.learning import _each, _spread_of_shapes

    rng, n = np.random.default_rng(3), generic.mean.size
    mixed = rng.standard_normal((14, n, n)) / generic.sd[:, None] / np.sqrt(n)
    information = mixed @ mixed.transpose(0, 2, 1)
    moment = np.einsum("sij,sj->si", information, generic.mean + 0.3 * generic.sd * rng.standard_normal((14, n)))
    weight, smooth = np.full(14, 1 / 14), generic.groups.smooth
    expected = spread(generic.mean[smooth], 0.1, 0.017)
    size, sd = 1.0, generic.sd.copy()
    for _ in range(5):
        sd[smooth] = expected * np.sqrt(size)
        own, variance = _each(information, moment, generic.mean, sd, smooth)
        size = np.mean(weight @ ((own - generic.mean) ** 2 + variance)[:, smooth] / expected**2)
    slow = np.sqrt((14 * size + 2 * np.mean((generic.sd[smooth] / expected) ** 2)) / 16) * expected
    fast = _spread_of_shapes(information, moment, weight, generic.mean, generic.sd, generic)
    assert fast == pytest.approx(np.minimum(slow, generic.sd[smooth]), rel=1e-8)


def test_fits_that_went_astray_do_not_make_a_study_know_less_than_before(generic):
    rng = np.random.default_rng(8)
    information = np.diag(generic.sd**-2.0)
    values = generic.mean + 10 * generic.sd * rng.standard_normal((16, generic.mean.size))
    fits = [posterior(generic, 100 * information, 100 * information @ value) for value in values]
    assert (learn_macromolecules(fits, PRIORS).nuisance.sd <= generic.sd).all()


def test_the_order_of_the_spectra_does_not_matter(generic):
    _, _, fits = draw_study(generic, np.random.default_rng(6), 16)
    assert to_json(learn_macromolecules(fits, PRIORS)) == to_json(learn_macromolecules(fits[::-1], PRIORS))


def test_a_spectrum_that_could_not_be_fitted_is_left_out(generic):
    _, _, fits = draw_study(generic, np.random.default_rng(6), 16)
    nothing = np.full_like(fits[0].information, np.nan)
    failed = posterior(generic, nothing, nothing[0])
    assert to_json(learn_macromolecules([*fits, failed], PRIORS)) == to_json(learn_macromolecules(fits, PRIORS))


def test_a_spectrum_with_other_metabolites_is_left_out(generic):
    _, _, fits = draw_study(generic, np.random.default_rng(6), 16)
    other = replace(fits[0], metabolites=("NAA", "Cr", "GABA", "Gln"))
    assert to_json(learn_macromolecules([*fits, other], PRIORS)) == to_json(learn_macromolecules(fits, PRIORS))


def test_too_few_spectra_are_fitted_with_the_generic_model(generic):
    _, _, fits = draw_study(generic, np.random.default_rng(9), 6)
    learned = learn_macromolecules(fits, PRIORS)
    assert not learned.trusted
    assert learned.for_fit(METABOLITES, generic) is generic


def test_what_was_learned_holds_for_the_same_metabolites_only(generic):
    _, _, fits = draw_study(generic, np.random.default_rng(9), 16)
    learned = learn_macromolecules(fits, PRIORS)
    assert learned.for_fit(METABOLITES, generic) is learned.nuisance
    assert learned.for_fit(("NAA", "Cr"), generic) is generic


def test_a_file_gives_back_what_was_learned(generic):
    _, _, fits = draw_study(generic, np.random.default_rng(7), 16)
    content = to_json(learn_macromolecules(fits, PRIORS))
    # Whatever order a file keeps its keys in.
    assert to_json(from_json(json.loads(json.dumps(content, sort_keys=True)))) == content


def test_what_was_learned_for_another_grid_is_refused(generic):
    _, _, fits = draw_study(generic, np.random.default_rng(7), 16)
    content = to_json(learn_macromolecules(fits, PRIORS))
    content["macromolecules"]["ppm"][0] = 0.1
    with pytest.raises(ConfigError, match="another model"):
        from_json(content)


def test_a_study_reveals_the_shape_of_its_macromolecules(axis, learned):
    grid = BandGrid.of(axis, 0.512)
    signals = grid_functions(grid).signals
    lines = macromolecule_lines()
    width_hz = np.array([BROADER * line.fwhm_ppm for line in lines]) * axis.hz_per_ppm
    moved = gaussian_lines(grid, np.array([line.ppm + MOVED_PPM for line in lines]), width_hz)
    true = projected(grid, signals, np.array([line.ratio for line in lines]) @ moved, slice(None))

    def distance(shape):
        """Between spectra of macromolecules, at the scale that suits best; low and high ends left to the baseline."""
        window = grid.slice_ppm(0.7, 4.0)
        found, expected = (grid.to_spectrum(values @ signals).real[window] for values in (shape, true))
        scaled = found * (found @ expected) / (found @ found)
        return np.linalg.norm(scaled - expected) / np.linalg.norm(expected)

    assert learned.trusted
    assert learned.n_spectra == 16
    # Sixteen spectra do not reveal everything: under metabolites the generic shape keeps its say.
    assert distance(learned.nuisance.smooth.mean) < 0.75 * distance(generic_mean(grid, signals))


@pytest.mark.parametrize("shim_hz", [0.0, 8.0])
def test_what_is_learned_of_the_line_is_its_shape_at_the_expected_width(basis, shim_hz):
    # Lines of 3 Hz of Lorentzian and 4.5 or 9.2 Hz of Gaussian width, so 6.3 or 10.9 Hz.
    fits = []
    for seed in range(12):
        clean, noisy = (make_signal(basis, noise=noise, seed=seed) for noise in (0.0, 0.3))
        fid = broadened(clean.fid, clean.axis, gauss_hz=shim_hz) + noisy.fid - clean.fid
        fits.append(fit_for_learning(replace(clean, samples=fid), basis, SETTINGS))
    line, expected = learn_macromolecules(fits, PRIORS).nuisance.line_mean, fits[0].generic.line_mean
    widths = [voigt_fwhm(lorentz + basis.linewidth_hz, np.sqrt(gauss)) for lorentz, gauss in (line, expected)]
    assert widths[0] == pytest.approx(widths[1], rel=0.1)
    # The broader the shim makes the lines, the smaller is the Lorentzian part.
    true = voigt_fwhm(3.0, np.hypot(4.5, shim_hz))
    assert (line[0] + basis.linewidth_hz) / widths[0] == pytest.approx(3.0 / true, abs=0.12)


def test_a_learned_model_lowers_the_stated_error_and_does_not_raise_the_error(basis, learned):
    signals = [study_signal(basis, seed) for seed in range(100, 112)]
    generic, study = ([fit_spectrum(signal, basis, SETTINGS, known) for signal in signals] for known in (None, learned))
    names = generic[0].names
    for name in ("Glu", "Ins"):
        at = names.index(name)
        errors = [[fit.amplitudes[at] / TRUTH[name] - 1 for fit in fits] for fits in (generic, study)]
        before, after = (np.sqrt(np.mean(np.square(error))) for error in errors)
        # Root mean squares of 12 errors are good to 20 %.
        assert after < 1.2 * before
    glu = names.index("Glu")
    assert study[0].covariance[glu, glu] < 0.8 * generic[0].covariance[glu, glu]
    assert study[0].macromolecule_model == "study-learned smooth shape"


def test_measured_macromolecules_take_no_notice_of_learned_ones(basis, learned):
    shape = make_signal(basis, noise=0.0).fid - make_signal(basis, noise=0.0, macromolecules=0.0).fid
    measured = replace(basis, names=(*basis.names, "Mac"), fids=np.vstack([basis.fids, shape / 3.0]))
    settings = SETTINGS.model_copy(update={"mm": "basis"})
    signal = make_signal(basis, noise=0.3)
    plain, told = (fit_spectrum(signal, measured, settings, known) for known in (None, learned))
    assert plain.amplitudes.tobytes() == told.amplitudes.tobytes()


def test_a_study_without_a_learned_model_is_fitted_with_the_generic_one(basis):
    signal = make_signal(basis, noise=0.3)
    measured = replace(basis, names=(*basis.names, "Mac"), fids=np.vstack([basis.fids, basis.fids[:1]]))
    study, parametrised = (
        fit_spectrum(signal, measured, SETTINGS.model_copy(update={"mm": mm})) for mm in ("study", "parametrised")
    )
    assert study.amplitudes.tobytes() == parametrised.amplitudes.tobytes()
    assert study.macromolecule_model == "smooth shape"


def test_the_likelihood_of_a_spectrum_holds_no_prior_of_the_nuisance(basis):
    # At a good signal the same data say the same whatever the priors were.
    signal = make_signal(basis, noise=0.05)
    tight = PRIORS.model_copy(update={"mm_relative_sd": 0.1, "shape_phase_sd_rad": 0.05})
    wide, narrow = (
        fit_for_learning(signal, basis, SETTINGS.model_copy(update={"priors": priors})) for priors in (PRIORS, tight)
    )
    # MM09, which no metabolite hides, and the phase of the line at 45 ms.
    strongest = [wide.generic.groups.smooth.start + 8, wide.generic.groups.shape.start + 3]
    said = [np.diag(fit.information)[strongest] for fit in (wide, narrow)]
    np.testing.assert_allclose(said[0], said[1], rtol=0.3)
