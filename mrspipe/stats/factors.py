"""The parts of a study's design: factors with their levels, the outcome, the rating."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from mrspipe.core.results import Quantity
from mrspipe.settings import Settings

if TYPE_CHECKING:
    from pandas import Series

FactorName = Literal["group", "arm", "condition", "treatment", "time", "sequence"]
ENTITY_COLUMNS = {"task": "task_id", "session": "session_id", "run": "run"}


def label(value: object) -> str:
    """Spell a level: numbers without decimals they do not need, sessions and tasks without their prefix.

    Examples
    --------
    >>> [label(value) for value in ("ses-pre", 2.0, "HC", float("nan"))]
    ['pre', '2', 'HC', '']
    """
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip()
    return "" if text in {"n/a", "<NA>", "NaT"} else text.removeprefix("ses-").removeprefix("task-")


def labels(column: "Series[Any]") -> "Series[str]":
    """Spell the levels in a column of a table."""
    import pandas as pd

    # Columns of tables hold few levels, each many times.
    codes, found = pd.factorize(column.astype(object), use_na_sentinel=False)
    spelled = np.array([label(value) for value in found] or [""], dtype=object)
    return pd.Series(spelled[codes], index=column.index, name=column.name, dtype=object)


def is_numeric(column: "Series[Any]") -> bool:
    """Tell whether a column holds numbers; true and false are words."""
    import pandas as pd

    return bool(pd.api.types.is_numeric_dtype(column)) and not pd.api.types.is_bool_dtype(column)


Label = Annotated[str, BeforeValidator(label), Field(min_length=1)]


class _Source(Settings):
    """Where the levels of a factor within participants are found."""

    column: str | None = None
    """Column of participants.tsv or of the sessions files; or give `entity`."""
    entity: Literal["task", "session", "run"] | None = None
    """Part of the scan's file name; or give `column`."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.column is None) == (self.entity is None):
            raise ValueError("Give either column or entity")
        return self

    @property
    def source(self) -> str:
        """Column of the tables that holds the levels."""
        return self.column or ENTITY_COLUMNS[str(self.entity)]


class Group(Settings):
    """Two groups of participants."""

    column: str = "group"
    """Column of participants.tsv."""
    control: Label
    """Level of the controls."""
    patient: Label
    """Level of the patients."""


class Condition(_Source):
    """Two conditions, both measured in each participant."""

    control: Label
    """Level of the baseline condition."""
    active: Label
    """Level of the other condition."""


class Treatment(_Source):
    """A crossover: every participant gets both treatments, in different visits."""

    control: Label
    """Level of the placebo."""
    active: Label
    """Level of the treatment."""
    period: str | None = None
    """Column with the number of the visit in time."""


class Arm(Settings):
    """Parallel arms: every participant gets one of two treatments, throughout."""

    column: str = "arm"
    """Column of participants.tsv."""
    control: Label
    """Level of the placebo."""
    active: Label
    """Level of the treatment."""


class Time(_Source):
    """Visits in the order of time, the same for everybody: before and after something, or more of them."""

    levels: Annotated[tuple[Label, ...], Field(min_length=2)]
    """Levels in the order of time; the first is the one that the others are compared with."""


class OutcomeSettings(Settings):
    """What the study is about."""

    metabolite: str = "Glu"
    """Short name, as in measurements.tsv."""
    quantity: Quantity = "molar"
    """Unit, as in measurements.tsv; for all metabolites."""


class RatingSettings(Settings):
    """A rating that participants gave during each condition."""

    name: str = "rating"
    """Name of what was rated."""
    columns: Annotated[dict[Label, str], Field(min_length=1)]
    """Column of the sessions files (or participants.tsv) for each level of the condition."""
    floor: float = 0.0
    """Lowest value of the scale; the share of ratings there is told, because a mean near it says little."""


class Factor(Settings):
    """A factor as the models see it."""

    name: FactorName
    """Role in the design."""
    column: str
    """Column of the tables."""
    levels: tuple[str, ...]
    """Levels: the reference first; two, but for the time, which may have more."""

    @property
    def reference(self) -> str:
        """Level that is subtracted."""
        return self.levels[0]

    @property
    def other(self) -> str:
        """Level from which it is subtracted: the last."""
        return self.levels[-1]

    @property
    def is_between(self) -> bool:
        """Whether a participant has one level only."""
        return self.name in {"group", "arm", "sequence"}
