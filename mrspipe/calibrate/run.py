"""A calibration: many cohorts of one recipe through the analysis, and what its tests are worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrspipe.calibrate.cohorts import PlayedCohort, play_cohorts
from mrspipe.calibrate.figure import calibration_figure
from mrspipe.calibrate.leaks import leak_rows, statements
from mrspipe.calibrate.rates import calibration_rows, records_of
from mrspipe.calibrate.worlds import Level, World
from mrspipe.config import StudyConfig
from mrspipe.core.errors import ConfigError
from mrspipe.engine import Progress
from mrspipe.io.atomic import atomic_write_text
from mrspipe.io.columns import CALIBRATION, LEAKS
from mrspipe.io.locks import locked
from mrspipe.io.tables import table_of, write_table
from mrspipe.report.svg import svg_file
from mrspipe.stats.questions import resolve_contrasts
from mrspipe.synth.concentrations import QUANTITIES
from mrspipe.synth.recipe import Recipe

TABLE, LEAK_TABLE, FIGURE = "calibration.tsv", "leaks.tsv", "calibration.svg"


@dataclass(frozen=True, slots=True)
class CalibrationRequest:
    """What is to be calibrated.

    Parameters
    ----------
    recipe : Recipe
    config : StudyConfig
    level : str
        ``concentrations``, ``averaged`` or ``raw``.
    n_cohorts : int
    out_dir : Path
    seed : int, optional
        Of all cohorts; by default the recipe's.
    all_metabolites : bool, optional
        Also the secondary metabolites; by default the outcome and the ratings.
    """

    recipe: Recipe
    config: StudyConfig
    level: Level
    n_cohorts: int
    out_dir: Path
    seed: int | None = None
    all_metabolites: bool = False


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a calibration found: rows of its tables, statements in plain words, scans that could not be analysed."""

    rows: tuple[dict[str, Any], ...]
    leaks: tuple[dict[str, Any], ...]
    statements: tuple[str, ...]
    n_failed: int
    table: Path


def calibrate(request: CalibrationRequest, progress: Progress = lambda *_: None) -> Calibration:
    """Play the cohorts, and write ``calibration.tsv``, ``leaks.tsv`` (where spectra are made) and ``calibration.svg``.

    Parameters
    ----------
    request : CalibrationRequest
    progress : callable, optional
        Called with what is being done, how much of it is done, and how much there is.

    Returns
    -------
    Calibration

    Raises
    ------
    ConfigError
        The design's outcome is in a quantity whose truth the recipe does not give, or a contrast does not fit.
    AnalysisError
        A worker process died.
    InputError
        Code ``locked``: another calibration writes to the same folder.
    """
    world = _world(request)
    with locked(request.out_dir, None):
        cohorts = play_cohorts(world, request.n_cohorts, request.out_dir, progress)
        return _written(request, world, cohorts)


def _written(request: CalibrationRequest, world: World, cohorts: Sequence[PlayedCohort]) -> Calibration:
    alpha = world.config.stats.alpha
    records = records_of(world, cohorts)
    rows, leaks = calibration_rows(records, world.config.design, alpha), leak_rows(world, cohorts)
    said = [*_about_the_cohorts(request), *statements(records, leaks, alpha)]
    out = request.out_dir
    write_table(out / TABLE, table_of(rows, CALIBRATION), CALIBRATION)
    if leaks:
        write_table(out / LEAK_TABLE, table_of(leaks, LEAKS), LEAKS)
    atomic_write_text(out / FIGURE, svg_file(calibration_figure(records, alpha)))
    n_failed = sum(cohort.n_failed for cohort in cohorts)
    return Calibration(tuple(rows), tuple(leaks), tuple(said), n_failed, out / TABLE)


def _world(request: CalibrationRequest) -> World:
    config = request.config
    if config.design.outcome.quantity not in QUANTITIES:
        raise ConfigError(
            f"The truth of a synthetic study is known as {' and '.join(QUANTITIES)}, not as "
            f"{config.design.outcome.quantity}.",
            where="design.outcome.quantity",
            cure=f"Use one of: {', '.join(QUANTITIES)}.",
            code="quantity",
        )
    resolve_contrasts(config.design, config.contrast)
    config = _without_extras(config)
    if not request.all_metabolites:
        config = _outcome_only(config)
    seed = request.recipe.seed if request.seed is None else request.seed
    # Rates are those of samples: cohorts whose moments are matched would all be the same one, and mirrored errors are
    # smaller in a mean than they are.
    recipe = request.recipe.model_copy(update={"moment_matched": False, "mirrored": False})
    return World(recipe, config, request.level, seed)


def _about_the_cohorts(request: CalibrationRequest) -> list[str]:
    matched = (
        "The recipe matches the moments of its sample; here cohorts are drawn at random, as rates are about samples."
    )
    return [matched] if request.recipe.moment_matched or request.recipe.mirrored else []


def _without_extras(config: StudyConfig) -> StudyConfig:
    """Leave out what the contrasts do not need: fits with other choices, joint fits, and the specification curve."""
    fit = config.fit
    off = {"enabled": False}
    quick = fit.model_copy(
        update={"refits": fit.refits.model_copy(update=off), "joint": fit.joint.model_copy(update=off)}
    )
    return config.model_copy(update={"fit": quick, "robustness": config.robustness.model_copy(update=off)})


def _outcome_only(config: StudyConfig) -> StudyConfig:
    """Leave the secondary metabolites out of the design and of the contrasts that name metabolites."""
    outcome = config.design.outcome.metabolite
    kept = [one for one in config.contrast if not one.metabolites or outcome in one.metabolites]
    contrasts = tuple(one.model_copy(update={"metabolites": (outcome,)}) if one.metabolites else one for one in kept)
    design = config.design.model_copy(update={"secondary": ()})
    return config.model_copy(update={"design": design, "contrast": contrasts})


def summary_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give one row a test of the measured level, with the rates that matter side by side.

    Returns
    -------
    list of dict
        ``test``, ``metabolite``, ``truth``, ``kind`` and, each as (rate, mc_se), ``found``, ``coverage``, ``bias``,
        ``oracle``; statements about several tests follow with ``found`` only.
    """
    by_test: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        name, kind = str(row["test"]), str(row["kind"])
        entry = by_test.setdefault((name, str(row.get("metabolite", ""))), {"test": name})
        found = (row["rate"], row["mc_se"])
        if row["level"] == "oracle":
            if kind in {"power", "false_positive", "joint", "familywise"}:
                entry["oracle"] = found
        elif kind in {"power", "false_positive", "joint", "familywise"}:
            entry |= {"kind": kind, "found": found, "truth": row.get("truth"), "metabolite": row.get("metabolite", "")}
        elif kind in {"coverage", "bias"}:
            entry[kind] = found
    return [entry for entry in by_test.values() if "found" in entry]
