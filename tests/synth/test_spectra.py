from dataclasses import replace

import numpy as np
import pytest

from mrspipe.core.operators import to_spectrum
from mrspipe.core.results import TissueFractions
from mrspipe.physics.lineshapes import voigt_fwhm
from mrspipe.synth.artefacts import record
from mrspipe.synth.cohort import draw_cohort
from mrspipe.synth.recipe import Recipe
from mrspipe.synth.spectra import gauss_for_fwhm, make_basis, noise_sd, peak_height, synthesise

PLAIN = {"mm_ratio": 0.0, "baseline_sd": 0.0, "lipid_max": 0.0, "shift_sd_ppm": 0.0}
STILL = {
    "offset_sd_hz": 0.0,
    "phase_sd_deg": 0.0,
    "drift_max_hz": 0.0,
    "jitter_hz": 0.0,
    "phase_jitter_deg": 0.0,
    "eddy_max_deg": 0.0,
    "cycling_imbalance": 0.0,
    "residual_water": 0.0,
}


def recipe_of(**changes):
    return Recipe.model_validate({"lineshape": PLAIN, "artefacts": STILL, **changes})


@pytest.fixture(scope="module")
def basis():
    return make_basis(Recipe())


@pytest.fixture
def truth():
    tissue = TissueFractions(gm=0.7, wm=0.2, csf=0.1)
    scan = draw_cohort(Recipe(), seed=1).scans[0]
    return replace(scan, tissue=tissue, levels=dict.fromkeys(scan.levels, 0.0) | {"Cr": 6.0, "PCr": 4.0, "Glu": 12.0})


def test_water_and_creatine_obey_the_molar_formula(basis, truth):
    clean = synthesise(truth, recipe_of(), basis, np.random.default_rng(0))
    # Near 2021 (doi 10.1002/nbm.4257) with the relaxation times of Wansapura 1999, Lu 2005 and Piechnik 2009 for
    # water, and of Mlynarik 2001 and Wyss 2018 for creatine, TE 32 ms, TR 2500 ms, written out here.
    te, tr = 0.032, 2.5
    gm = 0.7 * 0.78 * np.exp(-te / 0.110) * (1 - np.exp(-tr / 1.331))
    wm = 0.2 * 0.65 * np.exp(-te / 0.0792) * (1 - np.exp(-tr / 0.832))
    csf = 0.1 * 0.97 * np.exp(-te / 0.503) * (1 - np.exp(-tr / 3.817))
    in_gm = np.exp(-te / 0.146) * (1 - np.exp(-tr / 1.460))
    in_wm = np.exp(-te / 0.166) * (1 - np.exp(-tr / 1.240))
    r_metabolite = (0.7 * in_gm + 0.2 * in_wm) / 0.9
    cr_pcr = replace(truth, levels=truth.levels | {"Glu": 0.0})
    creatine = synthesise(cr_pcr, recipe_of(), basis, np.random.default_rng(0)).metabolites[0].real
    water = clean.water[0].real
    # Creatine has five protons, water two.
    molar = creatine / water * 2 / 5 * 55510 * (gm + wm + csf) / ((1 - 0.1) * r_metabolite)
    assert molar == pytest.approx(10.0, rel=1e-6)


def test_water_lies_264_hundredths_of_a_ppm_left_of_naa(basis, truth):
    naa = replace(truth, levels=truth.levels | {"Cr": 0.001, "PCr": 0.0, "Glu": 0.0, "NAA": 10.0})
    clean = synthesise(naa, recipe_of(), basis, np.random.default_rng(0))
    ppm = basis.axis.ppm
    peaks = [ppm[np.argmax(to_spectrum(fid).real)] for fid in (clean.water, clean.metabolites)]
    # Within one bin of 1.95 Hz.
    assert peaks[0] - peaks[1] == pytest.approx(2.64, abs=2 * (ppm[1] - ppm[0]))
    assert peaks[0] > peaks[1]


def test_creatine_has_the_line_width_of_the_scan(basis, truth):
    cr = replace(truth, levels=truth.levels | {"Glu": 0.0}, fwhm_hz=7.0)
    clean = synthesise(cr, recipe_of(), basis, np.random.default_rng(0))
    spectrum = to_spectrum(np.pad(clean.metabolites, (0, 15 * basis.axis.n_points))).real
    hz = basis.axis.bandwidth_hz / spectrum.size
    around = int(np.argmax(spectrum))
    line = spectrum[around - 100 : around + 100]
    # Cr and PCr lie 0.3 Hz apart, which widens their sum a little.
    assert np.count_nonzero(line > line.max() / 2) * hz == pytest.approx(7.0, abs=0.2)


@pytest.mark.parametrize(("fwhm", "lorentz"), [(6.91, 3.0), (14.0, 2.0), (5.0, 0.0)])
def test_the_gaussian_width_makes_up_the_rest_of_a_voigt_line(fwhm, lorentz):
    assert voigt_fwhm(lorentz, gauss_for_fwhm(fwhm, lorentz)) == pytest.approx(fwhm)


def test_equal_widths_can_be_asked_for(basis, truth):
    shape = synthesise(
        truth, recipe_of(lineshape=PLAIN | {"t2_widths": False}), basis, np.random.default_rng(0)
    ).line_shape
    assert len(set(shape.lorentz_hz.values())) == 1


def difference(stored):
    """Metabolite spectrum of a cycled recording of one coil without motion."""
    mean = stored[0].mean(axis=0)
    return (mean[0] - mean[1]) / 2


def test_noise_gives_the_combined_spectrum_the_target_snr(basis):
    recipe = recipe_of(lineshape={}, measurement={"blocks": 16})
    scan = draw_cohort(recipe, seed=2).scans[0]
    clean = synthesise(scan, recipe, basis, np.random.default_rng(1))
    recorded = record(clean, recipe, basis.axis, snr=20.0, rng=np.random.default_rng(2))
    spectrum = to_spectrum(difference(recorded.metabolites)).real
    # Above 8.5 and below 0 ppm there is no signal; the receiver's scale is found from water.
    scale = abs(recorded.metabolites[0, :, :, 0].mean()) / abs(clean.water[0])
    empty = spectrum[(basis.axis.ppm > 8.5) | (basis.axis.ppm < -1.0)]
    snr = scale * peak_height(clean, basis.axis) / (2 * empty.std())
    assert snr == pytest.approx(20.0, rel=4 / np.sqrt(2 * empty.size) + 0.01)


def test_noise_falls_in_proportion_to_the_snr(basis, truth):
    clean = synthesise(truth, recipe_of(), basis, np.random.default_rng(0))
    assert noise_sd(clean, basis.axis, 40.0) == pytest.approx(noise_sd(clean, basis.axis, 20.0) / 2)


def test_half_the_difference_of_the_cycles_is_the_metabolites(basis, truth):
    clean = synthesise(truth, recipe_of(), basis, np.random.default_rng(0))
    recorded = record(clean, recipe_of(), basis.axis, snr=1e9, rng=np.random.default_rng(3))
    found = difference(recorded.metabolites)
    scale = np.vdot(clean.metabolites, found) / np.vdot(clean.metabolites, clean.metabolites)
    assert np.allclose(found, scale * clean.metabolites, atol=1e-6 * abs(found[0]))
    assert scale.real > 0


def test_many_coils_combined_optimally_have_the_noise_of_one(basis, truth):
    recipe = recipe_of(measurement={"coils": 8, "cycling": False, "blocks": 4})
    clean = synthesise(truth, recipe, basis, np.random.default_rng(0))
    recorded = record(clean, recipe, basis.axis, snr=10.0, rng=np.random.default_rng(4))
    assert recorded.metabolites.shape == (8, 4, 1, 1024)
    assert recorded.water is not None
    weights = recorded.water[:, :, 0].mean(axis=1)
    weights /= np.linalg.norm(weights)
    combined = weights.conj() @ recorded.metabolites.mean(axis=(1, 2))
    scale = abs(weights.conj() @ recorded.water.mean(axis=1)[:, 0]) / abs(clean.water[0])
    tail = combined[-200:] - scale * clean.metabolites[-200:]
    assert np.std(tail.real) == pytest.approx(scale * noise_sd(clean, basis.axis, 10.0), rel=4 / np.sqrt(400))


def test_a_late_drift_shows_in_the_water_of_the_last_transient(basis, truth):
    recipe = recipe_of(artefacts=STILL | {"drift_max_hz": 3.0})
    clean = synthesise(truth, recipe, basis, np.random.default_rng(0))
    stored = record(clean, recipe, basis.axis, snr=1e6, rng=np.random.default_rng(5)).metabolites[0, :, 0]
    # Phase between the first and a later point of water tells its frequency.
    at = 20
    turn = np.angle(stored[:, at] / stored[:, 0]) / (2 * np.pi * at * basis.axis.dwell_s)
    steps = np.diff(turn)
    assert 0 < abs(turn[-1] - turn[0]) < 3.0
    assert np.allclose(steps, steps[0], atol=0.02)


def test_coils_with_correlated_noise_combine_optimally_to_the_noise_of_one(basis, truth):
    recipe = recipe_of(measurement={"coils": 4, "coil_noise_correlation": 0.6, "cycling": False, "blocks": 4})
    clean = synthesise(truth, recipe, basis, np.random.default_rng(0))
    noisy, still = (record(clean, recipe, basis.axis, snr=snr, rng=np.random.default_rng(6)) for snr in (10.0, 1e9))
    noise = (noisy.metabolites - still.metabolites).reshape(4, -1)
    covariance = noise @ noise.conj().T / noise.shape[1]
    size = np.sqrt(np.diag(covariance).real)
    correlation = covariance / np.outer(size, size)
    # A correlation from n samples has a standard error below 1 / sqrt(n).
    off_diagonal = correlation[~np.eye(4, dtype=bool)]
    np.testing.assert_allclose(off_diagonal, 0.6, atol=4 / np.sqrt(noise.shape[1]))
    sensitivity = still.water[:, 0, 0] / clean.water[0]
    weights = np.linalg.solve(covariance, sensitivity)
    combined = weights.conj() @ noise / np.vdot(sensitivity, weights).real
    expected = noise_sd(clean, basis.axis, 10.0) * np.sqrt(recipe.measurement.blocks)
    assert np.std(combined.real) == pytest.approx(expected, rel=4 / np.sqrt(2 * noise.shape[1]))


def test_scans_of_a_person_share_macromolecules_and_baseline_as_far_as_the_recipe_says(basis, truth):
    def deviations(part, seed):
        """First point of everything that is broad in two scans of a person: its area."""
        shape = {"mm_cv": 0.1, "mm_line_cv": 0.1, "baseline_sd": 1.0, "mm_scan_part": part, "baseline_scan_part": part}
        recipe = recipe_of(lineshape=shape)
        scans = [
            synthesise(truth, recipe, basis, np.random.default_rng([seed, k]), np.random.default_rng(seed))
            for k in (1, 2)
        ]
        return [(one.macromolecules[0].real, one.baseline[0].real) for one in scans]

    n = 200
    for part in (0.0, 0.6, 1.0):
        drawn = np.array([deviations(part, seed) for seed in range(n)])
        for kind in (0, 1):
            first, second = drawn[:, 0, kind], drawn[:, 1, kind]
            # Fisher's z has the standard error 1 / sqrt(n - 3).
            found, expected = np.corrcoef(first, second)[0, 1], 1 - part**2
            if part == 0:
                # Lipid is a little of every scan's own.
                assert found > 0.99
            else:
                assert abs(np.arctanh(found) - np.arctanh(expected)) < 4 / np.sqrt(n - 3)
