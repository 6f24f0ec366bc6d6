"""A synthetic study without spectra: the tables that an analysis would give, from what is true.

A value is the truth plus an error of the fit, whose SD the recipe names for each level (`Level.fit_error_sd`). It
stands for everything between the tissue and the table: noise, the fit, and the water reference. Without it the tables
hold the truth itself: what an oracle would measure, against which the price of spectroscopy is told.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.results import SUMS
from mrspipe.io.columns import MEASUREMENTS
from mrspipe.io.tables import MISSING, write_json, write_table
from mrspipe.synth.cohort import Cohort, ScanTruth, Visit, draw_cohort, with_sums
from mrspipe.synth.people import Participant
from mrspipe.synth.recipe import Recipe
from mrspipe.synth.spectra import metabolite_amplitudes
from mrspipe.synth.streams import stream
from mrspipe.synth.study import check_empty, truth_folder

if TYPE_CHECKING:
    from pandas import DataFrame

# Random stream of the fit's errors, apart from those of `mrspipe.synth.cohort`.
_FIT_ERRORS = 40
QUANTITIES = ("molar", "ratio_tcr")


@dataclass(frozen=True, slots=True, eq=False)
class StudyTables:
    """``measurements`` and ``ratings`` as in the tables of an analysed study; ``ratings`` is None without any."""

    measurements: "DataFrame"
    ratings: "DataFrame | None"


def study_tables(
    cohort: Cohort,
    recipe: Recipe,
    *,
    seed: int,
    metabolites: Sequence[str] = (),
    quantities: Sequence[str] = QUANTITIES,
    oracle: bool = False,
) -> StudyTables:
    """Give the tables of a cohort without making spectra.

    Parameters
    ----------
    cohort : Cohort
    recipe : Recipe
    seed : int
        Of the cohort; the errors of the fit follow from it.
    metabolites : sequence of str, optional
        Metabolites and sums; all of them by default.
    quantities : sequence of str, optional
        ``molar`` and ``ratio_tcr``, or one of them.
    oracle : bool, optional
        The truth itself, every acquired scan of it; else with the errors of the fit, scans of poor quality left out.

    Returns
    -------
    StudyTables
        One row for each scan that was acquired, metabolite and quantity.
    """
    import pandas as pd

    people = {person.label: person for person in cohort.participants}
    visits = {(visit.participant, visit.session): visit for visit in cohort.visits}
    rows: list[dict[str, Any]] = []
    for truth, errors in zip(cohort.scans, _fit_errors(cohort, recipe, seed), strict=True):
        if truth.lost:
            continue
        visit = visits[truth.key.sub, truth.key.ses]
        scan = _scan(truth, recipe, oracle) | _joined(recipe, people[truth.key.sub], visit)
        measured = truth if oracle else _with_errors(truth, recipe, errors)
        values, spreads = _values(measured, recipe, quantities), _spreads(measured, recipe)
        rows += [
            _row(name, quantity, values[name], 0.0 if oracle else spreads[name]) | scan
            for name in metabolites or values
            for quantity in quantities
        ]
    first = [*MEASUREMENTS, "gm_fraction", "wm_fraction", "csf_fraction"]
    names = list(dict.fromkeys([*first, *(rows[0] if rows else ())]))
    return StudyTables(pd.DataFrame(rows, columns=names), _ratings(cohort, recipe))


def _fit_errors(cohort: Cohort, recipe: Recipe, seed: int) -> Iterator[FloatArray]:
    """Give each scan's errors in mM, one for each level; every participant has a random stream."""
    spread = np.array([level.fit_error_sd for level in recipe.levels.values()])
    shape = (max(1, len(recipe.sessions)), max(1, len(recipe.tasks)), len(spread))
    drawn = {n: stream(seed, _FIT_ERRORS, n).standard_normal(shape) for n in {scan.index[0] for scan in cohort.scans}}
    for scan in cohort.scans:
        number, *place = scan.mirrors or scan.index
        yield (-spread if scan.mirrors else spread) * drawn[number][tuple(place)]


def _with_errors(truth: ScanTruth, recipe: Recipe, errors: FloatArray) -> ScanTruth:
    """Add the errors; as in a fit no level becomes negative, and the members of a sum share its error."""
    levels = dict(truth.levels)
    for name, error in zip(recipe.levels, errors, strict=True):
        for member, part in recipe.parts(name).items():
            levels[member] = max(levels[member] + part * float(error), 0.0)
    return replace(truth, levels=levels)


def _values(truth: ScanTruth, recipe: Recipe, quantities: Sequence[str]) -> dict[str, dict[str, float]]:
    """Values of each metabolite and sum, by quantity."""
    found = {name: {"molar": level} for name, level in with_sums(truth.levels).items()}
    if "ratio_tcr" in quantities:
        signals = with_sums(metabolite_amplitudes(truth, recipe))
        for name, signal in signals.items():
            found[name]["ratio_tcr"] = signal / signals["tCr"] if signals["tCr"] > 0 else math.nan
    return found


def _spreads(truth: ScanTruth, recipe: Recipe) -> dict[str, float]:
    """SD of the fit's error in mM; that of a sum of levels adds in quadrature, that of a sum's members in line."""
    of_level = {
        member: (name, part * level.fit_error_sd)
        for name, level in recipe.levels.items()
        for member, part in recipe.parts(name).items()
    }
    spreads = {}
    for name in with_sums(truth.levels):
        by_level: dict[str, float] = {}
        for member in SUMS.get(name, (name,)):
            level, spread = of_level[member]
            by_level[level] = by_level.get(level, 0.0) + spread
        spreads[name] = math.hypot(*by_level.values())
    return spreads


def _row(name: str, quantity: str, values: Mapping[str, float], spread: float) -> dict[str, Any]:
    value, molar = values[quantity], values["molar"]
    # What the recipe does not give is not known; and nothing has an error relative to zero.
    relative = spread / molar if spread > 0 and molar > 0 else math.nan
    return {
        "metabolite": name,
        "quantity": quantity,
        "value": value,
        **dict.fromkeys(("se_fit", "se_own", "se_total"), relative * value),
        "se_shared": math.nan,
        "crlb_pct": 100 * relative,
    }


def _scan(truth: ScanTruth, recipe: Recipe, oracle: bool) -> dict[str, Any]:
    quality = recipe.quality
    is_poor = (truth.snr, truth.fwhm_hz) == (quality.poor_snr, quality.poor_fwhm_hz)
    unusable = is_poor and not oracle
    return {
        "participant_id": f"sub-{truth.key.sub}",
        "session_id": f"ses-{truth.key.ses}" if truth.key.ses else MISSING,
        "task_id": truth.key.task or MISSING,
        "run": MISSING,
        "fwhm_hz": truth.fwhm_hz,
        "snr": truth.snr,
        "verdict": "unusable" if unusable else "good",
        "included": not unusable,
        "reason": "poor shim and low signal-to-noise ratio" if unusable else MISSING,
        "gm_fraction": truth.tissue.gm,
        "wm_fraction": truth.tissue.wm,
        "csf_fraction": truth.tissue.csf,
    }


def _joined(recipe: Recipe, person: Participant, visit: Visit) -> dict[str, Any]:
    """Columns of participants.tsv and of the sessions file, as an analysis joins them on."""
    drug = {"drug": visit.treatment} if visit.treatment else {}
    drug |= _arm(recipe, person)
    return {"group": person.group, **person.covariates, **drug, "period": visit.period, **visit.ratings}


def _arm(recipe: Recipe, person: Participant) -> dict[str, Any]:
    return {"arm": person.arm or MISSING} if recipe.parallel else {}


def _ratings(cohort: Cohort, recipe: Recipe) -> "DataFrame | None":
    """Give the ratings of all visits that were attended, one row each."""
    import pandas as pd

    if recipe.ratings is None:
        return None
    name, people = recipe.ratings.name, {person.label: person for person in cohort.participants}
    rows = [
        {
            "participant_id": f"sub-{visit.participant}",
            "session_id": f"ses-{visit.session}" if visit.session else MISSING,
            "task_id": task,
            "rating": name,
            "value": visit.ratings[f"{name}_{task}"],
            "group": people[visit.participant].group,
            **_arm(recipe, people[visit.participant]),
            **({"drug": visit.treatment} if visit.treatment else {}),
            "period": visit.period,
        }
        for visit in cohort.visits
        for task in recipe.tasks
    ]
    return pd.DataFrame(rows)


def write_concentrations(recipe: Recipe, out: Path, *, seed: int | None = None) -> Path:
    """Write the tables of a synthetic study without spectra.

    Parameters
    ----------
    recipe : Recipe
    out : Path
        New folder for ``participants.tsv``, ``measurements.tsv`` and, with ratings, ``ratings.tsv``. The truth goes to
        ``<out>_truth``: ``truth.tsv`` with the columns of ``measurements.tsv``, and ``recipe.json``.
    seed : int, optional
        Instead of the recipe's. The same recipe and seed give the same bytes.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    InputError
        A folder is not empty.
    """
    import pandas as pd

    truth_dir = truth_folder(out)
    for folder in (out, truth_dir):
        check_empty(folder)
    seed = recipe.seed if seed is None else seed
    cohort = draw_cohort(recipe, seed=seed)
    measured = study_tables(cohort, recipe, seed=seed)
    people = [
        {"participant_id": f"sub-{p.label}", "group": p.group, **p.covariates, **_arm(recipe, p)}
        for p in cohort.participants
    ]
    meaning = {covariate.name: covariate.description or covariate.name for covariate in recipe.covariates}
    write_table(out / "participants.tsv", pd.DataFrame(people), {"group": "Group of participants", **meaning})
    write_table(out / "measurements.tsv", measured.measurements, {**MEASUREMENTS, **meaning})
    if measured.ratings is not None:
        write_table(out / "ratings.tsv", measured.ratings)
    truth = study_tables(cohort, recipe, seed=seed, oracle=True)
    write_table(truth_dir / "truth.tsv", truth.measurements, {**MEASUREMENTS, **meaning})
    write_json(truth_dir / "recipe.json", {"seed": seed, "recipe": recipe.model_dump(mode="json")})
    return out
