"""Results of other programs, each put to the scan that it is of."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mrspipe.config import StudyConfig
from mrspipe.core.errors import ConfigError, FileError
from mrspipe.io.engine_results import OWN_UNITS, EngineResults, EngineSpectrum, matched
from mrspipe.io.engine_tables import READERS
from mrspipe.io.lcmodel_results import WaterScale, read_lcmodel_results
from mrspipe.io.tables import MISSING, read_table
from mrspipe.stats.rows import is_included

if TYPE_CHECKING:
    from pandas import DataFrame

OURS = "mrspipe"
"""Our own name among the programs."""

ENGINES = ("lcmodel", *READERS)
"""Programs whose results can be read."""

SAME_NAME = ("run", "acq", "nuc", "voi", "rec", "echo", "inv")
"""Columns that are called as their BIDS entity."""

_ENTITIES = {"participant_id": "sub", "session_id": "ses", "task_id": "task"}
_MATCH_COLUMNS = {"participant_id": "sub", "session": "ses", "session_id": "ses", "task": "task", "task_id": "task"}
_MATCH_COLUMNS |= {name: name for name in SAME_NAME}


def check_sources(sources: Sequence[tuple[str, Path]]) -> None:
    """Refuse programs that are not known, results that are not there, and two of the same name."""
    if not sources:
        raise ConfigError(
            "There is nothing to compare with.", cure="Give --with lcmodel=DIR or --run-lcmodel PATH.", code="no-engine"
        )
    for name, path in sources:
        if name not in ENGINES:
            raise ConfigError(
                f"There is no reader for '{name}'.", cure=f"Known are {', '.join(ENGINES)}.", code="engine"
            )
        if not path.exists():
            raise FileError("It does not exist.", where=str(path), cure="Give the program's results.", code="missing")
    labels = [path.stem if name == "tsv" else name for name, path in sources]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice or OURS in labels:
        raise ConfigError(
            f"Two results would have the name '{(twice or [OURS])[0]}'.",
            cure="Compare them one by one.",
            code="engine",
        )


def read_results(name: str, path: Path, config: StudyConfig) -> EngineResults:
    """Read the results of a program; LCModel's water scaling must be that of the configuration to be compared."""
    if name != "lcmodel":
        return READERS[name](path)
    told = config.quantify
    return read_lcmodel_results(path, WaterScale(told.lcmodel_wconc_mmol, told.lcmodel_atth2o, told.lcmodel_attmet))


def scans_of(ours: "DataFrame") -> list[dict[str, str]]:
    """BIDS entities of each scan, in the order of the table."""
    return [
        {entity: value.removeprefix(f"{entity}-") for entity, value in names if value != MISSING}
        for names in dict.fromkeys(map(tuple, _names(ours)))
    ]


def _names(ours: "DataFrame") -> list[list[tuple[str, str]]]:
    """Entity and text of the columns that name a scan, for every row."""
    columns = {**_ENTITIES, **{name: name for name in SAME_NAME}}
    cells = {
        entity: ours[column].astype(object).where(ours[column].notna(), MISSING).astype(str).tolist()
        for column, entity in columns.items()
        if column in ours
    }
    return [list(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]


def _scan_of_rows(ours: "DataFrame") -> list[int]:
    """Position of each row's scan in `_scans`."""
    place: dict[tuple[tuple[str, str], ...], int] = {}
    return [place.setdefault(tuple(names), len(place)) for names in _names(ours)]


def given_labels(match: Path | None) -> dict[tuple[str, int], dict[str, str]]:
    """Entities by file and row, from the user's table."""
    if match is None:
        return {}
    table = read_table(match)
    if "file" not in table or "participant_id" not in table:
        raise FileError(
            "It must have the columns file and participant_id.", where=str(match), cure="Add them.", code="table"
        )
    unknown = [str(name) for name in table if name not in {"file", "row", *_MATCH_COLUMNS}]
    if unknown:
        known = ", ".join(["file", "row", *_MATCH_COLUMNS])
        raise FileError(f"There is no column '{unknown[0]}'; there are {known}.", where=str(match), code="table")
    found = {}
    for row in table.astype(object).where(table.notna(), MISSING).to_dict("records"):
        named = {
            entity: str(row[column]) for column, entity in _MATCH_COLUMNS.items() if row.get(column, MISSING) != MISSING
        }
        place = str(row["file"]), int(row.get("row", 0) if row.get("row", MISSING) != MISSING else 0)
        found[place] = {entity: value.removeprefix(f"{entity}-") for entity, value in named.items()}
    return found


def placed(
    label: str,
    results: EngineResults,
    root: Path,
    scans: Sequence[Mapping[str, str]],
    given: Mapping[tuple[str, int], dict[str, str]],
) -> tuple[dict[int, EngineSpectrum], list[dict[str, Any]]]:
    """Give each spectrum its scan; what has none, and scans that got none, are rows with the reason."""
    found: dict[int, EngineSpectrum] = {}
    lost: list[dict[str, Any]] = []

    def lose(file: Path, row: int, reason: str) -> None:
        name = file.relative_to(root).as_posix() if file != root else file.name
        lost.append({"engine": label, "file": f"{name}{f', row {row}' if row else ''}", "reason": reason})

    for spectrum in results.spectra:
        name = spectrum.file.relative_to(root).as_posix() if spectrum.file != root else spectrum.file.name
        place, reason = matched(spectrum, scans, given.get((name, spectrum.row)))
        if place is None:
            lose(spectrum.file, spectrum.row, reason)
        elif place in found:
            lose(spectrum.file, spectrum.row, f"{found[place].file.name} is of the same scan")
        else:
            found[place] = spectrum
    for file, reason in results.problems:
        lose(file, 0, reason)
    for place, scan in enumerate(scans):
        if place not in found:
            named = "_".join(f"{entity}-{value}" for entity, value in scan.items())
            lost.append({"engine": label, "scan": named, "reason": "no result of this program"})
    return found, lost


def engine_values(
    label: str, found: Mapping[int, EngineSpectrum], ours: "DataFrame", scans: Sequence[Mapping[str, str]]
) -> list["DataFrame"]:
    """Give the values of a program as a table with our columns for the scan; no table where it has none."""
    import pandas as pd

    if not found:
        return []
    places = _scan_of_rows(ours)
    first = [places.index(at) for at in range(len(scans))]
    names = [name for name in (*_ENTITIES, *SAME_NAME) if name in ours]
    usable = ours.assign(place=places).groupby("place")["verdict"].first() != "unusable" if "verdict" in ours else None
    rows = []
    for place, spectrum in sorted(found.items()):
        scan = {name: ours[name].iloc[first[place]] for name in names}
        scan["included"] = True if usable is None else bool(usable[place])
        rows += [
            scan
            | {"engine": label, "metabolite": one.metabolite, "quantity": one.quantity, "value": one.value}
            | {"crlb_pct": one.sd_pct, "file": spectrum.file.name}
            for one in spectrum.values
        ]
    return [pd.DataFrame(rows)]


def side_by_side(
    ours: "DataFrame", scans: Sequence[Mapping[str, str]], found: Mapping[int, EngineSpectrum]
) -> "DataFrame":
    """Our rows with the program's value of the same scan, metabolite and quantity; NaN where it has none."""
    theirs = {
        (place, one.metabolite, one.quantity): one.value
        for place, spectrum in found.items()
        for one in spectrum.values
        if one.quantity != OWN_UNITS
    }
    keys = zip(_scan_of_rows(ours), ours["metabolite"], ours["quantity"], strict=True)
    other = np.array([theirs.get(key, np.nan) for key in keys])
    is_common = np.isfinite(other) & np.isfinite(ours["value"].to_numpy(float)) & is_included(ours).to_numpy(bool)
    return ours.assign(engine_value=other, is_common=is_common)
