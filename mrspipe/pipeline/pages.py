"""The pages of a study, assembled from the files of its results."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrspipe import __version__
from mrspipe.config import StudyConfig
from mrspipe.core.errors import MrspipeError
from mrspipe.core.results import Failure, TissueFractions
from mrspipe.core.signal import ScanKey, Signal
from mrspipe.core.volume import Volume
from mrspipe.engine import Workers, counted
from mrspipe.io.atomic import atomic_write_text, recorded
from mrspipe.io.bids import ScanFiles
from mrspipe.io.derivatives import read_clean, read_fit, read_levels, read_quality, read_voxel_mask
from mrspipe.io.digests import fingerprint
from mrspipe.io.manifest import Manifest, write_manifest
from mrspipe.io.program import program_mark
from mrspipe.io.sidecars import with_sidecar
from mrspipe.io.tables import read_json, write_table
from mrspipe.io.volumes import read_volume
from mrspipe.pipeline.before_after import before_and_after
from mrspipe.pipeline.group import Comparison, group_page
from mrspipe.pipeline.marks import without_engine
from mrspipe.pipeline.outputs import Outputs
from mrspipe.pipeline.words import analysis_facts, methods_of
from mrspipe.report.content import ScanSection, SubjectPage
from mrspipe.report.methods_text import MethodsText, methods_markdown, references_bib
from mrspipe.report.mrsinmrs import MrsinmrsRow, mrsinmrs_rows
from mrspipe.report.pages import write_group_page, write_subject_page

Progress = Callable[[str, int, int], None]

_GROUP_PAGE = "group.html"


@dataclass(frozen=True, slots=True)
class Pages:
    """What the pages of a study have in common.

    Parameters
    ----------
    outputs : Outputs
    config : StudyConfig
    title : str
        Name of the study.
    failures : tuple of Failure
    checks : mapping of str to tuple of str
        What was found in a scan, by its label.
    anew : bool
        Make pages that are current, too.
    """

    outputs: Outputs
    config: StudyConfig
    title: str
    failures: tuple[Failure, ...]
    checks: Mapping[str, tuple[str, ...]]
    anew: bool = False


@dataclass(frozen=True, slots=True)
class PageJob:
    """What a worker needs for one subject's page; ``mark`` is the fingerprint of what the page depends on."""

    out_dir: Path
    participant_id: str
    scans: tuple[ScanFiles, ...]
    failures: tuple[Failure, ...]
    config: StudyConfig
    title: str
    checks: Mapping[str, tuple[str, ...]]
    mark: str


def write_subject_pages(
    pages: Pages, scans: Sequence[ScanFiles], subjects: Iterable[str], workers: Workers, progress: Progress
) -> None:
    """Write the pages of subjects, unless they are current.

    Parameters
    ----------
    pages : Pages
    scans : sequence of ScanFiles
        Those with results.
    subjects : iterable of str
        Labels; also of those without a scan that has results.
    workers : Workers
    progress : callable
    """
    jobs = _waiting(pages, scans, subjects)
    workers.run(_write_subject, jobs, lost=lambda _: None, done=counted(progress, "Pages", len(jobs)))


def _waiting(pages: Pages, scans: Sequence[ScanFiles], subjects: Iterable[str]) -> list[PageJob]:
    manifest = pages.outputs.manifest()
    of_subject: dict[str, list[ScanFiles]] = defaultdict(list)
    for scan in scans:
        of_subject[scan.key.sub].append(scan)
    jobs = [_job(pages, manifest, subject, of_subject[subject]) for subject in sorted(set(subjects))]
    waiting = [one for one in jobs if not pages.outputs.is_current(manifest, _step(one.participant_id), one.mark)]
    return jobs if pages.anew else waiting


def _step(participant_id: str) -> str:
    return f"page_{participant_id}"


def _job(pages: Pages, manifest: Manifest, subject: str, scans: Sequence[ScanFiles]) -> PageJob:
    failures = tuple(failure for failure in pages.failures if failure.entities.get("sub") == subject)
    checks = {scan.key.label: pages.checks.get(scan.key.label, ()) for scan in scans}
    results = {scan.key.label: manifest.entries[scan.key.label] for scan in scans}
    notes = [(scan.water_note, scan.tissue_note, scan.anatomy_note) for scan in scans]
    settings = without_engine(pages.config)
    mark = fingerprint(program_mark(), subject, results, notes, failures, checks, settings, pages.title)
    out_dir = pages.outputs.out_dir
    return PageJob(out_dir, f"sub-{subject}", tuple(scans), failures, pages.config, pages.title, checks, mark)


def _write_subject(job: PageJob) -> None:
    """Write a subject's page."""
    clean = [_clean(job.out_dir, scan) for scan in job.scans]
    sections = tuple(_section(job, scan, signal) for scan, signal in zip(job.scans, clean, strict=True))
    page = SubjectPage(
        participant_id=job.participant_id,
        scans=sections,
        study_title=job.title,
        version=__version__,
        mrsinmrs=checklist_of(job.out_dir, job.scans[0], job.config) if job.scans else (),
        methods=methods_of(job.config).paragraphs,
        failures=job.failures,
        group_page=_GROUP_PAGE,
    )
    with recorded() as written:
        write_subject_page(job.out_dir / f"{job.participant_id}.html", page)
    write_manifest(job.out_dir, _step(job.participant_id), job.mark, written)


def _clean(out_dir: Path, scan: ScanFiles) -> Signal:
    return with_sidecar(read_clean(out_dir, scan.key), scan.sidecar, where=scan.metabolites.name)


def checklist_of(out_dir: Path, scan: ScanFiles, config: StudyConfig) -> tuple[MrsinmrsRow, ...]:
    """Give the reporting checklist of a scan."""
    clean = _clean(out_dir, scan)
    facts = analysis_facts(config, clean, read_levels(out_dir, scan.key), read_quality(out_dir, scan.key))
    return mrsinmrs_rows(clean.acquisition, scan.sidecar, axis=clean.axis, analysis=facts)


def write_study_page(pages: Pages, comparison: Comparison, tables: Mapping[str, str]) -> Path:
    """Write the page of the study, unless it is current.

    Parameters
    ----------
    pages : Pages
    comparison : Comparison
    tables : mapping of str to str
        Hash of each table that it shows.

    Returns
    -------
    Path
    """
    path = pages.outputs.out_dir / _GROUP_PAGE
    methods = methods_of(pages.config, comparison.models)
    content = group_page(comparison, pages.config, pages.title, pages.failures, methods)
    parts = [tables, list(pages.failures), without_engine(pages.config), pages.title]
    manifest = Manifest(pages.outputs.out_dir, {}) if pages.anew else pages.outputs.manifest()
    pages.outputs.make(manifest, "group-page", parts, lambda: write_group_page(path, content))
    return path


def write_words(pages: Pages, models: Sequence[str], first: ScanFiles | None) -> None:
    """Write the methods, the references and the reporting checklist of the first scan (None: no scan has results)."""
    outputs, config = pages.outputs, pages.config
    manifest = outputs.manifest()
    results = manifest.entries[first.key.label] if first else None
    sidecar = first.sidecar if first else {}

    def write() -> None:
        checklist = checklist_of(outputs.out_dir, first, config) if first else ()
        _write_words(outputs.out_dir, methods_of(config, models), checklist)

    outputs.make(manifest, "words", [results, sidecar, list(models), without_engine(config)], write)


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
