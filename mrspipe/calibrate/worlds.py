"""One synthetic cohort, from its seed to the tables that its analysis gives: by three ways of different price.

``concentrations``
    No spectra: truth plus the error of the fit that the recipe names. Tests the statistics.
``averaged``
    One noisy FID for each scan, in memory, and the pipeline's own fit, quantification and quality control. Adds what
    the spectrum does to a value.
``raw``
    A study on disk, analysed as by ``mrspipe run``. Adds preprocessing, files and tissue maps.

Every cohort is a study of its own: its seed is also that of the macromolecule lines, which are drawn once for a study.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from mrspipe.config import StudyConfig, with_settings
from mrspipe.core.errors import MrspipeError
from mrspipe.core.scan_result import ScanResult
from mrspipe.core.signal import Scan
from mrspipe.engine import Workers
from mrspipe.fit.learning import LearnedMacromolecules
from mrspipe.io.rows import measurement_rows
from mrspipe.io.tables import read_table
from mrspipe.pipeline.basis import basis_for
from mrspipe.pipeline.learning import learn_from
from mrspipe.pipeline.scan import StageError, analyse_clean
from mrspipe.pipeline.study import StudyRequest, analyse_study
from mrspipe.preprocess.steps import preprocess
from mrspipe.synth.cohort import Cohort, ScanTruth, draw_cohort
from mrspipe.synth.concentrations import StudyTables, study_tables
from mrspipe.synth.recipe import Recipe
from mrspipe.synth.scanner import averaged_scan
from mrspipe.synth.spectra import make_basis
from mrspipe.synth.study import write_study

if TYPE_CHECKING:
    from pandas import DataFrame

Level = Literal["concentrations", "averaged", "raw"]
LEVELS: tuple[Level, ...] = ("concentrations", "averaged", "raw")
ORACLE = "oracle"
_SCAN = ["participant_id", "session_id", "task_id", "run"]
# Random stream of the cohorts' seeds.
_COHORTS = 41


@dataclass(frozen=True, slots=True)
class World:
    """What all cohorts of a calibration share.

    Parameters
    ----------
    recipe : Recipe
    config : StudyConfig
        Of the analysis; its outcome's quantity is ``molar`` or ``ratio_tcr``.
    level : str
        One of `LEVELS`.
    seed : int
    """

    recipe: Recipe
    config: StudyConfig
    level: Level
    seed: int

    @property
    def metabolites(self) -> tuple[str, ...]:
        """Metabolites that are compared."""
        return self.config.design.metabolites

    @property
    def quantity(self) -> str:
        """Quantity of all metabolites."""
        return self.config.design.outcome.quantity


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """A cohort that was played: what was measured and what is true; ``n_failed`` scans could not be analysed."""

    measured: StudyTables
    oracle: StudyTables
    n_failed: int = 0

    def errors(self, metabolite: str, quantity: str) -> "DataFrame":
        """Give each included scan's measured ``value`` with the truth of it beside, in columns that end in _true."""
        chosen = [
            table[(table["metabolite"] == metabolite) & (table["quantity"] == quantity)]
            for table in (self.measured.measurements, self.oracle.measurements)
        ]
        measured = chosen[0][chosen[0]["included"].astype(bool)]
        return measured.merge(chosen[1], on=_SCAN, suffixes=("", "_true"), validate="one_to_one")


def cohort_seed(seed: int, number: int) -> int:
    """Seed of a cohort, independent of how many there are."""
    return int(np.random.SeedSequence(seed, spawn_key=(_COHORTS, number)).generate_state(1, np.uint64)[0])


def play(world: World, number: int) -> Played:
    """Draw a cohort and measure it.

    Parameters
    ----------
    world : World
    number : int
        Of the cohort; the same number is the same cohort at every level.
    """
    seed = cohort_seed(world.seed, number)
    recipe = world.recipe.model_copy(update={"seed": seed})
    cohort = draw_cohort(recipe, seed=seed)
    oracle = _tables(world, cohort, recipe, oracle=True)
    measured, n_failed = _LEVELS[world.level](world, cohort, recipe)
    return Played(measured, oracle, n_failed)


def _tables(world: World, cohort: Cohort, recipe: Recipe, *, oracle: bool) -> StudyTables:
    names, quantities = world.metabolites, (world.quantity,)
    return study_tables(cohort, recipe, seed=recipe.seed, metabolites=names, quantities=quantities, oracle=oracle)


def _concentrations(world: World, cohort: Cohort, recipe: Recipe) -> tuple[StudyTables, int]:
    return _tables(world, cohort, recipe, oracle=False), 0


def _averaged(world: World, cohort: Cohort, recipe: Recipe) -> tuple[StudyTables, int]:
    import pandas as pd

    acquired = [truth for truth in cohort.scans if not truth.lost]
    results = analyse_in_memory(averaged_scans(acquired, recipe), world.config)
    rows = [
        row
        for result in results
        if result is not None
        for row in measurement_rows(result.key, result.levels, result.quality)
        if row["metabolite"] in world.metabolites and row["quantity"] == world.quantity
    ]
    # What is known of participants and visits is the same in both tables.
    known = _tables(world, cohort, recipe, oracle=True)
    measured = pd.DataFrame(rows)
    new = [name for name in known.measurements.columns if name not in measured.columns]
    per_scan = known.measurements.drop_duplicates(_SCAN)[[*_SCAN, *new]]
    measured = measured.merge(per_scan, "left", on=_SCAN, validate="many_to_one")
    return StudyTables(measured, known.ratings), sum(result is None for result in results)


def averaged_scans(truths: list[ScanTruth], recipe: Recipe) -> list[Scan]:
    """Give scans with one FID of metabolites and one of water each, without the artefacts of transients.

    The noise, the phase, the frequency offset and the error of the water reference of a scan are there; drift, motion,
    eddy currents and residual water, which preprocessing corrects, are not.
    """
    basis = make_basis(recipe)
    made = [(truth, averaged_scan(truth, recipe, basis, recipe.seed)) for truth in truths]
    return [Scan(truth.key, metabolites, water, truth.tissue) for truth, (metabolites, water) in made]


def analyse_in_memory(scans: list[Scan], config: StudyConfig) -> list[ScanResult | None]:
    """Analyse scans as a study does, without files; None where one cannot be analysed."""
    cleaned = [_clean(scan, config) for scan in scans]
    learned = None
    if config.fit.mm == "study":
        spectra = [clean.metabolites for clean in cleaned if clean is not None]
        with Workers(1) as here:
            learned = learn_from(spectra, config, here, lambda *_: None)
    return [_analysed(clean, config, learned) if clean is not None else None for clean in cleaned]


def _clean(scan: Scan, config: StudyConfig) -> Scan | None:
    try:
        return preprocess(scan, config.preprocess)
    except MrspipeError:
        return None


def _analysed(clean: Scan, config: StudyConfig, learned: LearnedMacromolecules | None) -> ScanResult | None:
    try:
        return analyse_clean(clean, basis_for(clean.metabolites, config.basis), config, learned)
    except StageError as error:
        # What the pipeline would report as a failure; anything else is a mistake in the program.
        if not isinstance(error.__cause__, MrspipeError):
            raise
        return None


def _raw(world: World, cohort: Cohort, recipe: Recipe) -> tuple[StudyTables, int]:
    config = with_settings(world.config, "engine", n_procs=1)
    with tempfile.TemporaryDirectory(prefix="mrspipe-calibrate-") as folder:
        bids_dir, out_dir = Path(folder) / "bids", Path(folder) / "out"
        write_study(recipe, bids_dir, seed=recipe.seed)
        summary = analyse_study(StudyRequest(bids_dir, out_dir, config))
        measurements = read_table(out_dir / "group" / "measurements.tsv")
        ratings = out_dir / "group" / "ratings.tsv"
        return StudyTables(measurements, read_table(ratings) if ratings.exists() else None), len(summary.failures)


_LEVELS: Mapping[str, Callable[[World, Cohort, Recipe], tuple[StudyTables, int]]] = {
    "concentrations": _concentrations,
    "averaged": _averaged,
    "raw": _raw,
}
