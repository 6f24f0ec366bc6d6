import numpy as np
import pandas as pd
import pytest
from mixed_data import crossover
from scipy import stats

from mrspipe.core.errors import AnalysisError
from mrspipe.stats.mixed import fit_mixed


def dense_components(*groupings):
    return [np.equal.outer(labels, labels).astype(float) for labels in groupings] + [np.eye(len(groupings[0]))]


def dense_likelihood(variances, y, X, components):
    """Restricted log likelihood by its definition (Harville 1974), without the block structure."""
    V = sum(v * A for v, A in zip(variances, components, strict=True))
    W = np.linalg.inv(V)
    b = np.linalg.solve(X.T @ W @ X, X.T @ W @ y)
    r = y - X @ b
    logs = np.linalg.slogdet(V)[1] + np.linalg.slogdet(X.T @ W @ X)[1]
    return -0.5 * ((len(y) - X.shape[1]) * np.log(2 * np.pi) + logs + r @ W @ r)


def dense_kenward_roger(variances, X, components):
    """Adjusted covariance and degrees of freedom of each coefficient, formula by formula with loops."""
    V = sum(v * A for v, A in zip(variances, components, strict=True))
    W = np.linalg.inv(V)
    Phi = np.linalg.inv(X.T @ W @ X)
    P = W - W @ X @ Phi @ X.T @ W
    k = len(components)
    information = np.array([[0.5 * np.trace(P @ A @ P @ B) for B in components] for A in components])
    C = np.linalg.inv(information)
    first = [-X.T @ W @ A @ W @ X for A in components]
    inner = np.zeros_like(Phi)
    for i in range(k):
        for j in range(k):
            Q = X.T @ W @ components[i] @ W @ components[j] @ W @ X
            inner += C[i, j] * (Q - first[i] @ Phi @ first[j])
    adjusted = Phi + 2 * Phi @ inner @ Phi
    df = []
    for column in range(X.shape[1]):
        g = np.array([-(Phi @ one @ Phi)[column, column] for one in first])
        df.append(2 * Phi[column, column] ** 2 / (g @ C @ g))
    return adjusted, np.array(df)


@pytest.mark.parametrize("seed", range(5))
def test_the_blockwise_fit_equals_the_dense_formulas_on_unbalanced_data(seed):
    y, X, subject, visit = crossover(np.random.default_rng(seed))
    fit = fit_mixed(y, X, [subject, visit])
    components = dense_components(subject, visit)
    adjusted, df = dense_kenward_roger(fit.variances, X, components)
    assert fit.log_likelihood == pytest.approx(dense_likelihood(fit.variances, y, X, components), rel=1e-12)
    np.testing.assert_allclose(fit.adjusted_covariance, adjusted, rtol=1e-9, atol=1e-12)
    found = np.array([fit.contrast(unit) for unit in np.eye(X.shape[1])])
    np.testing.assert_allclose(found[:, 2], df, rtol=1e-9)
    np.testing.assert_allclose(found[:, 1], np.sqrt(np.diag(adjusted)), rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_variances_have_a_higher_likelihood(seed):
    rng = np.random.default_rng(seed)
    y, X, subject, visit = crossover(rng)
    fit = fit_mixed(y, X, [subject, visit])
    components = dense_components(subject, visit)
    best = dense_likelihood(fit.variances, y, X, components)
    for factors in rng.uniform(0.5, 2.0, (50, 3)):
        other = np.maximum(fit.variances, 0.01) * factors
        assert dense_likelihood(other, y, X, components) < best
    assert fit.largest_score < 1e-10


def split_plot(rng, per_group=9):
    """Two groups, two conditions within each subject; complete."""
    subject = np.repeat(np.arange(2 * per_group), 2)
    group = np.where(subject < per_group, -0.5, 0.5)
    condition = np.tile([-0.5, 0.5], 2 * per_group)
    y = 5 + group + rng.normal(0, 1.0, 2 * per_group)[subject] + rng.normal(0, 0.7, len(subject))
    return y, np.column_stack([np.ones(len(y)), group, condition, group * condition]), subject


def test_balanced_variances_are_those_of_the_analysis_of_variance():
    y, X, subject = split_plot(np.random.default_rng(2))
    means = y.reshape(-1, 2).mean(axis=1)
    halves = np.diff(y.reshape(-1, 2), axis=1)[:, 0] / np.sqrt(2)
    group = X[::2, 1] > 0
    pooled = [
        np.sum((part - part.mean()) ** 2) for values in (means, halves) for part in (values[group], values[~group])
    ]
    within = (pooled[2] + pooled[3]) / 16
    between = 2 * (pooled[0] + pooled[1]) / 16
    fit = fit_mixed(y, X, [subject])
    np.testing.assert_allclose(fit.variances, [(between - within) / 2, within], rtol=1e-9)


def test_kenward_roger_is_the_exact_test_when_balanced():
    y, X, subject = split_plot(np.random.default_rng(3))
    fit = fit_mixed(y, X, [subject])
    pairs = y.reshape(-1, 2)
    group = X[::2, 1] > 0
    between = stats.ttest_ind(pairs.mean(axis=1)[group], pairs.mean(axis=1)[~group])
    change = np.diff(pairs, axis=1)[:, 0]
    interaction = stats.ttest_ind(change[group], change[~group])
    for weights, exact in (([0, 1, 0, 0], between), ([0, 0, 0, 1], interaction)):
        estimate, error, df = fit.contrast(np.array(weights, dtype=float))
        assert estimate / error == pytest.approx(exact.statistic, rel=1e-9)
        assert df == pytest.approx(16, rel=1e-9)


def test_a_variance_that_would_be_negative_is_exactly_zero():
    rng = np.random.default_rng(4)
    y, X, subject = split_plot(rng)
    opposed = y - np.repeat(y.reshape(-1, 2).mean(axis=1), 2) + rng.normal(0, 0.05, len(y))
    fit = fit_mixed(opposed, X, [subject])
    assert fit.variances[0] == 0
    residual = opposed - X @ np.linalg.lstsq(X, opposed, rcond=None)[0]
    assert fit.variances[1] == pytest.approx(residual @ residual / (len(y) - 4), rel=1e-9)


def test_without_random_effects_the_fit_is_least_squares():
    y, X, _ = split_plot(np.random.default_rng(5))
    estimate, error, df = fit_mixed(y, X, []).contrast(np.array([0.0, 1.0, 0.0, 0.0]))
    exact = stats.linregress(X[:, 1], y)
    assert estimate == pytest.approx(exact.slope, rel=1e-9)
    assert df == pytest.approx(len(y) - 4, rel=1e-9)
    residual = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    assert error == pytest.approx(np.sqrt(residual @ residual / (len(y) - 4) / (len(y) / 4)), rel=1e-9)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_unit_of_the_measurement_does_not_matter(factor):
    y, X, subject, visit = crossover(np.random.default_rng(6))
    weights = np.array([0.0, 0.0, 1.0, 0.0])
    a, b = (fit_mixed(scale * y, X, [subject, visit]) for scale in (1.0, factor))
    estimate, error, df = a.contrast(weights)
    np.testing.assert_allclose(b.contrast(weights), [factor * estimate, factor * error, df], rtol=1e-7)


def test_what_cannot_be_estimated_is_refused_with_a_reason():
    y, X, subject = split_plot(np.random.default_rng(7))
    with pytest.raises(AnalysisError, match="too few"):
        fit_mixed(y[:4], X[:4], [subject[:4]])
    with pytest.raises(AnalysisError, match="cannot be told apart"):
        fit_mixed(y, np.column_stack([X, X[:, 1]]), [subject])
    with pytest.raises(AnalysisError, match="do not vary"):
        fit_mixed(np.ones_like(y), X, [subject])


@pytest.mark.slow
def test_p_values_are_uniform_when_there_is_no_effect():
    rng = np.random.default_rng(8)
    p = []
    for _ in range(1500):
        y, X, subject, visit = crossover(rng, n_subjects=10, lost=4)
        estimate, error, df = fit_mixed(y, X, [subject, visit]).contrast(np.array([0.0, 0.0, 1.0, 0.0]))
        p.append(2 * stats.t.sf(abs(estimate / error), df))
    # Four Monte Carlo standard errors around the level.
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 1500))
    assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_crossed_groupings_have_the_variances_of_the_two_way_analysis_of_variance():
    rng = np.random.default_rng(9)
    row, column = np.repeat(np.arange(6), 8), np.tile(np.arange(8), 6)
    y = rng.normal(0, 1, 6)[row] + rng.normal(0, 1, 8)[column] + rng.normal(0, 0.5, 48)
    table = y.reshape(6, 8)
    rows, columns = table.mean(axis=1), table.mean(axis=0)
    residual = np.sum((table - rows[:, None] - columns + y.mean()) ** 2) / 35
    between_rows, between_columns = 8 * np.var(rows, ddof=1), 6 * np.var(columns, ddof=1)
    expected = [(between_rows - residual) / 8, (between_columns - residual) / 6, residual]
    np.testing.assert_allclose(fit_mixed(y, np.ones((48, 1)), [row, column]).variances, expected, rtol=1e-9)


@pytest.mark.parametrize("size", [1e-3, 1e-2, 1e2])
def test_balanced_variances_of_very_different_size_are_found_exactly(size):
    y, X, subject = split_plot(np.random.default_rng(10))
    subjects = np.repeat(y.reshape(-1, 2).mean(axis=1), 2)
    y = subjects + size * (y - subjects)
    halves = np.diff(y.reshape(-1, 2), axis=1)[:, 0] / np.sqrt(2)
    group = X[::2, 1] > 0
    within = sum(np.sum((part - part.mean()) ** 2) for part in (halves[group], halves[~group])) / 16
    means = y.reshape(-1, 2).mean(axis=1)
    between = 2 * sum(np.sum((part - part.mean()) ** 2) for part in (means[group], means[~group])) / 16
    expected = [(between - within) / 2, within] if between > within else None
    fit = fit_mixed(y, X, [subject])
    if expected:
        np.testing.assert_allclose(fit.variances, expected, rtol=1e-9)
    else:
        assert fit.variances[0] == 0


@pytest.mark.parametrize("seed", range(40))
def test_small_and_incomplete_studies_of_any_variances_reach_the_optimum(seed):
    rng = np.random.default_rng(seed)
    sds = np.sqrt([*rng.choice([0, 0.01, 1, 50], 2), 1.0])
    y, X, subject, visit = crossover(rng, n_subjects=12, lost=int(rng.integers(0, 14)), sds=sds)
    fit = fit_mixed(y, X, [subject, visit])
    components = dense_components(subject, visit)
    best = dense_likelihood(fit.variances, y, X, components)
    for i in range(3):
        step = np.zeros(3)
        step[i] = 1e-3 * max(fit.variances[i], 1e-3 * fit.variances[-1])
        # Along each variance the likelihood falls to both sides, or to the one side that is not negative.
        assert dense_likelihood(fit.variances + step, y, X, components) < best
        if fit.variances[i] > 0:
            assert dense_likelihood(fit.variances - step, y, X, components) < best


@pytest.mark.parametrize("noise", [0.0, 1e-9])
def test_values_that_are_the_same_within_groups_are_refused(noise):
    rng = np.random.default_rng(11)
    subject = np.repeat(np.arange(10), 2)
    y = rng.normal(size=10)[subject] + noise * rng.normal(size=20)
    with pytest.raises(AnalysisError, match="do not vary within"):
        fit_mixed(y, np.ones((20, 1)), [subject])


@pytest.mark.parametrize("groupings", [[np.arange(36)], [np.arange(36) // 2, np.arange(36) // 2], [np.zeros(36)]])
def test_groupings_that_repeat_another_term_are_refused(groupings):
    y, X, _ = split_plot(np.random.default_rng(12))
    with pytest.raises(AnalysisError, match="random effects cannot be told apart"):
        fit_mixed(y, X, groupings)


def test_missing_values_and_labels_of_another_length_are_refused():
    y, X, subject = split_plot(np.random.default_rng(13))
    with pytest.raises(AnalysisError, match="missing"):
        fit_mixed(np.where(subject == 3, np.nan, y), X, [subject])
    with pytest.raises(AnalysisError, match="missing"):
        fit_mixed(y, np.where(X == -0.5, np.nan, X), [subject])
    with pytest.raises(AnalysisError, match="differ in number"):
        fit_mixed(y, X, [subject[:-1]])


def test_the_scale_of_a_covariate_does_not_matter():
    y, X, subject, visit = crossover(np.random.default_rng(14))
    a = fit_mixed(y, X, [subject, visit]).contrast(np.array([0.0, 0.0, 1.0, 0.0]))
    b = fit_mixed(y, X * [1, 1, 1e9, 1], [subject, visit]).contrast(np.array([0.0, 0.0, 1e9, 0.0]))
    np.testing.assert_allclose(b, a, rtol=1e-9)


# Models of the reference computed in R with lme4 and pbkrtest: terms, random intercepts, rows.
R_MODELS = {
    "H2a": ("group*task", 1, "drug == 'placebo' and qc == 'pass'", "glu"),
    "H2lmm": ("task", 1, "drug == 'placebo' and group == 'CAI' and qc == 'pass'", "glu"),
    "H3": ("group*task*drug+period", 2, "qc == 'pass'", "glu"),
    "H3carry": ("group*task*drug+period+sequence", 2, "qc == 'pass'", "glu"),
    "H3cai": ("task*drug+period", 2, "group == 'CAI' and qc == 'pass'", "glu"),
    "H3cai_noses": ("task*drug+period", 1, "group == 'CAI' and qc == 'pass'", "glu"),
    "M1": ("task*drug+period", 1, "group == 'CAI'", "vas"),
}
R_DUMMIES = {
    "groupCAI": ("group", "CAI"), "taskcue": ("task", "cue"), "drugNAC": ("drug", "NAC"), "period2": ("period", 2),
    "sequenceNAC-placebo": ("sequence", "NAC-placebo"),
}  # fmt: skip


def r_tables(real_data, name):
    folder = real_data / "reference" / "stats"
    rows = pd.read_csv(folder / f"dataset_{name}.tsv", sep="\t", na_values="n/a")
    return rows, pd.read_csv(folder / f"reference_{name}.tsv", sep="\t").set_index(["analysis", "term"])


def r_column(table, term, offset=0.0):
    factors = [R_DUMMIES[part] for part in term.split(":") if part != "(Intercept)"]
    columns = [(table[column] == level).to_numpy(dtype=float) + offset for column, level in factors]
    return np.prod([np.ones(len(table)), *columns], axis=0)


def r_groupings(table):
    return [table["participant_id"].to_numpy(), (table["participant_id"] + table["session"].astype(str)).to_numpy()]


@pytest.mark.real
@pytest.mark.parametrize("dataset", ["A", "C"])
@pytest.mark.parametrize("name", sorted(R_MODELS))
def test_the_mixed_models_agree_with_lme4_and_pbkrtest(real_data, dataset, name):
    table, reference = r_tables(real_data, dataset)
    _, n_random, rows, outcome = R_MODELS[name]
    table = table.query(rows).dropna(subset=[outcome])
    expected = reference.loc[f"{name}.kr.treatment"]
    X = np.column_stack([r_column(table, term) for term in expected.index])
    fit = fit_mixed(table[outcome].to_numpy(), X, r_groupings(table)[:n_random])
    found = np.array([fit.contrast(unit) for unit in np.eye(len(expected))])
    np.testing.assert_allclose(found[:, :2], expected[["estimate", "se"]], rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(found[:, 2], expected["df"], rtol=1e-6)
    components = reference.loc[f"{name}.varcomp", "estimate"]
    order = ["var(id)", *["var(id:session)"][: n_random - 1], "var(Residual)"]
    np.testing.assert_allclose(fit.variances, components.loc[order], rtol=1e-8)
    assert fit.log_likelihood == pytest.approx(reference.loc[(f"{name}.fit", "logLik_REML"), "estimate"], rel=1e-10)


@pytest.mark.real
@pytest.mark.parametrize("dataset", ["A", "C"])
@pytest.mark.parametrize("outcome", ["snr", "fwhm_hz", "gm_fraction"])
def test_type_three_tests_agree_with_lmertest_also_at_the_boundary(real_data, dataset, outcome):
    table, reference = r_tables(real_data, dataset)
    table = table[table["qc"] == "pass"]
    expected = reference.loc[f"Q1.{outcome}.F3.kr"]
    parts = {"group": "groupCAI", "task": "taskcue", "drug": "drugNAC"}
    terms = [":".join(parts[part] for part in term.split(":")) for term in expected.index]
    X = np.column_stack([np.ones(len(table)), *[r_column(table, term, -0.5) for term in terms]])
    fit = fit_mixed(table[outcome].to_numpy(), X, r_groupings(table)[:1])
    found = np.array([fit.contrast(unit) for unit in np.eye(X.shape[1])[1:]])
    np.testing.assert_allclose((found[:, 0] / found[:, 1]) ** 2, expected["statistic"], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found[:, 2], expected["df"], rtol=1e-6)
    components = reference.loc[f"Q1.{outcome}.varcomp", "estimate"]
    np.testing.assert_allclose(fit.variances, components.loc[["var(id)", "var(Residual)"]], rtol=1e-8)
    assert (fit.variances[0] == 0) == (components["var(id)"] == 0)
