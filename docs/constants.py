"""Write the page of constants from the table that the code reads.

Usage: python docs/constants.py > docs/constants.md
"""

import sys
import tomllib
from importlib.resources import files
from typing import Any

from mrspipe.physics.constants import PURE_WATER_MMOL_PER_KG
from mrspipe.physics.relaxation import DEFAULT_WATER_SET, FIELD_T, TISSUES
from mrspipe.quantify.settings import QuantifySettings

_HEAD = f"""# Constants of quantification

Made from `mrspipe/physics/relaxation.toml` with `python docs/constants.py > docs/constants.md`; do not edit.
The tables hold at {FIELD_T:g} T. At another field water-referenced values are refused until the settings state all
relaxation times. Pure water: {PURE_WATER_MMOL_PER_KG:.0f} mmol/kg (1 kg over 18.015 g/mol; Near et al. 2021, doi
[10.1002/nbm.4257](https://doi.org/10.1002/nbm.4257)).
"""


def page() -> str:
    """The page as Markdown."""
    table = tomllib.loads(files("mrspipe.physics").joinpath("relaxation.toml").read_text(encoding="utf-8"))
    numbers = {key: n for n, key in enumerate(table["sources"], start=1)}
    parts = [
        _HEAD,
        _water(table, numbers),
        _visible(table, numbers),
        _metabolites(table, numbers),
        _others(),
        _assumed(),
    ]
    return "\n".join([*parts, _sources(table, numbers)])


def _water(table: dict[str, Any], numbers: dict[str, int]) -> str:
    rows = [
        f"| {row['set']} | {row['tissue']} | {row['t1_ms']:g} | {row['t2_ms']:g} | {_cite(row, numbers)} |"
        for row in table["water"]
    ]
    head = f"## Water\n\n`quantify.relaxation` selects the set; `{DEFAULT_WATER_SET}` is the default.\n"
    return _table(head, "| set | tissue | T1 / ms | T2 / ms | source |", rows)


def _visible(table: dict[str, Any], numbers: dict[str, int]) -> str:
    rows = [f"| {row['tissue']} | {row['kg_per_l']:g} | {_cite(row, numbers)} |" for row in table["visible_water"]]
    return _table("## Visible water\n", "| tissue | kg/L | source |", rows)


def _metabolites(table: dict[str, Any], numbers: dict[str, int]) -> str:
    rows = []
    for row in table["metabolite"]:
        times = [f"{row[kind][tissue]:g}" for kind in ("t1_ms", "t2_ms") for tissue in TISSUES[:2]]
        rows.append(f"| {row['name']} | {' | '.join(times)} | {_cite(row, numbers)} |")
    head = "## Metabolites\n\n`other` holds for every metabolite without a row of its own.\n"
    return _table(head, "| metabolite | T1 GM / ms | T1 WM / ms | T2 GM / ms | T2 WM / ms | source |", rows)


def _others() -> str:
    settings = QuantifySettings()
    link = "doi [10.1002/mrm.1910300604](https://doi.org/10.1002/mrm.1910300604)"
    lcmodel = f"default of LCModel 6.3 (Provencher 1993, {link})"
    harris = "Harris et al. 2015, doi [10.1002/jmri.24903](https://doi.org/10.1002/jmri.24903), for GABA; as in Osprey"
    rows = [
        f"| concentration in WM over GM | {settings.alpha:g} | `alpha` | {harris} |",
        f"| WCONC / (mmol/L) | {settings.lcmodel_wconc_mmol:g} | `lcmodel_wconc_mmol` | {lcmodel} |",
        f"| ATTH2O | {settings.lcmodel_atth2o:g} | `lcmodel_atth2o` | {lcmodel} |",
        f"| ATTMET | {settings.lcmodel_attmet:g} | `lcmodel_attmet` | {lcmodel} |",
    ]
    return _table("## Settings with a published default\n", "| constant | value | setting | source |", rows)


def _assumed() -> str:
    settings = QuantifySettings()
    rows = [
        f"| T1, relative | {settings.t1_sd_fraction:g} | `t1_sd_fraction` |",
        f"| T2, relative | {settings.t2_sd_fraction:g} | `t2_sd_fraction` |",
        f"| visible water, relative | {settings.water_content_sd_fraction:g} | `water_content_sd_fraction` |",
        f"| tissue fraction | {settings.tissue_fraction_sd:g} | `tissue_fraction_sd` |",
    ]
    head = "## Standard deviations\n\nAll four are assumed; they are settings of `[quantify]`.\n"
    return _table(head, "| of | SD | setting |", rows)


def _sources(table: dict[str, Any], numbers: dict[str, int]) -> str:
    lines = [
        f"{numbers[key]}. {source['citation']}, doi [{source['doi']}]({_link(source['doi'])})"
        for key, source in table["sources"].items()
    ]
    return "\n".join(["## Sources", "", *lines, ""])


def _link(doi: str) -> str:
    return "https://doi.org/" + doi.replace("<", "%3C").replace(">", "%3E").replace("(", "%28").replace(")", "%29")


def _cite(row: dict[str, Any], numbers: dict[str, int]) -> str:
    return ", ".join(str(numbers[key]) for key in row["source"])


def _table(head: str, columns: str, rows: list[str]) -> str:
    return "\n".join([head, columns, "|---" * (columns.count("|") - 1) + "|", *rows, ""])


if __name__ == "__main__":
    sys.stdout.write(page())
