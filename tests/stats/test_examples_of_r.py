"""Worked examples with published answers, and what R gives for them: those whose data are short published tables."""

import numpy as np
import pandas as pd
import pytest
from r_reference.samples import fields
from r_reference.tables import COLUMNS, numbers

from mrspipe.stats.association import spearman
from mrspipe.stats.counts import exact_test, fisher_test
from mrspipe.stats.crossover import crossover_tests
from mrspipe.stats.effects import cohen_dz, jzs_bf01
from mrspipe.stats.models import mixed_model, paired_test, student_test, welch_test
from mrspipe.stats.ranks import signed_rank_test

pytestmark = pytest.mark.real
SCALE = 0.5**0.5
TEST = {"confidence": 0.95, "jzs_scale": SCALE}
# Examples whose data belong to R packages under a licence that does not let them be here.
NO_DATA = {
    "sleepstudy", "Machines", "Machines_unbalanced", "Penicillin", "Pastes", "beets", "Orthodont",
    "Orthodont_unbalanced", "ergoStool", "oats", "PublicSchools",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(real_data):
    return real_data / "reference" / "stats"


@pytest.fixture(scope="module")
def results(folder):
    return pd.read_csv(folder / "reference_examples.tsv", sep="\t")


def _sleep(folder):
    table = pd.read_csv(folder / "examples_data" / "sleep.tsv", sep="\t")
    first, second = (table.loc[table["group"] == group, "extra"].to_numpy() for group in (1, 2))
    paired = paired_test(first - second, **TEST)
    dz = cohen_dz(first - second, 0.95)
    return {
        ("paired_t", "diff"): fields(paired),
        ("welch", "diff"): fields(welch_test(first, second, **TEST)),
        ("jzs", "BF10"): {
            "estimate": 1 / jzs_bf01(paired.statistic, 10, 9, SCALE), "df": 9, "statistic": paired.statistic,
        },
        ("dz", "dz"): {"estimate": dz.value, "df": 9, "ci_low": dz.ci_low, "ci_high": dz.ci_high},
    }  # fmt: skip


def _senn(folder):
    table = pd.read_csv(folder / "examples_data" / "senn_asthma.tsv", sep="\t")
    first, second = table["y1"].to_numpy(dtype=float), table["y2"].to_numpy(dtype=float)
    began = (table["sequence"] == "for/sal").to_numpy()
    tests = crossover_tests(first, second, began)
    change = np.where(began, first - second, second - first)
    half = 0.5 * (first - second)
    ranks = signed_rank_test(change)
    y = np.concatenate([first, second])
    drug, period = np.concatenate([began, ~began]) * 1.0, np.repeat([0.0, 1.0], len(first))
    model = mixed_model(y, {"1": np.ones(len(y)), "drug": drug, "period": period}, {"id": [*table["id"], *table["id"]]})
    found = {
        ("xo.treatment", "for-sal, half period differences, pooled"): fields(tests.treatment),
        ("xo.period", "period1-period2, half crossover differences, pooled"): fields(tests.period),
        ("xo.carryover", "totals, for/sal - sal/for, pooled"): fields(tests.carry_over),
        ("xo.treatment_noperiod", "for-sal, one-sample t"): fields(paired_test(change, **TEST)),
        ("xo.treatment_welch", "for-sal, half period differences, Welch"): fields(
            welch_test(half[began], half[~began], **TEST)
        ),
        ("wilcoxon", "V"): {"statistic": ranks.statistic, "p": ranks.p},
        ("lmm.fit", "logLik_REML"): {"estimate": model.fit.log_likelihood, "n_obs": len(y)},
    }
    for label, variance in zip(("id", "Residual"), model.fit.variances, strict=True):
        found["lmm.varcomp", f"var({label})"] = {"estimate": variance}
    for short, method in (("kr", "kenward-roger"), ("satt", "satterthwaite")):
        for term, unit in zip(("(Intercept)", "drugfor", "period2"), np.eye(3), strict=True):
            result = model.combination(unit, confidence=0.95, method=method)
            found[f"lmm.{short}.treatment", term] = fields(result)
        for term in ("drug", "period"):
            test = model.joint([term], method=method)
            found[f"lmm.F3.{short}", term] = {"df": test.den_df, "statistic": test.statistic, "p": test.p}
    return found


def _depression(folder):
    table = pd.read_csv(folder / "examples_data" / "hollander_wolfe_depression.tsv", sep="\t")
    test = signed_rank_test(np.round((table["x"] - table["y"]).to_numpy(), 9))
    return {
        ("wilcoxon", "V"): {
            "estimate": test.estimate, "statistic": test.statistic, "p": test.p, "ci_low": test.ci_low,
            "ci_high": test.ci_high,
        }
    }  # fmt: skip


def _tea(_):
    test = fisher_test([[3, 1], [1, 3]])
    jobs = [[1, 2, 1, 0], [3, 3, 6, 1], [10, 10, 14, 9], [6, 7, 12, 11]]
    return {
        ("fisher", "odds ratio (cond. MLE)"): {
            "estimate": test.odds_ratio, "p": test.p, "ci_low": test.ci_low, "ci_high": test.ci_high,
            "or_sample": test.sample_odds_ratio,
        },
        ("fisher4x4", "exact p"): {"p": exact_test(jobs).p},
    }  # fmt: skip


def _tuna(_):
    # Lightness of canned tuna and its rating by a panel (Hollander and Wolfe 1973, p 187).
    x = np.array([44.4, 45.9, 41.9, 53.3, 44.7, 44.1, 50.7, 45.2, 60.1])
    y = np.array([2.6, 3.1, 2.5, 5.0, 3.6, 4.0, 5.2, 2.8, 3.8])
    result = spearman(x, y)
    # R's statistic is the sum of squared differences of ranks, and its p is exact; that of t is in `extra`.
    return {
        ("spearman", "rho"): {
            "estimate": result.estimate, "statistic": (1 - result.estimate) * (9**3 - 9) / 6, "p_t": result.p,
        }
    }  # fmt: skip


COMPUTE = {
    "sleep": _sleep, "senn_asthma": _senn, "hamilton_depression": _depression, "fisher_tea": _tea, "hunter_L": _tuna,
}  # fmt: skip
# R's fisher.test stops at 1.2e-4 of the odds ratio, or of its reciprocal where that is below one.
R_STOPS = 1.3e-4
NOT_COMPARED = {("spearman", "p"): "exact, from all orders of nine values; mrspipe takes Student's t"}


@pytest.mark.parametrize("example", sorted(COMPUTE))
def test_the_example_has_the_answers_of_r(folder, results, example):
    rows = results[results["dataset"] == example].to_dict("records")
    found = COMPUTE[example](folder)
    assert {(row["analysis"], row["term"]) for row in rows} == set(found)
    for row in rows:
        expected, computed = numbers(row), found[row["analysis"], row["term"]]
        left_out = {key for analysis, key in NOT_COMPARED if analysis == row["analysis"]}
        assert {key for key in expected if key in COLUMNS} - left_out <= set(computed)
        for key in set(expected) & set(computed):
            ours, theirs, tolerance = computed[key], expected[key], {"rel": 1e-7, "abs": 1e-10}
            if row["analysis"] == "fisher" and key in {"estimate", "ci_low", "ci_high"}:
                ours, theirs = (1 / value if theirs > 1 else value for value in (ours, theirs))
                tolerance = {"abs": R_STOPS}
            assert ours == pytest.approx(theirs, **tolerance), (row["analysis"], key)


def test_every_example_is_computed_or_its_data_are_not_here(results):
    assert set(results["dataset"]) == set(COMPUTE) | NO_DATA


def test_the_published_answers_of_the_asthma_trial(folder):
    # Senn 2002, chapter 3: 46.6 l/min, standard error 10.8, 11 degrees of freedom.
    table = pd.read_csv(folder / "examples_data" / "senn_asthma.tsv", sep="\t")
    half = 0.5 * (table["y1"] - table["y2"]).to_numpy()
    began = (table["sequence"] == "for/sal").to_numpy()
    result = student_test(half[began], half[~began], confidence=0.95)
    assert (round(result.estimate, 1), round(result.standard_error, 1), result.df) == (46.6, 10.8, 11)
