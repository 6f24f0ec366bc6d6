"""What glutamate goes along with, against R and scipy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mrspipe.stats.associations import COLUMNS, association_table
from mrspipe.stats.design import Design, StatsSettings
from mrspipe.stats.ratings import ratings_table

CROSSOVER = {
    "group": {"control": "HC", "patient": "CAI"},
    "condition": {"entity": "task", "control": "neutral", "active": "cue"},
    "treatment": {"column": "drug", "control": "placebo", "active": "nac", "period": "period"},
}
RATED = {"ratings": {"name": "craving", "columns": {"neutral": "craving_neutral", "cue": "craving_cue"}}}


@pytest.fixture(scope="module")
def people(study):
    rng = np.random.default_rng(9)
    table = study.drop_duplicates("participant_id")[["participant_id", "group", "age"]].reset_index(drop=True)
    return table.assign(grams=rng.lognormal(1, 1, len(table)), years=rng.integers(1, 20, len(table)))


@pytest.fixture(scope="module")
def design():
    return Design(**CROSSOVER, **RATED, associations=("grams", "years"), associations_adjusted_for="age")


def table_of(study, visits, people, design, **settings):
    ratings = None if visits is None else ratings_table(visits, design)
    return association_table(study, ratings, people, design, StatsSettings(**settings))


def row_of(table, of, name):
    (row,) = table[(table["of"] == of) & (table["with"] == name)].to_dict("records")
    return row


@pytest.mark.real
@pytest.mark.parametrize("name", ["A", "C"])
def test_rank_correlations_equal_those_of_r(real_data, name):
    folder = real_data / "reference" / "stats"
    data = pd.read_csv(folder / f"dataset_{name}.tsv", sep="\t", na_values="n/a")
    reference = pd.read_csv(folder / f"reference_{name}.tsv", sep="\t").set_index("analysis")
    scans = data.assign(
        drug=data["drug"].str.lower(), session_id="ses-" + data["session"].astype(str), task_id=data["task"],
        metabolite="Glu", quantity="molar", value=data["glu"],
        included=(data["qc"] == "pass") & data["glu"].notna(),
    )  # fmt: skip
    design = Design(
        **CROSSOVER, ratings={"name": "vas", "columns": {"neutral": "neutral", "cue": "cue"}},
        associations=("g_per_week",), associations_adjusted_for="age",
    )  # fmt: skip
    ratings = scans.drop(columns=["metabolite", "quantity", "included"]).assign(rating="vas", value=data["vas"])
    people = data.drop_duplicates("participant_id")
    found = association_table(scans, ratings, people, design, StatsSettings())
    for of, what, analysis in (
        ("baseline", "g_per_week", "S2.glu_g_per_week"),
        ("baseline", "baseline vas", "S2.glu_vas"),
        ("change", "change of vas", "S2.dglu_dvas"),
    ):
        row, plain, partial = (
            row_of(found, of, what),
            *(reference.loc[f"{analysis}.spearman{end}"] for end in ("", "_partial_age")),
        )
        numbers = ["rho", "statistic", "df", "p", "ci_low", "ci_high"]
        expected = ["estimate", "statistic", "df", "p", "ci_low", "ci_high"]
        assert [row[name] for name in numbers] == pytest.approx([plain[name] for name in expected], rel=1e-8)
        assert [row["partial_rho"], row["partial_p"]] == pytest.approx([partial["estimate"], partial["p"]], rel=1e-8)
        assert row["n"] == float(str(plain["extra"]).split(";")[0].removeprefix("n="))


def test_pairs_are_those_of_the_patients_at_baseline_and_their_changes(study, visits, people, design):
    found = table_of(study, visits, people, design)
    assert tuple(found.columns) == COLUMNS
    assert list(found["with"]) == ["grams", "years", "baseline craving", "change of craving"]
    glu = study[(study["metabolite"] == "Glu") & (study["drug"] == "placebo") & (study["group"] == "CAI")]
    glu = glu.pivot_table("value", "participant_id", "task_id")
    joined = glu.join(people.set_index("participant_id"))
    joined = joined.join(visits[visits["drug"] == "placebo"].set_index("participant_id").filter(like="craving"))
    for of, name, x, y in (
        ("baseline", "grams", joined["neutral"], joined["grams"]),
        ("baseline", "baseline craving", joined["neutral"], joined["craving_neutral"]),
        (
            "change",
            "change of craving",
            joined["cue"] - joined["neutral"],
            joined["craving_cue"] - joined["craving_neutral"],
        ),
    ):
        expected = stats.spearmanr(x, y)
        row = row_of(found, of, name)
        assert (row["rho"], row["p"], row["n"]) == pytest.approx((expected.statistic, expected.pvalue, 8), rel=1e-9)
        assert row["boot_ci_low"] <= row["rho"] <= row["boot_ci_high"]
    assert list(found["p_adjusted"]) == pytest.approx(stats.false_discovery_control(found["p"].to_numpy(float)))


def test_only_those_with_both_values_count_and_a_participant_without_scans_does_not(study, visits, people, design):
    lost = people.assign(grams=people["grams"].mask(people["participant_id"] == "sub-02"))
    extra = {"participant_id": "sub-99", "group": "CAI", "age": 30.0, "grams": 2.0, "years": 3}
    lost = pd.concat([lost, pd.DataFrame([extra])], ignore_index=True)
    rated = visits.assign(craving_cue=visits["craving_cue"].mask(visits["participant_id"] == "sub-03"))
    found = table_of(study, rated, lost, design)
    assert [int(n) for n in found["n"]] == [7, 8, 8, 7]
    lost.loc[lost["participant_id"] == "sub-04", "age"] = np.nan
    again = table_of(study, rated, lost, design)
    assert [int(n) for n in again["n"]] == [7, 8, 8, 7]
    assert [int(n) for n in again["partial_n"]] == [6, 7, 7, 6]


def test_doubtful_scans_are_left_out_where_the_contrasts_leave_them_out(study, visits, people, design):
    doubtful = study["participant_id"] == "sub-01"
    judged = study.assign(verdict=np.where(doubtful, "doubtful", "good"))
    assert row_of(table_of(judged, visits, people, design), "baseline", "grams")["n"] == 8
    assert row_of(table_of(judged, visits, people, design, include_doubtful=False), "baseline", "grams")["n"] == 7


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda people: people.drop(columns="grams"), "participants.tsv has no column 'grams'"),
        (lambda people: people.assign(grams=np.nan), "0 participants have both"),
        (lambda people: people.assign(grams=1.0), "does not vary"),
        (lambda people: people.iloc[:0], "0 participants have both"),
    ],
)
def test_what_cannot_be_correlated_is_a_row_with_a_note(study, visits, people, design, change, note):
    row = row_of(table_of(study, visits, change(people), design), "baseline", "grams")
    assert note in row["note"]
    assert np.isnan(row["p"])


def test_without_groups_all_participants_count_and_without_ratings_only_covariates(study, people):
    design = Design(condition=CROSSOVER["condition"], associations=("grams",))
    found = association_table(study[study["drug"] == "placebo"], None, people, design, StatsSettings())
    assert list(found["with"]) == ["grams"]
    assert (found["n"].iloc[0], found["participants"].iloc[0]) == (16, "all")


def test_shuffled_tables_give_the_same_bytes(study, visits, people, design):
    first = table_of(study, visits, people, design)
    other = table_of(*(table.sample(frac=1, random_state=3) for table in (study, visits, people)), design)
    pd.testing.assert_frame_equal(first, other)
