"""Ratings on a scale with a floor and a ceiling, correlated within a subject and, on request, with its response.

Every rating is beta distributed; a Gaussian copula ties those of one subject together. The copula's correlation follows
from the Pearson correlation that the recipe asks for by the expansion of the margins in Hermite polynomials: with
``g_i(x) = sum_k a_ik He_k(x)`` the covariance is ``sum_k k! a_ik a_jk r^k`` (Mehler's formula).
"""

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import ConfigError
from mrspipe.synth.covariates import RatingCell, RatingResponse
from mrspipe.synth.recipe import Recipe

_N_TERMS = 40
_N_NODES = 120
# A shifted mean stays this far from both ends of the scale.
_MARGIN = 0.5
# Beyond, the beta distribution lies at the two ends of the scale only.
_MIN_SIZE = 0.05


@dataclass(frozen=True, slots=True)
class RatingModel:
    """Ratings of one group.

    Parameters
    ----------
    cells : mapping of task to RatingCell
    copula_r : float
        Correlation of a subject's ratings on the Gaussian scale.
    responses : mapping of task to (int, float)
        Number of the effect to whose response the rating is tied, and the correlation of the rating's own deviate with
        that response.
    """

    cells: Mapping[str, RatingCell]
    copula_r: float
    responses: Mapping[str, tuple[int, float]]

    def draw(
        self, name: str, shifts: Mapping[str, float], subject: float, responses: FloatArray, rng: np.random.Generator
    ) -> dict[str, float]:
        """Draw the ratings of one visit.

        Parameters
        ----------
        name : str
            Of the scale.
        shifts : mapping of task to float
            Effects on the mean, in points.
        subject : float
            The subject's standard normal deviate.
        responses : float array, shape (n_effects,)
            The subject's standard normal responses to the effects.
        rng : Generator

        Returns
        -------
        dict
            ``<name>_<task>`` with the rating, of 0 to 100.
        """
        values = {}
        for task, cell in self.cells.items():
            own = float(rng.standard_normal())
            if task in self.responses:
                effect, r = self.responses[task]
                own = r * float(responses[effect]) + math.sqrt(1 - r**2) * own
            deviate = math.sqrt(self.copula_r) * subject + math.sqrt(1 - self.copula_r) * own
            mean = float(np.clip(cell.mean + shifts.get(task, 0.0), _MARGIN, 100 - _MARGIN))
            values[f"{name}_{task}"] = round(float(_margin(mean, cell.sd)(np.array(deviate))), 1)
        return values


def rating_models(recipe: Recipe) -> dict[str, RatingModel]:
    """Ratings of each group; empty without ratings.

    Raises
    ------
    ConfigError
        Ratings cannot correlate with a response as the recipe asks.
    """
    if recipe.ratings is None:
        return {}
    models = {}
    for group in (one.name for one in recipe.groups):
        cells = {cell.task: cell for cell in recipe.ratings.cells if cell.group == group}
        cells = {task: cells[task] for task in recipe.tasks}
        margins = tuple((cell.mean, cell.sd) for cell in cells.values())
        r = _copula_r(margins, recipe.ratings.within_subject_r)
        ties = [tie for tie in recipe.ratings.responses if tie.group == group]
        tied = {tie.task: _tied(recipe, cells, tie, r) for tie in ties}
        models[group] = RatingModel(cells, r, tied)
    return models


def _tied(recipe: Recipe, cells: Mapping[str, RatingCell], tie: RatingResponse, copula_r: float) -> tuple[int, float]:
    """Effect of a task, and the correlation of the rating's own deviate with its response that the tie needs.

    The covariance of a rating ``g(x)`` with a normal deviate is its first Hermite coefficient times the covariance
    of the deviates (Stein's lemma).
    """
    cell, first = cells[tie.task], next(iter(cells.values()))
    where = f"ratings.responses[{tie.label}]"
    effects = [
        index
        for index, effect in enumerate(recipe.effects)
        if (effect.on, effect.task) == (tie.of, tie.task) and effect.group in {"", tie.group} and effect.subject_sd > 0
    ]
    if not effects or tie.task == first.task:
        cure = "Name a later task with such an effect, or leave it out."
        raise ConfigError(f"There is no response of {tie.of} that differs between subjects.", where=where, cure=cure)
    before, during = _hermite(first.mean, first.sd), _hermite(cell.mean, cell.sd)
    change_sd = math.sqrt(first.sd**2 + cell.sd**2 - 2 * _covariance(before, during, copula_r))
    r = tie.r * change_sd / (math.sqrt(1 - copula_r) * float(during[1]))
    if abs(r) > 1:
        cure = f"At most {abs(tie.r / r):.2f} is possible."
        raise ConfigError("The ratings cannot correlate so much.", where=where, cure=cure)
    return effects[0], r


@lru_cache(maxsize=64)
def _copula_r(margins: tuple[tuple[float, float], ...], pearson_r: float) -> float:
    """Correlation on the Gaussian scale that gives ratings a correlation, as the mean over all pairs of margins."""
    from scipy.optimize import brentq

    pairs = list(itertools.combinations(margins, 2)) or [(margins[0], margins[0])]

    def excess(r: float) -> float:
        found = [_covariance(_hermite(*a), _hermite(*b), r) / (a[1] * b[1]) for a, b in pairs]
        return float(np.mean(found)) - pearson_r

    if excess(1.0) <= 0:
        return 1.0
    return float(brentq(excess, 0.0, 1.0)) if pearson_r > 0 else 0.0


def _covariance(first: FloatArray, second: FloatArray, r: float) -> float:
    orders = np.arange(1, _N_TERMS)
    return float(np.sum(first[1:] * second[1:] * r**orders))


@lru_cache(maxsize=64)
def _hermite(mean: float, sd: float) -> FloatArray:
    """Coefficients of a margin in normalised Hermite polynomials, shape (n_terms,): their squares sum to the variance.

    The nodes are those of Gauss-Hermite quadrature.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(_N_NODES)
    values = _margin(mean, sd)(nodes) * weights / math.sqrt(2 * math.pi)
    polynomials = [np.ones_like(nodes), nodes]
    for k in range(2, _N_TERMS):
        polynomials.append((nodes * polynomials[-1] - math.sqrt(k - 1) * polynomials[-2]) / math.sqrt(k))
    return np.asarray(np.array(polynomials) @ values)


def _margin(mean: float, sd: float) -> Callable[[FloatArray], FloatArray]:
    """The rating at a standard normal deviate: beta distributed on 0 to 100 with this mean and SD."""
    from scipy.special import betaincinv, ndtr

    part = mean / 100
    size = max(part * (1 - part) / (sd / 100) ** 2 - 1, _MIN_SIZE)
    return lambda deviate: np.asarray(100 * betaincinv(part * size, (1 - part) * size, ndtr(deviate)))
