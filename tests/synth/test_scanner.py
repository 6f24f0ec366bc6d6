"""Averages in memory: what they hold, and that the molar formula read backwards gives the truth."""

import math
from dataclasses import replace

import numpy as np
import pytest

from mrspipe.core.operators import to_spectrum
from mrspipe.core.results import TissueFractions
from mrspipe.physics.constants import PURE_WATER_MMOL_PER_KG
from mrspipe.synth.cohort import draw_cohort
from mrspipe.synth.recipe import Recipe
from mrspipe.synth.relaxation import metabolite_attenuation, water_compartments
from mrspipe.synth.scanner import averaged_scan, scan
from mrspipe.synth.spectra import make_basis, peak_height, synthesise
from mrspipe.synth.streams import SPECTRA, stream

PLAIN = {"mm_ratio": 0.0, "baseline_sd": 0.0, "lipid_max": 0.0, "shift_sd_ppm": 0.0}


def recipe_of(cycling=True, lineshape=None, **measurement):
    return Recipe.model_validate(
        {"measurement": {"cycling": cycling, **measurement}, "lineshape": PLAIN if lineshape is None else lineshape}
    )


@pytest.fixture(scope="module")
def basis():
    return make_basis(Recipe())


@pytest.fixture
def truth():
    """Creatine alone, without noise."""
    one = draw_cohort(Recipe(), seed=1).scans[0]
    levels = dict.fromkeys(one.levels, 0.0) | {"Cr": 6.0, "PCr": 4.0}
    return replace(one, levels=levels, tissue=TissueFractions(gm=0.7, wm=0.2, csf=0.1), snr=1e9)


def signals(one, recipe, basis, seed=1):
    metabolites, water = averaged_scan(one, recipe, basis, seed)
    return metabolites.samples, water.samples


def test_an_average_and_its_water_give_the_true_concentration(basis, truth):
    recipe = recipe_of()
    metabolites, water = signals(truth, recipe, basis)
    m = recipe.measurement
    times = (m.echo_time_s, m.repetition_time_s)
    seen = sum(part.amount for part in water_compartments(m.relaxation, truth.tissue, *times))
    # Near 2021: molar = S_M / S_W * 2 / n_protons * 55510 * sum(f d R) / ((1 - f_csf) R_M), creatine with five protons.
    r = metabolite_attenuation("Cr", truth.tissue, *times)
    molar = abs(metabolites[0]) / abs(water[0]) * 2 / 5 * PURE_WATER_MMOL_PER_KG * seen / (0.9 * r)
    assert molar == pytest.approx(10.0, rel=1e-6)


def test_the_error_of_the_water_reference_is_one_factor_of_a_scan(basis, truth):
    still, moved = recipe_of(), recipe_of(gain_cv=0.03)
    ratios = []
    for number in range(300):
        one = replace(truth, index=(number, 0, 0))
        (a, b), (c, d) = signals(one, still, basis), signals(one, moved, basis)
        ratios.append(abs(c[0] / d[0]) / abs(a[0] / b[0]))
    assert np.mean(ratios) == pytest.approx(1, abs=5 * 0.03 / np.sqrt(300))
    assert np.std(ratios) == pytest.approx(0.03, rel=5 / np.sqrt(600))


def test_incomplete_inversion_makes_cycled_metabolites_smaller(basis, truth):
    whole = recipe_of()
    less = whole.model_copy(update={"artefacts": whole.artefacts.model_copy(update={"inversion_efficiency": 0.9})})
    (a, _), (b, _) = signals(truth, whole, basis), signals(truth, less, basis)
    assert abs(b[0] / a[0]) == pytest.approx(0.95)


def test_an_average_has_the_target_snr(basis):
    recipe = recipe_of(lineshape={})
    one = replace(draw_cohort(recipe, seed=2).scans[0], snr=20.0)
    clean = synthesise(one, recipe, basis, stream(3, SPECTRA, *one.index))
    metabolites, water = signals(one, recipe, basis, seed=3)
    scale = abs(water[0] / clean.water[0])
    ppm = basis.axis.ppm
    # At any phase of the scanner the tails of the lines reach here; from one bin to the next they hardly change.
    empty = np.diff(to_spectrum(metabolites).real)[(ppm[1:] > 8.5) | (ppm[1:] < -1.0)]
    snr = scale * peak_height(clean, basis.axis) / (2 * empty.std() / math.sqrt(2))
    # The SD of differences that share a value has a variance half as large again.
    assert snr == pytest.approx(20.0, rel=4 * math.sqrt(1.5) / math.sqrt(2 * empty.size) + 0.01)


def test_the_line_of_water_is_that_of_the_scan_without_drift_or_eddy_currents(basis, truth):
    recipe = recipe_of()
    clean = synthesise(truth, recipe, basis, stream(1, SPECTRA, *truth.index))
    _, water = signals(truth, recipe, basis)
    # One phase and one frequency remain: the phase against the clean signal grows in proportion to time.
    phase = np.unwrap(np.angle(water[:300] / clean.water[:300]))
    assert np.allclose(np.diff(phase), phase[1] - phase[0], atol=1e-6)
    assert np.allclose(abs(water[:300]) / abs(clean.water[:300]), abs(water[0] / clean.water[0]), rtol=1e-6)


def test_raw_and_average_have_the_same_lines(basis):
    one = draw_cohort(Recipe(), seed=4).scans[0]
    raw, average = (scan(one, recipe_of(), basis, 4, level=level) for level in ("raw", "averaged"))
    assert raw.line_shape == average.line_shape
    assert raw.water is None
    assert average.metabolites.dims == average.water.dims == ("time",)
    assert np.array_equal(raw.metabolites.affine, average.metabolites.affine)


def test_water_is_in_cycled_transients_and_not_in_their_average(basis):
    one = draw_cohort(Recipe(), seed=4).scans[0]
    raw, average = (scan(one, recipe_of(), basis, 4, level=level) for level in ("raw", "averaged"))
    assert (raw.metabolites.acquisition.water_suppressed, average.metabolites.acquisition.water_suppressed) == (
        False,
        True,
    )
    assert average.water.acquisition.water_suppressed is False
    assert average.water.acquisition.n_transients == average.metabolites.acquisition.n_transients == 512
    # 2 * 55510 mM of protons, half of them seen, against some 250 mM of all metabolites and macromolecules.
    assert abs(average.water.samples[0]) > 100 * abs(average.metabolites.samples[0])


def test_suppressed_averages_keep_residual_water_of_their_scan(basis, truth):
    recipe = recipe_of(cycling=False)
    metabolites, _ = signals(replace(truth, levels=truth.levels | {"NAA": 8.0}), recipe, basis)
    spectrum = abs(to_spectrum(metabolites))
    ppm = basis.axis.ppm
    near_water = spectrum[abs(ppm - 4.65) < 0.3].max()
    assert near_water > 10 * np.median(spectrum)


def test_the_same_seed_gives_the_same_average_and_others_do_not(basis):
    one = draw_cohort(Recipe(), seed=5).scans[0]
    first, again = signals(one, recipe_of(), basis, seed=5), signals(one, recipe_of(), basis, seed=5)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, signals(one, recipe_of(), basis, seed=6))
    assert not np.array_equal(first, signals(replace(one, index=(7, 0, 0)), recipe_of(), basis, seed=5))


def test_decaying_tones_by_powers_are_those_of_the_exponential(basis):
    """The slow twin: each line by its own exponential."""
    recipe = recipe_of(lineshape=PLAIN | {"shift_sd_ppm": 0.01})
    one = draw_cohort(recipe, seed=6).scans[0]
    clean = synthesise(one, recipe, basis, np.random.default_rng(7))
    rng = np.random.default_rng(7)
    rng.standard_normal()
    shift = 0.01 * basis.axis.hz_per_ppm * rng.standard_normal(len(basis.names))
    t = basis.axis.time_s
    gauss = np.exp(-((np.pi * clean.line_shape.gauss_hz * t) ** 2) / (4 * np.log(2)))
    slow = np.zeros(t.size, complex)
    for name, fid, hz in zip(basis.names, basis.fids, shift, strict=True):
        times = (recipe.measurement.echo_time_s, recipe.measurement.repetition_time_s)
        amplitude = one.levels[name] * (1 - one.tissue.csf) * metabolite_attenuation(name, one.tissue, *times)
        slow += amplitude * fid * np.exp((2j * hz - clean.line_shape.lorentz_hz[name]) * np.pi * t) * gauss
    np.testing.assert_allclose(clean.metabolites, slow, atol=1e-9 * abs(slow[0]))
