"""Claims about the synthetic spectra themselves."""

from dataclasses import replace

import numpy as np
import pytest

from mrspipe.core.operators import to_spectrum
from mrspipe.physics.constants import CR_PPM
from recovery.evaluation import JUDGED, Estimates, change_row, judged_values, recovery_rows
from recovery.first_family import FirstFamily, random_lines
from recovery.generator import AXIS, LEVELS, NAMES, Conditions, draw_person, pairs, spectra, tone
from recovery.lines import fwhm_hz, with_fwhm
from recovery.second_family import SecondFamily
from recovery.shapes import MM09_PPM, invented_shapes, measured_shapes

FAMILIES = {"first": FirstFamily(), "second": SecondFamily.of(invented_shapes(), seed=0)}
CREATINE = NAMES.index("Cr")


@pytest.fixture(params=FAMILIES)
def family(request):
    return FAMILIES[request.param]


@pytest.mark.parametrize("peak_to_noise", [10.0, 80.0])
def test_the_peak_stands_over_the_noise_as_stated(family, peak_to_noise):
    found = []
    for spectrum in spectra(family, 8, Conditions(peak_to_noise, baseline=0.0), seed=1):
        phase = np.exp(-1j * np.angle(spectrum.columns[CREATINE, 0]))
        peak = to_spectrum(phase * spectrum.noise_free).real[AXIS.slice_ppm(0.2, 4.0)].max()
        found.append(peak / np.std(to_spectrum(spectrum.signal.fid - spectrum.noise_free).real))
    # SD of 8 x 2048 values: 0.6 %. A bin may miss the top of the peak, and residual water reaches below it: 5 %.
    assert np.mean(found) == pytest.approx(peak_to_noise, rel=0.05)


def test_the_line_of_creatine_is_as_wide_as_stated(family):
    rng = np.random.default_rng(2)
    for _ in range(8):
        scan = family.draw(Conditions(), rng)
        line = family.parts(scan).expected_metabolites[CREATINE] * tone(CR_PPM).conj()
        # The eddy current of the second family changes it a little, by design.
        assert fwhm_hz(line, AXIS) == pytest.approx(scan.fwhm_hz, rel=0.05)
        assert 5.0 <= scan.fwhm_hz <= 9.0


def test_one_millimolar_has_the_area_of_its_protons(family):
    parts = family.parts(family.draw(Conditions(), np.random.default_rng(3)))
    # Creatine has five visible protons and no couplings.
    assert np.abs(parts.metabolites[CREATINE, 0]) == pytest.approx(5.0, rel=1e-6)


def test_macromolecule_lines_spread_as_stated():
    rng = np.random.default_rng(4)
    family = FirstFamily()
    areas = np.array([family.draw(Conditions(), rng).macromolecule_amplitudes for _ in range(400)])
    mean = 22.0 * np.array([line.ratio for line in family.lines])
    spread = np.hypot(0.12, 0.10)
    assert areas.mean(axis=0) == pytest.approx(mean, rel=4 * spread / np.sqrt(400))
    assert areas.std(axis=0) / mean == pytest.approx(np.full(13, spread), rel=4 / np.sqrt(2 * 400))


def test_people_spread_as_stated():
    rng = np.random.default_rng(5)
    truths = [draw_person(rng) for _ in range(200)]
    for name, level in LEVELS.items():
        values = [truth[name] for truth in truths]
        assert np.mean(values) == pytest.approx(level.mean, rel=4 * level.cv / np.sqrt(200))
        assert np.std(values) / level.mean == pytest.approx(level.cv, rel=4 / np.sqrt(2 * 200))


@pytest.fixture
def regular(family):
    """The family without what the oracle is not told."""
    return replace(family, deviation=0.0)


def test_the_oracle_is_exact_without_noise(regular):
    # The families that the oracle describes humps with are wide enough.
    for spectrum in spectra(regular, 6, Conditions(peak_to_noise=1e6), seed=6):
        error = spectrum.oracle() - [spectrum.truth[name] for name in NAMES]
        assert np.abs(error / [level.mean for level in LEVELS.values()]).max() < 0.01


def test_the_oracle_has_no_bias(regular):
    made = spectra(regular, 40, Conditions(), seed=7)
    error = np.array([spectrum.oracle() - [spectrum.truth[name] for name in NAMES] for spectrum in made])
    # Beyond 4 standard errors lies 1 of 900 sets of 17.
    assert (np.abs(error.mean(axis=0)) < 4 * error.std(axis=0, ddof=1) / np.sqrt(40)).all()


def test_the_same_seed_gives_the_same_bytes(family):
    first, second, other = (spectra(family, 2, Conditions(), seed=seed) for seed in (8, 8, 9))
    assert [one.signal.fid.tobytes() for one in first] == [one.signal.fid.tobytes() for one in second]
    assert first[0].signal.fid.tobytes() != other[0].signal.fid.tobytes()


def test_the_second_scan_of_a_person_differs_in_glutamate_alone(family):
    for first, second in pairs(family, 3, Conditions(), seed=10):
        factors = {name: second.truth[name] / first.truth[name] for name in NAMES}
        assert factors == pytest.approx({name: 1.055 if name == "Glu" else 1.0 for name in NAMES})
        assert first.fwhm_hz - second.fwhm_hz == pytest.approx(0.2)


def test_the_baselines_of_a_pair_differ_by_about_a_hundredth_of_the_naa_peak(family):
    rng = np.random.default_rng(11)
    changes = []
    for _ in range(20):
        scan = family.draw(Conditions(), rng)
        before, after = family.parts(scan), family.parts(replace(family.again(scan, rng), fwhm_hz=scan.fwhm_hz))
        naa = np.abs(to_spectrum(LEVELS["NAA"].mean * before.metabolites[NAMES.index("NAA")])).max()
        changes.append(np.abs(to_spectrum(after.rest - before.rest)).max() / naa)
    # The largest of three to five humps that add up, each with an SD of 0.01.
    assert 0.01 < np.mean(changes) < 0.03


def test_lines_of_the_second_family_are_skewed():
    check_skewed(invented_shapes())


@pytest.mark.real
def test_measured_shapes_are_lines_and_macromolecules(real_data):
    shapes = measured_shapes(real_data)
    check_skewed(shapes)
    real = to_spectrum(shapes.macromolecules).real
    assert real[AXIS.slice_ppm(*MM09_PPM)].max() == pytest.approx(1.0)
    # Nothing where macromolecules have no signal.
    assert np.abs(real[AXIS.slice_ppm(-1.0, 0.4)]).max() < 0.1


def check_skewed(shapes):
    for line in shapes.lines:
        spectrum = to_spectrum(with_fwhm(line, AXIS, 20.0)).real
        top = int(np.argmax(spectrum))
        near = np.arange(1, 60)
        # A Voigt line is its own mirror image; by a bin beside the top, at most 2 % of the height at 20 Hz width.
        assert np.abs(spectrum[top + near] - spectrum[top - near]).max() > 0.06 * spectrum[top]


def test_the_pieces_of_macromolecules_add_up_to_their_mean():
    shapes = invented_shapes()
    mean = SecondFamily.of(shapes, seed=0).pieces.sum(axis=0)
    studies = [SecondFamily.of(shapes, seed=seed).mean_macromolecules() for seed in range(60)]
    inside = AXIS.slice_ppm(0.4, 4.0)
    of_shape = to_spectrum(shapes.macromolecules).real[inside]
    expected = of_shape * (to_spectrum(np.mean(studies, axis=0)).real[inside] @ of_shape) / (of_shape @ of_shape)
    # Studies deviate by 10 % in each piece.
    assert np.abs(to_spectrum(np.mean(studies, axis=0)).real[inside] - expected).max() < 0.05 * expected.max()
    assert np.abs(to_spectrum(mean).real[inside] - expected).max() > 0.01 * expected.max()


def test_random_studies_have_lines_near_those_that_the_fit_expects():
    ppm = np.array([[line.ppm for line in random_lines(seed)] for seed in range(200)])
    assert ppm.std(axis=0) == pytest.approx(np.full(ppm.shape[1], 0.02), rel=4 / np.sqrt(2 * 200))


@pytest.mark.parametrize("width_hz", [3.0, 12.0])
def test_a_line_gets_the_width_that_is_asked_for(width_hz):
    for line in invented_shapes().lines:
        assert fwhm_hz(with_fwhm(line, AXIS, width_hz), AXIS) == pytest.approx(width_hz, rel=0.01)


def test_standard_errors_of_ratios_and_amounts_are_those_of_random_amplitudes():
    rng = np.random.default_rng(12)
    mean = np.array([level.mean for level in LEVELS.values()])
    mixing = 0.02 * mean[:, None] * rng.standard_normal((len(NAMES), len(NAMES)))
    covariance = mixing @ mixing.T / len(NAMES)
    _, se = judged_values(NAMES, mean, covariance)
    drawn = [judged_values(NAMES, row, covariance)[0] for row in rng.multivariate_normal(mean, covariance, 2000)]
    # SE of an SD from 2000 draws: 1.6 %.
    assert np.std(drawn, axis=0) == pytest.approx(se, rel=4 * 0.016)


def made_estimates(factor, spread, n=4000):
    rng = np.random.default_rng(13)
    truth = rng.normal(1.0, 0.1, (n, len(JUDGED)))
    value, oracle = (truth * (one + spread * rng.standard_normal(truth.shape)) for one in (factor, 1.0))
    return Estimates(truth, value, spread * truth, oracle, np.ones(n, bool))


def test_what_is_estimated_too_high_has_that_bias_and_slope():
    for row in recovery_rows(made_estimates(1.05, 0.08)):
        assert row.bias_pct == pytest.approx(5.0, abs=4 * 8 / np.sqrt(4000))
        assert row.sd_pct == pytest.approx(8.0, rel=4 / np.sqrt(8000))
        assert row.rmse_pct == pytest.approx(np.hypot(5, 8), rel=0.05)
        assert row.oracle_rmse_pct == pytest.approx(8.0, rel=4 / np.sqrt(8000))
        # Normal errors of mean 5/8: P(|5/8 + z| < 1.96) = 0.904.
        assert row.coverage_pct == pytest.approx(90.4, abs=4 * 100 * np.sqrt(0.9 * 0.1 / 4000))
        # The slope has a standard error of 0.08 / 0.1 / sqrt(n).
        assert row.slope == pytest.approx(1.05, abs=4 * 0.8 / np.sqrt(4000))


def test_a_bias_that_both_scans_share_is_none_of_the_change():
    first = made_estimates(1.05, 0.08)
    row = change_row(first, replace(first, value=first.value + 0.01, truth=first.truth + 0.01))
    assert row.bias_pct == pytest.approx(0.0, abs=1e-9)
    assert row.se_pct == pytest.approx(8 * np.sqrt(2), rel=0.01)
    assert row.coverage_pct == 100.0
