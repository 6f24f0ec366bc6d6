"""From the ratio of metabolite and water signal to a concentration: the formulas.

With ``c`` the amplitude of a metabolite, ``a`` the FID amplitude of one proton at unit amplitude and ``S_W`` the FID
amplitude of water at time zero, ``S = 2 c a / S_W`` is the number of metabolite molecules per molecule of visible
water, before relaxation. With tissue fractions ``f``, visible water ``d`` (kg/L), ``R = exp(-TE/T2) (1 - exp(-TR/T1))``
and ``W`` = 55510 mmol/kg [1]_ [2]_::

    institutional     = S W sum(f d R) / R_M                                    mmol per litre of voxel
    molar             = S W sum(f d R) / ((1 - f_CSF) R_M)                      mmol per litre of tissue
    molal             = S W sum(g R) / ((1 - g_CSF) R_M),  g = f d / sum(f d)   mmol per kg of tissue water
    alpha_molar       = institutional / (f_GM + alpha f_WM)                     mmol per litre of grey matter [3]_
    alpha_group_molar = alpha_molar (m_GM + alpha m_WM) / (m_GM + m_WM)         the same at the group's fractions m [3]_
    lcmodel           = S ATTH2O WCONC / ATTMET                                 LCModel's scaling [4]_

``R_M`` is the metabolite's ``R``, averaged over grey and white matter by their fractions. Metabolite and water signal
must both be averages over their transients, as preprocessing leaves them.

References
----------
.. [1] Gasparovic et al. 2006, doi 10.1002/mrm.20901
.. [2] Near et al. 2021, doi 10.1002/nbm.4257
.. [3] Harris et al. 2015, doi 10.1002/jmri.24903
.. [4] Provencher 1993, doi 10.1002/mrm.1910300604; water scaling as in the source of LCModel 6.3
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.results import Quantity
from mrspipe.physics.constants import PURE_WATER_MMOL_PER_KG
from mrspipe.physics.relaxation import TISSUES, metabolite_relaxation
from mrspipe.quantify.settings import QuantifySettings


@dataclass(frozen=True, slots=True)
class Timing:
    """Echo and repetition time of metabolites and water, in s; an infinite repetition time is full relaxation."""

    echo_s: float
    repetition_s: float
    water_echo_s: float
    water_repetition_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Constants:
    """What the conversion factor depends on; arrays in the order of `TISSUES`; times in s, water in kg/L.

    The scales multiply what the settings or the table say of all metabolites, of all visible water.
    """

    fractions: FloatArray
    water_t1: FloatArray
    water_t2: FloatArray
    water_content: FloatArray
    metabolite_t1_scale: float = 1.0
    metabolite_t2_scale: float = 1.0
    water_content_scale: float = 1.0


def conversion_factors(
    names: tuple[str, ...], quantity: Quantity, constants: Constants, timing: Timing, settings: QuantifySettings
) -> FloatArray:
    """Concentration of metabolites with as many protons' amplitude as one water molecule has per proton.

    Parameters
    ----------
    names : tuple of str
        Metabolites, for their relaxation times.
    quantity : str
        One that depends on tissue and relaxation.
    constants : Constants
    timing : Timing
    settings : QuantifySettings

    Returns
    -------
    float array, shape (n_names,)
        ``quantity`` divided by ``S`` of the module's formulas.
    """
    relaxed = relaxation(timing.water_echo_s, timing.water_repetition_s, constants.water_t1, constants.water_t2)
    content = constants.fractions * constants.water_content
    part = content / content.sum()
    metabolite = _metabolite_relaxation(names, constants, timing, settings)
    return _of_water(quantity, constants, part, content, settings) * float(part @ relaxed) / metabolite


def _of_water(
    quantity: Quantity, constants: Constants, part: FloatArray, content: FloatArray, settings: QuantifySettings
) -> float:
    """What one molecule of visible water stands for, in the unit of the quantity."""
    gm, wm, csf = constants.fractions
    if quantity == "molal":
        return float(PURE_WATER_MMOL_PER_KG / (1 - part[2]))
    water = settings.water_concentration_mmol or PURE_WATER_MMOL_PER_KG * content.sum()
    per_voxel = float(constants.water_content_scale * water)
    if quantity == "molar":
        return per_voxel / (1 - float(csf))
    if quantity in ("alpha_molar", "alpha_group_molar"):
        group = _group_factor(settings) if quantity == "alpha_group_molar" else 1.0
        return group * per_voxel / float(gm + settings.alpha * wm)
    return per_voxel


def lcmodel_factor(settings: QuantifySettings) -> float:
    """LCModel's ``ATTH2O WCONC / ATTMET``, in mmol/L; neither tissue nor timing is in it."""
    return settings.lcmodel_atth2o * settings.lcmodel_wconc_mmol / settings.lcmodel_attmet


def relaxation(echo_s: float, repetition_s: float, t1: FloatArray | float, t2: FloatArray | float) -> FloatArray:
    """Part of the magnetisation that is left after saturation (90 degree pulse) and transverse decay."""
    left: FloatArray = np.exp(-echo_s / t2) * (1 - np.exp(-repetition_s / t1))
    return left


def _group_factor(settings: QuantifySettings) -> float:
    """Concentration at the group's fractions per that of grey matter, without its CSF."""
    gm, wm = ((settings.alpha_group_fractions or {}).get(name, 0.0) for name in TISSUES[:2])
    return (gm + settings.alpha * wm) / (gm + wm)


def _metabolite_relaxation(
    names: tuple[str, ...], constants: Constants, timing: Timing, settings: QuantifySettings
) -> FloatArray:
    """Part of each metabolite's signal that is left, averaged over grey and white matter."""
    table_t1, table_t2 = _tabulated(names)
    t1 = (settings.metabolite_t1_s or table_t1) * constants.metabolite_t1_scale
    t2 = (settings.metabolite_t2_s or table_t2) * constants.metabolite_t2_scale
    left = np.broadcast_to(relaxation(timing.echo_s, timing.repetition_s, t1, t2), table_t1.shape)
    averaged: FloatArray = constants.fractions[:2] @ left / constants.fractions[:2].sum()
    return averaged


@cache
def _tabulated(names: tuple[str, ...]) -> tuple[FloatArray, FloatArray]:
    """T1 and T2 of metabolites in grey and white matter, in s; each has the shape (2, n_names)."""
    rows = [[metabolite_relaxation(name, tissue) for name in names] for tissue in TISSUES[:2]]
    return np.array([[row.t1_s for row in of] for of in rows]), np.array([[row.t2_s for row in of] for of in rows])
