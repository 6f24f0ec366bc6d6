"""What one scan's files hold, read once: what is wrong with them, and a hash that tells copies.

A report is kept in ``logs/checks`` of the output folder, with the fingerprint of the files it was made from, so that
a resumed run does not read them again for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mrspipe.basis.settings import BasisSettings
from mrspipe.checks.catalogue import Finding, catalogue
from mrspipe.checks.scan import scan_findings
from mrspipe.core.errors import MrspipeError
from mrspipe.core.results import Failure
from mrspipe.core.signal import Acquisition, Scan, ScanKey
from mrspipe.io.bids import ScanFiles, read_scan
from mrspipe.io.digests import fingerprint
from mrspipe.io.tables import read_json, write_json
from mrspipe.io.volumes import read_volume
from mrspipe.pipeline.basis import basis_for
from mrspipe.pipeline.scan import StageError, failure_of, stage, tissue_of
from mrspipe.tissue.voxel import LARGEST_PART_OUTSIDE, part_inside, voxel_mask

_FOLDER = Path("logs") / "checks"
# Cerebrospinal fluid has about a fifth of the brightest values of a T1-weighted image, air a hundredth.
_DARK = 0.05


@dataclass(frozen=True, slots=True)
class ExamineJob:
    """What a worker needs to examine a scan.

    ``out_dir`` is where reports are kept (None: nowhere) under the fingerprint ``mark`` of the files, ``basis`` the
    settings to try a basis set with (None: not).
    """

    files: ScanFiles
    out_dir: Path | None = None
    mark: str = ""
    basis: BasisSettings | None = None


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What was found in a scan's files.

    Parameters
    ----------
    key : ScanKey
    samples : str
        Hash of the metabolite samples; empty when they cannot be read.
    findings : tuple of Finding
    acquisition : Acquisition
    water_note : str
        Why there is no water reference.
    has_water : bool
        From a reference or from metabolite cycling.
    failure : Failure or None
        Why the files cannot be used at all.
    """

    key: ScanKey
    samples: str = ""
    findings: tuple[Finding, ...] = ()
    acquisition: Acquisition = field(default_factory=Acquisition)
    water_note: str = ""
    has_water: bool = False
    failure: Failure | None = None


def examine(job: ExamineJob) -> ScanReport:
    """Read a scan and check it; whatever goes wrong is in the report."""
    files = job.files
    try:
        with stage("load"):
            scan = read_scan(files)
            placement = tuple(_placement(scan, files))
        with stage("check"):
            report = ScanReport(
                key=files.key,
                samples=fingerprint(scan.metabolites.samples),
                findings=(*scan_findings(scan), *placement),
                acquisition=scan.metabolites.acquisition,
                water_note=scan.water_note,
                has_water=scan.water is not None or "cycle" in scan.metabolites.dims,
            )
        if job.basis is not None:
            with stage("basis"):
                basis_for(scan.metabolites, job.basis)
        if job.out_dir is not None:
            with stage("write"):
                _write_report(job.out_dir, report, job.mark)
    except StageError as error:
        return ScanReport(files.key, failure=failure_of(files.key.label, files.key.entities, error, job.out_dir))
    return report


def unexamined(job: ExamineJob) -> ScanReport:
    """Give the report of a scan whose worker process died."""
    message = "The process that checked this scan ended without a word."
    failure = Failure(job.files.key.entities, "check", "worker-died", message, "Run again with fewer --n-procs.")
    return ScanReport(job.files.key, failure=failure)


def _placement(scan: Scan, files: ScanFiles) -> Iterator[Finding]:
    """Where the voxel is in the tissue maps and in the anatomical image."""
    affine = scan.metabolites.affine
    if affine is None:
        if files.tissue_maps or files.anatomy:
            yield Finding("voxel-unknown", "The header does not say where the voxel is.")
        return
    _, problem = tissue_of(scan, files)
    if problem is not None:
        yield _about_maps(problem)
    if files.anatomy is None:
        return
    try:
        image = read_volume(files.anatomy)
    except MrspipeError as error:
        yield Finding("anatomy-unreadable", f"{files.anatomy.name}: {error.message}")
        return
    inside, mask = part_inside(affine, image), voxel_mask(affine, image).data
    if inside < 1 - LARGEST_PART_OUTSIDE:
        if problem is None:
            yield Finding("voxel-outside", f"{files.anatomy.name} covers only {100 * inside:.1f} % of the voxel.")
    elif (mask * image.data).sum() < mask.sum() * _DARK * np.quantile(image.data, 0.99):
        yield Finding("voxel-in-air", f"{files.anatomy.name} is dark where the voxel is.")


def _about_maps(problem: MrspipeError) -> Finding:
    """What is wrong with tissue maps costs the fractions, not the spectrum."""
    known = catalogue().get(problem.code)
    code = problem.code if known is not None and known.level != "refused" else "tissue-maps"
    return Finding(code, f"{Path(problem.where).name}: {problem.message}" if problem.where else problem.message)


def read_report(out_dir: Path, key: ScanKey, mark: str | None = None) -> ScanReport | None:
    """Read a report that an earlier run kept; None when there is none, or not of this fingerprint."""
    try:
        content = read_json(out_dir / _FOLDER / f"{key.label}.json")
        return _report_from(key, content) if mark in (None, content["fingerprint"]) else None
    except (MrspipeError, KeyError, TypeError):
        return None


def _report_from(key: ScanKey, content: Mapping[str, Any]) -> ScanReport:
    acquisition = dict(content["acquisition"])
    if acquisition["voxel_mm"] is not None:
        acquisition["voxel_mm"] = tuple(acquisition["voxel_mm"])
    return ScanReport(
        key=key,
        samples=content["samples"],
        findings=tuple(Finding(one["code"], one["text"]) for one in content["findings"]),
        acquisition=Acquisition(**acquisition),
        water_note=content["water_note"],
        has_water=content["has_water"],
    )


def _write_report(out_dir: Path, report: ScanReport, mark: str) -> None:
    content = {
        "fingerprint": mark,
        "samples": report.samples,
        "findings": [{"code": finding.code, "text": finding.text} for finding in report.findings],
        "acquisition": asdict(report.acquisition),
        "water_note": report.water_note,
        "has_water": report.has_water,
    }
    write_json(out_dir / _FOLDER / f"{report.key.label}.json", content)
