"""Spectra without a study: one or many files of any format, each with or without its water reference.

A batch goes through in passes: every spectrum is read and preprocessed, all of them teach what they share where the
settings ask for it (`mrspipe.pipeline.learning`), and every one is fitted. Preprocessed spectra stay in memory.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mrspipe.checks.scan import refuse
from mrspipe.config import StudyConfig
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import ConfigError
from mrspipe.core.results import Failure
from mrspipe.core.scan_result import ScanResult
from mrspipe.core.signal import Scan, ScanKey, Signal
from mrspipe.engine import Progress, Workers, counted
from mrspipe.fit.learning import LearnedMacromolecules
from mrspipe.io.atomic import atomic_write_text
from mrspipe.io.bids import NO_WATER
from mrspipe.io.columns import BUDGET, CONCENTRATIONS
from mrspipe.io.derivatives import fit_curves, fit_parameters
from mrspipe.io.digests import fingerprint
from mrspipe.io.lcmodel_files import looks_like_raw, read_raw
from mrspipe.io.nifti_mrs import read_signal, write_signal
from mrspipe.io.rows import budget_rows, concentration_rows
from mrspipe.io.sidecars import with_sidecar
from mrspipe.io.tables import read_json, table_of, write_json, write_table
from mrspipe.io.vendor import read_vendor
from mrspipe.pipeline.basis import basis_for, read_basis_once
from mrspipe.pipeline.changes import write_spectrum_changes
from mrspipe.pipeline.learning import learn_from, store_learned
from mrspipe.pipeline.scan import StageError, analyse_scan, failure_of, stage
from mrspipe.preprocess.steps import PreprocessSettings, preprocess
from mrspipe.report.figures import fit_figure
from mrspipe.report.svg import svg_file

# What is preprocessed needs no further step.
_PREPROCESSED = {"preprocess": PreprocessSettings(steps=())}


@dataclass(frozen=True, slots=True)
class RawHeader:
    """What LCModel RAW files do not say; what is None is taken from the basis set."""

    dwell_s: float | None = None
    spectrometer_hz: float | None = None
    echo_time_s: float | None = None


@dataclass(frozen=True, slots=True)
class SpectrumJob:
    """One spectrum to fit."""

    name: str
    metabolites: Path
    water: Path | None
    out_dir: Path
    config: StudyConfig
    header: RawHeader
    figures: bool


@dataclass(frozen=True, slots=True)
class SpectrumOutcome:
    """Rows of ``summary.tsv``, or why there are none."""

    name: str
    rows: tuple[dict[str, Any], ...] = ()
    advice: tuple[str, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """What became of the spectra, in their order, and what was learned from all of them."""

    outcomes: tuple[SpectrumOutcome, ...]
    learned: LearnedMacromolecules | None = None

    @property
    def note(self) -> str:
        """One line about the macromolecules; empty when nothing was to be learned."""
        if self.learned is None:
            return ""
        n = f"{self.learned.n_spectra} usable spectra"
        if self.learned.trusted:
            return f"Macromolecules: learned from {n}."
        return f"Macromolecules: generic shape, because {n} are too few to learn from."


@dataclass(frozen=True, slots=True)
class _FitJob:
    """A preprocessed spectrum, or why there is none, and what all spectra taught."""

    job: SpectrumJob
    clean: Scan | Failure
    learned: LearnedMacromolecules | None


def fit_files(
    spectra: Sequence[Path],
    waters: Sequence[Path],
    out_dir: Path,
    config: StudyConfig,
    header: RawHeader,
    progress: Progress,
    *,
    figures: bool = True,
    joint: bool = False,
) -> BatchSummary:
    """Fit spectra and write the results of each, and ``summary.tsv`` of all.

    With ``fit.mm = "study"`` all of them together teach the macromolecule lines first (``macromolecules.json``).

    Parameters
    ----------
    spectra : sequence of Path
        NIfTI-MRS, LCModel RAW, or any vendor file that spec2nii reads.
    waters : sequence of Path
        None, or one for each spectrum, in the same order.
    out_dir : Path
    config : StudyConfig
    header : RawHeader
    progress : callable
    figures : bool, optional
        Draw each fit, which takes longer than the fit itself.
    joint : bool, optional
        All spectra are of one subject: fit them together, too, and write what changed since the first
        (``changes.tsv``).

    Returns
    -------
    BatchSummary
        A spectrum that cannot be read or fitted is a failure there, and does not stop the others.

    Raises
    ------
    ConfigError
        There are water references, but not one for each spectrum; or two spectra have the same name.
    FileError
        The basis set cannot be read.
    """
    if waters and len(waters) != len(spectra):
        raise ConfigError(
            f"{len(spectra)} spectra but {len(waters)} water references were given.",
            cure="Give --water once for each spectrum, in the same order, or not at all.",
            code="water-count",
        )
    read_basis_once(config.basis)
    jobs = [
        SpectrumJob(name, spectrum, water, out_dir, config, header, figures)
        for name, spectrum, water in zip(_names(spectra), spectra, waters or _no_water(spectra), strict=True)
    ]
    with Workers(config.engine, sparing=True) as workers:
        clean = workers.run(_prepare, jobs, lost=_lost, done=counted(progress, "Preprocessing", len(jobs)))
        learned = _learned(clean, out_dir, config, workers, progress)
        waiting = [_FitJob(job, scan, learned) for job, scan in zip(jobs, clean, strict=True)]
        outcomes = workers.run(_fit, waiting, lost=_lost_fit, done=counted(progress, "Spectra", len(jobs)))
    _write_tables(out_dir, outcomes)
    if joint:
        usable = {job.name: scan.metabolites for job, scan in zip(jobs, clean, strict=True) if isinstance(scan, Scan)}
        write_spectrum_changes(out_dir / "changes.tsv", usable, config, learned)
    return BatchSummary(tuple(outcomes), learned)


def _learned(
    clean: Sequence[Scan | Failure],
    out_dir: Path,
    config: StudyConfig,
    workers: Workers,
    progress: Progress,
) -> LearnedMacromolecules | None:
    if config.fit.mm != "study":
        return None
    signals = [scan.metabolites for scan in clean if isinstance(scan, Scan)]
    marks = [fingerprint(signal.samples, signal.axis) for signal in signals]
    taught = {"fingerprint": fingerprint(sorted(marks))}
    return store_learned(out_dir, learn_from(signals, config, workers, progress), taught)


def _write_tables(out_dir: Path, outcomes: Sequence[SpectrumOutcome]) -> None:
    rows = [row for outcome in outcomes for row in outcome.rows]
    write_table(out_dir / "summary.tsv", table_of(rows, CONCENTRATIONS), CONCENTRATIONS)
    failed = [{"spectrum": o.name, **o.failure.row()} for o in outcomes if o.failure]
    columns = ("spectrum", "stage", "code", "message", "cure")
    write_table(out_dir / "failures.tsv", table_of(failed, columns))


def _no_water(spectra: Sequence[Path]) -> list[None]:
    return [None] * len(spectra)


def _names(paths: Sequence[Path]) -> list[str]:
    """A name for each file: its stem, with the folder before it where two files have the same stem."""
    stems = [path.name.removesuffix(".gz").rsplit(".", 1)[0] for path in paths]
    counts = Counter(stems)
    names = [
        stem if counts[stem] == 1 else f"{path.absolute().parent.name}_{stem}"
        for stem, path in zip(stems, paths, strict=True)
    ]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(
            f"Two spectra would be written to the same folder: {', '.join(twice)}.",
            cure="Fit them in two calls with different --out.",
            code="same-name",
        )
    return names


def _prepare(job: SpectrumJob) -> Scan | Failure:
    """Read a spectrum with its water reference and preprocess both."""
    try:
        with stage("load"):
            basis = read_basis_once(job.config.basis)
            signal = load_spectrum(job.metabolites, basis, job.header)
            water = load_spectrum(job.water, basis, job.header) if job.water else None
        with stage("check"):
            scan = Scan(ScanKey(sub=job.name), signal, water, water_note="" if water else NO_WATER)
            refuse(scan, job.name, job.config.checks)
        with stage("preprocess"):
            return preprocess(scan, job.config.preprocess)
    except StageError as error:
        return failure_of(job.name, {}, error, job.out_dir)


def _fit(waiting: _FitJob) -> SpectrumOutcome:
    job, clean = waiting.job, waiting.clean
    if isinstance(clean, Failure):
        return SpectrumOutcome(job.name, failure=clean)
    try:
        with stage("basis"):
            basis = basis_for(clean.metabolites, job.config.basis)
        result = analyse_scan(clean, basis, job.config.model_copy(update=_PREPROCESSED), waiting.learned)
        with stage("write"):
            rows = _write(job, result)
    except StageError as error:
        return SpectrumOutcome(job.name, failure=failure_of(job.name, {}, error, job.out_dir))
    return SpectrumOutcome(job.name, tuple(rows), (*result.fit.advice, *result.quality.reasons))


def _lost(job: SpectrumJob) -> Failure:
    message = "The process that analysed this spectrum ended without a word."
    return Failure({}, "run", "worker-died", message, "Run with fewer --n-procs.")


def _lost_fit(waiting: _FitJob) -> SpectrumOutcome:
    return SpectrumOutcome(waiting.job.name, failure=_lost(waiting.job))


def load_spectrum(path: Path, basis: BasisSet | None, header: RawHeader) -> Signal:
    """Read a spectrum of any format.

    Raises
    ------
    MrspipeError
        It cannot be read, or a RAW file's dwell time or frequency is not known.
    """
    if not path.exists():
        raise ConfigError("There is no such file.", where=str(path), cure="Check the path.", code="no-file")
    if path.name.endswith((".nii", ".nii.gz")):
        sidecar = path.with_name(path.name.split(".nii")[0] + ".json")
        signal = read_signal(path)
        return with_sidecar(signal, read_json(sidecar), where=path.name) if sidecar.exists() else signal
    if looks_like_raw(path):
        return _read_raw(path, basis, header)
    return read_vendor([path])


def _read_raw(path: Path, basis: BasisSet | None, header: RawHeader) -> Signal:
    """Read a RAW file; what it does not say comes from the options, or else from the basis set."""
    known = header
    if basis is not None:
        known = replace(
            header,
            dwell_s=header.dwell_s or basis.axis.dwell_s,
            spectrometer_hz=header.spectrometer_hz or basis.axis.spectrometer_hz,
            echo_time_s=header.echo_time_s or basis.echo_time_s,
        )
    if known.dwell_s is None or known.spectrometer_hz is None:
        raise ConfigError(
            "An LCModel RAW file does not say its dwell time and frequency.",
            where=str(path),
            cure="Give --dwell-s and --spectrometer-mhz, or a basis set of the same sampling.",
            code="raw-header",
        )
    return read_raw(path, dwell_s=known.dwell_s, spectrometer_hz=known.spectrometer_hz, echo_time_s=known.echo_time_s)


def _write(job: SpectrumJob, result: ScanResult) -> list[dict[str, Any]]:
    folder = job.out_dir / job.name
    rows = concentration_rows(result, job.name)
    write_table(folder / "concentrations.tsv", table_of(rows, CONCENTRATIONS), CONCENTRATIONS)
    write_table(folder / "error_budget.tsv", table_of(budget_rows(result, job.name), BUDGET), BUDGET)
    write_json(folder / "fit.json", fit_parameters(result.fit))
    write_table(folder / "fit.tsv", fit_curves(result.fit))
    write_signal(folder / "preproc_svs.nii.gz", result.clean.metabolites)
    # A figure of an earlier fit would not be that of these numbers.
    (folder / "fit.svg").unlink(missing_ok=True)
    if job.figures:
        atomic_write_text(folder / "fit.svg", svg_file(fit_figure(result.fit)))
    return rows
