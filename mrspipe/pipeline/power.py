"""What a finished study could have found, and how large the next one must be: from its own variances.

The variances come from a mixed model of each group's measurements by restricted maximum likelihood (REML), with all
factors crossed: participant, visit within participant, condition within participant, residual. A part that the scans
cannot tell apart from the next is left out, and the next takes it up: the variance of what is compared stays right.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mrspipe.config import StudyConfig, load_config
from mrspipe.core.errors import AnalysisError, ConfigError, InputError
from mrspipe.io.atomic import recorded
from mrspipe.io.columns import POWER
from mrspipe.io.manifest import write_manifest
from mrspipe.io.tables import read_table, table_of, write_table
from mrspipe.pipeline.marks import of_measurements
from mrspipe.stats.design import ContrastSettings, Design
from mrspipe.stats.factors import FactorName
from mrspipe.stats.mixed import fit_mixed
from mrspipe.stats.model_columns import model_data
from mrspipe.stats.power import (
    COMPONENTS,
    VarianceComponents,
    Weights,
    detectable_effect,
    equivalence_power,
    needed_n,
    paired_power,
    welch_power,
)
from mrspipe.stats.rows import as_measured, measurement_rows
from mrspipe.stats.samples import codes_of, per_subject, select

if TYPE_CHECKING:
    from pandas import DataFrame

POWER_TABLE = Path("group") / "power.tsv"
# Effects that numbers of participants are given for, relative to the mean, where none is named: assumed.
_SHARES = (0.05, 0.10)


@dataclass(frozen=True, slots=True)
class PowerRequest:
    """Which study, and what is asked.

    Parameters
    ----------
    out_dir : Path
        Results of ``mrspipe run``.
    config : str, optional
        Another configuration; by default that of the run.
    power : float, optional
    effects : tuple of float, optional
        Effects that numbers of participants are asked for, in the unit of the outcome; by default 5 and 10 % of the
        mean.
    """

    out_dir: Path
    config: str | None = None
    power: float = 0.80
    effects: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class _Case:
    """One test: what is compared, at which levels, and what its value of a participant is made of."""

    test: str
    words: str
    compare: tuple[FactorName, ...]
    within: Mapping[FactorName, str]
    weights: Weights

    @property
    def is_between(self) -> bool:
        """Two groups are compared."""
        return "group" in self.compare


def study_power(request: PowerRequest) -> list[dict[str, Any]]:
    """Compute smallest effects and numbers of participants, and write ``group/power.tsv``.

    Parameters
    ----------
    request : PowerRequest

    Returns
    -------
    list of dict
        Rows of the table; what cannot be computed is a row with a note.

    Raises
    ------
    InputError
        There are no results.
    ConfigError
        The design compares nothing, or the power asked for is not possible.
    """
    out_dir = request.out_dir
    if not (out_dir / "config.toml").is_file():
        raise InputError(
            "There are no results of mrspipe run here.",
            where=str(out_dir),
            cure="Give the folder that mrspipe run wrote to.",
            code="no-results",
        )
    config = load_config(request.config or out_dir / "config.toml")
    if not config.stats.alpha < request.power < 1:
        raise ConfigError(
            f"The power must lie between {config.stats.alpha:g} and 1, got {request.power:g}.", code="power"
        )
    rows = power_rows(read_table(out_dir / "group" / "measurements.tsv"), config, request.power, request.effects)
    with recorded() as written:
        write_table(out_dir / POWER_TABLE, table_of(rows, POWER), POWER)
    write_manifest(out_dir, "power", of_measurements(out_dir, load_config(out_dir / "config.toml")), written)
    return rows


def power_rows(
    measurements: "DataFrame", config: StudyConfig, power: float = 0.80, effects: Sequence[float] = ()
) -> list[dict[str, Any]]:
    """Give the rows of ``power.tsv`` for a table of measurements.

    Parameters
    ----------
    measurements : DataFrame
        As ``measurements.tsv``.
    config : StudyConfig
    power : float, optional
    effects : sequence of float, optional
        As in `PowerRequest`.

    Raises
    ------
    ConfigError
        The design compares nothing.
    """
    design, _ = as_measured(measurements, config.design)
    cases = [*_cases(design)]
    if not cases:
        raise ConfigError(
            "The design names neither groups nor conditions, treatments or times, so there is nothing to compare.",
            where="design",
            cure="Add design.group, design.condition, design.treatment or design.time to the configuration.",
            code="design",
        )
    table = measurement_rows(measurements, design, design.outcome.metabolite)
    rows: list[dict[str, Any]] = []
    for case in cases:
        try:
            rows += _rows(case, table, design, config, power, effects)
        except AnalysisError as error:
            rows.append({"test": case.test, "design": case.words, "note": error.message})
    return rows


def _cases(design: Design) -> Iterator[_Case]:
    group, condition, treatment, time = design.group, design.condition, design.treatment, design.time
    # At the first time nobody in an arm has had a treatment yet.
    free = {"group", "arm"} if time else {"group"}
    held: dict[FactorName, str] = {f.name: f.reference for f in design.factors if f.name not in free}
    place = f" ({', '.join(held.values())})" if held else ""
    visits = 2 if treatment or time else 1
    halved = Weights(1, 1 / visits, 1, 1 / visits)
    at_condition: dict[FactorName, str] = {"condition": held["condition"]} if condition else {}
    patients: dict[FactorName, str] = {"group": group.patient} if group else {}
    if group:
        yield _Case("patients-controls", f"one scan{place}", ("group",), held, Weights(1, 1, 1, 1))
        if visits > 1:
            yield _Case("patients-controls-visits", "mean of two visits", ("group",), at_condition, halved)
    if condition:
        rest: dict[FactorName, str] = {name: level for name, level in held.items() if name != "condition"}
        both = f"{condition.active} minus {condition.control}"
        one, two = Weights(0, 0, 2, 2), Weights(0, 0, 2, 2 / visits)
        yield _Case(f"{condition.active}-baseline", f"{both}, one visit", ("condition",), {**rest, **patients}, one)
        if visits > 1:
            words = f"{both}, mean of two visits"
            yield _Case(f"{condition.active}-baseline-visits", words, ("condition",), patients, two)
        if group:
            name = f"group-by-{condition.active}"
            yield _Case(name, f"{both}, one visit", ("group", "condition"), rest, one)
            if visits > 1:
                yield _Case(f"{name}-visits", f"{both}, mean of two visits", ("group", "condition"), {}, two)
    for factor in design.factors:
        if factor.name in {"treatment", "time"}:
            both, name = f"{factor.other} minus {factor.reference}", f"{factor.other}-{factor.reference}"
            first, mean = Weights(0, 2, 0, 2), Weights(0, 2, 0, 1 if condition else 2)
            if condition:
                words = f"{both}, one scan a visit ({condition.control})"
                yield _Case(f"{name}-{condition.control}", words, (factor.name,), {**at_condition, **patients}, first)
            yield _Case(f"{name}-paired", f"{both}, mean of all scans of a visit", (factor.name,), patients, mean)
            if group:
                words = f"{both}, mean of all scans of a visit"
                yield _Case(f"group-by-{factor.other}", words, ("group", factor.name), {}, mean)


def _rows(
    case: _Case,
    table: "DataFrame",
    design: Design,
    config: StudyConfig,
    power: float,
    effects: Sequence[float],
) -> list[dict[str, Any]]:
    alpha, confidence = config.stats.alpha, config.stats.confidence
    sizes = _sizes(case, table, design)
    levels = [design.group.control, design.group.patient] if case.is_between and design.group else [
        case.within.get("group", "")
    ]  # fmt: skip
    parts = [variance_components(table, design, level) for level in levels]
    sds = tuple(part.sd(case.weights) for part in parts)
    limits = [part.sd_limits(case.weights, confidence) for part in parts]
    low, high = (tuple(limit[side] for limit in limits) for side in (0, 1))
    reference = abs(parts[0].mean)
    bound = _bound(case, config)
    effect, effect_low, effect_high = (_detectable(spread, sizes, alpha, power) for spread in (sds, low, high))
    common = {
        "test": case.test,
        "design": case.words,
        "n_reference": sizes[0] if case.is_between else None,
        "n_other": sizes[-1],
        "alpha": alpha,
        "power": power,
        "sd_reference": sds[0] if case.is_between else None,
        "sd_other": sds[-1],
        "effect": effect,
        "effect_low": effect_low,
        "effect_high": effect_high,
        "effect_pct": 100 * effect / reference if reference > 0 else None,
        "equivalence_bound": bound,
        "equivalence_power": None if bound is None else equivalence_power(bound, sds[0], sizes[0], alpha),
        "note": _note(parts),
    }
    return [
        common
        | {"asked_effect": asked}
        | {
            name: _needed(spread, asked, alpha, power)
            for name, spread in (("n_for_effect", sds), ("n_low", low), ("n_high", high))
        }
        for asked in (effects or tuple(share * reference for share in _SHARES))
    ]


def _power_at(effect: float, sds: Sequence[float], sizes: Sequence[float], alpha: float) -> float:
    if len(sds) == 1:
        return paired_power(effect, sds[0], sizes[0], alpha)
    return welch_power(effect, (sds[0], sds[1]), (sizes[0], sizes[1]), alpha)


def _detectable(sds: Sequence[float], sizes: Sequence[int], alpha: float, power: float) -> float:
    error = float(np.sqrt(sum(sd**2 / n for sd, n in zip(sds, sizes, strict=True))))
    return detectable_effect(lambda effect: _power_at(effect, sds, sizes, alpha), error, power)


def _needed(sds: Sequence[float], effect: float, alpha: float, power: float) -> float:
    if not (np.isfinite(sds).all() and effect):
        return float("nan")
    return needed_n(lambda n: _power_at(effect, sds, [n] * len(sds), alpha), power)


def _sizes(case: _Case, table: "DataFrame", design: Design) -> list[int]:
    """Participants with all scans that the test needs: of the reference and the other group, or of all."""
    contrast = ContrastSettings(name=case.test, compare=case.compare, within=dict(case.within))
    sample = select(table, design, contrast)
    inner = [design.factor(name) for name in case.compare if name != "group"]
    subjects, sample = per_subject(sample, inner[0] if inner else None)
    if not case.is_between:
        sizes = [len(subjects)]
    else:
        codes = codes_of(sample, subjects, design.factor("group"))
        sizes = [int((codes < 0).sum()), int((codes > 0).sum())]
    if min(sizes) < 2:
        raise AnalysisError("Fewer than two participants have all scans that this test needs.", code="too-few")
    return sizes


def variance_components(table: "DataFrame", design: Design, group: str = "") -> VarianceComponents:
    """Estimate the variances of the measurements of a group.

    Parameters
    ----------
    table : DataFrame
        Rows of one metabolite and quantity.
    design : Design
    group : str, optional
        Level of the group; empty: all participants.

    Returns
    -------
    VarianceComponents

    Raises
    ------
    AnalysisError
        The scans do not allow it.
    """
    held: dict[FactorName, str] = {"group": group} if group else {}
    sample = select(table, design, ContrastSettings(name="variances", compare=(), within=held))
    data, _ = model_data(sample, design)
    people = data.groupings["participant"]
    groupings = {"subject": people, "visit": data.groupings["participant:visit"]}
    if "condition" in data.columns:
        codes = data.columns["condition"]
        groupings["condition"] = [f"{who}/{code:g}" for who, code in zip(people, codes, strict=True)]
    x = np.column_stack(list(data.columns.values()))
    names = list(groupings)
    while True:
        try:
            fit = fit_mixed(data.y, x, [groupings[name] for name in names])
            break
        except AnalysisError as error:
            if error.code not in {"rank", "not-converged"} or not names:
                raise
            names = names[:-1]
    at = [COMPONENTS.index(name) for name in (*names, "residual")]
    variances, covariance = np.zeros(len(COMPONENTS)), np.zeros((len(COMPONENTS), len(COMPONENTS)))
    variances[at] = fit.variances
    covariance[np.ix_(at, at)] = fit.variance_covariance
    return VarianceComponents(variances, covariance, float(np.mean(data.y)))


def _bound(case: _Case, config: StudyConfig) -> float | None:
    """Equivalence bound of a paired comparison of the treatments, where the configuration names one."""
    if case.compare != ("treatment",):
        return None
    bounds = [
        one.equivalence_bound
        for one in config.contrast
        if one.equivalence_bound is not None and (one.compare == ("treatment",) or one.name in _names(config.design))
    ]
    return bounds[0] if bounds else None


def _names(design: Design) -> set[str]:
    """Names of the contrasts of the treatments that follow from the design."""
    if design.treatment is None:
        return set()
    name = f"{design.treatment.active}-{design.treatment.control}"
    return {name, f"{name}-patients", f"{name}-paired"}


def _note(parts: Sequence[VarianceComponents]) -> str | None:
    """Say which variances were estimated as zero."""
    zero = sorted(
        {
            name
            for part in parts
            for i, name in enumerate(COMPONENTS)
            if part.variances[i] == 0 and part.covariance[i, i] > 0
        }
    )
    return f"The variance of {' and '.join(zero)} was estimated as zero." if zero else None
