"""How much each repeated measurement counts in an average.

The model of a transient is ``y_k = g_k s + n_k``: the common signal ``s``, times a size ``g_k`` that is 1 unless motion
took a part of it, and noise of variance ``v_k``, which is the usual one unless something was added. Given sizes and
variances, the estimate of ``s`` with the largest likelihood is ``sum_k g_k y_k / v_k`` over ``sum_k g_k^2 / v_k``
(Aitken 1935, doi 10.1017/S0370164600014346): a lost part costs signal-to-noise ratio (SNR), and biases nothing. A
transient is taken to be a usual one unless its size or its residual lies out of the scatter of the others, so that its
own noise does not enter its weight.
"""

from dataclasses import dataclass

import numpy as np

from mrspipe.core.arrays import ComplexArray, FloatArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.noise import noise_sd
from mrspipe.preprocess.alignment import band_limited, complex_median
from mrspipe.preprocess.transients import robust_excess

# Of fewer transients there is no majority that tells what is usual.
_FEWEST = 3
# Relative to the signal: a scatter of the sizes, or a residual, below this is rounding or an error of the alignment.
_ROUNDING = 1e-6

_Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True, eq=False)
class TransientWeights:
    """What each of n transients counts, and why; arrays of shape (n,).

    Parameters
    ----------
    size : float array
        Size ``g`` of the signal relative to that of a usual transient.
    variance : float array
        Variance ``v`` of the residual relative to a usual one.
    dropped : bool array
        Not used at all.
    """

    size: FloatArray
    variance: FloatArray
    dropped: _Flags

    @property
    def weights(self) -> FloatArray:
        """Weights of the average ``sum_k w_k y_k``, which has the size of a usual transient: ``sum_k w_k g_k = 1``."""
        plain = np.where(self.dropped, 0.0, self.size / self.variance)
        return np.asarray(plain / np.sum(plain * self.size))

    @property
    def effective_number(self) -> float:
        """Number of usual transients whose plain average has the same noise."""
        return float(1.0 / np.sum(self.weights**2 * self.variance))

    @property
    def changed_signal(self) -> _Flags:
        """Transients whose signal has not the usual size, with motion for instance."""
        return np.not_equal(self.size, 1.0)

    @property
    def excess_residual(self) -> _Flags:
        """Transients with more than noise beside the common signal, such as lipids or a spike."""
        return np.not_equal(self.variance, 1.0)


def transient_weights(
    fids: ComplexArray,
    axis: SpectralAxis,
    *,
    size_band_ppm: tuple[float, float] | None,
    residual_band_ppm: tuple[float, float] | None,
    threshold: float = 3.0,
    least_weight: float = 0.1,
    duration_s: float = 0.2,
) -> TransientWeights:
    """Find out what each transient counts.

    Parameters
    ----------
    fids : complex array, shape (n_transients, n_points)
        Aligned.
    axis : SpectralAxis
    size_band_ppm, residual_band_ppm : tuple of float, or None
        Part of the spectrum that tells the size, and the one whose residual counts, in ppm; None: all of it.
    threshold : float
        A size or a residual is unusual beyond this many robust standard deviations.
    least_weight : float
        Transients that would count less than this part of a usual one are dropped.
    duration_s : float
        Part of the FID that is compared, in s.

    Returns
    -------
    TransientWeights
        All usual, for fewer than three transients or without any signal.

    Examples
    --------
    >>> axis = SpectralAxis(512, 1 / 2000, 127.7e6, 4.65)
    >>> fids = np.exp(-20 * axis.time_s) * np.array([[1.0], [1.0], [0.5], [1.0]])
    >>> found = transient_weights(fids.astype(complex), axis, size_band_ppm=None, residual_band_ppm=None)
    >>> [round(float(size), 6) for size in found.size]
    [1.0, 1.0, 0.5, 1.0]
    """
    usual = TransientWeights(np.ones(len(fids)), np.ones(len(fids)), np.zeros(len(fids), dtype=np.bool_))
    n_used = int(np.clip(round(duration_s / axis.dwell_s), 2, axis.n_points))
    compared = band_limited(fids, axis, size_band_ppm)[:, :n_used]
    typical = complex_median(compared)
    energy = float(np.vdot(typical, typical).real)
    if len(fids) < _FEWEST or energy == 0.0:
        return usual
    size = (compared @ typical.conj()).real / energy
    floor = max(noise_sd(fids) / np.sqrt(energy), _ROUNDING)
    size = np.where(np.abs(robust_excess(size, floor=floor)) > threshold, size, 1.0)
    beside = band_limited(fids, axis, residual_band_ppm)[:, :n_used]
    residual = np.linalg.norm(beside - size[:, None] * complex_median(beside), axis=1)
    # Below this a residual is rounding.
    least = _ROUNDING * float(np.linalg.norm(complex_median(beside)))
    typical_residual = max(float(np.median(residual)), least)
    floor = typical_residual * _noise_spread(axis, residual_band_ppm, n_used)
    unusual = robust_excess(residual, floor=floor) > threshold
    variance = np.where(unusual & (residual > least), (residual / typical_residual) ** 2, 1.0)
    # A size that is not positive is no part of the signal.
    dropped = np.maximum(size, 0.0) ** 2 / variance < least_weight
    return TransientWeights(size, variance, dropped)


def _noise_spread(axis: SpectralAxis, band_ppm: tuple[float, float] | None, n_used: int) -> float:
    """Relative SD of the norm of white noise: with p independent real values it is ``1 / sqrt(2 p)``."""
    share = 1.0 if band_ppm is None else min((band_ppm[1] - band_ppm[0]) * axis.hz_per_ppm * axis.dwell_s, 1.0)
    return float(1 / np.sqrt(2 * max(2 * n_used * share, 1.0)))
