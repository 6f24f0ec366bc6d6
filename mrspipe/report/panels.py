"""The figures of a study: finished numbers and labels in, a matplotlib `Figure` out.

What belongs to a subject carries the subject's name (its ``gid``), so that the page can mark it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.report.content import MeanSpectrum
from mrspipe.report.figures import new_figure, ppm_axis
from mrspipe.report.svg import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LIGHT,
    ORANGE,
    PAPER,
    PURPLE,
    SKY,
    VERMILION,
    page_style,
    subject_gid,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GROUP_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
MARKERS = {"good": "o", "doubtful": "^", "unusable": "x"}
LIMIT_STYLES: Mapping[str, Literal["dashed", "solid"]] = {"doubtful": "dashed", "unusable": "solid"}
_MAX_WIDTH_IN = 9.6
# A cloud of fewer values shows more shape than they have.
_MIN_CLOUD = 5


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Values of a group: a line a subject.

    Parameters
    ----------
    subjects : tuple of str
        Whose each line is; a subject with several runs has several lines.
    values : float array, shape (n_lines, n_conditions)
        NaN where a subject was not measured.
    """

    subjects: tuple[str, ...]
    values: FloatArray


@dataclass(frozen=True, slots=True)
class Dot:
    """One scan in a strip: its subject, its verdict and its value."""

    subject: str
    verdict: str
    value: float


@dataclass(frozen=True, slots=True)
class Specification:
    """What a contrast gives under one choice of the analysis."""

    label: str
    estimate: float
    low: float
    high: float
    is_main: bool
    is_significant: bool


def paired_figure(panels: Mapping[str, Mapping[str, Lines]], *, conditions: Sequence[str], y_label: str) -> "Figure":
    """Draw every subject as a line over the conditions, one block a group, one panel a treatment or session.

    The thick line joins the group's means; its bars are one SD to either side. Beside the first and the last condition
    stands the density of the values, where there are five or more (Gaussian kernel, Silverman's bandwidth).

    Parameters
    ----------
    panels : mapping of title to (mapping of group to Lines)
    conditions : sequence of str
        Labels of the columns.
    y_label : str
        Quantity and unit.
    """
    groups = list(dict.fromkeys(group for blocks in panels.values() for group in blocks))
    pitch = len(conditions) + 0.9
    with page_style():
        width = 1.1 + max(2.4, 0.95 * len(groups) * pitch) * len(panels)
        figure = new_figure(min(width, _MAX_WIDTH_IN), 3.6)
        row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (title, blocks) in zip(row, panels.items(), strict=True):
            for place, group in enumerate(groups):
                if group in blocks:
                    _block(axes, blocks[group], place * pitch, GROUP_COLOURS[place % 6])
            _block_labels(axes, groups, conditions, pitch)
            axes.set_title(title, pad=22)
        row[0].set_ylabel(y_label)
        return settled(figure)


def quality_figure(
    panels: Mapping[str, Mapping[str, Sequence[Dot]]], limits: Mapping[str, Mapping[str, float]] | None = None
) -> "Figure":
    """Draw one dot a scan: a panel a metric, a column a group, a marker a verdict, a line a limit.

    Parameters
    ----------
    panels : mapping of metric label to (mapping of group to sequence of Dot)
    limits : mapping of metric label to (mapping of verdict to float), optional
        Where the metric begins to make a scan doubtful (dashed) or unusable.
    """
    from matplotlib.lines import Line2D

    with page_style():
        figure = new_figure(min(1.0 + 2.6 * len(panels), _MAX_WIDTH_IN), 3.3)
        row = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (metric, groups) in zip(row, panels.items(), strict=True):
            for place, dots in enumerate(groups.values()):
                _strip(axes, dots, place, GROUP_COLOURS[place % 6])
            for verdict, limit in (limits or {}).get(metric, {}).items():
                axes.axhline(limit, color=INK, linewidth=0.9, linestyle=LIMIT_STYLES[verdict])
            axes.set_xticks(range(len(groups)), [*groups])
            axes.set_xlim(-0.6, len(groups) - 0.4)
            axes.set_title(metric, fontweight="normal", fontsize=9)
            _grid(axes)
        used = [v for v in MARKERS if any(dot.verdict == v for g in panels.values() for by in g.values() for dot in by)]
        handles = [Line2D([], [], color=GREY, marker=MARKERS[v], linestyle="", label=v) for v in used]
        drawn = [v for v in LIMIT_STYLES if any(v in found for found in (limits or {}).values())]
        handles += [
            Line2D([], [], color=INK, linewidth=0.9, linestyle=LIMIT_STYLES[v], label=f"limit: {v}") for v in drawn
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=5)
        return settled(figure)


def spectra_figure(spectra: Sequence[MeanSpectrum], labels: Mapping[str, str]) -> "Figure":
    """Draw the mean spectrum of each group with its fit above the others; the band is one SD between subjects.

    Parameters
    ----------
    spectra : sequence of MeanSpectrum
        From the bottom upwards.
    labels : mapping of group to str
    """
    with page_style():
        figure = new_figure(8.0, 1.4 + 1.5 * len(spectra))
        axes = figure.subplots()
        step = 0.85 * max(float(np.ptp(one.mean)) for one in spectra)
        for place, one in enumerate(spectra):
            colour, lift = GROUP_COLOURS[place % 6], place * step
            low, high = (lift + one.mean + side * one.sd for side in (-1, 1))
            axes.fill_between(one.ppm, low, high, color=colour, alpha=0.3, linewidth=0)
            axes.plot(one.ppm, lift + one.mean, color=colour, linewidth=1.5, label="Mean spectrum")
            axes.plot(one.ppm, lift + one.fit, color=INK, linewidth=0.8, linestyle=(0, (2, 2)), label="Mean fit")
            below = lift + float(one.mean.min()) - 0.12 * step
            axes.plot(one.ppm, below + one.mean - one.fit, color=GREY, linewidth=0.7, label="Mean residual")
            text = f"{labels.get(one.group, one.group) or 'All subjects'} (n = {one.n_subjects})"
            axes.annotate(text, (0.99, lift + float(one.mean[:20].mean()) + 0.15 * step), color=INK, ha="right",
                          xycoords=("axes fraction", "data"), fontweight="bold")  # fmt: skip
        axes.legend(*(entries[:3] for entries in axes.get_legend_handles_labels()), loc="upper right", ncols=3)
        ppm_axis(axes, (float(spectra[0].ppm[0]), float(spectra[0].ppm[-1])))
        return settled(figure)


def specification_figure(rows: Sequence[Specification], *, y_label: str) -> "Figure":
    """Draw what a contrast gives under each choice of the analysis, sorted by the estimate; below, which choice it is.

    Filled dots have p below the level of the tests; the main analysis is marked.

    Parameters
    ----------
    rows : sequence of Specification
    y_label : str
        What the estimate is, with its unit.
    """
    ordered = sorted(rows, key=lambda row: (row.estimate, row.label))
    choices = list(dict.fromkeys(row.label for row in sorted(rows, key=lambda row: (not row.is_main, row.label))))
    with page_style():
        below = 0.19 * len(choices) + 0.15
        figure = new_figure(min(4.2 + 0.22 * len(rows), _MAX_WIDTH_IN), 2.7 + below)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, below))
        top.axhline(0.0, color=GREY, linewidth=0.9)
        for place, row in enumerate(ordered):
            colour = VERMILION if row.is_main else INK
            top.plot([place, place], [row.low, row.high], color=colour, linewidth=2.0 if row.is_main else 1.1)
            top.plot(place, row.estimate, color=colour, marker="o", markersize=6.5 if row.is_main else 5,
                     markerfacecolor=colour if row.is_significant else PAPER)  # fmt: skip
            bottom.axvline(place, color=LIGHT, linewidth=0.6, zorder=0)
            bottom.plot(place, choices.index(row.label), color=colour, marker="s", markersize=4.5)
        _grid(top)
        top.set_ylabel(y_label)
        bottom.set_yticks(range(len(choices)), choices, fontsize=8)
        bottom.set_ylim(len(choices) - 0.5, -0.5)
        bottom.set_xlim(-0.7, len(ordered) - 0.3)
        bottom.set_xticks([])
        bottom.spines[["left", "bottom"]].set_visible(False)
        bottom.tick_params(left=False)
        top.tick_params(bottom=False)
        return settled(figure)


def settled(figure: "Figure") -> "Figure":
    """Find the margins once: the figure is drawn in several formats, and finding them takes longer than drawing."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def density(values: FloatArray, at: FloatArray) -> FloatArray:
    """Gaussian kernel density of values at given places.

    The bandwidth is ``0.9 min(SD, IQR / 1.34) n^(-1/5)`` (Silverman 1986, Density estimation, equation 3.31).
    """
    low, high = np.quantile(values, (0.25, 0.75))
    spreads = [spread for spread in (float(np.std(values, ddof=1)), float(high - low) / 1.34) if spread > 0]
    width = 0.9 * min(spreads, default=1.0) * values.size**-0.2
    z = (at[:, None] - values[None, :]) / width
    return np.asarray(np.exp(-0.5 * z**2).mean(axis=1) / (width * np.sqrt(2 * np.pi)))


def _block(axes: "Axes", lines: Lines, left: float, colour: str) -> None:
    """Draw one group: thin lines for subjects, the means with bars of one SD, a cloud at either end."""
    values = lines.values
    places = left + np.arange(values.shape[1])
    nudge = np.zeros(len(values)) if values.shape[1] > 1 else _spread(values[:, 0])
    for name, subject, shift in zip(lines.subjects, values, nudge, strict=True):
        axes.plot(places + shift, subject, color=colour, alpha=0.4, linewidth=0.8, marker="o", markersize=3.2,
                  gid=subject_gid(name))  # fmt: skip
    if values.shape[1] > 1:
        _cloud(axes, values[:, 0], places[0] - 0.12, -1.0, colour)
    _cloud(axes, values[:, -1], places[-1] + (0.12 if values.shape[1] > 1 else 0.27), 1.0, colour)
    counts = np.sum(np.isfinite(values), axis=0)
    if not counts.all():
        return
    means = np.nanmean(values, axis=0)
    sds = np.sqrt(np.nansum((values - means) ** 2, axis=0) / np.maximum(counts - 1, 1))
    axes.errorbar(places, means, yerr=np.where(counts > 1, sds, np.nan), color=colour, linewidth=2.2, elinewidth=1.4,
                  capsize=3, marker="o", markersize=6, markeredgecolor=PAPER, zorder=5)  # fmt: skip


def _cloud(axes: "Axes", values: FloatArray, start: float, side: float, colour: str) -> None:
    """Draw the density of values, growing from a vertical line to one side."""
    known = values[np.isfinite(values)]
    if known.size < _MIN_CLOUD or np.ptp(known) == 0:
        return
    # Not beyond the values: there may be none, as of ratings below zero.
    at = np.linspace(known.min(), known.max(), 60)
    height = density(known, at)
    edge = start + side * 0.28 * height / height.max()
    axes.fill_betweenx(at, start, edge, color=colour, alpha=0.28, linewidth=0)


def _block_labels(axes: "Axes", groups: Sequence[str], conditions: Sequence[str], pitch: float) -> None:
    lefts = [place * pitch for place in range(len(groups))]
    axes.set_xticks(
        [left + column for left in lefts for column in range(len(conditions))], list(conditions) * len(groups)
    )
    axes.set_xlim(-0.6, lefts[-1] + len(conditions) - 0.4)
    for left, group in zip(lefts, groups, strict=True):
        axes.annotate(group, (left + (len(conditions) - 1) / 2, 1), (0, 1), xycoords=("data", "axes fraction"),
                      textcoords="offset points", ha="center", va="bottom", color=INK,
                      fontweight="bold", annotation_clip=False)  # fmt: skip
    _grid(axes)


def _grid(axes: "Axes") -> None:
    axes.grid(axis="y", color=LIGHT, linewidth=0.6)
    axes.set_axisbelow(True)


def _strip(axes: "Axes", dots: Sequence[Dot], place: int, colour: str) -> None:
    across = place + _spread(np.array([dot.value for dot in dots]))
    for x, dot in zip(across, dots, strict=True):
        axes.plot(x, dot.value, color=colour, alpha=0.75, linestyle="", markersize=4.5,
                  marker=MARKERS.get(dot.verdict, "s"), gid=subject_gid(dot.subject))  # fmt: skip


def _spread(values: FloatArray) -> FloatArray:
    """Give each dot a sideways place by its rank, so that dots of similar height do not cover each other."""
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    pattern = np.array([0.0, 0.1, -0.1, 0.2, -0.2, 0.05, -0.15, 0.15, -0.05])
    return pattern[ranks % len(pattern)]
