"""Contrasts by ranks, by resampling, and weighted, against R, scipy, and the formula of a meta-analysis."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mrspipe.stats.contrasts import contrast_table
from mrspipe.stats.design import ContrastSettings, Design

BEFORE_AFTER = Design(time={"entity": "session", "levels": ["pre", "mid", "post"]})
ARMS = Design(arm={"control": "placebo", "active": "drug"})


def result(table, design, **contrast):
    row = contrast_table(table, design, (ContrastSettings(**{"name": "one", **contrast}),))
    return row[row["metabolite"] == "Glu"].iloc[0]


def reference_scans(real_data, name):
    folder = real_data / "reference" / "stats"
    data = pd.read_csv(folder / f"dataset_{name}.tsv", sep="\t", na_values="n/a")
    scans = data.assign(
        drug=data["drug"].str.lower(), session_id="ses-" + data["session"].astype(str), task_id=data["task"],
        metabolite="Glu", quantity="molar", value=data["glu"],
        included=(data["qc"] == "pass") & data["glu"].notna(),
    )  # fmt: skip
    return scans, pd.read_csv(folder / f"reference_{name}.tsv", sep="\t").set_index("analysis")


@pytest.mark.real
@pytest.mark.parametrize("name", ["A", "C"])
def test_rank_and_permutation_tests_equal_those_of_r(real_data, design, name):
    scans, reference = reference_scans(real_data, name)
    groups = result(scans, design, name="patients-controls", test="ranks")
    assert [groups["statistic"], groups["p"], groups["estimate"]] == pytest.approx(
        reference.loc["H1.mwu", ["statistic", "p", "estimate"]].tolist(), rel=1e-8
    )
    pairs = result(scans, design, name="cue-baseline", test="ranks")
    assert [pairs["statistic"], pairs["p"], pairs["estimate"]] == pytest.approx(
        reference.loc["H2.wilcoxon", ["statistic", "p", "estimate"]].tolist(), rel=1e-8
    )
    # Two Monte Carlo estimates of the same p value.
    drawn = result(scans, design, name="patients-controls", test="resampling")
    expected = reference.loc["H1.perm_welch_t"]
    assert drawn["statistic"] == pytest.approx(expected["statistic"], rel=1e-9)
    p = float(expected["p"])
    assert abs(drawn["p"] - p) < 4 * np.sqrt(p * (1 - p) * (1 / 10_000 + 1 / 100_000))
    flipped = result(scans, design, name="cue-baseline", test="resampling")
    exact = float(reference.loc["H2.signflip", "p"])
    assert abs(flipped["p"] - exact) < 4 * np.sqrt(exact * (1 - exact) / 10_000) + 1e-4


def visits(n=9, seed=1, **columns):
    rng = np.random.default_rng(seed)
    rows = [
        {"participant_id": f"sub-{i:02d}", "session_id": f"ses-{time}", "metabolite": "Glu", "quantity": "molar",
         "value": 10 + own + up + rng.normal(0, 0.5), "se_own": rng.uniform(0.2, 0.9),
         "arm": ("placebo", "drug")[i % 2]}
        for i, own in enumerate(rng.normal(0, 1, n))
        for time, up in (("pre", 0.0), ("mid", 5.0), ("post", 1.0))
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**columns)


@pytest.mark.parametrize("times", [("pre", "post"), ("pre", "mid"), ("mid", "post")])
def test_two_of_three_times_are_tested_by_ranks(times):
    table = visits()
    row = result(table, BEFORE_AFTER, compare=("time",), test="ranks", times=times)
    wide = table.pivot_table("value", "participant_id", "session_id")
    change = wide[f"ses-{times[1]}"] - wide[f"ses-{times[0]}"]
    exact = stats.wilcoxon(change, method="exact")
    assert row["p"] == pytest.approx(exact.pvalue, rel=1e-9)
    averages = np.add.outer(change.to_numpy(), change.to_numpy())[np.triu_indices(9)] / 2
    assert row["estimate"] == pytest.approx(np.median(averages))
    assert (row["n_subjects"], row["n_scans"], row["effect_name"]) == (9, 18, "rank-biserial r")
    assert np.isnan(row["tost_p"])


def test_arms_are_tested_by_ranks():
    table = visits(n=14)
    table = table[table["session_id"] == "ses-post"]
    row = result(table, ARMS, compare=("arm",), test="ranks")
    sides = table.groupby("arm")["value"]
    exact = stats.mannwhitneyu(sides.get_group("drug"), sides.get_group("placebo"), method="exact")
    assert (row["statistic"], row["p"]) == pytest.approx((exact.statistic, exact.pvalue), rel=1e-9)


def test_equal_standard_errors_that_explain_nothing_leave_the_t_tests():
    # With a variance between participants beyond the known one, equal weights give Student's tests.
    table = visits(n=14, se_own=0.01)
    row = result(table, BEFORE_AFTER, compare=("time",), test="weighted", times=("pre", "post"))
    wide = table.pivot_table("value", "participant_id", "session_id")
    exact = stats.ttest_rel(wide["ses-post"], wide["ses-pre"])
    assert (row["statistic"], row["df"]) == pytest.approx((exact.statistic, 13), rel=1e-6)
    after = table[table["session_id"] == "ses-post"]
    row = result(after, ARMS, compare=("arm",), test="weighted")
    sides = after.groupby("arm")["value"]
    exact = stats.ttest_ind(sides.get_group("drug"), sides.get_group("placebo"))
    assert (row["statistic"], row["df"]) == pytest.approx((exact.statistic, 12), rel=1e-6)


def test_where_scans_vary_no_more_than_their_errors_the_weights_are_those_of_a_fixed_effect():
    # Changes all alike but for a hair: the variance between participants is zero, and weights are 1 / (se^2 + se^2).
    table = visits()
    number = table["participant_id"].str[-2:].astype(int)
    up = (table["session_id"] == "ses-post") * (1 + 0.001 * number)
    table = table.assign(value=10 + number + up)
    row = result(table, BEFORE_AFTER, compare=("time",), test="weighted", times=("pre", "post"))
    squares = table[table["session_id"] != "ses-mid"].groupby("participant_id")["se_own"].agg(lambda se: (se**2).sum())
    weights = 1 / squares
    change = 1 + 0.001 * np.arange(9)
    assert row["estimate"] == pytest.approx(np.sum(weights * change) / weights.sum(), rel=1e-9)
    assert row["se"] >= weights.sum() ** -0.5


def test_the_error_of_the_fit_stands_in_where_a_scan_has_none_of_its_own():
    table = visits().assign(se_fit=0.4)
    table.loc[table["participant_id"] == "sub-03", "se_own"] = np.nan
    own = result(table, BEFORE_AFTER, compare=("time",), test="weighted", times=("pre", "post"))
    fit = result(table.drop(columns="se_own"), BEFORE_AFTER, compare=("time",), test="weighted", times=("pre", "post"))
    assert own["p"] == fit["p"] < 1
    none = result(table.drop(columns="se_fit"), BEFORE_AFTER, compare=("time",), test="weighted", times=("pre", "post"))
    assert "Not every scan has a standard error" in none["note"]


@pytest.mark.parametrize("test", ["ranks", "resampling", "weighted"])
def test_a_missing_visit_leaves_the_participant_out_and_few_are_refused(test):
    table = visits()
    gone = (table["participant_id"] == "sub-03") & (table["session_id"] == "ses-post")
    asked = {"compare": ("time",), "test": test, "times": ("pre", "post")}
    row = result(table[~gone], BEFORE_AFTER, **asked)
    assert (row["n_subjects"], row["n_scans"], row["n_left_out"]) == (8, 16, 1)
    few = result(table[table["participant_id"] < "sub-04"], BEFORE_AFTER, **asked)
    assert "at least 5 are asked for" in few["note"]
    one_arm = result(table[table["arm"] == "drug"], ARMS, compare=("arm",), test=test)
    assert "No usable scan has arm 'placebo'" in one_arm["note"]


@pytest.mark.parametrize("test", ["ranks", "resampling", "weighted"])
def test_the_same_table_in_another_order_gives_the_same_numbers(test):
    table = visits(n=12)
    asked = {"compare": ("time",), "test": test, "times": ("pre", "post")}
    rows = [result(one, BEFORE_AFTER, **asked) for one in (table, table.sample(frac=1, random_state=5))]
    pd.testing.assert_series_equal(*rows, check_exact=True)
