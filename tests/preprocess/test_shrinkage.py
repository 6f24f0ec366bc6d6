import numpy as np
import pytest

from mrspipe.preprocess.shrinkage import believed

N = 400
ERROR = np.array([[0.4, -0.1], [-0.1, 0.05]])


def drawn(movement, seed=0):
    """Drift with movement of a covariance, and the same with errors."""
    rng = np.random.default_rng(seed)
    number = np.linspace(-1, 1, N)[:, None]
    true = number * [3.0, 0.2] + rng.multivariate_normal([0, 0], movement, N)
    return true, true + rng.multivariate_normal([0, 0], ERROR, N)


def whitened_square(difference):
    """Mean square in units in which the errors have variance 1."""
    return float(np.mean(np.linalg.solve(np.linalg.cholesky(ERROR), difference.T) ** 2))


def test_corrections_that_are_all_error_become_the_drift():
    true, seen = drawn(np.zeros((2, 2)))
    # The line has two parameters from 400 values; the largest of two sampled variances exceeds 1 by about
    # 2 sqrt(2 / 400), and as much of the error stays.
    assert whitened_square(believed(seen, ERROR) - true) < 2 / N + 2 * np.sqrt(2 / N)


@pytest.mark.parametrize("ratio", [0.25, 1.0, 4.0])
def test_the_error_left_is_that_of_the_posterior_mean(ratio):
    true, seen = drawn(ratio * ERROR)
    # Movement V and error E leave V E / (V + E); its mean square over 800 values has a relative SD of sqrt(2 / 800).
    expected = ratio / (1 + ratio)
    assert whitened_square(believed(seen, ERROR) - true) == pytest.approx(expected, rel=4 * np.sqrt(2 / (2 * N)))


def test_large_movements_are_believed():
    true, seen = drawn(1e6 * ERROR)
    assert whitened_square(believed(seen, ERROR) - seen) < 1e-5
    assert whitened_square(believed(seen, ERROR) - true) == pytest.approx(1, rel=4 * np.sqrt(2 / (2 * N)))


def test_a_transient_that_moved_keeps_its_correction():
    _, seen = drawn(np.zeros((2, 2)))
    seen[17] += [10.0, 1.0]
    np.testing.assert_allclose(believed(seen, ERROR)[17], seen[17], atol=1e-9)


def test_few_transients_stay_as_they_are():
    _, seen = drawn(np.zeros((2, 2)))
    np.testing.assert_array_equal(believed(seen[:8], ERROR), seen[:8])
