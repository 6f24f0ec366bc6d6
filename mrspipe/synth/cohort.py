"""Who takes part and what is true in each scan: the latent world of a synthetic study, without any spectrum.

Each participant and each scan has a random stream of its own (`mrspipe.synth.streams`), so that nothing depends on the
order in which they are made, and one more scan changes no other (unless the moments are matched).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.results import SUMS, TissueFractions
from mrspipe.core.signal import ScanKey
from mrspipe.synth.deviates import Spread, draw_deviates, spread_of
from mrspipe.synth.people import (
    Participant,
    arms,
    draw_participant,
    fractions,
    members,
    own_deviates,
    strata,
    treatment_orders,
)
from mrspipe.synth.ratings import RatingModel, rating_models
from mrspipe.synth.recipe import Recipe
from mrspipe.synth.streams import PEOPLE, SCANS, Draws, Mirrored, stream

# Grey matter changes along the left-right direction of the tissue maps, so that a voxel placed a little aside has
# other tissue. With the largest SD between sessions that is allowed, a voxel lies within 8.4 mm of the intended place.
GM_PER_MM = 0.006
_MIN_LEVEL = 0.05


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
        Participant, session and task number: names the scan's random streams.
    arm : str
        Empty without one.
    mirrors : tuple of int, optional
        Index of the scan from which all that disturbs this one deviates in the opposite direction.
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
    arm: str = ""
    mirrors: tuple[int, int, int] | None = None

    def draws(self, seed: int, part: int, depth: int = 3) -> Draws:
        """Random numbers for what disturbs the scan (depth 3), all scans of its session (2), or its participant (1)."""
        return _draws(seed, part, self.index[:depth], self.mirrors and self.mirrors[:depth])


def _draws(seed: int, part: int, index: tuple[int, ...], mirrors: tuple[int, ...] | None) -> Draws:
    return stream(seed, part, *index) if mirrors is None else Mirrored(stream(seed, part, *mirrors))


@dataclass(frozen=True, slots=True)
class Cohort:
    """Participants, their visits, and the truth of their scans, lost scans included."""

    participants: tuple[Participant, ...]
    visits: tuple[Visit, ...]
    scans: tuple[ScanTruth, ...]


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

    Raises
    ------
    ConfigError
        Ratings cannot correlate as the recipe asks.

    Examples
    --------
    >>> cohort = draw_cohort(Recipe())
    >>> len(cohort.participants), cohort.scans[0].key.label
    (8, 'sub-01')
    """
    seed = recipe.seed if seed is None else seed
    ratings, groups = rating_models(recipe), members(recipe)
    digits = max(2, len(str(len(groups))))
    orders, arm_of = treatment_orders(recipe, seed), arms(recipe, seed)
    deviates = draw_deviates(recipe, len(groups), seed)
    streams = [stream(seed, PEOPLE, number, 1) for number in range(len(groups))]
    people = [
        draw_participant(recipe, group, f"{n + 1:0{digits}d}", arm_of[n], own_deviates(recipe, deviates, n), streams[n])
        for n, group in enumerate(groups)
    ]
    displacements = _displacements(recipe, len(people), seed)
    slopes = _slopes(recipe, people, displacements)
    spread = spread_of(recipe, deviates, slopes, strata=strata(people), orders=orders)
    twins = _twins(strata(people)) if recipe.mirrored else {}
    visits: list[Visit] = []
    scans: list[ScanTruth] = []
    for number, person in enumerate(people):
        model, responses = ratings.get(person.group), spread.responses[number]
        visits += _visits(recipe, person, orders[number], model, responses, streams[number])[: person.n_attended]
        mirrored = _mirrored_sessions(number, twins, orders)
        scans += _scans(recipe, person, orders[number], number, displacements[number], spread, mirrored, seed)
    return Cohort(tuple(people), tuple(visits), tuple(scans))


def _twins(strata: Sequence[tuple[str, str]]) -> dict[int, int]:
    """Whom a participant mirrors: every second one of a group and arm the one before; a last odd one nobody."""
    twins: dict[int, int] = {}
    for stratum in set(strata):
        numbers = [number for number, one in enumerate(strata) if one == stratum]
        twins |= dict(zip(numbers[1::2], numbers[::2], strict=False))
    return twins


def _mirrored_sessions(
    number: int, twins: Mapping[int, int], orders: Sequence[tuple[str, ...]]
) -> tuple[tuple[int, int], ...]:
    """Participant and session that each session mirrors, that of the same treatment; empty without a twin."""
    if number not in twins:
        return ()
    mine, others = (np.argsort(orders[one], kind="stable") for one in (number, twins[number]))
    return tuple((twins[number], int(session)) for session in others[np.argsort(mine)])


def _displacements(recipe: Recipe, n_people: int, seed: int) -> FloatArray:
    """How far the voxel lies to the right of its place in each session, in mm, shape (n_people, n_sessions)."""
    deviates = [
        [stream(seed, SCANS, number, session).standard_normal() for session in range(recipe.n_sessions)]
        for number in range(n_people)
    ]
    return np.asarray(recipe.tissue.gm_within_sd * np.clip(deviates, -2, 2) / GM_PER_MM)


def _slopes(recipe: Recipe, people: Sequence[Participant], displacements: FloatArray) -> FloatArray:
    """What the covariates add to each metabolite in each session, in mM, shape (n_people, n_levels, n_sessions)."""
    added = np.zeros((len(people), len(recipe.levels), recipe.n_sessions))
    names = list(recipe.levels)
    for slope in recipe.slopes:
        if slope.covariate == "gm":
            values = np.array([person.tissue.gm for person in people])[:, None] + GM_PER_MM * displacements
        else:
            values = np.array([[person.covariates[slope.covariate]] for person in people], dtype=float)
        # Who does not have a covariate is not moved by it.
        added[:, names.index(slope.on)] += np.nan_to_num(slope.per_unit * (values - slope.reference))
    return added


def _visits(
    recipe: Recipe,
    person: Participant,
    order: tuple[str, ...],
    model: RatingModel | None,
    responses: FloatArray,
    rng: np.random.Generator,
) -> list[Visit]:
    subject = float(rng.standard_normal())
    visits = []
    for period, session in enumerate(recipe.sessions or (None,), start=1):
        treatment, values = order[period - 1], {}
        if model is not None and recipe.ratings is not None:
            name = recipe.ratings.name
            keys = {task: ScanKey(sub=person.label, ses=session, task=task) for task in recipe.tasks}
            shifts = {t: _shifts(recipe, person, key, treatment, responses).get(name, 0.0) for t, key in keys.items()}
            values = model.draw(name, shifts, subject, responses, rng)
        visits.append(Visit(person.label, session, period, treatment, values))
    return visits


def _scans(
    recipe: Recipe,
    person: Participant,
    order: tuple[str, ...],
    number: int,
    displacements: FloatArray,
    spread: Spread,
    mirrored: tuple[tuple[int, int], ...],
    seed: int,
) -> list[ScanTruth]:
    scans = []
    for s, session in enumerate(recipe.sessions or (None,)):
        tissue = fractions(person.tissue.gm + GM_PER_MM * float(displacements[s]), person.tissue.csf)
        for t, task in enumerate(recipe.tasks or (None,)):
            key = ScanKey(sub=person.label, ses=session, task=task)
            shifts = _shifts(recipe, person, key, order[s], spread.responses[number])
            index, mirrors = (number, s, t), (*mirrored[s], t) if mirrored else None
            rng = _draws(seed, SCANS, index, mirrors)
            lost = "dropped out" if s >= person.n_attended else ""
            lost = lost or ("technical failure" if rng.random() < recipe.losses.technical else "")
            snr, fwhm_hz = _quality(recipe, shifts, rng)
            scans.append(
                ScanTruth(
                    key=key,
                    group=person.group,
                    treatment=order[s],
                    levels=_levels(recipe, spread.levels[number, :, s, t], shifts),
                    tissue=tissue,
                    displacement_mm=float(displacements[s]),
                    snr=snr,
                    fwhm_hz=fwhm_hz,
                    lost=lost,
                    index=index,
                    arm=person.arm,
                    mirrors=mirrors,
                )
            )
    return scans


def _shifts(
    recipe: Recipe, person: Participant, key: ScanKey, treatment: str, responses: FloatArray
) -> dict[str, float]:
    """Sum the effects that apply to a scan, by quantity."""
    labels = (person.group, key.ses or "", key.task or "", treatment, person.arm)
    total: dict[str, float] = {}
    for effect, response in zip(recipe.effects, responses, strict=True):
        asked = (effect.group, effect.session, effect.task, effect.treatment, effect.arm)
        if all(one in {"", label} for one, label in zip(asked, labels, strict=True)):
            total[effect.on] = total.get(effect.on, 0.0) + effect.shift + effect.subject_sd * float(response)
    return total


def _quality(recipe: Recipe, shifts: Mapping[str, float], rng: Draws) -> tuple[float, float]:
    """Draw SNR and FWHM, held within their ranges."""
    q = recipe.quality
    first, second = rng.standard_normal(2)
    if rng.random() < recipe.losses.poor_quality:
        return q.poor_snr, q.poor_fwhm_hz
    second = q.snr_fwhm_r * first + np.sqrt(1 - q.snr_fwhm_r**2) * second
    snr = max(q.snr_min, q.snr_mean + shifts.get("snr", 0.0) + q.snr_sd * first)
    fwhm_hz = np.clip(q.fwhm_mean_hz + shifts.get("fwhm_hz", 0.0) + q.fwhm_sd_hz * second, *q.fwhm_range_hz)
    return float(snr), float(fwhm_hz)


def _levels(recipe: Recipe, spread: FloatArray, shifts: Mapping[str, float]) -> dict[str, float]:
    levels: dict[str, float] = {}
    for (name, level), deviation in zip(recipe.levels.items(), spread, strict=True):
        value = max(level.mean + float(deviation) + shifts.get(name, 0.0), _MIN_LEVEL * level.mean)
        levels |= {member: part * value for member, part in recipe.parts(name).items()}
    return levels


def with_sums(levels: Mapping[str, float]) -> dict[str, float]:
    """Add the sums that the field reports, such as tCr.

    Examples
    --------
    >>> with_sums({"Cr": 6.0, "PCr": 5.0})
    {'Cr': 6.0, 'PCr': 5.0, 'tCr': 11.0}
    """
    sums = {
        name: sum(levels[member] for member in parts)
        for name, parts in SUMS.items()
        if all(member in levels for member in parts)
    }
    return {**levels, **sums}
