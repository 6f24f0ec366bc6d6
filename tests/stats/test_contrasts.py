import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mrspipe.stats.contrasts import COLUMNS, contrast_table
from mrspipe.stats.design import ContrastSettings, Design, StatsSettings
from mrspipe.stats.exclusions import exclusion_table, why_no_group_test
from mrspipe.stats.ratings import ratings_table

GROUPS = {"group": {"control": "HC", "patient": "CAI"}}
FEW = StatsSettings(min_per_group=2)
PRE_POST = {"time": {"entity": "session", "levels": ["1", "2"]}}


@pytest.fixture(scope="module")
def result(study, design, visits):
    return contrast_table(study, design, ratings=ratings_table(visits, design))


def row_of(table, contrast, metabolite="Glu"):
    (row,) = table[(table["contrast"] == contrast) & (table["metabolite"] == metabolite)].to_dict("records")
    return row


def only(*names):
    return tuple(ContrastSettings(name=name) for name in names)


def scans(study, **where):
    chosen = study[study["metabolite"] == "Glu"]
    for column, level in where.items():
        chosen = chosen[chosen[column] == level]
    return chosen


def test_the_columns_are_those_of_the_table(result):
    assert tuple(result.columns) == COLUMNS


def test_nothing_is_refused_in_a_sound_crossover(result):
    assert result["p"].notna().all()
    assert (result["n_left_out"] == 0).all()
    assert (result["n_reference"] + result["n_other"] >= result["n_subjects"]).all()


def test_groups_are_compared_at_baseline_under_placebo(result, study):
    row = row_of(result, "patients-controls")
    at = scans(study, task_id="neutral", drug="placebo")
    exact = stats.ttest_ind(at[at["group"] == "CAI"]["value"], at[at["group"] == "HC"]["value"], equal_var=False)
    assert row["p"] == pytest.approx(exact.pvalue, rel=1e-9)
    assert row["estimate"] < 0
    assert (row["n_subjects"], row["n_scans"], row["effect_name"]) == (16, 16, "Hedges g")


def test_the_cue_is_compared_within_patients_under_placebo(result, study):
    row = row_of(result, "cue-baseline")
    at = scans(study, group="CAI", drug="placebo").pivot_table("value", "participant_id", "task_id")
    exact = stats.ttest_rel(at["cue"], at["neutral"])
    assert row["statistic"] == pytest.approx(exact.statistic, rel=1e-9)
    assert (row["n_subjects"], row["n_scans"], row["df"]) == (8, 16, 7)


def test_the_balanced_interaction_is_the_test_of_the_changes(result, study):
    row = row_of(result, "group-by-cue")
    at = scans(study, drug="placebo").pivot_table("value", ["group", "participant_id"], "task_id")
    change = at["cue"] - at["neutral"]
    exact = stats.ttest_ind(change["CAI"], change["HC"])
    assert row["statistic"] == pytest.approx(exact.statistic, rel=1e-8)
    assert row["df"] == pytest.approx(14, rel=1e-8)


def test_the_balanced_treatment_effect_is_the_classical_crossover_test(study):
    design = Design(treatment={"column": "drug", "control": "placebo", "active": "nac", "period": "period"})
    row = row_of(contrast_table(study, design), "nac-placebo")
    # Two-period crossover (Hills and Armitage 1979): half the period differences, compared between the two orders.
    by_period = scans(study).pivot_table("value", "participant_id", "period")
    half = (by_period[1] - by_period[2]) / 2
    first_drug = scans(study, period=1).groupby("participant_id")["drug"].first()
    exact = stats.ttest_ind(half[first_drug == "nac"], half[first_drug == "placebo"])
    assert row["statistic"] == pytest.approx(exact.statistic, rel=1e-6)
    assert row["df"] == pytest.approx(exact.df, rel=1e-6)
    assert "period" in row["model"]


def test_ratings_are_compared_like_metabolites(result, visits):
    table = result
    row = row_of(table, "craving", "n/a")
    at = visits[(visits["group"] == "CAI") & (visits["drug"] == "placebo")]
    assert row["p"] == pytest.approx(stats.ttest_rel(at["craving_cue"], at["craving_neutral"]).pvalue, rel=1e-9)
    assert row["quantity"] == "craving"
    assert row_of(table, "craving-group-by-cue", "n/a")["estimate"] == pytest.approx(20, abs=8)


def test_shuffled_rows_give_the_same_table(result, design, study, visits):
    rng = np.random.default_rng(5)
    shuffled = study.iloc[rng.permutation(len(study))]
    ratings = ratings_table(visits, design)
    pd.testing.assert_frame_equal(
        result,
        contrast_table(shuffled, design, ratings=ratings.iloc[rng.permutation(len(ratings))]),
        check_exact=True,
    )


def test_the_input_is_not_changed(design, study):
    before = study.copy(deep=True)
    contrast_table(study, design)
    exclusion_table(study, design, only("cue-baseline", "patients-controls-adjusted"))
    pd.testing.assert_frame_equal(study, before)


def test_repeated_runs_count_once():
    people = [(f"sub-{i}", "CAI" if i % 2 else "HC", 10 + i * i % 7) for i in range(8)]
    once = pd.DataFrame(
        [
            {"participant_id": p, "group": g, "metabolite": "Glu", "quantity": "molar", "value": v, "run": "1"}
            for p, g, v in people
        ]
    )
    twice = pd.concat([once.assign(value=once["value"] - 0.5), once.assign(run="2", value=once["value"] + 0.5)])
    a, b = (row_of(contrast_table(table, Design(**GROUPS), (), FEW), "patients-controls") for table in (once, twice))
    assert (a["estimate"], a["p"]) == pytest.approx((b["estimate"], b["p"]), rel=1e-12)
    assert (a["n_subjects"], b["n_subjects"], a["n_scans"], b["n_scans"]) == (8, 8, 8, 16)


def test_only_included_rows_enter(design, study):
    worst = study.assign(included=~((study["participant_id"] == "sub-01") & (study["task_id"] == "neutral")))
    spoiled = worst.assign(value=worst["value"].where(worst["included"], 1e6))
    row = row_of(contrast_table(spoiled, design, only("patients-controls")), "patients-controls")
    assert row["n_subjects"] == 15
    assert abs(row["estimate"]) < 5


def test_included_may_be_written_as_text(study):
    text = study.assign(included=np.where(study["participant_id"] == "sub-01", "false", "true"))
    row = row_of(contrast_table(text, Design(**GROUPS)), "patients-controls")
    assert row["n_subjects"] == 15


def test_a_pair_with_one_scan_is_left_out_and_listed(design, study):
    lost = (study["participant_id"] == "sub-02") & (study["task_id"] == "cue") & (study["drug"] == "placebo")
    table = study[~lost]
    assert row_of(contrast_table(table, design, only("cue-baseline")), "cue-baseline")["n_subjects"] == 7
    listed = exclusion_table(table, design, only("cue-baseline"))
    (row,) = listed[(listed["analysis"] == "cue-baseline") & (listed["metabolite"] == "Glu")].to_dict("records")
    assert (row["participant_id"], row["task_id"], row["run"]) == ("sub-02", "neutral", "n/a")
    assert row["reason"] == "no usable scan with task_id cue"


def test_a_participant_without_a_covariate_is_left_out_of_the_adjusted_comparison_only(design, study):
    table = study.assign(age=study["age"].where(study["participant_id"] != "sub-05"))
    both = only("patients-controls", "patients-controls-adjusted")
    found = contrast_table(table, design, both)
    assert row_of(found, "patients-controls-adjusted")["n_subjects"] == 15
    assert row_of(found, "patients-controls")["n_subjects"] == 16
    listed = exclusion_table(table, design, both)
    assert set(listed[listed["analysis"] == "patients-controls-adjusted"]["reason"]) == {"age is missing"}


def test_rows_that_are_not_included_are_listed_with_their_reason(design, study):
    bad = (study["participant_id"] == "sub-03") & (study["session_id"] == "ses-1") & (study["task_id"] == "cue")
    table = study.assign(included=~bad, reason=np.where(bad, "line width 0.12 ppm", None))
    listed = exclusion_table(table, design, only("patients-controls"))
    everywhere = listed[listed["analysis"] == "all"]
    assert list(everywhere["metabolite"]) == ["Glu", "Glx"]
    assert set(everywhere["reason"]) == {"line width 0.12 ppm"}


MAIN = ("patients-controls", "cue-baseline", "group-by-cue", "nac-placebo")


def test_main_questions_are_adjusted_by_holm(result):
    main = result[(result["metabolite"] == "Glu") & result["contrast"].isin(MAIN)]
    order = np.sort(main["p"])
    holm = np.minimum(1, np.maximum.accumulate(order * [4, 3, 2, 1]))
    np.testing.assert_allclose(np.sort(main["p_adjusted"]), holm, rtol=1e-12)
    assert main["note"].str.contains("Holm over 4").all()
    assert set(main["family"]) == {"primary"}
    assert set(main["multiplicity"]) == {"Holm over 4 main contrasts"}


def test_supporting_contrasts_of_the_outcome_are_one_family_of_false_discoveries(result):
    checks = result["contrast"].isin(["carry-over", "craving", "craving-group-by-cue"])
    rest = result[(result["metabolite"] == "Glu") & ~result["contrast"].isin(MAIN) & ~checks]
    np.testing.assert_allclose(rest["p_adjusted"], stats.false_discovery_control(rest["p"]), rtol=1e-12)
    assert set(rest["family"]) == {"secondary"}
    assert result.loc[checks, "p_adjusted"].isna().all()
    assert set(result.loc[checks, "family"]) == {"none"}


def test_other_metabolites_are_a_family_of_their_own_within_each_question(study):
    rng = np.random.default_rng(8)
    glu = study[study["metabolite"] == "Glu"]
    others = [glu.assign(metabolite=name, value=glu["value"] + rng.normal(0, 1, len(glu))) for name in ("A", "B", "C")]
    design = Design(**GROUPS, secondary=["A", "B", "C"])
    table = contrast_table(pd.concat([glu, *others]), design)
    rest = table[table["metabolite"] != "Glu"]
    np.testing.assert_allclose(rest["p_adjusted"], stats.false_discovery_control(rest["p"]), rtol=1e-12)
    assert set(rest["multiplicity"]) == {"Benjamini-Hochberg over 3 other metabolites"}
    alone = table[table["metabolite"] == "Glu"].iloc[0]
    assert (alone["p_adjusted"], alone["family"]) == (alone["p"], "primary")


def test_in_a_fixed_sequence_a_contrast_is_as_weak_as_the_weakest_before_it(design, study):
    settings = StatsSettings(multiplicity="fixed-sequence")
    small = design.model_copy(update={"secondary": ()})
    table = contrast_table(study, small, only(*MAIN), settings).set_index("contrast")
    assert list(table["p_adjusted"]) == [max(table["p"].iloc[: i + 1]) for i in range(4)]
    assert list(table["multiplicity"]) == [f"fixed sequence, {i} of 4" for i in (1, 2, 3, 4)]
    assert "adjusted p is the largest of those so far" in table.loc["nac-placebo", "note"]
    backwards = contrast_table(study, small, only(*reversed(MAIN)), settings).set_index("contrast")
    assert backwards.loc["patients-controls", "p_adjusted"] == max(table["p"])


def test_a_contrast_that_could_not_be_computed_stops_the_fixed_sequence(design, study):
    settings = StatsSettings(multiplicity="fixed-sequence")
    patients = study[study["group"] == "CAI"]
    asked = only("patients-controls", "cue-baseline")
    table = contrast_table(patients, design.model_copy(update={"secondary": ()}), asked, settings)
    first, second = table.to_dict("records")
    assert np.isnan(first["p_adjusted"])
    assert (second["p"] < 0.05, second["p_adjusted"]) == (True, 1.0)
    assert "could not be computed" in second["note"]


def test_a_bound_in_the_unit_of_the_outcome_replaces_the_one_in_standard_deviations(design, study):
    wanted = (ContrastSettings(name="nac-placebo", equivalence_bound=1.0),)
    table = contrast_table(study, design, wanted, StatsSettings(equivalence_bound_sd=0.3))
    glu, glx = row_of(table, "nac-placebo"), row_of(table, "nac-placebo", "Glx")
    assert glu["tost_bound"] == 1.0
    assert glx["tost_bound"] == pytest.approx(0.3 * glx["estimate"] / glx["effect"], rel=1e-9)
    t = (1.0 - abs(glu["estimate"])) / glu["se"]
    assert glu["tost_p"] == pytest.approx(stats.t.sf(t, glu["df"]), rel=1e-9)


def test_a_contrast_of_ones_own_is_computed(design, study):
    own = ContrastSettings(
        name="groups during cue", compare=("group",), within={"condition": "cue"}, metabolites=("Glx",)
    )
    table = contrast_table(study, design, (own,))
    at = study[(study["metabolite"] == "Glx") & (study["task_id"] == "cue")]
    means = at.groupby(["group", "participant_id"])["value"].mean()
    assert len(table) == 1
    assert table["p"].item() == pytest.approx(stats.ttest_ind(means["CAI"], means["HC"], equal_var=False).pvalue)
    assert table["n_scans"].item() == 32


def test_before_and_after_is_a_paired_comparison(study):
    row = row_of(contrast_table(study, Design(**PRE_POST)), "2-1")
    at = scans(study).pivot_table("value", "participant_id", "session_id")
    assert row["p"] == pytest.approx(stats.ttest_rel(at["ses-2"], at["ses-1"]).pvalue, rel=1e-9)


def test_one_group_has_means_and_no_test(study):
    row = row_of(contrast_table(study, Design()), "mean")
    assert row["estimate"] == pytest.approx(scans(study)["value"].mean(), rel=1e-12)
    assert np.isnan(row["p"])
    assert np.isnan(row["p_adjusted"])
    assert "nothing to compare" in why_no_group_test(study, Design())


def _without_group_column(study):
    return study.drop(columns="group")


def _one_group(study):
    return study[study["group"] == "HC"]


def _two_people(study):
    return study[study["participant_id"].isin(["sub-01", "sub-16"])]


def _one_person(study):
    return study[study["participant_id"] == "sub-01"]


def _nothing_usable(study):
    return study.assign(included=False, value=np.nan, reason="there is no water reference")


def _other_spelling(study):
    return study.assign(group=study["group"].str.lower())


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (_without_group_column, "participants.tsv has no column 'group'"),
        (_one_group, r"group 'CAI' \(there is HC\)"),
        (_two_people, r"Only 1 participant has usable scans with group HC; at least 5 are asked for"),
        (_one_person, "group 'HC'"),
        (_nothing_usable, "no water reference"),
        (_other_spelling, r"there is cai, hc"),
    ],
)
def test_what_cannot_be_compared_is_a_row_with_a_reason(study, broken, why):
    design = Design(**GROUPS)
    table = broken(study)
    row = row_of(contrast_table(table, design), "patients-controls")
    assert np.isnan(row["estimate"])
    assert np.isnan(row["p"])
    assert re.search(why, row["note"])
    assert row["note"].rstrip(".") in why_no_group_test(table, design) or "no water" in why_no_group_test(table, design)
    exclusion_table(table, design)


DAMAGE = {
    **{f"no {name}": {"drop": name} for name in
       ("participant_id", "session_id", "task_id", "run", "metabolite", "quantity", "value", "included", "reason",
        "group", "age", "drug", "period")},
    "no rows": {"rows": 0}, "one row": {"rows": 1}, "four rows": {"rows": 4},
    "constant": {"set": {"value": 1.0}}, "infinite": {"set": {"value": np.inf}},
    "all smoke": {"set": {"smoker": "yes"}},
    "no ages": {"set": {"age": np.nan}}, "no treatments": {"set": {"drug": np.nan, "period": np.nan}},
    "one period": {"set": {"period": 1}},
}  # fmt: skip
EVERY_TEST = (
    "patients-controls",
    "patients-controls-adjusted",
    "cue-baseline",
    "group-by-cue",
    "nac-placebo",
    "craving",
)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_no_damage_to_the_table_stops_the_analysis(design, study, visits, damage):
    table = study.iloc[: damage.get("rows")].assign(**damage.get("set", {}))
    table = table.drop(columns=damage.get("drop", []))
    small = design.model_copy(update={"secondary": ()})
    asked = only(*EVERY_TEST)
    found = contrast_table(table, small, asked, ratings=ratings_table(visits, small))
    assert list(found["contrast"]) == list(EVERY_TEST)
    assert (found.loc[found["p"].isna(), "note"].str.len() > 10).all()
    exclusion_table(table, small, asked)
    why_no_group_test(table, small, asked)


def test_a_table_without_columns_is_no_error(design):
    assert contrast_table(pd.DataFrame(), design)["p"].isna().all()
    assert "No scan has a usable value" in why_no_group_test(pd.DataFrame(), design)
    assert exclusion_table(pd.DataFrame(), design).empty


def test_there_is_no_reason_when_there_is_a_test(design, study):
    assert why_no_group_test(study, design, only("patients-controls")) is None


def _cue_over_visits(study, design, *, random_condition):
    """The table's row, and the changes of each patient under either treatment."""
    # Visits that differ much, and participants who respond differently, keep variances from being zero.
    number = study["participant_id"].str[-2:].astype(int)
    respond = (number % 3 - 1.0) * (study["task_id"] == "cue")
    level = 2.0 * (number * 5 % 8)
    apart = study.assign(value=study["value"] + level + (number * 7 + study["period"] * 3) % 5 + 2 * respond)
    settings = StatsSettings(random_condition=random_condition)
    table = contrast_table(apart, design, (ContrastSettings(name="cue-baseline-visits"),), settings)
    at = scans(apart, group="CAI").pivot_table("value", ["participant_id", "drug"], "task_id")
    change = (at["cue"] - at["neutral"]).unstack("drug")  # noqa: PD010 - the index is the table's own
    return row_of(table, "cue-baseline-visits"), change


def test_the_cue_over_all_visits_is_judged_by_how_participants_differ(study, design):
    row, change = _cue_over_visits(study, design, random_condition=True)
    # Balanced: the paired t test of each participant's mean change.
    means = change.mean(axis=1)
    assert row["estimate"] == pytest.approx(means.mean(), rel=1e-8)
    assert row["se"] == pytest.approx(means.std(ddof=1) / np.sqrt(len(means)), rel=1e-6)
    assert row["df"] == pytest.approx(len(means) - 1, rel=1e-6)
    assert "(1 | participant:condition)" in row["model"]


def test_without_that_effect_the_changes_of_all_visits_count_as_independent(study, design):
    row, change = _cue_over_visits(study, design, random_condition=False)
    # Balanced: the mean change, against how the changes of a treatment vary.
    error = np.sqrt(change.var(ddof=1).mean() / change.size)
    assert row["estimate"] == pytest.approx(change.to_numpy().mean(), rel=1e-8)
    assert row["se"] == pytest.approx(error, rel=1e-6)
    assert row["df"] == pytest.approx(change.size - 2, rel=1e-6)
    assert row["n_scans"] == 32


def floored(visits):
    """Controls hardly leave the floor of the scale; patients spread over it."""
    rng = np.random.default_rng(8)
    control = visits["group"] == "HC"
    at_floor = rng.random(len(visits)) < 0.5
    return visits.assign(
        craving_neutral=visits["craving_neutral"].mask(control, np.where(at_floor, 0.0, 1.0)),
        craving_cue=visits["craving_cue"].mask(control, np.where(at_floor, 0.0, 2.0)) * 1.0,
    )


def test_changes_of_ratings_are_compared_between_groups_of_unequal_variance(design, study, visits):
    ratings = ratings_table(floored(visits), design)
    row = contrast_table(study, design, (ContrastSettings(name="craving-group-by-cue"),), ratings=ratings).iloc[0]
    placebo = floored(visits)[visits["drug"] == "placebo"]
    change = (placebo["craving_cue"] - placebo["craving_neutral"]).groupby(placebo["group"])
    exact = stats.ttest_ind(change.get_group("CAI"), change.get_group("HC"), equal_var=False)
    assert (row["statistic"], row["df"], row["p"]) == pytest.approx((exact.statistic, exact.df, exact.pvalue), rel=1e-9)
    assert (row["n_reference"], row["n_other"], row["n_scans"]) == (8, 8, 32)
    assert row["model"] == "Welch t test of the changes"


def test_the_share_of_ratings_at_the_floor_is_told_for_each_cell(design, study, visits):
    rated = floored(visits)
    table = contrast_table(study, design, (), ratings=ratings_table(rated, design)).set_index("contrast")
    controls = rated[(rated["drug"] == "placebo") & (rated["group"] == "HC")]
    neutral, cue = ((controls[name] == 0).sum() for name in ("craving_neutral", "craving_cue"))
    assert 0 < cue < 8
    told = f"HC neutral {neutral} of 8, HC cue {cue} of 8, CAI neutral 0 of 8, CAI cue 0 of 8."
    assert f"Ratings at the floor of the scale (0): {told}" in table.loc["craving-group-by-cue", "note"]
    assert "(0): neutral 0 of 8, cue 0 of 8." in table.loc["craving", "note"]
    assert not table.drop(index=["craving", "craving-group-by-cue"])["note"].str.contains("floor").any()
    below = contrast_table(study, design, (), ratings=ratings_table(rated.assign(craving_cue=-1.0), design))
    assert "is below the floor 0" in below.set_index("contrast").loc["craving", "note"]


def test_a_level_that_is_averaged_over_and_few_have_is_told(study):
    design = Design(
        condition={"entity": "task", "control": "neutral", "active": "cue"},
        time={"entity": "session", "levels": ["1", "2"]},
    )
    few = study[(study["session_id"] == "ses-1") | study["participant_id"].isin(["sub-01", "sub-02", "sub-03"])]
    asked = (ContrastSettings(name="cue-baseline-visits"),)
    note = contrast_table(few, design, asked)["note"].iloc[0]
    assert "Averaged over levels that few participants have (3 with session_id 2)" in note
    assert "few participants" not in contrast_table(study, design, asked)["note"].iloc[0]
