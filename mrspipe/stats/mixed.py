"""Linear mixed models by restricted maximum likelihood, and the small-sample test of Kenward and Roger.

The model is ``y = X b + sum_i Z_i u_i + e`` with independent random intercepts of variance ``theta_i`` for each of
several groupings, and a residual variance, the last component. ``V = sum_i theta_i A_i``, where ``A_i`` has ones for
two rows that share a label and the last is the identity. Rows that no chain of shared labels connects are independent,
so with ``W`` the inverse of ``V`` everything that the likelihood and the test need is a sum over blocks of rows;
blocks of one size are computed together. Variances are never negative: a component at the boundary is exactly zero,
and still counts in the test.

The adjusted covariance is that of the 1997 paper [1]_, as in [2]_; its term in second derivatives is left out. For one
dimension the degrees of freedom come from the covariance without adjustment.

References
----------
.. [1] Kenward and Roger 1997, Biometrics 53:983-997, doi 10.2307/2533558
.. [2] Halekoh and Højsgaard 2014, doi 10.18637/jss.v059.i09
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mrspipe.core.arrays import FloatArray, IntArray
from mrspipe.core.errors import AnalysisError

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
# Smallest size of the information, and smallest eigenvalue of it as correlations, at which variances are distinct.
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
    gradients : real array, shape (n_groupings + 1, n_columns, n_columns)
        Derivatives of `covariance` in the variances.
    n_iterations : int
    """

    coefficients: FloatArray
    variances: FloatArray
    log_likelihood: float
    largest_score: float
    covariance: FloatArray
    adjusted_covariance: FloatArray
    variance_covariance: FloatArray
    gradients: FloatArray
    n_iterations: int

    @property
    def total_sd(self) -> float:
        """Standard deviation of a single observation: root of the sum of all variances."""
        return float(np.sqrt(self.variances.sum()))

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
        estimate = float(weights @ self.coefficients)
        error = float(np.sqrt(weights @ self.adjusted_covariance @ weights))
        variance = weights @ self.covariance @ weights
        gradient = self.gradients @ weights @ weights
        df = float(2.0 * variance**2 / (gradient @ self.variance_covariance @ gradient))
        return estimate, error, df


@dataclass(frozen=True, slots=True, eq=False)
class _Blocks:
    """Blocks of one size: ``[X y]`` and the matrices ``A_i``.

    ``data`` has the shape (n_blocks, size, p + 1), ``components`` (n_blocks, n_components, size, size).
    """

    data: FloatArray
    components: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Terms:
    """The likelihood and its derivatives at given variances.

    ``first[i]`` is ``X'W A_i W X``, ``second[i, j]`` is ``X'W A_i W A_j W X``; ``information`` is the expected one.
    """

    coefficients: FloatArray
    covariance: FloatArray
    log_likelihood: float
    score: FloatArray
    information: FloatArray
    observed_information: FloatArray
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
        Random intercepts: rows with the same label share one, so labels of visits must differ between participants.
        Groupings may be nested or crossed. Without any, the fit is ordinary least squares.

    Returns
    -------
    MixedFit

    Raises
    ------
    AnalysisError
        The model cannot be estimated from these data; the message says why.
    """
    y, X = np.asarray(y, dtype=float), np.asarray(X, dtype=float)
    _check(y, X, groupings)
    # Orthonormal columns and a residual variance near one: tolerances then mean the same whatever the units.
    Q, R = np.linalg.qr(X)
    residual = y - Q @ (Q.T @ y)
    if residual @ residual <= _EXACT_FIT * (y @ y):
        raise AnalysisError("The values do not vary beyond the model.", code="no-variation")
    scale = float(np.sqrt(residual @ residual / (len(y) - X.shape[1])))
    blocks = _blocks(y / scale, Q, groupings)
    _refuse_indistinct(blocks, len(groupings) + 1)
    variances, terms, n_iterations = _maximise(blocks, len(groupings) + 1)
    return _finished(variances, terms, n_iterations, scale, np.linalg.inv(R), len(y))


def _check(y: FloatArray, X: FloatArray, groupings: Sequence[Sequence[object]]) -> None:
    lengths = [len(y), len(X), *(len(labels) for labels in groupings)]
    if len(set(lengths)) > 1:
        raise AnalysisError(f"Values, rows of the model and labels differ in number: {lengths}.", code="shape")
    if not (np.isfinite(y).all() and np.isfinite(X).all()):
        raise AnalysisError("A value or covariate is missing.", cure="Leave those scans out.", code="not-finite")
    if len(y) <= X.shape[1]:
        raise AnalysisError(f"{len(y)} values are too few for a model with {X.shape[1]} coefficients.", code="too-few")
    sizes = np.linalg.norm(X, axis=0)
    if not sizes.all() or np.linalg.matrix_rank(X / sizes) < X.shape[1]:
        raise AnalysisError("The model's terms cannot be told apart with the scans there are.", code="rank")


def _blocks(y: FloatArray, X: FloatArray, groupings: Sequence[Sequence[object]]) -> list[_Blocks]:
    data = np.column_stack([X, y])
    codes = [np.unique([str(label) for label in labels], return_inverse=True)[1] for labels in groupings]
    block_of_row = _connected(codes, len(y))
    by_size: dict[int, list[IntArray]] = {}
    for block in range(int(block_of_row.max()) + 1):
        rows = np.flatnonzero(block_of_row == block)
        by_size.setdefault(len(rows), []).append(rows)
    blocks = []
    for size, members in sorted(by_size.items()):
        at = np.array(members)
        same = [(code[at][:, :, None] == code[at][:, None, :]).astype(float) for code in codes]
        identity = np.broadcast_to(np.eye(size), (len(at), size, size))
        blocks.append(_Blocks(data[at], np.stack([*same, identity], axis=1)))
    return blocks


def _connected(codes: list[IntArray], n: int) -> IntArray:
    """Number of the independent block of each row: rows that share a label, directly or through others, share it."""
    # A graph of rows and labels, each row tied to its labels.
    edges, n_nodes = [np.zeros((2, 0), dtype=np.int64)], n
    for code in codes:
        edges.append(np.array([np.arange(n), n_nodes + code]))
        n_nodes += int(code.max()) + 1
    rows, labels = np.concatenate(edges, axis=1)
    graph = coo_array((np.ones(len(rows)), (rows, labels)), shape=(n_nodes, n_nodes))
    blocks = connected_components(graph, directed=False)[1][:n]
    return np.unique(blocks, return_inverse=True)[1]


def _terms(blocks: list[_Blocks], variances: FloatArray) -> _Terms:
    n_variances, p = len(variances), blocks[0].data.shape[-1] - 1
    zeroth, first = np.zeros((p + 1, p + 1)), np.zeros((n_variances, p + 1, p + 1))
    second = np.zeros((n_variances, n_variances, p + 1, p + 1))
    trace, traces, log_det, n = np.zeros(n_variances), np.zeros((n_variances, n_variances)), 0.0, 0
    for block in blocks:
        V = np.einsum("i,kimn->kmn", variances, block.components)
        W = np.linalg.inv(V)
        WD, WA = W @ block.data, W[:, None] @ block.components
        AWD = block.components @ WD[:, None]
        zeroth += np.tensordot(block.data, WD, axes=([0, 1], [0, 1]))
        first += np.tensordot(AWD, WD, axes=([0, 2], [0, 1])).transpose(0, 2, 1)
        second += np.tensordot(AWD, W[:, None] @ AWD, axes=([0, 2], [0, 2])).transpose(0, 2, 1, 3)
        trace += np.einsum("kimm->i", WA)
        traces += np.einsum("kimn,kjnm->ij", WA, WA)
        log_det += float(np.linalg.slogdet(V)[1].sum())
        n += block.data.shape[0] * block.data.shape[1]
    covariance = np.linalg.inv(zeroth[:p, :p])
    coefficients = covariance @ zeroth[:p, p]
    to_residual = np.append(-coefficients, 1.0)  # [X y] times this
    P, Q = first[:, :p, :p], second[:, :, :p, :p]
    PhiP = covariance @ P
    score = 0.5 * (to_residual @ first @ to_residual - trace + np.einsum("iaa->i", PhiP))
    information = 0.5 * (traces - 2 * np.einsum("ab,ijba->ij", covariance, Q) + np.einsum("iab,jba->ij", PhiP, PhiP))
    pulls = (first @ to_residual)[:, :p]
    curvature = to_residual @ second @ to_residual - pulls @ covariance @ pulls.T
    log_likelihood = -0.5 * (
        (n - p) * np.log(2 * np.pi)
        + log_det
        + np.linalg.slogdet(zeroth[:p, :p])[1]
        + to_residual @ zeroth @ to_residual
    )
    return _Terms(coefficients, covariance, float(log_likelihood), score, information, curvature - information, P, Q)


def _refuse_indistinct(blocks: list[_Blocks], n_variances: int) -> None:
    # Whether the variances can be told apart does not depend on them, and with the residual alone nothing is inverted.
    information = _terms(blocks, np.eye(n_variances)[-1]).information
    sizes = np.sqrt(np.maximum(np.diag(information), 0.0))
    if sizes.min() < _DISTINCT or np.linalg.eigvalsh(information / np.outer(sizes, sizes))[0] < _DISTINCT:
        raise AnalysisError("The random effects cannot be told apart with the scans there are.", code="rank")


def _maximise(blocks: list[_Blocks], n_variances: int) -> tuple[FloatArray, _Terms, int]:
    """Newton's method; a component that would become negative rests at zero until its gradient turns positive."""
    variances = np.full(n_variances, 1.0 / n_variances)
    terms, previous = _terms(blocks, variances), np.inf
    for iteration in range(_MAX_ITERATIONS):
        step = _step(variances, terms)
        distance = float(np.sqrt(step @ terms.information @ step))
        # Newton's method more than halves a short distance, unless only rounding is left of it.
        limit = _ROUGH_TOLERANCE if distance > 0.5 * previous else _TOLERANCE
        if distance < limit:
            return variances, terms, iteration
        moved = _improved(blocks, variances, terms, step)
        if moved is None:
            break
        previous = distance
        variances, terms = moved
    raise AnalysisError("The variances of the mixed model could not be estimated.", code="not-converged")


def _improved(
    blocks: list[_Blocks], variances: FloatArray, terms: _Terms, step: FloatArray
) -> tuple[FloatArray, _Terms] | None:
    for shrink in 0.5 ** np.arange(30):
        proposed = np.maximum(variances + shrink * step, 0.0)
        proposed[-1] = max(proposed[-1], 0.05 * variances[-1])
        if proposed[-1] < _NO_RESIDUAL * proposed.sum():
            raise AnalysisError("The values do not vary within the groups of the model.", code="no-variation")
        at_proposed = _terms(blocks, proposed)
        if at_proposed.log_likelihood >= terms.log_likelihood - _ROUNDING * abs(terms.log_likelihood):
            return proposed, at_proposed
    return None


def _step(variances: FloatArray, terms: _Terms) -> FloatArray:
    """Newton step that leaves components at zero which it would make negative."""
    free = (variances > 0) | (terms.score > 0)
    while True:
        pick = np.ix_(free, free)
        expected, observed = terms.information[pick], terms.observed_information[pick]
        # Far from the optimum the likelihood may be convex; the expected information always leads uphill.
        is_concave = np.linalg.eigvalsh(observed)[0] > 0.1 * np.linalg.eigvalsh(expected)[0]
        step = np.zeros_like(variances)
        step[free] = np.linalg.solve(observed if is_concave else expected, terms.score[free])
        blocked = free & (variances == 0) & (step < 0)
        if not blocked.any():
            return step
        free &= ~blocked


def _finished(
    variances: FloatArray, terms: _Terms, n_iterations: int, scale: float, to_X: FloatArray, n: int
) -> MixedFit:
    """Add the test's matrices, and return to the units of `y` and the columns of `x`."""
    C, Phi = np.linalg.inv(terms.information), terms.covariance
    inner = np.einsum("ij,ijab->ab", C, terms.second)
    inner -= np.einsum("ij,iab,bc,jcd->ad", C, terms.first, Phi, terms.first, optimize=True)
    adjusted = Phi + 2 * Phi @ inner @ Phi
    p = len(Phi)
    return MixedFit(
        coefficients=scale * to_X @ terms.coefficients,
        covariance=scale**2 * to_X @ Phi @ to_X.T,
        variances=scale**2 * variances,
        log_likelihood=float(terms.log_likelihood - (n - p) * np.log(scale) + np.log(np.abs(np.diag(to_X))).sum()),
        n_iterations=n_iterations,
        largest_score=float(np.abs(terms.score[variances > 0]).max()),
        adjusted_covariance=scale**2 * to_X @ adjusted @ to_X.T,
        variance_covariance=np.asarray(scale**4 * C, dtype=np.float64),
        gradients=to_X @ (Phi @ terms.first @ Phi) @ to_X.T,
    )
