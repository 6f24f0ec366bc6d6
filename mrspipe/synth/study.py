"""A synthetic study on disk: a valid BIDS tree, and its truth in a folder beside it.

The truth is outside the tree on purpose: no program that reads the study can find it by chance.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrspipe import __version__
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import InputError
from mrspipe.core.signal import Acquisition, ScanKey, Signal
from mrspipe.io.atomic import atomic_write_text
from mrspipe.io.nifti_mrs import write_signal
from mrspipe.io.tables import write_json, write_table
from mrspipe.io.volumes import write_volume
from mrspipe.synth.anatomy import draw_anatomy, voxel_affine
from mrspipe.synth.artefacts import record
from mrspipe.synth.cohort import IMAGES, SPECTRA, Cohort, Participant, ScanTruth, draw_cohort, stream, with_sums
from mrspipe.synth.recipe import Recipe
from mrspipe.synth.spectra import LineShape, make_basis, metabolite_amplitudes, synthesise

BIDS_VERSION = "1.10.0"
_TISSUE_FOLDER = Path("derivatives") / "tissue"
_PULSE_SEQUENCE = {"press": "PRESS", "slaser": "semi-LASER", "spin_echo": "Spin Echo"}
# SD of the voxel's rotation from session to session, assumed.
_ANGLE_SD_DEG = 4.0
_TRUTH_COLUMNS: Mapping[str, str | Mapping[str, Any]] = {
    "participant_id": "Participant",
    "session_id": "Session",
    "task_id": "Task",
    "group": "Group",
    "treatment": "Treatment of the session",
    "metabolite": "Metabolite, or sum of metabolites",
    "molar": {"Description": "True concentration in the tissue", "Units": "mmol/L"},
    "ratio_tcr": "True ratio of the signal of one proton to that of total creatine; relaxation is in it",
    "lorentz_hz": {"Description": "True Lorentzian width, with the metabolite's own T2", "Units": "Hz"},
    "gauss_hz": {"Description": "True Gaussian width", "Units": "Hz"},
    "fwhm_hz": {"Description": "True full width at half maximum of the creatine line", "Units": "Hz"},
    "snr": "True signal-to-noise ratio by LCModel's definition",
    "gm_fraction": "True volume fraction of grey matter",
    "wm_fraction": "True volume fraction of white matter",
    "csf_fraction": "True volume fraction of cerebrospinal fluid",
}


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What all scans of a study share."""

    recipe: Recipe
    seed: int
    root: Path
    axis: SpectralAxis
    basis: BasisSet


def write_study(
    recipe: Recipe, out: Path, *, seed: int | None = None, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Make a synthetic study.

    Parameters
    ----------
    recipe : Recipe
    out : Path
        Folder of the BIDS tree; must not exist or be empty. The truth goes to ``<out>_truth``: ``truth.tsv``,
        ``lost.tsv`` (scans that were not acquired) and ``recipe.json``.
    seed : int, optional
        Instead of the recipe's. The same recipe and seed give the same bytes.
    progress : callable, optional
        Called after each scan with the number of scans done and their total.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    InputError
        A folder is not empty.
    """
    out = Path(out)
    truth_dir = truth_folder(out)
    for folder in (out, truth_dir):
        _check_empty(folder)
    seed = recipe.seed if seed is None else seed
    cohort = draw_cohort(recipe, seed=seed)
    basis = make_basis(recipe)
    # The dataset gets its name when it is whole: an interrupted call leaves nothing that looks like one.
    unfinished = out.with_name(f".writing-{out.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    plan = _Plan(recipe, seed, unfinished, basis.axis, basis)
    _write_descriptions(plan, cohort)
    for number, person in enumerate(cohort.participants):
        _write_images(plan, person, number)
    acquired = [truth for truth in cohort.scans if not truth.lost]
    rows: list[dict[str, Any]] = []
    for done, truth in enumerate(acquired, start=1):
        rows += _truth_rows(truth, recipe, _write_scan(plan, truth))
        if progress is not None:
            progress(done, len(acquired))
    _write_truth(plan, cohort, rows, truth_dir)
    if out.exists():
        out.rmdir()
    unfinished.rename(out)
    return out


def truth_folder(out: Path) -> Path:
    """Folder of a study's truth.

    Examples
    --------
    >>> truth_folder(Path("studies/small")).as_posix()
    'studies/small_truth'
    """
    return out.with_name(f"{out.name}_truth")


def _check_empty(folder: Path) -> None:
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError(
            "A synthetic study needs an empty folder; there is something here.",
            where=str(folder),
            cure="Choose another folder, or remove this one.",
            code="not-empty",
        )


def _write_descriptions(plan: _Plan, cohort: Cohort) -> None:
    maker = [{"Name": "mrspipe", "Version": __version__, "Description": "synthetic data, no human was measured"}]
    common = {"Name": plan.recipe.name, "BIDSVersion": BIDS_VERSION, "GeneratedBy": maker}
    raw = {"License": "CC0", "Authors": ["The mrspipe developers"]}
    write_json(plan.root / "dataset_description.json", {**common, **raw, "DatasetType": "raw"})
    derived = {**common, "Name": f"{plan.recipe.name}: tissue maps", "DatasetType": "derivative"}
    write_json(plan.root / _TISSUE_FOLDER / "dataset_description.json", derived)
    atomic_write_text(plan.root / "README.md", _readme(plan))
    _write_participants(plan, cohort)
    _write_sessions(plan, cohort)


def _readme(plan: _Plan) -> str:
    lines = [
        f"# {plan.recipe.name}",
        plan.recipe.description or "A synthetic study.",
        "Every file is simulated by mrspipe; no human was measured. Tissue maps are in `derivatives/tissue`.",
        "The true concentrations are kept outside this folder.",
    ]
    return "\n\n".join(lines) + "\n"


def _write_participants(plan: _Plan, cohort: Cohort) -> None:
    import pandas as pd

    rows = [
        {"participant_id": f"sub-{person.label}", "group": person.group, **person.covariates}
        for person in cohort.participants
    ]
    if not plan.recipe.sessions:
        # Without sessions there is no sessions.tsv; the only visit's ratings belong to the participant.
        rows = [{**row, **visit.ratings} for row, visit in zip(rows, cohort.visits, strict=True)]
    meaning: dict[str, str | dict[str, Any]] = {c.name: c.description or c.name for c in plan.recipe.covariates}
    meaning |= {"group": "Group of participants"} | _visit_columns(plan.recipe)
    write_table(plan.root / "participants.tsv", pd.DataFrame(rows), meaning)


def _visit_columns(recipe: Recipe) -> dict[str, str | dict[str, Any]]:
    name = recipe.ratings.name if recipe.ratings else ""
    ratings = {
        f"{name}_{task}": f"Rating of {name} during {task}, visual analogue scale, 0 to 100" for task in recipe.tasks
    }
    return {"drug": "Treatment of the session", "period": "Number of the session in time", **ratings}


def _write_sessions(plan: _Plan, cohort: Cohort) -> None:
    import pandas as pd

    if not plan.recipe.sessions:
        return
    for person in cohort.participants:
        rows = []
        for visit in (v for v in cohort.visits if v.participant == person.label):
            drug = {"drug": visit.treatment} if visit.treatment else {}
            rows.append({"session_id": f"ses-{visit.session}", **drug, "period": visit.period, **visit.ratings})
        subject = f"sub-{person.label}"
        meaning = _visit_columns(plan.recipe)
        write_table(plan.root / subject / f"{subject}_sessions.tsv", pd.DataFrame(rows), meaning)


def _anatomy_path(plan: _Plan, subject: str) -> Path:
    """T1-weighted image of a participant, acquired in the first session; relative to the tree's root."""
    key = ScanKey(sub=subject, ses=plan.recipe.sessions[0] if plan.recipe.sessions else None)
    return _folder(key) / "anat" / f"{key.label}_T1w.nii.gz"


def _folder(key: ScanKey) -> Path:
    subject = Path(f"sub-{key.sub}")
    return subject / f"ses-{key.ses}" if key.ses else subject


def _write_images(plan: _Plan, person: Participant, number: int) -> None:
    import numpy as np

    anatomy = draw_anatomy(person.tissue, plan.recipe.measurement, stream(plan.seed, IMAGES, number))
    path = _anatomy_path(plan, person.label)
    write_volume(plan.root / path, anatomy.t1w, dtype=np.int16)
    sidecar = {"MagneticFieldStrength": plan.recipe.measurement.field_t, "Manufacturer": "simulated"}
    write_json(plan.root / path.with_name(path.name.replace(".nii.gz", ".json")), sidecar)
    for tissue, volume in anatomy.maps.items():
        name = Path(f"sub-{person.label}") / "anat" / f"sub-{person.label}_label-{tissue}_probseg.nii.gz"
        write_volume(plan.root / _TISSUE_FOLDER / name, volume, dtype=np.float32)


def _write_scan(plan: _Plan, truth: ScanTruth) -> LineShape:
    """Simulate one scan, write its files, and return its line shape."""
    m, rng = plan.recipe.measurement, stream(plan.seed, SPECTRA, *truth.index)
    clean = synthesise(truth, plan.recipe, plan.basis, rng)
    recorded = record(clean, plan.recipe, plan.axis, snr=truth.snr, rng=rng)
    # One position for all scans of a session.
    angle_deg = _ANGLE_SD_DEG * stream(plan.seed, SPECTRA, *truth.index[:2]).standard_normal()
    affine = voxel_affine(m, displacement_mm=truth.displacement_mm, angle_deg=angle_deg)
    acquisition = _acquisition(plan.recipe)
    samples, dims = recorded.metabolites, ("coil", "transient", "cycle")
    scan = Signal(*_squeezed(samples, dims), axis=plan.axis, acquisition=acquisition, affine=affine)
    links = {"AnatomicalImage": _uri(_anatomy_path(plan, truth.key.sub))}
    if recorded.water is not None:
        reference = _acquisition(plan.recipe, n_transients=m.water_blocks, water_suppressed=False)
        water = Signal(*_squeezed(recorded.water, dims[:2]), axis=plan.axis, acquisition=reference, affine=affine)
        _write_mrs(plan, truth.key, "mrsref", water, links)
        links |= {"ReferenceSignal": _uri(_mrs_path(truth.key, "mrsref"))}
    _write_mrs(plan, truth.key, "svs", scan, links)
    return clean.line_shape


def _squeezed(samples: Any, names: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    """Drop dimensions of length 1; time, the last, stays."""
    kept = [length > 1 for length in samples.shape[:-1]]
    shape = [length for length, keep in zip(samples.shape[:-1], kept, strict=True) if keep]
    dims = tuple(name for name, keep in zip(names, kept, strict=True) if keep)
    return samples.reshape(*shape, samples.shape[-1]), (*dims, "time")


def _acquisition(
    recipe: Recipe, *, n_transients: int | None = None, water_suppressed: bool | None = None
) -> Acquisition:
    m = recipe.measurement
    return Acquisition(
        field_t=m.field_t,
        sequence=m.sequence,
        echo_time_s=m.echo_time_s,
        repetition_time_s=m.repetition_time_s,
        manufacturer="simulated",
        n_transients=m.n_transients if n_transients is None else n_transients,
        voxel_mm=m.voxel_mm,
        water_suppressed=not m.cycling if water_suppressed is None else water_suppressed,
    )


def _mrs_path(key: ScanKey, suffix: str) -> Path:
    return _folder(key) / "mrs" / f"{key.label}_{suffix}.nii.gz"


def _uri(path: Path) -> str:
    return f"bids::{path.as_posix()}"


def _write_mrs(plan: _Plan, key: ScanKey, suffix: str, signal: Signal, links: Mapping[str, str]) -> None:
    name = _mrs_path(key, suffix)
    write_signal(plan.root / name, signal)
    task = {"TaskName": key.task} if key.task else {}
    sidecar = {**_sidecar(plan.recipe, signal), **task, **links}
    write_json(plan.root / name.with_name(name.name.replace(".nii.gz", ".json")), sidecar)


def _sidecar(recipe: Recipe, signal: Signal) -> dict[str, Any]:
    m, acquisition = recipe.measurement, signal.acquisition
    details = {"PulseSequenceDetails": "metabolite cycling"} if m.cycling else {}
    return {
        "ResonantNucleus": ["1H"],
        "SpectrometerFrequency": [round(signal.axis.hz_per_ppm, 6)],
        "SpectralWidth": m.bandwidth_hz,
        "NumberOfSpectralPoints": m.n_points,
        "NumberOfTransients": acquisition.n_transients,
        "EchoTime": m.echo_time_s,
        "RepetitionTime": m.repetition_time_s,
        "FlipAngle": 90,
        "AcquisitionVoxelSize": list(m.voxel_mm),
        "WaterSuppression": acquisition.water_suppressed,
        "ScanningSequence": "SVS",
        "PulseSequenceType": _PULSE_SEQUENCE[m.sequence],
        "MagneticFieldStrength": m.field_t,
        "Manufacturer": "simulated",
        **details,
    }


def _truth_rows(truth: ScanTruth, recipe: Recipe, shape: LineShape) -> list[dict[str, Any]]:
    levels, signals = with_sums(truth.levels), with_sums(metabolite_amplitudes(truth, recipe))
    scan = {
        "fwhm_hz": truth.fwhm_hz,
        "snr": truth.snr,
        "gm_fraction": truth.tissue.gm,
        "wm_fraction": truth.tissue.wm,
        "csf_fraction": truth.tissue.csf,
    }
    return [
        {
            **_labels(truth),
            "metabolite": name,
            "molar": level,
            "ratio_tcr": signals[name] / signals["tCr"],
            # A sum has no width of its own.
            "lorentz_hz": shape.lorentz_hz.get(name, float("nan")),
            "gauss_hz": shape.gauss_hz,
            **scan,
        }
        for name, level in levels.items()
    ]


def _labels(truth: ScanTruth) -> dict[str, str | None]:
    return {
        "participant_id": f"sub-{truth.key.sub}",
        "session_id": f"ses-{truth.key.ses}" if truth.key.ses else None,
        "task_id": truth.key.task,
        "group": truth.group,
        "treatment": truth.treatment or None,
    }


def _write_truth(plan: _Plan, cohort: Cohort, rows: Iterable[dict[str, Any]], folder: Path) -> None:
    import pandas as pd

    write_table(folder / "truth.tsv", pd.DataFrame(list(rows), columns=list(_TRUTH_COLUMNS)), _TRUTH_COLUMNS)
    lost = [{**_labels(truth), "reason": truth.lost} for truth in cohort.scans if truth.lost]
    columns = ["participant_id", "session_id", "task_id", "group", "treatment", "reason"]
    write_table(folder / "lost.tsv", pd.DataFrame(lost, columns=columns))
    recipe = json.loads(plan.recipe.model_dump_json())
    write_json(folder / "recipe.json", {"seed": plan.seed, "version": __version__, "recipe": recipe})
