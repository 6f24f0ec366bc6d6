"""What the data cannot tell apart is refused, and the two things that coincide are named."""

import numpy as np
import pytest

from mrspipe.stats.contrasts import contrast_table
from mrspipe.stats.design import ContrastSettings, Design
from mrspipe.stats.identify import what_coincides

ARMS = {"arm": {"column": "arm", "control": "placebo", "active": "nac"}}


def glu(study, **columns):
    return study[study["metabolite"] == "Glu"].assign(**columns)


def note_of(table, design, name):
    row = contrast_table(table, design, (ContrastSettings(name=name, metabolites=("Glu",)),)).to_dict("records")[0]
    return row["note"], row["p"]


@pytest.mark.parametrize("name", ["nac-placebo", "nac-placebo-patients", "nac-placebo-paired", "group-by-nac"])
def test_a_treatment_that_everybody_got_in_the_same_period_is_refused(design, study, name):
    table = glu(study, drug=np.where(study[study["metabolite"] == "Glu"]["period"] == 2, "nac", "placebo"))
    note, p = note_of(table, design, name)
    assert np.isnan(p)
    assert note == (
        "The treatment (column drug) cannot be told apart from the period (column period): "
        "placebo goes only with 1, nac goes only with 2."
    )


def test_a_model_that_holds_treatment_and_period_says_that_they_coincide(design, study):
    table = glu(study, drug=np.where(study[study["metabolite"] == "Glu"]["period"] == 2, "nac", "placebo"))
    note, p = note_of(table, design, "cue-baseline-visits")
    assert np.isnan(p)
    assert note == "Treatment cannot be told apart from period 2."


def test_a_treatment_that_does_not_vary_within_participants_is_a_parallel_arm(design, study):
    number = study[study["metabolite"] == "Glu"]["participant_id"].str[-2:].astype(int)
    note, p = note_of(glu(study, drug=np.where(number % 2 == 0, "nac", "placebo")), design, "nac-placebo")
    assert np.isnan(p)
    assert "parallel arms, not a crossover: use design.arm instead of design.treatment" in note


def test_an_arm_that_changes_within_a_participant_is_a_crossover(study):
    note, p = note_of(glu(study, arm=study["drug"]), Design(**ARMS), "nac-placebo")
    assert np.isnan(p)
    assert "sub-01 is in both arms; a treatment that every participant gets is design.treatment" in note


def test_an_arm_that_is_the_group_is_refused(study):
    design = Design(group={"control": "HC", "patient": "CAI"}, **ARMS)
    table = glu(study, arm=study["group"].map({"HC": "placebo", "CAI": "nac"}))
    for name in ("nac-placebo", "patients-controls"):
        note, p = note_of(table, design, name)
        assert np.isnan(p)
        assert "cannot be told apart from the" in note
        assert "goes only with" in note


def test_a_condition_that_is_the_treatment_is_refused(design, study):
    note, p = note_of(
        glu(study, drug=study["task_id"].map({"cue": "nac", "neutral": "placebo"})), design, "cue-baseline"
    )
    assert np.isnan(p)
    assert "The condition (column task_id) cannot be told apart from the treatment (column drug)" in note


def test_an_order_of_treatments_that_is_the_group_is_refused(design, study):
    first = (study["group"] == "CAI") == (study["period"] == 1)
    note, p = note_of(
        glu(study, drug=np.where(first, "nac", "placebo")[study["metabolite"] == "Glu"]), design, "carry-over"
    )
    assert np.isnan(p)
    assert "The sequence" in note
    assert "cannot be told apart from the group" in note


@pytest.mark.parametrize(
    ("covariate", "said"),
    [
        (
            lambda study: study["group"].map({"HC": "no", "CAI": "yes"}),
            "The group cannot be told apart from smoker yes.",
        ),
        (lambda study: 2 * study["age"] + 1, "Age cannot be told apart from smoker."),
    ],
)
def test_a_covariate_that_follows_from_something_else_is_named(design, study, covariate, said):
    note, p = note_of(glu(study, smoker=covariate(study)), design, "patients-controls-adjusted")
    assert np.isnan(p)
    assert note == said


def test_a_missing_column_of_the_period_is_no_reason_to_leave_the_period_out(design, study):
    note, p = note_of(glu(study).drop(columns="period"), design, "nac-placebo")
    assert np.isnan(p)
    assert note == "The design names the period 'period', but the tables have no such column."


def test_a_design_without_period_is_computed_and_says_so(study):
    design = Design(treatment={"column": "drug", "control": "placebo", "active": "nac"})
    note, p = note_of(glu(study), design, "nac-placebo")
    assert np.isfinite(p)
    assert "The design names no period" in note


def test_a_condition_with_a_place_of_its_own_in_the_visit_is_computed_with_a_note(design, study):
    table = glu(study, run=study["task_id"].map({"neutral": "1", "cue": "2"}))
    note, p = note_of(table, design, "cue-baseline")
    assert np.isfinite(p)
    assert "had its own place in the visit (run)" in note
    mixed = table.assign(run=np.where(table["session_id"] == "ses-1", "1", "2"))
    assert "its own place" not in note_of(mixed, design, "cue-baseline")[0]


def test_an_interaction_without_one_of_its_cells_names_the_cell(design, study):
    table = glu(study)
    table = table[(table["group"] == "CAI") | (table["drug"] == "placebo")]
    note, _ = note_of(table, design, "group-by-nac")
    assert note == "No usable scan has group HC and drug nac."
    note, _ = note_of(table, design, "cue-by-nac")
    assert note.startswith("No usable scan has group HC and drug nac, so that ")


def test_columns_that_follow_from_two_others_are_named():
    rng = np.random.default_rng(1)
    grey, white = rng.random((2, 20))
    columns = {"grey": grey, "age": rng.random(20), "white": white, "fluid": 1 - grey - white}
    assert what_coincides(columns) == "fluid cannot be told apart from grey with white"
    assert what_coincides({"grey": grey, "white": white, "age": columns["age"]}) == ""
    assert what_coincides({"grey": np.full(20, 0.1)}) == "grey does not vary"


@pytest.mark.parametrize(("n", "enough"), [(4, False), (5, True)])
def test_fewer_participants_than_asked_for_are_a_row_with_the_number(design, study, n, enough):
    patients = [f"sub-{i:02d}" for i in range(1, n + 1)]
    table = glu(study)
    table = table[(table["group"] == "HC") | table["participant_id"].isin(patients)]
    note, p = note_of(table, design, "patients-controls")
    assert np.isfinite(p) == enough
    assert ("Only 4 participants have usable scans with group CAI; at least 5 are asked for" in note) is not enough


def test_pairs_are_counted_after_the_incomplete_are_left_out(design, study):
    table = glu(study)
    lost = table["participant_id"].isin(["sub-01", "sub-02", "sub-03", "sub-04"]) & (table["task_id"] == "cue")
    note, p = note_of(table[~lost], design, "cue-baseline")
    assert np.isnan(p)
    assert "Only 4 participants have usable scans with task_id cue" in note


def test_counts_say_who_is_on_each_side_and_what_was_left_out(design, study):
    table = glu(study)
    bad = (table["participant_id"] == "sub-01") & (table["task_id"] == "cue") & (table["drug"] == "placebo")
    table = table.assign(included=~bad)
    asked = [ContrastSettings(name=name, metabolites=("Glu",)) for name in ("cue-baseline", "group-by-cue")]
    pairs, by_group = contrast_table(table, design, asked).to_dict("records")
    # Its own bad scan, and the other of the pair.
    assert (pairs["n_subjects"], pairs["n_reference"], pairs["n_other"], pairs["n_left_out"]) == (7, 7, 7, 2)
    assert (by_group["n_subjects"], by_group["n_reference"], by_group["n_other"]) == (16, 8, 8)
    assert by_group["n_left_out"] == 1
