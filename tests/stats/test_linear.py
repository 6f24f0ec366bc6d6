import numpy as np
import pytest

from mrspipe.core.errors import AnalysisError
from mrspipe.stats.adjustment import benjamini_hochberg, bonferroni, hochberg, holm
from mrspipe.stats.crossover import crossover_tests
from mrspipe.stats.linear import adjusted_weights, fit_linear, term_test


def study(seed=1, n=40):
    rng = np.random.default_rng(seed)
    group, age, sex = np.repeat([0.0, 1.0], n // 2), rng.normal(35, 8, n), (rng.random(n) < 0.4) * 1.0
    y = 10 - group + 0.03 * age + rng.normal(0, 1 + group)
    return y, np.column_stack([np.ones(n), group, age, sex])


@pytest.mark.parametrize("errors", ["HC0", "HC1", "HC2", "HC3"])
def test_robust_errors_are_those_of_statsmodels(errors):
    import statsmodels.api as sm

    y, X = study()
    expected = sm.OLS(y, X).fit(cov_type=errors)
    fit = fit_linear(y, X)
    np.testing.assert_allclose(fit.coefficients, expected.params, rtol=1e-9)
    np.testing.assert_allclose(fit.covariance(errors), expected.cov_params(), rtol=1e-8, atol=1e-15)
    assert fit.r_squared == pytest.approx(expected.rsquared, rel=1e-10)


def test_a_mean_at_the_sample_s_covariates_differs_by_the_coefficient():
    y, X = study()
    fit = fit_linear(y, X)
    low, high = (fit.combination(adjusted_weights(X, {1: level}), "HC3")[0] for level in (0.0, 1.0))
    assert high - low == pytest.approx(fit.coefficients[1], rel=1e-10)
    # At the mean of everything the prediction is the mean.
    assert X.mean(axis=0) @ fit.coefficients == pytest.approx(y.mean(), rel=1e-12)
    balanced = adjusted_weights(X, {1: 1.0}, [[3]])
    assert balanced[3] == 0.5


def test_the_test_of_one_column_is_the_square_of_its_t_test():
    y, X = study()
    fit, test = fit_linear(y, X), term_test(y, X, [2])
    estimate, error = fit.combination(np.eye(4)[2], "classical")
    assert test.statistic == pytest.approx((estimate / error) ** 2, rel=1e-9)
    assert test.partial_eta2 == pytest.approx(test.statistic / (test.statistic + fit.df), rel=1e-9)


@pytest.mark.parametrize(
    ("compute", "why"),
    [
        (lambda y, X: fit_linear(y[:4], X[:4]), "too few"),
        (lambda y, X: fit_linear(y, np.column_stack([X, X[:, 1]])), "cannot be told apart"),
        (lambda y, X: fit_linear(np.full(40, 12.3), X), "do not vary"),
        (lambda y, X: fit_linear(y, np.column_stack([X, np.eye(40)[0]])).covariance("HC3"), "single participant"),
    ],
)
def test_what_cannot_be_estimated_is_refused(compute, why):
    y, X = study()
    with pytest.raises(AnalysisError, match=why):
        compute(y, X)


def test_a_constant_added_to_the_treatment_moves_its_effect_alone():
    rng = np.random.default_rng(2)
    began = np.arange(14) < 6
    first, second = rng.normal(10, 1, 14), rng.normal(10, 1, 14)
    plain = crossover_tests(first, second, began)
    moved = crossover_tests(first + 2 * began, second + 2 * ~began, began)
    assert moved.treatment.estimate == pytest.approx(plain.treatment.estimate + 2)
    assert moved.period.estimate == pytest.approx(plain.period.estimate)
    assert moved.carry_over.p == pytest.approx(plain.carry_over.p)
    later = crossover_tests(first, second + 3, began)
    assert later.period.estimate == pytest.approx(plain.period.estimate - 3)
    assert later.treatment.estimate == pytest.approx(plain.treatment.estimate)
    with pytest.raises(AnalysisError, match="both periods"):
        crossover_tests(first, np.where(began, np.nan, second), began)
    with pytest.raises(AnalysisError, match="at least two"):
        crossover_tests(first, second, np.arange(14) < 1)


@pytest.mark.parametrize(
    ("adjust", "method"),
    [(holm, "holm"), (hochberg, "simes-hochberg"), (benjamini_hochberg, "fdr_bh"), (bonferroni, "bonferroni")],
)
def test_adjusted_p_values_are_those_of_statsmodels_in_any_order(adjust, method):
    from statsmodels.stats.multitest import multipletests

    p = np.random.default_rng(3).beta(0.4, 2, 15)
    np.testing.assert_allclose(adjust(p), multipletests(p, method=method)[1], rtol=1e-12)
    np.testing.assert_allclose(adjust(p[::-1])[::-1], adjust(p), rtol=1e-14)
    assert adjust(np.array([])).shape == (0,)
