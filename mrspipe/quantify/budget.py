"""Where the standard error of a concentration comes from.

Every source is moved on its own, and the slope of the value times the standard deviation (SD) is its part: errors to
first order, as in the Guide to the expression of uncertainty in measurement (JCGM 100:2008, section 5). Sources are
independent of each other. Within a source, the T1 of all tissues move together, their T2 move together, and so does
their water content: what is wrong with a method of measurement is wrong in all tissues.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.results import ErrorBudget
from mrspipe.quantify.factors import Constants
from mrspipe.quantify.settings import QuantifySettings

# Step of the difference, in SD: far above rounding, far below where second order shows.
_STEP_SD = 1e-4

Move = Callable[[float], Constants]
"""Constants that many SD away from their values."""


def error_budget(
    values_of: Callable[[Constants], FloatArray],
    constants: Constants,
    tissue_covariance: FloatArray,
    settings: QuantifySettings,
    *,
    fit: FloatArray,
    water_fit: FloatArray,
) -> tuple[ErrorBudget, ...]:
    """Standard error of values by source, in their unit.

    Parameters
    ----------
    values_of : callable
        The values at other constants, shape (n_values,).
    constants : Constants
    tissue_covariance : float array, shape (3, 3)
        Of the tissue fractions, as `tissue_covariance` gives it.
    settings : QuantifySettings
        Its ``..._sd_fraction``.
    fit, water_fit : float array, shape (n_values,)
        Standard errors from the metabolites' amplitudes and from that of water.

    Returns
    -------
    tuple of ErrorBudget
        One for each value.
    """
    here = values_of(constants)

    def spread(*moves: Move) -> FloatArray:
        variance = np.zeros_like(here)
        for move in moves:
            variance += ((values_of(move(_STEP_SD)) - here) / _STEP_SD) ** 2
        return np.asarray(np.sqrt(variance))

    t1, t2, content = settings.t1_sd_fraction, settings.t2_sd_fraction, settings.water_content_sd_fraction
    parts = {
        "fit": fit,
        "water_fit": water_fit,
        "tissue": spread(*_tissue_moves(constants, tissue_covariance)),
        "water_relaxation": spread(
            lambda sd: replace(constants, water_t1=constants.water_t1 * (1 + sd * t1)),
            lambda sd: replace(constants, water_t2=constants.water_t2 * (1 + sd * t2)),
        ),
        "metabolite_relaxation": spread(
            lambda sd: replace(constants, metabolite_t1_scale=1 + sd * t1),
            lambda sd: replace(constants, metabolite_t2_scale=1 + sd * t2),
        ),
        "water_content": spread(lambda sd: replace(constants, water_content_scale=1 + sd * content)),
    }
    return tuple(
        ErrorBudget(**dict(zip(parts, map(float, values), strict=True))) for values in zip(*parts.values(), strict=True)
    )


def tissue_covariance(fractions: FloatArray, map_sd: FloatArray, setting_sd: float) -> FloatArray:
    """Covariance of the fractions of GM, WM and CSF, whose errors sum to zero.

    Two errors of segmentation with the SD of the settings, grey taken for white matter and tissue taken for CSF, and
    what the maps themselves leave open.

    Parameters
    ----------
    fractions : float array, shape (3,)
    map_sd : float array, shape (3,)
        SD of each fraction from the maps. With a sum of zero they give the covariances, too:
        ``2 cov(GM, WM) = var(CSF) - var(GM) - var(WM)``.
    setting_sd : float

    Returns
    -------
    float array, shape (3, 3)
    """
    variance = np.square(map_sd)
    of_maps = np.diag(variance)
    for i, j, k in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        of_maps[i, j] = of_maps[j, i] = (variance[k] - variance[i] - variance[j]) / 2
    tissue = np.array([fractions[0], fractions[1], 0.0]) / (fractions[0] + fractions[1])
    errors = setting_sd * np.stack([np.array([-1.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]) - tissue])
    return np.asarray(of_maps + errors.T @ errors)


def _tissue_moves(constants: Constants, covariance: FloatArray) -> list[Move]:
    """Move the fractions along each independent direction of their covariance."""
    variances, directions = np.linalg.eigh(covariance)
    steps = [np.sqrt(v) * u for v, u in zip(variances, directions.T, strict=True) if v > 1e-12 * variances[-1]]

    def along(step: FloatArray) -> Move:
        return lambda sd: replace(constants, fractions=constants.fractions + sd * step)

    return [along(step) for step in steps]
