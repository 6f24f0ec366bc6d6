"""Which parameters a fit stopped at the edge of what is plausible, by name."""

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.fit.lineshape import N_SHAPE
from mrspipe.fit.prepare import Prepared
from mrspipe.fit.priors import Roles
from mrspipe.fit.solver import FARTHEST_SD, Problem

BASELINE = "flexibility of the baseline"
"""The one of them that is chosen among candidates and is not part of ``theta``."""

WIDTH = "common line width"
"""It is found before the rest of ``theta``, in order to know what to expect of its parts."""
RELATIVE_WIDTHS = (0.3, 2.5)
"""Widths of the lines that are believed, relative to what is expected: 2 to 16 Hz with the generic expectation."""

# The solver clips, so a stopped parameter is at its edge to rounding.
_AT_THE_EDGE = 0.999


def stopped(problem: Problem, theta: FloatArray, prepared: Prepared, width: float = 1.0) -> tuple[str, ...]:
    """Name the parameters that ended at their limit.

    Parameters
    ----------
    problem : Problem
    theta : float array, shape (n_theta,)
        Where the fit ended.
    prepared : Prepared
    width : float, optional
        Of the lines, relative to what is expected.

    Returns
    -------
    tuple of str
        Such as ``"common Lorentzian width"``, ``"shift of Glu"``.
    """
    far = np.abs(theta - problem.theta_mean) > _AT_THE_EDGE * FARTHEST_SD * problem.theta_sd
    names = [name for name, stop in zip(parameter_names(prepared.roles), far, strict=True) if stop]
    if not RELATIVE_WIDTHS[0] < width < RELATIVE_WIDTHS[1]:
        names.append(WIDTH)
    most_flexible = problem.stiffness <= prepared.stiffnesses.min() * (1 + 1e-9)
    return (*names, BASELINE) if most_flexible else tuple(names)


def parameter_names(roles: Roles) -> tuple[str, ...]:
    """Name the entries of ``theta`` in the order of `mrspipe.fit.model.Layout`."""
    signals = (*roles.metabolites, *(["the measured macromolecules"] if roles.measured_mm else []))
    return (
        "zero-order phase",
        "first-order phase",
        "common shift",
        "common Lorentzian width",
        "common Gaussian width",
        "T2 contrast",
        *(f"phase of the line shape ({number} of {N_SHAPE})" for number in range(1, N_SHAPE + 1)),
        *(f"shift of {name}" for name in signals),
        *(f"width of {name}" for name in signals),
    )
