"""What a study compares: its factors, outcomes and ratings, and which contrasts are computed.

A factor has two levels, a reference and another; differences are always the other minus the reference. Levels are
written as in the tables, session labels with or without ``ses-``. Factors within participants are the condition (two
tasks in a scanner visit), the treatment (a crossover) and the time (before and after).
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from mrspipe.core.errors import ConfigError
from mrspipe.settings import Settings
from mrspipe.stats.factors import (
    ENTITY_COLUMNS,
    Condition,
    Factor,
    FactorName,
    Group,
    Label,
    OutcomeSettings,
    RatingSettings,
    Time,
    Treatment,
    labels,
)

if TYPE_CHECKING:
    from pandas import DataFrame, Series

Test = Literal["welch", "ancova", "paired", "mixed", "mean"]
# Columns that the pipeline measures; they are in no participants or sessions file.
_MEASURED = frozenset({"gm_fraction", "wm_fraction", "csf_fraction", "fwhm_hz", "snr", "crlb_pct"})


class Design(Settings):
    """What the study compares. Every factor is optional."""

    subject: str = "participant_id"
    """Column that tells participants apart."""
    group: Group | None = None
    """Two groups of participants."""
    condition: Condition | None = None
    """Two conditions within each participant."""
    treatment: Treatment | None = None
    """Crossover of two treatments."""
    time: Time | None = None
    """Before and after."""
    covariates: tuple[str, ...] = ()
    """Columns for the adjusted comparison of the groups."""
    outcome: OutcomeSettings = OutcomeSettings()
    """Main outcome."""
    secondary: tuple[str, ...] = ()
    """Further metabolites, in the same quantity."""
    ratings: RatingSettings | None = None
    """Rating in each condition."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for factor in self.factors:
            if factor.reference == factor.other:
                raise ValueError(f"The two levels of {factor.name} are both '{factor.other}'")
        used = [factor.column for factor in self.factors]
        twice = [column for column in used if used.count(column) > 1]
        if twice:
            raise ValueError(f"Two factors use the column '{twice[0]}'")
        if self.outcome.metabolite in self.secondary:
            raise ValueError(f"{self.outcome.metabolite} is the outcome and is also listed as secondary")
        if self.ratings and self.condition:
            unknown = set(self.ratings.columns) - {self.condition.control, self.condition.active}
            if unknown:
                raise ValueError(f"ratings.columns names '{min(unknown)}', which is no level of the condition")
        return self

    @property
    def factors(self) -> tuple[Factor, ...]:
        """The factors there are: group, condition, treatment, time."""
        found = []
        if g := self.group:
            found.append(Factor(name="group", column=g.column, reference=g.control, other=g.patient))
        if c := self.condition:
            found.append(Factor(name="condition", column=c.source, reference=c.control, other=c.active))
        if r := self.treatment:
            found.append(Factor(name="treatment", column=r.source, reference=r.control, other=r.active))
        if t := self.time:
            found.append(Factor(name="time", column=t.source, reference=t.before, other=t.after))
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
        raise ConfigError(f"The design has no {name}.", where="design", cure=f"Add design.{name}.", code="design")

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
        return tuple(name for name in dict.fromkeys(named) if name not in {*ENTITY_COLUMNS.values(), *_MEASURED})


class ContrastSettings(Settings):
    """One comparison. With only a name, it is the one of that name that follows from the design."""

    name: str
    """Name in the tables."""
    compare: tuple[FactorName, ...] | None = None
    """Factor that is compared; several: their interaction; none: the mean. By default what the name stands for."""
    test: Test | None = None
    """Model or test: welch, ancova, paired, mixed or mean; by default the usual one for what is compared."""
    within: dict[FactorName, Label] = Field(default_factory=dict)
    """Levels at which the other factors are held; those that are not named are averaged or in the model."""
    of: Literal["metabolites", "ratings"] = "metabolites"
    """What is compared."""
    metabolites: tuple[str, ...] = ()
    """Metabolites; empty: outcome and secondary ones of the design."""
    primary: bool | None = None
    """One of the study's main questions; corrected together with the others of them."""
    equivalence_bound: Annotated[float, Field(gt=0)] | None = None
    """Bound of the equivalence test of the outcome, in its unit; by default stats.equivalence_bound_sd."""
    question: str = ""
    """What is asked, in words."""


class StatsSettings(Settings):
    """Choices of the group statistics."""

    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Level of the confidence intervals."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Level below which a p value counts as a finding."""
    equivalence_bound_sd: Annotated[float, Field(gt=0)] = 0.5
    """Bound of the equivalence tests, in the standard deviations that the effect size is in."""
    jzs_scale: Annotated[float, Field(gt=0)] = 0.5**0.5
    """Scale of the Cauchy prior of the Bayes factors."""
    include_doubtful: bool = True
    """Analyse scans of doubtful quality; false shows what the results owe to them."""


def default_contrasts(design: Design, table: "DataFrame | None" = None) -> tuple[ContrastSettings, ...]:
    """Give the contrasts that follow from a design.

    Differences between groups are taken at the reference level of all other factors (baseline condition, placebo),
    changes within participants in the patients and at the reference level of the other factors, the treatment over
    all scans.

    Parameters
    ----------
    design : Design
    table : DataFrame, optional
        Measurements; interactions of factors whose levels all occur in it, but not together, are left out.

    Returns
    -------
    tuple of ContrastSettings
    """
    made = [*_group(design), *_changes(design), *_treatment(design), *_ratings(design)]
    if not made:
        made = [_contrast("mean", (), "mean", question="How high is it in this group?", primary=True)]
    return tuple(one for one in made if table is None or _crossed(design, one, table))


def resolve_contrasts(
    design: Design, contrasts: tuple[ContrastSettings, ...], table: "DataFrame | None" = None
) -> tuple[ContrastSettings, ...]:
    """Complete what contrasts leave open, and check them against the design.

    Raises
    ------
    ConfigError
        A contrast is not one the design can have; the message names it.
    """
    if not contrasts:
        return default_contrasts(design, table)
    names = [one.name for one in contrasts]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError(f"Two contrasts have the name '{twice[0]}'.", where="contrast", code="contrast")
    defaults = {one.name: one for one in default_contrasts(design)}
    return tuple(_checked(_completed(one, defaults), design) for one in contrasts)


def _completed(contrast: ContrastSettings, defaults: Mapping[str, ContrastSettings]) -> ContrastSettings:
    if contrast.compare is not None:
        return contrast.model_copy(update={"test": contrast.test or _usual_test(contrast.compare)})
    if contrast.name not in defaults:
        raise ConfigError(
            f"The contrast '{contrast.name}' does not follow from the design.",
            where="contrast",
            cure=f"Say what it compares, or use one of: {', '.join(defaults)}.",
            code="contrast",
        )
    empty = ContrastSettings(name=contrast.name)
    changes = {name: value for name, value in contrast if value != getattr(empty, name)}
    return defaults[contrast.name].model_copy(update=changes)


def _usual_test(compare: tuple[FactorName, ...]) -> Test:
    if not compare:
        return "mean"
    if len(compare) > 1:
        return "mixed"
    return "welch" if compare == ("group",) else "mixed" if compare == ("treatment",) else "paired"


def _checked(contrast: ContrastSettings, design: Design) -> ContrastSettings:
    where = f"contrast '{contrast.name}'"
    compare = contrast.compare or ()
    for name in (*compare, *contrast.within):
        design.factor(name)
    for name, level in contrast.within.items():
        factor = design.factor(name)
        if level not in {factor.reference, factor.other}:
            text = f"'{level}' is no level of {name}; they are '{factor.reference}' and '{factor.other}'."
            raise ConfigError(text, where=where, code="contrast")
    if set(compare) & set(contrast.within):
        raise ConfigError("A factor cannot be both compared and held.", where=where, code="contrast")
    groups_only = compare == ("group",)
    fits = {
        "welch": groups_only,
        "ancova": groups_only,
        "paired": len(compare) == 1 and not groups_only,
        "mixed": len(compare) > 0,
        "mean": not compare,
    }
    if not fits[str(contrast.test)]:
        text = f"The test '{contrast.test}' cannot compare {' by '.join(compare) or 'nothing'}."
        raise ConfigError(text, where=where, code="contrast")
    if contrast.of == "ratings" and design.ratings is None:
        raise ConfigError("The design has no ratings.", where=where, cure="Add design.ratings.", code="contrast")
    return contrast


def _contrast(name: str, compare: tuple[FactorName, ...], test: Test, **more: Any) -> ContrastSettings:
    return ContrastSettings(**{"name": name, "compare": compare, "test": test, "primary": False, **more})


def _at_reference(design: Design, *free: str) -> dict[FactorName, str]:
    """Hold the factors within participants at their reference levels."""
    return {f.name: f.reference for f in design.factors if f.name != "group" and f.name not in free}


def _group(design: Design) -> Iterator[ContrastSettings]:
    if design.group is None:
        return
    held = _at_reference(design)
    place = f" ({', '.join(held.values())})" if held else ""
    who = f"patients ({design.group.patient}) and controls ({design.group.control})"
    ask = f"Do {who} differ in {design.outcome.metabolite}{place}"
    yield _contrast("patients-controls", ("group",), "welch", within=held, primary=True, question=f"{ask}?")
    if design.covariates:
        ask = f"{ask}, at the same {', '.join(design.covariates)}?"
        yield _contrast("patients-controls-adjusted", ("group",), "ancova", within=held, question=ask)


def _changes(design: Design) -> Iterator[ContrastSettings]:
    """Condition and time: paired in the patients and in the controls; by group, and over the groups."""
    for factor in design.factors:
        if factor.name not in {"condition", "time"}:
            continue
        name = f"{factor.other}-baseline" if factor.name == "condition" else f"{factor.other}-{factor.reference}"
        outcome, ask = design.outcome.metabolite, f"differ between {factor.other} and {factor.reference}"
        held = _at_reference(design, factor.name)
        one = (factor.name,)
        if (group := design.group) is None:
            yield _contrast(name, one, "paired", within=held, primary=True, question=f"Does {outcome} {ask}?")
            if held:
                yield _contrast(f"{name}-visits", one, "mixed", question=f"Does {outcome} {ask}, over all scans?")
            continue
        patients, controls = {**held, "group": group.patient}, {**held, "group": group.control}
        yield _contrast(
            name, one, "paired", within=patients, primary=True, question=f"Does {outcome} {ask} in the patients?"
        )
        if held:
            everything: dict[FactorName, str] = {"group": group.patient}
            question = f"Does {outcome} {ask} in the patients, over all scans?"
            yield _contrast(f"{name}-visits", one, "mixed", within=everything, question=question)
        yield _contrast(
            f"{name}-controls", one, "paired", within=controls, question=f"Does {outcome} {ask} in the controls?"
        )
        yield _contrast(
            f"{name}-all", one, "mixed", within=held, question=f"Does {outcome} {ask}, averaged over the groups?"
        )
        yield _contrast(
            f"group-by-{factor.other}", ("group", factor.name), "mixed", within=held, primary=True,
            question=f"Is the difference between {factor.other} and {factor.reference} another in the patients?",
        )  # fmt: skip


def _treatment(design: Design) -> Iterator[ContrastSettings]:
    if design.treatment is None:
        return
    active, control, outcome = design.treatment.active, design.treatment.control, design.outcome.metabolite
    one: tuple[FactorName, ...] = ("treatment",)
    ask = f"differ between {active} and {control}"
    yield _contrast(f"{active}-{control}", one, "mixed", primary=True, question=f"Does {outcome} {ask}?")
    patients = {"group": design.group.patient} if design.group else {}
    place = " in the patients" if patients else ""
    if patients:
        yield _contrast(
            f"{active}-{control}-patients", one, "mixed", within=patients, question=f"Does {outcome} {ask}{place}?"
        )
    ask = f"Does {outcome} {ask}{place}, among those with all scans?"
    yield _contrast(f"{active}-{control}-paired", one, "paired", within=patients, question=ask)
    others = [factor for factor in design.factors if factor.name != "treatment"]
    words = {factor.name: "group" if factor.name == "group" else factor.other for factor in others}
    for size in range(1, len(others) + 1):
        for start in range(len(others) - size + 1):
            chosen = [factor.name for factor in others[start : start + size]]
            by = "-by-".join(words[name] for name in chosen)
            ask = f"Does the difference between {active} and {control} depend on {by.replace('-by-', ' and ')}?"
            yield _contrast(f"{by}-by-{active}", (*chosen, "treatment"), "mixed", question=ask)


def _ratings(design: Design) -> Iterator[ContrastSettings]:
    if design.ratings is None or design.condition is None or len(design.ratings.columns) < 2:
        return
    held = _at_reference(design, "condition")
    name, active = design.ratings.name, design.condition.active
    more: dict[str, Any] = {"of": "ratings", "question": f"Does {name} differ between {active} and the baseline"}
    if design.group is None:
        yield _contrast(name, ("condition",), "paired", **{**more, "within": held, "question": f"{more['question']}?"})
        return
    held_patients = {**held, "group": design.group.patient}
    ask = f"{more['question']} in the patients?"
    yield _contrast(name, ("condition",), "paired", of="ratings", within=held_patients, question=ask)
    ask = f"Is the difference in {name} between {active} and the baseline another in the patients?"
    yield _contrast(
        f"{name}-group-by-{active}", ("group", "condition"), "mixed", of="ratings", within=held, question=ask
    )


def _crossed(design: Design, contrast: ContrastSettings, table: "DataFrame") -> bool:
    """Tell whether an interaction can be asked for: not when all levels occur, but not all their combinations."""
    factors = [design.factor(name) for name in contrast.compare or ()]
    if len(factors) < 2 or any(factor.column not in table.columns for factor in factors):
        return True
    rows = zip(*(labels(table[factor.column]) for factor in factors), strict=True)
    levels = [{factor.reference, factor.other} for factor in factors]
    found = {row for row in rows if all(one in both for one, both in zip(row, levels, strict=True))}
    if any({row[i] for row in found} != both for i, both in enumerate(levels)):
        return True  # A whole level is missing; the contrast says so.
    return len(found) == int(2 ** len(factors))


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
