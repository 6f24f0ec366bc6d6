"""Constants drawn from their errors: the slow twin of `mrspipe.quantify.budget`, for checking it.

A value that is computed again with every draw has the spread that the budget gives to first order.
"""

from dataclasses import replace
from typing import Literal

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.quantify.factors import Constants
from mrspipe.quantify.settings import QuantifySettings

Source = Literal["tissue", "water_relaxation", "metabolite_relaxation", "water_content"]
"""A part of `mrspipe.core.results.ErrorBudget` that constants are moved for."""


def draw_constants(
    source: Source,
    constants: Constants,
    tissue_covariance: FloatArray,
    settings: QuantifySettings,
    rng: np.random.Generator,
) -> Constants:
    """Draw what one source is about from normal distributions, all else held.

    Parameters
    ----------
    source : str
    constants : Constants
    tissue_covariance : float array, shape (3, 3)
    settings : QuantifySettings
    rng : Generator

    Returns
    -------
    Constants
    """
    if source == "tissue":
        fractions = rng.multivariate_normal(constants.fractions, tissue_covariance, method="eigh")
        return replace(constants, fractions=fractions)
    if source == "water_content":
        return replace(
            constants, water_content_scale=1 + settings.water_content_sd_fraction * float(rng.standard_normal())
        )
    t1 = 1 + settings.t1_sd_fraction * float(rng.standard_normal())
    t2 = 1 + settings.t2_sd_fraction * float(rng.standard_normal())
    if source == "water_relaxation":
        return replace(constants, water_t1=constants.water_t1 * t1, water_t2=constants.water_t2 * t2)
    return replace(constants, metabolite_t1_scale=t1, metabolite_t2_scale=t2)
