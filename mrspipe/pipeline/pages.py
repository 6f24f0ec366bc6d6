"""The pages of a study, assembled from the files of its results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrspipe import __version__
from mrspipe.config import StudyConfig
from mrspipe.core.errors import MrspipeError
from mrspipe.core.results import Failure, TissueFractions
from mrspipe.core.signal import ScanKey, Signal
from mrspipe.core.volume import Volume
from mrspipe.engine import run_jobs
from mrspipe.io.atomic import atomic_write_text
from mrspipe.io.bids import ScanFiles, StudyFiles
from mrspipe.io.derivatives import read_clean, read_fit, read_levels, read_quality, read_voxel_mask, results_exist
from mrspipe.io.sidecars import with_sidecar
from mrspipe.io.tables import read_json, write_table
from mrspipe.io.volumes import read_volume
from mrspipe.pipeline.before_after import before_and_after
from mrspipe.pipeline.group import Comparison, group_page
from mrspipe.pipeline.preflight import notes_of_scans
from mrspipe.pipeline.words import ScanFacts, analysis_facts, methods_of, procedures, scan_facts
from mrspipe.report.content import ScanSection, SubjectPage
from mrspipe.report.methods_text import MethodsText, methods_markdown, references_bib
from mrspipe.report.mrsinmrs import MrsinmrsRow, mrsinmrs_rows
from mrspipe.report.pages import write_group_page, write_subject_page

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class PageJob:
    """What a worker needs for one subject's page."""

    out_dir: Path
    participant_id: str
    scans: tuple[ScanFiles, ...]
    failures: tuple[Failure, ...]
    config: StudyConfig
    title: str
    group_page: str
    checks: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class SubjectFacts:
    """What was done to a subject's scans, and the reporting checklist of the first."""

    scans: tuple[ScanFacts, ...] = ()
    checklist: tuple[MrsinmrsRow, ...] = ()


def write_pages(
    out_dir: Path,
    config: StudyConfig,
    files: StudyFiles,
    failures: Sequence[Failure],
    comparison: Comparison | None,
    progress: Progress,
) -> Path | None:
    """Write the page of every subject and, after a comparison, the page of the study.

    Returns
    -------
    Path or None
        The page of the study.
    """
    subjects = sorted(
        {scan.key.sub for scan in files.scans} | {f.entities["sub"] for f in failures if "sub" in f.entities}
    )
    title = config.title or dataset_name(files.root)
    notes = notes_of_scans(out_dir)
    jobs = [
        _job(out_dir, subject, files, failures, config, title, notes, with_group=comparison is not None)
        for subject in subjects
    ]
    n_done = 0

    def report(_: SubjectFacts) -> None:
        nonlocal n_done
        n_done += 1
        progress("Pages", n_done, len(jobs))

    written = run_jobs(_write_subject, jobs, config.engine.n_procs, lost=lambda _: SubjectFacts(), done=report)
    scans = [scan for subject in written for scan in subject.scans]
    methods = methods_of(config, scans, procedures(comparison.contrasts) if comparison else ())
    _write_words(out_dir, methods, next((subject.checklist for subject in written if subject.checklist), ()))
    if comparison is None:
        return None
    page = out_dir / "group.html"
    write_group_page(page, group_page(comparison, config, title, failures, methods))
    return page


def _job(
    out_dir: Path,
    subject: str,
    files: StudyFiles,
    failures: Sequence[Failure],
    config: StudyConfig,
    title: str,
    notes: Mapping[str, tuple[str, ...]],
    *,
    with_group: bool,
) -> PageJob:
    return PageJob(
        out_dir=out_dir,
        participant_id=f"sub-{subject}",
        scans=tuple(scan for scan in files.scans if scan.key.sub == subject and results_exist(out_dir, scan.key)),
        failures=tuple(failure for failure in failures if failure.entities.get("sub") == subject),
        config=config,
        title=title,
        group_page="group.html" if with_group else "",
        checks={scan.key.label: notes.get(scan.key.label, ()) for scan in files.scans if scan.key.sub == subject},
    )


def _write_subject(job: PageJob) -> SubjectFacts:
    """Write a subject's page."""
    clean = [
        with_sidecar(read_clean(job.out_dir, scan.key), scan.sidecar, where=scan.metabolites.name) for scan in job.scans
    ]
    sections = tuple(_section(job, scan, signal) for scan, signal in zip(job.scans, clean, strict=True))
    scans = tuple(
        scan_facts(section.label, signal, section.fit, section.levels)
        for section, signal in zip(sections, clean, strict=True)
    )
    checklist: tuple[MrsinmrsRow, ...] = ()
    name = f"{job.participant_id}.html"
    if clean:
        facts = analysis_facts(job.config, scans[0], sections[0].quality, name)
        checklist = mrsinmrs_rows(clean[0].acquisition, job.scans[0].sidecar, axis=clean[0].axis, analysis=facts)
    page = SubjectPage(
        participant_id=job.participant_id,
        scans=sections,
        study_title=job.title,
        version=__version__,
        mrsinmrs=checklist,
        methods=methods_of(job.config, scans).paragraphs,
        failures=job.failures,
        group_page=job.group_page,
    )
    write_subject_page(job.out_dir / name, page)
    return SubjectFacts(scans, checklist)


def _section(job: PageJob, files: ScanFiles, signal: Signal) -> ScanSection:
    key = files.key
    quality = read_quality(job.out_dir, key)
    gm, wm, csf = (quality.metric(f"{tissue}_fraction") for tissue in ("gm", "wm", "csf"))
    anatomy, mask, note = _voxel(job.out_dir, files)
    fit = read_fit(job.out_dir, key)
    missing = () if signal_is_cycled(signal) else (files.water_note, files.tissue_note)
    return ScanSection(
        label=key.label,
        title=_title(key),
        fit=fit,
        levels=read_levels(job.out_dir, key),
        quality=quality,
        history=signal.history,
        tissue=TissueFractions(gm, wm, csf) if gm == gm else None,
        notes=(*(note for note in missing if note), *job.checks[key.label]),
        anatomy=anatomy,
        mask=mask,
        voxel_note=note,
        preprocessing=before_and_after(files, job.config, signal, fit),
    )


def signal_is_cycled(signal: Signal) -> bool:
    """Tell whether the water of a scan came from metabolite cycling."""
    return any("cycle" in step.method for step in signal.history)


def _voxel(out_dir: Path, files: ScanFiles) -> tuple[Volume | None, Volume | None, str]:
    mask = read_voxel_mask(out_dir, files.key)
    if mask is None or files.anatomy is None:
        return None, None, files.anatomy_note or "The header does not say where the voxel is."
    try:
        return read_volume(files.anatomy), mask, ""
    except MrspipeError as error:
        return None, None, str(error)


def _title(key: ScanKey) -> str:
    words = [
        f"session {key.ses}" if key.ses else "",
        key.task or "",
        *(f"{name} {value}" for name, value in key.entities.items() if name not in {"sub", "ses", "task"}),
    ]
    text = ", ".join(word for word in words if word) or "spectrum"
    return text[0].upper() + text[1:]


def dataset_name(root: Path) -> str:
    """Name of a dataset: what its description says, else that of its folder."""
    try:
        name = read_json(root / "dataset_description.json").get("Name")
    except MrspipeError:
        name = None
    return str(name or root.name)


def _write_words(out_dir: Path, methods: MethodsText, checklist: Sequence[MrsinmrsRow]) -> None:
    import pandas as pd

    atomic_write_text(out_dir / "methods.md", methods_markdown(methods))
    atomic_write_text(out_dir / "references.bib", references_bib(methods.references))
    rows = pd.DataFrame(
        [(row.number, row.section, row.item, row.value) for row in checklist],
        columns=["number", "section", "item", "value"],
    )
    write_table(out_dir / "mrsinmrs.tsv", rows)
