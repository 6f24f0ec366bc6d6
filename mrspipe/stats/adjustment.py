"""p values of a family of tests, adjusted for their number.

References
----------
.. [1] Holm 1979, Scandinavian Journal of Statistics 6:65-70
.. [2] Hochberg 1988, doi 10.1093/biomet/75.4.800
.. [3] Benjamini and Hochberg 1995, doi 10.1111/j.2517-6161.1995.tb02031.x
"""

import numpy as np

from mrspipe.core.arrays import FloatArray, IntArray


def bonferroni(p: FloatArray) -> FloatArray:
    """Multiply by the number of tests."""
    p = np.asarray(p, dtype=float)
    return np.minimum(p * len(p), 1.0)


def holm(p: FloatArray) -> FloatArray:
    """Adjust step by step from the smallest p: the chance of any false finding stays below the level [1]_.

    Examples
    --------
    >>> holm(np.array([0.03, 0.01, 0.04]))
    array([0.06, 0.03, 0.06])
    """
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, kind="stable")
    return _restored(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), order)


def hochberg(p: FloatArray) -> FloatArray:
    """Adjust step by step from the largest p; for tests that are independent or depend positively [2]_."""
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, kind="stable")
    return _restored(np.minimum.accumulate((p[order] * np.arange(len(p), 0, -1))[::-1])[::-1], order)


def benjamini_hochberg(p: FloatArray) -> FloatArray:
    """Adjust so that the expected share of false findings among all findings stays below the level [3]_."""
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, kind="stable")
    return _restored(np.minimum.accumulate((p[order] * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1], order)


def _restored(adjusted: FloatArray, order: IntArray) -> FloatArray:
    result = np.empty(len(order))
    result[order] = np.minimum(adjusted, 1.0)
    return result
