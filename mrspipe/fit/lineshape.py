"""How the common line may differ from a Voigt line: a smooth phase over time that multiplies every signal.

The shape factor is ``exp(i sum_k r_k h_k(t))``. It describes what eddy currents do that no water reference took out,
and an asymmetric distribution of the field. ``h_k`` are piecewise linear in the logarithm of time, so that early times,
where eddy currents are, are seen more finely; all vanish at time zero. A phase does not touch the size of a signal:
amplitudes stay the areas of Voigt lines. Functions that bend the decay would not leave them alone (decision 0006).
"""

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray

# Nodes in s. After 180 ms little signal is left.
_NODES_S = (0.004, 0.010, 0.022, 0.045, 0.09, 0.18)
# The phase rises from zero within half of its first node.
_RISE_S = 0.5 * _NODES_S[0]
_EARLIEST_S = 1e-5

N_SHAPE = len(_NODES_S)
"""Number of functions."""


def shape_functions(time_s: FloatArray) -> ComplexArray:
    """Functions of the exponent, all imaginary, shape (N_SHAPE, n_points)."""
    log_time, nodes = np.log(np.maximum(time_s, _EARLIEST_S)), np.log(_NODES_S)
    # One at a node, zero at the others, linear between them, constant beyond the last ones.
    hats = np.array([np.interp(log_time, nodes, row) for row in np.eye(N_SHAPE)])
    rise = np.where(time_s > 0, 1 - np.exp(-((np.maximum(time_s, 0) / _RISE_S) ** 2)), 0.0)
    return np.asarray(1j * hats * rise)
