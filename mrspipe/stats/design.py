"""What a study compares: its factors, outcomes and ratings, and the settings of contrasts and tests.

A factor has a reference and another level; differences are always the other minus the reference. Only the time may have
more than two levels; a contrast takes two of them. Levels are written as in the tables, session labels with or without
``ses-``. Factors between participants are the group and the arm (parallel treatments); factors within participants are
the condition (two tasks in a scanner visit), the treatment (a crossover) and the time. The sequence of a crossover,
which treatment came first, is derived from treatment and period.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mrspipe.core.errors import ConfigError
from mrspipe.settings import Settings
from mrspipe.stats.factors import (
    ENTITY_COLUMNS,
    Arm,
    Condition,
    Factor,
    FactorName,
    Group,
    Label,
    OutcomeSettings,
    RatingSettings,
    Time,
    Treatment,
)

Test = Literal["welch", "ancova", "paired", "mixed", "mean", "ranks", "resampling", "weighted"]
# Column that the sequence of a crossover is written to; the name cannot clash with those of a study.
SEQUENCE_COLUMN = "__order"
# Columns that the pipeline measures; they are in no participants or sessions file.
MEASURED_COLUMNS = frozenset({"gm_fraction", "wm_fraction", "csf_fraction", "fwhm_hz", "snr", "crlb_pct"})


class Design(Settings):
    """What the study compares. Every factor is optional."""

    subject: str = "participant_id"
    """Column that tells participants apart."""
    group: Group | None = None
    """Two groups of participants."""
    arm: Arm | None = None
    """Two treatments in parallel arms: each participant gets one of them."""
    condition: Condition | None = None
    """Two conditions within each participant."""
    treatment: Treatment | None = None
    """Crossover of two treatments: each participant gets both."""
    time: Time | None = None
    """Visits in the order of time."""
    covariates: tuple[str, ...] = ()
    """Columns for the adjusted comparison of the groups, or of the arms."""
    outcome: OutcomeSettings = OutcomeSettings()
    """Main outcome."""
    secondary: tuple[str, ...] = ()
    """Further metabolites, in the same quantity."""
    ratings: RatingSettings | None = None
    """Rating in each condition."""
    associations: tuple[str, ...] = ()
    """Numeric columns of participants.tsv that the outcome at baseline is correlated with, in the patients."""
    associations_adjusted_for: str = ""
    """Numeric column of participants.tsv that these correlations are also adjusted for; empty: none."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for factor in self.factors:
            twice = [level for level in factor.levels if factor.levels.count(level) > 1]
            if twice:
                which = "The two levels" if len(factor.levels) == 2 else "Two levels"
                raise ValueError(f"{which} of {factor.name} are both '{twice[0]}'")
        used = [factor.column for factor in self.factors]
        twice = [column for column in used if used.count(column) > 1]
        if twice:
            raise ValueError(f"Two factors use the column '{twice[0]}'")
        both = [factor.column for factor in self.factors if factor.column in self.covariates]
        if both:
            raise ValueError(f"'{both[0]}' is a factor and is also listed as covariate")
        if self.outcome.metabolite in self.secondary:
            raise ValueError(f"{self.outcome.metabolite} is the outcome and is also listed as secondary")
        if self.ratings and self.condition:
            unknown = set(self.ratings.columns) - {self.condition.control, self.condition.active}
            if unknown:
                raise ValueError(f"ratings.columns names '{min(unknown)}', which is no level of the condition")
        return self

    @property
    def factors(self) -> tuple[Factor, ...]:
        """The factors there are: group, arm, condition, treatment, time."""
        found = []
        if g := self.group:
            found.append(Factor(name="group", column=g.column, levels=(g.control, g.patient)))
        if a := self.arm:
            found.append(Factor(name="arm", column=a.column, levels=(a.control, a.active)))
        if c := self.condition:
            found.append(Factor(name="condition", column=c.source, levels=(c.control, c.active)))
        if r := self.treatment:
            found.append(Factor(name="treatment", column=r.source, levels=(r.control, r.active)))
        if t := self.time:
            found.append(Factor(name="time", column=t.source, levels=t.levels))
        return tuple(found)

    def factor(self, name: str) -> Factor:
        """Give a factor by its role.

        Raises
        ------
        ConfigError
            The design has no such factor.
        """
        for factor in self.factors:
            if factor.name == name:
                return factor
        if name == "sequence" and (r := self.treatment) and r.period:
            orders = (f"{r.control} first", f"{r.active} first")
            return Factor(name="sequence", column=SEQUENCE_COLUMN, levels=orders)
        cure = "Add design.treatment with its period." if name == "sequence" else f"Add design.{name}."
        raise ConfigError(f"The design has no {name}.", where="design", cure=cure, code="design")

    @property
    def metabolites(self) -> tuple[str, ...]:
        """Outcome, then the secondary metabolites."""
        return (self.outcome.metabolite, *dict.fromkeys(self.secondary))

    @property
    def period(self) -> str | None:
        """Column of the period of a crossover."""
        return self.treatment.period if self.treatment else None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that must come from participants.tsv or the sessions files."""
        named = [factor.column for factor in self.factors]
        named += [self.period] if self.period else []
        named += [*self.covariates, *(self.ratings.columns.values() if self.ratings else ())]
        named += [*self.associations, *filter(None, [self.associations_adjusted_for])]
        return tuple(name for name in dict.fromkeys(named) if name not in {*ENTITY_COLUMNS.values(), *MEASURED_COLUMNS})


class ContrastSettings(Settings):
    """One comparison. With only a name, it is the one of that name that follows from the design."""

    name: str
    """Name in the tables."""
    compare: tuple[FactorName, ...] | None = None
    """Factor that is compared; several: their interaction; none: the mean. By default what the name stands for."""
    test: Test | None = None
    """Model or test: welch, ancova, paired, mixed or mean; by default the usual one for what is compared. In place of
    welch and paired: ranks, resampling, or weighted by the standard errors of the scans. Of a factor between
    participants by one within them, welch compares their changes without assuming equal variances."""
    within: dict[FactorName, Label] = Field(default_factory=dict)
    """Levels at which the other factors are held; those that are not named are averaged or in the model."""
    times: tuple[Label, Label] | None = None
    """Two levels of the time that are compared, the one that is subtracted first; by default the first and the last."""
    complete: bool = True
    """Of tests with one number a participant: leave out who lacks a scan at a level that is averaged over; false:
    average the scans there are."""
    of: Literal["metabolites", "ratings"] = "metabolites"
    """What is compared."""
    metabolites: tuple[str, ...] = ()
    """Metabolites; empty: outcome and secondary ones of the design."""
    primary: bool | None = None
    """One of the study's main questions; corrected together with the others of them."""
    check: bool | None = None
    """A check of the design, such as the baseline of two arms or a carry-over; its p value is not corrected."""
    equivalence_bound: Annotated[float, Field(gt=0)] | None = None
    """Bound of the equivalence test of the outcome, in its unit; by default stats.equivalence_bound_sd."""
    question: str = ""
    """What is asked, in words."""


class TableSettings(Settings):
    """How ``mrspipe stats`` reads a table that another program wrote."""

    columns: dict[str, str] = Field(default_factory=dict)
    """Columns that are named otherwise: the name in the table, then participant_id, session_id, task_id, run,
    metabolite, quantity, value, included or reason."""
    metabolites: dict[str, str] = Field(default_factory=dict)
    """Of a table with a column for each metabolite: the name of the column, then the metabolite; by default columns
    are known by the metabolite's name, in capitals or not."""
    quality: str = "qc"
    """Column that says which rows passed (pass, fail); not needed where there is a column ``included``."""


class StatsSettings(Settings):
    """Choices of the group statistics."""

    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Level of the confidence intervals."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Level below which a p value counts as a finding."""
    multiplicity: Literal["holm", "fixed-sequence"] = "holm"
    """Correction of the main contrasts: all together by Holm's method, or one after the other in their order, each
    only if those before it are findings."""
    min_per_group: Annotated[int, Field(ge=2)] = 5
    """Participants that each side of a contrast needs (pairs, of a paired test). With fewer, a standard deviation is
    hardly known (from 5 values its 95 % interval reaches from 0.6 to 2.9 times the estimate) and one participant
    decides the result; two is what the formulas need."""
    random_condition: bool = True
    """In mixed models over several visits, let the effect of the condition differ between participants. Without it,
    participants who respond differently make its standard error too small (doi 10.1016/j.jml.2012.11.001)."""
    equivalence_bound_sd: Annotated[float, Field(gt=0)] = 0.5
    """Bound of the equivalence tests, in the standard deviations that the effect size is in."""
    jzs_scale: Annotated[float, Field(gt=0)] = 0.5**0.5
    """Scale of the Cauchy prior of the Bayes factors."""
    include_doubtful: bool = True
    """Analyse scans of doubtful quality; false shows what the results owe to them."""
    table: TableSettings = TableSettings()
    """Reading of tables from other programs."""


class RobustnessSettings(Settings):
    """The same contrasts under other reasonable choices."""

    enabled: bool = True
    """Write ``group/robustness.tsv``: the outcome's contrasts under every choice."""
    leave_one_out: bool = True
    """Also the main contrasts without each participant in turn."""
