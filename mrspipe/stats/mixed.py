"""Linear mixed models by restricted maximum likelihood, and the small-sample test of Kenward and Roger.

The model is ``y = X b + sum_i Z_i u_i + e`` with independent random intercepts of variance ``theta_i`` for each of
several groupings, all nested in the first (subject, session of a subject, ...), and a residual variance, the last
component. With ``W`` the inverse of ``V = sum_i theta_i A_i`` everything that the likelihood and the test need is a sum
over subjects of small matrices; they are computed block by block. Variances are never negative: a component at the
boundary is exactly zero.

References
----------
.. [1] Kenward and Roger 1997, Biometrics 53:983-997, doi 10.2307/2533558
.. [2] Halekoh and Højsgaard 2014, doi 10.18637/jss.v059.i09
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import AnalysisError

_MAX_ITERATIONS = 300
_SCORE_TOLERANCE = 1e-12
# Where the likelihood cannot be improved beyond rounding, a gradient below this is as good as zero.
_ROUGH_SCORE = 1e-6
# Below this share of the variation of y (sum of squares) the model fits the data exactly.
_EXACT_FIT = 1e-20
# Largest relative rounding error that a log likelihood may have.
_ROUNDING = 1e-11


@dataclass(frozen=True, slots=True, eq=False)
class MixedFit:
    """A fitted model.

    Parameters
    ----------
    coefficients : real array, shape (n_columns,)
    variances : real array, shape (n_groupings + 1,)
        One for each grouping, and that of the residual.
    log_likelihood : float
        Restricted log likelihood.
    largest_score : float
        Largest gradient of the likelihood in the free variances, for `y` scaled to unit residual variance.
    covariance : real array, shape (n_columns, n_columns)
        Of the coefficients, without the adjustment for small samples.
    adjusted_covariance : real array, shape (n_columns, n_columns)
        With the adjustment of Kenward and Roger.
    variance_covariance : real array, shape (n_groupings + 1, n_groupings + 1)
        Of the variances: inverse of their expected information.
    gradients : real array, shape (n_groupings + 1, n_columns, n_columns)
        Derivatives of `covariance` in the variances.
    """

    coefficients: FloatArray
    variances: FloatArray
    log_likelihood: float
    largest_score: float
    covariance: FloatArray
    adjusted_covariance: FloatArray
    variance_covariance: FloatArray
    gradients: FloatArray

    @property
    def total_sd(self) -> float:
        """Standard deviation of a single observation: root of the sum of all variances."""
        return float(np.sqrt(self.variances.sum()))

    def contrast(self, weights: FloatArray) -> tuple[float, float, float]:
        """Estimate, standard error and degrees of freedom of a linear combination of the coefficients.

        Parameters
        ----------
        weights : real array, shape (n_columns,)

        Returns
        -------
        estimate, standard_error, df : float
            The error has the adjustment of Kenward and Roger, the degrees of freedom are theirs for one dimension.
        """
        estimate = float(weights @ self.coefficients)
        error = float(np.sqrt(weights @ self.adjusted_covariance @ weights))
        variance = weights @ self.covariance @ weights
        gradient = np.array([weights @ one @ weights for one in self.gradients])
        df = float(2.0 * variance**2 / (gradient @ self.variance_covariance @ gradient))
        return estimate, error, df


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """The rows of one subject: ``[X y]`` and the matrices ``A_i`` of the components."""

    data: FloatArray
    components: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Terms:
    """The likelihood and its derivatives at given variances.

    ``first[i]`` is ``X'W A_i W X`` and ``second[i, j]`` is ``X'W A_i W A_j W X``.
    """

    coefficients: FloatArray
    covariance: FloatArray
    log_likelihood: float
    score: FloatArray
    information: FloatArray
    first: FloatArray
    second: FloatArray


def fit_mixed(y: FloatArray, X: FloatArray, groupings: Sequence[Sequence[object]]) -> MixedFit:
    """Fit a linear mixed model by restricted maximum likelihood.

    Parameters
    ----------
    y : real array, shape (n_rows,)
    X : real array, shape (n_rows, n_columns)
        Of full column rank.
    groupings : sequence of label sequences, each of length n_rows
        Random intercepts. All are nested in the first: rows with different labels in it are independent.
        Without any, the fit is ordinary least squares.

    Returns
    -------
    MixedFit

    Raises
    ------
    AnalysisError
        The model cannot be estimated from these data; the message says why.
    """
    y, X = np.asarray(y, dtype=float), np.asarray(X, dtype=float)
    _check(y, X)
    residual = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    # On this scale the variances are near one, and tolerances mean the same whatever the unit of y.
    scale = float(np.sqrt(residual @ residual / (len(y) - X.shape[1])))
    blocks = _blocks(y / scale, X, groupings)
    variances, terms = _maximise(blocks, len(groupings) + 1)
    return _finished(variances, terms, scale, len(y) - X.shape[1])


def _check(y: FloatArray, X: FloatArray) -> None:
    if len(y) <= X.shape[1]:
        raise AnalysisError(f"{len(y)} values are too few for a model with {X.shape[1]} coefficients.", code="too-few")
    if np.linalg.matrix_rank(X) < X.shape[1]:
        raise AnalysisError("The model's terms cannot be told apart with the scans there are.", code="rank")
    residual = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    if residual @ residual <= _EXACT_FIT * (y @ y):
        raise AnalysisError("The values do not vary beyond the model.", code="no-variation")


def _blocks(y: FloatArray, X: FloatArray, groupings: Sequence[Sequence[object]]) -> list[_Block]:
    data = np.column_stack([X, y])
    codes = [np.unique([str(label) for label in labels], return_inverse=True)[1] for labels in groupings]
    independent = codes[0] if codes else np.arange(len(y))
    blocks = []
    for subject in range(int(independent.max()) + 1):
        rows = np.flatnonzero(independent == subject)
        same = [(code[rows][:, None] == code[rows]).astype(float) for code in codes]
        blocks.append(_Block(data[rows], np.array([*same, np.eye(len(rows))])))
    return blocks


def _terms(blocks: list[_Block], variances: FloatArray) -> _Terms:
    n, p = len(variances), blocks[0].data.shape[1] - 1
    zeroth, first, second = np.zeros((p + 1, p + 1)), np.zeros((n, p + 1, p + 1)), np.zeros((n, n, p + 1, p + 1))
    trace, traces, log_det = np.zeros(n), np.zeros((n, n)), 0.0
    for block in blocks:
        V = np.tensordot(variances, block.components, axes=1)
        WD, WA = np.linalg.solve(V, block.data), np.linalg.solve(V, block.components)
        AWD = block.components @ WD
        WAWD = np.linalg.solve(V, AWD)
        zeroth += block.data.T @ WD
        first += WD.T @ AWD
        second += np.einsum("ima,jmb->ijab", AWD, WAWD)
        trace += np.einsum("imm->i", WA)
        traces += np.einsum("imn,jnm->ij", WA, WA)
        log_det += np.linalg.slogdet(V)[1]
    covariance = np.linalg.inv(zeroth[:p, :p])
    coefficients = covariance @ zeroth[:p, p]
    with_sign = np.append(-coefficients, 1.0)  # [X y] times this is the residual
    Q, R = first[:, :p, :p], second[:, :, :p, :p]
    PQ = covariance @ Q
    score = -0.5 * (trace - np.einsum("iaa->i", PQ) - with_sign @ first @ with_sign)
    information = 0.5 * (traces - 2 * np.einsum("ab,ijba->ij", covariance, R) + np.einsum("iab,jba->ij", PQ, PQ))
    df = sum(len(block.data) for block in blocks) - p
    log_likelihood = -0.5 * (
        df * np.log(2 * np.pi) + log_det + np.linalg.slogdet(zeroth[:p, :p])[1] + with_sign @ zeroth @ with_sign
    )
    return _Terms(coefficients, covariance, float(log_likelihood), score, information, Q, R)


def _maximise(blocks: list[_Block], n: int) -> tuple[FloatArray, _Terms]:
    """Fisher scoring; a component that would become negative is held at zero until its gradient turns positive."""
    variances = np.full(n, 1.0 / n)
    terms = _terms(blocks, variances)
    free = np.ones(n, dtype=bool)
    for _ in range(_MAX_ITERATIONS):
        if np.abs(terms.score[free]).max() < _SCORE_TOLERANCE * len(blocks):
            if not np.any(terms.score[~free] > 0):
                return variances, terms
            free = (variances > 0) | (terms.score > 0)
        moved = _improved(blocks, variances, terms, free)
        if moved is None:
            # No step improves the likelihood beyond rounding: this is the optimum, if the gradient agrees.
            if np.abs(terms.score[free]).max() < _ROUGH_SCORE:
                return variances, terms
            break
        variances, terms = moved
        free = (variances > 0) | (terms.score > 0)
    raise AnalysisError("The variances of the mixed model could not be estimated.", code="not-converged")


def _improved(
    blocks: list[_Block], variances: FloatArray, terms: _Terms, free: NDArray[np.bool_]
) -> tuple[FloatArray, _Terms] | None:
    step = np.zeros_like(variances)
    try:
        step[free] = np.linalg.solve(terms.information[np.ix_(free, free)], terms.score[free])
    except np.linalg.LinAlgError:
        raise AnalysisError("The random effects cannot be told apart with the scans there are.", code="rank") from None
    for shrink in 0.5 ** np.arange(30):
        proposed = np.maximum(variances + shrink * step, 0.0)
        proposed[-1] = max(proposed[-1], 0.05 * variances[-1])
        at_proposed = _terms(blocks, proposed)
        if at_proposed.log_likelihood >= terms.log_likelihood - _ROUNDING * abs(terms.log_likelihood):
            return proposed, at_proposed
    return None


def _finished(variances: FloatArray, terms: _Terms, scale: float, df: int) -> MixedFit:
    if np.linalg.cond(terms.information) > 1 / _ROUNDING:
        raise AnalysisError("The random effects cannot be told apart with the scans there are.", code="rank")
    C, Phi = np.linalg.inv(terms.information), terms.covariance
    inner = np.einsum("ij,ijab->ab", C, terms.second) - np.einsum("ij,iab,bc,jcd->ad", C, terms.first, Phi, terms.first)
    adjusted = Phi + 2 * Phi @ inner @ Phi
    return MixedFit(
        coefficients=scale * terms.coefficients,
        variances=scale**2 * variances,
        log_likelihood=terms.log_likelihood - df * np.log(scale),
        largest_score=float(np.abs(terms.score[variances > 0]).max()),
        covariance=scale**2 * Phi,
        adjusted_covariance=scale**2 * adjusted,
        variance_covariance=np.asarray(scale**4 * C, dtype=np.float64),
        gradients=np.array([Phi @ one @ Phi for one in terms.first]),
    )
