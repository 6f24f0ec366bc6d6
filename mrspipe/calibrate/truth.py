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
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mrspipe.core.results import SUMS
from mrspipe.stats.design import SEQUENCE_COLUMN, ContrastSettings, Design
from mrspipe.stats.factors import Factor
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
        In mM, or points of the rating; NaN when the recipe does not say, as for a factor that it does not know, and
        for parallel arms and times of more than two levels, which are not worked out here.
    """
    if recipe.parallel is not None or any(len(factor.levels) > 2 for factor in design.factors):
        return math.nan
    adjusted = design.covariates if contrast.test == "ancova" else ()
    cells = _held(_cells(recipe), contrast, design)
    compared = [design.factor(name) for name in contrast.compare or ()]
    free = [f for f in design.factors if f.name not in contrast.within and _varies(cells, f)]
    free += [factor for factor in compared if factor not in free and _varies(cells, factor)]
    if not cells or any(factor not in free for factor in compared):
        return math.nan
    by_levels = {
        codes: _mean_of(_at(cells, free, codes), contrast, design, recipe, metabolite, adjusted)
        for codes in itertools.product((-1, 1), repeat=len(free))
    }
    return _difference(by_levels, free, compared, _weights(free, contrast, design, recipe))


def same_things_are_compared(contrast: ContrastSettings, design: Design, recipe: Recipe, metabolite: str) -> bool:
    """Tell whether a ratio to creatine has the same distribution on both sides of a comparison.

    It has where neither the metabolite nor creatine differs, and no group has other tissue, which has other T2.
    """
    tissue = any(effect.on == "gm" and effect.shift for effect in recipe.effects)
    return not tissue and all(true_value(contrast, design, recipe, name) == 0 for name in (metabolite, "tCr"))


def _cells(recipe: Recipe) -> list[_Cell]:
    arms = recipe.crossover.treatments if recipe.crossover else ("",)
    sessions, tasks = recipe.sessions or ("",), recipe.tasks or ("",)
    cells = []
    for group in recipe.groups:
        for first in range(len(arms)):
            # As drawn: every so many participants of a group start with the same treatment.
            share = len(range(first, group.n, len(arms)))
            for s, (session, task) in itertools.product(range(len(sessions)), itertools.product(sessions, tasks)):
                if sessions[s] == session:
                    drug = arms[(first + s) % len(arms)]
                    labels = {"group": group.name, "session_id": session, "task_id": task, "drug": drug}
                    order = {"period": str(s + 1), SEQUENCE_COLUMN: f"{arms[first]} first"}
                    cells.append(_Cell({**labels, **order}, share))
    return [cell for cell in cells if cell.share > 0]


def _held(cells: list[_Cell], contrast: ContrastSettings, design: Design) -> list[_Cell]:
    held = {design.factor(name).column: level for name, level in contrast.within.items()}
    return [cell for cell in cells if all(cell.labels.get(column) == level for column, level in held.items())]


def _varies(cells: list[_Cell], factor: Factor) -> bool:
    return {factor.reference, factor.other} <= {cell.labels.get(factor.column) for cell in cells}


def _at(cells: list[_Cell], free: list[Factor], codes: tuple[int, ...]) -> list[_Cell]:
    wanted = {f.column: f.other if code > 0 else f.reference for f, code in zip(free, codes, strict=True)}
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


def _weights(
    free: list[Factor], contrast: ContrastSettings, design: Design, recipe: Recipe
) -> dict[tuple[str, int], float]:
    """Weight of each level of each factor where it is averaged over."""
    weights: dict[tuple[str, int], float] = {(factor.name, code): 0.5 for factor in free for code in (-1, 1)}
    if design.group and contrast.test in {"paired", "mean"}:
        n = {group.name: group.n for group in recipe.groups}
        patients, controls = n.get(design.group.patient, 0), n.get(design.group.control, 0)
        if patients + controls:
            weights |= {("group", 1): patients / (patients + controls), ("group", -1): controls / (patients + controls)}
    return weights


def _difference(
    by_levels: Mapping[tuple[int, ...], float],
    free: list[Factor],
    compared: list[Factor],
    weights: Mapping[tuple[str, int], float],
) -> float:
    total = 0.0
    for codes, value in by_levels.items():
        factors = [
            float(code) if factor in compared else weights[factor.name, code]
            for factor, code in zip(free, codes, strict=True)
        ]
        total += math.prod(factors) * value
    # What is left of equal numbers is rounding.
    return 0.0 if abs(total) < 1e-12 * max(1.0, *(abs(value) for value in by_levels.values())) else total


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
    labels = {"group": "group", "session": "session_id", "task": "task_id", "treatment": "drug"}
    shift = sum(
        effect.shift
        for effect in recipe.effects
        if effect.on == name and all(getattr(effect, k) in {"", cell.labels[column]} for k, column in labels.items())
    )
    slopes = 0.0
    for slope in recipe.slopes:
        column = _GM_COLUMN if slope.covariate == "gm" else slope.covariate
        if slope.on == name and column not in adjusted:
            distance = _expected_covariate(recipe, slope.covariate, cell.labels["group"]) - slope.reference
            # A group without the covariate has no such term.
            slopes += 0.0 if math.isnan(distance) else slope.per_unit * distance
    return recipe.levels[name].mean + shift + slopes


def _expected_covariate(recipe: Recipe, name: str, group: str) -> float:
    if name == "gm":
        return _expected_gm(recipe, group)
    found = [c for c in recipe.covariates if c.name == name and c.group in {"", group}]
    covariate = found[-1] if found else None
    if covariate is None or isinstance(covariate, ChoiceCovariate):
        return math.nan
    if isinstance(covariate, LognormalCovariate):
        return covariate.median * math.exp(covariate.sigma_log**2 / 2)
    if covariate.sd == 0:
        return min(max(covariate.mean, covariate.low), covariate.high)
    low, high = ((limit - covariate.mean) / covariate.sd for limit in (covariate.low, covariate.high))
    return float(stats.truncnorm.mean(low, high, covariate.mean, covariate.sd))


def _expected_gm(recipe: Recipe, group: str) -> float:
    """Mean of a normal deviate that is moved to the limits where it lies beyond them."""
    tissue = recipe.tissue
    mean = tissue.gm_mean + sum(e.shift for e in recipe.effects if e.on == "gm" and e.group in {"", group})
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
