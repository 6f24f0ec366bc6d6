"""Power against statsmodels, closed forms, the numbers of the study's plan, and simulation."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower, tt_ind_solve_power

from mrspipe.stats.power import (
    VarianceComponents,
    Weights,
    detectable_effect,
    equivalence_power,
    needed_n,
    paired_power,
    welch_power,
)

# Variances of the paper-like recipe, in mM^2: participant, visit, residual; and of the responses to film and drug.
SUBJECT, SESSION, SCAN, CUE, NAC = 0.95**2, 0.45**2, 0.75**2, 0.50**2, 0.40**2
# NAC minus placebo in the neutral film: two visits, two scans, and how participants differ in their response.
NAC_SD = math.sqrt(2 * SESSION + 2 * SCAN + NAC)


@pytest.mark.parametrize("effect", [0.2, 0.5, 1.1])
@pytest.mark.parametrize("n", [5, 26, 120])
def test_paired_power_is_that_of_statsmodels(effect, n):
    expected = TTestPower().power(effect, n, 0.05)
    assert paired_power(effect * 1.7, 1.7, n, 0.05) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("effect", [0.3, 0.8])
@pytest.mark.parametrize("n", [6, 30])
def test_power_of_equal_groups_is_that_of_statsmodels(effect, n):
    expected = tt_ind_solve_power(effect, nobs1=n, alpha=0.05)
    assert welch_power(effect * 2, (2.0, 2.0), (n, n), 0.05) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("sd", [0.7, 1.3])
def test_the_smallest_effect_is_that_of_statsmodels(sd):
    expected = sd * tt_ind_solve_power(nobs1=28, alpha=0.05, power=0.8)
    found = detectable_effect(lambda effect: welch_power(effect, (sd, sd), (28, 28), 0.05), sd / 4, 0.8)
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("effect", [0.25, 0.6, 1.2])
def test_the_number_of_participants_is_that_of_statsmodels(effect):
    expected = math.ceil(tt_ind_solve_power(effect, alpha=0.05, power=0.8))
    assert needed_n(lambda n: welch_power(effect, (1.0, 1.0), (n, n), 0.05), 0.8) == expected


def test_an_effect_too_small_for_any_study_needs_infinitely_many():
    assert needed_n(lambda n: paired_power(1e-6, 1.0, n, 0.05), 0.8) == math.inf


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        # One session: patients and controls, cue in patients, group by cue. Both sessions: the same.
        (welch_power(0.95, (math.sqrt(SUBJECT + SESSION + SCAN),) * 2, (26, 30), 0.05), 0.77),
        (paired_power(0.60, math.sqrt(2 * SCAN + CUE), 26, 0.05), 0.71),
        (welch_power(0.85, (math.sqrt(2 * SCAN + CUE),) * 2, (26, 30), 0.05), 0.75),
        (welch_power(0.95, (math.sqrt(SUBJECT + SESSION / 2 + SCAN / 2 + NAC / 4),) * 2, (26, 30), 0.05), 0.86),
        (paired_power(0.60, math.sqrt(SCAN + CUE), 26, 0.05), 0.91),
        (welch_power(0.85, (math.sqrt(SCAN + CUE),) * 2, (26, 30), 0.05), 0.93),
        (equivalence_power(1.0, NAC_SD, 26, 0.05), 0.96),
        (equivalence_power(0.7, NAC_SD, 26, 0.05), 0.69),
        (detectable_effect(lambda effect: paired_power(effect, NAC_SD, 26, 0.05), NAC_SD / 5, 0.8), 0.74),
    ],
)
def test_the_numbers_of_the_study_plan_follow_from_its_variances(found, expected):
    # The plan has two digits, from 20 000 simulated cohorts.
    assert found == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("bound", "effect"), [(0.5, 0.0), (0.8, 0.2), (0.3, 0.0)])
def test_equivalence_power_is_that_of_simulated_tests(bound, effect):
    rng, n, n_tests = np.random.default_rng(1), 20, 40_000
    values = effect + rng.standard_normal((n_tests, n))
    mean, error = values.mean(axis=1), values.std(axis=1, ddof=1) / math.sqrt(n)
    rate = float(np.mean(np.abs(mean) < bound - stats.t.ppf(0.95, n - 1) * error))
    assert equivalence_power(bound, 1.0, n, 0.05, effect=effect) == pytest.approx(
        rate, abs=4 * 0.5 / math.sqrt(n_tests)
    )


def test_limits_of_a_single_variance_are_those_of_the_chi_square_distribution():
    df, variance = 24, 1.7
    covariance = np.zeros((4, 4))
    covariance[3, 3] = 2 * variance**2 / df
    parts = VarianceComponents(np.array([0, 0, 0, variance]), covariance, 10.0)
    expected = [math.sqrt(df * variance / stats.chi2.ppf(q, df)) for q in (0.975, 0.025)]
    assert parts.sd_limits(Weights(residual=1), 0.95) == pytest.approx(expected, rel=1e-12)
    # A difference of two scans: both limits grow by the root of two.
    expected = [math.sqrt(2) * limit for limit in expected]
    assert parts.sd_limits(Weights(residual=2), 0.95) == pytest.approx(expected, rel=1e-12)


def test_welch_power_of_unequal_groups_is_that_of_simulated_tests():
    rng, n_tests = np.random.default_rng(2), 20_000
    first, second = 0.9 + 1.5 * rng.standard_normal((n_tests, 12)), 0.8 * rng.standard_normal((n_tests, 30))
    p = stats.ttest_ind(first, second, axis=1, equal_var=False).pvalue
    expected = welch_power(0.9, (1.5, 0.8), (12, 30), 0.05)
    # Four binomial errors, and what the approximate degrees of freedom leave.
    assert float(np.mean(p < 0.05)) == pytest.approx(expected, abs=4 * 0.5 / math.sqrt(n_tests) + 0.005)


@pytest.mark.parametrize("df", [1, 2, 5, 25, 50, 200])
def test_power_is_known_for_any_effect_and_rises_with_it(df):
    effects = np.linspace(0, 60, 241)
    power = [paired_power(effect / np.sqrt(df + 1), 1.0, df + 1, 0.05) for effect in effects]
    assert np.isfinite(power).all()
    assert (np.diff(power) > -1e-11).all()
    # The mean of phi(effect - limit * s) over the distribution of s, which the t statistic is divided by.
    limit = stats.t.ppf(0.975, df)
    for effect in (6.9, 7.1, 15.0):
        s = np.sqrt(stats.chi2.ppf((np.arange(20_000) + 0.5) / 20_000, df) / df)
        expected = np.mean(stats.norm.cdf(effect - limit * s))
        assert paired_power(effect / np.sqrt(df + 1), 1.0, df + 1, 0.05) == pytest.approx(expected, abs=2e-5)


def test_the_smallest_effect_of_three_participants_at_a_strict_level_is_found():
    found = detectable_effect(lambda effect: paired_power(effect, 1.0, 3, 1e-4), 0.5, 0.99)
    assert paired_power(found, 1.0, 3, 1e-4) == pytest.approx(0.99, abs=1e-6)
