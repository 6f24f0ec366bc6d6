"""Parallel arms and visits in time, against the classical tests of balanced data."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mrspipe.stats.contrasts import contrast_table
from mrspipe.stats.design import ContrastSettings, Design, StatsSettings
from mrspipe.stats.questions import default_contrasts

ARM = {"arm": {"column": "arm", "control": "placebo", "active": "riluzole"}}
TIME = {"time": {"entity": "session", "levels": ["before", "during", "after"]}}
TWO_TIMES = {"time": {"entity": "session", "levels": ["before", "after"]}}
GROUP = {"group": {"control": "HC", "patient": "PAT"}}
CONDITION = {"condition": {"entity": "task", "control": "rest", "active": "cue"}}
# The variance between participants is far from zero, so that the mixed model is the test of the changes.
SIZES = {"subject": 1.5, "scan": 0.5}


def make_trial(n=8, seed=3):
    """Two groups in two arms, three visits with two conditions each."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(4 * n):
        arm, group = ("placebo", "riluzole")[number % 2], ("HC", "PAT")[number // 2 % 2]
        own = rng.normal(0, SIZES["subject"])
        for step, visit in enumerate(("before", "during", "after")):
            day = rng.normal(0, 1.0)
            for task in ("rest", "cue"):
                value = 10 + own + day + step * (arm == "riluzole") + rng.normal(0, SIZES["scan"])
                rows.append(
                    {"participant_id": f"sub-{number:02d}", "session_id": f"ses-{visit}", "task_id": task,
                     "metabolite": "Glu", "quantity": "molar", "value": value, "arm": arm, "group": group}
                )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def trial():
    return make_trial()


@pytest.fixture(scope="module")
def rest(trial):
    return trial[trial["task_id"] == "rest"]


def names(design, **which):
    chosen = default_contrasts(design)
    return [one.name for one in chosen if all(getattr(one, key) == value for key, value in which.items())]


def computed(table, design, name):
    return contrast_table(table, design, (ContrastSettings(name=name),)).to_dict("records")[0]


def changes(table, later, earlier, by):
    wide = table.pivot_table("value", [*by, "participant_id"], "session_id")
    return wide[f"ses-{later}"] - wide[f"ses-{earlier}"]


def test_times_are_compared_with_the_first_and_then_one_after_the_other():
    design = Design(**TIME)
    assert names(design) == ["during-before", "after-before", "after-during"]
    assert names(design, primary=True) == ["during-before", "after-before"]


@pytest.mark.parametrize(("later", "earlier"), [("during", "before"), ("after", "before"), ("after", "during")])
def test_two_of_three_times_are_a_paired_comparison(rest, later, earlier):
    row = computed(rest, Design(**TIME), f"{later}-{earlier}")
    at = rest.pivot_table("value", "participant_id", "session_id")
    exact = stats.ttest_rel(at[f"ses-{later}"], at[f"ses-{earlier}"])
    assert (row["statistic"], row["df"]) == pytest.approx((exact.statistic, 31), rel=1e-9)
    assert (row["n_reference"], row["n_other"], row["n_scans"]) == (32, 32, 64)


def test_arms_without_a_visit_before_are_compared_like_groups(rest):
    design, after = Design(**ARM), rest[rest["session_id"] == "ses-after"]
    assert names(design) == ["riluzole-placebo"]
    row = computed(after, design, "riluzole-placebo")
    values = after.groupby("arm")["value"]
    exact = stats.ttest_ind(values.get_group("riluzole"), values.get_group("placebo"), equal_var=False)
    assert (row["statistic"], row["p"]) == pytest.approx((exact.statistic, exact.pvalue), rel=1e-9)
    assert (row["model"], row["family"]) == ("Welch t test", "primary")


def test_a_trial_asks_for_the_change_by_arm_then_within_each_arm_and_checks_the_arms_before():
    design = Design(**ARM, **TWO_TIMES)
    assert names(design) == [
        "riluzole-by-after", "after-before-riluzole", "after-before-placebo", "riluzole-placebo-before",
    ]  # fmt: skip
    assert names(design, primary=True) == ["riluzole-by-after"]
    assert names(design, check=True) == ["riluzole-placebo-before"]
    three = names(Design(**ARM, **TIME), test="mixed")
    assert three == ["riluzole-by-during", "riluzole-by-after", "riluzole-by-after-during"]


@pytest.mark.parametrize("later", ["during", "after"])
def test_the_change_by_arm_is_the_t_test_of_the_changes(rest, later):
    row = computed(rest, Design(**ARM, **TIME), f"riluzole-by-{later}")
    change = changes(rest, later, "before", ["arm"])
    exact = stats.ttest_ind(change["riluzole"], change["placebo"])
    assert (row["statistic"], row["df"]) == pytest.approx((exact.statistic, 30), rel=1e-6)
    assert (row["n_subjects"], row["n_scans"], row["n_reference"], row["n_other"]) == (32, 64, 16, 16)


def test_the_change_within_an_arm_is_a_paired_test(rest):
    row = computed(rest, Design(**ARM, **TIME), "after-before-riluzole")
    exact = stats.ttest_1samp(changes(rest, "after", "before", ["arm"])["riluzole"], 0)
    assert (row["statistic"], row["df"]) == pytest.approx((exact.statistic, 15), rel=1e-9)


def test_the_arms_before_the_treatment_are_a_check_that_is_not_corrected(rest):
    row = computed(rest, Design(**ARM, **TIME), "riluzole-placebo-before")
    before = rest[rest["session_id"] == "ses-before"].groupby("arm")["value"]
    exact = stats.ttest_ind(before.get_group("riluzole"), before.get_group("placebo"), equal_var=False)
    assert row["p"] == pytest.approx(exact.pvalue, rel=1e-9)
    assert (row["family"], row["multiplicity"]) == ("none", "none")
    assert np.isnan(row["p_adjusted"])


def test_the_group_by_arm_by_time_interaction_is_that_of_the_changes(rest):
    row = computed(rest, Design(**ARM, **GROUP, **TIME), "group-by-riluzole-by-after")
    change = changes(rest, "after", "before", ["group", "arm"])
    cells = {
        key: change[key] for key in (("PAT", "riluzole"), ("PAT", "placebo"), ("HC", "riluzole"), ("HC", "placebo"))
    }
    mean = {key: cell.mean() for key, cell in cells.items()}
    estimate = (
        mean["PAT", "riluzole"] - mean["PAT", "placebo"] - mean["HC", "riluzole"] + mean["HC", "placebo"]
    )  # fmt: skip
    # Two-way analysis of variance of the changes: 4 cells of 8, pooled variance, 28 degrees of freedom.
    error = np.sqrt(np.mean([cell.var(ddof=1) for cell in cells.values()]) * 4 / 8)
    assert (row["estimate"], row["se"], row["df"]) == pytest.approx((estimate, error, 28), rel=1e-6)


def test_groups_in_a_trial_are_compared_before_the_treatment_over_both_arms(rest):
    row = computed(rest, Design(**ARM, **GROUP, **TIME), "patients-controls")
    before = rest[rest["session_id"] == "ses-before"].groupby("group")["value"]
    exact = stats.ttest_ind(before.get_group("PAT"), before.get_group("HC"), equal_var=False)
    assert row["p"] == pytest.approx(exact.pvalue, rel=1e-9)


def test_three_times_that_are_not_compared_are_all_in_the_model(trial):
    contrast = ContrastSettings(name="cue, all visits", compare=("condition",), test="mixed")
    settings = StatsSettings(random_condition=False)
    row = contrast_table(trial, Design(**CONDITION, **TIME), (contrast,), settings).to_dict("records")[0]
    at = trial.pivot_table("value", ["participant_id", "session_id"], "task_id")
    change = (at["cue"] - at["rest"]).unstack("session_id")  # noqa: PD010 - the index is the table's own
    # Balanced: the mean change, against how the changes of a visit vary; each of the three has a mean of its own.
    error = np.sqrt(change.var(ddof=1).mean() / change.size)
    assert (row["estimate"], row["se"]) == pytest.approx((change.to_numpy().mean(), error), rel=1e-6)
    assert row["df"] == pytest.approx(change.size - 3, rel=1e-6)
    assert row["n_scans"] == len(trial)


def test_levels_of_time_that_a_contrast_names_must_be_those_of_the_design():
    from mrspipe.core.errors import ConfigError
    from mrspipe.stats.questions import resolve_contrasts

    wrong = ContrastSettings(name="x", compare=("time",), times=("before", "later"))
    with pytest.raises(ConfigError, match="'later' is no level of time; they are 'before', 'during' and 'after'"):
        resolve_contrasts(Design(**TIME), (wrong,))


# Controls who are in no arm ------------------------------------------------------------------------------------------

PATIENTS_IN_ARMS = {"arm": {"column": "arm", "control": "placebo", "active": "riluzole"}, **GROUP}


@pytest.fixture(scope="module")
def untreated(rest):
    """Two visits; the arms are of the patients alone."""
    table = rest[rest["session_id"].isin(["ses-before", "ses-after"])]
    return table.assign(arm=table["arm"].mask(table["group"] == "HC"))


def test_controls_without_an_arm_are_compared_with_the_patients_of_all_arms_before_the_treatment(untreated):
    row = computed(untreated, Design(**PATIENTS_IN_ARMS, **TWO_TIMES), "patients-controls")
    before = untreated[untreated["session_id"] == "ses-before"].groupby("group")["value"]
    exact = stats.ttest_ind(before.get_group("PAT"), before.get_group("HC"), equal_var=False)
    assert (row["n_reference"], row["n_other"], row["n_scans"], row["n_left_out"]) == (16, 16, 32, 0)
    assert (row["statistic"], row["df"], row["p"]) == pytest.approx((exact.statistic, exact.df, exact.pvalue), rel=1e-9)


def test_controls_without_an_arm_are_outside_of_a_comparison_of_the_arms_and_not_incomplete(untreated):
    row = computed(untreated, Design(**PATIENTS_IN_ARMS, **TWO_TIMES), "riluzole-by-after")
    change = changes(untreated[untreated["group"] == "PAT"], "after", "before", ["arm"])
    exact = stats.ttest_ind(change["riluzole"], change["placebo"])
    assert (row["statistic"], row["df"]) == pytest.approx((exact.statistic, 14), rel=1e-6)
    assert (row["n_subjects"], row["n_left_out"]) == (16, 0)
    assert "left out" not in row["note"]


def test_a_patient_whose_arm_is_not_known_is_left_out_of_the_arms_and_counted(untreated):
    lost = untreated.assign(arm=untreated["arm"].mask(untreated["participant_id"] == "sub-02"))
    row = computed(lost, Design(**PATIENTS_IN_ARMS, **TWO_TIMES), "riluzole-by-after")
    assert (row["n_subjects"], row["n_left_out"]) == (15, 2)


def test_without_a_visit_before_patients_on_placebo_are_compared_with_all_controls(untreated):
    after = untreated[untreated["session_id"] == "ses-after"]
    row = computed(after, Design(**PATIENTS_IN_ARMS), "patients-controls")
    values = after.fillna({"arm": "none"}).groupby("arm")["value"]
    exact = stats.ttest_ind(values.get_group("placebo"), values.get_group("none"), equal_var=False)
    assert (row["n_reference"], row["n_other"], row["n_left_out"]) == (16, 8, 0)
    assert row["p"] == pytest.approx(exact.pvalue, rel=1e-9)


def test_arms_of_one_group_have_no_interaction_with_the_group(untreated):
    design = Design(**PATIENTS_IN_ARMS, **TWO_TIMES)
    assert "group-by-riluzole-by-after" in names(design)
    found = [one.name for one in default_contrasts(design, untreated)]
    assert "group-by-riluzole-by-after" not in found
    assert {"patients-controls", "riluzole-by-after"} <= set(found)
    # The arms are of the patients anyway.
    assert "riluzole-by-after-patients" in names(design)
    assert "riluzole-by-after-patients" not in found
    row = computed(untreated, design, "group-by-riluzole-by-after")
    assert "Nobody with group 'HC' is in an arm" in row["note"]
    assert np.isnan(row["p"])
