"""Basis sets as JSON files of FSL-MRS, one per metabolite, and as jMRUI text files.

In both, a resonance of higher ppm has the higher frequency, as in memory (`mrspipe.core.axis`), and zero frequency is
at 4.65 ppm: neither file says where it is. `mrspipe.io.basis_repairs` checks sign and reference on the singlets.
Neither file says the sequence or the echo time.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mrspipe.core.arrays import ComplexArray
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.basis_set import BasisSet
from mrspipe.core.errors import FileError, HeaderError
from mrspipe.core.operators import shifted
from mrspipe.io.atomic import atomic_write_text
from mrspipe.io.namelists import read_text
from mrspipe.physics.constants import WATER_PPM

_JMRUI_TITLE = "jMRUI Data Textfile"
_JMRUI_KEY = re.compile(r"^(\w+):[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_JMRUI_SIGNAL = re.compile(r"^Signal \d+ out of \d+ in file[ \t]*$", re.MULTILINE)


class _Entry(NamedTuple):
    """One metabolite of a file."""

    name: str
    fid: ComplexArray
    axis: SpectralAxis
    linewidth_hz: float


def looks_like_fsl_json(path: Path) -> bool:
    """Tell whether a file is a basis entry of FSL-MRS: JSON with a key ``basis_re``."""
    try:
        return '"basis_re"' in path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def looks_like_jmrui(path: Path) -> bool:
    """Tell whether a file is a jMRUI text file, by its first line."""
    try:
        with path.open(encoding="latin-1") as file:
            return file.readline().strip().startswith(_JMRUI_TITLE)
    except OSError:
        return False


def read_fsl_json(files: Sequence[Path], where: Path) -> BasisSet:
    """Read FSL-MRS basis entries, as they are."""
    return _basis([_fsl_entry(file) for file in files], where)


def _fsl_entry(path: Path) -> _Entry:
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise FileError(f"It is not JSON: {error}.", where=str(path), code="basis-json") from error
    basis = content.get("basis") if isinstance(content, Mapping) else None
    if not isinstance(basis, Mapping):
        raise FileError("It has no 'basis'.", where=str(path), cure="Is this an FSL-MRS basis file?", code="basis-json")
    real, imaginary = (_numbers(basis, key, path) for key in ("basis_re", "basis_im"))
    if real.shape != imaginary.shape:
        raise FileError(
            f"basis_re has {real.size} points and basis_im {imaginary.size}.", where=str(path), code="truncated"
        )
    width = basis.get("basis_width")
    return _Entry(
        name=str(basis.get("basis_name") or path.stem),
        fid=real + 1j * imaginary,
        axis=SpectralAxis(
            real.size, _number(basis, "basis_dwell", path), _number(basis, "basis_centre", path) * 1e6, WATER_PPM
        ),
        linewidth_hz=0.0 if width is None else float(width),
    )


def _numbers(basis: Mapping[str, Any], key: str, path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    try:
        return np.array(basis[key], dtype=np.float64).ravel()
    except (KeyError, TypeError, ValueError):
        raise FileError(f"{key} is not a list of numbers.", where=str(path), code="not-numbers") from None


def _number(values: Mapping[str, Any], key: str, path: Path) -> float:
    try:
        return float(values[key])
    except (KeyError, TypeError, ValueError):
        raise HeaderError(
            f"{key} must be a number, got {values.get(key)!r}.", where=str(path), code="basis-header"
        ) from None


def write_fsl_json(folder: Path, basis: BasisSet) -> None:
    """Write a folder with one FSL-MRS basis file per metabolite."""
    for name, fid in zip(basis.names, _at_water(basis), strict=True):
        entry = {
            "basis_re": fid.real.tolist(),
            "basis_im": fid.imag.tolist(),
            "basis_dwell": basis.axis.dwell_s,
            "basis_centre": basis.axis.hz_per_ppm,
            "basis_width": basis.linewidth_hz,
            "basis_name": name,
            "basis_nucleus": "1H",
        }
        content = {"basis": entry, "meta": {"SimVersion": basis.made_by}}
        atomic_write_text(folder / f"{name}.json", json.dumps(content, allow_nan=False) + "\n")


def read_jmrui(files: Sequence[Path], where: Path) -> BasisSet:
    """Read jMRUI text files, each with one signal or more, as they are."""
    return _basis([entry for file in files for entry in _jmrui_entries(file)], where)


def _jmrui_entries(path: Path) -> list[_Entry]:
    text = read_text(path)
    blocks = _JMRUI_SIGNAL.split(text)
    header: dict[str, Any] = dict(_JMRUI_KEY.findall(blocks[0]))
    n_points = int(_number(header, "PointsInDataset", path))
    axis = SpectralAxis(
        n_points,
        _number(header, "SamplingInterval", path) * 1e-3,
        _number(header, "TransmitterFrequency", path),
        WATER_PPM,
    )
    names = [name.strip().removesuffix(".txt") for name in header.get("SignalNames", "").split(";") if name.strip()]
    if len(blocks) == 2 and len(names) != 1:
        names = [path.stem]
    if not names or len(names) != len(blocks) - 1:
        raise FileError(
            f"It names {len(names)} signals and holds {len(blocks) - 1}.",
            where=str(path),
            cure="SignalNames must have one name per signal, with semicolons between them.",
            code="basis-names",
        )
    return [_Entry(name, _jmrui_fid(b, n_points, path), axis, 0.0) for name, b in zip(names, blocks[1:], strict=True)]


def _jmrui_fid(block: str, n_points: int, path: Path) -> ComplexArray:
    """Read the first two columns, the FID; a spectrum may follow in two more."""
    try:
        table = np.array([line.split()[:2] for line in block.splitlines() if line.strip()], dtype=np.float64)
    except ValueError:
        raise FileError("The data are not numbers.", where=str(path), code="not-numbers") from None
    if table.shape != (n_points, 2):
        raise FileError(
            f"PointsInDataset is {n_points}, but a signal has {table.shape[0]} points.",
            where=str(path),
            cure="The file is truncated or damaged; export it again.",
            code="truncated",
        )
    fid: ComplexArray = table[:, 0] + 1j * table[:, 1]
    return fid


def write_jmrui(path: Path, basis: BasisSet) -> None:
    """Write all metabolites to one jMRUI text file."""
    axis, n = basis.axis, len(basis.names)
    header = (
        f"{_JMRUI_TITLE}\n\nFilename: {path.name}\n\nPointsInDataset: {axis.n_points}\nDatasetsInFile: {n}\n"
        f"SamplingInterval: {axis.dwell_s * 1e3:.12E}\nZeroOrderPhase: 0E0\nBeginTime: 0E0\n"
        f"TransmitterFrequency: {axis.spectrometer_hz:.9E}\nMagneticField: 0E0\nTypeOfNucleus: 0E0\n"
        f"NameOfPatient: \nDateOfExperiment: \nSpectrometer: \nAdditionalInfo: \n"
        f"SignalNames: {';'.join(basis.names)};\n\n\nSignal and FFT\nsig(real)\tsig(imag)\n"
    )
    blocks = [
        f"Signal {number} out of {n} in file\n" + "".join(f"{z.real:.9E}\t{z.imag:.9E}\n" for z in fid) + "\n"
        for number, fid in enumerate(_at_water(basis), start=1)
    ]
    atomic_write_text(path, header + "".join(blocks))


def _at_water(basis: BasisSet) -> ComplexArray:
    """FIDs moved to a zero frequency of 4.65 ppm."""
    return shifted(basis.fids, basis.axis, basis.axis.offset_hz(2 * basis.axis.centre_ppm - WATER_PPM))


def _basis(entries: Sequence[_Entry], where: Path) -> BasisSet:
    """Join entries, which must have the same axis."""
    differing = sorted({entry.name for entry in entries if entry.axis != entries[0].axis})
    if differing:
        raise FileError(
            f"{', '.join(differing)} differ from {entries[0].name} in points, dwell time or frequency.",
            where=str(where),
            cure="Simulate all metabolites with the same settings.",
            code="basis-axis",
        )
    return BasisSet(
        names=tuple(entry.name for entry in entries),
        fids=np.array([entry.fid for entry in entries]),
        axis=entries[0].axis,
        proton_amplitude=None,
        linewidth_hz=float(np.mean([entry.linewidth_hz for entry in entries])),
        made_by=where.name,
    )
