"""The tests: each takes numbers and gives a `TestResult`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtr, stdtrit

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import AnalysisError
from mrspipe.stats.effects import Effect, cohen_dz, hedges_correction, hedges_g, jzs_bf01, pooled_t
from mrspipe.stats.linear import fit_linear
from mrspipe.stats.mixed import MixedFit, fit_mixed
from mrspipe.stats.mixed_tests import FTest, cell_weights, joint_satterthwaite, joint_test

DfMethod = Literal["kenward-roger", "satterthwaite"]
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
    reach = float(stdtrit(df, 0.5 + confidence / 2)) * error
    t = estimate / error
    p = float(2 * stdtr(df, -abs(t)))
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


def student_test(first: FloatArray, second: FloatArray, *, confidence: float) -> TestResult:
    """Compare the means of two independent samples with a common variance; first minus second.

    Raises
    ------
    AnalysisError
        A sample has fewer than two values, or no value differs from another.
    """
    if min(len(first), len(second)) < 2:
        raise AnalysisError("A comparison of two groups needs at least two participants in each.", code="too-few")
    n_1, n_2 = len(first), len(second)
    squares = sum((len(values) - 1) * float(np.var(values, ddof=1)) for values in (first, second))
    error = math.sqrt(squares / (n_1 + n_2 - 2) * (1 / n_1 + 1 / n_2))
    _refuse_constant(error**2, np.concatenate([first, second]))
    difference = float(np.mean(first) - np.mean(second))
    return _t_result(difference, error, n_1 + n_2 - 2, confidence, hedges_g(first, second, confidence))


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
    reach = float(stdtrit(n - 1, 0.5 + confidence / 2)) * error
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
    X = np.column_stack([np.ones(len(y)), x, *covariates.values()])
    n, p = X.shape
    if n < p + 2:
        raise AnalysisError(f"{n} participants are too few for {p - 2} covariates and the groups.", code="too-few")
    centred = X - np.append(0.0, X[:, 1:].mean(axis=0))
    spread = np.where(centred.std(axis=0) > 0, centred.std(axis=0), 1.0)
    if np.linalg.matrix_rank(np.column_stack([X[:, 0], centred[:, 1:] / spread[1:]])) < p:
        raise AnalysisError(f"The groups cannot be told apart from {', '.join(covariates)}.", code="rank")
    fitted = fit_linear(y, X)
    estimate, error = fitted.combination(np.eye(p)[1], "HC3")
    sd, correction = fitted.residual_sd, hedges_correction(n - p)
    result = _t_result(estimate, error, n - p, confidence, _NO_EFFECT)
    scale = correction / sd
    effect = Effect("adjusted g", scale * estimate, scale * result.ci_low, scale * result.ci_high, sd)
    return _t_result(estimate, error, n - p, confidence, effect)


def weighted_test(
    first: FloatArray,
    second: FloatArray,
    known_first: FloatArray,
    known_second: FloatArray,
    *,
    confidence: float,
) -> TestResult:
    """Compare the means of two independent samples whose values have known sampling variances; first minus second.

    Participants vary by a variance that is estimated, the same in both groups, and each value by its own on top; the
    weights are the inverse of their sum. Error and df are those of Kenward and Roger.

    Parameters
    ----------
    first, second : real array
    known_first, known_second : real array
        Sampling variances, above zero.
    confidence : float

    Raises
    ------
    AnalysisError
        A sample has fewer than two values, or a variance is missing or not above zero.
    """
    if min(len(first), len(second)) < 2:
        raise AnalysisError("A comparison of two groups needs at least two participants in each.", code="too-few")
    code = np.repeat([0.5, -0.5], [len(first), len(second)])
    columns = {"1": np.ones(len(code)), "group": code}
    known = np.concatenate([known_first, known_second])
    return mixed_model(np.concatenate([first, second]), columns, {}, known_variance=known).test(
        "group", confidence=confidence
    )


@dataclass(frozen=True, slots=True, eq=False)
class MixedModel:
    """A mixed model, and its coefficients by name."""

    fit: MixedFit
    columns: tuple[str, ...]
    random: tuple[str, ...]

    def test(self, column: str, *, confidence: float) -> TestResult:
        """Test a coefficient with the error and degrees of freedom of Kenward and Roger; see `combination`."""
        weights = np.array([float(name == column) for name in self.columns])
        return self.combination(weights, confidence=confidence)

    def combination(self, weights: FloatArray, *, confidence: float, method: DfMethod = "kenward-roger") -> TestResult:
        """Test a linear combination of the coefficients.

        The effect is in units of the standard deviation of a single measurement (root of the sum of all variances);
        its interval takes that standard deviation as known.

        Parameters
        ----------
        weights : real array, shape (n_columns,)
        confidence : float
        method : str
            ``kenward-roger`` or ``satterthwaite``.
        """
        compute = {"kenward-roger": self.fit.contrast, "satterthwaite": self.fit.satterthwaite}[method]
        estimate, error, df = compute(np.asarray(weights, dtype=float))
        result = _t_result(estimate, error, df, confidence, _NO_EFFECT)
        sd = self.fit.total_sd
        effect = Effect("d (total SD)", estimate / sd, result.ci_low / sd, result.ci_high / sd, sd)
        return _t_result(estimate, error, df, confidence, effect, note=self._note())

    def joint(self, columns: Sequence[str], *, method: DfMethod = "kenward-roger") -> FTest:
        """Test that several coefficients are all zero.

        With codes of plus and minus one half this is the marginal (type III) test of a term.
        """
        missing = set(columns) - set(self.columns)
        if missing or not columns:
            raise AnalysisError(f"The model has no term {min(missing, default='to test')}.", code="design")
        L = np.array([[float(name == column) for name in self.columns] for column in columns])
        return {"kenward-roger": joint_test, "satterthwaite": joint_satterthwaite}[method](self.fit, L)

    def cell_mean(self, levels: Mapping[str, float], *, confidence: float) -> TestResult:
        """Estimated marginal mean at some levels (codes) of the factors, with equal weights of all others."""
        return self.combination(cell_weights(self.columns, levels), confidence=confidence)

    def simple_effect(
        self, of: str, at: Mapping[str, float], *, confidence: float, codes: tuple[float, float] = (-0.5, 0.5)
    ) -> TestResult:
        """Difference between the two levels of a factor at some levels of the others.

        Parameters
        ----------
        of : str
            Factor.
        at : mapping of name to float
            Codes of the factors that are held; others are averaged with equal weights.
        confidence : float
        codes : pair of float
            Codes of the two levels of the factor; the second minus the first.
        """
        low, high = (cell_weights(self.columns, {**at, of: code}) for code in codes)
        return self.combination(high - low, confidence=confidence)

    def _note(self) -> str:
        at_zero = [name for name, v in zip(self.random, self.fit.variances, strict=False) if v == 0]
        notes = [f"The variance of {' and '.join(at_zero)} was estimated as zero."] if at_zero else []
        if self.fit.variances[-1] == 0:
            notes.append("Beyond their known errors the values do not vary.")
        return " ".join(notes)


def mixed_model(
    y: FloatArray,
    columns: Mapping[str, FloatArray],
    groupings: Mapping[str, Sequence[object]],
    *,
    known_variance: FloatArray | None = None,
) -> MixedModel:
    """Fit a mixed model; random intercepts that the data cannot tell apart are left out, the last one first.

    Parameters
    ----------
    y : real array, shape (n,)
    columns : mapping of name to real array, shape (n,)
        Fixed effects, with the intercept.
    groupings : mapping of name to sequence, each of length n
        Random intercepts: the first of participants, the others within them.
    known_variance : real array, shape (n,), optional
        Sampling variance of each value, for weights as in a random-effects meta-regression.

    Raises
    ------
    AnalysisError
        The model cannot be estimated.
    """
    X = np.column_stack(list(columns.values()))
    names = _identifiable(groupings)
    while True:
        try:
            fit = fit_mixed(y, X, [groupings[name] for name in names], known_variance=known_variance)
        except AnalysisError as error:
            if error.code not in {"rank", "not-converged"} or len(names) < 2:
                raise
            names = names[:-1]
        else:
            return MixedModel(fit, tuple(columns), tuple(names))


def _identifiable(groupings: Mapping[str, Sequence[object]]) -> list[str]:
    """A grouping counts when it splits the first one, as no other before it, and has a label with more than one row."""
    kept: list[str] = []
    splits: list[tuple[int, ...]] = []
    for name, labels in groupings.items():
        codes = tuple(np.unique([str(label) for label in labels], return_inverse=True)[1].tolist())
        n = max(codes) + 1
        first_seen = {code: place for place, code in enumerate(dict.fromkeys(codes))}
        split = tuple(first_seen[code] for code in codes)
        is_finer = not kept or n > max(splits[0]) + 1
        if is_finer and n < len(labels) and split not in splits:
            kept.append(name)
            splits.append(split)
    return kept
