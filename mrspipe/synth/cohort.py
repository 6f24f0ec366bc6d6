"""Who takes part and what is true in each scan: the latent world of a synthetic study, without any spectrum.

Each participant and each scan has a random stream of its own (`stream`), so that nothing depends on the order in which
they are made, and one more scan changes no other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.results import SUMS, TissueFractions
from mrspipe.core.signal import ScanKey
from mrspipe.synth.recipe import (
    MEMBERS,
    ChoiceCovariate,
    Covariate,
    Group,
    LognormalCovariate,
    NormalCovariate,
    Recipe,
)

# Grey matter changes along the left-right direction of the tissue maps, so that a voxel placed a little aside has
# other tissue. With the largest SD between sessions that is allowed, a voxel lies within 8.4 mm of the intended place.
GM_PER_MM = 0.006
_MAX_CSF = 0.05
# Leaves room for the gradient within the voxel and for the sessions' displacement, so that no fraction leaves 0..1.
_GM_RANGE = (0.40, 0.90)
_MIN_LEVEL = 0.05
TISSUE_SOURCE = "truth"


@dataclass(frozen=True, slots=True)
class Participant:
    """A row of participants.tsv, with the tissue at the intended place of the voxel."""

    label: str
    group: str
    covariates: Mapping[str, Any]
    tissue: TissueFractions


@dataclass(frozen=True, slots=True)
class Visit:
    """A row of a participant's sessions.tsv; ``treatment`` is empty without a crossover."""

    participant: str
    session: str | None
    period: int
    treatment: str
    ratings: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ScanTruth:
    """What is true in one scan.

    Parameters
    ----------
    key : ScanKey
    group, treatment : str
    levels : mapping of metabolite to float
        Molar concentrations in the tissue, in mM, of single metabolites.
    tissue : TissueFractions
    displacement_mm : float
        How far to the right of the intended place the voxel lies, in mm.
    snr, fwhm_hz : float
        As in `QualitySettings`.
    lost : str
        Why the scan was not acquired; empty: it was.
    index : tuple of int
        Participant, session and task number: names the scan's random stream.
    """

    key: ScanKey
    group: str
    treatment: str
    levels: Mapping[str, float]
    tissue: TissueFractions
    displacement_mm: float
    snr: float
    fwhm_hz: float
    lost: str
    index: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Cohort:
    """Participants, their visits, and the truth of their scans, lost scans included."""

    participants: tuple[Participant, ...]
    visits: tuple[Visit, ...]
    scans: tuple[ScanTruth, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Deviates:
    """Standard normal deviates of all participants.

    ``levels`` (n_participants, n_levels, 1 + n_sessions + n_scans), ``effects`` (n_participants, n_effects).
    """

    levels: FloatArray
    effects: FloatArray


def stream(seed: int, *path: int) -> np.random.Generator:
    """Random stream of one part of the study, named by ``path``."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=path))


_GROUPS, _PEOPLE, _SCANS, SPECTRA, IMAGES = range(5)


def draw_cohort(recipe: Recipe, *, seed: int | None = None) -> Cohort:
    """Draw a cohort.

    Parameters
    ----------
    recipe : Recipe
    seed : int, optional
        Instead of the recipe's.

    Returns
    -------
    Cohort

    Examples
    --------
    >>> cohort = draw_cohort(Recipe())
    >>> len(cohort.participants), cohort.scans[0].key.label
    (8, 'sub-01')
    """
    seed = recipe.seed if seed is None else seed
    members = [group for group in recipe.groups for _ in range(group.n)]
    digits = max(2, len(str(len(members))))
    orders = _treatment_orders(recipe, seed)
    deviates = _draw_deviates(recipe, members, seed)
    participants, visits, scans = [], [], []
    for number, group in enumerate(members):
        rng = stream(seed, _PEOPLE, number, 1)
        person = _participant(recipe, group, f"{number + 1:0{digits}d}", rng)
        n_attended = _sessions_attended(recipe, group, rng)
        participants.append(person)
        visits += _visits(recipe, person, orders[number], rng)[:n_attended]
        scans += _scans(recipe, person, orders[number], n_attended, number, deviates, seed)
    return Cohort(tuple(participants), tuple(visits), tuple(scans))


def _treatment_orders(recipe: Recipe, seed: int) -> list[tuple[str, ...]]:
    """Treatment of each session, per participant; as many participants of a group start with each treatment."""
    sessions = max(1, len(recipe.sessions))
    if recipe.crossover is None:
        return [("",) * sessions for group in recipe.groups for _ in range(group.n)]
    arms = recipe.crossover.treatments
    turns = [arms[first:] + arms[:first] for first in range(len(arms))]
    orders: list[tuple[str, ...]] = []
    for number, group in enumerate(recipe.groups):
        balanced = [turns[i % len(turns)] for i in range(group.n)]
        orders += [balanced[i] for i in stream(seed, _GROUPS, number).permutation(group.n)]
    return orders


def _draw_deviates(recipe: Recipe, members: list[Group], seed: int) -> _Deviates:
    n_sessions, n_tasks = max(1, len(recipe.sessions)), max(1, len(recipe.tasks))
    n_kinds = 1 + n_sessions + n_sessions * n_tasks
    streams = [stream(seed, _PEOPLE, number, 0) for number in range(len(members))]
    effects = np.array([rng.standard_normal(len(recipe.effects)) for rng in streams])
    levels = np.array([rng.standard_normal((len(recipe.levels), n_kinds)) for rng in streams])
    if recipe.moment_matched:
        labels = np.array([group.name for group in members])
        levels, effects = _moment_matched(recipe, labels, levels, effects)
    mixing = np.linalg.cholesky(_correlation_matrix(recipe))
    return _Deviates(np.einsum("ml,slk->smk", mixing, levels), effects)


def _correlation_matrix(recipe: Recipe) -> FloatArray:
    names = list(recipe.levels)
    matrix = np.eye(len(names))
    for pair in recipe.correlations:
        i, j = names.index(pair.first), names.index(pair.second)
        matrix[i, j] = matrix[j, i] = pair.r
    return matrix


def _moment_matched(
    recipe: Recipe, labels: np.ndarray[Any, Any], levels: FloatArray, effects: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Give the deviates of each level, and of the effects on it, mean 0, SD 1 and no correlation within each group."""
    levels, effects = levels.copy(), effects.copy()
    for group in np.unique(labels):
        rows = labels == group
        for index, name in enumerate(recipe.levels):
            columns = [i for i, effect in enumerate(recipe.effects) if effect.on == name]
            white = _whitened(np.hstack([levels[rows, index], effects[np.ix_(rows, columns)]]))
            n_kinds = levels.shape[2]
            levels[rows, index] = white[:, :n_kinds]
            effects[np.ix_(rows, columns)] = white[:, n_kinds:]
    return levels, effects


def _whitened(deviates: FloatArray) -> FloatArray:
    """Center and decorrelate columns; with too few rows for that, only center and scale them; with one, nothing."""
    n_rows, n_columns = deviates.shape
    if n_rows < 2:
        return deviates
    centered = deviates - deviates.mean(axis=0)
    if n_rows < n_columns + 2:
        return np.asarray(centered / centered.std(axis=0, ddof=1))
    covariance = np.atleast_2d(np.cov(centered, rowvar=False))
    return np.asarray(np.linalg.solve(np.linalg.cholesky(covariance), centered.T).T)


def _participant(recipe: Recipe, group: Group, label: str, rng: np.random.Generator) -> Participant:
    tissue = recipe.tissue
    gm_shift = sum(e.shift for e in recipe.effects if e.on == "gm" and e.group in {"", group.name})
    csf = 0.0 if rng.random() < tissue.csf_absent else min(float(rng.exponential(tissue.csf_mean)), _MAX_CSF)
    gm = float(np.clip(tissue.gm_mean + gm_shift + tissue.gm_sd * rng.standard_normal(), *_GM_RANGE))
    covariates: dict[str, float | str] = {}
    for covariate in recipe.covariates:
        if covariate.group in {"", group.name}:
            covariates[covariate.name] = _covariate(covariate, rng)
        else:
            covariates.setdefault(covariate.name, float("nan"))
    return Participant(label, group.name, covariates, _fractions(gm, csf))


def _covariate(covariate: Covariate, rng: np.random.Generator) -> float | str:
    if isinstance(covariate, ChoiceCovariate):
        return str(rng.choice(list(covariate.options), p=list(covariate.options.values())))
    if isinstance(covariate, LognormalCovariate):
        return round(float(covariate.median * np.exp(covariate.sigma_log * rng.standard_normal())), covariate.decimals)
    return _truncated_normal(covariate, rng)


def _truncated_normal(covariate: NormalCovariate, rng: np.random.Generator) -> float:
    draws = covariate.mean + covariate.sd * rng.standard_normal(200)
    inside = draws[(draws >= covariate.low) & (draws <= covariate.high)]
    value = float(inside[0]) if inside.size else float(np.clip(covariate.mean, covariate.low, covariate.high))
    return round(value, covariate.decimals)


def _fractions(gm: float, csf: float) -> TissueFractions:
    return TissueFractions(gm=gm, wm=1.0 - gm - csf, csf=csf, source=TISSUE_SOURCE)


def _sessions_attended(recipe: Recipe, group: Group, rng: np.random.Generator) -> int:
    leaves = rng.random() < group.dropout
    return 1 if leaves else max(1, len(recipe.sessions))


def _visits(recipe: Recipe, person: Participant, order: tuple[str, ...], rng: np.random.Generator) -> list[Visit]:
    subject = rng.standard_normal()
    return [
        Visit(person.label, session, period, order[period - 1], _ratings(recipe, person.group, subject, rng))
        for period, session in enumerate(recipe.sessions or (None,), start=1)
    ]


def _ratings(recipe: Recipe, group: str, subject: float, rng: np.random.Generator) -> dict[str, float]:
    """Draw ratings: a Gaussian copula with the subject's own deviate, and a beta distribution on 0 to 100."""
    from scipy.stats import beta, norm

    if recipe.ratings is None:
        return {}
    cells = {cell.task: cell for cell in recipe.ratings.cells if cell.group == group}
    r, values = recipe.ratings.within_subject_r, {}
    for task in recipe.tasks:
        mean, sd = cells[task].mean / 100, cells[task].sd / 100
        size = mean * (1 - mean) / sd**2 - 1
        quantile = norm.cdf(np.sqrt(r) * subject + np.sqrt(1 - r) * rng.standard_normal())
        rating = 100 * float(beta.ppf(quantile, mean * size, (1 - mean) * size))
        values[f"{recipe.ratings.name}_{task}"] = round(rating, 1)
    return values


def _scans(
    recipe: Recipe,
    person: Participant,
    order: tuple[str, ...],
    n_attended: int,
    number: int,
    deviates: _Deviates,
    seed: int,
) -> list[ScanTruth]:
    scans = []
    for s, session in enumerate(recipe.sessions or (None,)):
        displacement = _displacement(recipe, stream(seed, _SCANS, number, s))
        for t, task in enumerate(recipe.tasks or (None,)):
            key = ScanKey(sub=person.label, ses=session, task=task)
            shifts = _shifts(recipe, person.group, key, order[s], deviates.effects[number])
            gm = person.tissue.gm + GM_PER_MM * displacement
            tissue = _fractions(gm, person.tissue.csf)
            rng = stream(seed, _SCANS, number, s, t)
            lost = "dropped out" if s >= n_attended else ""
            lost = lost or ("technical failure" if rng.random() < recipe.losses.technical else "")
            snr, fwhm_hz = _quality(recipe, shifts, rng)
            levels = _levels(recipe, person, tissue, shifts, deviates.levels[number], s, t)
            index = (number, s, t)
            scans.append(
                ScanTruth(key, person.group, order[s], levels, tissue, displacement, snr, fwhm_hz, lost, index)
            )
    return scans


def _displacement(recipe: Recipe, rng: np.random.Generator) -> float:
    deviate = np.clip(rng.standard_normal(), -2, 2)
    return float(recipe.tissue.gm_within_sd * deviate / GM_PER_MM)


def _shifts(recipe: Recipe, group: str, key: ScanKey, treatment: str, deviates: FloatArray) -> dict[str, float]:
    """Sum the effects that apply to a scan, by quantity."""
    labels = {"group": group, "session": key.ses or "", "task": key.task or "", "treatment": treatment}
    total: dict[str, float] = {}
    for effect, deviate in zip(recipe.effects, deviates, strict=True):
        if all(getattr(effect, name) in {"", label} for name, label in labels.items()):
            total[effect.on] = total.get(effect.on, 0.0) + effect.shift + effect.subject_sd * float(deviate)
    return total


def _quality(recipe: Recipe, shifts: Mapping[str, float], rng: np.random.Generator) -> tuple[float, float]:
    """Draw SNR and FWHM, held within their ranges."""
    q = recipe.quality
    first, second = rng.standard_normal(2)
    if rng.random() < recipe.losses.poor_quality:
        return q.poor_snr, q.poor_fwhm_hz
    second = q.snr_fwhm_r * first + np.sqrt(1 - q.snr_fwhm_r**2) * second
    snr = max(q.snr_min, q.snr_mean + shifts.get("snr", 0.0) + q.snr_sd * first)
    fwhm_hz = np.clip(q.fwhm_mean_hz + shifts.get("fwhm_hz", 0.0) + q.fwhm_sd_hz * second, *q.fwhm_range_hz)
    return float(snr), float(fwhm_hz)


def _levels(
    recipe: Recipe,
    person: Participant,
    tissue: TissueFractions,
    shifts: Mapping[str, float],
    deviates: FloatArray,
    session: int,
    task: int,
) -> dict[str, float]:
    n_sessions, n_tasks = max(1, len(recipe.sessions)), max(1, len(recipe.tasks))
    scan = 1 + n_sessions + session * n_tasks + task
    covariates = {**person.covariates, "gm": tissue.gm}
    levels: dict[str, float] = {}
    for (name, level), z in zip(recipe.levels.items(), deviates, strict=True):
        spread = level.subject_sd * z[0] + level.session_sd * z[1 + session] + level.scan_sd * z[scan]
        slopes = sum(
            slope.per_unit * (covariates[slope.covariate] - slope.reference)
            for slope in recipe.slopes
            if slope.on == name and not np.isnan(covariates[slope.covariate])
        )
        value = max(level.mean + spread + slopes + shifts.get(name, 0.0), _MIN_LEVEL * level.mean)
        levels |= {member: part * value for member, part in MEMBERS.get(name, {name: 1.0}).items()}
    return levels


def with_sums(levels: Mapping[str, float]) -> dict[str, float]:
    """Add the sums that the field reports, such as tCr.

    Examples
    --------
    >>> with_sums({"Cr": 6.0, "PCr": 5.0})
    {'Cr': 6.0, 'PCr': 5.0, 'tCr': 11.0}
    """
    sums = {
        name: sum(levels[member] for member in members)
        for name, members in SUMS.items()
        if all(member in levels for member in members)
    }
    return {**levels, **sums}
