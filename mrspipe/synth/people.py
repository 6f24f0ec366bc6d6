"""Who takes part: covariates, tissue, arm, the order of treatments, and who leaves before the end."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from mrspipe.core.results import TissueFractions
from mrspipe.synth.covariates import ChoiceCovariate, LognormalCovariate, NormalCovariate
from mrspipe.synth.deviates import Deviates
from mrspipe.synth.recipe import Group, Recipe
from mrspipe.synth.streams import ARMS, GROUPS, stream

_MAX_CSF = 0.05
# Leaves room for the gradient within the voxel and for the sessions' displacement, so that no fraction leaves 0..1.
GM_RANGE = (0.40, 0.90)
TISSUE_SOURCE = "truth"


@dataclass(frozen=True, slots=True)
class Participant:
    """A row of participants.tsv, with the tissue at the intended place of the voxel.

    ``arm`` is empty where there is none; ``n_attended`` counts the sessions before the participant left.
    """

    label: str
    group: str
    covariates: Mapping[str, Any]
    tissue: TissueFractions
    arm: str = ""
    n_attended: int = 1


def members(recipe: Recipe) -> list[Group]:
    """Group of each participant."""
    return [group for group in recipe.groups for _ in range(group.n)]


def treatment_orders(recipe: Recipe, seed: int) -> list[tuple[str, ...]]:
    """Treatment of each session, per participant; as many participants of a group start with each treatment."""
    if recipe.crossover is None:
        return [("",) * recipe.n_sessions for _ in members(recipe)]
    treatments = recipe.crossover.treatments
    turns = [treatments[first:] + treatments[:first] for first in range(len(treatments))]
    orders: list[tuple[str, ...]] = []
    for number, group in enumerate(recipe.groups):
        order = stream(seed, GROUPS, number).permutation(group.n)
        orders += [turns[i % len(turns)] for i in order]
    return orders


def arms(recipe: Recipe, seed: int) -> list[str]:
    """Arm of each participant, empty where there is none; the arms of a group differ by one participant at most."""
    found: list[str] = []
    for number, group in enumerate(recipe.groups):
        if recipe.parallel is None or group.name not in (recipe.parallel.groups or {group.name}):
            found += [""] * group.n
        else:
            names = recipe.parallel.arms
            found += [names[i % len(names)] for i in stream(seed, ARMS, number).permutation(group.n)]
    return found


def draw_participant(
    recipe: Recipe, group: Group, label: str, arm: str, own: Mapping[str, float], rng: np.random.Generator
) -> Participant:
    """Draw one participant.

    Parameters
    ----------
    recipe : Recipe
    group : Group
    label, arm : str
    own : mapping of metabolite to float
        The participant's standard normal deviates, with which a covariate may correlate.
    rng : Generator

    Returns
    -------
    Participant
    """
    tissue = recipe.tissue
    on_gm = [effect for effect in recipe.effects if effect.on == "gm"]
    gm_shift = sum(e.shift for e in on_gm if e.group in {"", group.name} and e.arm in {"", arm})
    csf = 0.0 if rng.random() < tissue.csf_absent else min(float(rng.exponential(tissue.csf_mean)), _MAX_CSF)
    gm = float(np.clip(tissue.gm_mean + gm_shift + tissue.gm_sd * rng.standard_normal(), *GM_RANGE))
    covariates: dict[str, float | str] = {}
    deviates: dict[str, float] = {}
    for covariate in recipe.covariates:
        if covariate.group not in {"", group.name}:
            covariates.setdefault(covariate.name, float("nan"))
        elif isinstance(covariate, LognormalCovariate):
            deviates[covariate.name] = _correlated(recipe, covariate.name, own, rng)
            value = covariate.median * math.exp(covariate.sigma_log * deviates[covariate.name])
            covariates[covariate.name] = _where_it_applies(covariate, value, covariates)
        else:
            covariates[covariate.name] = _drawn(covariate, covariates, rng)
    leaves = rng.random() < _leaving(group, deviates.get(group.dropout_covariate, 0.0))
    n_attended = 1 if leaves else recipe.n_sessions
    return Participant(label, group.name, covariates, fractions(gm, csf), arm, n_attended)


def fractions(gm: float, csf: float) -> TissueFractions:
    """Tissue of a voxel; the rest is white matter."""
    return TissueFractions(gm=gm, wm=1.0 - gm - csf, csf=csf, source=TISSUE_SOURCE)


def _correlated(recipe: Recipe, covariate: str, own: Mapping[str, float], rng: np.random.Generator) -> float:
    """Standard normal deviate of a covariate's logarithm."""
    deviate = float(rng.standard_normal())
    for tie in recipe.associations:
        if tie.covariate == covariate:
            deviate = tie.r * own[tie.on] + math.sqrt(1 - tie.r**2) * deviate
    return deviate


def _drawn(
    covariate: NormalCovariate | ChoiceCovariate, earlier: Mapping[str, float | str], rng: np.random.Generator
) -> float | str:
    if isinstance(covariate, ChoiceCovariate):
        return str(rng.choice(list(covariate.options), p=list(covariate.options.values())))
    draws = covariate.mean + covariate.sd * rng.standard_normal(200)
    inside = draws[(draws >= covariate.low) & (draws <= covariate.high)]
    value = float(inside[0]) if inside.size else float(np.clip(covariate.mean, covariate.low, covariate.high))
    return _where_it_applies(covariate, value, earlier)


def _where_it_applies(
    covariate: NormalCovariate | LognormalCovariate, value: float, earlier: Mapping[str, float | str]
) -> float:
    applies = all(earlier.get(name) == word for name, word in covariate.only.items())
    return round(value, covariate.decimals) if applies else covariate.otherwise


def _leaving(group: Group, deviate: float) -> float:
    """Probability that a participant leaves after the first session."""
    if not group.dropout_covariate or group.dropout in {0.0, 1.0}:
        return group.dropout
    log_odds = _log_odds_at_median(group.dropout, group.dropout_log_odds) + group.dropout_log_odds * deviate
    return 1 / (1 + math.exp(-log_odds))


@lru_cache(maxsize=32)
def _log_odds_at_median(mean: float, slope: float) -> float:
    """Log odds at the covariate's median that make ``mean`` the probability over all participants."""
    from scipy.optimize import brentq
    from scipy.special import expit

    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    return float(brentq(lambda at: float(weights @ expit(at + slope * nodes)) - mean, -60.0, 60.0))


def strata(participants: Sequence[Participant]) -> list[tuple[str, str]]:
    """Group and arm of each participant."""
    return [(person.group, person.arm) for person in participants]


def own_deviates(recipe: Recipe, deviates: Deviates, number: int) -> dict[str, float]:
    """Standard normal deviate of one participant for each metabolite."""
    return dict(zip(recipe.levels, map(float, deviates.subject[number]), strict=True))
