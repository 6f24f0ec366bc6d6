"""Linear regression by least squares, with standard errors that do not assume equal variances.

References
----------
.. [1] MacKinnon and White 1985, doi 10.1016/0304-4076(85)90158-7 (HC1 to HC3)
.. [2] Long and Ervin 2000, doi 10.1080/00031305.2000.10474549 (HC3 for small samples)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import fdtrc

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import AnalysisError

Errors = Literal["classical", "HC0", "HC1", "HC2", "HC3"]
# A leverage this close to one means that a coefficient describes a single value.
_SINGLE_VALUE = 1e-9
# Below this share of the variation of y (sum of squares) the model fits the data exactly.
_EXACT_FIT = 1e-20


@dataclass(frozen=True, slots=True, eq=False)
class LinearFit:
    """A fitted regression.

    Parameters
    ----------
    coefficients : real array, shape (n_columns,)
    residuals : real array, shape (n_rows,)
    leverages : real array, shape (n_rows,)
        Diagonal of the hat matrix.
    pseudo_inverse : real array, shape (n_columns, n_rows)
        ``(X'X)^-1 X'``.
    r_squared : float
        Share of the variance explained.
    """

    coefficients: FloatArray
    residuals: FloatArray
    leverages: FloatArray
    pseudo_inverse: FloatArray
    r_squared: float

    @property
    def df(self) -> int:
        """Degrees of freedom of the residuals."""
        return len(self.residuals) - len(self.coefficients)

    @property
    def sum_of_squares(self) -> float:
        """Of the residuals."""
        return float(self.residuals @ self.residuals)

    @property
    def residual_sd(self) -> float:
        """Standard deviation of the residuals."""
        return float(np.sqrt(self.sum_of_squares / self.df))

    def covariance(self, errors: Errors) -> FloatArray:
        """Covariance of the coefficients, shape (n_columns, n_columns).

        Parameters
        ----------
        errors : str
            ``classical`` with one variance for all; ``HC0`` to ``HC3`` with the squared residuals as they are, times
            ``n / (n - p)``, over ``1 - leverage``, and over its square [1]_.

        Raises
        ------
        AnalysisError
            A value determines a coefficient alone, so the errors HC2 and HC3 do not exist.
        """
        squares = self.residuals**2
        if errors == "classical":
            variances = np.full_like(squares, self.residual_sd**2)
        elif errors in {"HC2", "HC3"}:
            if self.leverages.max() > 1 - _SINGLE_VALUE:
                raise AnalysisError(
                    "A covariate's level has a single participant, so robust errors do not exist.", code="rank"
                )
            variances = squares / (1 - self.leverages) ** (1 if errors == "HC2" else 2)
        else:
            variances = squares * (len(squares) / self.df if errors == "HC1" else 1.0)
        return np.asarray((self.pseudo_inverse * variances) @ self.pseudo_inverse.T, dtype=np.float64)

    def combination(self, weights: FloatArray, errors: Errors) -> tuple[float, float]:
        """Value and standard error of a linear combination of the coefficients."""
        return float(weights @ self.coefficients), float(np.sqrt(weights @ self.covariance(errors) @ weights))


def fit_linear(y: FloatArray, X: FloatArray) -> LinearFit:
    """Fit by least squares.

    Parameters
    ----------
    y : real array, shape (n_rows,)
    X : real array, shape (n_rows, n_columns)

    Raises
    ------
    AnalysisError
        The columns depend on each other, there are not more values than columns, or the model fits them exactly.
    """
    y, X = np.asarray(y, dtype=float), np.asarray(X, dtype=float)
    if len(y) <= X.shape[1]:
        raise AnalysisError(f"{len(y)} values are too few for {X.shape[1]} coefficients.", code="too-few")
    sizes = np.linalg.norm(X, axis=0)
    if not sizes.all() or np.linalg.matrix_rank(X / sizes) < X.shape[1]:
        raise AnalysisError("The model's terms cannot be told apart with the values there are.", code="rank")
    Q, R = np.linalg.qr(X)
    pseudo_inverse = np.linalg.solve(R, Q.T)
    residuals = y - Q @ (Q.T @ y)
    if residuals @ residuals <= _EXACT_FIT * (y @ y):
        raise AnalysisError("The values do not vary beyond the model.", code="no-variation")
    total = y - y.mean()
    return LinearFit(
        coefficients=pseudo_inverse @ y,
        residuals=residuals,
        leverages=np.sum(Q**2, axis=1),
        pseudo_inverse=pseudo_inverse,
        r_squared=float(1 - residuals @ residuals / (total @ total)),
    )


@dataclass(frozen=True, slots=True)
class TermTest:
    """F test of a term of a regression, with its sum of squares."""

    sum_of_squares: float
    statistic: float
    num_df: int
    den_df: int
    p: float
    partial_eta2: float


def term_test(y: FloatArray, X: FloatArray, columns: Sequence[int]) -> TermTest:
    """Test the columns of a term by what the residuals grow without them; type II where nothing contains the term.

    Parameters
    ----------
    y : real array, shape (n_rows,)
    X : real array, shape (n_rows, n_columns)
    columns : sequence of int
        Numbers of the term's columns.
    """
    full, without = fit_linear(y, X), fit_linear(y, np.delete(X, list(columns), axis=1))
    explained, n = without.sum_of_squares - full.sum_of_squares, len(columns)
    statistic = explained / n / full.residual_sd**2
    share = explained / (explained + full.sum_of_squares)
    return TermTest(explained, statistic, n, full.df, float(fdtrc(n, full.df, statistic)), share)


def adjusted_weights(X: FloatArray, held: dict[int, float], balanced: Sequence[Sequence[int]] = ()) -> FloatArray:
    """Weights of the coefficients whose sum is the mean at the same covariates.

    Parameters
    ----------
    X : real array, shape (n_rows, n_columns)
    held : mapping of column number to value
        The levels of the factor whose mean is asked for.
    balanced : sequence of column numbers, one for each covariate with levels
        Dummy columns of such a covariate; its levels then count equally, ``1 / (n_columns + 1)`` each. Columns that are
        in neither are at the mean of the sample.

    Returns
    -------
    real array, shape (n_columns,)

    Examples
    --------
    >>> X = np.array([[1.0, 0, 0, 30], [1, 1, 0, 40], [1, 1, 1, 50], [1, 0, 0, 20]])
    >>> adjusted_weights(X, {1: 1.0}), adjusted_weights(X, {1: 1.0}, [[2]])
    (array([ 1.  ,  1.  ,  0.25, 35.  ]), array([ 1. ,  1. ,  0.5, 35. ]))
    """
    weights = X.mean(axis=0)
    for columns in balanced:
        weights[list(columns)] = 1.0 / (len(columns) + 1)
    for column, value in held.items():
        weights[column] = value
    return np.asarray(weights, dtype=np.float64)
