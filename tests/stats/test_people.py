"""Who was compared, against R and scipy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mrspipe.stats.design import Design
from mrspipe.stats.people import COLUMNS, people_table

DESIGN = Design(group={"control": "HC", "patient": "CAI"})


def people(n=12, seed=6):
    rng = np.random.default_rng(seed)
    group = np.array(["HC", "CAI"])[np.arange(2 * n) % 2]
    return pd.DataFrame(
        {
            "participant_id": [f"sub-{i:02d}" for i in range(2 * n)],
            "group": group,
            "age": rng.normal(32, 7, 2 * n).round(1),
            "sex": np.where(rng.random(2 * n) < 0.6, "M", "F"),
            "education": np.array(["school", "college", "university"])[rng.integers(0, 3, 2 * n)],
            "grams": np.where(group == "CAI", rng.lognormal(1, 1, 2 * n), 0.0),
        }
    )


def row_of(table, variable):
    return table[table["variable"] == variable].iloc[0]


@pytest.mark.real
@pytest.mark.parametrize("name", ["A", "C"])
def test_demographics_equal_those_of_r(real_data, name):
    folder = real_data / "reference" / "stats"
    data = pd.read_csv(folder / f"dataset_{name}.tsv", sep="\t", na_values="n/a")
    reference = pd.read_csv(folder / f"reference_{name}.tsv", sep="\t").set_index("analysis")
    found = people_table(
        data.drop_duplicates("participant_id")[["participant_id", "group", "age", "sex", "smoker"]], DESIGN
    )
    age, expected = row_of(found, "age"), reference.loc["S3.age.welch"]
    assert [age["statistic"], age["df"], age["p"]] == pytest.approx(
        [expected["statistic"], expected["df"], expected["p"]], rel=1e-9
    )
    for column in ("sex", "smoker"):
        assert row_of(found, column)["p"] == pytest.approx(reference.loc[f"S3.{column}.fisher", "p"], rel=1e-9)


def test_numbers_have_both_tests_and_categories_an_exact_one():
    table = people()
    found = people_table(table, DESIGN)
    assert tuple(found.columns) == COLUMNS
    sides = dict(iter(table.groupby("group")))
    ages = [sides[name]["age"] for name in ("CAI", "HC")]
    age = row_of(found, "age")
    assert age["p"] == pytest.approx(stats.ttest_ind(*ages, equal_var=False).pvalue, rel=1e-9)
    assert (age["mean_other"], age["sd_reference"]) == pytest.approx((ages[0].mean(), ages[1].std(ddof=1)))
    grams = row_of(found, "grams")
    expected = stats.mannwhitneyu(sides["CAI"]["grams"], sides["HC"]["grams"], method="asymptotic")
    assert grams["rank_p"] == pytest.approx(expected.pvalue, rel=1e-9)
    counts = pd.crosstab(table["sex"], table["group"]).to_numpy()
    sex = found[found["variable"] == "sex"]
    assert sex["p"].iloc[0] == pytest.approx(stats.fisher_exact(counts)[1], rel=1e-9)
    assert sex["p"].iloc[1:].isna().all()
    assert sex[["count_reference", "count_other"]].to_numpy().sum() == 24
    # Three levels: all tables with these margins that are not more likely, from the hypergeometric distribution.
    wanted = pd.crosstab(table["education"], table["group"]).to_numpy()
    rows, total = wanted.sum(axis=1), wanted.sum(axis=0)[0]
    law = stats.multivariate_hypergeom(rows, total)
    chances = [
        law.pmf([i, j, total - i - j])
        for i in range(rows[0] + 1)
        for j in range(rows[1] + 1)
        if 0 <= total - i - j <= rows[2]
    ]
    p = sum(chance for chance in chances if chance <= law.pmf(wanted[:, 0]) * (1 + 1e-7))
    assert row_of(found, "education")["p"] == pytest.approx(p, rel=1e-9)


def test_missing_values_count_nowhere():
    table = people()
    table.loc[[0, 1, 2], "age"] = np.nan
    table.loc[3, "sex"] = None
    found = people_table(table, DESIGN)
    assert (row_of(found, "age")["n_reference"], row_of(found, "age")["n_other"]) == (10, 11)
    assert (row_of(found, "sex")["n_reference"], row_of(found, "sex")["n_other"]) == (12, 11)


def test_truth_values_are_categories():
    table = people().assign(smoker=[i % 3 == 0 for i in range(24)])
    smoker = people_table(table, DESIGN).query("variable == 'smoker'")
    assert list(smoker["level"]) == ["False", "True"]
    assert smoker["test"].iloc[0] == "Fisher exact test"


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda table: table[table["group"] == "HC"], "at least two participants"),
        (lambda table: table.assign(age=np.nan), "at least two participants"),
        (lambda table: table.assign(age=30.0), "do not vary"),
    ],
)
def test_what_cannot_be_tested_is_a_row_with_a_note(change, note):
    age = row_of(people_table(change(people()), DESIGN), "age")
    assert np.isnan(age["p"])
    assert note in age["note"]


def test_without_groups_the_table_is_empty_and_arms_stand_in_for_them():
    assert people_table(people(), Design()).empty
    assert people_table(people().drop(columns="group"), DESIGN).empty
    arms = people().rename(columns={"group": "arm"})
    found = people_table(arms, Design(arm={"control": "HC", "active": "CAI"}))
    assert row_of(found, "age")["p"] == row_of(people_table(people(), DESIGN), "age")["p"]


def test_the_order_of_the_participants_changes_nothing():
    shuffled = people().sample(frac=1, random_state=2)
    pd.testing.assert_frame_equal(people_table(people(), DESIGN), people_table(shuffled, DESIGN))
