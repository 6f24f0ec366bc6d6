"""A study: every scan through the stages, then the group, then the pages.

What is on disk is what counts. Scans are written as they finish; tables and pages are made from the files, so a resumed
run gives the same bytes as an uninterrupted one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mrspipe import __version__
from mrspipe.config import StudyConfig, config_toml, load_config
from mrspipe.core.results import Failure
from mrspipe.engine import run_jobs
from mrspipe.io.atomic import atomic_write_text
from mrspipe.io.bids import ScanFiles, Selection, StudyFiles, check_output_dir, find_scans
from mrspipe.io.derivatives import write_dataset_description
from mrspipe.io.manifest import fingerprint, is_current, read_manifest, set_aside
from mrspipe.io.tables import read_json, write_json
from mrspipe.pipeline.basis import read_basis_once
from mrspipe.pipeline.group import Comparison, compare, read_comparison
from mrspipe.pipeline.pages import write_pages
from mrspipe.pipeline.provenance import provenance
from mrspipe.pipeline.scan import ScanJob, ScanOutcome, lost_scan, run_scan
from mrspipe.pipeline.tables import collect, failures_of, write_failures
from mrspipe.stats.design import resolve_contrasts

Progress = Callable[[str, int, int], None]
LEVELS = ("participant", "group")


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """What a run will do.

    Parameters
    ----------
    files : StudyFiles
    current : tuple of ScanFiles
        Scans whose results are there and still hold.
    waiting : tuple of ScanJob
        Scans to analyse.
    """

    files: StudyFiles
    current: tuple[ScanFiles, ...]
    waiting: tuple[ScanJob, ...]


@dataclass(frozen=True, slots=True, eq=False)
class StudySummary:
    """What a run did, for the command line."""

    n_scans: int
    n_reused: int
    failures: tuple[Failure, ...]
    skipped: tuple[tuple[Path, str], ...] = ()
    comparison: Comparison | None = None
    group_page: Path | None = None


@dataclass(frozen=True, slots=True)
class StudyRequest:
    """Which study, where to, and with which settings."""

    bids_dir: Path
    out_dir: Path
    config: StudyConfig
    selection: Selection = field(default_factory=Selection)
    derivatives: Mapping[str, Path] = field(default_factory=dict)


def plan_study(request: StudyRequest) -> StudyPlan:
    """Find the scans and what is still to be done; nothing is written.

    Raises
    ------
    MrspipeError
        The dataset, the output folder or the settings cannot be used at all.
    """
    check_output_dir(request.bids_dir, request.out_dir)
    read_basis_once(request.config.basis)
    resolve_contrasts(request.config.design, request.config.contrast)
    files = find_scans(request.bids_dir, selection=request.selection, derivatives=request.derivatives)
    manifest = read_manifest(request.out_dir)
    jobs = [(scan, _fingerprint(scan, request.config)) for scan in files.scans]
    return StudyPlan(
        files=files,
        current=tuple(scan for scan, mark in jobs if is_current(manifest, scan.key, mark)),
        waiting=tuple(
            ScanJob(scan, request.out_dir, request.config, mark)
            for scan, mark in jobs
            if not is_current(manifest, scan.key, mark)
        ),
    )


def analyse_study(
    request: StudyRequest, *, levels: Sequence[str] = LEVELS, progress: Progress = lambda *_: None
) -> StudySummary:
    """Analyse a study.

    Parameters
    ----------
    request : StudyRequest
    levels : sequence of str
        ``"participant"`` for the scans, ``"group"`` for the comparison.
    progress : callable, optional
        Called with what is being done, how much of it is done, and how much there is.

    Returns
    -------
    StudySummary

    Raises
    ------
    MrspipeError
        The study as a whole cannot be analysed. What is wrong with one scan is a failure in the summary.
    """
    plan = plan_study(request)
    out_dir = request.out_dir
    write_dataset_description(out_dir, request.bids_dir, __version__)
    atomic_write_text(out_dir / "config.toml", config_toml(request.config))
    write_json(out_dir / "provenance.json", provenance(request.bids_dir, request.derivatives))
    found = list(plan.files.failures)
    if "participant" in levels:
        found += _run_scans(plan, request, progress)
    failures = write_failures(out_dir, found, plan.files)
    everything = plan.files
    if request.selection != Selection():
        everything = find_scans(request.bids_dir, derivatives=request.derivatives)
    collect(out_dir, request.bids_dir, everything.scans, request.config.design)
    comparison = compare(out_dir, request.config) if "group" in levels else None
    page = write_pages(out_dir, request.config, everything, failures, comparison, progress)
    return StudySummary(
        n_scans=len(plan.files.scans) + len(plan.files.failures),
        n_reused=len(plan.current),
        failures=failures,
        skipped=plan.files.skipped,
        comparison=comparison,
        group_page=page,
    )


def compare_again(out_dir: Path, config: str | None) -> StudySummary:
    """Compare the groups of an analysed study again from its tables, and write the page of the study.

    Parameters
    ----------
    out_dir : Path
        Results of an earlier run.
    config : str or None
        Another configuration; by default that of the run.

    Raises
    ------
    MrspipeError
        There are no results, or the configuration is wrong.
    """
    settings = load_config(config or out_dir / "config.toml")
    return _described_again(out_dir, settings, compare(out_dir, settings))


def report_again(out_dir: Path, progress: Progress = lambda *_: None) -> Path | None:
    """Write the pages of an analysed study again; nothing is computed.

    Raises
    ------
    MrspipeError
        There are no results.
    """
    settings = load_config(out_dir / "config.toml")
    return _described_again(out_dir, settings, read_comparison(out_dir, settings), progress).group_page


def _described_again(
    out_dir: Path, config: StudyConfig, comparison: Comparison, progress: Progress = lambda *_: None
) -> StudySummary:
    known = read_json(out_dir / "provenance.json")
    derivatives = {name: Path(path) for name, path in known["Derivatives"].items()}
    files = find_scans(Path(known["Source"]), derivatives=derivatives)
    failures = failures_of(out_dir)
    page = write_pages(out_dir, config, files, failures, comparison, progress)
    n_scans = len(files.scans) + len(files.failures)
    return StudySummary(n_scans, n_scans, failures, files.skipped, comparison, page)


def _run_scans(plan: StudyPlan, request: StudyRequest, progress: Progress) -> list[Failure]:
    n_done, n_all = 0, len(plan.waiting)

    def report(outcome: ScanOutcome) -> None:
        nonlocal n_done
        n_done += 1
        if outcome.failure is not None:
            set_aside(request.out_dir, outcome.key)
        progress("Scans", n_done, n_all)

    outcomes = run_jobs(run_scan, plan.waiting, request.config.engine.n_procs, lost=lost_scan, done=report)
    return [outcome.failure for outcome in outcomes if outcome.failure is not None]


def _fingerprint(scan: ScanFiles, config: StudyConfig) -> str:
    """Hash of everything the results of a scan depend on, as the bytes of the files and not their dates."""
    files = [scan.metabolites, scan.water, scan.anatomy, *(scan.tissue_maps[name] for name in sorted(scan.tissue_maps))]
    basis = [Path(config.basis.file)] if config.basis.file else []
    settings = [config.preprocess, config.basis, config.fit, config.quantify, config.qc]
    notes = [scan.sidecar, scan.water_sidecar, scan.water_note, scan.tissue_note]
    return fingerprint(__version__, scan.key, *(file for file in files if file), *basis, *settings, *notes)
