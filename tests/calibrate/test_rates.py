"""Rates and their Monte Carlo errors, from cohorts whose p values are known."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.api import OLS

from mrspipe.calibrate.cohorts import CONFOUNDS, NUMBERS, PlayedCohort
from mrspipe.calibrate.leaks import clustered_regression, leak_rows, statements
from mrspipe.calibrate.rates import HOLM, PATTERN, SEQUENCE, calibration_rows, records_of
from mrspipe.calibrate.worlds import ORACLE, World
from mrspipe.config import StudyConfig
from mrspipe.stats.design import Design
from mrspipe.synth.recipe import Crossover, Effect, Group, Recipe

DESIGN = Design(
    group={"control": "HC", "patient": "CAI"},
    condition={"entity": "task", "control": "neutral", "active": "cue"},
    treatment={"column": "drug", "control": "placebo", "active": "nac", "period": "period"},
)
# The main contrasts, and the interaction that the published pattern asks about.
NAMES = ("patients-controls", "cue-baseline", "group-by-cue", "nac-placebo", "cue-by-nac")


LOWER_IN_PATIENTS = (Effect(group="CAI", shift=-1.0),)


def world(effects=LOWER_IN_PATIENTS, level="concentrations"):
    recipe = Recipe(
        groups=(Group(name="CAI", n=10), Group(name="HC", n=10)),
        sessions=("1", "2"),
        tasks=("neutral", "cue"),
        crossover=Crossover(),
        effects=effects,
    )
    config = StudyConfig(design=DESIGN, contrast=tuple({"name": name} for name in NAMES))
    return World(recipe, config, level, 1)


def cohorts(p_values, oracle=None, estimates=None, level="concentrations", **more):
    """One cohort a row; columns in the order of `NAMES`. The standard error is 0.5, the interval that of 1.96."""
    p_values = np.asarray(p_values, float)
    oracle = p_values if oracle is None else np.asarray(oracle, float)
    estimates = np.zeros_like(p_values) if estimates is None else np.asarray(estimates, float)

    def rows(p, at):
        return [
            {"contrast": name, "metabolite": "Glu", "quantity": "molar", **dict.fromkeys(NUMBERS, None)}
            | {"p": p[at, i], "estimate": estimates[at, i], "se": 0.5}
            | {"ci_low": estimates[at, i] - 0.98, "ci_high": estimates[at, i] + 0.98}
            for i, name in enumerate(NAMES)
        ]

    return [
        PlayedCohort(i, i, {level: rows(p_values, i), ORACLE: rows(oracle, i)}, **more) for i in range(len(p_values))
    ]


def rates(made, played):
    rows = calibration_rows(records_of(made, played), DESIGN, 0.05)
    return {(row["test"], row["kind"], row["level"]): row for row in rows}


def test_a_rate_is_the_share_of_significant_cohorts_with_its_binomial_error():
    p = np.full((100, 5), 0.5)
    p[:7, 1] = 0.04
    row = rates(world(), cohorts(p))["cue-baseline", "false_positive", "concentrations"]
    assert row["rate"] == 0.07
    assert row["cohorts"] == 100
    assert row["mc_se"] == pytest.approx(math.sqrt(9 / 104 * 95 / 104 / 104))


def test_what_is_null_follows_from_the_recipe_and_not_from_the_name():
    found = rates(world(), cohorts(np.full((4, 5), 0.5)))
    assert ("patients-controls", "power", "concentrations") in found
    assert ("cue-baseline", "false_positive", "concentrations") in found
    other = rates(world((Effect(task="cue", shift=0.4),)), cohorts(np.full((4, 5), 0.5)))
    assert ("patients-controls", "false_positive", "concentrations") in other
    assert ("cue-baseline", "power", "concentrations") in other


@pytest.mark.parametrize(("shift", "kind"), [(0.049, "false_positive"), (0.051, "power")])
def test_a_true_value_below_a_tenth_of_the_standard_error_is_null(shift, kind):
    found = rates(world((Effect(group="CAI", shift=shift),)), cohorts(np.full((4, 5), 0.5)))
    assert ("patients-controls", kind, "concentrations") in found


def test_bias_and_coverage_are_about_the_true_value():
    estimates = np.zeros((50, 5))
    estimates[:, 0] = np.linspace(-2.5, 0.5, 50)
    found = rates(world(), cohorts(np.full((50, 5), 0.5), estimates=estimates))
    at = ("patients-controls", "{}", "concentrations")
    bias, coverage, sd = (found[at[0], kind, at[2]] for kind in ("bias", "coverage", "estimate_sd"))
    assert bias["truth"] == -1.0
    assert bias["rate"] == pytest.approx(0.0, abs=1e-12)
    assert bias["mc_se"] == pytest.approx(np.std(estimates[:, 0], ddof=1) / math.sqrt(50))
    assert coverage["rate"] == np.mean(np.abs(estimates[:, 0] + 1.0) <= 0.98)
    assert sd["rate"] == pytest.approx(np.std(estimates[:, 0], ddof=1))
    relative = found["patients-controls", "bias_relative", "concentrations"]
    assert relative["mc_se"] == pytest.approx(bias["mc_se"])
    assert ("cue-baseline", "bias_relative", "concentrations") not in found


def test_the_error_of_a_median_is_that_of_repeated_medians():
    rng = np.random.default_rng(1)
    n, column = 400, np.full((400, 5), 0.5)
    column[:, 1] = rng.random(n)
    row = rates(world(), cohorts(column))["cue-baseline", "median_p", "concentrations"]
    # The median of uniform numbers has the standard error 1 / (2 sqrt(n)); its estimate varies by a few tenths of it.
    assert row["mc_se"] == pytest.approx(0.5 / math.sqrt(n), rel=0.35)
    assert row["rate"] == pytest.approx(np.median(column[:, 1]))


def test_power_lost_compares_the_same_cohorts():
    p = np.full((10, 5), 0.5)
    p[:4, 0], oracle = 0.01, np.full((10, 5), 0.5)
    oracle[:7, 0] = 0.01
    row = rates(world(), cohorts(p, oracle))["patients-controls", "power_lost", "concentrations"]
    assert row["rate"] == pytest.approx(0.3)
    # Differences are 1 in three cohorts of ten and 0 in the others.
    assert row["mc_se"] == pytest.approx(np.std([1] * 3 + [0] * 7, ddof=1) / math.sqrt(10))


def test_familywise_errors_count_any_false_finding_and_the_sequence_stops():
    # Contrasts 2 to 4 are null. Cohort 0: adjusted below 0.05 for one; cohort 1: unadjusted only; cohort 2: none.
    p = np.array([[0.01, 0.20, 0.010, 0.9, 0.9], [0.01, 0.03, 0.400, 0.9, 0.9], [0.2, 0.9, 0.9, 0.9, 0.9]])
    found = rates(world(), cohorts(p))
    assert found[HOLM, "familywise", "concentrations"]["rate"] == pytest.approx(1 / 3)
    # In sequence: cohort 0 stops at the second contrast, cohort 1 finds it.
    assert found[SEQUENCE, "familywise", "concentrations"]["rate"] == pytest.approx(1 / 3)
    assert found["cue-baseline", "false_positive_fixed_sequence", "concentrations"]["rate"] == pytest.approx(1 / 3)
    assert found["group-by-cue", "false_positive_fixed_sequence", "concentrations"]["rate"] == 0.0
    assert found["patients-controls", "power_holm", "concentrations"]["rate"] == pytest.approx(2 / 3)


def test_holm_rates_do_not_depend_on_the_correction_of_the_study():
    # Four main contrasts: 0.02 is below 0.05 alone and in a fixed sequence, but not times four.
    p = np.full((5, 5), 0.9)
    p[:, 0] = 0.02
    p[0, 1] = math.nan
    found = rates(world(), cohorts(p))
    assert found["patients-controls", "power", "concentrations"]["rate"] == 1.0
    assert found["patients-controls", "power_fixed_sequence", "concentrations"]["rate"] == 1.0
    assert found["patients-controls", "power_holm", "concentrations"]["rate"] == 0.0


def test_the_published_pattern_needs_group_and_condition_and_no_treatment():
    p = np.full((4, 5), 0.9)
    p[:, :2] = 0.01
    p[1, 3] = 0.01  # the treatment
    p[2, 4] = 0.01  # its interaction with the condition
    p[3, 1] = 0.20  # no change by condition
    assert rates(world(), cohorts(p))[PATTERN, "joint", "concentrations"]["rate"] == 0.25


def test_a_test_without_result_is_counted_and_left_out():
    p = np.full((10, 5), 0.01)
    played = cohorts(p)
    for cohort in played[:3]:
        cohort.contrasts["concentrations"][1].update(dict.fromkeys(NUMBERS, None))
    found = rates(world(), played)
    assert found["cue-baseline", "not_computed", "concentrations"]["rate"] == pytest.approx(0.3)
    row = found["cue-baseline", "false_positive", "concentrations"]
    assert (row["rate"], row["cohorts"]) == (1.0, 7)


def leaky(n_cohorts=6, n=60, slope=3.0, seed=1):
    """Cohorts in which broader lines raise the error by ``slope`` percent a hertz; patients have them."""
    rng, played = np.random.default_rng(seed), []
    for number in range(n_cohorts):
        group = np.repeat(["HC", "CAI"], n // 2)
        fwhm = 7 + 0.5 * (group == "CAI") + rng.standard_normal(n)
        snr, gm = 17 + 3 * rng.standard_normal(n), 0.8 + 0.05 * rng.standard_normal(n)
        error = slope * fwhm + 2.0 * rng.standard_normal(n)
        scans = dict(zip((*CONFOUNDS, "error_pct", "group"), (fwhm, snr, gm, error, group), strict=True))
        (one,) = cohorts([[0.01, 0.5, 0.5, 0.5, 0.5]], level="averaged")
        played.append(PlayedCohort(number, number, one.contrasts, {k: v.tolist() for k, v in scans.items()}))
    return played


def test_the_regression_of_errors_finds_what_leaks():
    rows = {row["term"]: row for row in leak_rows(world(level="averaged"), leaky())}
    assert set(rows) == {*CONFOUNDS, "group"}
    assert rows["fwhm_hz"]["slope_pct"] == pytest.approx(3.0, abs=4 * rows["fwhm_hz"]["se_pct"])
    # 360 scans with an error of 2 and widths of SD 1: the standard error is 2 / sqrt(360).
    assert rows["fwhm_hz"]["se_pct"] == pytest.approx(2 / math.sqrt(360), rel=0.6)
    for name in ("snr", "gm_fraction", "group"):
        assert abs(rows[name]["slope_pct"]) < 4 * rows[name]["se_pct"]
    apart = rows["fwhm_hz"]["group_difference"]
    assert apart == pytest.approx(0.5, abs=4 * 2 / math.sqrt(360))
    assert rows["fwhm_hz"]["leak_pct"] == pytest.approx(rows["fwhm_hz"]["slope_pct"] * apart)


def test_clustered_errors_are_those_of_statsmodels():
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(12), 8)
    x = np.column_stack([np.ones(96), rng.standard_normal((96, 2))])
    y = x @ [1.0, 0.5, 0.0] + rng.standard_normal(12)[clusters] + rng.standard_normal(96)
    coefficients, errors = clustered_regression(y, x, clusters.astype(float))
    expected = OLS(y, x).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    np.testing.assert_allclose(coefficients, expected.params, rtol=1e-10)
    np.testing.assert_allclose(errors, expected.bse, rtol=1e-10)


def test_a_rate_that_is_too_high_is_told_with_what_leaks():
    made, played = world(effects=(), level="averaged"), leaky()
    records, leaks = records_of(made, played), leak_rows(world(level="averaged"), played)
    said = statements(records, leaks, 0.05)
    assert any(text.startswith("patients-controls (Glu) finds what is not there in 100.0 % of 6") for text in said)
    step = next(row["slope_pct"] for row in leaks if row["term"] == "fwhm_hz") / 2
    assert any(f"0.5 Hz broader lines move the outcome by {step:+.2f}" in text for text in said)


def test_a_rate_within_its_error_is_not_told():
    n = 400
    # Three Monte Carlo errors above 5 % are 33.08 of 400 cohorts.
    for k, told in ((33, False), (34, True)):
        p = np.full((n, 5), 0.5)
        p[:k, 1] = 0.01
        made = world(effects=())
        assert bool(statements(records_of(made, cohorts(p)), [], 0.05)) is told
    assert 33 < n * 0.05 + 3 * stats.binom.std(n, 0.05) < 34
