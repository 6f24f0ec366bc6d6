"""The pages of a study, assembled from the files of its results."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from mrspipe.io.derivatives import (
    read_clean,
    read_fit,
    read_levels,
    read_quality,
    read_voxel_mask,
    results_exist,
    scan_dir,
)
from mrspipe.io.sidecars import with_sidecar
from mrspipe.io.tables import read_json, write_table
from mrspipe.io.volumes import read_volume
from mrspipe.pipeline.before_after import before_and_after
from mrspipe.pipeline.group import Comparison, group_page
from mrspipe.pipeline.mean_spectra import ScanSpectrum, mean_spectra, scan_spectrum
from mrspipe.pipeline.preflight import notes_of_scans
from mrspipe.pipeline.words import ScanFacts, analysis_facts, methods_of, procedures, scan_facts
from mrspipe.qc import QcSettings
from mrspipe.report.blind import blinded
from mrspipe.report.content import GroupPage, ScanSection, SubjectPage
from mrspipe.report.figure_files import write_figures
from mrspipe.report.group_figures import group_figures
from mrspipe.report.methods_text import MethodsText, methods_markdown, references_bib
from mrspipe.report.mrsinmrs import MrsinmrsRow, mrsinmrs_rows
from mrspipe.report.pages import write_group_page, write_subject_page

Progress = Callable[[str, int, int], None]
BLIND_DIR = "blind"
"""Folder for the blinded pages, beside the others."""


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
    page: Path


@dataclass(frozen=True, slots=True, eq=False)
class WrittenSubject:
    """What the page of a subject leaves for the study: what was done to its scans, reporting checklist, spectra."""

    scans: tuple[ScanFacts, ...] = ()
    checklist: tuple[MrsinmrsRow, ...] = ()
    spectra: tuple[ScanSpectrum, ...] = ()


def write_pages(
    out_dir: Path,
    config: StudyConfig,
    files: StudyFiles,
    failures: Sequence[Failure],
    comparison: Comparison | None,
    progress: Progress,
) -> Path | None:
    """Write the page of every subject and, after a comparison, the page and the figures of the study.

    Returns
    -------
    Path or None
        The page of the study.
    """
    title = config.title or dataset_name(files.root)
    group_link = "group.html" if comparison is not None else ""
    jobs = _jobs(out_dir, out_dir, config, files, failures, title, group_link)
    written = _write_subjects(jobs, config, progress)
    methods = methods_of(config, _facts(written), procedures(comparison.contrasts) if comparison else ())
    _write_words(out_dir, methods, next((one.checklist for one in written if one.checklist), ()))
    if comparison is None:
        return None
    page = _study_page(out_dir, comparison, config, title, failures, methods)
    spectra = [spectrum for one in written for spectrum in one.spectra]
    page = replace(page, spectra=mean_spectra(spectra, comparison.measurements, page.group))
    figures = group_figures(page)
    write_figures(out_dir / "figures", figures)
    write_group_page(out_dir / "group.html", page, figures)
    return out_dir / "group.html"


def write_blinded_pages(
    out_dir: Path,
    config: StudyConfig,
    files: StudyFiles,
    failures: Sequence[Failure],
    comparison: Comparison,
    progress: Progress,
) -> Path:
    """Write the pages without what tells the groups apart into the folder ``blind``, for decisions about quality.

    Returns
    -------
    Path
        The page of the study.

    Raises
    ------
    InputError
        The participants' names tell their groups.
    """
    title = config.title or dataset_name(files.root)
    page = blinded(_study_page(out_dir, comparison, config, title, failures, methods_of(config, ())))
    folder = out_dir / BLIND_DIR
    jobs = _jobs(out_dir, folder, config, files, page.failures, page.title, "group.html")
    methods = methods_of(config, _facts(_write_subjects(jobs, config, progress)))
    write_group_page(folder / "group.html", replace(page, methods=methods.paragraphs))
    return folder / "group.html"


def _study_page(
    out_dir: Path,
    comparison: Comparison,
    config: StudyConfig,
    title: str,
    failures: Sequence[Failure],
    methods: MethodsText,
) -> GroupPage:
    return replace(
        group_page(comparison, config, title, failures, methods),
        robustness=comparison.robustness,
        limits=_limits(config.qc),
    )


def _limits(settings: QcSettings) -> dict[str, dict[str, float]]:
    limits = {
        "snr": {"doubtful": settings.doubtful_below_snr, "unusable": settings.unusable_below_snr},
        "fwhm_ppm": {"doubtful": settings.doubtful_above_fwhm_ppm, "unusable": settings.unusable_above_fwhm_ppm},
        "residual_ratio": {"doubtful": settings.doubtful_above_residual_ratio},
    }
    bounds = {f"crlb_{name.lower()}_pct": {"doubtful": pct} for name, pct in settings.doubtful_above_crlb_pct.items()}
    return limits | bounds


def _jobs(
    out_dir: Path,
    folder: Path,
    config: StudyConfig,
    files: StudyFiles,
    failures: Sequence[Failure],
    title: str,
    group_link: str,
) -> list[PageJob]:
    notes = notes_of_scans(out_dir)
    subjects = sorted(
        {scan.key.sub for scan in files.scans} | {f.entities["sub"] for f in failures if "sub" in f.entities}
    )
    return [
        PageJob(
            out_dir=out_dir,
            participant_id=f"sub-{subject}",
            scans=tuple(scan for scan in files.scans if scan.key.sub == subject and results_exist(out_dir, scan.key)),
            failures=tuple(failure for failure in failures if failure.entities.get("sub") == subject),
            config=config,
            title=title,
            group_page=group_link,
            checks={scan.key.label: notes.get(scan.key.label, ()) for scan in files.scans if scan.key.sub == subject},
            page=folder / f"sub-{subject}.html",
        )
        for subject in subjects
    ]


def _write_subjects(jobs: Sequence[PageJob], config: StudyConfig, progress: Progress) -> list[WrittenSubject]:
    n_done = 0

    def report(_: WrittenSubject) -> None:
        nonlocal n_done
        n_done += 1
        progress("Pages", n_done, len(jobs))

    return run_jobs(_write_subject, jobs, config.engine.n_procs, lost=lambda _: WrittenSubject(), done=report)


def _facts(written: Sequence[WrittenSubject]) -> list[ScanFacts]:
    return [scan for subject in written for scan in subject.scans]


def _write_subject(job: PageJob) -> WrittenSubject:
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
    if clean:
        facts = analysis_facts(job.config, scans[0], sections[0].quality, job.page.name)
        checklist = mrsinmrs_rows(clean[0].acquisition, job.scans[0].sidecar, axis=clean[0].axis, analysis=facts)
    page = SubjectPage(
        participant_id=job.participant_id,
        scans=sections,
        study_title=job.title,
        version=__version__,
        mrsinmrs=checklist,
        methods=methods_of(job.config, scans).paragraphs,
        failures=job.failures,
        crashes=_crashes(job),
        group_page=job.group_page,
    )
    write_subject_page(job.page, page)
    spectra = [scan_spectrum(files.key, part.fit) for files, part in zip(job.scans, sections, strict=True)]
    return WrittenSubject(scans, checklist, tuple(spectrum for spectrum in spectra if spectrum is not None))


def _crashes(job: PageJob) -> dict[str, str]:
    """Reports that the cures of failures name."""
    named = {name for failure in job.failures for name in re.findall(r"logs/(crash-[^/\s]+\.txt)", failure.cure)}
    paths = {name: job.out_dir / "logs" / name for name in sorted(named)}
    return {name: path.read_text(encoding="utf-8") for name, path in paths.items() if path.is_file()}


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


def _write_words(out_dir: Path, methods: MethodsText, checklist: Sequence[MrsinmrsRow]) -> None:
    import pandas as pd

    atomic_write_text(out_dir / "methods.md", methods_markdown(methods))
    atomic_write_text(out_dir / "references.bib", references_bib(methods.references))
    rows = pd.DataFrame(
        [(row.number, row.section, row.item, row.value) for row in checklist],
        columns=["number", "section", "item", "value"],
    )
    write_table(out_dir / "mrsinmrs.tsv", rows)
