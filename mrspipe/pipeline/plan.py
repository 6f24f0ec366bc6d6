"""What a run will do: which scans there are, which of them are done, and what teaches the nuisance model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mrspipe.config import StudyConfig
from mrspipe.core.errors import ConfigError
from mrspipe.core.results import Failure
from mrspipe.core.signal import ScanKey
from mrspipe.engine import Workers
from mrspipe.io.bids import ScanFiles, Selection, StudyFiles, check_output_dir, find_scans, participants, sessions
from mrspipe.io.file_hashes import FileHashes
from mrspipe.pipeline.basis import read_basis_once
from mrspipe.pipeline.labels import refuse_unknown_labels
from mrspipe.pipeline.learning import Lesson, read_lesson
from mrspipe.pipeline.marks import Marks
from mrspipe.pipeline.outputs import Outputs
from mrspipe.pipeline.preflight import check_scans
from mrspipe.pipeline.request import StudyRequest
from mrspipe.pipeline.scan import ScanJob
from mrspipe.stats.questions import resolve_contrasts


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
    lesson : Lesson or None
        What they taught, where that is used.
    """

    files: StudyFiles
    current: tuple[ScanFiles, ...]
    waiting: tuple[ScanJob, ...]
    everything: StudyFiles
    must_learn: bool = False
    lesson: Lesson | None = None


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
    is_whole = request.selection == Selection()
    everything = files if is_whole else find_scans(request.bids_dir, derivatives=request.derivatives)
    refuse_unknown_labels(everything, request.config.design)
    return files, everything


def preview_study(request: StudyRequest) -> StudyPlan:
    """Check the selected scans, and find what is still to be done; nothing is written.

    Raises
    ------
    MrspipeError
        The dataset, the output folder or the settings cannot be used at all.
    """
    with Workers(request.config.engine, sparing=True) as workers:
        checks = check_scans(find_study(request)[0], request.config, workers)
    return plan_study(request, checks.refused)


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
    hashes = hashes_of(request)
    marks = Marks(request.config, hashes)
    return plan_scans(request, Outputs(request.out_dir, hashes), marks, *find_study(request), refused or {})


def hashes_of(request: StudyRequest) -> FileHashes:
    """Hashes of files, as the run before this one left them."""
    return FileHashes(request.work / "file-hashes.json")


def plan_scans(
    request: StudyRequest,
    outputs: Outputs,
    marks: Marks,
    files: StudyFiles,
    everything: StudyFiles,
    refused: Mapping[ScanKey, Failure],
    *,
    relearn: bool = False,
) -> StudyPlan:
    """Find what is still to be done of scans that were found.

    Parameters
    ----------
    request : StudyRequest
    outputs : Outputs
    marks : Marks
    files, everything : StudyFiles
        The selected scans, and all of the dataset.
    refused : mapping of ScanKey to Failure
        Scans that the checks refuse.
    relearn : bool, optional
        Take no notice of what an earlier run learned.
    """
    files, everything = (_without(found, refused) for found in (files, everything))
    lesson = None if relearn else _lesson(request, marks, everything)
    learned = lesson.learned if lesson else None
    jobs = [
        ScanJob(
            scan, request.out_dir, request.config, marks.scan(scan, learned), learned, marks.inputs(scan, files.root)
        )
        for scan in files.scans
    ]
    manifest = outputs.manifest()
    done = {job.files.key for job in jobs if outputs.is_current(manifest, job.files.key.label, job.fingerprint)}
    return StudyPlan(
        files=files,
        current=tuple(job.files for job in jobs if job.files.key in done),
        waiting=tuple(job for job in jobs if job.files.key not in done),
        everything=everything,
        must_learn=request.config.fit.mm == "study" and lesson is None,
        lesson=lesson,
    )


def _lesson(request: StudyRequest, marks: Marks, everything: StudyFiles) -> Lesson | None:
    if request.config.fit.mm != "study":
        return None
    return read_lesson(request.out_dir, teaching(marks, everything), marks.learning_settings)


def teaching(marks: Marks, everything: StudyFiles) -> dict[str, str]:
    """Fingerprint of what each scan teaches, by its label."""
    return {scan.key.label: marks.learning(scan) for scan in everything.scans}


def _without(files: StudyFiles, refused: Mapping[ScanKey, Failure]) -> StudyFiles:
    """Make failures of the refused scans."""
    kept = tuple(scan for scan in files.scans if scan.key not in refused)
    failures = tuple(refused[scan.key] for scan in files.scans if scan.key in refused)
    return replace(files, scans=kept, failures=(*files.failures, *failures))


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
