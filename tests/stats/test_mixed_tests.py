"""Joint tests, other codings, known sampling variances, and what must not change a mixed model's results."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixed_data import crossover
from scipy import stats
from scipy.optimize import minimize

from mrspipe.core.errors import AnalysisError
from mrspipe.stats.mixed import fit_maximum_likelihood, fit_mixed
from mrspipe.stats.mixed_tests import (
    cell_weights,
    joint_satterthwaite,
    joint_test,
    likelihood_ratio,
    profile_interval,
    wald_z,
)
from mrspipe.stats.models import mixed_model, weighted_test, welch_test

COLUMNS = ("1", "cue", "drug", "cue:drug")


def same(labels):
    return np.equal.outer(labels, labels).astype(float)


# A slow twin: dense matrices, formula by formula.


def dense(variances, X, components, known):
    V = sum(v * A for v, A in zip(variances, components, strict=True)) + np.diag(known)
    W = np.linalg.inv(V)
    Phi = np.linalg.inv(X.T @ W @ X)
    return V, W, Phi, W - W @ X @ Phi @ X.T @ W


def dense_likelihood(variances, y, X, components, known):
    V, _, Phi, P = dense(variances, X, components, known)
    logs = np.linalg.slogdet(V)[1] - np.linalg.slogdet(Phi)[1]
    return -0.5 * ((len(y) - X.shape[1]) * np.log(2 * np.pi) + logs + y @ P @ y)


def dense_parts(fit, X, components, known):
    """Covariance, the adjusted one, P_i of Kenward and Roger, and the expected information's inverse."""
    _, W, Phi, P = dense(fit.variances, X, components, known)
    C = np.linalg.inv([[0.5 * np.trace(P @ A @ P @ B) for B in components] for A in components])
    first = [-X.T @ W @ A @ W @ X for A in components]
    inner = sum(
        C[i, j] * (X.T @ W @ components[i] @ W @ components[j] @ W @ X - first[i] @ Phi @ first[j])
        for i in range(len(components)) for j in range(len(components))
    )  # fmt: skip
    return Phi, Phi + 2 * Phi @ inner @ Phi, first, C


def dense_joint(fit, L, X, components, known):
    """F, denominator df and scaling, by the formulas in the paper of 1997."""
    Phi, adjusted, first, C = dense_parts(fit, X, components, known)
    q, k = len(L), len(components)
    Theta = L.T @ np.linalg.inv(L @ Phi @ L.T) @ L
    A1 = A2 = 0.0
    for i in range(k):
        for j in range(k):
            one, two = Theta @ Phi @ first[i] @ Phi, Theta @ Phi @ first[j] @ Phi
            A1 += C[i, j] * np.trace(one) * np.trace(two)
            A2 += C[i, j] * np.trace(one @ two)
    B = (A1 + 6 * A2) / (2 * q)
    g = ((q + 1) * A1 - (q + 4) * A2) / ((q + 2) * A2)
    d = 3 * q + 2 * (1 - g)
    c1, c2, c3 = g / d, (q - g) / d, (q + 2 - g) / d
    mean = 1 / (1 - A2 / q)
    variance = 2 / q * (1 + c1 * B) / ((1 - c2 * B) ** 2 * (1 - c3 * B))
    rho = variance / (2 * mean**2)
    m = 4 + (q + 2) / (q * rho - 1)
    scaling = m / (mean * (m - 2))
    b = L @ fit.coefficients
    return scaling * b @ np.linalg.inv(L @ adjusted @ L.T) @ b / q, m, scaling


L = np.eye(4)[1:]


@pytest.mark.parametrize("known_size", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_the_fit_and_the_joint_test_equal_the_dense_formulas(seed, known_size):
    y, X, subject, visit = crossover(np.random.default_rng(seed))
    known = known_size * np.random.default_rng(seed).gamma(2.0, 1.0, len(y))
    fit = fit_mixed(y, X, [subject, visit], known_variance=known if known_size else None)
    components = [same(subject), same(visit), np.eye(len(y))]
    assert fit.log_likelihood == pytest.approx(dense_likelihood(fit.variances, y, X, components, known), rel=1e-11)
    Phi, adjusted, _, _ = dense_parts(fit, X, components, known)
    np.testing.assert_allclose(fit.covariance, Phi, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(fit.adjusted_covariance, adjusted, rtol=1e-8, atol=1e-12)
    test = joint_test(fit, L)
    expected = dense_joint(fit, L, X, components, known)
    assert (test.statistic, test.den_df, test.scaling) == pytest.approx(expected, rel=1e-8)
    assert test.p == pytest.approx(stats.f.sf(test.statistic, 3, test.den_df), rel=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_with_known_variances_no_other_variances_are_more_likely(seed):
    y, X, subject, visit = crossover(np.random.default_rng(seed))
    known = np.random.default_rng(seed).gamma(2.0, 0.3, len(y))
    fit = fit_mixed(y, X, [subject, visit], known_variance=known)
    components = [same(subject), same(visit), np.eye(len(y))]
    other = minimize(
        lambda v: -dense_likelihood(np.abs(v), y, X, components, known), fit.variances + 0.1, method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000},
    )  # fmt: skip
    assert fit.log_likelihood >= -other.fun - 1e-9
    np.testing.assert_allclose(np.abs(other.x), fit.variances, atol=1e-4)


@pytest.mark.parametrize("size", [0.05, 0.3])
def test_equal_known_variances_only_move_the_residual_variance(size):
    y, X, subject, visit = crossover(np.random.default_rng(3))
    plain = fit_mixed(y, X, [subject, visit])
    known = fit_mixed(y, X, [subject, visit], known_variance=np.full(len(y), size))
    assert plain.variances[-1] > size
    np.testing.assert_allclose(known.variances, plain.variances - [0, 0, size], rtol=1e-8)
    assert known.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-11)
    assert known.total_sd == pytest.approx(plain.total_sd, rel=1e-8)
    for unit in np.eye(4):
        np.testing.assert_allclose(known.contrast(unit), plain.contrast(unit), rtol=1e-8)
    np.testing.assert_allclose(known.satterthwaite(unit), plain.satterthwaite(unit), rtol=1e-7)


def test_known_variances_larger_than_the_variation_leave_a_residual_of_zero():
    y, X, subject, _ = crossover(np.random.default_rng(4), sds=(1.0, 0.0, 0.5))
    fit = fit_mixed(y, X, [subject], known_variance=np.full(len(y), 4.0))
    assert fit.variances[-1] == 0
    assert np.isfinite(fit.contrast(np.eye(4)[1])).all()
    model = mixed_model(y, dict(zip(COLUMNS, X.T, strict=True)), {"subject": subject},
                        known_variance=np.full(len(y), 4.0))  # fmt: skip
    assert "Beyond their known errors" in model.test("cue", confidence=0.95).note
    assert fit_mixed(y, X, [], known_variance=np.full(len(y), 9.0)).satterthwaite(np.eye(4)[1])[2] == np.inf
    with pytest.raises(AnalysisError, match="not above zero"):
        fit_mixed(y, X, [subject], known_variance=np.zeros(len(y)))


def test_a_weighted_comparison_of_equally_exact_values_is_students_test():
    rng = np.random.default_rng(5)
    first, second = rng.normal(1, 1, 14), rng.normal(0, 1, 17)
    result = weighted_test(first, second, np.full(14, 0.2), np.full(17, 0.2), confidence=0.95)
    student = stats.ttest_ind(first, second)
    assert (result.statistic, result.df, result.p) == pytest.approx((student.statistic, 29, student.pvalue), rel=1e-9)


def test_a_value_of_little_precision_has_little_weight():
    rng = np.random.default_rng(6)
    first, second = rng.normal(0, 1, 15), rng.normal(0, 1, 15)
    spoiled, known = np.append(first, 50.0), np.append(np.full(15, 0.2), 1e6)
    result = weighted_test(spoiled, second, known, np.full(15, 0.2), confidence=0.95)
    without = weighted_test(first, second, known[:15], np.full(15, 0.2), confidence=0.95)
    assert result.estimate == pytest.approx(without.estimate, abs=1e-3)
    assert abs(result.estimate - welch_test(spoiled, second, confidence=0.95, jzs_scale=0.7).estimate) > 1


@pytest.mark.slow
def test_p_of_the_weighted_comparison_is_uniform_when_there_is_no_effect():
    rng, p = np.random.default_rng(7), []
    for _ in range(1500):
        known = rng.gamma(1.0, 1.0, 40)
        values = rng.normal(0, 1, 40) + rng.normal(0, np.sqrt(known))
        p.append(weighted_test(values[:18], values[18:], known[:18], known[18:], confidence=0.95).p)
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 1500))
    assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_without_random_effects_the_joint_test_is_the_f_test_of_least_squares():
    y, X, _, _ = crossover(np.random.default_rng(8))
    test = joint_test(fit_mixed(y, X, []), L)
    residuals = [y - Z @ np.linalg.lstsq(Z, y, rcond=None)[0] for Z in (X, X[:, :1])]
    full, null = (r @ r for r in residuals)
    n = len(y) - 4
    assert (test.statistic, test.den_df, test.scaling) == pytest.approx(
        ((null - full) / 3 / (full / n), n, 1), rel=1e-8
    )
    other = joint_satterthwaite(fit_mixed(y, X, []), L)
    assert (other.statistic, other.den_df) == pytest.approx((test.statistic, n), rel=1e-8)


def test_one_dimension_is_the_square_of_the_t_test():
    y, X, subject, visit = crossover(np.random.default_rng(9))
    fit = fit_mixed(y, X, [subject, visit])
    for compute, test in ((fit.contrast, joint_test), (fit.satterthwaite, joint_satterthwaite)):
        estimate, error, df = compute(L[0])
        result = test(fit, L[:1])
        assert (result.statistic, result.den_df) == pytest.approx(((estimate / error) ** 2, df), rel=1e-10)
        assert result.p == pytest.approx(2 * stats.t.sf(abs(estimate / error), df), rel=1e-9)
    with pytest.raises(AnalysisError, match="repeat each other"):
        joint_test(fit, np.vstack([L[0], 2 * L[0]]))


def test_satterthwaite_at_the_boundary_is_that_of_the_model_without_the_component():
    for seed in range(40):
        y, X, subject, visit = crossover(np.random.default_rng(seed), sds=(1.0, 0.0, 0.8))
        fit = fit_mixed(y, X, [subject, visit])
        if fit.variances[1] == 0:
            break
    assert fit.variances[1] == 0
    components = [same(subject), same(visit), np.eye(len(y))]
    test = joint_test(fit, L)
    expected = dense_joint(fit, L, X, components, np.zeros(len(y)))
    assert (test.statistic, test.den_df, test.scaling) == pytest.approx(expected, rel=1e-8)
    without = fit_mixed(y, X, [subject])
    for unit in np.eye(4):
        np.testing.assert_allclose(fit.satterthwaite(unit), without.satterthwaite(unit), rtol=1e-7)
    # Kenward and Roger's df still pay for the component.
    assert fit.contrast(np.eye(4)[2])[2] < without.contrast(np.eye(4)[2])[2]


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_tests_do_not_depend_on_coding_unit_names_or_order(seed):
    y, X, subject, visit = crossover(np.random.default_rng(seed % 50))
    rng = np.random.default_rng(seed)
    plain = fit_mixed(y, X, [subject, visit])
    order = rng.permutation(len(y))
    shuffled = fit_mixed(y[order], X[order], [subject[order], visit[order]])
    # Bit by bit: rows are put into one order first.
    assert (shuffled.coefficients == plain.coefficients).all()
    assert (shuffled.adjusted_covariance == plain.adjusted_covariance).all()
    assert (shuffled.variances == plain.variances).all()
    # Codes of zero and one: simple effects of this coding are combinations of the other's coefficients.
    recoding = np.linalg.lstsq(X, np.column_stack([np.ones(len(y)), X[:, 1] + 0.5, X[:, 2] + 0.5,
                                                   (X[:, 1] + 0.5) * (X[:, 2] + 0.5)]), rcond=None)[0]  # fmt: skip
    names = rng.permutation(1000)
    recoded = fit_mixed(1e3 * y + 7, X @ recoding, [names[subject], names[visit]])
    for weights in np.eye(4)[1:]:
        expected = plain.contrast(weights) * np.array([1e3, 1e3, 1])
        np.testing.assert_allclose(recoded.contrast(recoding.T @ weights), expected, rtol=1e-6, atol=1e-6)
    a, b = joint_test(plain, L), joint_test(recoded, L @ recoding)
    assert (a.statistic, a.den_df, a.p) == pytest.approx((b.statistic, b.den_df, b.p), rel=1e-6)


def test_differences_of_cell_means_are_the_coefficients():
    y, X, subject, visit = crossover(np.random.default_rng(10))
    model = mixed_model(y, dict(zip(COLUMNS, X.T, strict=True)), {"subject": subject, "visit": visit})
    means = {(c, d): model.cell_mean({"cue": c, "drug": d}, confidence=0.95).estimate
             for c in (-0.5, 0.5) for d in (-0.5, 0.5)}  # fmt: skip
    simple = model.simple_effect("cue", {"drug": 0.5}, confidence=0.95)
    assert simple.estimate == pytest.approx(means[0.5, 0.5] - means[-0.5, 0.5], rel=1e-10)
    main = np.mean([means[0.5, d] - means[-0.5, d] for d in (-0.5, 0.5)])
    assert model.test("cue", confidence=0.95).estimate == pytest.approx(main, rel=1e-10)
    averaged = model.simple_effect("cue", {}, confidence=0.95)
    assert averaged.p == pytest.approx(model.test("cue", confidence=0.95).p, rel=1e-10)
    with pytest.raises(AnalysisError, match="no term dose"):
        cell_weights(COLUMNS, {"dose": 1.0})
    with pytest.raises(AnalysisError, match="no term dose"):
        model.joint(["dose"])


def test_shares_are_the_correlations_of_scans():
    y, X, subject, visit = crossover(np.random.default_rng(11))
    fit = fit_mixed(y, X, [subject, visit])
    V = fit.variances[0] * same(subject) + fit.variances[1] * same(visit) + fit.variances[2] * np.eye(len(y))
    correlation = V / V[0, 0]
    in_visit, between = (visit[:, None] == visit), (subject[:, None] == subject) & (visit[:, None] != visit)
    np.fill_diagonal(in_visit, False)
    assert correlation[in_visit] == pytest.approx(fit.shares[:2].sum())
    assert correlation[between] == pytest.approx(fit.shares[0])


def test_the_profile_limits_and_the_ratio_of_likelihoods_agree():
    y, X, subject, visit = crossover(np.random.default_rng(12))
    groupings = [subject, visit]
    low, high = profile_interval(y, X, groupings, 1, 0.95)
    full = fit_maximum_likelihood(y, X, groupings)
    for limit in (low, high):
        held = fit_maximum_likelihood(y - limit * X[:, 1], np.delete(X, 1, axis=1), groupings)
        assert likelihood_ratio(held, full).p == pytest.approx(0.05, rel=1e-8)
    estimate, error, z, p = wald_z(fit_mixed(y, X, groupings), np.eye(4)[1])
    assert low < estimate < high
    assert p == pytest.approx(2 * stats.norm.sf(abs(estimate / error)), rel=1e-10)
    assert z == estimate / error
    # Of a model with a single coefficient, nothing is left in the profile.
    assert np.isfinite(profile_interval(y, X[:, :1], groupings, 0, 0.95)).all()
    with pytest.raises(AnalysisError, match="more coefficients"):
        likelihood_ratio(full, full)


def test_maximum_likelihood_without_random_effects_divides_by_n():
    y, X, _, _ = crossover(np.random.default_rng(13))
    residual = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    fit = fit_maximum_likelihood(y, X, [])
    assert fit.variances[0] == pytest.approx(residual @ residual / len(y), rel=1e-9)
    assert fit.log_likelihood == pytest.approx(stats.norm.logpdf(residual, scale=fit.variances[0] ** 0.5).sum())


def test_large_and_crossed_blocks_agree_with_the_dense_likelihood():
    rng = np.random.default_rng(14)
    site, day = np.repeat(np.arange(3), 20), np.tile(np.arange(20), 3)
    y = rng.normal(0, 1, 3)[site] + rng.normal(0, 0.5, 20)[day] + rng.normal(0, 1, 60)
    X, known = np.column_stack([np.ones(60), rng.normal(size=60)]), rng.gamma(2, 0.1, 60)
    fit = fit_mixed(y, X, [site, day], known_variance=known)
    components = [same(site), same(day), np.eye(60)]
    assert fit.log_likelihood == pytest.approx(dense_likelihood(fit.variances, y, X, components, known), rel=1e-11)
    _, adjusted, _, _ = dense_parts(fit, X, components, known)
    np.testing.assert_allclose(fit.adjusted_covariance, adjusted, rtol=1e-8, atol=1e-12)
