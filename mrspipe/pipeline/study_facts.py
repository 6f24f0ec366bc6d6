"""What the words and figures of the study's page need from every scan: what was done to it, and its spectrum."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrspipe.core.signal import ScanKey
from mrspipe.engine import Workers
from mrspipe.io.derivatives import read_clean, read_fit, read_levels
from mrspipe.pipeline.mean_spectra import ScanSpectrum, scan_spectrum
from mrspipe.pipeline.words import ScanFacts, scan_facts


@dataclass(frozen=True, slots=True, eq=False)
class StudyFacts:
    """Facts and spectra of all scans, in their order; a scan whose fit has no creatine has no spectrum."""

    scans: tuple[ScanFacts, ...] = ()
    spectra: tuple[ScanSpectrum, ...] = ()


Facts = Callable[[], StudyFacts]


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    out_dir: Path
    keys: tuple[ScanKey, ...]


def study_facts(out_dir: Path, keys: Sequence[ScanKey], workers: Workers) -> StudyFacts:
    """Read what was done to every scan, from its results alone: they are the same when the raw data are gone.

    Parameters
    ----------
    out_dir : Path
    keys : sequence of ScanKey
        Scans with results.
    workers : Workers
    """
    of_subject: dict[str, list[ScanKey]] = {}
    for key in keys:
        of_subject.setdefault(key.sub, []).append(key)
    jobs = [_Job(out_dir, tuple(scans)) for scans in of_subject.values()]
    found = workers.run(_of_subject, jobs, lost=lambda _: StudyFacts())
    return StudyFacts(
        tuple(fact for one in found for fact in one.scans), tuple(spectrum for one in found for spectrum in one.spectra)
    )


def _of_subject(job: _Job) -> StudyFacts:
    facts, spectra = [], []
    for key in job.keys:
        fit = read_fit(job.out_dir, key)
        facts.append(scan_facts(key.label, read_clean(job.out_dir, key), fit, read_levels(job.out_dir, key)))
        spectrum = scan_spectrum(key, fit)
        spectra += [] if spectrum is None else [spectrum]
    return StudyFacts(tuple(facts), tuple(spectra))
