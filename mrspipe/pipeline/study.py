"""A study: every scan through the stages, then the group, then the pages.

What is on disk is what counts. Scans are written as they finish; tables and pages are made from the files, so a resumed
run gives the same bytes as an uninterrupted one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mrspipe import __version__
from mrspipe.checks.catalogue import Finding
from mrspipe.config import StudyConfig, config_toml, load_config
from mrspipe.core.errors import ConfigError, FileError, InputError
from mrspipe.core.results import Failure
from mrspipe.core.signal import ScanKey
from mrspipe.engine import run_jobs
from mrspipe.fit.learning import LearnedMacromolecules, to_json
from mrspipe.io.atomic import atomic_write_text
from mrspipe.io.bids import (
    ScanFiles,
    Selection,
    StudyFiles,
    check_output_dir,
    find_scans,
    participants,
    sessions,
)
from mrspipe.io.derivatives import write_dataset_description
from mrspipe.io.manifest import fingerprint, is_current, read_manifest, set_aside
from mrspipe.io.tables import read_json, read_table, write_json
from mrspipe.pipeline.basis import read_basis_once
from mrspipe.pipeline.changes import write_scan_changes
from mrspipe.pipeline.group import Comparison, compare, read_comparison
from mrspipe.pipeline.labels import refuse_labels_not_in, refuse_unknown_labels
from mrspipe.pipeline.learning import learn, read_learned
from mrspipe.pipeline.linewidths import matched_linewidths
from mrspipe.pipeline.pages import write_blinded_pages, write_pages
from mrspipe.pipeline.preflight import check_scans, write_checks
from mrspipe.pipeline.provenance import provenance
from mrspipe.pipeline.scan import ScanJob, ScanOutcome, lost_scan, run_scan
from mrspipe.pipeline.tables import collect, failures_of, write_failures
from mrspipe.stats.questions import resolve_contrasts

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
    everything : StudyFiles
        The whole dataset, also what was not selected.
    must_learn : bool
        The scans wait for what all of them teach about the macromolecules.
    """

    files: StudyFiles
    current: tuple[ScanFiles, ...]
    waiting: tuple[ScanJob, ...]
    everything: StudyFiles
    must_learn: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class StudySummary:
    """What a run did, for the command line."""

    n_scans: int
    n_reused: int
    failures: tuple[Failure, ...]
    skipped: tuple[tuple[Path, str], ...] = ()
    comparison: Comparison | None = None
    group_page: Path | None = None
    told: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class StudyRequest:
    """Which study, where to, and with which settings."""

    bids_dir: Path
    out_dir: Path
    config: StudyConfig
    selection: Selection = field(default_factory=Selection)
    derivatives: Mapping[str, Path] = field(default_factory=dict)


def find_study(request: StudyRequest) -> tuple[StudyFiles, StudyFiles]:
    """Find the scans that are selected, and all scans of the dataset; nothing is written.

    Raises
    ------
    MrspipeError
        The dataset, the output folder or the settings cannot be used at all.
    """
    check_output_dir(request.bids_dir, request.out_dir)
    read_basis_once(request.config.basis)
    resolve_contrasts(request.config.design, request.config.contrast)
    files = find_scans(request.bids_dir, selection=request.selection, derivatives=request.derivatives)
    participants(request.bids_dir)
    sessions(request.bids_dir)
    _refuse_mixed_voxels(files, request.config)
    selects = request.selection != Selection()
    everything = find_scans(request.bids_dir, derivatives=request.derivatives) if selects else files
    refuse_unknown_labels(everything, request.config.design)
    return files, everything


def find_refused(request: StudyRequest) -> Mapping[ScanKey, Failure]:
    """Check the selected scans, and give those that must not be analysed; nothing is written."""
    return check_scans(find_study(request)[0], request.config).refused


def plan_study(request: StudyRequest, refused: Mapping[ScanKey, Failure] | None = None) -> StudyPlan:
    """Find the scans and what is still to be done; nothing is written.

    Parameters
    ----------
    request : StudyRequest
    refused : mapping of ScanKey to Failure, optional
        Scans that the checks refuse.

    Raises
    ------
    MrspipeError
        The dataset, the output folder or the settings cannot be used at all.
    """
    files, everything = (_without(found, refused or {}) for found in find_study(request))
    learns = request.config.fit.mm == "study"
    learned = _learned_before(request, everything)
    jobs = [_job(scan, request, learned) for scan in files.scans]
    manifest = read_manifest(request.out_dir)
    done = {job.files.key for job in jobs if is_current(manifest, job.files.key, job.fingerprint)}
    return StudyPlan(
        files=files,
        current=tuple(job.files for job in jobs if job.files.key in done),
        waiting=tuple(job for job in jobs if job.files.key not in done),
        everything=everything,
        must_learn=learns and learned is None,
    )


def _without(files: StudyFiles, refused: Mapping[ScanKey, Failure]) -> StudyFiles:
    """Make failures of the refused scans."""
    kept = tuple(scan for scan in files.scans if scan.key not in refused)
    failures = tuple(refused[scan.key] for scan in files.scans if scan.key in refused)
    return replace(files, scans=kept, failures=(*files.failures, *failures))


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
    files, everything = find_study(request)
    out_dir = request.out_dir
    write_dataset_description(out_dir, request.bids_dir, __version__)
    atomic_write_text(out_dir / "config.toml", config_toml(request.config))
    checks = check_scans(files, request.config, out_dir=out_dir, others=everything.scans, progress=progress)
    for key in checks.refused:
        set_aside(out_dir, key)
    write_checks(out_dir, checks, everything)
    made = provenance(request.bids_dir, request.derivatives, accepted=checks.accepted)
    write_json(out_dir / "provenance.json", made)
    plan = plan_study(request, checks.refused)
    found = list(plan.files.failures)
    if "participant" in levels:
        if plan.must_learn:
            scans = plan.everything.scans
            learn(out_dir, scans, _marks(plan.everything, request.config), request.config, progress)
            plan = plan_study(request, checks.refused)
        found += _run_scans(plan, request, progress)
    failures = write_failures(out_dir, found, plan.files, plan.everything)
    mine = tuple(failure for failure in failures if _is_selected(failure, plan.files, found))
    finished = _with_current_results(request, plan.everything)
    keys, learned = [scan.key for scan in finished], _learned_before(request, plan.everything)
    refits = request.config.fit.refits.enabled
    matched = matched_linewidths(out_dir, keys, request.config, learned, progress) if refits else []
    collect(out_dir, request.bids_dir, finished, request.config.design, matched)
    if request.config.fit.joint.enabled:
        write_scan_changes(out_dir, keys, request.config, learned, progress)
    comparison = compare(out_dir, request.config) if "group" in levels else None
    page = write_pages(out_dir, request.config, plan.everything, failures, comparison, progress)
    return StudySummary(
        n_scans=len(plan.files.scans) + len(plan.files.failures),
        n_reused=len(plan.current),
        failures=mine,
        skipped=plan.files.skipped,
        comparison=comparison,
        group_page=page,
        told=checks.told,
    )


def _is_selected(failure: Failure, files: StudyFiles, found: Sequence[Failure]) -> bool:
    selected = {tuple(scan.key.entities.get(name) for name in ("sub", "ses", "task", "run")) for scan in files.scans}
    place = tuple(failure.entities.get(name) for name in ("sub", "ses", "task", "run"))
    return place in selected or any(failure.row() == one.row() for one in found)


def _with_current_results(request: StudyRequest, everything: StudyFiles) -> list[ScanFiles]:
    """Scans whose results were computed from these files with these settings."""
    learned = _learned_before(request, everything)
    manifest = read_manifest(request.out_dir)
    jobs = [_job(scan, request, learned) for scan in everything.scans]
    return [job.files for job in jobs if is_current(manifest, job.files.key, job.fingerprint)]


def _learned_before(request: StudyRequest, everything: StudyFiles) -> LearnedMacromolecules | None:
    if request.config.fit.mm != "study":
        return None
    return read_learned(request.out_dir, _marks(everything, request.config))


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
    _check_results(out_dir)
    settings = load_config(config or out_dir / "config.toml")
    if config is not None:
        measurements = out_dir / "group" / "measurements.tsv"
        refuse_labels_not_in(read_table(measurements), settings.design, where=str(measurements))
        # The pages are made from what is written here.
        before = load_config(out_dir / "config.toml")
        kept = {"design": settings.design, "contrast": settings.contrast, "stats": settings.stats}
        settings = before.model_copy(update=kept)
        atomic_write_text(out_dir / "config.toml", config_toml(settings))
    return _described_again(out_dir, settings, compare(out_dir, settings))


def report_again(out_dir: Path, progress: Progress = lambda *_: None, *, blind: bool = False) -> Path | None:
    """Write the pages of an analysed study again; nothing is computed.

    Parameters
    ----------
    out_dir : Path
    progress : callable, optional
    blind : bool
        Write pages that do not tell the groups apart, beside the others.

    Raises
    ------
    MrspipeError
        There are no results, or the participants' names tell their groups.
    """
    _check_results(out_dir)
    settings = load_config(out_dir / "config.toml")
    comparison = read_comparison(out_dir, settings)
    if blind:
        return write_blinded_pages(out_dir, settings, _files_of(out_dir), failures_of(out_dir), comparison, progress)
    return _described_again(out_dir, settings, comparison, progress).group_page


def _check_results(out_dir: Path) -> None:
    if not (out_dir / "config.toml").is_file():
        raise InputError(
            "There are no results of mrspipe run here.",
            where=str(out_dir),
            cure="Give the folder that mrspipe run wrote to.",
            code="no-results",
        )


def _described_again(
    out_dir: Path, config: StudyConfig, comparison: Comparison, progress: Progress = lambda *_: None
) -> StudySummary:
    files = _files_of(out_dir)
    failures = failures_of(out_dir)
    page = write_pages(out_dir, config, files, failures, comparison, progress)
    n_scans = len(files.scans) + len(files.failures)
    return StudySummary(n_scans, n_scans, failures, files.skipped, comparison, page)


def _files_of(out_dir: Path) -> StudyFiles:
    """The scans that the results were made from."""
    known = read_json(out_dir / "provenance.json")
    derivatives = {name: Path(path) for name, path in known["Derivatives"].items()}
    return find_scans(Path(known["Source"]), derivatives=derivatives)


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


def _refuse_mixed_voxels(files: StudyFiles, config: StudyConfig) -> None:
    """A comparison averages the runs of a visit; scans of different voxels or acquisitions are no runs."""
    kinds: dict[tuple[object, ...], set[tuple[object, ...]]] = {}
    for scan in files.scans:
        key = scan.key
        kinds.setdefault((key.sub, key.ses, key.task), set()).add((key.acq, key.voi, key.nuc, key.rec, key.echo))
    if config.design.factors and any(len(found) > 1 for found in kinds.values()):
        raise ConfigError(
            "Some visits have scans of several acquisitions or voxels (acq, voi, rec, echo), which cannot be averaged.",
            where=str(files.root),
            cure='Choose one with --bids-filter-file, for example {"svs": {"voi": "nacc"}}.',
            code="several-voxels",
        )


def _marks(files: StudyFiles, config: StudyConfig) -> list[str]:
    return [_fingerprint(scan, config) for scan in files.scans]


def _job(scan: ScanFiles, request: StudyRequest, learned: LearnedMacromolecules | None) -> ScanJob:
    mark = _fingerprint(scan, request.config)
    if learned is not None:
        mark = fingerprint(mark, to_json(learned))
    return ScanJob(scan, request.out_dir, request.config, mark, learned)


def _fingerprint(scan: ScanFiles, config: StudyConfig) -> str:
    """Hash of everything the results of a scan depend on, as the bytes of the files and not their dates."""
    files = [scan.metabolites, scan.water, scan.anatomy, *(scan.tissue_maps[name] for name in sorted(scan.tissue_maps))]
    basis = [Path(config.basis.file)] if config.basis.file else []
    settings = [config.preprocess, config.basis, config.fit, config.quantify, config.qc]
    notes = [scan.sidecar, scan.water_sidecar, scan.water_note, scan.tissue_note]
    try:
        return fingerprint(__version__, scan.key, *(file for file in files if file), *basis, *settings, *notes)
    except FileError as error:
        # Reading the scan will say what is wrong with it.
        return str(error)
