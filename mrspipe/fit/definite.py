"""Systems of equations with a positive definite matrix: LAPACK without the checks that take longer than the work."""

import numpy as np
from scipy.linalg import LinAlgError
from scipy.linalg.lapack import dposv, dpotrf, dpotri

from mrspipe.core.arrays import FloatArray


def solve_definite(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """Solve ``matrix @ x = right``.

    Parameters
    ----------
    matrix : float array, shape (n, n)
        Symmetric and positive definite; only one triangle of it is read.
    right : float array, shape (n,) or (n, k)

    Returns
    -------
    float array, shape of ``right``

    Raises
    ------
    LinAlgError
        The matrix is not positive definite, or something is NaN.
    """
    return _solved(matrix, right)[1]


def solve_and_measure(matrix: FloatArray, right: FloatArray) -> tuple[FloatArray, float]:
    """Solve as `solve_definite` does, and give the logarithm of the determinant of the matrix, too."""
    factor, solved = _solved(matrix, right)
    return solved, _log_determinant(factor)


def measure_definite(matrix: FloatArray) -> float:
    """Logarithm of the determinant of a symmetric positive definite matrix; errors as `solve_definite`."""
    factor, info = dpotrf(matrix, lower=1)
    return _log_determinant(_checked(factor, info))


def invert_definite(matrix: FloatArray) -> FloatArray:
    """Inverse of a symmetric positive definite matrix, shape (n, n); errors as `solve_definite`."""
    factor, info = dpotrf(matrix, lower=1)
    half, _ = dpotri(factor, lower=1)
    inverse = np.tril(half) + np.tril(half, -1).T
    return _checked(inverse, info)


def _solved(matrix: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Triangular factor of the matrix, the other triangle not touched, and the solution."""
    factor, solved, info = dposv(matrix, right, lower=1)
    return factor, _checked(solved, info)


def _log_determinant(factor: FloatArray) -> float:
    return 2.0 * float(np.log(np.diag(factor)).sum())


def _checked(result: FloatArray, info: int) -> FloatArray:
    # NaN passes LAPACK without a word.
    if info != 0 or not np.isfinite(result).all():
        raise LinAlgError("The matrix is not positive definite.")
    return result
