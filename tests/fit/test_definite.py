import numpy as np
import pytest
from scipy.linalg import LinAlgError

from mrspipe.fit.definite import invert_definite, measure_definite, solve_and_measure, solve_definite


@pytest.fixture
def matrix():
    columns = np.random.default_rng(3).standard_normal((40, 12))
    return columns.T @ columns


@pytest.mark.parametrize("right", [np.arange(12.0), np.eye(12)[:, :3]], ids=["vector", "columns"])
def test_the_solution_solves_the_system_and_only_one_triangle_is_read(matrix, right):
    lower = np.tril(matrix) + np.triu(np.full_like(matrix, 1e3), 1)
    np.testing.assert_allclose(matrix @ solve_definite(lower, right), right, atol=1e-10)


def test_the_inverse_is_symmetric_and_undoes_the_matrix(matrix):
    inverse = invert_definite(np.tril(matrix) + np.triu(np.full_like(matrix, 1e3), 1))
    np.testing.assert_allclose(matrix @ inverse, np.eye(12), atol=1e-10)
    assert np.array_equal(inverse, inverse.T)


def test_the_determinant_is_that_of_the_matrix(matrix):
    solved, log_determinant = solve_and_measure(matrix, np.ones(12))
    np.testing.assert_allclose(matrix @ solved, 1.0, atol=1e-10)
    assert log_determinant == pytest.approx(np.linalg.slogdet(matrix)[1], rel=1e-12)
    assert measure_definite(np.tril(matrix)) == pytest.approx(log_determinant, rel=1e-12)


def test_neither_matrix_nor_right_side_is_changed(matrix):
    right, before = np.ones(12), matrix.copy()
    solve_definite(matrix, right)
    assert np.array_equal(matrix, before)
    assert np.array_equal(right, np.ones(12))


@pytest.mark.parametrize("value", [np.nan, -1e6], ids=str)
def test_what_is_not_positive_definite_or_nan_is_refused(matrix, value):
    matrix[4, 4] = value
    with pytest.raises(LinAlgError):
        solve_definite(matrix, np.ones(12))
    for function in (invert_definite, measure_definite):
        with pytest.raises(LinAlgError):
            function(matrix)


def test_a_right_side_with_nan_is_refused(matrix):
    with pytest.raises(LinAlgError):
        solve_definite(matrix, np.array([np.nan, *np.ones(11)]))
