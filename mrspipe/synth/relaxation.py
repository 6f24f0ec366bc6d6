"""What relaxation leaves of the signals of a voxel of mixed tissue.

The attenuation after a 90 degree pulse is ``R = exp(-TE / T2) (1 - exp(-TR / T1))`` in each tissue. Grey and white
matter hold the metabolites in the same concentration, cerebrospinal fluid holds none.
"""

import math
from dataclasses import dataclass

from mrspipe.core.results import TissueFractions
from mrspipe.physics.relaxation import metabolite_relaxation, water_relaxation


@dataclass(frozen=True, slots=True)
class WaterCompartment:
    """Water of one tissue: what is seen of it, in kg per litre of voxel, and its T2 in s."""

    amount: float
    t2_s: float


def attenuation(t1_s: float, t2_s: float, echo_time_s: float, repetition_time_s: float) -> float:
    """Part of the signal that relaxation leaves.

    Examples
    --------
    >>> attenuation(1.0, 0.1, 0.0, 1e9)
    1.0
    """
    return math.exp(-echo_time_s / t2_s) * (1 - math.exp(-repetition_time_s / t1_s))


def water_compartments(
    set_name: str, tissue: TissueFractions, echo_time_s: float, repetition_time_s: float
) -> tuple[WaterCompartment, ...]:
    """Water of grey matter, white matter and cerebrospinal fluid: ``f_x d_x R_x`` of each."""
    water, fractions = water_relaxation(set_name), {"GM": tissue.gm, "WM": tissue.wm, "CSF": tissue.csf}
    compartments = []
    for name, part in water.items():
        left = attenuation(part.t1_s, part.t2_s, echo_time_s, repetition_time_s)
        compartments.append(WaterCompartment(fractions[name] * part.kg_per_l * left, part.t2_s))
    return tuple(compartments)


def metabolite_attenuation(name: str, tissue: TissueFractions, echo_time_s: float, repetition_time_s: float) -> float:
    """Part of a metabolite's signal that relaxation leaves, over grey and white matter."""
    gm, wm = metabolite_relaxation(name, "GM"), metabolite_relaxation(name, "WM")
    left = [attenuation(t.t1_s, t.t2_s, echo_time_s, repetition_time_s) for t in (gm, wm)]
    return (tissue.gm * left[0] + tissue.wm * left[1]) / (tissue.gm + tissue.wm)
