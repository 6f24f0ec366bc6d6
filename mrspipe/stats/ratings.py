"""Ratings that participants gave in each condition, as one row each."""

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from mrspipe.core.errors import AnalysisError
from mrspipe.stats.design import ContrastSettings, Design
from mrspipe.stats.factors import RatingSettings
from mrspipe.stats.ranks import share_at_floor
from mrspipe.stats.samples import Sample, code_column

if TYPE_CHECKING:
    from pandas import DataFrame, Series


def ratings_table(visits: "DataFrame", design: Design) -> "DataFrame | None":
    """Give the ratings, one row each.

    Parameters
    ----------
    visits : DataFrame
        One row a visit: ``participant_id``, ``session_id``, a column of ratings for each condition, and the columns
        of the design. Participants may stand for visits where there are no sessions.
    design : Design

    Returns
    -------
    DataFrame or None
        ``participant_id session_id task_id rating value`` and the design's columns that `visits` has. None when the
        design has no ratings or none of their columns is there.
    """
    import pandas as pd

    rating = design.ratings
    present = [(level, name) for level, name in rating.columns.items() if name in visits.columns] if rating else []
    if rating is None or not present or design.subject not in visits.columns:
        return None
    condition = design.condition.source if design.condition else "task_id"
    others = [factor.column for factor in design.factors if factor.column != condition]
    others += [design.period] if design.period else []
    kept = [name for name in dict.fromkeys(["participant_id", design.subject, "session_id"]) if name in visits.columns]
    added = [name for name in dict.fromkeys(others) if name in visits.columns and name not in kept]
    parts = []
    for level, name in present:
        part = visits[kept].assign(session_id=visits.get("session_id", "n/a")).assign(task_id=level)
        part = part.assign(rating=rating.name, value=pd.to_numeric(visits[name], errors="coerce"))
        parts.append(part.assign(**{condition: level}, **{other: visits[other] for other in added}))
    table = pd.concat(parts)
    return table.sort_values([*kept, "task_id"], kind="stable", key=_text).reset_index(drop=True)


def _text(column: "Series[Any]") -> "Series[Any]":
    return column.astype(str)


def floor_note(sample: Sample, contrast: ContrastSettings, rating: RatingSettings) -> str:
    """Say how many ratings of each cell that is compared lie at the lowest value of the scale.

    A cell at the floor has no room to fall and hardly varies, so means and variances there say little.

    Parameters
    ----------
    sample : Sample
    contrast : ContrastSettings
    rating : RatingSettings
    """
    compared = [sample.factor(name) for name in contrast.compare or ()]
    values = sample.rows["value"].to_numpy(dtype=np.float64)
    parts = []
    for codes in itertools.product((-0.5, 0.5), repeat=len(compared)):
        chosen = np.full(len(values), True)
        for factor, code in zip(compared, codes, strict=True):
            chosen &= sample.rows[code_column(factor)].to_numpy() == code
        words = " ".join(f.other if code > 0 else f.reference for f, code in zip(compared, codes, strict=True))
        try:
            found = share_at_floor(values[chosen], floor=rating.floor)
        except AnalysisError as error:
            return error.message
        parts.append(f"{words} {found.n_at_floor} of {found.n}".strip())
    return f"Ratings at the floor of the scale ({rating.floor:g}): {', '.join(parts)}."
