"""Relaxation times and visible water of the human brain at 3 T (values and sources in ``relaxation.toml``)."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Tissue = Literal["GM", "WM", "CSF"]
"""Grey matter, white matter, cerebrospinal fluid."""

TISSUES: tuple[Tissue, ...] = ("GM", "WM", "CSF")

DEFAULT_WATER_SET = "gannet"
"""Set of water relaxation times used when none is named: the one of Gannet, Osprey and spant."""

FIELD_T = 3.0
"""Static field the table holds for. Unit: T."""
# Whole-body magnets sold as 3 T have 2.89 to 3.0 T.
_FIELD_TOLERANCE_T = 0.3


def is_tabulated(field_t: float) -> bool:
    """Tell whether the tables hold for a static field, in T.

    Examples
    --------
    >>> is_tabulated(2.89), is_tabulated(7.0)
    (True, False)
    """
    return abs(field_t - FIELD_T) <= _FIELD_TOLERANCE_T


@dataclass(frozen=True, slots=True)
class WaterInTissue:
    """Water of one tissue: relaxation times in s, visible water in kg per litre of tissue, sources with DOI."""

    tissue: Tissue
    t1_s: float
    t2_s: float
    kg_per_l: float
    source: str


@dataclass(frozen=True, slots=True)
class MetaboliteRelaxation:
    """Relaxation times of one metabolite in one tissue, in s, and their sources with DOI."""

    name: str
    tissue: Tissue
    t1_s: float
    t2_s: float
    source: str


def water_sets() -> tuple[str, ...]:
    """Names of the sets of water relaxation times."""
    return tuple(dict.fromkeys(row["set"] for row in _table()["water"]))


@cache
def water_relaxation(set_name: str = DEFAULT_WATER_SET) -> Mapping[Tissue, WaterInTissue]:
    """Water of each tissue in a named set.

    Parameters
    ----------
    set_name : str
        One of `water_sets`.

    Returns
    -------
    mapping of tissue to WaterInTissue

    Examples
    --------
    >>> water_relaxation("gannet")["WM"].t1_s
    0.832
    """
    if set_name not in water_sets():
        raise KeyError(f"There is no set '{set_name}' of water relaxation times; there are {', '.join(water_sets())}.")
    visible = {row["tissue"]: row for row in _table()["visible_water"]}
    return {
        row["tissue"]: WaterInTissue(
            row["tissue"],
            row["t1_ms"] * 1e-3,
            row["t2_ms"] * 1e-3,
            visible[row["tissue"]]["kg_per_l"],
            _sources([*row["source"], *visible[row["tissue"]]["source"]]),
        )
        for row in _table()["water"]
        if row["set"] == set_name
    }


@cache
def metabolite_relaxation(name: str, tissue: Tissue) -> MetaboliteRelaxation:
    """Relaxation times of a metabolite in grey or white matter; the mean of all for one without an own row.

    Parameters
    ----------
    name : str
        Short name as in a basis set.
    tissue : {"GM", "WM"}

    Examples
    --------
    >>> metabolite_relaxation("Glu", "GM").t1_s
    1.27
    """
    rows = {row["name"]: row for row in _table()["metabolite"]}
    row = rows.get(name, rows["other"])
    return MetaboliteRelaxation(
        name, tissue, row["t1_ms"][tissue] * 1e-3, row["t2_ms"][tissue] * 1e-3, _sources(row["source"])
    )


def metabolite_t2_s(name: str, gm_share: float) -> float:
    """T2 of a metabolite in a voxel of grey and white matter: that of the mean rate, in s.

    Parameters
    ----------
    name : str
    gm_share : float
        Part of the tissue that is grey matter, 0 to 1.

    Examples
    --------
    >>> metabolite_t2_s("Glu", 1.0) == metabolite_relaxation("Glu", "GM").t2_s
    True
    """
    gm, wm = (metabolite_relaxation(name, tissue).t2_s for tissue in TISSUES[:2])
    return 1 / (gm_share / gm + (1 - gm_share) / wm)


@cache
def _table() -> Mapping[str, Any]:
    return tomllib.loads(files("mrspipe.physics").joinpath("relaxation.toml").read_text(encoding="utf-8"))


def _sources(keys: list[str]) -> str:
    """Citations with DOI."""
    found = [_table()["sources"][key] for key in dict.fromkeys(keys)]
    return "; ".join(f"{source['citation']}, doi {source['doi']}" for source in found)
