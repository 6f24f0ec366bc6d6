"""Settings of what participants bring and say: the columns of participants.tsv besides group and arm, and ratings."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mrspipe.synth.origin import ASSUMED, Sourced, Unit

Fraction = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9]+$")]


class _Covariate(Sourced):
    """What all kinds of covariates have."""

    name: str = "age"
    """Column of participants.tsv."""
    group: str = ""
    """Only this group has it; empty: all."""
    description: str = ""
    """Meaning, for participants.json."""

    @property
    def label(self) -> str:
        """What sets it apart from others."""
        return f"{self.name} {self.group}".strip()


class _Number(_Covariate):
    """What the covariates have that are numbers."""

    unit: str = ""
    """Unit, for participants.json; empty: none."""
    only: dict[str, str] = Field(default_factory=dict)
    """Words of earlier covariates that a participant must have, such as ``{ smoker = "yes" }``; else it is
    ``otherwise``."""
    otherwise: Annotated[float, ASSUMED] = 0.0
    """Value of those who do not have these words."""
    decimals: Annotated[int, Field(ge=0)] = 0
    """Decimals written."""


class NormalCovariate(_Number):
    """A number from a truncated normal distribution."""

    kind: Literal["normal"] = "normal"
    mean: Annotated[float, ASSUMED] = 31.0
    """Mean of the distribution before it is cut off at ``low`` and ``high``, in the covariate's unit."""
    sd: Annotated[NonNegative, ASSUMED] = 7.0
    """Its standard deviation, in the covariate's unit."""
    low: Annotated[float, ASSUMED] = 18.0
    """Smallest value."""
    high: Annotated[float, ASSUMED] = 50.0
    """Largest value."""

    def unit_of(self, name: str) -> str:
        """Unit of a field; it depends on what the table is about."""
        return self.unit


class LognormalCovariate(_Number):
    """A positive number with a long tail."""

    kind: Literal["lognormal"]
    median: Annotated[float, Field(gt=0), ASSUMED] = 1.0
    """Median, in the covariate's unit."""
    sigma_log: Annotated[NonNegative, ASSUMED] = 0.5
    """SD of the natural logarithm."""

    def unit_of(self, name: str) -> str:
        """Unit of a field; it depends on what the table is about."""
        return "" if name == "sigma_log" else self.unit


class ChoiceCovariate(_Covariate):
    """One of several words."""

    kind: Literal["choice"]
    options: Annotated[dict[str, Fraction], ASSUMED] = Field(default_factory=lambda: {"F": 0.5, "M": 0.5})
    """Each word with its probability; they sum to 1."""


Covariate = Annotated[NormalCovariate | LognormalCovariate | ChoiceCovariate, Field(discriminator="kind")]

PEOPLE: tuple[Covariate, ...] = (
    NormalCovariate(description="Age", unit="years"),
    ChoiceCovariate(
        kind="choice",
        name="sex",
        options={"F": 0.2, "M": 0.8},
        description="Sex",
        origin={"options": {"tag": "assumed"}},
    ),
    ChoiceCovariate(
        kind="choice",
        name="smoker",
        options={"yes": 0.6, "no": 0.4},
        description="Smokes tobacco",
        origin={"options": {"tag": "assumed"}},
    ),
)


class RatingCell(Sourced):
    """Ratings of one group during one task."""

    group: str
    task: str
    mean: Annotated[float, Field(gt=0, lt=100), Unit("points")]
    """Mean on the scale of 0 to 100."""
    sd: Annotated[float, Field(gt=0), Unit("points")]
    """SD between ratings."""

    @model_validator(mode="after")
    def _is_beta(self) -> Self:
        if self.sd**2 >= self.mean * (100 - self.mean):
            raise ValueError(f"no distribution on 0 to 100 with the mean {self.mean:g} has an SD of {self.sd:g}")
        return self

    @property
    def label(self) -> str:
        """What sets it apart from others."""
        return f"{self.group} {self.task}"


class RatingResponse(Sourced):
    """A tie between the change of a rating and the subject's own response of a metabolite to the same task."""

    group: str
    task: str
    of: str = "Glu"
    """A metabolite with an effect of this group and task that has a ``subject_sd``."""
    r: Annotated[float, Field(gt=-1, lt=1), ASSUMED] = 0.0
    """Correlation of the rating's change from the first task to this one with the true response."""

    @property
    def label(self) -> str:
        """What sets it apart from others."""
        return f"{self.group} {self.task}"


class Ratings(Sourced):
    """A visual analogue scale of 0 to 100, answered once a scan; beta distributed, so it has a floor and a ceiling."""

    name: Label = "craving"
    """Columns of sessions.tsv are ``<name>_<task>``."""
    within_subject_r: Annotated[Fraction, ASSUMED] = 0.55
    """Correlation of a subject's ratings during two tasks, the mean over all pairs of tasks."""
    cells: tuple[RatingCell, ...] = ()
    """Every combination of group and task."""
    responses: tuple[RatingResponse, ...] = ()
    """Ties between the ratings' changes and the metabolites'."""
