"""Is the first point of an FID halved? Find out, and restore it.

Some programs store an FID with half of its first point, so that a plain Fourier transform gives a flat baseline.
In memory the first point is whole (`mrspipe.core.operators`). Files do not say which of the two they hold, so the
first point is predicted from the points after it and compared with the stored one.
"""

import numpy as np

from mrspipe.core.arrays import ComplexArray

# Points that the prediction is learned from, and the number of points each prediction uses.
_N_LEARN = 256
_ORDER = 32
# Singular values below this part of the largest, or below the noise, are noise to the prediction.
_SMALLEST_SINGULAR = 1e-5
# The two hypotheses lie half a first point apart: that gap must be this many prediction errors wide, ...
_GAP_IN_ERRORS = 4.0
# ... and the size of the stored point may be this far from the nearer of the two.
_MAX_DISTANCE_IN_GAPS = 1 / 3


def first_point_is_halved(fid: ComplexArray) -> bool | None:
    """Tell whether the first point is half of what the following points imply.

    The first point is predicted backwards from the next 32 by linear prediction, whose coefficients are learned
    (least squares with truncated singular values) on the points after the first. Sizes are compared, not complex
    values, because the phase of a first point is often off as well. The size must lie within a third of a gap of
    one hypothesis, where the gap is the distance between "whole" and "half", and the gap must be wider than four
    prediction errors.

    Parameters
    ----------
    fid : complex array, shape (n_points,)

    Returns
    -------
    bool or None
        None when it cannot be decided: too few points, too much noise, or a first point that is neither.

    Examples
    --------
    >>> fid = np.exp((2j * np.pi * 0.02 - 0.01) * np.arange(256))
    >>> first_point_is_halved(fid)
    False
    >>> fid[0] *= 0.5
    >>> first_point_is_halved(fid)
    True
    """
    if fid.size < 4 * _ORDER:
        return None
    predicted, error = _predicted_first_point(fid)
    gap = abs(predicted) / 2
    if gap <= _GAP_IN_ERRORS * error:
        return None
    size = abs(fid[0])
    distance = {False: abs(size - 2 * gap), True: abs(size - gap)}
    closest = min(distance, key=lambda halved: distance[halved])
    return closest if distance[closest] <= _MAX_DISTANCE_IN_GAPS * gap else None


def restored_first_point(fid: ComplexArray) -> tuple[ComplexArray, bool]:
    """Double the first point where it is halved.

    Parameters
    ----------
    fid : complex array, shape (n_points,)

    Returns
    -------
    fid : complex array, shape (n_points,)
        A new array.
    restored : bool
        True when the first point was doubled; False when it was whole or this could not be decided.
    """
    whole = np.array(fid, dtype=np.complex128)
    restored = first_point_is_halved(whole) is True
    if restored:
        whole[0] *= 2.0
    return whole, restored


def _predicted_first_point(fid: ComplexArray) -> tuple[complex, float]:
    """First point as the following ones imply it, and the root mean square error of such predictions."""
    after = fid[1 : 1 + min(_N_LEARN, fid.size - 1)]
    windows = np.lib.stride_tricks.sliding_window_view(after, _ORDER + 1)
    targets, inputs = windows[:, 0], windows[:, 1:]
    left, singular, right = np.linalg.svd(inputs, full_matrices=False)
    kept = singular > max(_SMALLEST_SINGULAR * singular[0], _noise_singular(fid, inputs.shape))
    if not kept.any():
        return 0j, float("inf")
    coefficients = right[kept].conj().T @ ((left[:, kept].conj().T @ targets) / singular[kept])
    error = float(np.sqrt(np.mean(np.abs(targets - inputs @ coefficients) ** 2)))
    return complex(after[:_ORDER] @ coefficients), error


def _noise_singular(fid: ComplexArray, shape: tuple[int, int]) -> float:
    """Largest singular value of pure noise in a matrix of this shape, with the noise of the FID's last eighth."""
    tail = fid[-(fid.size // 8) :]
    # A tail that still holds a slow signal is not noise: differences of neighbours remove most of it.
    noise_sd = float(np.sqrt(np.mean(np.abs(np.diff(tail)) ** 2) / 2))
    return noise_sd * float(np.sqrt(shape[0]) + np.sqrt(shape[1]))
