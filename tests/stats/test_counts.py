import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mrspipe.core.errors import AnalysisError
from mrspipe.stats.counts import chi2_test, exact_test, fisher_test

count = st.integers(0, 25)
tables = st.tuples(count, count, count, count).map(lambda cells: np.array(cells).reshape(2, 2))


@given(tables)
@settings(max_examples=80, deadline=None)
def test_fishers_test_is_symmetric(table):
    test, turned, mirrored = fisher_test(table), fisher_test(table.T), fisher_test(table[::-1])
    assert test.p == pytest.approx(turned.p, rel=1e-9)
    assert test.p == pytest.approx(mirrored.p, rel=1e-9)
    assert test.odds_ratio == pytest.approx(turned.odds_ratio, rel=1e-8)
    if 0 < test.odds_ratio < math.inf:
        assert mirrored.odds_ratio == pytest.approx(1 / test.odds_ratio, rel=1e-8)
        limits = [1 / test.ci_high, 1 / test.ci_low if test.ci_low else math.inf]
        np.testing.assert_allclose([mirrored.ci_low, mirrored.ci_high], limits, rtol=1e-8)


@given(tables)
@settings(max_examples=80, deadline=None)
def test_p_and_the_odds_ratio_are_those_of_scipy(table):
    test = fisher_test(table)
    assert test.p == pytest.approx(stats.fisher_exact(table).pvalue, rel=1e-9)
    if table.sum(axis=0).all() and table.sum(axis=1).all() and table.all():
        other = stats.contingency.odds_ratio(table)
        assert test.odds_ratio == pytest.approx(other.statistic, rel=1e-6)


def test_the_limits_have_the_tails_of_the_noncentral_distribution():
    test = fisher_test([[7, 12], [3, 21]])
    # Of 10 successes in 43, 19 are drawn in the first row: at least, and at most, the 7 that were found.
    assert stats.nchypergeom_fisher.sf(6, 43, 10, 19, test.ci_low) == pytest.approx(0.025, rel=1e-8)
    assert stats.nchypergeom_fisher.cdf(7, 43, 10, 19, test.ci_high) == pytest.approx(0.025, rel=1e-8)
    assert stats.nchypergeom_fisher.mean(43, 10, 19, test.odds_ratio) == pytest.approx(7, rel=1e-8)


@pytest.mark.parametrize(
    ("table", "odds", "low", "high"),
    [([[0, 5], [4, 6]], 0.0, 0.0, None), ([[5, 0], [6, 4]], math.inf, None, math.inf)],
)
def test_an_empty_cell_has_an_open_interval(table, odds, low, high):
    test = fisher_test(table)
    assert test.odds_ratio == odds
    assert low is None or test.ci_low == low
    assert high is None or test.ci_high == high


@given(tables)
@settings(max_examples=60, deadline=None)
def test_the_exact_test_of_any_table_is_fishers_where_it_is_two_by_two(table):
    assert exact_test(table).p == pytest.approx(fisher_test(table).p, rel=1e-8)


def test_the_exact_test_of_a_larger_table_is_the_share_of_shuffled_tables():
    table = np.array([[4, 1, 0], [2, 3, 2], [0, 3, 4]])
    rows, columns = (np.repeat(np.arange(3), table.sum(axis=axis)) for axis in (1, 0))
    rng = np.random.default_rng(1)

    def log_weight(one):
        return -np.sum([math.lgamma(cell + 1) for cell in one.ravel()])

    n_draws, unlikely = 20_000, 0
    for _ in range(n_draws):
        drawn = np.zeros((3, 3))
        np.add.at(drawn, (rows, rng.permutation(columns)), 1)
        unlikely += log_weight(drawn) <= log_weight(table) + 1e-7
    p = exact_test(table).p
    assert unlikely / n_draws == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / n_draws))
    order = [2, 0, 1]
    assert exact_test(table[order][:, order].T).p == pytest.approx(p, rel=1e-9)


def test_the_chi_squared_test_is_that_of_scipy():
    table = np.array([[12, 5], [6, 15]])
    for yates in (False, True):
        expected = stats.chi2_contingency(table, correction=yates)
        found = chi2_test(table, yates=yates)
        assert (found.statistic, found.p, found.df) == pytest.approx(expected[:3], rel=1e-12)


@pytest.mark.parametrize(
    ("compute", "why"),
    [
        (lambda: fisher_test([[1, 2, 3], [4, 5, 6]]), "2 x 2"),
        (lambda: fisher_test([[1, -2], [4, 5]]), "not negative"),
        (lambda: chi2_test([[0, 0], [4, 5]]), "no counts"),
        (lambda: exact_test(np.full((6, 6), 30)), "too large"),
    ],
)
def test_tables_without_an_answer_are_refused(compute, why):
    with pytest.raises(AnalysisError, match=why):
        compute()
