"""Many cohorts, kept on disk as they are played, so that an interrupted calibration goes on where it stopped.

Cohorts are played in chunks. The file of a chunk holds, for each of its cohorts, every contrast at the measured level
and for the oracle, and what the regression of the errors needs; and the fingerprint of all it depends on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mrspipe.calibrate.worlds import ORACLE, Played, World, cohort_seed, play
from mrspipe.core.errors import AnalysisError, FileError
from mrspipe.engine import Progress, counted, run_jobs
from mrspipe.io.digests import fingerprint
from mrspipe.io.program import program_mark
from mrspipe.io.tables import read_json, write_json
from mrspipe.stats.contrasts import contrast_table
from mrspipe.synth.concentrations import StudyTables

if TYPE_CHECKING:
    from pandas import DataFrame

# What the numbers of a cohort cannot depend on.
_NOT_FOR_COHORTS = ("cli", "console.py", "report")
NAMES = ("contrast", "metabolite", "quantity")
NUMBERS = ("estimate", "se", "ci_low", "ci_high", "p", "tost_p")
# Of a scan: what may move its error, besides the group. `error` is relative to the truth, in percent.
CONFOUNDS = ("fwhm_hz", "snr", "gm_fraction")
_CHUNK = {"concentrations": 20}


@dataclass(frozen=True, slots=True, eq=False)
class PlayedCohort:
    """What is kept of a cohort.

    Parameters
    ----------
    number, seed : int
    contrasts : mapping of str to sequence of mapping
        Rows of `NAMES` and `NUMBERS` by level: that of the calibration, and ``oracle``.
    scans : mapping of str to sequence
        Columns ``group``, ``error_pct`` and those of `CONFOUNDS`, one entry for each included scan; empty where no
        spectra were made.
    n_failed : int
        Scans that could not be analysed.
    """

    number: int
    seed: int
    contrasts: Mapping[str, Sequence[Mapping[str, Any]]]
    scans: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    n_failed: int = 0


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Cohorts that one job plays; ``path`` is the file that keeps them."""

    world: World
    numbers: tuple[int, ...]
    path: Path
    mark: str


def play_cohorts(world: World, n_cohorts: int, out_dir: Path, progress: Progress) -> tuple[PlayedCohort, ...]:
    """Play cohorts that are not kept yet, and give all of them in their order.

    Parameters
    ----------
    world : World
        ``config.engine.n_procs`` worker processes; the results do not depend on how many.
    n_cohorts : int
    out_dir : Path
        Chunks are kept in its folder ``cohorts``.
    progress : callable

    Raises
    ------
    AnalysisError
        The worker of a chunk died.
    """
    mark = _mark(world)
    size = _CHUNK.get(world.level, 1)
    chunks = [
        _Chunk(world, tuple(range(first, min(first + size, n_cohorts))), _path(out_dir, world, first), mark)
        for first in range(0, n_cohorts, size)
    ]
    waiting = [chunk for chunk in chunks if not set(chunk.numbers) <= _kept(chunk).keys()]
    done = counted(progress, f"Chunks of {size} cohorts" if size > 1 else "Cohorts", len(waiting))
    finished = run_jobs(_play_chunk, waiting, world.config.engine.n_procs, lost=lambda _: False, done=done)
    if not all(finished):
        raise AnalysisError(
            f"The process of {finished.count(False)} of {len(waiting)} jobs ended without a word; most often the "
            "machine ran out of memory.",
            cure="Run the same command again, with fewer --n-procs.",
            code="worker-died",
        )
    return tuple(cohort for chunk in chunks for number, cohort in _kept(chunk).items() if number in chunk.numbers)


def _mark(world: World) -> str:
    """Fingerprint of all that a cohort depends on, the program's source too; not how many there are, nor where."""
    config = {name: getattr(world.config, name) for name in type(world.config).model_fields if name != "engine"}
    return fingerprint(program_mark(without=_NOT_FOR_COHORTS), world.recipe, config, world.level, world.seed)


def _path(out_dir: Path, world: World, first: int) -> Path:
    return out_dir / "cohorts" / f"{world.level}-{first:06d}.json"


def _kept(chunk: _Chunk) -> dict[int, PlayedCohort]:
    """Give the cohorts of a chunk that are on disk and still hold."""
    try:
        content = read_json(chunk.path)
    except FileError:
        return {}
    if content.get("fingerprint") != chunk.mark:
        return {}
    return {int(one["number"]): PlayedCohort(**one) for one in content["cohorts"]}


def _play_chunk(chunk: _Chunk) -> bool:
    found = _kept(chunk)
    cohorts = [found.get(number) or _play(chunk.world, number) for number in chunk.numbers]
    write_json(chunk.path, {"fingerprint": chunk.mark, "cohorts": cohorts})
    return True


def _play(world: World, number: int) -> PlayedCohort:
    played = play(world, number)
    contrasts = {world.level: _contrasts(world, played.measured), ORACLE: _contrasts(world, played.oracle)}
    scans = {} if world.level == "concentrations" else _scans(world, played)
    return PlayedCohort(number, cohort_seed(world.seed, number), contrasts, scans, played.n_failed)


def _contrasts(world: World, tables: StudyTables) -> list[dict[str, Any]]:
    config = world.config
    table = contrast_table(tables.measurements, config.design, config.contrast, config.stats, ratings=tables.ratings)
    return [{str(name): value for name, value in row.items()} for row in table[[*NAMES, *NUMBERS]].to_dict("records")]


def _scans(world: World, played: Played) -> dict[str, list[Any]]:
    outcome = world.config.design.outcome
    rows = played.errors(outcome.metabolite, outcome.quantity)
    error = 100 * (np.asarray(rows["value"], float) / np.asarray(rows["value_true"], float) - 1)
    group = world.config.design.group
    labels = rows[group.column].astype(str) if group and group.column in rows else [""] * len(rows)
    return {"error_pct": error.tolist(), "group": list(labels)} | {
        name: _numbers(rows, f"{name}_true") for name in CONFOUNDS
    }


def _numbers(rows: "DataFrame", name: str) -> list[float]:
    return [float(value) for value in rows[name]]
