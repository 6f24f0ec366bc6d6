"""What the words and figures of the study's page need from every scan: what was done to it, and its spectrum."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrspipe.core.signal import ScanKey
from mrspipe.engine import Workers
from mrspipe.io.derivatives import read_clean, read_fit, read_levels
from mrspipe.io.sidecars import with_sidecar
from mrspipe.pipeline.mean_spectra import ScanSpectrum, scan_spectrum
from mrspipe.pipeline.words import ScanFacts, scan_facts


@dataclass(frozen=True, slots=True, eq=False)
class AnalysedScan:
    """A scan with results; ``sidecar`` holds the metadata of the raw scan, empty where that is not there."""

    key: ScanKey
    sidecar: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class StudyFacts:
    """Facts and spectra of all scans, in their order; a scan whose fit has no creatine has no spectrum."""

    scans: tuple[ScanFacts, ...] = ()
    spectra: tuple[ScanSpectrum, ...] = ()


Facts = Callable[[], StudyFacts]


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    out_dir: Path
    scans: tuple[AnalysedScan, ...]


def study_facts(out_dir: Path, scans: Sequence[AnalysedScan], workers: Workers) -> StudyFacts:
    """Read what was done to every scan.

    Parameters
    ----------
    out_dir : Path
    scans : sequence of AnalysedScan
    workers : Workers
    """
    subjects = dict.fromkeys(scan.key.sub for scan in scans)
    jobs = [_Job(out_dir, tuple(scan for scan in scans if scan.key.sub == subject)) for subject in subjects]
    found = workers.run(_of_subject, jobs, lost=lambda _: StudyFacts())
    return StudyFacts(
        tuple(fact for one in found for fact in one.scans), tuple(spectrum for one in found for spectrum in one.spectra)
    )


def _of_subject(job: _Job) -> StudyFacts:
    facts, spectra = [], []
    for scan in job.scans:
        fit = read_fit(job.out_dir, scan.key)
        signal = with_sidecar(read_clean(job.out_dir, scan.key), scan.sidecar, where=scan.key.label)
        facts.append(scan_facts(scan.key.label, signal, fit, read_levels(job.out_dir, scan.key)))
        spectrum = scan_spectrum(scan.key, fit)
        spectra += [] if spectrum is None else [spectrum]
    return StudyFacts(tuple(facts), tuple(spectra))
