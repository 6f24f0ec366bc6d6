import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mrspipe.core.errors import AnalysisError
from mrspipe.stats.ranks import aligned_ranks, rank_sum_test, share_at_floor, signed_rank_test

whole = st.integers(-20, 20)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_the_signed_rank_p_is_the_share_of_all_signs(n):
    differences = np.random.default_rng(n).normal(0.4, 1, n)
    ranks = stats.rankdata(np.abs(differences))
    sums = np.array([ranks @ signs for signs in itertools.product([0, 1], repeat=n)])
    observed = ranks[differences > 0].sum()
    tail = min(np.mean(sums <= observed), np.mean(sums >= observed))
    test = signed_rank_test(differences)
    assert test.is_exact
    assert test.p == pytest.approx(min(2 * tail, 1), rel=1e-12)


@pytest.mark.parametrize(("n_1", "n_2"), [(1, 3), (3, 4), (5, 2)])
def test_the_rank_sum_p_is_the_share_of_all_orders(n_1, n_2):
    rng = np.random.default_rng(n_1)
    first, second = rng.normal(0.5, 1, n_1), rng.normal(0, 1, n_2)
    ranks = stats.rankdata(np.concatenate([first, second]))
    sums = np.array([sum(ranks[list(chosen)]) for chosen in itertools.combinations(range(n_1 + n_2), n_1)])
    observed = ranks[:n_1].sum()
    tail = min(np.mean(sums <= observed), np.mean(sums >= observed))
    test = rank_sum_test(first, second)
    assert test.p == pytest.approx(min(2 * tail, 1), rel=1e-12)
    assert test.statistic == sum(a > b for a in first for b in second)


@given(st.lists(whole, min_size=2, max_size=12))
@settings(max_examples=60, deadline=None)
def test_opposite_differences_have_the_same_p_and_the_opposite_estimate(values):
    differences = np.array(values, dtype=float)
    if not differences.any():
        differences[0] = 1.0
    a, b = signed_rank_test(differences), signed_rank_test(-differences)
    assert a.p == pytest.approx(b.p, rel=1e-12)
    assert (a.estimate, a.rank_biserial) == pytest.approx((-b.estimate, -b.rank_biserial), abs=1e-12)
    np.testing.assert_allclose([a.ci_low, a.ci_high], [-b.ci_high, -b.ci_low])


@given(st.lists(whole, min_size=2, max_size=9), st.lists(whole, min_size=2, max_size=9), st.integers(-5, 5))
@settings(max_examples=60, deadline=None)
def test_the_rank_sum_test_is_symmetric_and_sees_only_the_order(first, second, shift):
    a, b = np.array(first, dtype=float), np.array(second, dtype=float)
    if np.ptp([*a, *b]) == 0:
        a[0] += 1
    test, swapped = rank_sum_test(a, b), rank_sum_test(b, a)
    moved = rank_sum_test(a**3 + shift, b**3 + shift)
    assert test.p == pytest.approx(swapped.p, rel=1e-12)
    assert test.rank_biserial == pytest.approx(-swapped.rank_biserial, abs=1e-12)
    assert (moved.p, moved.statistic) == pytest.approx((test.p, test.statistic), rel=1e-12)


def test_the_limits_of_the_shift_are_those_the_test_does_not_reject():
    rng = np.random.default_rng(3)
    first, second = rng.normal(1, 1, 9), rng.normal(0, 1, 11)
    test = rank_sum_test(first, second)
    inside = 1e-9
    assert rank_sum_test(first - test.ci_low - inside, second).p > 0.05
    assert rank_sum_test(first - test.ci_low + inside, second).p <= 0.05
    assert rank_sum_test(first - test.ci_high + inside, second).p > 0.05
    assert rank_sum_test(first - test.ci_high - inside, second).p <= 0.05
    assert math.isnan(rank_sum_test(first[:2], second[:2]).ci_low)


def test_the_normal_p_of_ties_is_that_of_scipy():
    differences = np.array([1, 1, -1, 2, 3, 0, -2, 4, 4, 5.0])
    test = signed_rank_test(differences)
    reference = stats.wilcoxon(differences, correction=True, method="asymptotic")
    assert not test.is_exact
    assert test.p == pytest.approx(reference.pvalue, rel=1e-10)
    first, second = differences[:5], differences[5:]
    both = stats.mannwhitneyu(first, second, method="asymptotic", use_continuity=True)
    assert rank_sum_test(first, second).p == pytest.approx(both.pvalue, rel=1e-10)


def test_differences_that_balance_have_a_p_of_one():
    assert signed_rank_test(np.array([1.0, -1.0, 2.0, -2.0])).p == 1.0


def test_aligned_ranks_see_no_effect_that_was_aligned_away():
    rng = np.random.default_rng(4)
    first, second = np.repeat(["a", "b"], 20), np.tile(["x", "y"], 20)
    values = rng.normal(size=40)
    plain = aligned_ranks(values, first, second)
    only_second = aligned_ranks(values + 100 * (second == "y"), first, second)
    np.testing.assert_array_equal(only_second["first"], plain["first"])
    np.testing.assert_array_equal(only_second["interaction"], plain["interaction"])
    # The second factor's own effect puts all values at one level above all at the other.
    assert only_second["second"][second == "y"].min() > only_second["second"][second == "x"].max()
    with pytest.raises(AnalysisError, match="no value"):
        aligned_ranks(values[1:], np.append(["c"], first[2:]), second[1:])


def test_the_share_at_the_floor_has_the_interval_of_wilson():
    share = share_at_floor(np.array([0, 0, 0, 3, 0, 0, 8, 0, 0, 0.0]))
    reference = stats.binomtest(8, 10).proportion_ci(method="wilson")
    assert share.share == 0.8
    assert (share.ci_low, share.ci_high) == pytest.approx((reference.low, reference.high), rel=1e-12)
    with pytest.raises(AnalysisError, match="below the floor"):
        share_at_floor(np.array([-1.0, 2.0]))


@pytest.mark.parametrize(
    ("compute", "why"),
    [
        (lambda: signed_rank_test(np.zeros(4)), "other than zero"),
        (lambda: rank_sum_test(np.ones(3), np.ones(4)), "do not vary"),
        (lambda: rank_sum_test(np.ones(3), np.ones(0)), "both"),
        (lambda: share_at_floor(np.ones(0)), "no ratings"),
    ],
)
def test_samples_without_an_answer_are_refused(compute, why):
    with pytest.raises(AnalysisError, match=why):
        compute()
