"""Metabolite cycling: water and metabolites from pairs of shots (Dreher & Leibfritz 2005, doi 10.1002/mrm.20537).

In every other shot an inversion pulse flips the metabolites and leaves the water: ``A = W + M`` and ``B = W - M``, so
``W = (A + B) / 2`` and ``M = (A - B) / 2``. Both come from the same shots and share one scale. What differs between
the water of the two shots, such as a mismatch of their amplitudes, stays in ``M`` as residual water.
"""

import numpy as np

from mrspipe.core.arrays import ComplexArray


def separated(
    upright: ComplexArray, inverted: ComplexArray, *, inversion_efficiency: float = 1.0
) -> tuple[ComplexArray, ComplexArray]:
    """Separate water and metabolites.

    Parameters
    ----------
    upright, inverted : complex array, shape (..., n_points)
        Shots with the metabolites as they are, and inverted.
    inversion_efficiency : float
        Part of the metabolite magnetisation that is inverted, 1 for a perfect pulse: with ``e`` the inverted shot
        holds ``W - e M``, and half the difference is ``(1 + e) M / 2``, which is scaled back.

    Returns
    -------
    water, metabolites : complex array, shape (..., n_points)
        With ``e < 1`` the water keeps ``(1 - e) / 2`` of the metabolites.

    Examples
    --------
    >>> water, metabolites = separated(np.array([5.0 + 0j]), np.array([3.0 + 0j]))
    >>> float(water[0].real), float(metabolites[0].real)
    (4.0, 1.0)
    """
    return (upright + inverted) / 2, (upright - inverted) / (1 + inversion_efficiency)


def amplitude_mismatch(upright: ComplexArray, inverted: ComplexArray) -> float:
    """Size of the upright shots relative to the inverted ones, minus one; water dominates both."""
    size = float(np.linalg.norm(inverted))
    return float(np.linalg.norm(upright)) / size - 1.0 if size > 0 else float("nan")
