"""Draw and print where the standard error of a concentration comes from, beside the spread of many draws.

The scan is that of the worked example in docs/quantification.md, with an amplitude of glutamate known to 5 % and an
amplitude of water known to 0.1 %.

Usage: python docs/error_budget.py docs/images/error_budget.svg
"""

import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args

import numpy as np
from matplotlib.figure import Figure

from mrspipe.core.arrays import FloatArray
from mrspipe.core.results import ErrorBudget, Quantity
from mrspipe.physics.relaxation import TISSUES, water_relaxation
from mrspipe.quantify.budget import error_budget, tissue_covariance
from mrspipe.quantify.draws import Source, draw_constants
from mrspipe.quantify.factors import Constants, Timing, conversion_factors
from mrspipe.quantify.settings import QuantifySettings
from mrspipe.report.svg import BLUE, GREY, INK, VERMILION, page_style, svg_file

SETTINGS = QuantifySettings()
QUANTITIES: tuple[Quantity, ...] = ("molal", "molar", "alpha_molar")
SOURCES = tuple(part.name for part in fields(ErrorBudget))
SHARED = ("water_relaxation", "metabolite_relaxation", "water_content")
N_DRAWS = 4000
# Metabolite molecules per molecule of visible water, and the relative SD of the two amplitudes it is made of.
RATIO, FIT_SD, WATER_SD = 2.5e-4, 0.05, 0.001
TIMING = Timing(0.032, 2.5, 0.032, 2.5)
_WATER = [water_relaxation()[name] for name in TISSUES]
CONSTANTS = Constants(
    fractions=np.array([0.60, 0.30, 0.10]),
    water_t1=np.array([row.t1_s for row in _WATER]),
    water_t2=np.array([row.t2_s for row in _WATER]),
    water_content=np.array([row.kg_per_l for row in _WATER]),
)
COVARIANCE = tissue_covariance(CONSTANTS.fractions, np.zeros(3), SETTINGS.tissue_fraction_sd)


def main(path: Path) -> None:
    """Write the figure and print the table."""
    budgets = {quantity: budget(quantity) for quantity in QUANTITIES}
    spreads = {quantity: drawn(quantity) for quantity in QUANTITIES}
    path.write_text(svg_file(figure(budgets, spreads)), encoding="utf-8")
    sys.stdout.write(f"| source | {' | '.join(f'{q} budget | {q} drawn' for q in QUANTITIES)} |\n")
    sys.stdout.write("|---" * (1 + 2 * len(QUANTITIES)) + "|\n")
    for source in (*SOURCES, "own", "shared", "total"):
        cells = []
        for quantity in QUANTITIES:
            spread = spreads[quantity].get(source)
            cells += [f"{percent(budgets[quantity], source, quantity):.2f}", "" if spread is None else f"{spread:.2f}"]
        sys.stdout.write(f"| {source} | {' | '.join(cells)} |\n")


def value(quantity: Quantity, constants: Constants = CONSTANTS) -> float:
    """Concentration of glutamate."""
    return RATIO * float(conversion_factors(("Glu",), quantity, constants, TIMING, SETTINGS)[0])


def budget(quantity: Quantity) -> ErrorBudget:
    """Give the budget as the code does."""
    measured = {"fit": np.array([FIT_SD * value(quantity)]), "water_fit": np.array([WATER_SD * value(quantity)])}

    def values(other: Constants) -> FloatArray:
        return np.array([value(quantity, other)])

    return error_budget(values, CONSTANTS, COVARIANCE, SETTINGS, **measured)[0]


def percent(parts: ErrorBudget, source: str, quantity: Quantity) -> float:
    """Give a part of the budget in percent of the value."""
    return float(100 * getattr(parts, source) / value(quantity))


def drawn(quantity: Quantity) -> dict[str, float]:
    """SD of the value under draws from each source, in percent of the value."""
    rng = np.random.default_rng(7)
    found = {
        "fit": 1 + FIT_SD * rng.standard_normal(N_DRAWS),
        "water_fit": 1 / (1 + WATER_SD * rng.standard_normal(N_DRAWS)),
    }
    for source in get_args(Source):
        moved = (draw_constants(source, CONSTANTS, COVARIANCE, SETTINGS, rng) for _ in range(N_DRAWS))
        found[source] = np.array([value(quantity, one) for one in moved]) / value(quantity)
    return {source: float(100 * found[source].std()) for source in SOURCES}


def figure(budgets: dict[Quantity, ErrorBudget], spreads: dict[Quantity, dict[str, float]]) -> Figure:
    """Bars of the budget with the spread of the draws on them, a panel for each quantity."""
    with page_style():
        picture = Figure(figsize=(7.4, 2.7), layout="constrained")
        panels = picture.subplots(1, len(QUANTITIES), sharex=True, sharey=True)
        for axes, quantity in zip(panels, QUANTITIES, strict=True):
            for place, source in enumerate(SOURCES):
                colour = VERMILION if source in SHARED else BLUE
                axes.barh(place, percent(budgets[quantity], source, quantity), height=0.62, color=colour)
                axes.plot(spreads[quantity][source], place, "o", color=INK, markersize=3.5)
            axes.set_title(f"{quantity}: {percent(budgets[quantity], 'total', quantity):.1f} %", loc="left")
            axes.set_yticks(range(len(SOURCES)), [source.replace("_", " ") for source in SOURCES])
            axes.tick_params(axis="y", length=0)
            axes.axhline(2.5, color=GREY, linewidth=0.6, linestyle=":")
        panels[0].invert_yaxis()
        panels[1].set_xlabel("standard error of the concentration / %")
        last = panels[-1]
        last.text(0.98, 2.35, "own", color=BLUE, ha="right", va="bottom", transform=last.get_yaxis_transform())
        last.text(0.98, 2.65, "shared", color=VERMILION, ha="right", va="top", transform=last.get_yaxis_transform())
        return picture


if __name__ == "__main__":
    main(Path(sys.argv[1]))
