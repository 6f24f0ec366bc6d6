"""The true value of each contrast: by hand, and against the contrasts of cohorts so large that chance is small."""

from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, stats

from mrspipe.calibrate.truth import same_things_are_compared, true_value
from mrspipe.config import bundled, load_config
from mrspipe.stats.contrasts import contrast_table
from mrspipe.stats.design import Design
from mrspipe.stats.questions import default_contrasts
from mrspipe.synth.acquisition import TissueSettings
from mrspipe.synth.cohort import draw_cohort
from mrspipe.synth.concentrations import study_tables
from mrspipe.synth.covariates import NormalCovariate, RatingCell, Ratings
from mrspipe.synth.people import GM_RANGE
from mrspipe.synth.recipe import Crossover, Effect, Group, Level, Recipe, Slope, load_recipe

DESIGN = Design(
    group={"control": "HC", "patient": "CAI"},
    condition={"entity": "task", "control": "neutral", "active": "cue"},
    treatment={"column": "drug", "control": "placebo", "active": "nac", "period": "period"},
    covariates=("age", "gm_fraction"),
    ratings={"name": "craving", "columns": {"neutral": "craving_neutral", "cue": "craving_cue"}},
    secondary=("Glx",),
)
AGES = (
    NormalCovariate(group="CAI", mean=40, sd=8, decimals=1),
    NormalCovariate(group="HC", mean=30, sd=5, decimals=1),
)


def recipe(n=(26, 30), **changes):
    """A cohort in which everything that can differ does; groups of unequal size, an odd number in one."""
    given = {
        "groups": (Group(name="CAI", n=n[0]), Group(name="HC", n=n[1])),
        "sessions": ("1", "2"),
        "tasks": ("neutral", "cue"),
        "crossover": Crossover(),
        "covariates": AGES,
        "levels": {"Glu": Level(mean=12.0, subject_sd=0.5, session_sd=0.2, scan_sd=0.3)},
        "effects": (
            Effect(group="CAI", shift=-1.0),
            Effect(group="CAI", task="cue", shift=0.6, subject_sd=0.3),
            Effect(group="HC", task="cue", shift=-0.2),
            Effect(treatment="nac", shift=-0.5, subject_sd=0.2),
            Effect(group="CAI", task="cue", treatment="nac", shift=0.25),
            Effect(session="2", shift=0.7),
            Effect(on="Gln", group="CAI", shift=0.3),
            Effect(on="gm", group="CAI", shift=-0.03),
        ),
        "slopes": (
            Slope(covariate="age", per_unit=-0.02, reference=30),
            Slope(covariate="gm", per_unit=2.0, reference=0.8),
        ),
        "ratings": Ratings(
            name="craving",
            cells=tuple(
                RatingCell(group=group, task=task, mean=mean, sd=12)
                for group, task, mean in (
                    ("CAI", "neutral", 30),
                    ("CAI", "cue", 55),
                    ("HC", "neutral", 20),
                    ("HC", "cue", 24),
                )
            ),
        ),
    }
    return Recipe(**{**given, **changes})


def truths(design, made, metabolite="Glu"):
    return {one.name: true_value(one, design, made, metabolite) for one in default_contrasts(design)}


def test_true_values_are_those_computed_by_hand():
    # Effects on glutamate alone: differences of the shifts of the recipe.
    made = recipe(slopes=(), effects=tuple(e for e in recipe().effects if e.on == "Glu"))
    expected = {
        "patients-controls": -1.0,
        "patients-controls-adjusted": -1.0,
        "cue-baseline": 0.6,
        # Placebo 0.6, NAC 0.6 + 0.25.
        "cue-baseline-visits": 0.725,
        "cue-baseline-controls": -0.2,
        "cue-baseline-all": 0.2,
        "group-by-cue": 0.8,
        # Half the scans of half the participants have 0.25 more.
        "nac-placebo": -0.5 + 0.25 / 4,
        "nac-placebo-patients": -0.5 + 0.25 / 2,
        "nac-placebo-paired": -0.5 + 0.25 / 2,
        "group-by-nac": 0.125,
        "cue-by-nac": 0.125,
        "group-by-cue-by-nac": 0.25,
        "craving": 25.0,
        "craving-group-by-cue": 21.0,
    }
    found = truths(DESIGN, made)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_slopes_count_in_the_plain_difference_and_not_in_the_adjusted_one():
    effects = (Effect(group="CAI", shift=-1.0), Effect(on="gm", group="CAI", shift=-0.03))
    still = TissueSettings(gm_sd=0.0)
    made = recipe(effects=effects, covariates=(AGES[0].model_copy(update={"sd": 0.0}), AGES[1]), tissue=still)
    # Truncation at 18 and 50 takes something from the mean age of the controls.
    young = stats.truncnorm.mean(-2.4, 4.0, 30, 5)
    found = truths(DESIGN, made)
    assert found["patients-controls"] == pytest.approx(-1.0 - 0.02 * (40 - young) - 0.03 * 2.0, abs=1e-12)
    assert found["patients-controls-adjusted"] == pytest.approx(-1.0, abs=1e-12)


@pytest.mark.parametrize(("mean", "sd"), [(0.8, 0.06), (0.89, 0.05), (0.45, 0.1)])
def test_grey_matter_beyond_its_limits_counts_as_the_limit(mean, sd):
    made = recipe(
        effects=(),
        slopes=(Slope(covariate="gm", per_unit=1.0, reference=0.0),),
        tissue=TissueSettings(gm_mean=mean, gm_sd=sd),
    )
    design = Design()
    (contrast,) = default_contrasts(design)
    clipped = integrate.quad(
        lambda x: np.clip(x, *GM_RANGE) * stats.norm.pdf(x, mean, sd), mean - 10 * sd, mean + 10 * sd, points=GM_RANGE
    )[0]
    assert true_value(contrast, design, made, "Glu") == pytest.approx(12.0 + clipped, abs=1e-6)


def test_large_cohorts_give_the_true_values():
    made = recipe(n=(151, 200))
    tables = study_tables(
        draw_cohort(made, seed=5), made, seed=5, metabolites=DESIGN.metabolites, quantities=("molar",), oracle=True
    )
    found = contrast_table(tables.measurements, DESIGN, default_contrasts(DESIGN), ratings=tables.ratings)
    expected = {name: truths(DESIGN, made, name) for name in DESIGN.metabolites}
    assert set(found["contrast"]) == set(expected["Glu"])
    for row in found.to_dict("records"):
        truth = expected.get(row["metabolite"], expected["Glu"])[row["contrast"]]
        # 13 contrasts of 2 metabolites and 2 of ratings: one in 500 exceeds four standard errors by chance.
        assert row["estimate"] == pytest.approx(truth, abs=4 * row["se"]), row["contrast"]


def test_a_factor_that_the_recipe_does_not_know_has_no_truth():
    design = Design(group={"column": "handedness", "control": "right", "patient": "left"})
    (contrast,) = default_contrasts(design)
    assert np.isnan(true_value(contrast, design, recipe(), "Glu"))


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"effects": (), "slopes": ()}, True),
        ({"effects": (Effect(group="CAI", shift=0.1),), "slopes": ()}, False),
        ({"effects": (Effect(on="tCr", group="CAI", shift=0.1),), "slopes": ()}, False),
        ({"effects": (Effect(on="gm", group="CAI", shift=-0.02),), "slopes": ()}, False),
        ({"effects": (), "slopes": (Slope(covariate="age", per_unit=0.01),)}, False),
    ],
)
def test_a_ratio_is_null_only_where_numerator_creatine_and_tissue_are_alike(change, same):
    contrast = default_contrasts(DESIGN)[0]
    assert same_things_are_compared(contrast, DESIGN, recipe(**change), "Glu") is same


def test_the_bundled_scenarios_have_the_effects_that_their_names_promise():
    config = load_config("cocaine_nacc")
    folder = Path(__file__).parents[2] / "synthetic_data"
    s1 = truths(config.design, load_recipe(folder / "paper_like.toml"))
    assert s1["cue-baseline"] == pytest.approx(0.60)
    assert s1["group-by-cue"] == pytest.approx(0.85)
    assert s1["patients-controls"] == pytest.approx(-0.95, abs=0.015)
    assert s1["nac-placebo"] == 0.0


def bundled_study(name, **changes):
    """Design of a bundled configuration, and the recipe of the same name."""
    made = load_recipe(bundled("synthetic_data", name))
    return load_config(name).design, made.model_copy(update={"moment_matched": False, **changes})


def test_true_values_of_three_times_are_those_of_the_recipe():
    design, made = bundled_study("ketamine_surge")
    assert truths(design, made) == pytest.approx({"during-before": 1.5, "after-before": 0.0, "after-during": -1.5})


def test_true_values_of_parallel_arms_are_those_of_the_recipe():
    design, made = bundled_study("depression_riluzole", slopes=())
    found = truths(design, made)
    # The controls are in no arm, so there is no difference between the groups in what the arm does.
    assert np.isnan(found.pop("group-by-riluzole-by-post"))
    assert found == pytest.approx(
        {
            "patients-controls": -1.2,
            "patients-controls-adjusted": -1.2,
            "riluzole-by-post": -1.2,
            "post-pre-riluzole": -1.2,
            "post-pre-placebo": 0.0,
            "riluzole-by-post-patients": -1.2,
            "riluzole-placebo-pre": 0.0,
        }
    )


def test_an_effect_on_grey_matter_in_one_arm_counts_there():
    design, made = bundled_study(
        "depression_riluzole",
        effects=(Effect(on="gm", arm="riluzole", shift=-0.05),),
        slopes=(Slope(covariate="gm", per_unit=2.0, reference=0.65),),
        tissue=TissueSettings(gm_mean=0.65, gm_sd=0.0),
    )
    found = truths(design, made)
    assert found["riluzole-placebo-pre"] == pytest.approx(-0.1)
    # Half the patients are in that arm.
    assert found["patients-controls"] == pytest.approx(-0.05)
    assert found["riluzole-by-post"] == pytest.approx(0.0)


@pytest.mark.parametrize("name", ["ketamine_surge", "depression_riluzole"])
def test_large_cohorts_of_arms_and_times_give_the_true_values(name):
    design, made = bundled_study(name)
    design = design.model_copy(update={"secondary": ()})
    groups = tuple(group.model_copy(update={"n": 400}) for group in made.groups)
    made = made.model_copy(update={"groups": groups})
    cohort = draw_cohort(made, seed=11)
    tables = study_tables(cohort, made, seed=11, metabolites=("Glu",), quantities=("molar",), oracle=True)
    found = contrast_table(tables.measurements, design).set_index("contrast")
    assert len(found) >= 3
    for contrast, row in found.iterrows():
        asked = next(one for one in default_contrasts(design) if one.name == contrast)
        assert abs(row["estimate"] - true_value(asked, design, made, "Glu")) < 4 * row["se"], contrast
