"""The results of a scan as files of a BIDS derivative, and back.

What is read back equals what was written: numbers in JSON are exact, curves have ten significant digits. So a page or a
group table that is made again from files is the same as one made from a fresh run.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args
from urllib.parse import quote

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import FileError
from mrspipe.core.ratios import correlations, separability
from mrspipe.core.results import Concentration, ErrorBudget, FitResult, Metric, QualityReport, Verdict
from mrspipe.core.scan_result import ScanResult
from mrspipe.core.signal import ScanKey, Signal
from mrspipe.core.volume import Volume
from mrspipe.io.atomic import atomic_write_text
from mrspipe.io.columns import ALTERNATIVES, BUDGET, CONCENTRATIONS, fit_descriptions
from mrspipe.io.nifti_mrs import read_signal, write_signal
from mrspipe.io.rows import budget_rows as budget_rows
from mrspipe.io.rows import concentration_rows as concentration_rows
from mrspipe.io.rows import measurement_rows as measurement_rows
from mrspipe.io.rows import quality_row as quality_row
from mrspipe.io.tables import read_json, read_table, table_of, write_json, write_table
from mrspipe.io.volumes import read_volume, write_volume

if TYPE_CHECKING:
    from pandas import DataFrame

# The first version of BIDS with magnetic resonance spectroscopy.
_BIDS_VERSION = "1.10.0"

# What BIDS has no rule for: it does not know derivatives of spectra, nor tables and pages of a whole study.
# Without these lines its validator reports each of them as an error.
_BIDSIGNORE = """\
*_desc-*
*.html
/config.toml
/provenance.json
/macromolecules.json
/methods.md
/references.bib
/mrsinmrs.*
/group
/compare
/logs
/figures
"""

_DESCRIPTIONS = {
    "preproc": "Spectrum after preprocessing: coils combined, transients aligned and averaged.",
    "fit": "Fit of the spectrum: parameters (JSON) and curves (TSV).",
    "conc": "Metabolite concentrations.",
    "budget": "Standard error of each concentration by its source.",
    "alternatives": "Metabolite concentrations under other choices.",
    "qc": "Quality of the spectrum.",
    "voxel": "The part of each image voxel that lies inside the spectroscopy voxel.",
}

_SCALARS = ("noise_sd", "proton_amplitude", "status", "n_iterations", "macromolecule_model")
_MATRICES = ("amplitudes", "covariance", "crlb_covariance", "prior_share")
_CURVES = ("ppm", "data", "fit", "baseline", "macromolecules")


def write_dataset_description(out_dir: Path, source: Path, version: str) -> None:
    """Make a folder a BIDS derivative: its description, the meaning of the ``desc`` labels, and ``.bidsignore``.

    Parameters
    ----------
    out_dir : Path
    source : Path
        The dataset that was analysed; written relative to ``out_dir``, so that both can be moved together.
    version : str
        Version of mrspipe.
    """
    content = {
        "Name": "mrspipe: magnetic resonance spectroscopy results",
        "BIDSVersion": _BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [
            {"Name": "mrspipe", "Version": version, "CodeURL": "https://github.com/mrspipe/mrspipe"},
        ],
        "SourceDatasets": [{"URL": _relative_url(source, out_dir)}],
    }
    write_json(out_dir / "dataset_description.json", content)
    labels = [f"desc-{name}" for name in _DESCRIPTIONS]
    write_table(out_dir / "descriptions.tsv", {"desc_id": labels, "description": list(_DESCRIPTIONS.values())})
    atomic_write_text(out_dir / ".bidsignore", _BIDSIGNORE)


def _relative_url(source: Path, out_dir: Path) -> str:
    return quote(Path(os.path.relpath(source.resolve(), out_dir.resolve())).as_posix())


def scan_dir(out_dir: Path, key: ScanKey) -> Path:
    """Folder of a scan's results: ``out_dir/sub-X/[ses-Y/]mrs``."""
    folders = [f"sub-{key.sub}", *([f"ses-{key.ses}"] if key.ses else []), "mrs"]
    return out_dir.joinpath(*folders)


def write_scan(out_dir: Path, result: ScanResult, *, mask: Volume | None = None) -> tuple[Path, ...]:
    """Write the results of one scan.

    Parameters
    ----------
    out_dir : Path
    result : ScanResult
    mask : Volume, optional
        The voxel in the space of the anatomical image.

    Returns
    -------
    tuple of Path
        All files that were written.
    """
    path = _path_of(out_dir, result.key, "preproc_svs.nii.gz")
    signal = result.clean.metabolites
    write_signal(path, signal)
    sidecar = path.with_name(path.name.replace(".nii.gz", ".json"))
    write_json(sidecar, _signal_sidecar(signal))
    written = [path, sidecar, *_write_fit(out_dir, result), *_write_levels(out_dir, result)]
    written += [_write_quality(out_dir, result)]
    if mask is not None:
        written += _write_mask(out_dir, result.key, mask)
    return tuple(written)


def _path_of(out_dir: Path, key: ScanKey, ending: str) -> Path:
    return scan_dir(out_dir, key) / f"{key.label}_desc-{ending}"


def _signal_sidecar(signal: Signal) -> dict[str, Any]:
    acquisition = signal.acquisition
    known = {
        "Description": _DESCRIPTIONS["preproc"],
        "ResonantNucleus": [acquisition.nucleus],
        "SpectrometerFrequency": [signal.axis.hz_per_ppm],
        "SpectralWidth": signal.axis.bandwidth_hz,
        "NumberOfSpectralPoints": signal.axis.n_points,
        "EchoTime": acquisition.echo_time_s,
        "RepetitionTime": acquisition.repetition_time_s,
        "MixingTime": acquisition.mixing_time_s,
        "MagneticFieldStrength": acquisition.field_t,
        "Manufacturer": acquisition.manufacturer,
        "PulseSequenceType": acquisition.sequence,
        "NumberOfTransients": acquisition.n_transients,
        "AcquisitionVoxelSize": acquisition.voxel_mm,
        "WaterSuppression": acquisition.water_suppressed,
    }
    return {name: value for name, value in known.items() if value is not None}


def results_exist(out_dir: Path, key: ScanKey) -> bool:
    """Tell whether a scan's fit, concentrations and quality were written."""
    names = ("fit_mrs.json", "fit_mrs.tsv", "conc_mrs.json", "qc_mrs.json")
    return all(_path_of(out_dir, key, name).is_file() for name in names)


def fit_parameters(fit: FitResult) -> dict[str, Any]:
    """Give all of a fit but its curves, ready for JSON: infinity is text, NaN is null there."""
    parameters = {name: getattr(fit, name) for name in (*_SCALARS, *_MATRICES)}
    named = {"names": fit.names, "nuisance": fit.nuisance, "advice": fit.advice, "at_limit": fit.at_limit}
    exact: dict[str, Any] = _exact(parameters | named | _derived(fit))
    return exact


def _derived(fit: FitResult) -> dict[str, Any]:
    """Give what readers would have to work out of the covariance; not read back."""
    by_name = {
        name: dict(zip(fit.names, row, strict=True))
        for name, row in zip(fit.names, correlations(fit).tolist(), strict=True)
    }
    glu_gln = separability(fit)
    return {"correlations": by_name, "glu_gln": None if glu_gln is None else asdict(glu_gln)}


def fit_curves(fit: FitResult) -> dict[str, FloatArray]:
    """Give the curves of a fit, each a value per ppm: those of the whole spectrum, and one per metabolite."""
    curves = {name: getattr(fit, name) for name in _CURVES}
    return {**curves, **dict(zip(fit.names, fit.components, strict=True))}


def _write_fit(out_dir: Path, result: ScanResult) -> list[Path]:
    path = _path_of(out_dir, result.key, "fit_mrs.tsv")
    write_table(path, fit_curves(result.fit))
    descriptions = {name: _described(text) for name, text in fit_descriptions(result.fit.names).items()}
    sidecar = path.with_suffix(".json")
    write_json(sidecar, {**descriptions, "Parameters": fit_parameters(result.fit)})
    return [path, sidecar]


def read_fit(out_dir: Path, key: ScanKey) -> FitResult:
    """Read the fit of a scan.

    Raises
    ------
    FileError
        It is not there, or not as `write_scan` writes it.
    """
    path = _path_of(out_dir, key, "fit_mrs.json")
    parameters, curves = _entry(path, "Parameters"), read_table(path.with_suffix(".tsv"))
    try:
        names = tuple(parameters["names"])
        return FitResult(
            names=names,
            nuisance={name: _number(value) for name, value in parameters["nuisance"].items()},
            advice=tuple(parameters["advice"]),
            at_limit=tuple(parameters["at_limit"]),
            components=curves[list(names)].to_numpy(dtype=float).T,
            noise_sd=_number(parameters["noise_sd"]),
            proton_amplitude=parameters["proton_amplitude"],
            status=parameters["status"],
            n_iterations=int(parameters["n_iterations"]),
            macromolecule_model=parameters["macromolecule_model"],
            **{name: _array(parameters[name]) for name in _MATRICES},
            **{name: curves[name].to_numpy(dtype=float) for name in _CURVES},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(path, error) from error


def _write_levels(out_dir: Path, result: ScanResult) -> list[Path]:
    path = _path_of(out_dir, result.key, "conc_mrs.tsv")
    write_table(path, table_of(concentration_rows(result), CONCENTRATIONS))
    sidecar = path.with_suffix(".json")
    levels = [asdict(level) for level in result.levels]
    write_json(sidecar, {**{n: _described(d) for n, d in CONCENTRATIONS.items()}, "Levels": _exact(levels)})
    budget = _path_of(out_dir, result.key, "budget_mrs.tsv")
    write_table(budget, table_of(budget_rows(result), BUDGET), BUDGET)
    return [path, sidecar, budget, budget.with_suffix(".json"), *_write_alternatives(out_dir, result)]


def _write_alternatives(out_dir: Path, result: ScanResult) -> list[Path]:
    path = _path_of(out_dir, result.key, "alternatives_mrs.tsv")
    write_table(path, table_of([asdict(one) for one in result.alternatives], ALTERNATIVES), ALTERNATIVES)
    return [path, path.with_suffix(".json")]


def read_alternatives(out_dir: Path, key: ScanKey) -> "DataFrame":
    """Read what other choices would have given for a scan: a table of `mrspipe.io.columns.ALTERNATIVES`.

    Raises
    ------
    FileError
        It is not there or broken.
    """
    return read_table(_path_of(out_dir, key, "alternatives_mrs.tsv"))


def read_levels(out_dir: Path, key: ScanKey) -> tuple[Concentration, ...]:
    """Read the concentrations of a scan, in every unit.

    Raises
    ------
    FileError
        They are not there, or not as `write_scan` writes them.
    """
    path = _path_of(out_dir, key, "conc_mrs.json")
    try:
        return tuple(_concentration(row) for row in _entry(path, "Levels"))
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(path, error) from error


def _concentration(row: Mapping[str, Any]) -> Concentration:
    numbers = {name: _number(row[name]) for name in ("value", "se_fit", "se_total", "crlb_pct")}
    parts = row.get("budget")
    budget = ErrorBudget(**{name: _number(value) for name, value in parts.items()}) if parts else None
    return Concentration(**{**row, **numbers, "corrections": tuple(row["corrections"]), "budget": budget})


def _write_quality(out_dir: Path, result: ScanResult) -> Path:
    path = _path_of(out_dir, result.key, "qc_mrs.json")
    quality = result.quality
    metrics = [asdict(metric) for metric in quality.metrics]
    write_json(path, {"verdict": quality.verdict, "reasons": quality.reasons, "metrics": _exact(metrics)})
    return path


def read_quality(out_dir: Path, key: ScanKey) -> QualityReport:
    """Read the quality of a scan.

    Raises
    ------
    FileError
        It is not there, or not as `write_scan` writes it.
    """
    path = _path_of(out_dir, key, "qc_mrs.json")
    content = read_json(path)
    try:
        metrics = tuple(Metric(**{**row, "value": _number(row["value"])}) for row in content["metrics"])
        if content["verdict"] not in get_args(Verdict):
            raise ValueError(f"verdict {content['verdict']!r}")
        return QualityReport(metrics, cast(Verdict, content["verdict"]), tuple(content["reasons"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(path, error) from error


def _write_mask(out_dir: Path, key: ScanKey, mask: Volume) -> list[Path]:
    path = _path_of(out_dir, key, "voxel_mask.nii.gz")
    write_volume(path, mask)
    sidecar = path.with_name(path.name.replace(".nii.gz", ".json"))
    write_json(sidecar, {"Description": _DESCRIPTIONS["voxel"], "Type": "ROI", "SpatialReference": "orig"})
    return [path, sidecar]


def read_clean(out_dir: Path, key: ScanKey) -> Signal:
    """Read the preprocessed spectrum of a scan, with its history.

    Raises
    ------
    FileError
        It is not there or broken.
    """
    return read_signal(_path_of(out_dir, key, "preproc_svs.nii.gz"))


def read_voxel_mask(out_dir: Path, key: ScanKey) -> Volume | None:
    """Read the voxel in the space of the anatomical image; None when there is none."""
    path = _path_of(out_dir, key, "voxel_mask.nii.gz")
    return read_volume(path) if path.exists() else None


def _described(description: str | Mapping[str, Any]) -> dict[str, Any]:
    return {"Description": description} if isinstance(description, str) else dict(description)


def _exact(content: Any) -> Any:
    """Make JSON keep infinity, which it has no number for; NaN becomes null."""
    if isinstance(content, float):
        return str(content) if math.isinf(content) else content
    if isinstance(content, np.ndarray):
        return content if np.isfinite(content).all() else _exact(content.tolist())
    if isinstance(content, Mapping):
        return {name: _exact(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_exact(value) for value in content]
    return content


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _array(values: list[Any]) -> FloatArray:
    rows = [_array(row) if isinstance(row, list) else _number(row) for row in values]
    return np.array(rows, dtype=np.float64)


def _entry(path: Path, name: str) -> Any:
    content = read_json(path)
    if name not in content:
        raise _broken(path, KeyError(name))
    return content[name]


def _broken(path: Path, error: Exception) -> FileError:
    return FileError(
        f"The file is not what mrspipe writes ({error}).",
        where=str(path),
        cure="Remove it and run mrspipe again.",
        code="derivative",
    )
