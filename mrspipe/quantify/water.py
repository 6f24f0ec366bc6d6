"""Amplitude of the water reference."""

import numpy as np

from mrspipe.core.signal import Signal

# Points of the water FID at the start that are not used: filters distort them.
_SKIPPED_POINTS = 1
# Points of the water FID below this many noise standard deviations are not used; the logarithm would be biased.
_LEAST_WATER_SNR = 10.0
_LEAST_WATER_POINTS = 12


def water_amplitude(signal: Signal, duration_s: float = 0.05) -> tuple[float, float]:
    """FID amplitude of water at time zero, and its standard error.

    A parabola is fitted to the logarithm of the magnitude over the first part of the FID (robustly, weighted by the
    squared magnitude, the first point left out) and read at time zero. The magnitude does not feel frequency,
    phase and eddy currents; a parabola holds for Lorentzian, Gaussian and mixed decay.

    Parameters
    ----------
    signal : Signal
        Combined.
    duration_s : float, optional

    Returns
    -------
    amplitude, standard_error : float
        In the unit of the samples; NaN when there is not enough signal.
    """
    magnitude, time = np.abs(signal.fid), signal.axis.time_s
    tail = signal.fid[-max(8, signal.axis.n_points // 8) :]
    noise_sd = float(np.sqrt(np.mean(np.abs(np.diff(tail)) ** 2)) / 2)
    used = (time <= duration_s) & (magnitude > max(_LEAST_WATER_SNR * noise_sd, 0.05 * magnitude.max()))
    used[:_SKIPPED_POINTS] = False
    if used.sum() < _LEAST_WATER_POINTS:
        return float("nan"), float("nan")
    design = np.vander(time[used] / duration_s, 3, increasing=True)
    target, weight = np.log(magnitude[used]), magnitude[used] ** 2
    robust = np.ones(target.size)
    for _ in range(10):
        root = np.sqrt(weight * robust)
        coefficients = np.linalg.lstsq(design * root[:, None], target * root, rcond=None)[0]
        residual = (target - design @ coefficients) * np.sqrt(weight)
        scale = 1.4826 * np.median(np.abs(residual)) + 1e-12 * np.sqrt(weight.max())
        # Huber's weights; 1.345 gives 95 % efficiency for normal errors.
        robust = np.minimum(1.0, 1.345 * scale / np.maximum(np.abs(residual), 1e-300))
    spread = np.sum(robust * residual**2) / (target.size - 3)
    inverse = np.linalg.inv((design * (weight * robust)[:, None]).T @ design)
    amplitude = float(np.exp(coefficients[0]))
    return amplitude, float(amplitude * np.sqrt(spread * inverse[0, 0]))
