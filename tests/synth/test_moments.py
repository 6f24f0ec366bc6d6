"""What the recipes' numbers mean: effect sizes of the study, and samples whose moments are exact."""

import math

import numpy as np
import pytest

from mrspipe.config import bundled
from mrspipe.synth.cohort import draw_cohort
from mrspipe.synth.recipe import Crossover, Effect, Group, Level, Parallel, Recipe, Slope, load_recipe

EXACT = 1e-9


def cells(cohort, name="Glu"):
    """Level of a metabolite by participant, treatment (else session) and task."""
    return {
        (scan.key.sub, scan.treatment or scan.key.ses, scan.key.task): sum(
            scan.levels[part] for part in {"tCr": ("Cr", "PCr")}.get(name, (name,))
        )
        for scan in cohort.scans
    }


def test_the_paper_like_numbers_are_those_of_the_poster():
    """d = .74 from p = .008 and dz = .50 from p = .017 (study page); here forwards, from the recipe."""
    recipe = load_recipe(bundled("synthetic_data", "paper_like"))
    glu = recipe.levels["Glu"]
    group, cue = recipe.effects[0], recipe.effects[1]
    assert (group.group, group.task, cue.group, cue.task) == ("CAI", "", "CAI", "cue")
    assert abs(group.shift) / glu.measured_sd == pytest.approx(0.74, abs=0.005)
    change_sd = math.sqrt(2 * glu.residual_sd**2 + cue.subject_sd**2)
    assert cue.shift / change_sd == pytest.approx(0.50, abs=0.02)
    # 10.8 % is the coefficient of variation of the sibling study's controls.
    assert glu.measured_sd / glu.mean == pytest.approx(0.108, abs=0.001)


def test_the_error_of_the_fit_is_not_counted_twice():
    level = Level(mean=11.9, subject_sd=0.9, residual_sd=0.75, fit_sd=0.6)
    assert level.latent_scan_sd == pytest.approx(math.sqrt(0.75**2 - 0.6**2))
    assert math.hypot(level.latent_scan_sd, level.fit_sd) == pytest.approx(0.75)
    assert Level(mean=11.9, residual_sd=0.75, fit_sd=1.65).latent_scan_sd == 0.0
    assert Level(mean=11.9, scan_sd=0.2, fit_sd=1.65).latent_scan_sd == 0.2


def test_the_scans_of_a_session_differ_by_what_the_fit_leaves():
    level = Level(mean=11.9, subject_sd=0.9, session_sd=0.4, residual_sd=0.75, fit_sd=0.6)
    recipe = Recipe(groups=(Group(n=600),), tasks=("a", "b"), levels={"Glu": level})
    glu = cells(draw_cohort(recipe, seed=1))
    subjects = sorted({sub for sub, _, _ in glu})
    change = np.array([glu[sub, None, "b"] - glu[sub, None, "a"] for sub in subjects])
    assert change.std(ddof=1) == pytest.approx(math.sqrt(2) * 0.45, rel=5 / np.sqrt(2 * 600))


@pytest.fixture(scope="module")
def matched():
    recipe = load_recipe(bundled("synthetic_data", "moment_matched"))
    return recipe, draw_cohort(recipe)


def test_the_matched_groups_have_exactly_the_mean_and_sd_of_the_recipe_in_every_cell(matched):
    recipe, cohort = matched
    glu, level = cells(cohort), recipe.levels["Glu"]
    own = math.hypot(level.subject_sd, level.session_sd, level.latent_scan_sd)
    # Shift and SD of the response to film and drug: -0.95 and 0.60 in patients, -0.25 in controls, 0 for the drug.
    expected = {
        ("CAI", "neutral"): (10.95, 0.0),
        ("CAI", "cue"): (11.55, 0.5),
        ("HC", "neutral"): (11.90, 0.0),
        ("HC", "cue"): (11.65, 0.5),
    }
    for (group, task), (mean, cue_sd) in expected.items():
        subjects = [person.label for person in cohort.participants if person.group == group]
        for drug, drug_sd in (("placebo", 0.0), ("nac", 0.4)):
            values = np.array([glu[sub, drug, task] for sub in subjects])
            assert values.mean() == pytest.approx(mean, abs=EXACT)
            assert values.std(ddof=1) == pytest.approx(math.hypot(own, cue_sd, drug_sd), abs=EXACT)


def test_the_matched_changes_have_exactly_the_mean_and_sd_of_the_recipe(matched):
    recipe, cohort = matched
    glu, level = cells(cohort), recipe.levels["Glu"]
    subjects = [person.label for person in cohort.participants if person.group == "CAI"]
    cue = np.array([glu[sub, "placebo", "cue"] - glu[sub, "placebo", "neutral"] for sub in subjects])
    assert cue.mean() == pytest.approx(0.60, abs=EXACT)
    assert cue.std(ddof=1) == pytest.approx(math.hypot(math.sqrt(2) * level.latent_scan_sd, 0.5), abs=EXACT)
    drug = np.array([glu[sub, "nac", "neutral"] - glu[sub, "placebo", "neutral"] for sub in subjects])
    assert drug.mean() == pytest.approx(0.0, abs=EXACT)
    within = math.sqrt(2) * math.hypot(level.session_sd, level.latent_scan_sd)
    assert drug.std(ddof=1) == pytest.approx(math.hypot(within, 0.4), abs=EXACT)


@pytest.mark.parametrize("name", ["Gln", "tCr", "Ins"])
def test_other_metabolites_are_matched_too_and_stay_correlated(matched, name):
    recipe, cohort = matched
    values, level = cells(cohort, name), recipe.levels[name]
    hc = [person.label for person in cohort.participants if person.group == "HC"]
    found = np.array([values[sub, "placebo", "neutral"] for sub in hc])
    assert found.mean() == pytest.approx(level.mean, abs=EXACT)
    sd = math.hypot(level.subject_sd, level.session_sd, level.scan_sd)
    assert found.std(ddof=1) == pytest.approx(sd, abs=EXACT)


def test_a_matched_sample_keeps_its_slopes():
    levels = {"Glu": Level(mean=11.9, subject_sd=0.95)}
    slope = Slope(covariate="age", per_unit=-0.05, reference=31.5)
    recipe = Recipe(groups=(Group(n=400),), levels=levels, slopes=(slope,), moment_matched=True)
    cohort = draw_cohort(recipe, seed=2)
    glu = np.array([scan.levels["Glu"] for scan in cohort.scans])
    ages = np.array([person.covariates["age"] for person in cohort.participants])
    assert (glu.mean(), glu.std(ddof=1)) == (pytest.approx(11.9, abs=EXACT), pytest.approx(0.95, abs=EXACT))
    # Matching scales subject and slope together to 0.95, which takes 1 - 0.95 / hypot(0.95, 0.05 sd of age) off it.
    scale = 0.95 / math.hypot(0.95, 0.05 * ages.std())
    error = 5 * 0.95 / (ages.std() * math.sqrt(400))
    assert np.polyfit(ages, glu, 1)[0] == pytest.approx(-0.05 * scale, abs=error)


def test_a_matched_sample_is_matched_within_each_arm():
    recipe = Recipe(
        groups=(Group(name="MDD", n=24),),
        sessions=("pre", "post"),
        parallel=Parallel(arms=("placebo", "riluzole")),
        levels={"Glu": Level(mean=11.0, subject_sd=0.8, session_sd=0.3)},
        effects=(Effect(arm="riluzole", session="post", shift=-0.8, subject_sd=0.4),),
        moment_matched=True,
    )
    cohort = draw_cohort(recipe, seed=3)
    glu = cells(cohort)
    for arm, shift, sd in (("placebo", 0.0, 0.0), ("riluzole", -0.8, 0.4)):
        subjects = [person.label for person in cohort.participants if person.arm == arm]
        change = np.array([glu[sub, "post", None] - glu[sub, "pre", None] for sub in subjects])
        assert change.mean() == pytest.approx(shift, abs=EXACT)
        assert change.std(ddof=1) == pytest.approx(math.hypot(math.sqrt(2) * 0.3, sd), abs=EXACT)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_too_few_participants_are_matched_as_far_as_they_go(n):
    recipe = Recipe(
        groups=(Group(n=n),), sessions=("1", "2"), tasks=("a", "b"), crossover=Crossover(), moment_matched=True
    )
    glu = cells(draw_cohort(recipe, seed=4))
    placebo = np.array([value for (_, drug, task), value in glu.items() if (drug, task) == ("placebo", "a")])
    assert placebo.size == n
    assert np.isfinite(placebo).all()
    if n > 1:
        assert placebo.mean() == pytest.approx(11.9, abs=EXACT)


def test_the_demo_has_exactly_its_effects():
    recipe = load_recipe(bundled("synthetic_data", "small"))
    cohort = draw_cohort(recipe)
    glu = cells(cohort)
    group = {person.label: person.group for person in cohort.participants}
    means = {
        name: np.mean([glu[sub, "placebo", "neutral"] for sub in group if group[sub] == name]) for name in ("CAI", "HC")
    }
    assert means["CAI"] - means["HC"] == pytest.approx(-2.6, abs=EXACT)
    change = [glu[s, "placebo", "cue"] - glu[s, "placebo", "neutral"] for s in group if group[s] == "CAI"]
    assert np.mean(change) == pytest.approx(1.8, abs=EXACT)
    assert np.std(change, ddof=1) == pytest.approx(0.3, abs=EXACT)
