"""The page that puts our estimates beside those of other programs: figures, agreement, and the contrasts under each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.report.content import QUANTITIES
from mrspipe.report.pages import write_page
from mrspipe.report.spelling import decimals_for, fixed, number, p_value
from mrspipe.report.svg import BLUE, GREY, INK, LIGHT, VERMILION, inline_svg, page_style
from mrspipe.stats.agreement import Agreement

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

_SIZE_IN = (7.4, 3.0)
# Room around the outermost points, as part of their range.
_ROOM = 0.06


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Values of one metabolite in both programs, scan by scan, and their agreement (theirs minus ours)."""

    metabolite: str
    quantity: str
    ours: FloatArray
    theirs: FloatArray
    agreement: Agreement


@dataclass(frozen=True, slots=True, eq=False)
class EngineSection:
    """One program on the page.

    Parameters
    ----------
    engine : str
    n_scans : int
        Scans that the program has a result of.
    rows : tuple of mapping
        Rows of ``agreement.tsv``.
    main : tuple of (metabolite, quantity)
        The study's outcomes, of which ``pairs`` are the values.
    pairs : tuple of Pairs
    contrasts : DataFrame
        Rows of ``contrasts.tsv``; empty where there are none.
    outcome : tuple of (metabolite, quantity)
        The study's main outcome, as it was compared.
    questions : mapping of str to str
        What each contrast asks.
    notes : tuple of str
    unmatched : tuple of mapping
        Rows of ``unmatched.tsv``.
    """

    engine: str
    n_scans: int
    rows: tuple[Mapping[str, Any], ...]
    main: tuple[tuple[str, str], ...]
    pairs: tuple[Pairs, ...]
    contrasts: "DataFrame"
    outcome: tuple[str, str]
    questions: Mapping[str, str]
    notes: tuple[str, ...]
    unmatched: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class ComparePage:
    """The page."""

    title: str
    sections: tuple[EngineSection, ...]
    version: str = ""
    date: str = ""


def write_compare_page(path: Path, page: ComparePage) -> None:
    """Write the page of a comparison.

    Parameters
    ----------
    path : Path
        Ends with ``.html``; written completely or not at all.
    page : ComparePage
    """
    sections = [_view(section) for section in page.sections]
    write_page(path, "compare.html.jinja", page=page, page_title=page.title, sections=sections)


def _view(section: EngineSection) -> dict[str, Any]:
    from markupsafe import Markup

    figures = [
        {
            "title": f"{pairs.metabolite} ({_quantity(pairs.quantity)})",
            "drawing": Markup(
                inline_svg(
                    agreement_figure(pairs, section.engine),
                    key=f"{section.engine}-{pairs.metabolite}",
                    label=f"{pairs.metabolite}: {section.engine} against mrspipe, and their difference on their mean",
                )
            ),
            "caption": _caption(pairs, section.engine),
        }
        for pairs in section.pairs
    ]
    return {
        "engine": section.engine,
        "n_scans": section.n_scans,
        "notes": section.notes,
        "figures": figures,
        "rows": [_agreement_cells(row) for row in section.rows],
        "contrasts": _contrast_rows(section),
        "outcome": f"{section.outcome[0]} ({_quantity(section.outcome[1])})",
        "unmatched": [
            [str(row.get("file") or "-"), str(row.get("scan") or "-"), row["reason"]] for row in section.unmatched
        ],
    }


def _quantity(name: str) -> str:
    words, unit = QUANTITIES.get(name, (name, ""))
    words = words[0].lower() + words[1:]
    return f"{words}, {unit}" if unit else words


def _caption(pairs: Pairs, engine: str) -> str:
    found = pairs.agreement
    decimals = decimals_for(found.sd)
    bias, sd = fixed(found.difference.value, decimals), fixed(found.sd, decimals)
    low, high = fixed(found.lower.value, decimals), fixed(found.upper.value, decimals)
    mean = float(np.mean(pairs.ours))
    relative = f" ({number(100 * found.difference.value / mean, 2)} % of the mean)" if mean > 0 else ""
    return (
        f"{found.n} scans of {found.n_subjects} participants. {engine} minus mrspipe: {bias}{relative}, SD {sd}, "
        f"limits of agreement {low} to {high}. Bands are 95 % confidence intervals; the line on the left is equality."
    )


def agreement_figure(pairs: Pairs, engine: str) -> "Figure":
    """Draw the values of one program against the other, and their difference on their mean with its limits.

    Parameters
    ----------
    pairs : Pairs
    engine : str
        Name of the other program.
    """
    from matplotlib.figure import Figure

    with page_style():
        figure = Figure(figsize=_SIZE_IN)
        left, right = figure.subplots(1, 2)
        _scatter(left, pairs, engine)
        _difference(right, pairs, engine)
        figure.subplots_adjust(left=0.085, right=0.985, bottom=0.175, top=0.97, wspace=0.27)
    return figure


def _scatter(axes: "Axes", pairs: Pairs, engine: str) -> None:
    both = np.concatenate([pairs.ours, pairs.theirs])
    room = _ROOM * float(np.ptp(both))
    ends = (float(both.min()) - room, float(both.max()) + room)
    axes.plot(ends, ends, color=GREY, linewidth=0.9)
    axes.plot(pairs.ours, pairs.theirs, "o", color=BLUE, markersize=4.2, alpha=0.75, markeredgewidth=0)
    axes.set(xlim=ends, ylim=ends, xlabel=f"{pairs.metabolite}, mrspipe", ylabel=f"{pairs.metabolite}, {engine}")
    text = f"ICC(2,1) {fixed(pairs.agreement.icc_agreement.value, 2)}\nr {fixed(pairs.agreement.pearson.value, 2)}"
    axes.text(0.04, 0.96, text, transform=axes.transAxes, va="top", color=INK, fontsize=8.5)


def _difference(axes: "Axes", pairs: Pairs, engine: str) -> None:
    found = pairs.agreement
    mean, difference = (pairs.ours + pairs.theirs) / 2, pairs.theirs - pairs.ours
    lines = ((found.difference, VERMILION, "-"), (found.lower, GREY, "--"), (found.upper, GREY, "--"))
    for line, colour, style in lines:
        if np.isfinite(line.low):
            axes.axhspan(line.low, line.high, color=LIGHT, alpha=0.6, linewidth=0)
        axes.axhline(line.value, color=colour, linestyle=style, linewidth=1.1)
    axes.axhline(0.0, color=INK, linewidth=0.6)
    axes.plot(mean, difference, "o", color=BLUE, markersize=4.2, alpha=0.75, markeredgewidth=0)
    axes.set(xlabel=f"{pairs.metabolite}, mean of both", ylabel=f"{engine} \N{MINUS SIGN} mrspipe")


def _agreement_cells(row: Mapping[str, Any]) -> list[str]:
    def interval(name: str, decimals: int) -> str:
        value = row.get(name)
        if value is None or value != value:
            return "n/a"
        low, high = row[f"{name}_ci_low"], row[f"{name}_ci_high"]
        shown = fixed(value, decimals)
        return shown if low != low else f"{shown} ({fixed(low, decimals)} to {fixed(high, decimals)})"

    decimals = decimals_for(row.get("sd_difference", float("nan")))
    limits = [fixed(row.get(name, float("nan")), decimals) for name in ("limit_low", "limit_high")]
    return [
        str(row["metabolite"]),
        _quantity(str(row["quantity"])),
        str(row["n"]),
        fixed(row.get("mean_mrspipe", float("nan")), decimals),
        fixed(row.get("mean_engine", float("nan")), decimals),
        interval("difference", decimals),
        f"{limits[0]} to {limits[1]}" if "limit_low" in row else "n/a",
        interval("slope", 2),
        interval("icc_2_1", 2),
        interval("icc_3_1", 2),
    ]


def _contrast_rows(section: EngineSection) -> list[list[str]]:
    """The contrasts of the main outcome: ours and theirs below each other."""
    if section.contrasts.empty:
        return []
    rows = section.contrasts.to_dict("records")
    names = list(dict.fromkeys(row["contrast"] for row in rows))
    shown = []
    for name in names:
        of_name = [row for row in rows if row["contrast"] == name and row["metabolite"] == section.outcome[0]]
        for at, row in enumerate(of_name):
            decimals = decimals_for(row["se"])
            shown.append(
                [
                    (section.questions.get(str(name)) or str(name)) if at == 0 else "",
                    str(row["engine"]),
                    str(row["n_subjects"]),
                    fixed(row["estimate"], decimals),
                    f"{fixed(row['ci_low'], decimals)} to {fixed(row['ci_high'], decimals)}",
                    p_value(row["p"]),
                ]
            )
    return shown
