import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import quad

from mrspipe.stats.effects import (
    cohen_dz,
    equivalence_p,
    hedges_correction,
    hedges_g,
    jzs_bf01,
    noncentral_interval,
    pooled_t,
)

SCALE = 0.5**0.5


def test_the_correction_of_hedges_has_its_closed_form_at_small_df():
    # Gamma(1) / (sqrt(1) Gamma(1/2)), and Gamma(3/2) / (sqrt(3/2) Gamma(1)).
    assert hedges_correction(2) == pytest.approx(1 / math.sqrt(math.pi), rel=1e-14)
    assert hedges_correction(3) == pytest.approx(math.sqrt(math.pi) / 2 / math.sqrt(1.5), rel=1e-14)
    assert math.isnan(hedges_correction(1))


def test_hedges_g_is_without_bias():
    rng = np.random.default_rng(1)
    first, second = rng.normal(0.8, 1, (40_000, 6)), rng.normal(0, 1, (40_000, 8))
    pooled = np.sqrt((5 * first.var(axis=1, ddof=1) + 7 * second.var(axis=1, ddof=1)) / 12)
    d = (first.mean(axis=1) - second.mean(axis=1)) / pooled
    values = hedges_correction(12) * d
    assert values.mean() == pytest.approx(0.8, abs=4 * values.std() / 200)
    assert hedges_g(first[0], second[0], 0.95).value == pytest.approx(values[0], rel=1e-12)


def test_hedges_g_changes_its_sign_with_the_order_of_the_samples():
    rng = np.random.default_rng(2)
    first, second = rng.normal(1, 1, 9), rng.normal(0, 2, 14)
    a, b = hedges_g(first, second, 0.9), hedges_g(second, first, 0.9)
    assert (a.value, a.ci_low, a.ci_high) == pytest.approx((-b.value, -b.ci_high, -b.ci_low), rel=1e-9)


def test_dz_times_the_root_of_n_is_the_paired_t():
    differences = np.random.default_rng(3).normal(0.4, 1, 17)
    t = stats.ttest_1samp(differences, 0).statistic
    assert cohen_dz(differences, 0.95).value == pytest.approx(t / math.sqrt(17), rel=1e-12)


def below(t, df, noncentrality):
    """P(T <= t) from its definition: T = (Z + noncentrality) / sqrt(chi2 / df), averaged over chi."""

    def integrand(s):
        return stats.norm.cdf(t * s - noncentrality) * 2 * df * s * stats.chi2.pdf(df * s * s, df)

    width = 12 / math.sqrt(2 * df)
    return quad(integrand, max(0.0, 1 - width), 1 + width, epsabs=1e-12, limit=400)[0]


@pytest.mark.parametrize(("t", "df"), [(0.0, 9), (-4.06, 9), (2.5, 40), (-3.2436, 44), (30.0, 12), (200.0, 10)])
def test_the_limits_of_the_noncentrality_fulfil_their_definition(t, df):
    low, high = noncentral_interval(t, df, 0.95)
    assert below(t, df, low) == pytest.approx(0.975, abs=1e-8)
    assert below(t, df, high) == pytest.approx(0.025, abs=1e-8)


def savage_dickey(t, n, scale):
    """BF01 of a one-sample t test: density of the effect at zero, posterior over prior."""

    def likelihood(effect):
        return stats.nct.pdf(t, n - 1, effect * math.sqrt(n))

    def weighted(effect):
        return likelihood(effect) * stats.cauchy.pdf(effect, scale=scale)

    centre = t / math.sqrt(n)
    marginal = sum(quad(weighted, a, b, limit=200)[0] for a, b in ((centre - 3, centre), (centre, centre + 3)))
    return likelihood(0.0) / marginal


@pytest.mark.parametrize(("t", "n"), [(0.0, 20), (1.5, 20), (-2.8, 30), (4.1, 12)])
def test_the_bayes_factor_is_the_ratio_of_marginal_likelihoods_under_a_cauchy_prior(t, n):
    # An integral over the effect itself; the code integrates over the prior's variance.
    assert jzs_bf01(t, n, n - 1, SCALE) == pytest.approx(savage_dickey(t, n, SCALE), rel=1e-3 if n < 15 else 1e-5)


def test_the_bayes_factor_of_a_huge_effect_does_not_overflow():
    assert jzs_bf01(100.0, 500, 499, SCALE) < 1e-300
    assert math.isnan(jzs_bf01(math.inf, 10, 9, SCALE))


def test_equivalence_of_an_estimate_beyond_the_bound_is_not_shown():
    assert equivalence_p(3.0, 1.0, 12, 2.0) > 0.5
    assert equivalence_p(0.0, 0.1, 12, 2.0) < 1e-6


def r_samples(real_data, dataset):
    folder = real_data / "reference" / "stats"
    rows = pd.read_csv(folder / f"dataset_{dataset}.tsv", sep="\t", na_values="n/a")
    reference = pd.read_csv(folder / f"reference_{dataset}.tsv", sep="\t").drop_duplicates("analysis")
    return rows, reference.set_index("analysis")


def placebo(rows, outcome="glu"):
    return rows[(rows["drug"] == "placebo") & ((rows["qc"] == "pass") | (outcome == "vas"))].dropna(subset=[outcome])


def change(rows, group, outcome="glu"):
    rows = placebo(rows, outcome)
    wide = rows[rows["group"] == group].pivot_table(index="participant_id", columns="task", values=outcome).dropna()
    return (wide["cue"] - wide["neutral"]).to_numpy()


@pytest.mark.real
@pytest.mark.parametrize("dataset", ["A", "C"])
@pytest.mark.parametrize(("name", "task"), [("H1", "neutral"), ("H1cue", "cue")])
def test_effects_of_two_samples_agree_with_r(real_data, dataset, name, task):
    rows, reference = r_samples(real_data, dataset)
    rows = placebo(rows)[lambda r: r["task"] == task]
    first, second = (rows.loc[rows["group"] == group, "glu"].to_numpy() for group in ("CAI", "HC"))
    effect, expected = hedges_g(first, second, 0.95), reference.loc[f"{name}.hedges_g"]
    assert effect.value == pytest.approx(expected["estimate"], rel=1e-9)
    assert (effect.ci_low, effect.ci_high) == pytest.approx((expected["ci_low"], expected["ci_high"]), rel=1e-8)
    n_1, n_2 = len(first), len(second)
    bf01 = jzs_bf01(pooled_t(first, second), n_1 * n_2 / (n_1 + n_2), n_1 + n_2 - 2, SCALE)
    assert 1 / bf01 == pytest.approx(reference.loc[f"{name}.jzs", "estimate"], rel=1e-8)


@pytest.mark.real
@pytest.mark.parametrize("dataset", ["A", "C"])
@pytest.mark.parametrize(
    ("name", "group", "outcome"), [("H2", "CAI", "glu"), ("H2hc", "HC", "glu"), ("M1vas", "CAI", "vas")]
)
def test_effects_of_pairs_agree_with_r(real_data, dataset, name, group, outcome):
    rows, reference = r_samples(real_data, dataset)
    differences = change(rows, group, outcome)
    effect, expected = cohen_dz(differences, 0.95), reference.loc[f"{name}.dz"]
    assert effect.value == pytest.approx(expected["estimate"], rel=1e-9)
    assert (effect.ci_low, effect.ci_high) == pytest.approx((expected["ci_low"], expected["ci_high"]), rel=1e-8)
    n = len(differences)
    bf01 = jzs_bf01(effect.value * math.sqrt(n), n, n - 1, SCALE)
    assert 1 / bf01 == pytest.approx(reference.loc[f"{name}.jzs", "estimate"], rel=1e-7 if outcome == "vas" else 1e-8)


@pytest.mark.real
@pytest.mark.parametrize("dataset", ["A", "C"])
def test_equivalence_tests_agree_with_r(real_data, dataset):
    path = real_data / "reference" / "stats" / f"reference_{dataset}.tsv"
    reference = pd.read_csv(path, sep="\t")
    rows = reference[reference["analysis"].str.endswith(".tost")]
    assert len(rows) >= 8
    for row in rows.itertuples():
        bound = float(row.term.removeprefix("bounds +-").removesuffix(" mM"))
        assert equivalence_p(row.estimate, row.se, row.df, bound) == pytest.approx(row.p, rel=1e-9)


def test_the_limits_of_a_huge_statistic_are_those_of_the_mean_square_alone():
    # T is then the noncentrality over the root of a mean square, whose quantiles are those of chi-squared.
    roots = [math.sqrt(stats.chi2.ppf(q, 12) / 12) for q in (0.025, 0.975)]
    for t in (2.9e3, 3.1e3, 1e7):
        assert noncentral_interval(t, 12, 0.95) == pytest.approx([t * root for root in roots], rel=3e-6)
        low, high = noncentral_interval(-t, 12, 0.95)
        assert (-high, -low) == pytest.approx(noncentral_interval(t, 12, 0.95), rel=1e-12)
