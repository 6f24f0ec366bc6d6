"""Power from a study's own tables: variances against those of the recipe, and the whole against simulation."""

import math
from pathlib import Path

import numpy as np
import pytest

from mrspipe.config import StudyConfig, bundled, config_toml, load_config
from mrspipe.core.errors import ConfigError, InputError
from mrspipe.io.tables import read_table, write_table
from mrspipe.pipeline.power import PowerRequest, power_rows, study_power
from mrspipe.stats.contrasts import contrast_table
from mrspipe.stats.design import Design
from mrspipe.stats.power import paired_power
from mrspipe.synth.cohort import draw_cohort
from mrspipe.synth.concentrations import study_tables
from mrspipe.synth.recipe import Crossover, Effect, Group, Level, Recipe, load_recipe

# Participant, visit, scan; and how participants differ in their response to film and drug, in mM.
SUBJECT, SESSION, SCAN, CUE, NAC = 0.95, 0.45, 0.75, 0.50, 0.40


def recipe(n, effects=(), **changes):
    given = {
        "groups": (Group(name="CAI", n=n), Group(name="HC", n=n)),
        "sessions": ("1", "2"),
        "tasks": ("neutral", "cue"),
        "crossover": Crossover(),
        "levels": {"Glu": Level(mean=12.0, subject_sd=SUBJECT, session_sd=SESSION, scan_sd=SCAN)},
        "effects": (Effect(task="cue", subject_sd=CUE), Effect(treatment="nac", subject_sd=NAC), *effects),
    }
    return Recipe(**{**given, **changes})


def measurements(made, seed=1):
    cohort = draw_cohort(made, seed=seed)
    return study_tables(cohort, made, seed=seed, metabolites=("Glu",), quantities=("molar",), oracle=True).measurements


def outcome_only(name="cocaine_nacc"):
    config = load_config(name)
    return config.model_copy(update={"design": config.design.model_copy(update={"secondary": (), "ratings": None})})


def by_test(rows):
    return {row["test"]: row for row in rows}


def test_the_sds_of_what_is_compared_are_those_of_the_recipe():
    found = by_test(power_rows(measurements(recipe(200)), outcome_only()))
    s, v, e, c, d = (sd**2 for sd in (SUBJECT, SESSION, SCAN, CUE, NAC))
    expected = {
        # A mean over films and drugs of the variance of one scan: half the scans have either response.
        "patients-controls": s + v + e + c / 2 + d / 2,
        "cue-baseline": 2 * e + c,
        "cue-baseline-visits": e + c,
        "group-by-cue": 2 * e + c,
        "nac-placebo-neutral": 2 * v + 2 * e + d,
        "nac-placebo-paired": 2 * v + e + d,
    }
    for name, variance in expected.items():
        # An SD of 200 participants has a standard error of about 5 % of itself.
        assert found[name]["sd_other"] == pytest.approx(math.sqrt(variance), rel=3 * 0.05), name
    assert found["patients-controls"]["n_reference"] == found["patients-controls"]["n_other"] == 200


def test_each_group_has_its_own_sd():
    made = recipe(60, (Effect(group="CAI", subject_sd=3.0),))
    row = by_test(power_rows(measurements(made), outcome_only()))["patients-controls"]
    assert row["sd_other"] > 2 * row["sd_reference"]


def test_the_range_of_an_effect_follows_from_the_range_of_the_sd():
    rows = by_test(power_rows(measurements(recipe(26)), outcome_only()))
    row = rows["cue-baseline"]
    assert row["effect_low"] < row["effect"] < row["effect_high"]
    assert paired_power(row["effect"], row["sd_other"], 26, 0.05) == pytest.approx(0.8, abs=1e-6)
    # Effects are in proportion to the SD.
    low, high = (row[name] / row["effect"] for name in ("effect_low", "effect_high"))
    assert 0.6 < low < 0.95 < 1.05 < high < 1.6
    assert row["n_low"] <= row["n_for_effect"] <= row["n_high"]


def test_the_bound_of_the_configuration_gives_the_power_of_the_equivalence_test():
    row = by_test(power_rows(measurements(recipe(26)), outcome_only()))["nac-placebo-neutral"]
    assert row["equivalence_bound"] == 1.0
    assert 0.5 < row["equivalence_power"] < 1.0


def test_two_groups_scanned_once_have_one_row_with_their_own_sds():
    made = Recipe(groups=(Group(name="CAI", n=9), Group(name="HC", n=12)))
    table = measurements(made)
    design = Design(group={"control": "HC", "patient": "CAI"})
    (row, *_) = rows = power_rows(table, StudyConfig(design=design))
    assert {one["test"] for one in rows} == {"patients-controls"}
    assert (row["n_reference"], row["n_other"]) == (12, 9)
    sds = table.groupby("group")["value"].std()
    assert (row["sd_reference"], row["sd_other"]) == pytest.approx((sds["HC"], sds["CAI"]), rel=1e-6)
    mean = table.loc[table["group"] == "HC", "value"].mean()
    assert [one["asked_effect"] for one in rows] == pytest.approx([0.05 * mean, 0.10 * mean])


def test_a_design_that_compares_nothing_has_no_power():
    with pytest.raises(ConfigError, match="nothing to compare"):
        power_rows(measurements(Recipe()), StudyConfig())


def test_a_level_that_is_not_there_is_a_row_with_a_note():
    table = measurements(recipe(6))
    rows = by_test(power_rows(table[table["task_id"] == "neutral"], outcome_only()))
    assert "cue" in rows["cue-baseline"]["note"]
    assert rows["patients-controls"]["effect"] > 0


def test_the_table_is_written_beside_the_others(tmp_path):
    (tmp_path / "config.toml").write_text(config_toml(outcome_only()))
    write_table(tmp_path / "group" / "measurements.tsv", measurements(recipe(6)))
    study_power(PowerRequest(tmp_path, effects=(0.6,)))
    table = read_table(tmp_path / "group" / "power.tsv")
    assert set(table["asked_effect"]) == {0.6}
    assert (tmp_path / "group" / "power.json").exists()
    with pytest.raises(ConfigError, match="must lie between"):
        study_power(PowerRequest(tmp_path, power=0.01))


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match="no results"):
        study_power(PowerRequest(Path(tmp_path)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "effect"),
    [
        ("patients-controls", lambda size: Effect(group="CAI", shift=size)),
        ("cue-baseline", lambda size: Effect(group="CAI", task="cue", shift=size)),
        ("nac-placebo-paired", lambda size: Effect(treatment="nac", shift=size)),
    ],
)
def test_simulated_studies_find_the_smallest_effect_as_often_as_promised(name, effect):
    config: StudyConfig = outcome_only()
    # The variances of a very large study, and the smallest effect of one with 26 and 26 participants.
    row = by_test(power_rows(measurements(recipe(400), seed=9), config))[name]
    n_tests, n = 200, 26
    size = row["effect"] * math.sqrt(400 / n)
    contrast = tuple(one for one in config.contrast if one.name == name)
    found = [
        contrast_table(measurements(recipe(n, (effect(size),)), seed), config.design, contrast)["p"][0] < 0.05
        for seed in range(n_tests)
    ]
    # Three binomial errors, and 3 % for what the variances of 400 participants and small samples leave open.
    assert np.mean(found) == pytest.approx(0.8, abs=3 * 0.4 / math.sqrt(n_tests) + 0.03)


def test_controls_without_an_arm_are_counted_where_the_groups_are_compared():
    recipe = load_recipe(bundled("synthetic_data", "depression_riluzole"))
    cohort = draw_cohort(recipe, seed=5)
    table = study_tables(cohort, recipe, seed=5, metabolites=("Glu",), quantities=("molar",)).measurements
    row = next(
        row for row in power_rows(table, load_config("depression_riluzole")) if row["test"] == "patients-controls"
    )
    usable = table[table["included"] & (table["session_id"] == "ses-pre")].groupby("group").size()
    assert (row["n_reference"], row["n_other"]) == (usable["HC"], usable["MDD"])
    assert usable["MDD"] > 20
