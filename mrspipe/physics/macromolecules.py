"""Macromolecule resonances, as a list of Gaussians (values and source in ``macromolecules.toml``)."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class MacromoleculeLine:
    """One Gaussian: ``fwhm_ppm`` is its full width at half maximum, ``ratio`` its area relative to MM092."""

    name: str
    ppm: float
    fwhm_ppm: float
    ratio: float


@cache
def macromolecule_lines() -> tuple[MacromoleculeLine, ...]:
    """Read the list.

    Examples
    --------
    >>> macromolecule_lines()[0].name
    'MM092'
    """
    table = tomllib.loads(files("mrspipe.physics").joinpath("macromolecules.toml").read_text(encoding="utf-8"))
    per_hz = 1.0 / table["hz_per_ppm"]
    return tuple(
        MacromoleculeLine(row["name"], row["ppm"], row["fwhm_hz"] * per_hz, row["ratio"]) for row in table["line"]
    )
