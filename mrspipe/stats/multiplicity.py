"""Which p values are corrected together, and how.

The main contrasts of the outcome are one family: either by Holm's method [1]_, or in a fixed sequence [2]_, in which a
contrast is a finding only if all those before it are; its adjusted p value is the largest of them so far. The other
contrasts of the outcome are one family, and so are the other metabolites of each contrast; these control the false
discovery rate [3]_. Ratings and checks of the design are not corrected.

References
----------
.. [1] Holm 1979, Scandinavian Journal of Statistics 6:65-70
.. [2] Westfall and Krishen 2001, doi 10.1016/S0378-3758(01)00077-5
.. [3] Benjamini and Hochberg 1995, doi 10.1111/j.2517-6161.1995.tb02031.x
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mrspipe.stats.adjustment import benjamini_hochberg, holm

NOT_ADJUSTED = "none"
_ALONE = "none: alone in its family"


@dataclass(frozen=True, slots=True)
class Family:
    """p values that are corrected together.

    Parameters
    ----------
    kind : str
        As in the column ``family``.
    members : str
        What they are, in words.
    of : str
        Contrast, where each has a family of its own.
    """

    kind: Literal["primary", "secondary", "none"]
    members: str
    of: str = ""


def adjusted(
    rows: Sequence[dict[str, Any]], families: Sequence[Family], method: Literal["holm", "fixed-sequence"]
) -> list[dict[str, Any]]:
    """Adjust the p values of rows of the table of contrasts.

    Parameters
    ----------
    rows : sequence of dict
        With ``p`` (NaN where there is no test) and ``note``; in the order of the questions.
    families : sequence of Family
        One for each row.
    method : str
        Of the primary family.

    Returns
    -------
    list of dict
        With ``p_adjusted``, ``family``, ``multiplicity``, and what was done in ``note``.
    """
    done = [{**row, "family": family.kind} for row, family in zip(rows, families, strict=True)]
    for family in dict.fromkeys(families):
        places = [i for i, one in enumerate(families) if one == family]
        if family.kind == "none":
            continue
        if family.kind == "primary" and method == "fixed-sequence":
            changes = _in_sequence([float(rows[i]["p"]) for i in places])
        else:
            changes = _together([float(rows[i]["p"]) for i in places], family)
        for i, change in zip(places, changes, strict=True):
            note = f"{rows[i]['note']} {change.pop('note', '')}".strip()
            done[i] |= {**change, "note": note}
    return done


def _together(p: Sequence[float], family: Family) -> list[dict[str, Any]]:
    method, name = (holm, "Holm") if family.kind == "primary" else (benjamini_hochberg, "Benjamini-Hochberg")
    tested = [i for i, one in enumerate(p) if np.isfinite(one)]
    changes: list[dict[str, Any]] = [{} for _ in p]
    if len(tested) == 1:
        changes[tested[0]] = {"p_adjusted": p[tested[0]], "multiplicity": _ALONE}
    elif tested:
        words = f"{name} over {len(tested)} {family.members}"
        for i, one in zip(tested, method(np.array([p[i] for i in tested])), strict=True):
            changes[i] = {"p_adjusted": float(one), "multiplicity": words, "note": f"p adjusted by {words}."}
    return changes


def _in_sequence(p: Sequence[float]) -> list[dict[str, Any]]:
    """The running maximum; what could not be computed stops the sequence, as a p value of one."""
    if len(p) == 1:
        return [{"p_adjusted": p[0], "multiplicity": _ALONE}] if np.isfinite(p[0]) else [{}]
    largest = np.maximum.accumulate([one if np.isfinite(one) else 1.0 for one in p])
    changes: list[dict[str, Any]] = []
    for i, one in enumerate(p):
        said = f"Main contrast {i + 1} of {len(p)} in a fixed sequence"
        if i:
            said += ": adjusted p is the largest of those so far"
        if not np.isfinite(p[:i]).all():
            said += "; one before it could not be computed, which counts as p = 1"
        words = {"multiplicity": f"fixed sequence, {i + 1} of {len(p)}", "note": f"{said}."}
        changes.append({"p_adjusted": float(largest[i]), **words} if np.isfinite(one) else {})
    return changes
