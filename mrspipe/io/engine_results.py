"""Results of other analysis programs as plain values: what each of their numbers is, in the words of our tables.

A number is compared with ours only where both are the same quantity. Concentrations in units that depend on a
program's own assumptions (LCModel without water scaling, the water-scaled values of Osprey before tissue correction)
keep a name of their own, so that they are never taken for something else.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrspipe.core.results import SUMS
from mrspipe.io.basis_files import short_name
from mrspipe.io.names import labels_in, same_value

OWN_UNITS = "engine_units"
"""A concentration in the program's own units, which has no counterpart among our quantities."""

_NAMES_OF_SUMS = {frozenset(members): name for name, members in SUMS.items()}


@dataclass(frozen=True, slots=True)
class EngineValue:
    """One number: the metabolite by our name, what it is, and its relative error in percent where it is known."""

    metabolite: str
    quantity: str
    value: float
    sd_pct: float = math.nan


@dataclass(frozen=True, slots=True)
class EngineSpectrum:
    """What a program found in one spectrum.

    Parameters
    ----------
    file : Path
    place : str
        Text in which BIDS labels may stand: the file's path below the folder of results.
    values : tuple of EngineValue
    row : int
        Row of the file, from 1; 0 where the file is of one spectrum.
    note : str
        What to know about the values.
    """

    file: Path
    place: str
    values: tuple[EngineValue, ...]
    row: int = 0
    note: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """BIDS entities of the place; those of the file's name win over those of its folders."""
        return labels_in(self.place)


@dataclass(frozen=True, slots=True)
class EngineResults:
    """All spectra of a program, and files that could not be read, with the reason."""

    spectra: tuple[EngineSpectrum, ...]
    problems: tuple[tuple[Path, str], ...] = ()


def our_name(name: str) -> str:
    """Name a metabolite or a sum as our tables do.

    Examples
    --------
    >>> [our_name(name) for name in ("Cr+PCr", "PCh_GPC", "mI", "Glu+Gln", "-CrCH2", "tNAA")]
    ['tCr', 'tCho', 'Ins', 'Glx', '-CrCH2', 'tNAA']
    """
    parts = [part for part in re.split(r"[+_]", name.strip()) if part]
    known = _NAMES_OF_SUMS.get(frozenset(short_name(part) for part in parts)) if len(parts) > 1 else None
    return known or short_name(name)


def with_sums_and_ratios(
    values: Iterable[EngineValue], amplitudes: Sequence[EngineValue] = ()
) -> tuple[EngineValue, ...]:
    """Add the sums that a program left out, and ratios to total creatine where it gave none.

    Parameters
    ----------
    values : iterable of EngineValue
    amplitudes : sequence of EngineValue, optional
        What ratios are made of, on any common scale; they are no result themselves.
    """
    found = _with_sums(list(values))
    if not any(one.quantity == "ratio_tcr" for one in found):
        scaled = _with_sums(list(amplitudes))
        creatine = next((one.value for one in scaled if one.metabolite == "tCr"), 0.0)
        if creatine > 0:
            ratios = (EngineValue(one.metabolite, "ratio_tcr", one.value / creatine, one.sd_pct) for one in scaled)
            found += ratios
    return tuple(found)


def _with_sums(values: list[EngineValue]) -> list[EngineValue]:
    by_name: dict[tuple[str, str], EngineValue] = {(one.quantity, one.metabolite): one for one in values}
    added = []
    for quantity in dict.fromkeys(one.quantity for one in values):
        for name, members in SUMS.items():
            parts = [by_name.get((quantity, member)) for member in members]
            if (quantity, name) not in by_name and all(part is not None for part in parts):
                added.append(EngineValue(name, quantity, sum(part.value for part in parts if part is not None)))
    return [*values, *added]


def matched(
    spectrum: EngineSpectrum, scans: Sequence[Mapping[str, str]], given: Mapping[str, str] | None = None
) -> tuple[int | None, str]:
    """Find the scan that a spectrum is of.

    Parameters
    ----------
    spectrum : EngineSpectrum
    scans : sequence of mapping
        BIDS entities of each scan.
    given : mapping, optional
        Entities that the user gave for this file.

    Returns
    -------
    place : int or None
        Position in ``scans``.
    reason : str
        Why there is none.
    """
    labels = dict(given) if given is not None else spectrum.labels
    if "sub" not in labels:
        return None, "its path has no BIDS label of a participant (sub-...); give a table with --match"
    known = {name for scan in scans for name in scan}
    wanted = {name: value for name, value in labels.items() if name in known}
    fitting = [
        at
        for at, scan in enumerate(scans)
        if all(name in scan and same_value(name, value, scan[name]) for name, value in wanted.items())
    ]
    if len(fitting) == 1:
        return fitting[0], ""
    text = "_".join(f"{name}-{value}" for name, value in labels.items())
    return None, f"no scan of the study is {text}" if not fitting else f"{len(fitting)} scans fit {text}"
