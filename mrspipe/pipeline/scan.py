"""One scan from its files to its results."""

import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

from mrspipe.checks.catalogue import cure_of
from mrspipe.config import StudyConfig
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import MrspipeError
from mrspipe.core.results import Failure, TissueFractions
from mrspipe.core.scan_result import ScanResult
from mrspipe.core.signal import Scan, ScanKey
from mrspipe.core.volume import Volume
from mrspipe.fit.fitted import result_of
from mrspipe.fit.injection import recover
from mrspipe.fit.learning import LearnedMacromolecules
from mrspipe.fit.spectrum import fit_point
from mrspipe.io.atomic import atomic_write_text
from mrspipe.io.bids import ScanFiles, read_scan
from mrspipe.io.derivatives import write_scan
from mrspipe.io.manifest import write_manifest
from mrspipe.io.volumes import read_volume
from mrspipe.physics.relaxation import TISSUES, Tissue
from mrspipe.pipeline.alternatives import alternatives
from mrspipe.pipeline.basis import basis_for
from mrspipe.pipeline.scan_log import write_scan_log
from mrspipe.preprocess.steps import preprocess
from mrspipe.qc import assess
from mrspipe.quantify.levels import concentrations
from mrspipe.tissue.labels import maps_from_labels
from mrspipe.tissue.voxel import voxel_fractions, voxel_mask


@dataclass(frozen=True, slots=True)
class ScanJob:
    """What a worker needs for one scan.

    ``fingerprint`` is that of everything the result depends on, ``learned`` what the study taught about macromolecules,
    ``inputs`` the hashes of the images.
    """

    files: ScanFiles
    out_dir: Path
    config: StudyConfig
    fingerprint: str
    learned: LearnedMacromolecules | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScanOutcome:
    """What became of a scan: analysed, or a failure; and the seconds that each stage took."""

    key: ScanKey
    failure: Failure | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


class StageError(Exception):
    """An error with the name of the stage it happened in; the error itself is its cause."""

    def __init__(self, stage: str) -> None:
        super().__init__(stage)
        self.stage = stage


@contextmanager
def stage(name: str, seconds: dict[str, float] | None = None) -> Iterator[None]:
    """Mark the errors of a block with the stage, and note how long it took."""
    start = perf_counter()
    try:
        yield
    except Exception as error:
        raise StageError(name) from error
    finally:
        if seconds is not None:
            seconds[name] = perf_counter() - start


def analyse_scan(
    scan: Scan,
    basis: BasisSet,
    config: StudyConfig,
    learned: LearnedMacromolecules | None = None,
    *,
    seconds: dict[str, float] | None = None,
) -> ScanResult:
    """Take a scan through all stages.

    Parameters
    ----------
    scan : Scan
    basis : BasisSet
    config : StudyConfig
    learned : LearnedMacromolecules, optional
        Nuisance model of the study, in place of the generic one.
    seconds : dict, optional
        Takes up how long each stage took.

    Returns
    -------
    ScanResult

    Raises
    ------
    StageError
        Its cause says what is wrong.
    """
    with stage("preprocess", seconds):
        clean = preprocess(scan, config.preprocess)
    return analyse_clean(clean, basis, config, learned, seconds=seconds)


def analyse_clean(
    clean: Scan,
    basis: BasisSet,
    config: StudyConfig,
    learned: LearnedMacromolecules | None = None,
    *,
    seconds: dict[str, float] | None = None,
) -> ScanResult:
    """Take a preprocessed scan through the stages that follow, as `analyse_scan` does."""
    with stage("fit", seconds):
        point = fit_point(clean.metabolites, basis, config.fit, learned)
        fitted = result_of(point)
    with stage("quantify", seconds):
        levels = concentrations(
            fitted,
            clean.water,
            clean.tissue,
            clean.metabolites.acquisition,
            config.quantify,
            water_note=clean.water_note,
            tissue_note=clean.tissue_note,
        )
    with stage("quality", seconds):
        qc = config.qc
        recovery = (
            recover(clean.metabolites, point, qc.injection_metabolite, qc.injection_steps_pct) if qc.injection else None
        )
        quality = assess(clean, fitted, qc, recovery)
    return ScanResult(clean.key, clean, fitted, levels, quality)


def run_scan(job: ScanJob) -> ScanOutcome:
    """Read, analyse and write one scan; whatever goes wrong is an outcome, and what happened is in the scan's log."""
    key, seconds = job.files.key, dict[str, float]()
    result, failure = None, None
    with warnings.catch_warnings(record=True) as warned:
        try:
            result = _written(job, seconds)
        except StageError as error:
            failure = failure_of(key.label, key.entities, error, job.out_dir)
    try:
        write_scan_log(job.out_dir, key, result, failure, seconds, [str(one.message) for one in warned])
    except OSError as error:
        # A full disk, most likely: the scan is computed again when there is room.
        failure = failure or _disk_failure(key.entities, "write", error)
    return ScanOutcome(key, failure, seconds)


def _written(job: ScanJob, seconds: dict[str, float]) -> ScanResult:
    with stage("load", seconds):
        scan = with_tissue(read_scan(job.files), job.files)
        mask = _mask(scan, job.files)
    with stage("basis", seconds):
        basis = basis_for(scan.metabolites, job.config.basis)
    result = analyse_scan(scan, basis, job.config, job.learned, seconds=seconds)
    with stage("alternatives", seconds):
        others = alternatives(result.clean, result.fit, basis, job.config, job.learned)
        result = replace(result, alternatives=others)
    with stage("write", seconds):
        written = write_scan(job.out_dir, result, mask=mask)
        write_manifest(job.out_dir, job.files.key.label, job.fingerprint, written, job.inputs)
    return result


def lost_scan(job: ScanJob) -> ScanOutcome:
    """Give the outcome of a scan whose worker process died."""
    failure = Failure(
        job.files.key.entities,
        "run",
        "worker-died",
        "The process that analysed this scan ended without a word; most often the machine ran out of memory.",
        "Run again with fewer --n-procs.",
    )
    return ScanOutcome(job.files.key, failure)


def with_tissue(scan: Scan, files: ScanFiles) -> Scan:
    """Add tissue fractions where maps and the voxel's position are known; else the reason why not.

    Parameters
    ----------
    scan : Scan
    files : ScanFiles
        With the paths of its tissue maps, or of one image of labels.
    """
    if files.tissue_maps and scan.metabolites.affine is None:
        return replace(scan, tissue_note="the scan's header does not say where the voxel is")
    tissue, problem = tissue_of(scan, files)
    return replace(scan, tissue=tissue, tissue_note=str(problem) if problem else scan.tissue_note)


def tissue_of(scan: Scan, files: ScanFiles) -> tuple[TissueFractions | None, MrspipeError | None]:
    """Find the tissue of a scan's voxel; None where there are no maps or no position, or with the reason why not."""
    if not files.tissue_maps or scan.metabolites.affine is None:
        return None, None
    source = files.tissue_maps["GM"].name
    try:
        maps = _tissue_maps(files.tissue_maps)
        return voxel_fractions(scan.metabolites.affine, maps, source=source), None
    except MrspipeError as error:
        return None, error


def _tissue_maps(paths: Mapping[str, Path]) -> Mapping[Tissue, Volume]:
    """Read the maps; one image for all tissues is an image of labels."""
    if len(set(paths.values())) == 1:
        return maps_from_labels(read_volume(paths["GM"]), source=paths["GM"].name)
    return {tissue: read_volume(paths[tissue]) for tissue in TISSUES}


def _mask(scan: Scan, files: ScanFiles) -> Volume | None:
    if files.anatomy is None or scan.metabolites.affine is None:
        return None
    try:
        return voxel_mask(scan.metabolites.affine, read_volume(files.anatomy))
    except MrspipeError:
        # A picture of the voxel is not worth a scan; the tissue note says what is wrong with its position.
        return None


def failure_of(label: str, entities: Mapping[str, str], error: StageError, out_dir: Path | None) -> Failure:
    """Turn an error into a row; one that nobody foresaw leaves a report in ``logs`` of the output folder."""
    cause = error.__cause__
    if isinstance(cause, MrspipeError):
        message = f"{Path(cause.where).name}: {cause.message}" if cause.where else cause.message
        return Failure(entities, error.stage, cause.code, message, cause.cure or cure_of(cause.code))
    if isinstance(cause, OSError):
        return _disk_failure(entities, error.stage, cause)
    cure = "Please report it."
    if out_dir is not None:
        report = out_dir / "logs" / f"crash-{label}.txt"
        with suppress(OSError):
            atomic_write_text(report, "".join(traceback.format_exception(error)))
        cure = f"Please report it with logs/{report.name}."
    return Failure(
        entities,
        error.stage,
        "crash",
        f"Unexpected {type(cause).__name__}: {' '.join(str(cause).split())}",
        cure,
    )


def _disk_failure(entities: Mapping[str, str], stage_name: str, error: OSError) -> Failure:
    message = f"{Path(error.filename).name if error.filename else 'disk'}: {error.strerror or error}."
    return Failure(entities, stage_name, "disk", message, "Check the permissions and the free space.")
