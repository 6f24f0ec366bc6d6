"""Results of FSL-MRS, Osprey, and of anything that writes a tidy table.

FSL-MRS: a folder per spectrum with ``summary.csv`` (columns ``/Cr+PCr``, ``mMol/kg``, ``mM``) or
``concentrations.csv`` (two header lines: mean and std; raw, internal, molality, molarity).

Osprey: ``QuantifyResults/A_<quantity>_Voxel_1[_Basis_1].tsv`` with one column for each metabolite and one row for each
spectrum, without names; they are in ``subject_names_and_excluded.tsv`` one folder above. Excluded spectra have no row.
"""

import csv
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from mrspipe.core.errors import FileError
from mrspipe.io.engine_results import (
    OWN_UNITS,
    EngineResults,
    EngineSpectrum,
    EngineValue,
    our_name,
    with_sums_and_ratios,
)
from mrspipe.io.tables import read_table

_FSL_SUMMARY = {"mMol/kg": "molal", "mM": "molar"}
_FSL_SCALINGS = {"molality": "molal", "molarity": "molar"}
_OSPREY_NAME = re.compile(r"(?P<spectrum>[A-Za-z0-9]+)_(?P<quantity>[A-Za-z]+)_Voxel_1(_Basis_1)?\.tsv")
# Raw and CSF-corrected water scaling assume pure white matter: no quantity of ours.
_OSPREY_QUANTITIES = {
    "tCr": "ratio_tcr",
    "TissCorrWaterScaled": "molal",
    "AlphaCorrWaterScaled": "alpha_molar",
    "AlphaCorrWaterScaledGroupNormed": "alpha_group_molar",
    "rawWaterScaled": OWN_UNITS,
}
_OSPREY_NAMES = "subject_names_and_excluded.tsv"
_ABSENT = ("nan", "n/a")
_TIDY = ("participant_id", "metabolite", "quantity", "value")


def read_fsl_mrs_results(folder: Path) -> EngineResults:
    """Read all results of FSL-MRS in a folder: ``concentrations.csv``, or ``summary.csv`` where there is no such file.

    Parameters
    ----------
    folder : Path
        Searched with all folders in it; the BIDS labels stand in the names of the folders.
    """
    spectra, problems = [], []
    for place in sorted({path.parent for path in folder.rglob("*.csv")}):
        name = next((one for one in ("concentrations.csv", "summary.csv") if (place / one).is_file()), None)
        if name is None:
            continue
        path = place / name
        try:
            values = (_fsl_concentrations if name == "concentrations.csv" else _fsl_summary)(path)
        except (FileError, ValueError, IndexError) as error:
            problems.append((path, str(getattr(error, "message", error))))
            continue
        spectra.append(EngineSpectrum(path, path.relative_to(folder).as_posix(), values))
    return EngineResults(tuple(spectra), tuple(problems))


def _csv(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"It cannot be read: {error}.", where=str(path), code="table") from error
    if len(rows) < 2:
        raise FileError("It is empty.", where=str(path), code="table")
    return rows


def _column(header: list[str], names: tuple[str, ...], path: Path) -> int:
    place = next((header.index(name) for name in names if name in header), None)
    if place is None:
        raise FileError(f"It has no column {names[0]}.", where=str(path), code="table")
    return place


def _fsl_summary(path: Path) -> tuple[EngineValue, ...]:
    header, *rows = _csv(path)
    names, crlb = _column(header, ("Metab", "Metabs"), path), _column(header, ("%CRLB",), path)
    relative = next((at for at, name in enumerate(header) if name.startswith("/") and not name.endswith("CRLB")), None)
    scale = relative if relative is not None else _column(header, ("Raw conc",), path)
    rows = [row for row in rows if row[scale] not in ("", "nan")]
    values = [
        EngineValue(our_name(row[names]), quantity, float(row[header.index(column)]), float(row[crlb] or "nan"))
        for column, quantity in _FSL_SUMMARY.items()
        if column in header
        for row in rows
    ]
    amplitudes = [
        EngineValue(our_name(row[names]), "amplitude", float(row[scale]), float(row[crlb] or "nan")) for row in rows
    ]
    return with_sums_and_ratios(values, amplitudes)


def _fsl_concentrations(path: Path) -> tuple[EngineValue, ...]:
    kinds, scalings, *rows = _csv(path)
    names = _column(kinds, ("Metabs", "Metab"), path)
    means = {scaling: at for at, (kind, scaling) in enumerate(zip(kinds, scalings, strict=True)) if kind == "mean"}
    errors = {scaling: at for at, (kind, scaling) in enumerate(zip(kinds, scalings, strict=True)) if kind == "std"}
    if "raw" not in means:
        raise FileError("It has no column mean, raw.", where=str(path), code="table")

    def of(scaling: str, quantity: str) -> list[EngineValue]:
        at, error = means[scaling], errors.get(scaling)
        return [
            EngineValue(
                our_name(row[names]), quantity, float(row[at]), _percent(row[error] if error else "", float(row[at]))
            )
            for row in rows
        ]

    values = [one for scaling, quantity in _FSL_SCALINGS.items() if scaling in means for one in of(scaling, quantity)]
    return with_sums_and_ratios(values, of("raw", "amplitude"))


def _percent(error: str, value: float) -> float:
    return 100 * float(error) / value if error and value > 0 else math.nan


def read_osprey_results(folder: Path) -> EngineResults:
    """Read the tables of Osprey in a folder, of the spectrum ``A`` (unedited, or the edit-off one).

    Parameters
    ----------
    folder : Path
        Searched with all folders in it.
    """
    tables: dict[Path, dict[str, Path]] = {}
    for path in sorted(folder.rglob("*.tsv")):
        name = _OSPREY_NAME.fullmatch(path.name)
        if name and name["spectrum"] == "A" and name["quantity"] in _OSPREY_QUANTITIES:
            tables.setdefault(path.parent, {})[name["quantity"]] = path
    spectra: list[EngineSpectrum] = []
    problems: list[tuple[Path, str]] = []
    for here, by_quantity in tables.items():
        try:
            spectra += _osprey_spectra(folder, here, by_quantity)
        except (FileError, ValueError) as error:
            problems.append((here, str(getattr(error, "message", error))))
    return EngineResults(tuple(spectra), tuple(problems))


def _osprey_spectra(folder: Path, here: Path, by_quantity: Mapping[str, Path]) -> list[EngineSpectrum]:
    tables = {quantity: read_table(path) for quantity, path in by_quantity.items()}
    counts = {len(table) for table in tables.values()}
    if len(counts) != 1:
        raise FileError(f"Its tables have different numbers of rows: {sorted(counts)}.", where=str(here), code="table")
    n = counts.pop()
    names = _osprey_names(here, n)
    first = next(iter(by_quantity.values()))
    spectra = []
    for row in range(n):
        values = [
            EngineValue(our_name(str(column)), _OSPREY_QUANTITIES[quantity], float(table[column].iloc[row]))
            for quantity, table in tables.items()
            for column in table.columns
        ]
        place = f"{here.relative_to(folder).as_posix()}/{names[row] if names else ''}"
        spectra.append(EngineSpectrum(first, place, with_sums_and_ratios(values), row=row + 1))
    return spectra


def _osprey_names(here: Path, n: int) -> list[str]:
    """Names of the rows; none where they are not told, or do not fit the tables."""
    path = next((place / _OSPREY_NAMES for place in (here, here.parent) if (place / _OSPREY_NAMES).is_file()), None)
    if path is None:
        return []
    table = read_table(path)
    if "exclude" in table:
        table = table[table["exclude"] != 1]
    names = [str(name) for name in table["subject"]] if "subject" in table else []
    return names if len(names) == n else []


def read_tidy_results(path: Path) -> EngineResults:
    """Read a tidy table: one row for each value, quantities named as in ``measurements.tsv``.

    Parameters
    ----------
    path : Path
        With ``participant_id metabolite quantity value``, and where there are any ``session_id task_id run crlb_pct``.

    Raises
    ------
    FileError
        A column is missing.
    """
    table = read_table(path)
    missing = [name for name in _TIDY if name not in table]
    if missing:
        raise FileError(
            f"It has no column {', '.join(missing)}.",
            where=str(path),
            cure=f"Give {', '.join(_TIDY)}, one value a row.",
            code="table",
        )
    labels = [name for name in ("participant_id", "session_id", "task_id", "run") if name in table]
    by_place: dict[str, list[EngineValue]] = {}
    for row in table.astype(object).to_dict("records"):
        place = "_".join(_with_prefix(name, str(row[name])) for name in labels if str(row[name]) not in _ABSENT)
        value = EngineValue(
            our_name(str(row["metabolite"])),
            str(row["quantity"]),
            float(row["value"]),
            float(row.get("crlb_pct", math.nan)),
        )
        by_place.setdefault(place, []).append(value)
    return EngineResults(
        tuple(EngineSpectrum(path, place, with_sums_and_ratios(by_place[place])) for place in sorted(by_place))
    )


def _with_prefix(column: str, value: str) -> str:
    prefix = {"participant_id": "sub-", "session_id": "ses-", "task_id": "task-", "run": "run-"}[column]
    return prefix + value.removeprefix(prefix)


READERS: Mapping[str, Callable[[Path], EngineResults]] = {
    "fslmrs": read_fsl_mrs_results,
    "osprey": read_osprey_results,
    "tsv": read_tidy_results,
}
"""Readers by the name of the program; LCModel's also needs the water scaling to compare with."""
