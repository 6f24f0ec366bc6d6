import pytest

from mrspipe.core.errors import ConfigError
from mrspipe.stats.design import Design
from mrspipe.stats.levels import refuse_unknown_levels

FOUND = {
    "participant_id": ["sub-1", "sub-2"], "group": ["HC", "CAI"], "age": [30, 40], "smoker": ["yes", "no"],
    "task_id": ["neutral", "cue"], "session_id": ["ses-1", "ses-2"], "drug": ["nac", "placebo"], "period": [1, 2],
}  # fmt: skip


def said(design, **changes):
    found = {name: cells for name, cells in {**FOUND, **changes}.items() if cells is not None}
    with pytest.raises(ConfigError) as error:
        refuse_unknown_levels(design, found, where="study", tables="the tables")
    return str(error.value)


def test_a_study_with_all_columns_and_levels_is_accepted(design):
    refuse_unknown_levels(design, FOUND, where="study", tables="the tables")
    refuse_unknown_levels(Design(), {}, where="study", tables="the tables")


@pytest.mark.parametrize(
    ("group", "cells", "hint"),
    [
        ("CAI", ["HC", "cai"], "there is 'HC', 'cai'. Did you mean 'cai'?"),
        ("patients", ["HC", "patient"], "there is 'HC', 'patient'. Did you mean 'patient'?"),
        ("high dose", ["HC", "HighDose"], "there is 'HC', 'HighDose'. Did you mean 'HighDose'?"),
        ("CAI", ["HC", "relatives"], "there is 'HC', 'relatives'."),
        ("CAI", [float("nan"), None], "the column is empty."),
    ],
)
def test_a_level_that_no_row_has_is_named_with_those_there_are(group, cells, hint):
    design = Design(group={"column": "group", "control": "HC", "patient": group})
    text = said(design, group=cells)
    assert f"design.group: no row has group '{group}'; {hint}" in text
    assert text.startswith("study: ")
    assert text.endswith("Correct the design, or the tables.")


def test_levels_in_file_names_are_asked_for_without_their_prefix(design):
    text = said(design, task_id=["neutral", "cues"])
    assert "design.condition: no row has task 'cue'; there is 'cues', 'neutral'. Did you mean 'cues'?" in text


def test_sessions_with_and_without_prefix_are_the_same():
    design = Design(time={"entity": "session", "levels": ["1", "ses-2"]})
    refuse_unknown_levels(design, FOUND, where="study", tables="the tables")
    assert "no row has session '3'; there is '1', '2'" in said(
        Design(time={"entity": "session", "levels": ["1", "2", "3"]})
    )


def test_a_column_that_is_not_there_is_named_with_the_nearest(design):
    text = said(design, smoker=None, Smoker=["yes", "no"])
    assert "design.covariates names the column 'smoker', which is not in the tables. Did you mean 'Smoker'?" in text
    assert "design.treatment.period names the column 'period'" in said(design, period=None)


def test_everything_that_is_wrong_is_said_at_once(design):
    text = said(design, group=["HC", "PAT"], drug=["NAC", "placebo"], age=None)
    for part in ("no row has group 'CAI'", "no row has drug 'nac'", "Did you mean 'NAC'?", "column 'age'"):
        assert part in text
