from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrspipe.core.errors import ConfigError
from mrspipe.settings import parse_settings, read_toml
from mrspipe.stats.design import ContrastSettings, Design, StatsSettings
from mrspipe.stats.questions import default_contrasts, resolve_contrasts
from mrspipe.stats.ratings import ratings_table

CONFIGS = sorted(path for path in (Path(__file__).parents[2] / "configs").glob("*.toml") if "design" in read_toml(path))


def names(contrasts):
    return [one.name for one in contrasts]


def test_the_full_design_asks_the_questions_of_the_study(design):
    asked = default_contrasts(design)
    assert names(asked) == [
        "patients-controls", "patients-controls-adjusted", "patients-controls-visits", "patients-controls-cue",
        "cue-baseline", "cue-baseline-visits", "cue-baseline-controls", "cue-baseline-all", "group-by-cue",
        "group-by-cue-visits", "nac-placebo", "nac-placebo-patients", "nac-placebo-paired", "group-by-nac",
        "cue-by-nac", "group-by-cue-by-nac", "carry-over", "craving", "craving-group-by-cue",
    ]  # fmt: skip
    primary = [one.name for one in asked if one.primary]
    assert primary == ["patients-controls", "cue-baseline", "group-by-cue", "nac-placebo"]
    assert asked[0].within == {"condition": "neutral", "treatment": "placebo"}
    by_name = {one.name: one for one in asked}
    assert by_name["cue-baseline"].within == {"group": "CAI", "treatment": "placebo"}
    assert by_name["patients-controls-visits"].within == {"condition": "neutral"}
    assert [one.name for one in asked if one.check] == ["carry-over"]
    assert all(one.question.endswith("?") for one in asked)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["mean"]),
        ({"group": {"control": "HC", "patient": "PAT"}}, ["patients-controls"]),
        ({"time": {"entity": "session", "levels": ["pre", "post"]}}, ["post-pre"]),
        ({"condition": {"column": "state", "control": "rest", "active": "task"}}, ["task-baseline"]),
        (
            {"treatment": {"column": "drug", "control": "placebo", "active": "nac"}},
            ["nac-placebo", "nac-placebo-paired"],
        ),
    ],
)
def test_a_study_with_some_factors_needs_only_those(settings, expected):
    assert names(default_contrasts(Design(**settings))) == expected


def test_an_interaction_is_asked_for_only_where_all_its_levels_meet(design, study):
    patients_only = study[(study["group"] == "CAI") | (study["drug"] == "placebo")]
    asked = names(default_contrasts(design, patients_only))
    assert "group-by-nac" not in asked
    assert "cue-by-nac" in asked


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"group": {"control": "HC", "patient": "HC"}}, "levels of group are both 'HC'"),
        ({"condition": {"control": "a", "active": "b"}}, "either column or entity"),
        ({"condition": {"entity": "voxel", "control": "a", "active": "b"}}, "condition.entity"),
        ({"group": {"control": "HC", "pateint": "CAI"}}, "Did you mean 'patient'"),
        ({"secondary": ["Glu"]}, "is also listed as secondary"),
        (
            {
                "condition": {"entity": "task", "control": "a", "active": "b"},
                "treatment": {"entity": "task", "control": "c", "active": "d"},
            },
            "Two factors use the column 'task_id'",
        ),
        (
            {
                "condition": {"entity": "task", "control": "a", "active": "b"},
                "ratings": {"name": "mood", "columns": {"c": "mood_c"}},
            },
            "ratings.columns names 'c'",
        ),
    ],
)
def test_a_wrong_design_is_refused_with_what_is_wrong(settings, message):
    with pytest.raises(ConfigError, match=message):
        parse_settings(Design, settings, where="study.toml")


@pytest.mark.parametrize(
    ("contrast", "message"),
    [
        ({"name": "smokers"}, "does not follow from the design"),
        ({"name": "x", "compare": ["time"]}, "The design has no time"),
        ({"name": "x", "compare": ["group"], "within": {"condition": "film"}}, "'film' is no level of condition"),
        ({"name": "x", "compare": ["group"], "within": {"group": "HC"}}, "both compared and held"),
        ({"name": "x", "compare": ["group"], "test": "paired"}, "'paired' cannot compare group"),
        (
            {"name": "x", "compare": ["condition", "treatment"], "test": "welch"},
            "cannot compare condition by treatment",
        ),
    ],
)
def test_a_contrast_that_the_design_cannot_have_is_refused(design, contrast, message):
    with pytest.raises(ConfigError, match=message):
        resolve_contrasts(design, (ContrastSettings(**contrast),))


def test_two_contrasts_of_one_name_are_refused(design):
    with pytest.raises(ConfigError, match="Two contrasts"):
        resolve_contrasts(design, (ContrastSettings(name="nac-placebo"), ContrastSettings(name="nac-placebo")))


def test_a_contrast_given_by_name_keeps_what_is_not_changed(design):
    (one,) = resolve_contrasts(design, (ContrastSettings(name="nac-placebo", equivalence_bound=1.0),))
    assert (one.compare, one.test, one.primary, one.equivalence_bound) == (("treatment",), "mixed", True, 1.0)


def test_where_a_whole_level_is_missing_the_interaction_is_listed_all_the_same(design, study):
    assert "group-by-cue" in names(default_contrasts(design, study[study["group"] == "HC"]))


def test_numbers_and_prefixed_labels_name_levels():
    design = Design(
        group={"column": "patient", "control": 0, "patient": 1},
        time={"entity": "session", "levels": ["ses-1", 2]},
    )
    assert [(one.reference, one.other) for one in design.factors] == [("0", "1"), ("1", "2")]


def test_columns_are_those_that_the_tables_of_the_study_must_have(design):
    assert design.columns == ("group", "drug", "period", "age", "smoker", "craving_neutral", "craving_cue")


def test_ratings_become_one_row_each(design, visits):
    table = ratings_table(visits, design)
    assert list(table.columns[:5]) == ["participant_id", "session_id", "task_id", "rating", "value"]
    assert {"group", "drug", "period"} <= set(table.columns)
    assert len(table) == 2 * len(visits)
    row = table[(table["participant_id"] == "sub-03") & (table["session_id"] == "ses-2") & (table["task_id"] == "cue")]
    source = visits[(visits["participant_id"] == "sub-03") & (visits["session_id"] == "ses-2")]
    assert row["value"].item() == source["craving_cue"].item()
    assert set(table["rating"]) == {"craving"}


def test_there_are_no_ratings_without_their_columns(design, visits):
    assert ratings_table(visits[["participant_id", "session_id"]], design) is None
    assert ratings_table(visits, Design()) is None
    assert ratings_table(pd.DataFrame(), design) is None


def test_ratings_of_participants_without_sessions_are_read(design):
    people = pd.DataFrame({"participant_id": ["sub-1", "sub-2"], "craving_cue": [3, np.nan]})
    table = ratings_table(people, design)
    assert list(table["value"].dropna()) == [3]


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_the_designs_that_come_with_mrspipe_can_be_computed(path):
    content = read_toml(path)
    design = parse_settings(Design, content.get("design", {}), where=path.name)
    parse_settings(StatsSettings, content.get("stats", {}), where=path.name)
    contrasts = tuple(ContrastSettings(**one) for one in content.get("contrast", []))
    resolved = resolve_contrasts(design, contrasts)
    assert any(one.primary for one in resolved)
    assert sorted(names(resolved)) == sorted(names(default_contrasts(design)))


@pytest.mark.parametrize("model", [Design, ContrastSettings, StatsSettings])
def test_every_setting_says_what_it_is(model):
    assert all(field.description for field in model.model_fields.values())
