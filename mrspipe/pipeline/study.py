"""A study: every scan through the stages, then the group, then the pages.

What is on disk is what counts. Scans are written as they finish; tables and pages are made from the files, so a resumed
run gives the same bytes as an uninterrupted one. The level of the participants writes only what belongs to single
scans and subjects, so several runs may share an output folder; tables are collected at the level of the group.
"""

from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from time import perf_counter

from mrspipe import __version__
from mrspipe.config import StudyConfig, config_toml
from mrspipe.core.results import Failure
from mrspipe.core.signal import ScanKey
from mrspipe.engine import EngineSettings, Progress, Workers
from mrspipe.io.atomic import atomic_write_text, recorded
from mrspipe.io.bids import ScanFiles, StudyFiles
from mrspipe.io.derivatives import write_dataset_description
from mrspipe.io.digests import fingerprint
from mrspipe.io.locks import locked
from mrspipe.io.manifest import set_aside, write_manifest
from mrspipe.io.tables import MISSING
from mrspipe.pipeline.changes import write_scan_changes
from mrspipe.pipeline.group import Comparison, compare, read_comparison
from mrspipe.pipeline.kept_rows import KeptRows
from mrspipe.pipeline.learning import learn
from mrspipe.pipeline.linewidths import write_linewidths
from mrspipe.pipeline.marks import Marks, of_measurements, relative, without_engine
from mrspipe.pipeline.outputs import Outputs, contents, results_of
from mrspipe.pipeline.pages import (
    Pages,
    dataset_name,
    write_checklist,
    write_study_page,
    write_subject_pages,
    write_words,
)
from mrspipe.pipeline.plan import StudyPlan, find_study, hashes_of, plan_scans, teaching
from mrspipe.pipeline.preflight import (
    StudyChecks,
    check_scans,
    notes_of_scans,
    read_checks,
    rows_of_checks,
    write_checks,
)
from mrspipe.pipeline.provenance import inputs_of, provenance, write_provenance, write_run
from mrspipe.pipeline.request import StudyRequest as StudyRequest
from mrspipe.pipeline.request import StudySummary as StudySummary
from mrspipe.pipeline.scan import ScanOutcome, lost_scan, run_scan
from mrspipe.pipeline.study_facts import study_facts
from mrspipe.pipeline.tables import (
    collect,
    forget_failures,
    in_order,
    record_failure,
    recorded_failures,
    write_failures,
)
from mrspipe.pipeline.words import procedures

LEVELS = ("participant", "group")
_MOST_NAMES = 3


@dataclass(frozen=True, slots=True)
class _Run:
    """What the steps of a run share; ``seconds`` takes up how long each took."""

    request: StudyRequest
    outputs: Outputs
    marks: Marks
    workers: Workers
    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Note how long a block took."""
        start = perf_counter()
        yield
        self.seconds[step] = round(perf_counter() - start, 3)


class _CrashError(Exception):
    """A scan failed for a reason nobody foresaw, and the rest shall not be run."""


def analyse_study(
    request: StudyRequest, *, levels: Sequence[str] = LEVELS, progress: Progress = lambda *_: None
) -> StudySummary:
    """Analyse a study.

    Parameters
    ----------
    request : StudyRequest
    levels : sequence of str
        ``"participant"`` for the scans, ``"group"`` for the tables and the comparison.
    progress : callable, optional
        Called with what is being done, how much of it is done, and how much there is.

    Returns
    -------
    StudySummary

    Raises
    ------
    MrspipeError
        The study as a whole cannot be analysed, or another run writes to the same place. What is wrong with one scan
        is a failure in the summary.
    """
    files, everything = find_study(request)
    subjects = None if "group" in levels else _subjects(files.scans, files.failures)
    hashes = hashes_of(request)
    outputs, marks = Outputs(request.out_dir, hashes), Marks(request.config, hashes)
    with (
        locked(request.out_dir, subjects),
        Workers(request.config.engine, work_dir=request.work) as workers,
    ):
        try:
            return _analysed(_Run(request, outputs, marks, workers, progress), files, everything, levels)
        finally:
            hashes.save()


def _analysed(run: _Run, files: StudyFiles, everything: StudyFiles, levels: Sequence[str]) -> StudySummary:
    request, out_dir = run.request, run.request.out_dir
    _describe(run)
    with run.timed("checks"):
        checks = _checked(run, files, everything)
        plan = plan_scans(request, run.outputs, run.marks, files, everything, checks.refused, relearn=request.relearn)
    found, crashed = list(plan.files.failures), False
    if "participant" in levels:
        with run.timed("learning"):
            plan = _taught(run, plan, checks) if plan.must_learn else plan
        with run.timed("scans"):
            failed, crashed = _run_scans(run, plan)
            found += failed
    group = "group" in levels and not crashed
    if group:
        _set_past_aside(run, plan)
    shown = plan.everything if group else _of_subjects(plan.everything, _subjects(files.scans, files.failures))
    finished = _finished(run, plan, shown)
    noted = recorded_failures(out_dir, [scan.key.label for scan in shown.scans])
    failures = in_order([*found, *shown.failures, *noted])
    comparison = _compared(run, plan, checks, finished, failures) if group else None
    rows = read_checks(out_dir) if group else [*rows_of_checks(checks), *_earlier_checks(out_dir, checks)]
    title = request.config.title or dataset_name(files.root)
    pages = Pages(run.outputs, request.config, title, failures, notes_of_scans(rows))
    page = _paged(run, pages, finished, comparison)
    _account(run, plan, checks, finished, whole=group)
    # Scans that only the level of the participants would compute are neither analysed nor failures.
    left = [] if "participant" in levels else [job.files.key.label for job in plan.waiting]
    return StudySummary(
        n_scans=len(plan.files.scans) + len(plan.files.failures) - len(left),
        n_reused=len(plan.current),
        failures=tuple(failure for failure in failures if _is_selected(failure, plan.files, found)),
        skipped=plan.files.skipped,
        comparison=comparison,
        group_page=page,
        told=checks.told,
        notes=tuple(_notes(plan, left, crashed=crashed)),
        seconds=run.seconds,
    )


def _subjects(scans: Iterable[ScanFiles], failures: Iterable[Failure]) -> frozenset[str]:
    return frozenset({scan.key.sub for scan in scans} | {f.entities["sub"] for f in failures if "sub" in f.entities})


def _finished(run: _Run, plan: StudyPlan, shown: StudyFiles) -> list[ScanFiles]:
    """Scans whose results were computed from these files with these settings."""
    manifest, learned = run.outputs.manifest(), plan.lesson.learned if plan.lesson else None
    finished = [
        scan for scan in shown.scans if run.outputs.is_current(manifest, scan.key.label, run.marks.scan(scan, learned))
    ]
    forget_failures(run.request.out_dir, [scan.key.label for scan in finished])
    return finished


def _paged(run: _Run, pages: Pages, finished: Sequence[ScanFiles], comparison: Comparison | None) -> Path | None:
    """Write the pages; gives that of the study."""
    with run.timed("pages"):
        write_subject_pages(pages, finished, _subjects(finished, pages.failures), run.workers, run.progress)
        if comparison is None:
            return None
        keys = [scan.key for scan in finished]
        results = results_of(run.outputs.manifest(), keys)
        facts = cache(lambda: study_facts(run.request.out_dir, keys, run.workers))
        write_words(pages, procedures(comparison.contrasts), results, facts)
        write_checklist(pages, finished, results)
        return write_study_page(pages, comparison, tables_of(run.outputs), results, facts)


def _set_past_aside(run: _Run, plan: StudyPlan) -> None:
    """Take away what an earlier run wrote of scans and subjects that are gone, and of steps that are not asked for."""
    out_dir, config = run.request.out_dir, run.request.config
    subjects = _subjects(plan.everything.scans, plan.everything.failures)
    there = {scan.key.label for scan in plan.everything.scans} | {f"page_sub-{subject}" for subject in subjects}
    wanted = {
        "learning": config.fit.mm == "study",
        "changes": config.fit.joint.enabled,
        "linewidths": config.fit.refits.enabled,
    }
    for name in run.outputs.manifest().entries:
        if (name.startswith(("sub-", "page_sub-")) and name not in there) or not wanted.get(name, True):
            set_aside(out_dir, name)


def _of_subjects(files: StudyFiles, subjects: Set[str]) -> StudyFiles:
    failures = tuple(failure for failure in files.failures if failure.entities.get("sub") in subjects)
    return replace(files, scans=tuple(scan for scan in files.scans if scan.key.sub in subjects), failures=failures)


def _earlier_checks(out_dir: Path, checks: StudyChecks) -> list[dict[str, str]]:
    """What an earlier run found in scans that this one did not check."""
    now = {report.key.label for report in checks.reports}
    return [row for row in read_checks(out_dir) if row["scan"] not in now | {MISSING}]


def _describe(run: _Run) -> None:
    request = run.request
    settings = config_toml(request.config.model_copy(update={"engine": EngineSettings()}))

    def write() -> None:
        write_dataset_description(request.out_dir, request.bids_dir, __version__)
        atomic_write_text(request.out_dir / "config.toml", settings)

    run.outputs.make(
        run.outputs.manifest(), "description", [relative(request.bids_dir, request.out_dir), settings], write
    )


def _checked(run: _Run, files: StudyFiles, everything: StudyFiles) -> StudyChecks:
    """Check the scans, and take away the results of those that must not be analysed."""
    out_dir = run.request.out_dir
    checks = check_scans(
        files,
        run.request.config,
        run.workers,
        out_dir=out_dir,
        marks=run.marks,
        others=everything.scans,
        progress=run.progress,
    )
    for key, failure in checks.refused.items():
        set_aside(out_dir, key.label)
        record_failure(out_dir, key.label, failure)
    return checks


def _taught(run: _Run, plan: StudyPlan, checks: StudyChecks) -> StudyPlan:
    """Learn from all scans of the study; gives the plan with what was learned."""
    request, everything = run.request, plan.everything
    marks, settings = teaching(run.marks, everything), run.marks.learning_settings
    with recorded() as written:
        learn(request.out_dir, everything.scans, marks, settings, request.config, run.workers, run.progress)
    write_manifest(request.out_dir, "learning", settings, written)
    return plan_scans(request, run.outputs, run.marks, plan.files, everything, checks.refused)


def _run_scans(run: _Run, plan: StudyPlan) -> tuple[list[Failure], bool]:
    """Run what waits; gives what failed, and whether a crash stopped the rest."""
    out_dir, n_all = run.request.out_dir, len(plan.waiting)
    outcomes: list[ScanOutcome] = []

    def report(outcome: ScanOutcome) -> None:
        outcomes.append(outcome)
        run.seconds[outcome.key.label] = round(sum(outcome.seconds.values()), 3)
        if outcome.failure is not None:
            set_aside(out_dir, outcome.key.label)
            record_failure(out_dir, outcome.key.label, outcome.failure)
        run.progress("Scans", len(outcomes), n_all)
        if run.request.stop_on_first_crash and outcome.failure is not None and outcome.failure.code == "crash":
            raise _CrashError

    crashed = False
    try:
        run.workers.run(run_scan, plan.waiting, lost=lost_scan, done=report)
    except _CrashError:
        crashed = True
    return [outcome.failure for outcome in outcomes if outcome.failure is not None], crashed


def _compared(
    run: _Run,
    plan: StudyPlan,
    checks: StudyChecks,
    finished: Sequence[ScanFiles],
    failures: Sequence[Failure],
) -> Comparison:
    """Collect the tables, and compare the groups."""
    request, out_dir, config = run.request, run.request.out_dir, run.request.config
    with run.timed("tables"):
        with recorded() as written:
            write_checks(out_dir, checks, plan.everything)
            write_failures(out_dir, failures)
        write_manifest(out_dir, "findings", "", written)
        keys = [scan.key for scan in finished]
        results = contents(run.outputs.manifest(), keys)
        known = [run.marks.hashes.of(path) for path in _demographics(request.bids_dir)]
        run.outputs.make(
            run.outputs.manifest(),
            "tables",
            [results, known],
            lambda: collect(out_dir, request.bids_dir, finished),
        )
    learned = plan.lesson.learned if plan.lesson else None
    again = {"changes": (config.fit.joint.enabled, write_scan_changes)}
    again["linewidths"] = (config.fit.refits.enabled, write_linewidths)
    refits = run.marks.refits(learned)

    def mark(some: Sequence[ScanKey]) -> str:
        return fingerprint(refits, {key.label: results[key.label] for key in some})

    for step, (wanted, write) in again.items():
        if wanted:
            kept = KeptRows(out_dir, step, mark)
            with run.timed(step):
                run.outputs.make(
                    run.outputs.manifest(),
                    step,
                    [refits, results],
                    partial(write, kept, keys, config, learned, run.workers, run.progress),
                )
    with run.timed("comparison"):
        return compared(run.outputs, config)


def compared(outputs: Outputs, config: StudyConfig) -> Comparison:
    """Compare the groups from the tables, unless that was done with the same tables and settings.

    What the commands ``compare`` and ``power`` made of other tables or for another design is set aside.
    """
    out_dir = outputs.out_dir
    parts = [tables_of(outputs, ("tables", "changes", "linewidths")), without_engine(config)]
    outputs.make(outputs.manifest(), "comparison", parts, lambda: compare(out_dir, config))
    entries = outputs.manifest().entries
    for name in ("compare", "power"):
        if name in entries and entries[name].fingerprint != of_measurements(out_dir, config):
            set_aside(out_dir, name)
    return read_comparison(out_dir, config)


def tables_of(
    outputs: Outputs, steps: Sequence[str] = ("findings", "tables", "changes", "linewidths", "comparison")
) -> dict[str, str]:
    """Hash of each table that steps of the group wrote, as it is now, by its path."""
    entries = outputs.manifest().entries
    paths = [path for name in steps if name in entries for path in entries[name].outputs]
    return {path: outputs.hashes.of(outputs.out_dir / path) for path in paths if (outputs.out_dir / path).exists()}


def _demographics(bids_dir: Path) -> list[Path]:
    """The files that say who the participants are."""
    listed = bids_dir / "participants.tsv"
    return [*([listed] if listed.exists() else []), *sorted(bids_dir.glob("sub-*/sub-*_sessions.tsv"))]


def _account(run: _Run, plan: StudyPlan, checks: StudyChecks, finished: Sequence[ScanFiles], *, whole: bool) -> None:
    """Say what made the results; the record of the whole study only when this run wrote all of it."""
    request, root = run.request, plan.files.root
    lesson = plan.lesson
    record = provenance(
        root,
        request.out_dir,
        request.derivatives,
        inputs_of(run.marks, root, finished, _demographics(root)),
        name=dataset_name(root),
        accepted=checks.accepted,
        learned={"n_spectra": lesson.learned.n_spectra, "ChangedSince": lesson.changed} if lesson else None,
    )
    if whole:
        write_provenance(request.out_dir, record)
    write_run(request.out_dir, record, run.seconds)


def _notes(plan: StudyPlan, left: Sequence[str], *, crashed: bool) -> Iterator[str]:
    if left:
        yield f"Not in the tables, because the level participant has still to analyse them: {_some(left)}."
    if crashed:
        yield "Stopped at the first crash; tables were not made. logs/crash-*.txt says where it happened."
    if plan.lesson is not None and plan.lesson.changed:
        yield (
            f"The nuisance model was learned before these scans were changed, added or removed: "
            f"{_some(plan.lesson.changed)}. --relearn learns it anew and fits every scan again."
        )


def _some(labels: Sequence[str]) -> str:
    """The first few of many names."""
    more = f" and {len(labels) - _MOST_NAMES} more" if len(labels) > _MOST_NAMES else ""
    return ", ".join(labels[:_MOST_NAMES]) + more


def _is_selected(failure: Failure, files: StudyFiles, found: Sequence[Failure]) -> bool:
    selected = {tuple(scan.key.entities.get(name) for name in ("sub", "ses", "task", "run")) for scan in files.scans}
    place = tuple(failure.entities.get(name) for name in ("sub", "ses", "task", "run"))
    return place in selected or any(failure.row() == one.row() for one in found)
