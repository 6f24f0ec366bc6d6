"""The tests: each takes numbers and gives a `TestResult`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import AnalysisError
from mrspipe.stats.effects import Effect, cohen_dz, hedges_correction, hedges_g, jzs_bf01, pooled_t
from mrspipe.stats.mixed import MixedFit, fit_mixed

_NAN = float("nan")
_NO_EFFECT = Effect("n/a", _NAN, _NAN, _NAN, _NAN)


@dataclass(frozen=True, slots=True)
class TestResult:
    """What a test found.

    Parameters
    ----------
    estimate, standard_error, df, statistic, p, ci_low, ci_high : float
        In the unit of the measurement; two-sided.
    effect : Effect
    bf01 : float
        Bayes factor for no effect; NaN where there is none for this test.
    note : str
        What to know about it.
    """

    __test__ = False  # pytest: this is not a test

    estimate: float
    standard_error: float
    df: float
    statistic: float
    p: float
    ci_low: float
    ci_high: float
    effect: Effect
    bf01: float = _NAN
    note: str = ""


def _t_result(
    estimate: float, error: float, df: float, confidence: float, effect: Effect, bf01: float = _NAN, note: str = ""
) -> TestResult:
    reach = float(stats.t.ppf(0.5 + confidence / 2, df)) * error
    t = estimate / error
    p = float(2 * stats.t.sf(abs(t), df))
    return TestResult(estimate, error, df, t, p, estimate - reach, estimate + reach, effect, bf01, note)


def welch_test(first: FloatArray, second: FloatArray, *, confidence: float, jzs_scale: float) -> TestResult:
    """Compare the means of two independent samples without assuming equal variances; first minus second.

    Raises
    ------
    AnalysisError
        A sample has fewer than two values, or no value differs from another.
    """
    if min(len(first), len(second)) < 2:
        raise AnalysisError("A comparison of two groups needs at least two participants in each.", code="too-few")
    v_1, v_2 = (float(np.var(values, ddof=1)) / len(values) for values in (first, second))
    _refuse_constant(v_1 + v_2, np.concatenate([first, second]))
    df = (v_1 + v_2) ** 2 / (v_1**2 / (len(first) - 1) + v_2**2 / (len(second) - 1))
    n_1, n_2 = len(first), len(second)
    bf01 = jzs_bf01(pooled_t(first, second), n_1 * n_2 / (n_1 + n_2), n_1 + n_2 - 2, jzs_scale)
    effect = hedges_g(first, second, confidence)
    return _t_result(float(np.mean(first) - np.mean(second)), math.sqrt(v_1 + v_2), df, confidence, effect, bf01)


def paired_test(differences: FloatArray, *, confidence: float, jzs_scale: float) -> TestResult:
    """Compare the mean of paired differences with zero.

    Raises
    ------
    AnalysisError
        There are fewer than two pairs, or all differences are the same.
    """
    n = len(differences)
    if n < 2:
        raise AnalysisError(f"A paired comparison needs at least two participants with both values; {n} found.",
                            code="too-few")  # fmt: skip
    error = float(np.std(differences, ddof=1)) / math.sqrt(n)
    _refuse_constant(error**2, differences)
    mean = float(np.mean(differences))
    bf01 = jzs_bf01(mean / error, n, n - 1, jzs_scale)
    return _t_result(mean, error, n - 1, confidence, cohen_dz(differences, confidence), bf01)


def mean_level(values: FloatArray, *, confidence: float) -> TestResult:
    """Give the mean of a sample with its confidence interval; nothing is tested."""
    n = len(values)
    if n < 2:
        estimate = float(values[0]) if n else _NAN
        return TestResult(estimate, _NAN, _NAN, _NAN, _NAN, _NAN, _NAN, _NO_EFFECT)
    error = float(np.std(values, ddof=1)) / math.sqrt(n)
    reach = float(stats.t.ppf(0.5 + confidence / 2, n - 1)) * error
    mean = float(np.mean(values))
    return TestResult(mean, error, n - 1, _NAN, _NAN, mean - reach, mean + reach, _NO_EFFECT)


def _refuse_constant(variance: float, values: FloatArray) -> None:
    # Differences of equal values come out as rounding errors of their size.
    if variance <= (1e-13 * float(np.max(np.abs(values)))) ** 2:
        raise AnalysisError("The values do not vary.", code="no-variation")


def robust_regression(
    y: FloatArray, x: FloatArray, covariates: Mapping[str, FloatArray], *, confidence: float
) -> TestResult:
    """Regress on a factor and covariates; the factor's coefficient with HC3 errors and a t test with n - p df.

    Parameters
    ----------
    y, x : real array, shape (n,)
        Measurement, and the factor with a distance of one between its levels.
    covariates : mapping of name to real array, shape (n,)
    confidence : float

    Raises
    ------
    AnalysisError
        There are too few values for the covariates, or they cannot be told apart from the factor.
    """
    import statsmodels.api as sm

    X = np.column_stack([np.ones(len(y)), x, *covariates.values()])
    n, p = X.shape
    if n < p + 2:
        raise AnalysisError(f"{n} participants are too few for {p - 2} covariates and the groups.", code="too-few")
    centred = X - np.append(0.0, X[:, 1:].mean(axis=0))
    spread = np.where(centred.std(axis=0) > 0, centred.std(axis=0), 1.0)
    if np.linalg.matrix_rank(np.column_stack([X[:, 0], centred[:, 1:] / spread[1:]])) < p:
        raise AnalysisError(f"The groups cannot be told apart from {', '.join(covariates)}.", code="rank")
    fitted = sm.OLS(y, X).fit(cov_type="HC3", use_t=True)
    leverage = fitted.get_influence().hat_matrix_diag
    if leverage.max() > 1 - 1e-9:
        raise AnalysisError("A covariate's level has a single participant, so robust errors do not exist.", code="rank")
    estimate, sd, correction = float(fitted.params[1]), math.sqrt(fitted.mse_resid), hedges_correction(n - p)
    result = _t_result(estimate, float(fitted.bse[1]), n - p, confidence, _NO_EFFECT)
    scale = correction / sd
    effect = Effect("adjusted g", scale * estimate, scale * result.ci_low, scale * result.ci_high, sd)
    return _t_result(estimate, result.standard_error, n - p, confidence, effect)


@dataclass(frozen=True, slots=True, eq=False)
class MixedModel:
    """A mixed model, and its coefficients by name."""

    fit: MixedFit
    columns: tuple[str, ...]
    random: tuple[str, ...]

    def test(self, column: str, *, confidence: float) -> TestResult:
        """Test a coefficient with the error and degrees of freedom of Kenward and Roger.

        The effect is in units of the standard deviation of a single measurement (root of the sum of all variances);
        its interval takes that standard deviation as known.
        """
        weights = np.array([float(name == column) for name in self.columns])
        estimate, error, df = self.fit.contrast(weights)
        result = _t_result(estimate, error, df, confidence, _NO_EFFECT)
        sd = self.fit.total_sd
        effect = Effect("d (total SD)", estimate / sd, result.ci_low / sd, result.ci_high / sd, sd)
        return _t_result(estimate, error, df, confidence, effect, note=self._note())

    def _note(self) -> str:
        at_zero = [name for name, v in zip(self.random, self.fit.variances, strict=False) if v == 0]
        return f"The variance of {' and '.join(at_zero)} was estimated as zero." if at_zero else ""


def mixed_model(
    y: FloatArray, columns: Mapping[str, FloatArray], groupings: Mapping[str, Sequence[object]]
) -> MixedModel:
    """Fit a mixed model; random intercepts that the data cannot tell apart are left out, the last one first.

    Parameters
    ----------
    y : real array, shape (n,)
    columns : mapping of name to real array, shape (n,)
        Fixed effects, with the intercept.
    groupings : mapping of name to sequence, each of length n
        Random intercepts, nested in the first.

    Raises
    ------
    AnalysisError
        The model cannot be estimated.
    """
    X = np.column_stack(list(columns.values()))
    names = _identifiable(groupings)
    while True:
        try:
            fit = fit_mixed(y, X, [groupings[name] for name in names])
        except AnalysisError as error:
            if error.code not in {"rank", "not-converged"} or len(names) < 2:
                raise
            names = names[:-1]
        else:
            return MixedModel(fit, tuple(columns), tuple(names))


def _identifiable(groupings: Mapping[str, Sequence[object]]) -> list[str]:
    """A grouping counts when it is finer than the one before, and has a label with more than one row."""
    kept: list[str] = []
    n_before = 0
    for name, labels in groupings.items():
        n = len({str(label) for label in labels})
        if n_before < n < len(labels):
            kept.append(name)
            n_before = n
    return kept
