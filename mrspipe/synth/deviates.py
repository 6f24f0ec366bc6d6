"""How far each scan of each participant lies from the population's concentrations: subject, session, scan, slopes.

With `Recipe.moment_matched` the sample's moments are those of the recipe. Every participant's own part (slopes on
covariates included), the parts of the sessions and scans, and the responses to the effects then have within each group
(and arm) the mean 0, the SD of the recipe, and no correlation with each other; so the mean and SD of every cell and of
every change within participants are exact. Sessions count in the order of their treatments, not of time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.synth.recipe import Recipe
from mrspipe.synth.streams import PEOPLE, stream


@dataclass(frozen=True, slots=True, eq=False)
class Deviates:
    """Standard normal deviates of all participants, correlated between metabolites as the recipe asks.

    ``subject`` (n_people, n_levels), ``session`` (n_people, n_levels, n_sessions), ``scan`` (n_people, n_levels,
    n_sessions, n_tasks), ``effects`` (n_people, n_effects).
    """

    subject: FloatArray
    session: FloatArray
    scan: FloatArray
    effects: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """What comes on top of the population's mean before any effect.

    ``levels`` in mM, shape (n_people, n_levels, n_sessions, n_tasks); ``responses`` (n_people, n_effects) in units of
    each effect's SD between subjects.
    """

    levels: FloatArray
    responses: FloatArray


def draw_deviates(recipe: Recipe, n_people: int, seed: int) -> Deviates:
    """Draw the deviates; each participant has a stream of its own."""
    n_sessions, n_tasks = recipe.n_sessions, recipe.n_tasks
    streams = [stream(seed, PEOPLE, number, 0) for number in range(n_people)]
    effects = np.array([rng.standard_normal(len(recipe.effects)) for rng in streams])
    n_kinds = 1 + n_sessions + n_sessions * n_tasks
    independent = np.array([rng.standard_normal((len(recipe.levels), n_kinds)) for rng in streams])
    mixed = np.einsum("ml,plk->pmk", np.linalg.cholesky(_correlation_matrix(recipe)), independent)
    scan = mixed[..., 1 + n_sessions :].reshape(n_people, len(recipe.levels), n_sessions, n_tasks)
    return Deviates(mixed[..., 0], mixed[..., 1 : 1 + n_sessions], scan, effects)


def _correlation_matrix(recipe: Recipe) -> FloatArray:
    names = list(recipe.levels)
    matrix = np.eye(len(names))
    for pair in recipe.correlations:
        i, j = names.index(pair.first), names.index(pair.second)
        matrix[i, j] = matrix[j, i] = pair.r
    return matrix


def spread_of(
    recipe: Recipe,
    deviates: Deviates,
    slopes: FloatArray,
    *,
    strata: Sequence[tuple[str, str]],
    orders: Sequence[tuple[str, ...]],
) -> Spread:
    """Turn deviates into concentrations, and match the moments where the recipe asks for it.

    Parameters
    ----------
    recipe : Recipe
    deviates : Deviates
    slopes : float array, shape (n_people, n_levels, n_sessions)
        What the covariates add, in mM.
    strata : sequence of (str, str)
        Group and arm of each participant.
    orders : sequence of tuple of str
        Treatment of each session of each participant.

    Returns
    -------
    Spread
    """
    levels = tuple(recipe.levels.values())
    sds = np.array([[level.subject_sd, level.session_sd, level.latent_scan_sd] for level in levels])
    own_slope = slopes.mean(axis=2)
    subject = sds[:, 0] * deviates.subject + own_slope
    session = sds[:, 1, None] * deviates.session + slopes - own_slope[..., None]
    scan = sds[:, 2, None, None] * deviates.scan
    responses = deviates.effects
    if recipe.moment_matched:
        responses = responses.copy()
        by_treatment = np.array([np.argsort(order, kind="stable") for order in orders])
        for stratum in sorted(set(strata)):
            rows = np.array([one == stratum for one in strata])
            for index, name in enumerate(recipe.levels):
                columns = _responding(recipe, name, stratum)
                parts = _Parts(subject[rows, index], session[rows, index], scan[rows, index], by_treatment[rows])
                matched, response = parts.matched(sds[index], responses[np.ix_(rows, np.array(columns, dtype=int))])
                subject[rows, index], session[rows, index], scan[rows, index] = matched
                responses[np.ix_(rows, np.array(columns, dtype=int))] = response
    return Spread(subject[..., None, None] + session[..., None] + scan, responses)


def _responding(recipe: Recipe, level: str, stratum: tuple[str, str]) -> list[int]:
    """Effects on a metabolite to which the participants of a group and arm respond each in their own way."""
    return [
        index
        for index, effect in enumerate(recipe.effects)
        if effect.on == level
        and effect.subject_sd > 0
        and effect.group in {"", stratum[0]}
        and effect.arm in {"", stratum[1]}
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """One metabolite in one group: subject (n,), session (n, n_sessions), scan (n, n_sessions, n_tasks), in mM.

    ``by_treatment`` (n, n_sessions): the sessions in the order of their treatments.
    """

    subject: FloatArray
    session: FloatArray
    scan: FloatArray
    by_treatment: np.ndarray[Any, Any]

    def matched(
        self, sds: FloatArray, responses: FloatArray
    ) -> tuple[tuple[FloatArray, FloatArray, FloatArray], FloatArray]:
        """Give all parts the mean 0 and the SDs ``(subject, session, scan)``, and the responses the SD 1."""
        n, n_sessions, n_tasks = self.scan.shape
        rows = np.arange(n)[:, None]
        columns = [
            self.subject[:, None],
            self.session[rows, self.by_treatment],
            self.scan[rows, self.by_treatment].reshape(n, -1),
            responses,
        ]
        widths = [block.shape[1] for block in columns]
        wanted = np.repeat([*sds, 1.0], widths)
        joined, counts = np.hstack(columns), wanted > 0
        joined[:, ~counts] = 0.0
        joined[:, counts] = wanted[counts] * _whitened(joined[:, counts])
        ends = np.cumsum(widths)
        session, scan = np.empty_like(self.session), np.empty_like(self.scan)
        session[rows, self.by_treatment] = joined[:, ends[0] : ends[1]]
        scan[rows, self.by_treatment] = joined[:, ends[1] : ends[2]].reshape(n, n_sessions, n_tasks)
        return (joined[:, 0], session, scan), joined[:, ends[2] :]


def _whitened(columns: FloatArray) -> FloatArray:
    """Give columns the mean 0 and SD 1 and no correlation; with too few rows the last stay correlated, one row stays.

    Each column keeps as much of itself as the columns before it allow.
    """
    n_rows = len(columns)
    if n_rows < 2 or columns.shape[1] == 0:
        return columns
    centered = columns - columns.mean(axis=0)
    done: list[FloatArray] = []
    for column in centered.T:
        # Of n rows the mean takes one direction; one is left to the column itself.
        for other in done[: n_rows - 2]:
            column = column - other * (other @ column) / (other @ other)
        done.append(column / column.std(ddof=1))
    return np.array(done).T
