"""How the common line may differ from a Voigt line: smooth functions of time that multiply every signal.

The shape factor is ``exp(sum_k s_k a_k(t) + i sum_k r_k b_k(t))``. ``b_k`` bend the phase, as eddy currents do that no
water reference took out, and as an asymmetric field distribution does; ``a_k`` bend the decay in its middle, as a
field distribution does that is neither Gaussian nor Lorentzian. Both are piecewise linear in the logarithm of time, so
that early times, where eddy currents are, are seen more finely. All vanish at time zero: an amplitude stays the area of
its line.
"""

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray

# Nodes in s. A field distribution that acts before 15 ms would be wider than 20 Hz; after 240 ms little signal is left.
_DECAY_NODES_S = (0.015, 0.03, 0.06, 0.12, 0.24)
_PHASE_NODES_S = (0.004, 0.010, 0.022, 0.045, 0.09, 0.18)
# The phase rises from zero within half of its first node.
_RISE_S = 0.5 * _PHASE_NODES_S[0]
_EARLIEST_S = 1e-5

N_DECAY = len(_DECAY_NODES_S) - 2
"""Number of functions of the decay; the first and last node are zero."""
N_PHASE = len(_PHASE_NODES_S)
"""Number of functions of the phase."""


def shape_functions(time_s: FloatArray) -> ComplexArray:
    """Functions of the exponent, shape (N_DECAY + N_PHASE, n_points): real for the decay, imaginary for the phase."""
    log_time = np.log(np.maximum(time_s, _EARLIEST_S))
    decay = _hats(log_time, _DECAY_NODES_S)[1:-1]
    rise = np.where(time_s > 0, 1 - np.exp(-((np.maximum(time_s, 0) / _RISE_S) ** 2)), 0.0)
    return np.asarray(np.concatenate([decay, 1j * _hats(log_time, _PHASE_NODES_S) * rise]))


def _hats(log_time: FloatArray, nodes_s: tuple[float, ...]) -> FloatArray:
    """One at a node, zero at the others, linear between them, constant beyond the last ones."""
    nodes = np.log(nodes_s)
    return np.array([np.interp(log_time, nodes, row) for row in np.eye(len(nodes))])
