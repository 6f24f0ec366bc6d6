"""What all scans of a study teach about the macromolecules, before the fit that counts.

The first pass fits every scan quickly and keeps what it says about the macromolecule lines; nothing about groups,
conditions or concentrations enters. What was learned is stored with the results and is part of what they depend on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrspipe.config import StudyConfig
from mrspipe.core.errors import MrspipeError
from mrspipe.engine import run_jobs
from mrspipe.fit.learning import (
    LearnedMacromolecules,
    MacromoleculePosterior,
    from_json,
    learn_macromolecules,
    to_json,
)
from mrspipe.fit.spectrum import fit_for_learning
from mrspipe.io.bids import ScanFiles, read_scan
from mrspipe.io.manifest import fingerprint
from mrspipe.io.tables import read_json, write_json
from mrspipe.pipeline.basis import basis_for
from mrspipe.preprocess.steps import preprocess

_FILE = "macromolecules.json"
# The second round starts its fits from what the first learned; a third changes little.
_N_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class LearningJob:
    """What a worker needs to learn from one scan."""

    files: ScanFiles
    config: StudyConfig
    learned: LearnedMacromolecules | None


def read_learned(out_dir: Path, marks: Sequence[str]) -> LearnedMacromolecules | None:
    """Read what an earlier run learned from the same scans with the same settings; None when there is none.

    Parameters
    ----------
    out_dir : Path
    marks : sequence of str
        Fingerprints of the scans.
    """
    path = out_dir / _FILE
    try:
        content = read_json(path)
        return from_json(content) if content.get("fingerprint") == fingerprint(sorted(marks)) else None
    except (MrspipeError, KeyError, TypeError):
        return None


def learn(
    out_dir: Path,
    scans: Sequence[ScanFiles],
    marks: Sequence[str],
    config: StudyConfig,
    progress: Callable[[str, int, int], None],
) -> LearnedMacromolecules:
    """Learn from all scans and write ``macromolecules.json``; a scan that cannot be fitted is left out.

    Parameters
    ----------
    out_dir : Path
    scans : sequence of ScanFiles
    marks : sequence of str
        Fingerprints of the scans.
    config : StudyConfig
    progress : callable
    """
    n_done = 0

    def report(_: MacromoleculePosterior | None) -> None:
        nonlocal n_done
        n_done += 1
        progress("Learning", n_done, _N_ROUNDS * len(scans))

    learned = learn_macromolecules([], config.fit.priors)
    for _ in range(_N_ROUNDS):
        jobs = [LearningJob(files, config, learned) for files in scans]
        posteriors = run_jobs(_learn_scan, jobs, config.engine.n_procs, lost=lambda _: None, done=report)
        learned = learn_macromolecules([one for one in posteriors if one is not None], config.fit.priors)
    write_json(out_dir / _FILE, {"fingerprint": fingerprint(sorted(marks)), **to_json(learned)})
    # As a later run will read it, to the last digit.
    return from_json(read_json(out_dir / _FILE))


def _learn_scan(job: LearningJob) -> MacromoleculePosterior | None:
    """What one scan says; None when it cannot be fitted, which the second pass reports."""
    try:
        clean = preprocess(read_scan(job.files), job.config.preprocess).metabolites
        return fit_for_learning(clean, basis_for(clean, job.config.basis), job.config.fit, job.learned)
    except (MrspipeError, ArithmeticError, ValueError):
        return None
