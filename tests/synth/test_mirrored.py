"""Mirrored participants: what disturbs the scans of two is opposite, so that errors cancel in the mean of both."""

from dataclasses import replace

import numpy as np
import pytest

from mrspipe.config import bundled
from mrspipe.synth.cohort import draw_cohort
from mrspipe.synth.concentrations import study_tables
from mrspipe.synth.recipe import Group, Recipe, load_recipe
from mrspipe.synth.scanner import scan
from mrspipe.synth.spectra import make_basis, synthesise
from mrspipe.synth.streams import NUISANCE, SPECTRA, Mirrored, stream


@pytest.fixture(scope="module")
def study():
    recipe = load_recipe(bundled("synthetic_data", "moment_matched"))
    return recipe, draw_cohort(recipe)


@pytest.fixture(scope="module")
def twins(study):
    """Two scans, the second of which mirrors the first, with the first one's levels and tissue."""
    recipe, cohort = study
    second = next(one for one in cohort.scans if one.mirrors is not None)
    first = next(one for one in cohort.scans if one.index == second.mirrors)
    return recipe, make_basis(recipe), first, replace(second, levels=first.levels, tissue=first.tissue)


def test_numbers_are_reflected_about_their_means():
    plain, mirrored = np.random.default_rng(7), Mirrored(np.random.default_rng(7))
    assert np.array_equal(plain.standard_normal((2, 3)), -mirrored.standard_normal((2, 3)))
    assert np.allclose(plain.random(5) + mirrored.random(5), 1.0)
    assert np.allclose(plain.uniform(-1, 4, 5) + mirrored.uniform(-1, 4, 5), 3.0)


def test_every_scan_has_a_twin_in_its_own_group_treatment_and_task(study):
    _, cohort = study
    by_index = {one.index: one for one in cohort.scans}
    mirroring = [one for one in cohort.scans if one.mirrors]
    assert 2 * len(mirroring) == len(cohort.scans)
    assert len({one.mirrors for one in mirroring}) == len(mirroring)
    for one in mirroring:
        twin = by_index[one.mirrors]
        assert (one.group, one.treatment, one.key.task) == (twin.group, twin.treatment, twin.key.task)
        assert not twin.mirrors
    assert any(one.key.ses != by_index[one.mirrors].key.ses for one in mirroring)


def test_the_mean_quality_of_every_cell_is_that_of_the_recipe(study):
    recipe, cohort = study
    quality = recipe.quality
    for cell in {(one.group, one.treatment, one.key.task) for one in cohort.scans}:
        scans = [one for one in cohort.scans if (one.group, one.treatment, one.key.task) == cell]
        assert np.mean([one.snr for one in scans]) == pytest.approx(quality.snr_mean, abs=0.05)
        assert np.mean([one.fwhm_hz for one in scans]) == pytest.approx(quality.fwhm_mean_hz, abs=0.05)


def test_an_odd_participant_mirrors_nobody():
    cohort = draw_cohort(Recipe(groups=(Group(n=3),), mirrored=True))
    assert [one.mirrors and one.mirrors[0] for one in cohort.scans] == [None, 0, None]


def test_the_baselines_of_twins_cancel(twins):
    recipe, basis, first, second = twins
    without_lipid = recipe.model_copy(update={"lineshape": recipe.lineshape.model_copy(update={"lipid_max": 0.0})})
    one, other = (
        synthesise(truth, without_lipid, basis, truth.draws(1, SPECTRA), truth.draws(1, NUISANCE, 1)).baseline
        for truth in (first, second)
    )
    assert np.allclose(one, -other, atol=1e-9 * abs(one).max())


@pytest.mark.parametrize("level", ["averaged", "raw"])
def test_the_noise_of_twins_cancels(twins, level):
    recipe, basis, first, second = twins
    # The end of the signal of a broad line is noise alone.
    one, other = (
        scan(truth, recipe, basis, 1, level=level).metabolites.samples[..., -200:] for truth in (first, second)
    )
    assert np.allclose(one / one.std(), -other / other.std(), atol=1e-3)


def test_the_signals_of_twins_have_one_phase_and_one_frequency(twins):
    """Else their noise would not be opposite where the signal is put upright."""
    recipe, basis, first, second = twins
    one, other = (scan(truth, recipe, basis, 1, level="averaged").water.samples[:100] for truth in (first, second))
    assert np.abs(np.angle(one / other)).max() < 0.01


@pytest.mark.parametrize("metabolite", ["Glu", "tNAA"])
def test_the_errors_of_tables_without_spectra_cancel_in_every_cell(study, metabolite):
    recipe, cohort = study
    measured, true = (
        study_tables(cohort, recipe, seed=1, metabolites=[metabolite], quantities=["molar"], oracle=oracle).measurements
        for oracle in (False, True)
    )
    error = measured["value"] - true["value"]
    assert error.std() > 0.3
    assert error.groupby([measured["group"], measured["drug"], measured["task_id"]]).mean().abs().max() < 1e-9


def test_participants_of_other_recipes_have_disturbances_of_their_own():
    one = draw_cohort(load_recipe(bundled("synthetic_data", "paper_like"))).scans[5]
    assert one.mirrors is None
    assert one.draws(3, SPECTRA).standard_normal() == stream(3, SPECTRA, *one.index).standard_normal()
