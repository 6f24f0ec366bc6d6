"""The user's own LCModel on every scan of an analysed study: the same preprocessed spectra, the same basis set.

LCModel keeps its own treatment of baseline, macromolecules and soft constraints: those are what a comparison of the two
programs is about. Only a basis set that holds measured macromolecules turns its simulated ones off.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mrspipe.config import StudyConfig
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import AnalysisError, InputError, MrspipeError
from mrspipe.core.results import Failure
from mrspipe.core.signal import Signal
from mrspipe.engine import Progress, counted, run_jobs
from mrspipe.io.atomic import atomic_write_text
from mrspipe.io.basis_files import write_basis
from mrspipe.io.bids import ScanFiles, read_scan
from mrspipe.io.derivatives import read_clean
from mrspipe.io.lcmodel_files import control_text, spectrum_settings, write_raw
from mrspipe.io.lcmodel_results import read_lcmodel_table
from mrspipe.io.sidecars import with_sidecar
from mrspipe.pipeline.basis import basis_for
from mrspipe.preprocess.steps import preprocess

TIMEOUT_S = 600.0
"""How long LCModel may take for one spectrum, in s; usually it takes seconds."""

_TABLE = "lcmodel.table"


@dataclass(frozen=True, slots=True)
class LcmodelJob:
    """One scan for LCModel."""

    out_dir: Path
    folder: Path
    scan: ScanFiles
    config: StudyConfig
    binary: str
    timeout_s: float


def run_lcmodel(
    out_dir: Path,
    scans: Sequence[ScanFiles],
    config: StudyConfig,
    binary: Path,
    *,
    folder: Path,
    timeout_s: float = TIMEOUT_S,
    progress: Progress = lambda *_: None,
) -> tuple[Failure, ...]:
    """Run LCModel on scans that have results.

    Parameters
    ----------
    out_dir : Path
        Results of ``mrspipe run``.
    scans : sequence of ScanFiles
    config : StudyConfig
    binary : Path
        LCModel's executable, which reads its control file from the standard input.
    folder : Path
        Where its input and output go: a folder for each scan, by the scan's BIDS label.
    timeout_s : float, optional
        For one spectrum, in s.
    progress : callable, optional

    Returns
    -------
    tuple of Failure
        Scans that LCModel gave no table for.

    Raises
    ------
    InputError
        ``no-lcmodel``: there is no such program.
    """
    program = shutil.which(binary)
    if program is None:
        raise InputError(
            "There is no such program, or it may not be executed.",
            where=str(binary),
            cure="Give the path of LCModel's executable with --run-lcmodel.",
            code="no-lcmodel",
        )
    jobs = [
        LcmodelJob(out_dir, folder / scan.key.label, scan, config, str(Path(program).resolve()), timeout_s)
        for scan in scans
    ]
    done = counted(progress, "LCModel", len(jobs))
    outcomes = run_jobs(_run, jobs, config.engine.n_procs, lost=_lost, done=done)
    return tuple(outcome for outcome in outcomes if outcome is not None)


def _lost(job: LcmodelJob) -> Failure:
    return _failure(job, "worker-died", "The process that ran LCModel ended without a word.", "Use fewer --n-procs.")


def _failure(job: LcmodelJob, code: str, message: str, cure: str) -> Failure:
    return Failure(job.scan.key.entities, "lcmodel", code, message, cure)


def _run(job: LcmodelJob) -> Failure | None:
    try:
        _write_input(job)
        _execute(job)
        read_lcmodel_table(job.folder / _TABLE)
    except MrspipeError as error:
        return _failure(job, error.code, error.message, error.cure)
    return None


def _write_input(job: LcmodelJob) -> None:
    key, config = job.scan.key, job.config
    (job.folder / _TABLE).unlink(missing_ok=True)
    signal = with_sidecar(read_clean(job.out_dir, key), job.scan.sidecar, where=key.label)
    basis = basis_for(signal, config.basis)
    water = _water(job)
    write_raw(job.folder / "data.RAW", signal)
    files = {"raw": "data.RAW", "basis": _basis_path(job, basis), "table": _TABLE}
    settings = spectrum_settings(signal.axis, config.fit.range_ppm, **files)
    settings |= {"title": key.label, "lps": 8, "filcoo": "lcmodel.coord", "lcoord": 9}
    if water is not None:
        write_raw(job.folder / "water.H2O", water)
        settings |= {"filh2o": "water.H2O", "dows": True, "wconc": config.quantify.lcmodel_wconc_mmol}
        settings |= {"atth2o": config.quantify.lcmodel_atth2o, "attmet": config.quantify.lcmodel_attmet}
    if basis.macromolecule_names:
        settings["nsimul"] = 0
    atomic_write_text(job.folder / "control", control_text(settings))


def _water(job: LcmodelJob) -> Signal | None:
    """The combined water reference; None where the raw data are no longer there or have none."""
    try:
        return preprocess(read_scan(job.scan), job.config.preprocess).water
    except MrspipeError:
        return None


def _basis_path(job: LcmodelJob, basis: BasisSet) -> str:
    """A basis set of LCModel's own format as it is; any other once for all scans that share it."""
    given = job.config.basis.file
    if given.lower().endswith(".basis"):
        return str(Path(given).resolve())
    content = basis.fids.tobytes() + repr((basis.names, basis.axis)).encode()
    name = f"basis-{hashlib.sha256(content).hexdigest()[:12]}.basis"
    path = job.folder.parent / name
    if not path.exists():
        write_basis(path, basis)
    return f"../{name}"


def _execute(job: LcmodelJob) -> None:
    cure = f"Look at {job.folder}; LCModel's own messages are in lcmodel.log."
    try:
        with (job.folder / "control").open("rb") as control, (job.folder / "lcmodel.log").open("wb") as log:
            done = subprocess.run(
                [job.binary], stdin=control, stdout=log, stderr=log, cwd=job.folder, timeout=job.timeout_s, check=False
            )
    except subprocess.TimeoutExpired:
        message = f"LCModel did not end within {job.timeout_s:g} s."
        raise AnalysisError(message, cure=cure, code="lcmodel-timeout") from None
    except OSError as error:
        raise AnalysisError(
            f"LCModel cannot be run: {error.strerror or error}.", cure=cure, code="lcmodel-failed"
        ) from error
    if not (job.folder / _TABLE).is_file():
        words = (job.folder / "lcmodel.log").read_text(encoding="latin-1").split()
        said = f": {' '.join(words[-20:])}" if words else ""
        message = f"LCModel wrote no table (exit code {done.returncode}){said}."
        raise AnalysisError(message, cure=cure, code="lcmodel-failed")
