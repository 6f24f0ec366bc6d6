"""The likelihood of a linear mixed model, with its derivatives in the variances.

The model is ``y = X b + sum_i Z_i u_i + e`` with independent random intercepts of variance ``theta_i`` for each of
several groupings, and a residual variance, the last component. ``V = sum_i theta_i A_i + diag(known)``, where ``A_i``
has ones for two rows that share a label, the last is the identity, and ``known`` are sampling variances, if any. Rows
that no chain of shared labels connects are independent, so with ``W`` the inverse of ``V`` everything is a sum over
blocks of rows. Blocks with the same pattern of labels share their ``W``: their rows enter once and for all, as products
of columns summed over these blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mrspipe.core.arrays import FloatArray, IntArray

# Blocks of at most so many rows are padded to one size and computed together.
_SMALL = 8


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Patterns of blocks of one size.

    ``components`` has the shape (n_patterns, n_components, size, size) and holds the ``A_i``; ``fixed``, of shape
    (n_patterns, size, size), is what ``V`` has besides: known variances, and one on the diagonal of rows that only
    fill up. ``counts`` says how many blocks have the pattern. ``products``, of shape (n_patterns * size**2,
    (p + 1)**2), are those of the columns of ``[X y]`` in each pair of rows, summed over the blocks of a pattern. For a
    large block they would take much memory; it is a pattern of its own, and ``rows`` of shape (size, p + 1) are used.
    """

    components: FloatArray
    fixed: FloatArray
    counts: FloatArray
    products: FloatArray | None
    rows: FloatArray | None


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """The likelihood and its derivatives at given variances.

    ``first[i]`` is ``X'W A_i W X``, ``second[i, j]`` is ``X'W A_i W A_j W X``; ``information`` is the expected one,
    ``full_information`` that of the likelihood that is not restricted.
    """

    coefficients: FloatArray
    covariance: FloatArray
    log_likelihood: float
    score: FloatArray
    information: FloatArray
    observed_information: FloatArray
    full_information: FloatArray
    first: FloatArray
    second: FloatArray


def label_codes(groupings: Sequence[Sequence[object]], n: int) -> IntArray:
    """Number the labels of each grouping in the order of their texts; shape (n_groupings, n_rows)."""
    codes = np.empty((len(groupings), n), dtype=np.int64)
    for code, labels in zip(codes, groupings, strict=True):
        texts = [str(label) for label in labels]
        number = {text: i for i, text in enumerate(sorted(set(texts)))}
        code[:] = [number[text] for text in texts]
    return codes


def row_order(codes: IntArray, data: FloatArray) -> IntArray:
    """Order of the rows by block, label and values: sums taken in it do not depend on the order in a table."""
    block = [_connected(codes)] if len(codes) else []
    return np.asarray(np.lexsort([*data.T[::-1], *codes[::-1], *block]), dtype=np.int64)


def make_blocks(y: FloatArray, X: FloatArray, codes: IntArray, known: FloatArray | None) -> list[Blocks]:
    """Arrange rows, which are in the order of `row_order`, in blocks.

    Parameters
    ----------
    y : real array, shape (n_rows,)
    X : real array, shape (n_rows, n_columns)
    codes : integer array, shape (n_groupings, n_rows)
    known : real array, shape (n_rows,), or None
        Sampling variance of each value.

    Returns
    -------
    list of Blocks
    """
    data = np.column_stack([X, y])
    sizes = np.unique(_connected(codes), return_counts=True)[1]
    starts = np.cumsum(sizes) - sizes
    small: list[tuple[IntArray, FloatArray]] = []
    blocks = []
    for size in sorted(set(sizes.tolist())):
        at = starts[sizes == size][:, None] + np.arange(size)
        for rows, same in _patterns(at, codes, known):
            if size <= _SMALL:
                small.append((rows, same))
            else:
                blocks += [_large(data, one, same, known) for one in rows]
    return [_padded(data, small, known), *blocks] if small else blocks


def _connected(codes: IntArray) -> IntArray:
    """Number of the independent block of each row: rows that share a label, directly or through others, share it."""
    if not len(codes):
        return np.arange(codes.shape[1])
    block: IntArray = codes[0]
    before = None
    while before is None or not np.array_equal(block, before):
        before = block
        for code in codes:
            least = np.full(int(code.max()) + 1, len(block), dtype=np.int64)
            np.minimum.at(least, code, block)
            block = least[code]
    return block


def _patterns(at: IntArray, codes: IntArray, known: FloatArray | None) -> list[tuple[IntArray, FloatArray]]:
    """Sort blocks of one size, rows ``at``, by their pattern; give the rows and the matrices ``A_i`` of each."""
    local = codes[:, at]
    same = np.moveaxis(local[:, :, :, None] == local[:, :, None, :], 1, 0)
    members: dict[bytes, list[int]] = {}
    for i, pattern in enumerate(same):
        key = pattern.tobytes() + (b"" if known is None else known[at[i]].tobytes())
        members.setdefault(key, []).append(i)
    identity = np.eye(at.shape[1])[None]
    return [(at[found], np.concatenate([same[found[0]], identity])) for _, found in sorted(members.items())]


def _padded(data: FloatArray, patterns: list[tuple[IntArray, FloatArray]], known: FloatArray | None) -> Blocks:
    size, width = max(rows.shape[1] for rows, _ in patterns), data.shape[1]
    components = np.zeros((len(patterns), len(patterns[0][1]), size, size))
    fixed = np.tile(np.eye(size), (len(patterns), 1, 1))
    products = np.zeros((len(patterns), size, size, width, width))
    for i, (rows, same) in enumerate(patterns):
        n = rows.shape[1]
        flat = data[rows].reshape(len(rows), n * width)
        components[i, :, :n, :n] = same
        fixed[i, :n, :n] = 0.0 if known is None else np.diag(known[rows[0]])
        products[i, :n, :n] = (flat.T @ flat).reshape(n, width, n, width).transpose(0, 2, 1, 3)
    counts = np.array([len(rows) for rows, _ in patterns], dtype=float)
    return Blocks(components, fixed, counts, products.reshape(-1, width * width), None)


def _large(data: FloatArray, rows: IntArray, same: FloatArray, known: FloatArray | None) -> Blocks:
    fixed = np.zeros((len(rows), len(rows))) if known is None else np.diag(known[rows])
    return Blocks(same[None], fixed[None], np.ones(1), None, data[rows])


def terms_at(blocks: list[Blocks], variances: FloatArray, n: int, *, restricted: bool = True) -> Terms:
    """Evaluate the likelihood.

    Parameters
    ----------
    blocks : list of Blocks
    variances : real array, shape (n_components,)
    n : int
        Number of rows.
    restricted : bool
        The restricted likelihood, ``-((n - p) log 2 pi + log |V| + log |X'WX| + r'Wr) / 2``, or the full one,
        ``-(n log 2 pi + log |V| + r'Wr) / 2``.

    Returns
    -------
    Terms
    """
    sums, log_det, trace, traces = _sums(blocks, variances)
    k, width = len(variances), sums.shape[-1]
    p = width - 1
    zeroth, first, second = sums[0], sums[1 : k + 1], sums[k + 1 :].reshape(k, k, width, width)
    covariance = np.linalg.inv(zeroth[:p, :p])
    coefficients = covariance @ zeroth[:p, p]
    to_residual = np.append(-coefficients, 1.0)  # [X y] times this
    P, Q = first[:, :p, :p], second[:, :, :p, :p]
    pulls = first @ to_residual
    score = 0.5 * (pulls @ to_residual - trace)
    information = full_information = 0.5 * traces
    curvature = to_residual @ second @ to_residual - pulls[:, :p] @ covariance @ pulls[:, :p].T
    log_likelihood = -0.5 * (n * np.log(2 * np.pi) + log_det + to_residual @ zeroth @ to_residual)
    if restricted:
        PhiP = covariance @ P
        score += 0.5 * np.einsum("iaa->i", PhiP)
        lost = np.einsum("ab,ijba->ij", covariance, Q) - 0.5 * np.einsum("iab,jba->ij", PhiP, PhiP)
        information = full_information - lost
        log_likelihood += 0.5 * (p * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1])
    return Terms(
        coefficients=coefficients,
        covariance=covariance,
        log_likelihood=float(log_likelihood),
        score=score,
        information=information,
        observed_information=curvature - information,
        full_information=full_information,
        first=P,
        second=Q,
    )


def _sums(blocks: list[Blocks], variances: FloatArray) -> tuple[FloatArray, float, FloatArray, FloatArray]:
    """Give ``[X y]' M [X y]`` for ``M`` of ``W``, ``W A_i W``, ``W A_i W A_j W``; ``log |V|``; both sorts of traces."""
    k = len(variances)
    sums: FloatArray | float = 0.0
    log_det, trace, traces = 0.0, np.zeros(k), np.zeros((k, k))
    for block in blocks:
        n, size = len(block.counts), block.fixed.shape[-1]
        V = block.fixed + np.tensordot(variances, block.components, axes=(0, 1))
        W = np.linalg.inv(V)
        WA = W[:, None] @ block.components
        WAW = WA @ W[:, None]
        WAWAW = (WA[:, :, None] @ WAW[:, None]).reshape(n, k * k, size, size)
        M = np.concatenate([W[:, None], WAW, WAWAW], axis=1).swapaxes(0, 1)
        if block.products is not None:
            width = int(np.sqrt(block.products.shape[1]))
            sums = sums + (M.reshape(len(M), -1) @ block.products).reshape(-1, width, width)
        elif block.rows is not None:
            sums = sums + block.rows.T @ M[:, 0] @ block.rows
        log_det += float(block.counts @ np.linalg.slogdet(V)[1])
        trace += block.counts @ np.einsum("kimm->ki", WA)
        weighted = (block.counts[:, None, None, None] * WA).swapaxes(0, 1).reshape(k, -1)
        traces += weighted @ WA.transpose(1, 0, 3, 2).reshape(k, -1).T
    return np.asarray(sums), log_det, trace, traces
