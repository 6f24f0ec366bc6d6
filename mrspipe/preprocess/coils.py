"""One signal from many receive coils, with the best signal-to-noise ratio (SNR).

With coil sensitivities ``s`` and noise covariance ``N`` the best linear combination of the coil signals ``x`` is
``s^H N^-1 x`` (Roemer et al. 1990, doi 10.1002/mrm.1910160203). The sensitivities are the leading direction of the
noise-whitened data (Rodgers & Robson 2010, doi 10.1002/mrm.22230), which does not depend on the phase and frequency of
the single transients. The combination is scaled by ``1 / (s^H N^-1 s)`` with ``s^H s = 1``: a signal comes out with
the root of the sum of its squared coil amplitudes, and with the phase it has in the strongest coil.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from mrspipe.core.arrays import ComplexArray

# Added to the noise covariance, relative to its mean variance, so that noise-free data can be combined too.
_RIDGE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class CoilWeights:
    """How coils are combined.

    Parameters
    ----------
    weights : complex array, shape (n_coils,)
        The combined signal is ``sum_c weights_c x_c``.
    snr_gain : float
        SNR relative to the best single coil.
    """

    weights: ComplexArray
    snr_gain: float

    def applied(self, samples: ComplexArray) -> ComplexArray:
        """Combine samples of shape (n_coils, ..., n_points)."""
        combined: ComplexArray = np.tensordot(self.weights, samples, axes=1)
        return combined


def coil_weights(reference: ComplexArray, noise: ComplexArray) -> CoilWeights:
    """Find the weights with the best SNR.

    Parameters
    ----------
    reference : complex array, shape (n_coils, ..., n_points)
        Signals that show the sensitivities: water where there is any.
    noise : complex array, shape (n_coils, n_coils)
        Noise covariance of the signals that will be combined.

    Returns
    -------
    CoilWeights

    Examples
    --------
    >>> signal = np.exp(-np.arange(64) / 10.0)
    >>> found = coil_weights(np.stack([3.0 * signal, 4.0j * signal]), np.eye(2))
    >>> float(np.abs(found.applied(np.array([[3.0], [4.0j]])))[0])
    5.0
    """
    data = reference.reshape(len(reference), -1)
    factor = np.linalg.cholesky(_regular(noise))
    half = solve_triangular(factor, data @ data.conj().T, lower=True)
    whitened = solve_triangular(factor, half.conj().T, lower=True)
    direction = np.linalg.eigh(whitened)[1][:, -1]
    sensitivity = factor @ direction
    strongest = sensitivity[np.argmax(np.abs(sensitivity))]
    scale = np.linalg.norm(sensitivity) * strongest / np.abs(strongest)
    # With s = factor @ u / scale and |u| = 1: N^-1 s = factor^-H u / scale, and s^H N^-1 s = 1 / |scale|^2.
    filtered = solve_triangular(factor, direction, lower=True, trans="C")
    coil_snr = np.abs(sensitivity) / np.sqrt(np.sum(np.abs(factor) ** 2, axis=1))
    return CoilWeights(scale * filtered.conj(), float(1.0 / coil_snr.max()))


def _regular(noise: ComplexArray) -> ComplexArray:
    mean_variance = float(np.trace(noise).real) / len(noise)
    if mean_variance == 0.0:
        return np.eye(len(noise), dtype=np.complex128)
    return noise + _RIDGE * mean_variance * np.eye(len(noise))
