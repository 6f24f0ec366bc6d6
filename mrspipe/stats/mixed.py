"""Linear mixed models by restricted maximum likelihood, and the small-sample test of Kenward and Roger.

The model is ``y = X b + sum_i Z_i u_i + e`` with independent random intercepts of variance ``theta_i`` for each of
several groupings, and a residual variance, the last component; `mrspipe.stats.likelihood` has its likelihood. Variances
are never negative: a component at the boundary is exactly zero, and still counts in the test.

The adjusted covariance is that of the 1997 paper [1]_, as in [2]_; its term in second derivatives is left out. For one
dimension the degrees of freedom come from the covariance without adjustment. Satterthwaite's degrees of freedom are the
alternative [3]_: no adjustment, and a component at zero counts as not in the model.

Values may come with a known sampling variance each. They are then weighted as in a random-effects meta-regression: the
variances between participants, visits and scans are estimated on top of what is known [4]_.

References
----------
.. [1] Kenward and Roger 1997, Biometrics 53:983-997, doi 10.2307/2533558
.. [2] Halekoh and Højsgaard 2014, doi 10.18637/jss.v059.i09
.. [3] Kuznetsova et al. 2017, doi 10.18637/jss.v082.i13
.. [4] Berkey et al. 1995, doi 10.1002/sim.4780140406
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import AnalysisError
from mrspipe.stats.likelihood import Blocks, Terms, label_codes, make_blocks, row_order, terms_at

_MAX_ITERATIONS = 200
# Distance to the optimum, in standard errors of the variances.
_TOLERANCE = 1e-11
# Where rounding stops the search, a distance below this is as good as none.
_ROUGH_TOLERANCE = 1e-7
# Below this share of the variation of y (sum of squares) the model fits the data exactly.
_EXACT_FIT = 1e-20
# A residual variance below this share of all variance is none: the likelihood then has no bound.
_NO_RESIDUAL = 1e-10
# Largest relative rounding error that a log likelihood may have.
_ROUNDING = 1e-11
# Variances are above so much, relative to the variance of all residuals, when the search begins.
_LEAST_START = 0.05
# Smallest share of the information on a variance that the fixed effects may leave.
_KEPT = 1e-10
# Smallest eigenvalue of the information, as correlations, at which variances are distinct.
_DISTINCT = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class MixedFit:
    """A fitted model.

    Parameters
    ----------
    coefficients : real array, shape (n_columns,)
    variances : real array, shape (n_groupings + 1,)
        One for each grouping, and that of the residual.
    log_likelihood : float
        Restricted: ``-((n - p) log 2 pi + log |V| + log |X'WX| + r'Wr) / 2``.
    largest_score : float
        Largest gradient of the likelihood in the variances that are not zero, for `y` scaled to a variance near one.
    covariance : real array, shape (n_columns, n_columns)
        Of the coefficients, without the adjustment for small samples.
    adjusted_covariance : real array, shape (n_columns, n_columns)
        With the adjustment of Kenward and Roger.
    variance_covariance : real array, shape (n_groupings + 1, n_groupings + 1)
        Of the variances: inverse of their expected information.
    observed_information : real array, shape (n_groupings + 1, n_groupings + 1)
        Of the variances: minus the second derivatives of the log likelihood.
    gradients : real array, shape (n_groupings + 1, n_columns, n_columns)
        Derivatives of `covariance` in the variances.
    n_iterations : int
    mean_known_variance : float
        Mean of the sampling variances that were given; 0 without.
    """

    coefficients: FloatArray
    variances: FloatArray
    log_likelihood: float
    largest_score: float
    covariance: FloatArray
    adjusted_covariance: FloatArray
    variance_covariance: FloatArray
    observed_information: FloatArray
    gradients: FloatArray
    n_iterations: int
    mean_known_variance: float = 0.0

    @property
    def total_sd(self) -> float:
        """Standard deviation of a single observation: root of the sum of all variances, with the known one."""
        return float(np.sqrt(self.variances.sum() + self.mean_known_variance))

    @property
    def shares(self) -> FloatArray:
        """Share of each component in the sum of all variances, with the known one.

        Partial sums are the intraclass correlations: the share of the participants is the correlation of two visits,
        that of participants and visits together the one of two scans in a visit.
        """
        return np.asarray(self.variances / self.total_sd**2, dtype=np.float64)

    def contrast(self, weights: FloatArray) -> tuple[float, float, float]:
        """Estimate, standard error and degrees of freedom of a linear combination of the coefficients.

        Parameters
        ----------
        weights : real array, shape (n_columns,)
            Not all zero.

        Returns
        -------
        estimate, standard_error, df : float
            The error has the adjustment of Kenward and Roger, the degrees of freedom are theirs for one dimension.
        """
        error = float(np.sqrt(weights @ self.adjusted_covariance @ weights))
        variance = weights @ self.covariance @ weights
        gradient = self.gradients @ weights @ weights
        df = float(2.0 * variance**2 / (gradient @ self.variance_covariance @ gradient))
        return float(weights @ self.coefficients), error, df

    def satterthwaite(self, weights: FloatArray) -> tuple[float, float, float]:
        """As `contrast`, with the error that is not adjusted and the degrees of freedom of Satterthwaite.

        They come from the observed information; a component at zero counts as not in the model.
        """
        free = self.variances > 0
        if not free.any():
            return float(weights @ self.coefficients), float(np.sqrt(weights @ self.covariance @ weights)), np.inf
        variance = weights @ self.covariance @ weights
        gradient = self.gradients[free] @ weights @ weights
        df = 2.0 * variance**2 / (gradient @ np.linalg.solve(self.observed_information[np.ix_(free, free)], gradient))
        return float(weights @ self.coefficients), float(np.sqrt(variance)), float(df)


@dataclass(frozen=True, slots=True, eq=False)
class LikelihoodFit:
    """A model fitted by maximum likelihood, for comparisons of models with different fixed effects.

    Parameters
    ----------
    coefficients : real array, shape (n_columns,)
    covariance : real array, shape (n_columns, n_columns)
        Of the coefficients, at the estimated variances.
    variances : real array, shape (n_groupings + 1,)
        One for each grouping, and that of the residual.
    log_likelihood : float
        ``-(n log 2 pi + log |V| + r'Wr) / 2``.
    """

    coefficients: FloatArray
    covariance: FloatArray
    variances: FloatArray
    log_likelihood: float


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """A model in tolerances' units: ``Q`` has orthonormal columns, what is left of `y` a residual variance near one."""

    blocks: list[Blocks]
    n_rows: int
    n_variances: int
    scale: float
    to_columns: FloatArray
    least_squares: FloatArray
    mean_known: float
    restricted: bool

    def terms(self, variances: FloatArray) -> Terms:
        return terms_at(self.blocks, variances, self.n_rows, restricted=self.restricted)


def fit_mixed(
    y: FloatArray,
    X: FloatArray,
    groupings: Sequence[Sequence[object]],
    *,
    known_variance: FloatArray | None = None,
) -> MixedFit:
    """Fit a linear mixed model by restricted maximum likelihood.

    Parameters
    ----------
    y : real array, shape (n_rows,)
    X : real array, shape (n_rows, n_columns)
        Of full column rank.
    groupings : sequence of label sequences, each of length n_rows
        Random intercepts: rows with the same label share one, so labels of visits must differ between participants.
        Groupings may be nested or crossed. Without any, the fit is ordinary least squares.
    known_variance : real array, shape (n_rows,), optional
        Sampling variance of each value, above zero, in the square of its unit. The residual variance is what the values
        vary beyond it, and may then be zero.

    Returns
    -------
    MixedFit

    Raises
    ------
    AnalysisError
        The model cannot be estimated from these data; the message says why.
    """
    problem = _problem(y, X, groupings, known_variance, restricted=True)
    variances, terms, n_iterations = _maximise(problem)
    return _finished(problem, variances, terms, n_iterations)


def fit_maximum_likelihood(
    y: FloatArray, X: FloatArray, groupings: Sequence[Sequence[object]], *, known_variance: FloatArray | None = None
) -> LikelihoodFit:
    """Fit a linear mixed model by maximum likelihood; parameters and errors are those of `fit_mixed`."""
    problem = _problem(y, X, groupings, known_variance, restricted=False)
    variances, terms, _ = _maximise(problem)
    scale, to_columns = problem.scale, problem.to_columns
    return LikelihoodFit(
        coefficients=scale * to_columns @ (problem.least_squares + terms.coefficients),
        covariance=scale**2 * to_columns @ terms.covariance @ to_columns.T,
        variances=scale**2 * variances,
        log_likelihood=float(terms.log_likelihood - problem.n_rows * np.log(scale)),
    )


def _problem(
    y: FloatArray,
    X: FloatArray,
    groupings: Sequence[Sequence[object]],
    known: FloatArray | None,
    *,
    restricted: bool,
) -> _Problem:
    y, X = np.asarray(y, dtype=float), np.asarray(X, dtype=float)
    known = None if known is None else np.asarray(known, dtype=float)
    _check(y, X, groupings, known)
    codes = label_codes(groupings, len(y))
    order = row_order(codes, np.column_stack([X, y] if known is None else [X, y, known]))
    y, X, codes, known = y[order], X[order], codes[:, order], None if known is None else known[order]
    Q, R = np.linalg.qr(X)
    least_squares = Q.T @ y
    residual = y - Q @ least_squares
    if residual @ residual <= _EXACT_FIT * (y @ y):
        raise AnalysisError("The values do not vary beyond the model.", code="no-variation")
    scale = float(np.sqrt(residual @ residual / (len(y) - X.shape[1])))
    blocks = make_blocks(residual / scale, Q, codes, None if known is None else known / scale**2)
    return _Problem(
        blocks,
        len(y),
        len(codes) + 1,
        scale,
        np.linalg.inv(R),
        least_squares / scale,
        0.0 if known is None else float(known.mean()),
        restricted,
    )


def _check(y: FloatArray, X: FloatArray, groupings: Sequence[Sequence[object]], known: FloatArray | None) -> None:
    lengths = [len(y), len(X), *(len(labels) for labels in groupings), *([] if known is None else [len(known)])]
    if len(set(lengths)) > 1:
        raise AnalysisError(f"Values, rows of the model and labels differ in number: {lengths}.", code="shape")
    if not (np.isfinite(y).all() and np.isfinite(X).all()):
        raise AnalysisError("A value or covariate is missing.", cure="Leave those scans out.", code="not-finite")
    if known is not None and not (np.isfinite(known).all() and (known > 0).all()):
        raise AnalysisError("A known variance is missing or not above zero.", cure="Leave those scans out.",
                            code="not-finite")  # fmt: skip
    if len(y) <= X.shape[1]:
        raise AnalysisError(f"{len(y)} values are too few for a model with {X.shape[1]} coefficients.", code="too-few")
    sizes = np.linalg.norm(X, axis=0)
    if len(sizes) and (not sizes.all() or np.linalg.matrix_rank(X / sizes) < X.shape[1]):
        raise AnalysisError("The model's terms cannot be told apart with the scans there are.", code="rank")


def _start(problem: _Problem) -> FloatArray:
    """Variances to begin with: one scoring step from the residual alone, which is the optimum of balanced data."""
    # Whether the variances can be told apart does not depend on them, and with the residual alone nothing is inverted.
    residual_alone = np.eye(problem.n_variances)[-1]
    terms = problem.terms(residual_alone)
    sizes = np.diag(terms.information)
    if (sizes > _KEPT * np.diag(terms.full_information)).all():
        roots = np.sqrt(sizes)
        if np.linalg.eigvalsh(terms.information / np.outer(roots, roots))[0] > _DISTINCT:
            scored = residual_alone + np.linalg.solve(terms.information, terms.score)
            return np.asarray(np.maximum(scored, _LEAST_START), dtype=np.float64)
    raise AnalysisError("The random effects cannot be told apart with the scans there are.", code="rank")


def _maximise(problem: _Problem) -> tuple[FloatArray, Terms, int]:
    """Newton's method; a component that would become negative rests at zero until its gradient turns positive."""
    variances = _start(problem)
    terms, previous = problem.terms(variances), np.inf
    for iteration in range(_MAX_ITERATIONS):
        step = _step(variances, terms)
        distance = float(np.sqrt(step @ terms.information @ step))
        # Newton's method more than halves a short distance, unless only rounding is left of it.
        limit = _ROUGH_TOLERANCE if distance > 0.5 * previous else _TOLERANCE
        if distance < limit:
            return variances, terms, iteration
        moved = _improved(problem, variances, terms, step)
        if moved is None:
            break
        previous = distance
        variances, terms = moved
    raise AnalysisError("The variances of the mixed model could not be estimated.", code="not-converged")


def _improved(
    problem: _Problem, variances: FloatArray, terms: Terms, step: FloatArray
) -> tuple[FloatArray, Terms] | None:
    for shrink in 0.5 ** np.arange(30):
        proposed = np.maximum(variances + shrink * step, 0.0)
        if not problem.mean_known:
            proposed[-1] = max(proposed[-1], 0.05 * variances[-1])
            if proposed[-1] < _NO_RESIDUAL * proposed.sum():
                raise AnalysisError("The values do not vary within the groups of the model.", code="no-variation")
        at_proposed = problem.terms(proposed)
        if at_proposed.log_likelihood >= terms.log_likelihood - _ROUNDING * abs(terms.log_likelihood):
            return proposed, at_proposed
    return None


def _step(variances: FloatArray, terms: Terms) -> FloatArray:
    """Newton step that leaves components at zero which it would make negative."""
    free = (variances > 0) | (terms.score > 0)
    step = np.zeros_like(variances)
    while free.any():
        pick = np.ix_(free, free)
        expected, observed = terms.information[pick], terms.observed_information[pick]
        # Far from the optimum the likelihood may be convex; the expected information always leads uphill.
        is_concave = np.linalg.eigvalsh(observed)[0] > 0.1 * np.linalg.eigvalsh(expected)[0]
        step[:] = 0.0
        step[free] = np.linalg.solve(observed if is_concave else expected, terms.score[free])
        blocked = free & (variances == 0) & (step < 0)
        if not blocked.any():
            return step
        free &= ~blocked
    return np.zeros_like(variances)


def _finished(problem: _Problem, variances: FloatArray, terms: Terms, n_iterations: int) -> MixedFit:
    """Add the test's matrices, and return to the units of `y` and the columns of `X`."""
    C, Phi, scale, to_columns = np.linalg.inv(terms.information), terms.covariance, problem.scale, problem.to_columns
    PhiP = Phi @ terms.first
    inner = np.tensordot(C, Phi @ terms.second @ Phi, axes=([0, 1], [0, 1]))
    inner -= np.tensordot(C, PhiP[:, None] @ PhiP @ Phi, axes=([0, 1], [0, 1]))
    free = variances > 0
    to_units = len(Phi) * np.log(scale) + np.log(np.abs(np.diag(to_columns))).sum() - problem.n_rows * np.log(scale)
    return MixedFit(
        coefficients=scale * to_columns @ (problem.least_squares + terms.coefficients),
        covariance=scale**2 * to_columns @ Phi @ to_columns.T,
        variances=scale**2 * variances,
        log_likelihood=float(terms.log_likelihood + to_units),
        n_iterations=n_iterations,
        largest_score=float(np.abs(terms.score[free]).max(initial=0.0)),
        adjusted_covariance=scale**2 * to_columns @ (Phi + 2 * inner) @ to_columns.T,
        variance_covariance=np.asarray(scale**4 * C, dtype=np.float64),
        observed_information=np.asarray(terms.observed_information / scale**4, dtype=np.float64),
        gradients=to_columns @ (PhiP @ Phi) @ to_columns.T,
        mean_known_variance=problem.mean_known,
    )
