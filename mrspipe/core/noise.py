"""The noise of measurements, from the end of their FIDs."""

import numpy as np

from mrspipe.core.arrays import ComplexArray

# The last eighth of an FID holds noise, and what is left there of slow signals goes with differences of neighbours.
_TAIL_PART = 8
# A full covariance is used when there are this many samples per coil: the SNR lost to its own errors is then under 3 %
# (Reed et al. 1974, doi 10.1109/TAES.1974.307893).
_SAMPLES_PER_COIL = 20


def noise_covariance(fids: ComplexArray) -> ComplexArray:
    """Covariance of the complex noise between coils.

    Parameters
    ----------
    fids : complex array, shape (n_coils, ..., n_points)

    Returns
    -------
    complex array, shape (n_coils, n_coils)
        Mean of ``noise_i conj(noise_j)``; diagonal when the samples are too few for more.
    """
    noise = _tail_noise(fids).reshape(len(fids), -1)
    covariance: ComplexArray = noise @ noise.conj().T / noise.shape[1]
    if noise.shape[1] < _SAMPLES_PER_COIL * len(fids):
        return np.diag(np.diag(covariance))
    return covariance


def noise_sd(fids: ComplexArray) -> float:
    """Standard deviation of the real part of the noise of one point."""
    return float(np.sqrt(np.mean(np.abs(_tail_noise(fids)) ** 2) / 2))


def _tail_noise(fids: ComplexArray) -> ComplexArray:
    n_tail = max(fids.shape[-1] // _TAIL_PART, 2)
    noise: ComplexArray = np.diff(fids[..., -n_tail:], axis=-1) / np.sqrt(2)
    return noise
