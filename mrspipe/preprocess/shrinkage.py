"""How much of the corrections of frequency and phase to believe: at a low signal much of them is noise.

A correction is a linear drift, the transient's own movement, and the error of finding it. The variance of the error is
known (Cramer-Rao bound), that of the movement is what the transients vary beyond it, and a correction is brought
towards the drift by its share of error (empirical Bayes: Efron and Morris 1973, doi 10.1080/01621459.1973.10481350).
"""

import numpy as np

from mrspipe.core.arrays import FloatArray

# A drift and four variances are not worth estimating from fewer transients.
_FEWEST = 16
# A transient further off than this many robust standard deviations has moved: its correction is believed.
_MOVED = 3.5


def believed(corrections: FloatArray, error_covariance: FloatArray) -> FloatArray:
    """Bring corrections towards their drift, as far as they are noise.

    Parameters
    ----------
    corrections : float array, shape (n_transients, n)
        In the order of acquisition.
    error_covariance : float array, shape (n, n)
        Of the error of one transient's corrections.

    Returns
    -------
    float array, shape (n_transients, n)
        Unchanged for few transients.
    """
    if len(corrections) < _FEWEST:
        return corrections
    root = np.linalg.cholesky(error_covariance)
    # In units in which the errors are independent and of variance 1.
    moved = np.linalg.solve(root, (corrections - _drift(corrections)).T).T
    centred = moved - np.median(moved, axis=0)
    spread = 1.4826 * np.median(np.abs(centred), axis=0)
    usual = (np.abs(centred) < _MOVED * np.maximum(spread, 1.0)).all(axis=1)
    mean = moved[usual].mean(axis=0)
    variance, directions = np.linalg.eigh(np.cov(moved[usual].T))
    gain = 1.0 - 1.0 / np.maximum(variance, 1.0)
    shrunk = mean + ((moved - mean) @ directions * gain) @ directions.T
    return np.asarray(corrections + (root @ (np.where(usual[:, None], shrunk, moved) - moved).T).T)


def _drift(corrections: FloatArray) -> FloatArray:
    """Straight line through each column, shape of ``corrections``."""
    number = np.arange(len(corrections), dtype=np.float64)
    slope, start = np.polyfit(number, corrections, 1)
    return np.asarray(start + number[:, None] * slope)
