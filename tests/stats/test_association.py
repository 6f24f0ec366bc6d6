import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mrspipe.core.errors import AnalysisError
from mrspipe.stats.association import bootstrap_correlation, leave_one_out, partial_spearman, pearson, spearman


def correlated(seed, n=30):
    rng = np.random.default_rng(seed)
    age = rng.normal(size=n)
    return age + rng.normal(size=n), 0.5 * age + rng.normal(size=n), age


@pytest.mark.parametrize("seed", range(3))
def test_correlations_are_those_of_scipy(seed):
    x, y, _ = correlated(seed)
    a, b = pearson(x, y), stats.pearsonr(x, y)
    limits = b.confidence_interval(0.95)
    assert (a.estimate, a.p, a.ci_low, a.ci_high) == pytest.approx((b.statistic, b.pvalue, *limits), rel=1e-9)
    assert (spearman(x, y).estimate, spearman(x, y).p) == pytest.approx(stats.spearmanr(x, y), rel=1e-9)


@given(st.integers(0, 1000), st.sampled_from([np.exp, np.cbrt, np.arctan]))
@settings(max_examples=20, deadline=None)
def test_rank_correlations_see_only_the_order(seed, monotone):
    x, y, age = correlated(seed)
    assert spearman(monotone(x), y) == spearman(x, y)
    assert spearman(y, x) == spearman(x, y)
    assert spearman(-x, y).estimate == pytest.approx(-spearman(x, y).estimate, abs=1e-12)
    a, b = partial_spearman(x, y, age), partial_spearman(monotone(x), y, monotone(age))
    assert a.estimate == pytest.approx(b.estimate, abs=1e-12)


def test_the_partial_correlation_of_one_covariate_has_its_closed_form():
    x, y, age = correlated(4)
    xy, xz, yz = (spearman(a, b).estimate for a, b in ((x, y), (x, age), (y, age)))
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    result = partial_spearman(x, y, age)
    assert result.estimate == pytest.approx(expected, rel=1e-12)
    assert result.df == len(x) - 3


def test_the_bootstrap_samples_have_the_correlation_of_the_library():
    x, y, age = correlated(5)
    for covariates, plain in ((None, spearman(x, y)), (age, partial_spearman(x, y, age))):
        rng = np.random.default_rng(1)
        found = bootstrap_correlation(x, y, rng, covariates=covariates, n_resamples=2000)
        assert found.estimate == pytest.approx(plain.estimate, rel=1e-12)
        assert found.ci_low < plain.estimate < found.ci_high
        # Near the limits of the normal distribution of atanh; both are approximations at this size.
        np.testing.assert_allclose([found.ci_low, found.ci_high], [plain.ci_low, plain.ci_high], atol=0.15)
        assert found == bootstrap_correlation(x, y, np.random.default_rng(1), covariates=covariates, n_resamples=2000)


def test_without_an_outlier_the_correlation_is_another():
    x, y = np.append(np.arange(10.0), 100.0), np.append(np.tile([0.0, 1.0], 5), 50.0)
    alone = leave_one_out(len(x), lambda kept: pearson(x[kept], y[kept]).estimate)
    assert alone.lowest == 10
    assert alone.values[10] == pytest.approx(pearson(x[:10], y[:10]).estimate)


def test_ranks_in_the_same_order_correlate_perfectly():
    result = spearman(np.arange(6.0), np.arange(6.0) ** 3)
    assert (result.estimate, result.p, result.ci_low, result.ci_high) == (1.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("compute", "why"),
    [
        (lambda x: pearson(x, np.ones(8)), "does not vary"),
        (lambda x: spearman(x, np.append(x[1:], np.nan)), "both values"),
        (lambda x: spearman(x[:4], x[:4]), "too few"),
        (lambda x: partial_spearman(x[:5], x[:5][::-1], x[:5]), "too few"),
        (lambda x: partial_spearman(x, x[::-1] ** 3, x), "beyond the covariates"),
    ],
)
def test_measures_without_a_correlation_are_refused(compute, why):
    with pytest.raises(AnalysisError, match=why):
        compute(np.arange(8.0))
