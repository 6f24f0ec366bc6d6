"""What all spectra of a batch teach about the macromolecules, before the fit that counts.

The first pass fits every spectrum quickly and keeps what it says about the macromolecule lines; nothing about groups,
conditions or concentrations enters. What was learned is stored with the results and is part of what they depend on.

A model is kept while the scans that taught it are mostly the same: as long as no more than a tenth of the scans, or
the scans of no more than one participant, were changed, added or removed since. It is a prior, and a tenth of the
scans moves it by less than it is known (docs/decisions/0009). So one corrected file costs one participant, and
``--relearn`` asks for a model of the scans as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrspipe.config import StudyConfig
from mrspipe.core.errors import MrspipeError
from mrspipe.core.signal import Signal
from mrspipe.engine import Progress, Workers, counted
from mrspipe.fit.learning import (
    LearnedMacromolecules,
    MacromoleculePosterior,
    from_json,
    learn_macromolecules,
    to_json,
)
from mrspipe.fit.spectrum import fit_for_learning
from mrspipe.io.bids import ScanFiles, read_scan
from mrspipe.io.tables import read_json, write_json
from mrspipe.pipeline.basis import basis_for
from mrspipe.preprocess.steps import preprocess

_FILE = "macromolecules.json"
# The second round starts its fits from what the first learned; a third changes little.
_N_ROUNDS = 2
# More scans than this share changed: what was learned is of another study.
_LARGEST_CHANGE = 0.1


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


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a study taught.

    Parameters
    ----------
    learned : LearnedMacromolecules
    changed : tuple of str
        Scans that were changed, added or removed since, by their labels.
    """

    learned: LearnedMacromolecules
    changed: tuple[str, ...] = ()


def read_lesson(out_dir: Path, marks: Mapping[str, str], settings: str) -> Lesson | None:
    """Read what an earlier run learned with the same settings from mostly the same scans; None when there is none.

    Parameters
    ----------
    out_dir : Path
    marks : mapping of str to str
        Fingerprint of each scan that would teach now, by its label.
    settings : str
        Fingerprint of the settings and the program.
    """
    try:
        content = read_json(out_dir / _FILE)
        if content["settings"] != settings:
            return None
        taught_by = dict(content["taught_by"])
        changed = [label for label in sorted({*marks, *taught_by}) if marks.get(label) != taught_by.get(label)]
        return Lesson(from_json(content), tuple(changed)) if _is_mostly_the_same(changed, marks, taught_by) else None
    except (MrspipeError, KeyError, TypeError, ValueError):
        return None


def _is_mostly_the_same(changed: Sequence[str], marks: Mapping[str, str], taught_by: Mapping[str, str]) -> bool:
    participants = {label.partition("_")[0] for label in changed}
    return len(participants) <= 1 or len(changed) <= _LARGEST_CHANGE * len({*marks, *taught_by})


def learn(
    out_dir: Path,
    scans: Sequence[ScanFiles],
    marks: Mapping[str, str],
    settings: str,
    config: StudyConfig,
    workers: Workers,
    progress: Progress,
) -> LearnedMacromolecules:
    """Learn from all scans of a study and write ``macromolecules.json``; one that cannot be fitted is left out.

    Parameters
    ----------
    out_dir : Path
    scans : sequence of ScanFiles
    marks : mapping of str to str
        Fingerprint of each scan, by its label.
    settings : str
        Fingerprint of the settings and the program.
    config : StudyConfig
    workers : Workers
    progress : callable
    """
    jobs = [ReadingJob(files, config) for files in scans]
    read = workers.run(_read, jobs, lost=lambda _: None, done=counted(progress, "Preprocessing", len(jobs)))
    learned = learn_from([signal for signal in read if signal is not None], config, workers, progress)
    return store_learned(out_dir, learned, {"settings": settings, "taught_by": dict(marks)})


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


def store_learned(out_dir: Path, learned: LearnedMacromolecules, taught: Mapping[str, Any]) -> LearnedMacromolecules:
    """Write ``macromolecules.json``, and give its content as a later run will read it, to the last digit.

    Parameters
    ----------
    out_dir : Path
    learned : LearnedMacromolecules
    taught : mapping
        What it was learned from, by fingerprints.
    """
    path = out_dir / _FILE
    write_json(path, {**taught, **to_json(learned)})
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
