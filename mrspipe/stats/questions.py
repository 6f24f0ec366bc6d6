"""Which contrasts follow from a design, and whether those that a study asks for fit it.

Differences between groups are taken at the reference level of all other factors (baseline condition, placebo, first
visit), changes within participants in the patients and at the reference level of the other factors, the treatment of a
crossover over all scans. Parallel arms are compared by their change where there is a time before, else directly.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mrspipe.core.errors import ConfigError
from mrspipe.stats.design import ContrastSettings, Design, Test
from mrspipe.stats.factors import Arm, Factor, FactorName, labels

if TYPE_CHECKING:
    from pandas import DataFrame

Held = dict[FactorName, str]


def default_contrasts(design: Design, table: "DataFrame | None" = None) -> tuple[ContrastSettings, ...]:
    """Give the contrasts that follow from a design.

    Parameters
    ----------
    design : Design
    table : DataFrame, optional
        Measurements; interactions of factors whose levels all occur in it, but not together, are left out, and where
        one group alone is in arms, what would be asked of its arms twice.

    Returns
    -------
    tuple of ContrastSettings
    """
    made = [*_group(design), *_arm(design), *_changes(design), *_treatment(design), *_ratings(design)]
    if not made:
        made = [_contrast("mean", (), "mean", question="How high is it in this group?", primary=True)]
    if table is None:
        return tuple(made)
    armless = groups_without_arm(table, design)
    return tuple(one for one in made if _crossed(design, one, table) and not (armless and _of_arms_in_patients(one)))


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
    if len(compare) > 1 or compare[0] in {"treatment", "sequence"}:
        return "mixed"
    return "welch" if compare[0] in {"group", "arm"} else "paired"


def _checked(contrast: ContrastSettings, design: Design) -> ContrastSettings:
    where = f"contrast '{contrast.name}'"
    compare = contrast.compare or ()
    times: list[tuple[FactorName, str]] = [("time", level) for level in contrast.times or ()]
    for name, level in (*contrast.within.items(), *times):
        factor = design.factor(name)
        if level not in factor.levels:
            *first, last = (f"'{one}'" for one in factor.levels)
            text = f"'{level}' is no level of {name}; they are {', '.join(first)} and {last}."
            raise ConfigError(text, where=where, code="contrast")
    factors = [design.factor(name) for name in compare]
    if set(compare) & set(contrast.within):
        raise ConfigError("A factor cannot be both compared and held.", where=where, code="contrast")
    if contrast.times and ("time" not in compare or contrast.times[0] == contrast.times[1]):
        text = "times are two different levels of the time, where it is compared."
        raise ConfigError(text, where=where, cure="Add time to compare, or leave times out.", code="contrast")
    between = len(factors) == 1 and factors[0].name in {"group", "arm"}
    fits = {
        "welch": between or compares_changes(contrast),
        "ancova": between,
        "paired": len(factors) == 1 and not factors[0].is_between,
        "mixed": len(compare) > 0,
        "mean": not compare,
        **dict.fromkeys(("ranks", "resampling", "weighted"), len(factors) == 1 and factors[0].name != "sequence"),
    }
    if not fits[str(contrast.test)]:
        text = f"The test '{contrast.test}' cannot compare {' by '.join(compare) or 'nothing'}."
        raise ConfigError(text, where=where, code="contrast")
    if contrast.of == "ratings" and design.ratings is None:
        raise ConfigError("The design has no ratings.", where=where, cure="Add design.ratings.", code="contrast")
    return contrast


def compares_changes(contrast: ContrastSettings) -> bool:
    """Tell whether a contrast asks if the change of one factor within participants differs between two groups."""
    compare = contrast.compare or ()
    between = {"group", "arm"} & set(compare)
    return len(compare) == 2 and len(between) == 1 and "sequence" not in compare


def _contrast(name: str, compare: tuple[FactorName, ...], test: Test, **more: Any) -> ContrastSettings:
    return ContrastSettings(**{"name": name, "compare": compare, "test": test, "primary": False, **more})


def _at_reference(design: Design, *free: str) -> Held:
    """Hold the other factors at their reference levels; at the first time, the arms have had no treatment yet."""
    free = ("group", *free, *(("arm",) if design.time and "time" not in free else ()))
    return {factor.name: factor.reference for factor in design.factors if factor.name not in free}


def _group(design: Design) -> Iterator[ContrastSettings]:
    if design.group is None:
        return
    held = _at_reference(design)
    place = f" ({', '.join(held.values())})" if held else ""
    who = f"patients ({design.group.patient}) and controls ({design.group.control})"
    ask = f"Do {who} differ in {design.outcome.metabolite}"
    one: tuple[FactorName, ...] = ("group",)
    yield _contrast("patients-controls", one, "welch", within=held, primary=True, question=f"{ask}{place}?")
    if design.covariates:
        same = f"{ask}{place}, at the same {', '.join(design.covariates)}?"
        yield _contrast("patients-controls-adjusted", one, "ancova", within=held, question=same)
    if design.treatment:
        visits = _without(held, "treatment")
        over = f"{ask}, averaged over the visits there are?"
        yield _contrast("patients-controls-visits", one, "welch", within=visits, complete=False, question=over)
    if design.condition:
        active = design.condition.active
        there: Held = {**held, "condition": active}
        yield _contrast(f"patients-controls-{active}", one, "welch", within=there, question=f"{ask} during {active}?")


def _without(held: Held, *names: str) -> Held:
    return {name: level for name, level in held.items() if name not in names}


def _steps(factor: Factor) -> Iterator[tuple[str, str, str, bool]]:
    """Pairs of levels: name, later, earlier, and whether the earlier is the first of all."""
    if factor.name == "condition":
        yield f"{factor.other}-baseline", factor.other, factor.reference, True
        return
    first, *later = factor.levels
    yield from ((f"{level}-{first}", level, first, True) for level in later)
    yield from ((f"{b}-{a}", b, a, False) for a, b in pairwise(later))


def _changes(design: Design) -> Iterator[ContrastSettings]:
    """Condition and time: paired in the patients and in the controls; by group, and over the groups."""
    for factor in design.factors:
        # With arms, it is the change by arm that is asked for.
        if factor.name == "condition" or (factor.name == "time" and design.arm is None):
            for step in _steps(factor):
                yield from _change(design, factor, *step)


def _change(
    design: Design, factor: Factor, name: str, later: str, earlier: str, is_first: bool
) -> Iterator[ContrastSettings]:
    outcome, ask = design.outcome.metabolite, f"differ between {later} and {earlier}"
    held = _at_reference(design, factor.name)
    one = (factor.name,)
    times: dict[str, Any] = {"times": (earlier, later)} if factor.name == "time" else {}
    main = {**times, "primary": is_first}
    if (group := design.group) is None:
        yield _contrast(name, one, "paired", within=held, question=f"Does {outcome} {ask}?", **main)
        if held:
            yield _contrast(f"{name}-visits", one, "mixed", question=f"Does {outcome} {ask}, over all scans?", **times)
        return
    patients: Held = {**held, "group": group.patient}
    controls: Held = {**held, "group": group.control}
    question = f"Does {outcome} {ask} in the patients?"
    yield _contrast(name, one, "paired", within=patients, question=question, **main)
    if held:
        everything: Held = {"group": group.patient}
        question = f"Does {outcome} {ask} in the patients, over all scans?"
        yield _contrast(f"{name}-visits", one, "mixed", within=everything, question=question, **times)
    question = f"Does {outcome} {ask} in the controls?"
    yield _contrast(f"{name}-controls", one, "paired", within=controls, question=question, **times)
    question = f"Does {outcome} {ask}, averaged over the groups?"
    yield _contrast(f"{name}-all", one, "mixed", within=held, question=question, **times)
    by = f"group-by-{later}" if is_first else f"group-by-{name}"
    question = f"Is the difference between {later} and {earlier} another in the patients?"
    both: tuple[FactorName, ...] = ("group", factor.name)
    yield _contrast(by, both, "mixed", within=held, question=question, **main)
    if design.treatment:
        question = f"{question[:-1]}, over both visits?"
        yield _contrast(
            f"{by}-visits", both, "mixed", within=_without(held, "treatment"), question=question, **times
        )  # fmt: skip


def _arm(design: Design) -> Iterator[ContrastSettings]:
    if design.arm is None:
        return
    yield from _change_by_arm(design, design.arm) if design.time else _arms(design, design.arm)


def _arms(design: Design, arm: Arm) -> Iterator[ContrastSettings]:
    """Arms that have one visit."""
    name, outcome, held = f"{arm.active}-{arm.control}", design.outcome.metabolite, _at_reference(design, "arm")
    ask = f"Does {outcome} differ between {arm.active} and {arm.control}"
    one: tuple[FactorName, ...] = ("arm",)
    yield _contrast(name, one, "welch", within=held, primary=True, question=f"{ask}?")
    if design.covariates:
        same = f"{ask}, at the same {', '.join(design.covariates)}?"
        yield _contrast(f"{name}-adjusted", one, "ancova", within=held, question=same)
    if design.group:
        patients: Held = {**held, "group": design.group.patient}
        yield _contrast(f"{name}-patients", one, "welch", within=patients, question=f"{ask} in the patients?")
        question = f"Is the difference between {arm.active} and {arm.control} another in the patients?"
        yield _contrast(f"group-by-{arm.active}", ("group", "arm"), "mixed", within=held, question=question)
    if design.condition:
        question = f"Does the effect of {design.condition.active} differ between {arm.active} and {arm.control}?"
        free, by = _without(held, "condition"), f"{design.condition.active}-by-{arm.active}"
        yield _contrast(by, ("arm", "condition"), "mixed", within=free, question=question)


def _change_by_arm(design: Design, arm: Arm) -> Iterator[ContrastSettings]:
    """Change by arm, within each arm, and the arms before."""
    time, outcome = design.factor("time"), design.outcome.metabolite
    held = _at_reference(design, "arm", "time")
    for name, later, earlier, is_first in _steps(time):
        by = f"{arm.active}-by-{later if is_first else name}"
        times = {"times": (earlier, later)}
        change = f"the change from {earlier} to {later}"
        question = f"Is {change} of {outcome} another with {arm.active} than with {arm.control}?"
        yield _contrast(by, ("arm", "time"), "mixed", within=held, primary=is_first, question=question, **times)
        for level in (arm.active, arm.control):
            within: Held = {**held, "arm": level}
            question = f"Does {outcome} change from {earlier} to {later} with {level}?"
            yield _contrast(f"{name}-{level}", ("time",), "paired", within=within, question=question, **times)
        if design.group:
            question = f"Does {arm.active} alter {change} in another way in the patients?"
            yield _contrast(
                f"group-by-{by}", ("group", "arm", "time"), "mixed", within=held, question=question, **times
            )
            patients: Held = {**held, "group": design.group.patient}
            question = f"Is {change} another with {arm.active} than with {arm.control} in the patients?"
            yield _contrast(f"{by}-patients", ("arm", "time"), "mixed", within=patients, question=question, **times)
    first: Held = {**held, "time": time.reference}
    question = f"Do the arms differ in {outcome} before the treatment ({time.reference})?"
    name = f"{arm.active}-{arm.control}-{time.reference}"
    yield _contrast(name, ("arm",), "welch", within=first, check=True, question=question)


def _treatment(design: Design) -> Iterator[ContrastSettings]:
    if design.treatment is None:
        return
    active, control, outcome = design.treatment.active, design.treatment.control, design.outcome.metabolite
    one: tuple[FactorName, ...] = ("treatment",)
    ask = f"differ between {active} and {control}"
    yield _contrast(f"{active}-{control}", one, "mixed", primary=True, question=f"Does {outcome} {ask}?")
    patients: Held = {"group": design.group.patient} if design.group else {}
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
    if design.period:
        ask = f"Does {outcome} depend on which came first, {active} or {control} (carry-over)?"
        yield _contrast("carry-over", ("sequence",), "mixed", check=True, question=ask)


def _ratings(design: Design) -> Iterator[ContrastSettings]:
    if design.ratings is None or design.condition is None or len(design.ratings.columns) < 2:
        return
    held = _at_reference(design, "condition")
    name, active = design.ratings.name, design.condition.active
    more: dict[str, Any] = {"of": "ratings", "question": f"Does {name} differ between {active} and the baseline"}
    if design.group is None:
        yield _contrast(name, ("condition",), "paired", **{**more, "within": held, "question": f"{more['question']}?"})
        return
    held_patients: Held = {**held, "group": design.group.patient}
    ask = f"{more['question']} in the patients?"
    yield _contrast(name, ("condition",), "paired", of="ratings", within=held_patients, question=ask)
    ask = f"Is the difference in {name} between {active} and the baseline another in the patients?"
    # At a floor the groups have very different variances, which a mixed model would take for equal.
    both: tuple[FactorName, ...] = ("group", "condition")
    yield _contrast(f"{name}-group-by-{active}", both, "welch", of="ratings", within=held, question=ask)


def groups_without_arm(table: "DataFrame", design: Design) -> tuple[str, ...]:
    """Give the group of whom nobody is in an arm, such as controls who get no treatment; empty where there is none.

    Parameters
    ----------
    table : DataFrame
        Scans, or participants.
    design : Design
    """
    group, arm = design.group, design.arm
    if group is None or arm is None or not {group.column, arm.column} <= set(table.columns):
        return ()
    spelled, is_in_arm = labels(table[group.column]), labels(table[arm.column]) != ""
    both = (group.control, group.patient)
    found = tuple(one for one in both if (spelled == one).any() and not is_in_arm[spelled == one].any())
    return found if len(found) == 1 else ()


def _of_arms_in_patients(contrast: ContrastSettings) -> bool:
    return "arm" in (contrast.compare or ()) and "group" in contrast.within


def _crossed(design: Design, contrast: ContrastSettings, table: "DataFrame") -> bool:
    """Tell whether an interaction can be asked for: not when all levels occur, but not all their combinations."""
    factors = factors_of(design, contrast)
    if len(factors) < 2 or any(factor.column not in table.columns for factor in factors):
        return True
    columns = [labels(table[factor.column]) for factor in factors]
    levels = [set(factor.levels) for factor in factors]
    if any(not both <= set(column) for column, both in zip(columns, levels, strict=True)):
        return True  # A whole level is missing; the contrast says so.
    rows = zip(*columns, strict=True)
    found = {row for row in rows if all(one in both for one, both in zip(row, levels, strict=True))}
    return len(found) == int(2 ** len(factors))


def factors_of(design: Design, contrast: ContrastSettings) -> list[Factor]:
    """Give the factors that a contrast compares, each with the two levels that it compares."""
    return [compared_levels(design.factor(name), contrast) for name in contrast.compare or ()]


def compared_levels(factor: Factor, contrast: ContrastSettings) -> Factor:
    """Narrow a factor that a contrast compares to two levels."""
    if factor.name not in (contrast.compare or ()):
        return factor
    both = contrast.times if factor.name == "time" and contrast.times else (factor.reference, factor.other)
    return factor.model_copy(update={"levels": both})
