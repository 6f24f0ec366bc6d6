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
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import InputError
from mrspipe.core.signal import ScanKey, Signal
from mrspipe.io.atomic import atomic_write_text
from mrspipe.io.nifti_mrs import write_signal
from mrspipe.io.tables import write_json, write_table
from mrspipe.io.volumes import write_volume
from mrspipe.synth.anatomy import draw_anatomy
from mrspipe.synth.cohort import Cohort, ScanTruth, draw_cohort, with_sums
from mrspipe.synth.covariates import ChoiceCovariate
from mrspipe.synth.origin import Fact, facts
from mrspipe.synth.people import Participant
from mrspipe.synth.recipe import Recipe
from mrspipe.synth.scanner import SpectrumLevel, scan
from mrspipe.synth.spectra import LineShape, make_basis, metabolite_amplitudes
from mrspipe.synth.streams import IMAGES, stream

BIDS_VERSION = "1.10.0"
_TISSUE_FOLDER = Path("derivatives") / "tissue"
_PULSE_SEQUENCE = {"press": "PRESS", "slaser": "semi-LASER", "spin_echo": "Spin Echo"}
_TRUTH_COLUMNS: Mapping[str, str | Mapping[str, Any]] = {
    "participant_id": "Participant",
    "session_id": "Session",
    "task_id": "Task",
    "group": "Group",
    "treatment": "Treatment of the session",
    "arm": "Arm of the participant",
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
    basis: BasisSet
    level: SpectrumLevel


def write_study(
    recipe: Recipe,
    out: Path,
    *,
    seed: int | None = None,
    level: SpectrumLevel = "raw",
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Make a synthetic study.

    Parameters
    ----------
    recipe : Recipe
    out : Path
        Folder of the BIDS tree; must not exist or be empty. The truth goes to ``<out>_truth``: ``truth.tsv``,
        ``lost.tsv`` (scans that were not acquired) and ``recipe.json``.
    seed : int, optional
        Instead of the recipe's. The same recipe, seed and level give the same bytes.
    level : {"averaged", "raw"}
        How close to the scanner the spectra are, as in `mrspipe.synth.scanner.scan`.
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
        check_empty(folder)
    seed = recipe.seed if seed is None else seed
    cohort = draw_cohort(recipe, seed=seed)
    basis = make_basis(recipe)
    # The dataset gets its name when it is whole: an interrupted call leaves nothing that looks like one.
    unfinished = out.with_name(f".writing-{out.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    plan = _Plan(recipe, seed, unfinished, basis, level)
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


def check_empty(folder: Path) -> None:
    """Refuse a folder that has something in it.

    Raises
    ------
    InputError
        It has.
    """
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
        {"participant_id": f"sub-{person.label}", "group": person.group}
        | _arm(plan.recipe, person)
        | dict(person.covariates)
        for person in cohort.participants
    ]
    if not plan.recipe.sessions:
        # Without sessions there is no sessions.tsv; the only visit's ratings belong to the participant.
        rows = [{**row, **visit.ratings} for row, visit in zip(rows, cohort.visits, strict=True)]
    meaning: dict[str, str | dict[str, Any]] = {}
    for covariate in plan.recipe.covariates:
        unit = "" if isinstance(covariate, ChoiceCovariate) else covariate.unit
        text = covariate.description or covariate.name
        meaning[covariate.name] = {"Description": text, "Units": unit} if unit else text
    meaning |= {"group": "Group of participants", "arm": "Treatment for the whole study"} | _visit_columns(plan.recipe)
    write_table(plan.root / "participants.tsv", pd.DataFrame(rows), meaning)


def _arm(recipe: Recipe, person: Participant) -> dict[str, str | None]:
    return {} if recipe.parallel is None else {"arm": person.arm or None}


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


def _anatomy_path(key: ScanKey) -> Path:
    """T1-weighted image of a session; relative to the tree's root."""
    visit = ScanKey(sub=key.sub, ses=key.ses)
    return _folder(visit) / "anat" / f"{visit.label}_T1w.nii.gz"


def _folder(key: ScanKey) -> Path:
    subject = Path(f"sub-{key.sub}")
    return subject / f"ses-{key.ses}" if key.ses else subject


def _write_images(plan: _Plan, person: Participant, number: int) -> None:
    """Write the image and tissue maps of each session: the same head, with noise of its own."""
    import numpy as np

    sidecar = {"MagneticFieldStrength": plan.recipe.measurement.field_t, "Manufacturer": "simulated"}
    written: dict[str, Path] = {}
    for index, session in enumerate((plan.recipe.sessions or (None,))[: person.n_attended]):
        rng = stream(plan.seed, IMAGES, number, index)
        anatomy = draw_anatomy(person.tissue, plan.recipe.measurement, rng)
        path = _anatomy_path(ScanKey(sub=person.label, ses=session))
        write_volume(plan.root / path, anatomy.t1w, dtype=np.int16)
        write_json(plan.root / path.with_name(path.name.replace(".nii.gz", ".json")), sidecar)
        for tissue, volume in anatomy.maps.items():
            name = path.name.replace("T1w", f"label-{tissue}_probseg")
            file = plan.root / _TISSUE_FOLDER / path.with_name(name)
            if tissue in written:
                # The head is the same, and compressing takes most of the time.
                file.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(written[tissue], file)
            else:
                write_volume(file, volume, dtype=np.float32)
                written[tissue] = file


def _write_scan(plan: _Plan, truth: ScanTruth) -> LineShape:
    """Simulate one scan, write its files, and return its line shape."""
    delivered = scan(truth, plan.recipe, plan.basis, plan.seed, level=plan.level)
    links = {"AnatomicalImage": _uri(_anatomy_path(truth.key))}
    if delivered.water is not None:
        _write_mrs(plan, truth.key, "mrsref", delivered.water, links)
        links |= {"ReferenceSignal": _uri(_mrs_path(truth.key, "mrsref"))}
    _write_mrs(plan, truth.key, "svs", delivered.metabolites, links)
    return delivered.line_shape


def _mrs_path(key: ScanKey, suffix: str) -> Path:
    return _folder(key) / "mrs" / f"{key.label}_{suffix}.nii.gz"


def _uri(path: Path) -> str:
    return f"bids::{path.as_posix()}"


def _write_mrs(plan: _Plan, key: ScanKey, suffix: str, signal: Signal, links: Mapping[str, str]) -> None:
    name = _mrs_path(key, suffix)
    write_signal(plan.root / name, signal)
    task = {"TaskName": key.task} if key.task else {}
    sidecar = {**_sidecar(plan, signal), **task, **links}
    write_json(plan.root / name.with_name(name.name.replace(".nii.gz", ".json")), sidecar)


def _sidecar(plan: _Plan, signal: Signal) -> dict[str, Any]:
    m, acquisition = plan.recipe.measurement, signal.acquisition
    # The average of cycled transients is as one of suppressed ones.
    cycled = m.cycling and plan.level == "raw"
    details = {"PulseSequenceDetails": "metabolite cycling"} if cycled else {}
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
        "arm": truth.arm or None,
    }


def _write_truth(plan: _Plan, cohort: Cohort, rows: Iterable[dict[str, Any]], folder: Path) -> None:
    import pandas as pd

    write_table(folder / "truth.tsv", pd.DataFrame(list(rows), columns=list(_TRUTH_COLUMNS)), _TRUTH_COLUMNS)
    lost = [{**_labels(truth), "reason": truth.lost} for truth in cohort.scans if truth.lost]
    columns = ["participant_id", "session_id", "task_id", "group", "treatment", "arm", "reason"]
    write_table(folder / "lost.tsv", pd.DataFrame(lost, columns=columns))
    recipe = json.loads(plan.recipe.model_dump_json())
    made = {"seed": plan.seed, "level": plan.level, "version": __version__}
    origins = [_fact_row(fact) for fact in facts(plan.recipe)]
    write_json(folder / "recipe.json", {**made, "recipe": recipe, "origins": origins})


def _fact_row(fact: Fact) -> dict[str, Any]:
    origin = fact.origin.model_dump() if fact.origin else {"tag": None, "source": "", "note": "nobody said"}
    return {"quantity": fact.place, "value": fact.value, "unit": fact.unit, **origin}
