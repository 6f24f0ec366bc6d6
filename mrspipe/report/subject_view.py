"""What the page of a subject shows of each scan."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from mrspipe.core.errors import FileError
from mrspipe.core.ratios import separability
from mrspipe.core.results import Concentration, ErrorBudget, Metric, TissueFractions
from mrspipe.core.signal import ProcessingStep
from mrspipe.report.cited import Origin, joined
from mrspipe.report.content import QUANTITIES, ScanSection
from mrspipe.report.figures import preprocessing_figure, voxel_figure
from mrspipe.report.spelling import (
    MISSING,
    count,
    decimals_for,
    fixed,
    humanised,
    is_number,
    metric_label,
    metric_unit,
    number,
)
from mrspipe.report.svg import inline_svg
from mrspipe.report.viewer import fit_viewer

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

OPENINGS = {
    "good": ("The spectrum passed every check.", "The spectrum passed, with remarks:"),
    "doubtful": ("Use this spectrum with care.", "Use this spectrum with care:"),
    "unusable": ("This spectrum cannot be used.", "This spectrum cannot be used:"),
}
_SOURCES = {
    "fit": "Noise and priors of the fit",
    "water_fit": "Fit of the water signal",
    "tissue": "Tissue fractions",
    "water_relaxation": "Relaxation of water",
    "metabolite_relaxation": "Relaxation of metabolites",
    "water_content": "Water content of tissue",
}
# Concentrations in mmol/L first: they are what most studies report.
_BARS = ("molar", "molal", "ratio_tcr")


def scan_view(scan: ScanSection, key: str) -> dict[str, Any]:
    """Lay out one scan; ``key`` is its anchor on the page."""
    openings = OPENINGS[scan.quality.verdict]
    picture, why_no_picture = _voxel(scan, key)
    concentrations, missing = _concentrations(scan)
    corrections = dict.fromkeys(text for level in scan.levels for text in level.corrections)
    return {
        "id": key,
        "title": scan.title,
        "label": scan.label,
        "verdict": scan.quality.verdict,
        "opening": openings[bool(scan.quality.reasons)],
        "reasons": scan.quality.reasons,
        "notes": (*_fit_notes(scan), *scan.notes),
        "summary": _summary(scan),
        "fit": fit_viewer(scan.fit, key=key, label=f"Spectrum, fit, baseline and residual of {scan.title}"),
        "fit_caption": "Top: what the fit leaves over; the band is twice the noise to either side. Middle: the "
        "spectrum with fit and baseline; single metabolites stand on the baseline. Bottom: single metabolites, small "
        "ones enlarged as noted.",
        "glu_gln": _glu_gln(scan),
        "quantities": [_quantity_view(name) for name in _quantities(scan.levels)],
        "bars": _bar_scale(scan),
        "concentrations": concentrations,
        "missing": missing,
        "corrections": "; ".join(corrections),
        "sources": list(_SOURCES.values()),
        "budget": _budget(scan),
        "metrics": [_metric_view(metric, scan) for metric in scan.quality.metrics],
        "before_and_after": _before_and_after(scan, key),
        "before_caption": _before_caption(scan),
        "voxel_figure": picture,
        "voxel_note": why_no_picture,
        "tissue": _tissue_sentence(scan.tissue),
        "histories": [
            (title, [_step_view(step) for step in steps])
            for title, steps in (("Metabolites", scan.history), ("Water", scan.water_history))
            if steps
        ],
    }


def _fit_notes(scan: ScanSection) -> tuple[str, ...]:
    ended = () if scan.fit.status == "converged" else (f"The fit did not end as it should: {scan.fit.status}.",)
    return (*ended, *scan.fit.advice)


def _summary(scan: ScanSection) -> dict[str, "Markup | str"]:
    """Glutamate, signal to noise and line width, for the table at the head of the page."""
    name = _bar_quantity(scan)
    found = [level for level in scan.levels if level.metabolite == "Glu" and level.quantity == name]
    glu = _cell(found[0], scan) if found and is_number(found[0].value) else MISSING
    metrics = {metric.name: _metric_view(metric, scan)["value"] for metric in scan.quality.metrics}
    unit = QUANTITIES.get(name, ("", ""))[1]
    return {
        "glu": glu,
        "glu_unit": (unit or "/ tCr") if glu != MISSING else "",
        "snr": metrics.get("snr", MISSING),
        "width": metrics.get("fwhm_hz", metrics.get("fwhm_ppm", MISSING)),
    }


def _glu_gln(scan: ScanSection) -> "Markup | str":
    """Say how well glutamate and glutamine are told apart; empty when one of them was not fitted."""
    from markupsafe import Markup

    found = separability(scan.fit)
    if found is None:
        return ""
    origin = Origin(f"{scan.files}_desc-fit_mrs.json" if scan.files else "", {})
    where = "Parameters.glu_gln"
    correlation = origin.cite(f"{where}.correlation", found.correlation, fixed(found.correlation, 2))
    text = Markup(
        "The amplitudes of Glu and Gln have a correlation of {} (−1: only their sum is known; 0: they are told apart)."
    )
    sentences = [text.format(correlation)]
    if all(is_number(ratio.value) for ratio in found.ratios.values()):
        path = f"{where}.ratios"
        shown = [
            Markup("{} {}").format(
                name, origin.measured(f"{path}.{name}.value", ratio.value, f"{path}.{name}.se", ratio.se)
            )
            for name, ratio in found.ratios.items()
        ]
        sentences.append(Markup("Relative to total creatine: {}.").format(joined(shown)))
        sentences.append(
            Markup("Their sum Glx has a smaller relative error than either: report it beside Glu.")
            if found.sum_is_better
            else Markup("The sum Glx is not better determined than the better of the two.")
        )
    return joined(sentences, " ")


# Concentrations


def _quantities(levels: Sequence[Concentration]) -> list[str]:
    known = [name for name in QUANTITIES if any(level.quantity == name for level in levels)]
    return [*known, *dict.fromkeys(level.quantity for level in levels if level.quantity not in QUANTITIES)]


def _quantity_view(name: str) -> dict[str, str]:
    title, unit = QUANTITIES.get(name, (humanised(name), ""))
    return {"name": title, "unit": unit}


def _origin(scan: ScanSection, level: Concentration) -> Origin:
    file = f"{scan.files}_desc-budget_mrs.tsv" if scan.files else ""
    return Origin(file, {"metabolite": level.metabolite, "quantity": level.quantity})


def _concentrations(scan: ScanSection) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Give a row a metabolite, and the reasons for what is missing, each under a letter."""
    levels = scan.levels
    by_cell = {(level.metabolite, level.quantity): level for level in levels}
    reasons = dict.fromkeys(_reason(level) for level in levels if not is_number(level.value))
    letters = {reason: _letter(place) for place, reason in enumerate(reasons)}
    drawn, scale = _bar_quantity(scan), _bar_scale(scan)
    rows = [
        {
            "metabolite": metabolite,
            "cells": [_cell_view(by_cell.get((metabolite, name)), letters, scan) for name in _quantities(levels)],
            "crlb": _crlb(scan, metabolite),
            "bar": _bar(by_cell.get((metabolite, drawn)), scale["top"]) if scale else "",
        }
        for metabolite in dict.fromkeys(level.metabolite for level in levels)
    ]
    return rows, [(letter, reason) for reason, letter in letters.items()]


def _reason(level: Concentration) -> str:
    return level.reason or "no reason was recorded"


def _letter(place: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[place] if place < 26 else str(place + 1)


def _cell_view(level: Concentration | None, letters: Mapping[str, str], scan: ScanSection) -> dict[str, Any]:
    if level is None:
        return {"text": "", "note": ""}
    if not is_number(level.value):
        return {"note": letters[_reason(level)], "reason": _reason(level)}
    return {"text": _cell(level, scan), "note": ""}


def _cell(level: Concentration, scan: ScanSection) -> "Markup":
    """Spell a value with its standard error: the whole, or that of the fit where no more is known."""
    column = "se_total" if is_number(level.se_total) else "se_fit"
    return _origin(scan, level).measured("value", level.value, column, getattr(level, column))


def _crlb(scan: ScanSection, metabolite: str) -> "Markup | str":
    known = [level.crlb_pct for level in scan.levels if level.metabolite == metabolite and is_number(level.crlb_pct)]
    origin = Origin(f"{scan.files}_desc-conc_mrs.tsv" if scan.files else "", {"metabolite": metabolite})
    return origin.cite("crlb_pct", known[0], number(known[0])) if known else MISSING


def _bar_quantity(scan: ScanSection) -> str:
    """Quantity of the bars: the first that was measured."""
    known = {level.quantity for level in scan.levels if is_number(level.value)}
    return next((name for name in (*_BARS, *sorted(known)) if name in known), "")


def _bar_scale(scan: ScanSection) -> dict[str, Any]:
    """Axis of the bars: from zero to a round number above the largest value; empty without values."""
    name = _bar_quantity(scan)
    ends = [
        level.value + (level.se_total if is_number(level.se_total) else 0.0)
        for level in scan.levels
        if level.quantity == name and is_number(level.value)
    ]
    if not ends or max(ends) <= 0:
        return {}
    power = 10.0 ** (len(f"{max(ends):.0f}") - 1)
    top = next(
        step * power for step in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0) if step * power >= max(ends)
    )
    return {"top": top, "title": QUANTITIES.get(name, (humanised(name), ""))[0], "text": f"0 to {top:g}",
            "unit": QUANTITIES.get(name, ("", ""))[1]}  # fmt: skip


def _bar(level: Concentration | None, top: float) -> "Markup | str":
    """Draw a value as a dot with a line of one standard error to either side."""
    from markupsafe import Markup

    if level is None or not is_number(level.value):
        return ""
    error = level.se_total if is_number(level.se_total) else 0.0
    low, at, high = (
        4 + 152 * min(max(x / top, 0.0), 1.0) for x in (level.value - error, level.value, level.value + error)
    )
    return Markup(
        '<svg class="bar" viewBox="0 0 160 12" width="160" height="12" aria-hidden="true">'
        '<path class="rule" d="M4 6h152"/><path class="error" d="M{} 6H{}"/><circle cx="{}" cy="6" r="3.2"/></svg>'
    ).format(f"{low:.1f}", f"{high:.1f}", f"{at:.1f}")


def _budget(scan: ScanSection) -> list[dict[str, Any]]:
    """Standard error by source, for the quantity of the bars; the stripe shows each source's share of the variance."""
    rows = []
    for level in scan.levels:
        if level.quantity != _bar_quantity(scan) or level.budget is None or not is_number(level.value):
            continue
        origin, decimals = _origin(scan, level), decimals_for(level.se_total)
        errors = {part.name: getattr(level.budget, part.name) for part in fields(ErrorBudget)}
        rows.append(
            {
                "metabolite": level.metabolite,
                "stripe": _stripe(list(errors.values())),
                "total": origin.cite("se_total", level.se_total, fixed(level.se_total, decimals)),
                "parts": [origin.cite(f"se_{name}", se, fixed(se, decimals)) for name, se in errors.items()],
            }
        )
    return rows


def _stripe(errors: Sequence[float]) -> "Markup":
    from markupsafe import Markup

    total = sum(error**2 for error in errors) or 1.0
    drawn, start = [], 0.0
    for place, error in enumerate(errors):
        share = 120 * error**2 / total
        if share >= 0.05:
            drawn.append(Markup('<rect class="source-{}" x="{}" width="{}" height="10"/>').format(
                place, f"{start:.1f}", f"{share:.1f}"))  # fmt: skip
        start += share
    return Markup(
        '<svg class="stripe" viewBox="0 0 120 10" width="120" height="10" aria-hidden="true">{}</svg>'
    ).format(Markup("").join(drawn))


# Quality


def _metric_view(metric: Metric, scan: ScanSection) -> dict[str, Any]:
    from markupsafe import Markup

    unit = metric.unit or metric_unit(metric.name)
    text = count(metric.value) if metric.name.startswith("n_") else number(metric.value)
    origin = Origin(f"{scan.files}_desc-qc_mrs.json" if scan.files else "", {"name": metric.name})
    value = origin.cite("value", metric.value, text)
    failed = bool(metric.limit) and not metric.passed
    return {
        "name": metric_label(metric.name),
        "value": Markup("{} {}").format(value, unit) if unit and text != MISSING else value,
        "limit": metric.limit.replace(">=", "≥").replace("<=", "≤") or "–",
        "limit_unit": unit if metric.limit else "",
        "failed": failed,
        "result": ("not met" if failed else "met") if metric.limit else "for information",
    }


def _before_and_after(scan: ScanSection, key: str) -> "Markup | None":
    if scan.preprocessing is None:
        return None
    figure = preprocessing_figure(scan.preprocessing)
    return drawing(figure, f"{key}-before", f"Spectrum of {scan.title} before and after preprocessing")


def _before_caption(scan: ScanSection) -> str:
    if scan.preprocessing is None:
        return ""
    seen = scan.preprocessing
    text = "The spectrum with its transients combined as they were, and after preprocessing."
    if seen.shift_hz.size:
        n_dropped = len(seen.dropped)
        left_out = f"{n_dropped} of them (crosses) were left out" if n_dropped else "none of them was left out"
        text += f" At the right: frequency and phase of its {seen.shift_hz.size} transients; {left_out}."
    return text


def _voxel(scan: ScanSection, key: str) -> tuple["Markup | None", str]:
    """Give the picture of the voxel, or why there is none."""
    if scan.anatomy is None:
        return None, scan.voxel_note or "no anatomical image belongs to this scan."
    if scan.mask is None:
        return None, scan.voxel_note or "where the voxel lies in the anatomical image is not known."
    try:
        figure = voxel_figure(scan.anatomy, scan.mask)
    except FileError as error:
        return None, str(error)
    return drawing(figure, f"{key}-voxel", f"Voxel of {scan.title} on three slices of the anatomical image"), ""


def drawing(figure: "Figure", key: str, label: str) -> "Markup":
    """Give a figure as an element of the page."""
    from markupsafe import Markup

    return Markup(inline_svg(figure, key=key, label=label))


def _tissue_sentence(tissue: TissueFractions | None) -> str:
    if tissue is None:
        return "Tissue fractions of the voxel are not known."
    shares = {"grey matter": tissue.gm, "white matter": tissue.wm, "cerebrospinal fluid": tissue.csf}
    text = ", ".join(f"{fixed(100 * share, 1)} % {name}" for name, share in shares.items())
    return f"The voxel holds {text}{f' (from {tissue.source})' if tissue.source else ''}."


def _step_view(step: ProcessingStep) -> dict[str, str]:
    details = "; ".join(f"{name.replace('_', ' ')} {_brief(value)}" for name, value in step.details.items())
    return {"name": humanised(step.method), "details": details}


def _brief(value: object) -> str:
    """Spell a JSON value of a history in few characters."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: MISSING}[value]
    if isinstance(value, int | float):
        return number(value, 4)
    if isinstance(value, list | tuple):
        return ", ".join(_brief(entry) for entry in value) if len(value) <= 4 else f"({len(value)} values)"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_brief(entry)}" for name, entry in value.items())
    return str(value)
