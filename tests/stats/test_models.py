import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mrspipe.core.errors import AnalysisError
from mrspipe.stats.effects import equivalence_p, hedges_correction, jzs_bf01, noncentral_interval
from mrspipe.stats.models import mean_level, mixed_model, paired_test, robust_regression, welch_test

JZS = 0.5**0.5
# Extra hours of sleep under two drugs, ten patients (Student 1908, doi 10.1093/biomet/6.1.1).
SLEEP_1 = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
SLEEP_2 = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])


def test_the_paired_test_of_the_sleep_data_gives_the_published_values():
    result = paired_test(SLEEP_1 - SLEEP_2, confidence=0.95, jzs_scale=JZS)
    assert result.statistic == pytest.approx(-4.06212768338204, rel=1e-12)
    assert result.p == pytest.approx(0.00283289019738427, rel=1e-10)
    assert result.df == 9
    assert (result.ci_low, result.ci_high) == pytest.approx((-2.45988576326, -0.70011423672), rel=1e-9)
    # R: dz with noncentral t limits, and the Bayes factor in the manual of BayesFactor, 17.259.
    assert result.effect.value == pytest.approx(-1.28455756259105, rel=1e-12)
    limits = (result.effect.ci_low, result.effect.ci_high)
    assert limits == pytest.approx((-2.11801651397707, -0.414627756380144), rel=1e-8)
    assert 1 / result.bf01 == pytest.approx(17.258880267774, rel=1e-8)


def test_the_welch_test_of_the_sleep_data_gives_the_published_values():
    result = welch_test(SLEEP_1, SLEEP_2, confidence=0.95, jzs_scale=JZS)
    assert result.statistic == pytest.approx(-1.86081346748685, rel=1e-12)
    assert result.df == pytest.approx(17.7764735161785, rel=1e-12)
    assert result.p == pytest.approx(0.0793941401873582, rel=1e-10)


def test_the_correction_of_hedges_is_near_its_usual_approximation():
    for df in (5, 20, 80):
        assert hedges_correction(df) == pytest.approx(1 - 3 / (4 * df - 1), abs=0.1 / df**2)


@pytest.mark.parametrize(("t", "df"), [(0.0, 9), (-4.06, 9), (2.5, 40), (30.0, 7), (-3.2436, 44), (12.0, 1)])
def test_noncentral_limits_have_the_stated_tail_probabilities(t, df):
    low, high = noncentral_interval(t, df, 0.95)
    rng = np.random.default_rng(1)
    z, chi = rng.normal(size=400_000), np.sqrt(rng.chisquare(df, 400_000) / df)
    # By simulation: independent of the function that is inverted. Tolerance: five Monte Carlo standard errors.
    for noncentrality, below in ((low, 0.975), (high, 0.025)):
        assert np.mean((z + noncentrality) / chi <= t) == pytest.approx(below, abs=5 * np.sqrt(0.025 * 0.975 / 4e5))


def test_more_data_without_an_effect_speak_more_for_no_effect():
    factors = [jzs_bf01(0.0, n, n - 1, JZS) for n in (5, 20, 80, 320)]
    assert factors == sorted(factors)
    assert factors[0] > 1


def test_the_equivalence_test_of_no_effect_is_symmetric_and_exact():
    assert equivalence_p(0.0, 1.0, 20, 2.0) == pytest.approx(stats.t.sf(2.0, 20), rel=1e-12)
    assert equivalence_p(0.4, 1.0, 20, 2.0) == pytest.approx(equivalence_p(-0.4, 1.0, 20, 2.0), rel=1e-12)
    assert equivalence_p(2.0, 1.0, 20, 2.0) == pytest.approx(0.5, rel=1e-12)


def test_robust_regression_has_the_errors_of_hc3_by_their_formula():
    rng = np.random.default_rng(2)
    x, age, smoker = np.repeat([-0.5, 0.5], 12), rng.normal(35, 8, 24), (rng.random(24) < 0.5).astype(float)
    y = 10 - x + 0.03 * age + rng.normal(0, 1 + (x > 0), 24)
    result = robust_regression(y, x, {"age": age, "smoker": smoker}, confidence=0.95)
    X = np.column_stack([np.ones(24), x, age, smoker])
    inverse = np.linalg.inv(X.T @ X)
    b = inverse @ X.T @ y
    weights = ((y - X @ b) / (1 - np.einsum("ij,jk,ik->i", X, inverse, X))) ** 2
    error = np.sqrt((inverse @ (X.T * weights) @ X @ inverse)[1, 1])
    assert result.estimate == pytest.approx(b[1], rel=1e-9)
    assert result.standard_error == pytest.approx(error, rel=1e-9)
    assert result.df == 20
    assert result.p == pytest.approx(2 * stats.t.sf(abs(b[1] / error), 20), rel=1e-9)


def test_a_covariate_that_is_the_group_is_refused():
    rng = np.random.default_rng(3)
    x = np.repeat([-0.5, 0.5], 8)
    with pytest.raises(AnalysisError, match="cannot be told apart from site"):
        robust_regression(rng.normal(size=16), x, {"site": x + 0.5}, confidence=0.95)


def test_a_level_of_one_participant_is_refused():
    rng = np.random.default_rng(4)
    alone = np.zeros(16)
    alone[3] = 1.0
    with pytest.raises(AnalysisError, match="single participant"):
        robust_regression(rng.normal(size=16), np.repeat([-0.5, 0.5], 8), {"sex": alone}, confidence=0.95)


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [([1.0], [2.0, 3.0], "at least two"), ([], [2.0, 3.0], "at least two"), ([1.0, 1.0], [1.0, 1.0], "do not vary")],
)
def test_a_group_comparison_without_enough_values_is_refused(first, second, why):
    with pytest.raises(AnalysisError, match=why):
        welch_test(np.array(first), np.array(second), confidence=0.95, jzs_scale=JZS)


def test_pairs_that_all_differ_by_the_same_are_refused():
    with pytest.raises(AnalysisError, match="do not vary"):
        paired_test(np.array([0.3, 0.1, 0.7]) + 0.1 - np.array([0.3, 0.1, 0.7]), confidence=0.95, jzs_scale=JZS)


def test_two_values_are_enough_for_a_paired_test():
    result = paired_test(np.array([1.0, 2.0]), confidence=0.95, jzs_scale=JZS)
    assert result.p == pytest.approx(stats.ttest_1samp([1.0, 2.0], 0).pvalue, rel=1e-12)
    assert result.effect.ci_low < result.effect.value < result.effect.ci_high


def test_a_mean_is_given_without_a_test():
    result = mean_level(np.array([1.0, 2.0, 3.0]), confidence=0.95)
    assert result.estimate == 2
    assert np.isnan(result.p)
    # t quantile of 2 degrees of freedom, 4.302653, times 1/sqrt(3).
    assert result.ci_high == pytest.approx(2 + 4.30265273 / np.sqrt(3), rel=1e-8)


def test_a_grouping_that_the_data_cannot_show_is_left_out():
    rng = np.random.default_rng(5)
    subject = np.repeat(np.arange(10), 2)
    columns = {"1": np.ones(20), "condition": np.tile([-0.5, 0.5], 10)}
    y = rng.normal(0, 1, 10)[subject] + rng.normal(0, 1, 20)
    assert mixed_model(y, columns, {"participant": subject, "scan": np.arange(20)}).random == ("participant",)
    assert mixed_model(y, columns, {"participant": subject, "again": subject}).random == ("participant",)
    assert mixed_model(y, columns, {"participant": np.arange(20)}).random == ()


def r_rows(real_data, dataset):
    folder = real_data / "reference" / "stats"
    rows = pd.read_csv(folder / f"dataset_{dataset}.tsv", sep="\t", na_values="n/a")
    reference = pd.read_csv(folder / f"reference_{dataset}.tsv", sep="\t").set_index(["analysis", "term"])
    usable = (rows["qc"] == "pass") & rows["glu"].notna() & (rows["drug"] == "placebo")
    return rows[usable], reference


def assert_agrees(result, expected, rel=1e-9):
    names = ("estimate", "standard_error", "df", "statistic", "p", "ci_low", "ci_high")
    columns = ["estimate", "se", "df", "statistic", "p", "ci_low", "ci_high"]
    np.testing.assert_allclose([getattr(result, name) for name in names], expected[columns].astype(float), rtol=rel)


@pytest.mark.real
@pytest.mark.parametrize("dataset", ["A", "C"])
@pytest.mark.parametrize(("name", "task"), [("H1", "neutral"), ("H1cue", "cue")])
def test_the_welch_test_agrees_with_r(real_data, dataset, name, task):
    rows, reference = r_rows(real_data, dataset)
    rows = rows[rows["task"] == task]
    first, second = (rows.loc[rows["group"] == group, "glu"].to_numpy() for group in ("CAI", "HC"))
    result = welch_test(first, second, confidence=0.95, jzs_scale=JZS)
    assert_agrees(result, reference.loc[(f"{name}.welch", "CAI-HC")])


@pytest.mark.real
@pytest.mark.parametrize("dataset", ["A", "C"])
@pytest.mark.parametrize(("name", "group"), [("H2", "CAI"), ("H2hc", "HC")])
def test_the_paired_test_agrees_with_r(real_data, dataset, name, group):
    rows, reference = r_rows(real_data, dataset)
    wide = rows[rows["group"] == group].pivot_table(index="participant_id", columns="task", values="glu").dropna()
    result = paired_test((wide["cue"] - wide["neutral"]).to_numpy(), confidence=0.95, jzs_scale=JZS)
    assert_agrees(result, reference.loc[(f"{name}.paired_t", "cue-neutral")])


@pytest.mark.real
@pytest.mark.parametrize("dataset", ["A", "C"])
def test_the_adjusted_difference_agrees_with_r(real_data, dataset):
    rows, reference = r_rows(real_data, dataset)
    rows = rows[rows["task"] == "neutral"].dropna(subset=["age", "sex", "smoker", "gm_fraction"])
    covariates = {
        "age": rows["age"].to_numpy(), "sex": (rows["sex"] == "M").to_numpy(dtype=float),
        "smoker": (rows["smoker"] == "yes").to_numpy(dtype=float), "gm_fraction": rows["gm_fraction"].to_numpy(),
    }  # fmt: skip
    group = (rows["group"] == "CAI").to_numpy(dtype=float)
    result = robust_regression(rows["glu"].to_numpy(), group, covariates, confidence=0.95)
    assert_agrees(result, reference.loc[("H1a.ancova_hc3", "groupCAI")])


@pytest.mark.slow
def test_p_values_of_the_group_tests_are_uniform_when_there_is_no_effect():
    rng = np.random.default_rng(6)
    x, covariate = np.repeat([-0.5, 0.5], [20, 26]), rng.normal(size=46)
    found = {"welch": [], "paired": []}
    for _ in range(1500):
        a, b = rng.normal(0, 1, 20), rng.normal(0, 2, 26)
        found["welch"].append(welch_test(a, b, confidence=0.95, jzs_scale=JZS).p)
        found["paired"].append(paired_test(b, confidence=0.95, jzs_scale=JZS).p)
    for p in found.values():
        assert stats.kstest(p, "uniform").pvalue > 1e-3
    # HC3 is conservative by design at this size, never liberal beyond Monte Carlo error.
    p = [robust_regression(rng.normal(size=46), x, {"a": covariate}, confidence=0.95).p for _ in range(1500)]
    assert np.mean(np.array(p) < 0.05) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 1500)


@pytest.mark.parametrize("seed", range(12))
def test_a_random_effect_beside_the_visits_is_kept_whatever_the_order_of_the_rows(seed):
    # 8 participants with 2 visits of 2 conditions each: neither split of a participant follows from the other.
    rng = np.random.default_rng(seed)
    who, visit, condition = (part.ravel() for part in np.meshgrid(range(8), range(2), range(2), indexing="ij"))
    order = rng.permutation(32)
    who, visit, condition = who[order], visit[order], condition[order]
    groupings = {
        "participant": [f"{p}" for p in who],
        "participant:visit": [f"{p}/{v}" for p, v in zip(who, visit, strict=True)],
        "participant:condition": [f"{p}/{c}" for p, c in zip(who, condition, strict=True)],
    }
    model = mixed_model(rng.normal(size=32), {"1": np.ones(32), "condition": condition - 0.5}, groupings)
    assert model.random == tuple(groupings)
