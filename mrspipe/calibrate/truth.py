"""The true value that each contrast of a study estimates, computed from the recipe of a synthetic cohort.

The expected concentration of a cell (group, session, task, treatment) is the level's mean, the mean shifts of the
effects that apply, and each slope times the expected distance of its covariate from the reference. A contrast is a
difference of such cells with the weights that its test gives them:

- cells that the contrast does not tell apart (sessions) count by their share of the participants;
- the levels of factors that are neither compared nor held count equally, but groups by their number of participants in
  paired tests and means, which have one value a participant;
- a mixed model with the period in it compares within sessions, so there sessions count equally;
- a comparison adjusted for covariates leaves out the slopes on them.

Left out: the rounding of covariates as written, and that no level falls below a twentieth of its mean. Values are
molar; for a ratio to creatine there is no such formula, but it is known whether the comparison is of equal things.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from mrspipe.core.results import SUMS
from mrspipe.stats.design import SEQUENCE_COLUMN, ContrastSettings, Design
from mrspipe.stats.factors import Factor
from mrspipe.stats.questions import factors_of
from mrspipe.synth.covariates import ChoiceCovariate, LognormalCovariate
from mrspipe.synth.people import GM_RANGE
from mrspipe.synth.recipe import Recipe

_GM_COLUMN = "gm_fraction"


@dataclass(frozen=True, slots=True)
class _Cell:
    """Scans that have the same expected value.

    ``labels`` are their levels by column of the tables, ``share`` the number of participants who have them.
    """

    labels: Mapping[str, str]
    share: float


def true_value(contrast: ContrastSettings, design: Design, recipe: Recipe, metabolite: str) -> float:
    """Give what a contrast of molar concentrations, or of ratings, estimates.

    Parameters
    ----------
    contrast : ContrastSettings
        Complete, as from `mrspipe.stats.questions.resolve_contrasts`.
    design : Design
    recipe : Recipe
    metabolite : str
        Not used for ratings.

    Returns
    -------
    float
        In mM, or points of the rating; NaN when the recipe does not say, as for a factor that it does not know.
    """
    adjusted = design.covariates if contrast.test == "ancova" else ()
    cells = _held(_cells(recipe), contrast, design)
    compared = factors_of(design, contrast)
    names = [factor.name for factor in compared]
    ignored = {*contrast.within, *names, *(("arm",) if _arms_do_not_count(cells, contrast, design) else ())}
    averaged = [factor for factor in design.factors if factor.name not in ignored and _varies(cells, factor)]
    if not cells or not all(_varies(cells, factor) for factor in compared):
        return math.nan
    weights = [{factor.reference: -1.0, factor.other: 1.0} for factor in compared]
    weights += [_weights(factor, contrast, recipe) for factor in averaged]
    columns = [factor.column for factor in (*compared, *averaged)]
    total, largest = 0.0, 1.0
    for levels in itertools.product(*weights):
        at = _at(cells, dict(zip(columns, levels, strict=True)))
        value = _mean_of(at, contrast, design, recipe, metabolite, adjusted)
        total += math.prod(of[level] for of, level in zip(weights, levels, strict=True)) * value
        largest = max(largest, abs(value))
    # What is left of equal numbers is rounding.
    return 0.0 if abs(total) < 1e-12 * largest else total


def same_things_are_compared(contrast: ContrastSettings, design: Design, recipe: Recipe, metabolite: str) -> bool:
    """Tell whether a ratio to creatine has the same distribution on both sides of a comparison.

    It has where neither the metabolite nor creatine differs, and no group has other tissue, which has other T2.
    """
    tissue = any(effect.on == "gm" and effect.shift for effect in recipe.effects)
    return not tissue and all(true_value(contrast, design, recipe, name) == 0 for name in (metabolite, "tCr"))


def _cells(recipe: Recipe) -> list[_Cell]:
    treatments = recipe.crossover.treatments if recipe.crossover else ("",)
    sessions, tasks = recipe.sessions or ("",), recipe.tasks or ("",)
    cells = []
    for group in recipe.groups:
        in_arms = recipe.parallel is not None and group.name in (recipe.parallel.groups or {group.name})
        arms = recipe.parallel.arms if recipe.parallel and in_arms else ("",)
        for (a, arm), first in itertools.product(enumerate(arms), range(len(treatments))):
            # As drawn: every so many participants of a group are in the same arm, or start with the same treatment.
            share = len(range(a, group.n, len(arms))) * len(range(first, group.n, len(treatments))) / max(group.n, 1)
            for (s, session), task in itertools.product(enumerate(sessions), tasks):
                drug = treatments[(first + s) % len(treatments)]
                labels = {"group": group.name, "arm": arm, "session_id": session, "task_id": task, "drug": drug}
                order = {"period": str(s + 1), SEQUENCE_COLUMN: f"{treatments[first]} first"}
                cells.append(_Cell({**labels, **order}, share))
    return [cell for cell in cells if cell.share > 0]


def _held(cells: list[_Cell], contrast: ContrastSettings, design: Design) -> list[_Cell]:
    """Cells of a contrast; as in its sample, who is in no arm is outside of what is asked of the arms alone."""
    held = {design.factor(name).column: level for name, level in contrast.within.items()}
    asked = {*(contrast.compare or ()), *contrast.within}
    arm = design.arm.column if design.arm else ""
    if arm and "arm" in asked:
        if "group" not in asked or "arm" in (contrast.compare or ()):
            cells = [cell for cell in cells if cell.labels.get(arm)]
        else:
            cells = [replace(cell, labels={**cell.labels, arm: cell.labels.get(arm) or held[arm]}) for cell in cells]
    return [cell for cell in cells if all(cell.labels.get(column) == level for column, level in held.items())]


def _arms_do_not_count(cells: list[_Cell], contrast: ContrastSettings, design: Design) -> bool:
    """Nobody has had a treatment yet, or somebody gets none."""
    if design.arm is None or "arm" in (contrast.compare or ()):
        return False
    is_before = design.time is not None and contrast.within.get("time") == design.time.levels[0]
    return is_before or any(not cell.labels.get(design.arm.column) for cell in cells)


def _varies(cells: list[_Cell], factor: Factor) -> bool:
    return set(factor.levels) <= {cell.labels.get(factor.column) for cell in cells}


def _at(cells: list[_Cell], wanted: Mapping[str, str]) -> list[_Cell]:
    return [cell for cell in cells if all(cell.labels[column] == level for column, level in wanted.items())]


def _mean_of(
    cells: list[_Cell],
    contrast: ContrastSettings,
    design: Design,
    recipe: Recipe,
    metabolite: str,
    adjusted: tuple[str, ...],
) -> float:
    if not cells:
        return math.nan
    if contrast.of == "ratings":
        values = [_expected_rating(cell, design, recipe) for cell in cells]
    else:
        values = [_expected_level(cell, recipe, metabolite, adjusted) for cell in cells]
    has_period = contrast.test == "mixed" and design.period is not None and "treatment" not in contrast.within
    weights = [1.0 if has_period else cell.share for cell in cells]
    return float(np.average(values, weights=weights))


def _weights(factor: Factor, contrast: ContrastSettings, recipe: Recipe) -> dict[str, float]:
    """Weight of each level of a factor that is averaged over."""
    weights = dict.fromkeys(factor.levels, 1 / len(factor.levels))
    if factor.name == "group" and contrast.test in {"paired", "mean"}:
        n = {group.name: group.n for group in recipe.groups}
        total = sum(n.get(level, 0) for level in factor.levels)
        weights = {level: n.get(level, 0) / total for level in factor.levels} if total else weights
    return weights


def _expected_level(cell: _Cell, recipe: Recipe, metabolite: str, adjusted: tuple[str, ...]) -> float:
    shares = _shares(recipe, metabolite)
    unknown = [name for name in shares if name not in recipe.levels]
    return math.nan if unknown else sum(w * _level(cell, recipe, name, adjusted) for name, w in shares.items())


def _shares(recipe: Recipe, metabolite: str) -> dict[str, float]:
    """Levels of the recipe that a metabolite or a sum is made of, each with the share of it that counts."""
    level_of = {member: (name, part) for name in recipe.levels for member, part in recipe.parts(name).items()}
    shares: dict[str, float] = {}
    for single in SUMS.get(metabolite, (metabolite,)):
        level, part = level_of.get(single, (single, 1.0))
        shares[level] = shares.get(level, 0.0) + part
    return shares


def _level(cell: _Cell, recipe: Recipe, name: str, adjusted: tuple[str, ...]) -> float:
    labels = {"group": "group", "session": "session_id", "task": "task_id", "treatment": "drug", "arm": "arm"}
    shift = sum(
        effect.shift
        for effect in recipe.effects
        if effect.on == name and all(getattr(effect, k) in {"", cell.labels[column]} for k, column in labels.items())
    )
    slopes = 0.0
    for slope in recipe.slopes:
        column = _GM_COLUMN if slope.covariate == "gm" else slope.covariate
        if slope.on == name and column not in adjusted:
            distance = _expected_covariate(recipe, slope.covariate, cell) - slope.reference
            # A group without the covariate has no such term.
            slopes += 0.0 if math.isnan(distance) else slope.per_unit * distance
    return recipe.levels[name].mean + shift + slopes


def _expected_covariate(recipe: Recipe, name: str, cell: _Cell) -> float:
    if name == "gm":
        return _expected_gm(recipe, cell)
    found = [c for c in recipe.covariates if c.name == name and c.group in {"", cell.labels["group"]}]
    covariate = found[-1] if found else None
    if covariate is None or isinstance(covariate, ChoiceCovariate):
        return math.nan
    if isinstance(covariate, LognormalCovariate):
        return covariate.median * math.exp(covariate.sigma_log**2 / 2)
    if covariate.sd == 0:
        return min(max(covariate.mean, covariate.low), covariate.high)
    low, high = ((limit - covariate.mean) / covariate.sd for limit in (covariate.low, covariate.high))
    return float(stats.truncnorm.mean(low, high, covariate.mean, covariate.sd))


def _expected_gm(recipe: Recipe, cell: _Cell) -> float:
    """Mean of a normal deviate that is moved to the limits where it lies beyond them."""
    tissue, group, arm = recipe.tissue, cell.labels["group"], cell.labels["arm"]
    on_gm = [effect for effect in recipe.effects if effect.on == "gm"]
    mean = tissue.gm_mean + sum(e.shift for e in on_gm if e.group in {"", group} and e.arm in {"", arm})
    (low, high), sd = GM_RANGE, tissue.gm_sd
    if sd == 0:
        return min(max(mean, low), high)
    a, b = (low - mean) / sd, (high - mean) / sd
    inside = stats.norm.cdf(b) - stats.norm.cdf(a)
    tails = low * stats.norm.cdf(a) + high * stats.norm.sf(b)
    return float(mean * inside - sd * (stats.norm.pdf(b) - stats.norm.pdf(a)) + tails)


def _expected_rating(cell: _Cell, design: Design, recipe: Recipe) -> float:
    """Mean rating of the task whose column the design names for the cell's condition."""
    if recipe.ratings is None or design.ratings is None:
        return math.nan
    task = cell.labels["task_id"]
    column = design.ratings.columns.get(task)
    for rating in recipe.ratings.cells:
        if rating.group == cell.labels["group"] and column == f"{recipe.ratings.name}_{rating.task}":
            return rating.mean
    return math.nan
