"""Every analysis that R did on the reference data sets is done by mrspipe too, or there is a reason why not."""

import numpy as np
import pandas as pd
import pytest
from r_reference import mixed, regressions, samples
from r_reference.tables import COLUMNS, Reference

pytestmark = pytest.mark.real

COMPUTE = samples.COMPUTE | regressions.COMPUTE | mixed.COMPUTE
DATA_SETS = ("A", "C")
# Analyses of one of the data sets: no scan of C is missing, and only C is balanced.
ONLY_IN = {"H3.aov": "C"} | dict.fromkeys([name for name in COMPUTE if name.startswith("Q2.")], "A")

# Analyses, or single results of one, that are not compared here.
REASONS = {
    "n.rows": "counts of the rows of the table; nothing is computed",
    "H1.hedges_g_effectsize": "a check of R's own value, the limits of which have six digits; H1.hedges_g is compared",
    "H1.hedges_g_avgvar": "another definition (mean of the two variances), an alternative that is not offered",
    "H1.perm_welch_t": "drawn, not exact: compared within Monte Carlo errors below",
    "H2a.score": "how well R's optimiser did; that of mrspipe is below 1e-9, see test_mixed.py",
}
REASONS |= {
    name.replace("H1", other): reason
    for name, reason in REASONS.items()
    for other in ("H1cue", "H1mean_any", "H1mean_both")
    if "hedges" in name
}
REASONS |= {name.replace("H2a", other): reason for name, reason in list(REASONS.items()) for other in ("H3", "H3cai")
            if name == "H2a.score"}  # fmt: skip
TERM_REASONS = {
    ("H1.perm", "Monte Carlo 1e5, p=(1+b)/(1+B)"): "drawn, not exact: compared within Monte Carlo errors below",
    ("H2a.profile", ".sig01 (sd of id)"): "profile limits of standard deviations are not offered",
    ("H2a.profile", ".sigma"): "profile limits of standard deviations are not offered",
    ("H3.aov", "task [Error: Within]"): "sequential sums of squares, which weigh the groups by size",
    ("H3.aov", "drug [Error: id:session]"): "sequential sums of squares, which weigh the groups by size",
    ("H3.aov", "task:drug [Error: Within]"): "sequential sums of squares, which weigh the groups by size",
}
# Under ties R inverts the normal distribution, with a root finder that stops at 1e-4; here the limits are those of the
# exact distribution. Means of two whole-numbered differences lie 0.5 apart: at most one step.
STEPS = {"M1vas.wilcoxon": {"estimate": 1e-4, "ci_low": 0.501, "ci_high": 0.501}}

# Relative; a value near zero is compared with 1e-9 of the unit.
CLOSED, MIXED = 1e-9, 1e-7
LOOSER = {"jzs": 1e-8, "dz": 1e-8, "hedges_g": 1e-8, "cohen_d_pooled": 1e-8}


def cases():
    for analysis in COMPUTE:
        yield from ((name, analysis) for name in DATA_SETS if ONLY_IN.get(analysis, name) == name)


@pytest.fixture(scope="module")
def references(real_data):
    return {name: Reference(real_data / "reference" / "stats", name) for name in DATA_SETS}


@pytest.mark.parametrize(("name", "analysis"), list(cases()))
def test_the_analysis_equals_that_of_r(references, name, analysis):
    reference = references[name]
    expected, found = reference.rows(analysis), COMPUTE[analysis](reference)
    assert expected
    assert set(expected) - {term for one, term in TERM_REASONS if one == analysis} == set(found)
    for term, row in found.items():
        # Whatever column R filled is compared, and what `extra` has of the same name.
        assert {key for key in expected[term] if key in COLUMNS} <= set(row), term
        for key in sorted(set(row) & set(expected[term])):
            assert row[key] == pytest.approx(expected[term][key], **tolerance(analysis, key, expected[term][key])), (
                term, key,
            )  # fmt: skip


def tolerance(analysis, key, value):
    if key in STEPS.get(analysis, ()):
        return {"abs": STEPS[analysis][key]}
    rtol = LOOSER.get(analysis.rsplit(".", 1)[-1], MIXED if analysis in mixed.COMPUTE else CLOSED)
    if key == "p":
        # The logarithm of p has the relative error of the statistic and its df.
        return {"rel": rtol * (1 - np.log(max(value, 1e-300))), "abs": 0.0}
    return {"rel": rtol, "abs": 1e-9}


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_analysis_is_compared_or_has_a_reason(references, name):
    present = set(references[name].results["analysis"])
    assert present == {one for one in (*COMPUTE, *REASONS) if ONLY_IN.get(one, name) == name}
    assert not set(COMPUTE) & set(REASONS)
    for analysis, term in TERM_REASONS:
        assert term in references[ONLY_IN.get(analysis, name)].rows(analysis)


@pytest.mark.parametrize("statistic", ["difference", "welch"])
@pytest.mark.parametrize("name", DATA_SETS)
def test_drawn_permutations_agree_within_their_monte_carlo_error(references, name, statistic):
    reference = references[name]
    test = samples.drawn_permutations(reference, statistic)
    if statistic == "difference":
        expected, error = reference.rows("H1.perm")["exact"]["p"], 0.0
    else:
        (row,) = reference.rows("H1.perm_welch_t").values()
        expected, error = row["p"], row["se"]
        assert test.statistic == pytest.approx(row["statistic"], rel=1e-9)
    assert test.p == pytest.approx(expected, abs=4 * np.hypot(test.mc_error, error))


@pytest.mark.parametrize("analysis", [name for name in COMPUTE if ONLY_IN.get(name, "A") == "A"])
def test_the_order_of_the_rows_changes_no_result(references, analysis):
    plain = COMPUTE[analysis](references["A"])
    other = COMPUTE[analysis](references["A"].shuffled(11))
    assert plain.keys() == other.keys()
    for term, row in plain.items():
        np.testing.assert_allclose(list(other[term].values()), list(row.values()), rtol=1e-11, atol=1e-12)
        assert not pd.isna(row.get("p", 0.0))
