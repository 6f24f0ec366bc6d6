"""The figure of a calibration: p values where there is nothing to find, and power where there is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mrspipe.calibrate.rates import Record
from mrspipe.calibrate.worlds import ORACLE
from mrspipe.core.arrays import FloatArray
from mrspipe.report.panels import GROUP_COLOURS
from mrspipe.report.svg import GREY, INK, LIGHT, page_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Probability that the band holds the whole curve of a correct test.
_BAND = 0.95


def calibration_figure(records: Sequence[Record], alpha: float) -> "Figure":
    """Draw how far the distribution of null p values is from uniform, and the power of the other tests.

    Left: for every null test of the outcome, the share of cohorts with a p value below a limit, minus the limit. The
    band holds a whole curve of a correct test with a probability of 95 % (Kolmogorov). Right: power with two Monte
    Carlo errors to either side, and that of the oracle as an open circle.

    Parameters
    ----------
    records : sequence of Record
    alpha : float
    """
    from matplotlib.figure import Figure

    shown = [record for record in records if record.is_outcome and np.isfinite(record.values["p"]).any()]
    null = [record for record in shown if record.is_null and record.level != ORACLE]
    other = [record for record in shown if not record.is_null and record.level != ORACLE]
    oracles = {record.contrast.name: record for record in shown if record.level == ORACLE}
    panels = [panel for panel in (null, other) if panel]
    with page_style():
        figure = Figure(figsize=(4.6 * max(1, len(panels)), max(3.4, 1.4 + 0.22 * len(other))), layout="constrained")
        axes = figure.subplots(1, max(1, len(panels)), squeeze=False)[0]
        if null:
            _draw_null(axes[0], null)
        if other:
            _draw_power(axes[len(panels) - 1], other, oracles, alpha)
        return figure


def _draw_null(axes: "Axes", records: Sequence[Record]) -> None:
    from scipy.stats import kstwo

    n = max(int(np.isfinite(record.values["p"]).sum()) for record in records)
    reach = float(kstwo.ppf(_BAND, n))
    axes.axhspan(-reach, reach, color=LIGHT, zorder=0)
    axes.axhline(0.0, color=GREY, linewidth=0.7)
    # The tests that are furthest from uniform have a colour and a name; the others are grey.
    distances = [float(np.abs(_excess(record)[1]).max()) for record in records]
    named = sorted(range(len(records)), key=lambda i: -distances[i])[: len(GROUP_COLOURS)]
    for i, record in enumerate(records):
        limits, excess = _excess(record)
        colour = GROUP_COLOURS[named.index(i)] if i in named else GREY
        axes.plot(limits, excess, color=colour, linewidth=1.0, label=record.contrast.name if i in named else None)
    axes.set(xlim=(0, 1), xlabel="Limit of p", ylabel="Share of p below it, minus the limit")
    axes.set_title(f"Nothing to find: {len(records)} tests, {n} cohorts", loc="left")
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, -0.16), ncols=2, fontsize=7)


def _excess(record: Record) -> tuple[FloatArray, FloatArray]:
    """Step function of the empirical distribution minus the uniform one, at both sides of each step."""
    p = np.sort(record.values["p"][np.isfinite(record.values["p"])])
    limits = np.repeat(p, 2)
    share = np.column_stack([np.arange(len(p)), np.arange(1, len(p) + 1)]).ravel() / len(p)
    return np.concatenate([[0.0], limits, [1.0]]), np.concatenate([[0.0], share - limits, [0.0]])


def _draw_power(axes: "Axes", records: Sequence[Record], oracles: dict[str, Record], alpha: float) -> None:
    places = np.arange(len(records))[::-1]
    for place, record in zip(places, records, strict=True):
        rate, error = _rate(record, alpha)
        axes.barh(place, rate, height=0.6, color=GROUP_COLOURS[0], alpha=0.35)
        axes.errorbar(rate, place, xerr=2 * error, color=GROUP_COLOURS[0], capsize=2, linewidth=1.0)
        if record.contrast.name in oracles:
            best, _ = _rate(oracles[record.contrast.name], alpha)
            axes.plot(best, place, "o", markerfacecolor="none", color=INK, markersize=4)
    axes.axvline(alpha, color=GREY, linewidth=0.7, linestyle=":")
    axes.set(xlim=(0, 1.02), xlabel="Power (circle: oracle)")
    axes.set_yticks(places, [record.contrast.name for record in records], fontsize=7.5)
    axes.set_title("Something to find: power", loc="left")


def _rate(record: Record, alpha: float) -> tuple[float, float]:
    found = record.significant(alpha)[np.isfinite(record.values["p"])]
    rate = float(found.mean())
    return rate, float(np.sqrt(rate * (1 - rate) / len(found)))
