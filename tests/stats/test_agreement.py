"""Agreement of two methods: published worked examples, and coverage where there is none."""

import numpy as np
import pytest
from scipy import integrate, stats

from mrspipe.core.errors import AnalysisError
from mrspipe.stats.agreement import (
    agreement,
    concordance,
    icc_agreement,
    icc_consistency,
    limits_of_agreement,
    pearson,
    proportional_bias,
    repeated_limits_of_agreement,
)

# Bland & Altman 1986, table 1: first readings of peak expiratory flow rate, in l/min.
WRIGHT = np.array([494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427], float)
MINI = np.array([512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451], float)
# Shrout & Fleiss 1979, table 2: six targets, four judges.
JUDGES = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)  # fmt: skip


def test_peak_flow_meters_agree_as_bland_and_altman_found():
    found = agreement(WRIGHT, MINI)
    assert found.difference.value == pytest.approx(-2.1, abs=0.05)
    assert found.sd == pytest.approx(38.8, abs=0.05)
    # They print d - 2s = -79.7 and d + 2s = 75.5; the limits here are at 1.96 s.
    assert found.difference.value - 2 * found.sd == pytest.approx(-79.7, abs=0.1)
    assert found.difference.value + 2 * found.sd == pytest.approx(75.5, abs=0.1)
    assert found.upper.value == pytest.approx(found.difference.value + 1.959964 * found.sd, rel=1e-6)
    # Their confidence interval of the bias: -22.0 to 17.8.
    assert (found.difference.low, found.difference.high) == pytest.approx((-22.0, 17.8), abs=0.15)
    # They print a correlation of 0.94.
    assert found.pearson.value == pytest.approx(0.94, abs=0.005)


def test_exact_confidence_limits_solve_the_integral_they_are_defined_by():
    (_, sd, _, upper) = limits_of_agreement(WRIGHT - MINI)
    n, mean = WRIGHT.size, float((WRIGHT - MINI).mean())
    z = stats.norm.ppf(0.975)

    def probability(limit):
        """Probability that (z sqrt(n) + N(0,1)) / sqrt(chi2/df) is below the limit, by integration over chi2."""
        t = (limit - mean) / (sd / np.sqrt(n))
        below = lambda v: stats.norm.cdf(t * np.sqrt(v / (n - 1)) - z * np.sqrt(n)) * stats.chi2.pdf(v, n - 1)  # noqa: E731
        return integrate.quad(below, 0, 120, limit=200)[0]

    assert probability(upper.low) == pytest.approx(0.025, abs=1e-6)
    assert probability(upper.high) == pytest.approx(0.975, abs=1e-6)


def test_shrout_and_fleiss_judges():
    agreeing, consistent = icc_agreement(JUDGES), icc_consistency(JUDGES)
    assert agreeing.value == pytest.approx(0.29, abs=0.005)
    assert consistent.value == pytest.approx(0.71, abs=0.005)
    # Intervals of the same data as the manual of R's psych prints them.
    assert (agreeing.low, agreeing.high) == pytest.approx((0.019, 0.76), abs=0.005)
    assert (consistent.low, consistent.high) == pytest.approx((0.34, 0.95), abs=0.005)


def test_a_constant_bias_lowers_agreement_but_not_consistency():
    values = np.arange(10.0)
    pairs = np.column_stack([values, values + 3])
    noise = np.random.default_rng(1).normal(0, 0.1, pairs.shape)
    assert icc_consistency(pairs + noise).value > 0.99
    assert icc_agreement(pairs + noise).value < 0.8
    assert concordance(*(pairs + noise).T).value < 0.8
    assert pearson(*(pairs + noise).T).value > 0.99


def test_concordance_of_a_shifted_copy_is_known():
    # With y = x + b: 2 s^2 / (2 s^2 + b^2), s^2 = 8.25 for 0..9.
    values = np.arange(10.0)
    assert concordance(values, values + 3).value == pytest.approx(16.5 / (16.5 + 9))


def test_the_proportional_bias_of_a_scaled_copy_is_known():
    # y = c x: difference (1 - c) x on mean (1 + c) x / 2.
    values = np.linspace(5, 15, 11)
    found = proportional_bias(values, 0.8 * values)
    assert found.value == pytest.approx(2 * 0.2 / 1.8)
    assert found.low == pytest.approx(found.high)


def test_identical_values_agree_completely():
    found = agreement(WRIGHT, WRIGHT)
    assert (found.difference.value, found.sd, found.upper.value) == (0, 0, 0)
    assert (found.icc_agreement.value, found.concordance.value, found.pearson.value) == pytest.approx((1, 1, 1))


def test_one_scan_each_gives_the_same_with_and_without_labels():
    plain, labelled = agreement(WRIGHT, MINI), agreement(WRIGHT, MINI, subjects=[f"s{i}" for i in range(17)])
    assert plain == labelled


def test_repeated_scans_separate_the_variances():
    # Two participants' pairs: variance within known, by hand.
    difference = np.array([1.0, 3.0, 6.0, 8.0, 0.0, 4.0])
    labels = np.array([0, 0, 1, 1, 2, 2])
    mean, sd, _, _ = repeated_limits_of_agreement(difference, labels)
    between = np.var([2.0, 7.0, 2.0], ddof=1)
    within = (2 * 1 + 2 * 1 + 2 * 4) / 3
    assert mean.value == pytest.approx(11 / 3)
    assert sd == pytest.approx(np.sqrt(between + within / 2))


@pytest.mark.parametrize("repeats", [1, 3])
def test_intervals_of_the_limits_cover_the_true_limits(repeats):
    """A thousand studies of twenty participants: coverage within four Monte Carlo SE of 95 %, and Zou's few points."""
    rng, n, studies = np.random.default_rng(20), 20, 1000
    labels = np.repeat(np.arange(n), repeats)
    true = 1.0 + 1.959964 * np.sqrt(0.6**2 + 0.8**2)
    covered = 0
    for _ in range(studies):
        difference = 1.0 + 0.6 * rng.standard_normal(n)[labels] + 0.8 * rng.standard_normal(labels.size)
        found = limits_of_agreement(difference) if repeats == 1 else repeated_limits_of_agreement(difference, labels)
        covered += found[3].low <= true <= found[3].high
    tolerance = 4 * np.sqrt(0.95 * 0.05 / studies) + (0.0 if repeats == 1 else 0.015)
    assert covered / studies == pytest.approx(0.95, abs=tolerance)


def test_two_pairs_are_too_few():
    with pytest.raises(AnalysisError, match="three pairs"):
        agreement(np.array([1.0, 2.0]), np.array([1.0, 2.5]))
    with pytest.raises(AnalysisError, match="three participants"):
        agreement(np.arange(4.0), np.arange(4.0), subjects=["a", "a", "b", "b"])
