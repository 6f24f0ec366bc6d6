"""Spin systems of brain metabolites (values and sources in ``metabolites.toml``)."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from mrspipe.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SpinPart:
    """Protons of a molecule that couple with each other and with no other proton of it.

    Parameters
    ----------
    shifts_ppm : tuple of float
        Chemical shift of each group of magnetically equivalent protons, in ppm.
    multiplicity : tuple of int
        Number of protons in each group.
    couplings_hz : tuple of (int, int, float)
        ``(i, j, J)``: scalar coupling between groups ``i`` and ``j``, in Hz.
    phosphorus_hz, nitrogen_hz : tuple of float
        Coupling of each group with one 31P or one 14N, in Hz; empty when there is none.
    scale : float
        Amount of this part per molecule.
    source : str
        Where the numbers are from.
    """

    shifts_ppm: tuple[float, ...]
    multiplicity: tuple[int, ...]
    couplings_hz: tuple[tuple[int, int, float], ...] = ()
    phosphorus_hz: tuple[float, ...] = ()
    nitrogen_hz: tuple[float, ...] = ()
    scale: float = 1.0
    source: str = ""

    def __post_init__(self) -> None:
        n = len(self.shifts_ppm)
        per_group = (self.multiplicity, self.phosphorus_hz or self.shifts_ppm, self.nitrogen_hz or self.shifts_ppm)
        if any(len(values) != n for values in per_group):
            raise ConfigError(f"A spin system of {n} groups needs {n} multiplicities, and {n} couplings per nucleus.")
        if any(not 0 <= i < j < n for i, j, _ in self.couplings_hz):
            raise ConfigError(f"Couplings must be (i, j, J) with i < j < {n}, got {self.couplings_hz}.")


@dataclass(frozen=True, slots=True)
class SpinSystem:
    """A metabolite as the sum of independent parts."""

    name: str
    parts: tuple[SpinPart, ...]

    @property
    def n_protons(self) -> float:
        """Number of visible protons per molecule."""
        return sum(part.scale * sum(part.multiplicity) for part in self.parts)


def spin_system(name: str) -> SpinSystem:
    """Spin system of a metabolite.

    Raises
    ------
    ConfigError
        There is none of that name.

    Examples
    --------
    >>> spin_system("Lac").parts[0].multiplicity
    (1, 3)
    >>> spin_system("NAA").n_protons
    6.0
    """
    systems = _spin_systems()
    if name not in systems:
        raise ConfigError(
            f"There is no spin system for {name}.", cure=f"Choose from {', '.join(systems)}.", code="spin-system"
        )
    return systems[name]


@cache
def _spin_systems() -> Mapping[str, SpinSystem]:
    parts: dict[str, list[SpinPart]] = {}
    for row in _rows():
        parts.setdefault(row["metabolite"], []).append(_part(row))
    return {name: SpinSystem(name, tuple(of_name)) for name, of_name in parts.items()}


@cache
def _rows() -> tuple[Mapping[str, Any], ...]:
    table = tomllib.loads(files("mrspipe.physics").joinpath("metabolites.toml").read_text(encoding="utf-8"))
    return tuple(table["part"])


def _part(row: Mapping[str, Any]) -> SpinPart:
    return SpinPart(
        shifts_ppm=tuple(row["shifts_ppm"]),
        multiplicity=tuple(row["protons"]),
        couplings_hz=tuple((i, j, coupling) for i, j, coupling in row.get("couplings_hz", ())),
        phosphorus_hz=tuple(row.get("phosphorus_hz", ())),
        nitrogen_hz=tuple(row.get("nitrogen_hz", ())),
        scale=row["scale"],
        source=row["source"],
    )


def _names(*, extra: bool) -> tuple[str, ...]:
    """Names in the order of the file."""
    return tuple(dict.fromkeys(row["metabolite"] for row in _rows() if row.get("extra", False) == extra))


METABOLITES: tuple[str, ...] = _names(extra=False)
"""Names of the metabolites that are fitted when none are named, in the order of the file."""

EXTRA_METABOLITES: tuple[str, ...] = _names(extra=True)
"""Names of the metabolites that are simulated on request only, in the order of the file."""

KNOWN_METABOLITES: tuple[str, ...] = METABOLITES + EXTRA_METABOLITES
"""Names of all metabolites with a spin system."""
