"""LCModel's results: the tables it writes as ``.table`` and inside ``.coord``.

Columns of the concentration table stand at fixed places: concentration in 8 characters after a blank, the relative
error in 4 before ``%``, the ratio in 8, one character that marks a ratio far from its prior, the name. Where the
relative error is 999 %, the estimate is at its lower bound, zero.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
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
from mrspipe.io.namelists import read_text

_ENDINGS = (".table", ".tab", ".coord", ".coo")
_ROW = re.compile(r"^ (?P<conc>[ \dE.+-]{8})(?P<sd>[ \d]{4})%(?P<ratio>[ \dE.+-]{8})[ +-](?P<name>\S+)\s*$")
_HEADER = re.compile(r"Conc\.\s+%SD\s+/\s?(?P<relative>\S+)\s+Metab")
_WIDTH = re.compile(r"FWHM\s*=\s*([\d.]+)\s*ppm\s+S/N\s*=\s*(\d+)")
_INPUT = re.compile(r"^\s*(?P<key>[A-Za-z]\w*)\s*=\s*(?P<value>.*?)\s*,?\s*$")
_AT_BOUND_PCT = 999.0
# What LCModel assumes where nothing else is said.
_DEFAULTS = {"wconc": 35880.0, "atth2o": 0.7, "attmet": 1.0}
_AGREEMENT = 0.01


@dataclass(frozen=True, slots=True)
class WaterScale:
    """With which numbers LCModel scales to water: WCONC in mmol/L, ATTH2O and ATTMET."""

    wconc: float = _DEFAULTS["wconc"]
    atth2o: float = _DEFAULTS["atth2o"]
    attmet: float = _DEFAULTS["attmet"]


@dataclass(frozen=True, slots=True)
class LcmodelTable:
    """A concentration table.

    Parameters
    ----------
    rows : tuple of (name, concentration, relative error in percent, ratio)
        As printed.
    relative_to : str
        What the ratios are relative to.
    fwhm_ppm, snr : float
        NaN where they are not given.
    inputs : mapping of str to str
        Input changes, in lower case.
    """

    rows: tuple[tuple[str, float, float, float], ...]
    relative_to: str
    fwhm_ppm: float
    snr: float
    inputs: Mapping[str, str]

    @property
    def water_scale(self) -> WaterScale | None:
        """How concentrations were scaled to water; None where they were not."""
        if not self.inputs.get("dows", "f").lstrip(".").lower().startswith("t"):
            return None
        return WaterScale(**{name: _real(self.inputs.get(name), default) for name, default in _DEFAULTS.items()})


def _real(text: str | None, default: float) -> float:
    """A Fortran number, whose exponent may be D; NaN, which is like no other number, where it is none."""
    if text is None:
        return default
    try:
        return float(text.upper().replace("D", "E"))
    except ValueError:
        return math.nan


def read_lcmodel_table(path: Path) -> LcmodelTable:
    """Read a ``.table`` or ``.coord`` file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    FileError
        It has no concentration table; LCModel stopped, or it is another file.
    """
    lines = read_text(path).splitlines()
    start = next((at for at, line in enumerate(lines) if _HEADER.search(line)), None)
    if start is None:
        reason = next((line.strip() for line in lines if "FATAL" in line.upper() or "ERROR" in line.upper()), "")
        raise FileError(
            f"It has no concentration table{f' ({reason})' if reason else ''}.",
            where=str(path),
            cure="LCModel may have stopped; look at its output.",
            code="lcmodel-table",
        )
    header = _HEADER.search(lines[start])
    rows = []
    for line in lines[start + 1 :]:
        match = _ROW.match(line)
        if match is None:
            break
        rows.append((match["name"], float(match["conc"]), float(match["sd"]), float(match["ratio"])))
    width = next((match for line in lines if (match := _WIDTH.search(line))), None)
    return LcmodelTable(
        rows=tuple(rows),
        relative_to=header["relative"] if header else "",
        fwhm_ppm=float(width[1]) if width else math.nan,
        snr=float(width[2]) if width else math.nan,
        inputs=_inputs(lines),
    )


def _inputs(lines: list[str]) -> dict[str, str]:
    start = next((at for at, line in enumerate(lines) if "table of input changes" in line), len(lines))
    found = (_INPUT.match(line) for line in lines[start + 1 :])
    return {match["key"].lower(): match["value"] for match in found if match}


def read_lcmodel_results(folder: Path, scale: WaterScale) -> EngineResults:
    """Read all results of LCModel in a folder; where both exist, the ``.table`` and not the ``.coord``.

    Parameters
    ----------
    folder : Path
        Searched with all folders in it.
    scale : WaterScale
        Of our quantity ``lcmodel``: concentrations with other numbers are not the same quantity.
    """
    chosen: dict[Path, Path] = {}
    for ending in _ENDINGS:
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() == ending and path.is_file():
                chosen.setdefault(path.with_suffix(""), path)
    spectra, problems = [], []
    for path in sorted(chosen.values()):
        try:
            spectra.append(_spectrum(path, path.relative_to(folder).as_posix(), scale))
        except FileError as error:
            problems.append((path, error.message))
    return EngineResults(tuple(spectra), tuple(problems))


def _spectrum(path: Path, place: str, scale: WaterScale) -> EngineSpectrum:
    table = read_lcmodel_table(path)
    concentrations = [(our_name(name), conc, _relative(sd)) for name, conc, sd, _ in table.rows]
    used = table.water_scale
    quantity = "lcmodel" if used is not None and _alike(used, scale) else OWN_UNITS
    values = [EngineValue(name, quantity, conc, sd) for name, conc, sd in concentrations]
    if our_name(table.relative_to) == "tCr":
        values += [EngineValue(our_name(name), "ratio_tcr", ratio, _relative(sd)) for name, _, sd, ratio in table.rows]
    amplitudes = [EngineValue(name, "amplitude", conc, sd) for name, conc, sd in concentrations]
    return EngineSpectrum(path, place, with_sums_and_ratios(values, amplitudes), note=_note(used, scale))


def _relative(sd_pct: float) -> float:
    return math.nan if sd_pct >= _AT_BOUND_PCT else sd_pct


def _alike(left: WaterScale, right: WaterScale) -> bool:
    pairs = ((left.wconc, right.wconc), (left.atth2o, right.atth2o), (left.attmet, right.attmet))
    return all(math.isclose(a, b, rel_tol=_AGREEMENT) for a, b in pairs)


def _note(used: WaterScale | None, scale: WaterScale) -> str:
    if used is None:
        return "concentrations are not scaled to water (DOWS is not T): only ratios are compared"
    if not _alike(used, scale):
        return f"concentrations are scaled with {used}, ours with {scale}: only ratios are compared"
    return ""
