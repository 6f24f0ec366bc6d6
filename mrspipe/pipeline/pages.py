"""The pages of a study, assembled from the files of its results."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mrspipe import __version__
from mrspipe.config import StudyConfig
from mrspipe.core.errors import MrspipeError
from mrspipe.core.results import Failure, TissueFractions
from mrspipe.core.signal import ScanKey, Signal
from mrspipe.core.volume import Volume
from mrspipe.engine import Progress, Workers, counted
from mrspipe.io.atomic import atomic_write_text, recorded
from mrspipe.io.bids import ScanFiles
from mrspipe.io.derivatives import read_clean, read_fit, read_levels, read_quality, read_voxel_mask, scan_dir
from mrspipe.io.digests import fingerprint
from mrspipe.io.manifest import Manifest, set_aside, write_manifest
from mrspipe.io.program import program_mark
from mrspipe.io.sidecars import with_sidecar
from mrspipe.io.tables import read_json, write_table
from mrspipe.io.volumes import read_volume
from mrspipe.pipeline.before_after import before_and_after
from mrspipe.pipeline.group import Comparison, group_page
from mrspipe.pipeline.marks import without_engine
from mrspipe.pipeline.mean_spectra import mean_spectra
from mrspipe.pipeline.outputs import Outputs
from mrspipe.pipeline.study_facts import Facts
from mrspipe.pipeline.supporting import read_supporting
from mrspipe.pipeline.words import ScanFacts, analysis_facts, methods_of, procedures, scan_facts
from mrspipe.qc import QcSettings
from mrspipe.report.blind import blinded
from mrspipe.report.content import GroupPage, ScanSection, SubjectPage
from mrspipe.report.figure_files import write_figures
from mrspipe.report.group_figures import group_figures
from mrspipe.report.methods_text import MethodsText, methods_markdown, references_bib
from mrspipe.report.mrsinmrs import MrsinmrsRow, mrsinmrs_rows
from mrspipe.report.pages import write_group_page, write_subject_page

_GROUP_PAGE = "group.html"
BLIND_DIR = "blind"
"""Folder for the blinded pages, beside the others."""
_BLINDED = "blindgroup-page"


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
    folder : str
        Where the pages are written, below the output folder.
    """

    outputs: Outputs
    config: StudyConfig
    title: str
    failures: tuple[Failure, ...]
    checks: Mapping[str, tuple[str, ...]]
    anew: bool = False
    folder: str = ""

    @property
    def place(self) -> Path:
        """Folder of the pages."""
        return self.outputs.out_dir / self.folder


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
    crashes: Mapping[str, str]
    page: Path
    step: str
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
    waiting = [one for one in jobs if not pages.outputs.is_current(manifest, one.step, one.mark)]
    return jobs if pages.anew else waiting


def _job(pages: Pages, manifest: Manifest, subject: str, scans: Sequence[ScanFiles]) -> PageJob:
    failures = tuple(failure for failure in pages.failures if failure.entities.get("sub") == subject)
    checks = {scan.key.label: pages.checks.get(scan.key.label, ()) for scan in scans}
    results = {scan.key.label: manifest.entries[scan.key.label] for scan in scans}
    notes = [(scan.water_note, scan.tissue_note, scan.anatomy_note) for scan in scans]
    crashes = _crashes(pages.outputs.out_dir, failures)
    settings = without_engine(pages.config)
    mark = fingerprint(program_mark(), subject, results, notes, failures, crashes, checks, settings, pages.title)
    name = f"sub-{subject}"
    return PageJob(
        out_dir=pages.outputs.out_dir,
        participant_id=name,
        scans=tuple(scans),
        failures=failures,
        config=pages.config,
        title=pages.title,
        checks=checks,
        crashes=crashes,
        page=pages.place / f"{name}.html",
        step=f"{pages.folder}page_{name}",
        mark=mark,
    )


def _write_subject(job: PageJob) -> None:
    """Write a subject's page."""
    clean = [_clean(job.out_dir, scan) for scan in job.scans]
    sections = tuple(_section(job, scan, signal) for scan, signal in zip(job.scans, clean, strict=True))
    scans = _facts_of(clean, sections)
    page = SubjectPage(
        participant_id=job.participant_id,
        scans=sections,
        study_title=job.title,
        version=__version__,
        mrsinmrs=checklist_of(job.out_dir, job.scans[0], job.config) if job.scans else (),
        methods=methods_of(job.config, scans).paragraphs,
        failures=job.failures,
        crashes=job.crashes,
        group_page=_GROUP_PAGE,
    )
    with recorded() as written:
        write_subject_page(job.page, page)
    write_manifest(job.out_dir, job.step, job.mark, written)


def _facts_of(clean: Sequence[Signal], sections: Sequence[ScanSection]) -> list[ScanFacts]:
    return [
        scan_facts(section.label, signal, section.fit, section.levels)
        for section, signal in zip(sections, clean, strict=True)
    ]


def _crashes(out_dir: Path, failures: Iterable[Failure]) -> dict[str, str]:
    """Reports that the cures of failures name."""
    named = {name for failure in failures for name in re.findall(r"logs/(crash-[^/\s]+\.txt)", failure.cure)}
    paths = {name: out_dir / "logs" / name for name in sorted(named)}
    return {name: path.read_text(encoding="utf-8") for name, path in paths.items() if path.is_file()}


def _clean(out_dir: Path, scan: ScanFiles) -> Signal:
    return with_sidecar(read_clean(out_dir, scan.key), scan.sidecar, where=scan.metabolites.name)


def checklist_of(out_dir: Path, scan: ScanFiles, config: StudyConfig) -> tuple[MrsinmrsRow, ...]:
    """Give the reporting checklist of a scan."""
    clean, key = _clean(out_dir, scan), scan.key
    facts = scan_facts(key.label, clean, read_fit(out_dir, key), read_levels(out_dir, key))
    said = analysis_facts(config, facts, read_quality(out_dir, key), f"sub-{key.sub}.html")
    return mrsinmrs_rows(clean.acquisition, scan.sidecar, axis=clean.axis, analysis=said)


def write_study_page(
    pages: Pages, comparison: Comparison, tables: Mapping[str, str], results: Mapping[str, object], facts: Facts
) -> Path:
    """Write the page of the study and its figures, unless they are current; blinded pages of other results go aside.

    Parameters
    ----------
    pages : Pages
    comparison : Comparison
    tables : mapping of str to str
        Hash of each table that it shows.
    results : mapping
        What is noted of the results of each scan.
    facts : callable
        Gives what was done to every scan; called only when it is needed.

    Returns
    -------
    Path
    """
    path = pages.place / _GROUP_PAGE

    def write() -> None:
        known = facts()
        methods = methods_of(pages.config, known.scans, procedures(comparison.contrasts))
        page = study_page(pages, comparison, methods)
        page = replace(page, spectra=mean_spectra(known.spectra, comparison.measurements, page.group))
        figures = group_figures(page)
        write_figures(pages.place / "figures", figures)
        write_group_page(path, page, figures)

    manifest = Manifest(pages.outputs.out_dir, {}) if pages.anew else pages.outputs.manifest()
    made = pages.outputs.make(manifest, "group-page", study_parts(pages, tables, results), write)
    known = pages.outputs.manifest().entries
    if _BLINDED in known and known[_BLINDED].fingerprint != made.fingerprint:
        for name in known:
            if name == _BLINDED or name.startswith(f"{BLIND_DIR}page_"):
                set_aside(pages.outputs.out_dir, name)
    return path


def study_parts(pages: Pages, tables: Mapping[str, str], results: Mapping[str, object]) -> list[object]:
    """Give everything that the page of the study depends on."""
    return [tables, results, list(pages.failures), without_engine(pages.config), pages.title]


def write_blinded_page(pages: Pages, blind: GroupPage, parts: Sequence[object], facts: Facts) -> Path:
    """Write the page of the study without what tells the groups apart.

    Parameters
    ----------
    pages : Pages
        In the folder `BLIND_DIR`.
    blind : GroupPage
        From `blinded_study`.
    parts : sequence
        What the page with the groups depends on, of `study_parts`.
    facts : callable

    Returns
    -------
    Path
    """
    path = pages.place / _GROUP_PAGE
    page = replace(blind, methods=methods_of(pages.config, facts().scans).paragraphs)
    pages.outputs.make(Manifest(pages.outputs.out_dir, {}), _BLINDED, parts, lambda: write_group_page(path, page))
    return path


def blinded_study(pages: Pages, comparison: Comparison) -> GroupPage:
    """Take what tells the groups apart from the page of the study.

    Raises
    ------
    InputError
        The participants' names tell their groups.
    """
    return blinded(study_page(pages, comparison, methods_of(pages.config, ())))


def study_page(pages: Pages, comparison: Comparison, methods: MethodsText) -> GroupPage:
    """Fill the page of the study, without the mean spectra."""
    return replace(
        group_page(comparison, pages.config, pages.title, pages.failures, methods),
        robustness=comparison.robustness,
        limits=_limits(pages.config.qc),
        supporting=read_supporting(pages.outputs.out_dir / "group"),
    )


def _limits(settings: QcSettings) -> dict[str, dict[str, float]]:
    limits = {
        "snr": {"doubtful": settings.doubtful_below_snr, "unusable": settings.unusable_below_snr},
        "fwhm_ppm": {"doubtful": settings.doubtful_above_fwhm_ppm, "unusable": settings.unusable_above_fwhm_ppm},
        "residual_ratio": {"doubtful": settings.doubtful_above_residual_ratio},
    }
    bounds = {f"crlb_{name.lower()}_pct": {"doubtful": pct} for name, pct in settings.doubtful_above_crlb_pct.items()}
    return limits | bounds


def write_words(pages: Pages, statistics: Sequence[str], results: Mapping[str, object], facts: Facts) -> None:
    """Write the methods and the references, unless they are current; the raw data need not be there."""
    outputs, config = pages.outputs, pages.config

    def write() -> None:
        methods = methods_of(config, facts().scans, statistics)
        atomic_write_text(outputs.out_dir / "methods.md", methods_markdown(methods))
        atomic_write_text(outputs.out_dir / "references.bib", references_bib(methods.references))

    outputs.make(outputs.manifest(), "words", [results, list(statistics), without_engine(config)], write)


def write_checklist(pages: Pages, scans: Sequence[ScanFiles], results: Mapping[str, object]) -> None:
    """Write the reporting checklist of the first of the scans, unless it is current; without scans it is empty."""
    outputs, config, first = pages.outputs, pages.config, scans[0] if scans else None
    parts = [results.get(first.key.label), first.sidecar] if first else []

    def write() -> None:
        _write_checklist(outputs.out_dir, checklist_of(outputs.out_dir, first, config) if first else ())

    outputs.make(outputs.manifest(), "checklist", [*parts, without_engine(config)], write)


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
        files=(scan_dir(job.out_dir, key) / key.label).relative_to(job.out_dir).as_posix(),
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


def _write_checklist(out_dir: Path, checklist: Sequence[MrsinmrsRow]) -> None:
    import pandas as pd

    rows = pd.DataFrame(
        [(row.number, row.section, row.item, row.value) for row in checklist],
        columns=["number", "section", "item", "value"],
    )
    write_table(out_dir / "mrsinmrs.tsv", rows)
