"""What all spectra of a batch teach about the macromolecules, before the fit that counts.

The first pass fits every spectrum quickly and keeps what it says about the macromolecule lines; nothing about groups,
conditions or concentrations enters. What was learned is stored with the results and is part of what they depend on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrspipe.config import StudyConfig
from mrspipe.core.errors import MrspipeError
from mrspipe.core.signal import Signal
from mrspipe.engine import Workers, counted
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

Progress = Callable[[str, int, int], None]

_FILE = "macromolecules.json"
# The second round starts its fits from what the first learned; a third changes little.
_N_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class ReadingJob:
    """What a worker needs to read and preprocess one scan."""

    files: ScanFiles
    config: StudyConfig


@dataclass(frozen=True, slots=True)
class LearningJob:
    """What a worker needs to learn from one preprocessed spectrum."""

    signal: Signal
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
    out_dir: Path, scans: Sequence[ScanFiles], marks: Sequence[str], config: StudyConfig, progress: Progress
) -> LearnedMacromolecules:
    """Learn from all scans of a study and write ``macromolecules.json``; one that cannot be fitted is left out.

    Parameters
    ----------
    out_dir : Path
    scans : sequence of ScanFiles
    marks : sequence of str
        Fingerprints of the scans.
    config : StudyConfig
    progress : callable
    """
    jobs = [ReadingJob(files, config) for files in scans]
    with Workers(config.engine.n_procs) as workers:
        read = workers.run(_read, jobs, lost=lambda _: None, done=counted(progress, "Preprocessing", len(jobs)))
        learned = learn_from([signal for signal in read if signal is not None], config, workers, progress)
    return store_learned(out_dir, learned, marks)


def learn_from(
    signals: Sequence[Signal], config: StudyConfig, workers: Workers, progress: Progress
) -> LearnedMacromolecules:
    """Learn from preprocessed spectra; one that cannot be fitted is left out.

    Parameters
    ----------
    signals : sequence of Signal
        One FID each, of any sampling.
    config : StudyConfig
    workers : Workers
    progress : callable
    """
    done = counted(progress, "Learning", _N_ROUNDS * len(signals))
    learned = learn_macromolecules([], config.fit.priors)
    for _ in range(_N_ROUNDS):
        jobs = [LearningJob(signal, config, learned) for signal in signals]
        posteriors = workers.run(_learn_spectrum, jobs, lost=lambda _: None, done=done)
        learned = learn_macromolecules([one for one in posteriors if one is not None], config.fit.priors)
        if not learned.trusted:
            # Another round would start from the generic lines as this one did, and end where this one did.
            break
    return learned


def store_learned(out_dir: Path, learned: LearnedMacromolecules, marks: Sequence[str]) -> LearnedMacromolecules:
    """Write ``macromolecules.json``, and give its content as a later run will read it, to the last digit.

    Parameters
    ----------
    out_dir : Path
    learned : LearnedMacromolecules
    marks : sequence of str
        Fingerprints of what it was learned from.
    """
    path = out_dir / _FILE
    write_json(path, {"fingerprint": fingerprint(sorted(marks)), **to_json(learned)})
    return from_json(read_json(path))


def _read(job: ReadingJob) -> Signal | None:
    """Give the spectrum of a scan; None when it cannot be read, which the second pass reports."""
    try:
        return preprocess(read_scan(job.files), job.config.preprocess).metabolites
    except (MrspipeError, ArithmeticError, ValueError):
        return None


def _learn_spectrum(job: LearningJob) -> MacromoleculePosterior | None:
    """What one spectrum says; None when it cannot be fitted, which the second pass reports."""
    try:
        return fit_for_learning(job.signal, basis_for(job.signal, job.config.basis), job.config.fit, job.learned)
    except (MrspipeError, ArithmeticError, ValueError):
        return None
