"""The pages: finished results laid out as HTML that needs nothing but itself.

Style and figures stand inside the page, nothing is fetched, and the same values give the same bytes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import FileError
from mrspipe.core.results import Concentration, Failure, Metric, TissueFractions
from mrspipe.core.signal import ProcessingStep
from mrspipe.io.atomic import atomic_write_text
from mrspipe.report.content import (
    MISSING,
    QUANTITIES,
    Factor,
    GroupPage,
    Row,
    SampleCount,
    ScanSection,
    SubjectPage,
    contrast_answer,
    contrast_cells,
    count,
    decimals_for,
    fixed,
    humanised,
    is_number,
    measured,
    metric_label,
    metric_unit,
    number,
    of_outcome,
    records,
    split_contrasts,
    words,
)
from mrspipe.report.figures import fit_figure, paired_figure, preprocessing_figure, quality_figure, voxel_figure
from mrspipe.report.svg import inline_svg

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup
    from matplotlib.figure import Figure

_OPENINGS = {
    "good": ("The spectrum passed every check.", "The spectrum passed, with remarks:"),
    "doubtful": ("Use this spectrum with care.", "Use this spectrum with care:"),
    "unusable": ("This spectrum cannot be used.", "This spectrum cannot be used:"),
}
_QUALITY_PANELS = ("snr", "fwhm_hz", "crlb_glu_pct")


def write_subject_page(path: Path, page: SubjectPage) -> None:
    """Write the page of one subject.

    Parameters
    ----------
    path : Path
        Ends with ``.html``; written completely or not at all.
    page : SubjectPage
    """
    scans = [_scan_view(scan, f"scan-{place}") for place, scan in enumerate(page.scans, start=1)]
    title = f"{page.participant_id}: {page.study_title}" if page.study_title else page.participant_id
    write_page(path, "subject.html.jinja", page=page, page_title=title, scans=scans, failures=_failures(page.failures))


def write_group_page(path: Path, page: GroupPage) -> None:
    """Write the page of the study.

    Parameters
    ----------
    path : Path
        Ends with ``.html``; written completely or not at all.
    page : GroupPage
    """
    primary, secondary = split_contrasts(page)
    write_page(
        path,
        "group.html.jinja",
        page=page,
        page_title=page.title,
        sample=_sample_sentence(page.sample),
        counts=[_sample_row(sample) for sample in page.sample_by_group],
        answers=[] if page.why_no_test else [contrast_answer(row, page) for row in primary],
        figures=list(_group_figures(page)),
        primary=[contrast_cells(row, page) for row in primary],
        secondary=[contrast_cells(row, page) for row in secondary],
        confidence=f"{page.confidence_pct:g}",
        cells=[cell.title for cell in _cells(page)],
        subjects=_subjects(page),
        exclusion_columns=[humanised(str(name)) for name in page.exclusions.columns],
        exclusions=[[words(value) for value in row.values()] for row in records(page.exclusions)],
        failures=_failures(page.failures),
    )


def write_page(path: Path, template: str, **values: Any) -> None:
    """Fill a template of this package and write it, completely or not at all, with the style inside the page."""
    from markupsafe import Markup

    css = Markup((files("mrspipe.report") / "static" / "report.css").read_text(encoding="utf-8").strip())
    atomic_write_text(path, _environment().get_template(template).render(css=css, **values) + "\n")


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("mrspipe.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["linked"] = _linked
    return environment


def _linked(text: str) -> "Markup":
    """Escape a reference and turn its DOI into a link."""
    from markupsafe import Markup, escape

    before, sign, doi = text.rpartition("doi ")
    if not sign:
        return escape(text)
    return Markup('{}<a href="https://doi.org/{}">doi {}</a>').format(before, quote(doi, safe="/().:;-"), doi)


def _drawing(figure: "Figure", key: str, label: str) -> "Markup":
    from markupsafe import Markup

    return Markup(inline_svg(figure, key=key, label=label))


def _failures(failures: Iterable[Failure]) -> list[dict[str, str]]:
    return [
        {
            "scan": "_".join(f"{name}-{value}" for name, value in failure.entities.items()) or MISSING,
            "stage": words(failure.stage),
            "code": failure.code,
            "message": words(failure.message),
            "cure": words(failure.cure),
        }
        for failure in failures
    ]


# The subject's page


def _scan_view(scan: ScanSection, key: str) -> dict[str, Any]:
    openings = _OPENINGS[scan.quality.verdict]
    picture, why_no_picture = _voxel(scan, key)
    concentrations, missing = _concentrations(scan.levels)
    corrections = dict.fromkeys(text for level in scan.levels for text in level.corrections)
    return {
        "id": key,
        "title": scan.title,
        "label": scan.label,
        "verdict": scan.quality.verdict,
        "opening": openings[bool(scan.quality.reasons)],
        "reasons": scan.quality.reasons,
        "notes": (*_fit_notes(scan), *scan.notes),
        "fit_figure": _drawing(
            fit_figure(scan.fit), f"{key}-fit", f"Spectrum, fit, baseline and residual of {scan.title}"
        ),
        "fit_caption": "Top: what the fit leaves over; the band is twice the noise to either side. Middle: the "
        "spectrum with fit and baseline. Bottom: single metabolites, small ones enlarged as noted at the right.",
        "quantities": [_quantity_view(name) for name in _quantities(scan.levels)],
        "concentrations": concentrations,
        "missing": missing,
        "corrections": "; ".join(corrections),
        "metrics": [_metric_view(metric) for metric in scan.quality.metrics],
        "before_and_after": _before_and_after(scan, key),
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


def _quantities(levels: Sequence[Concentration]) -> list[str]:
    known = [name for name in QUANTITIES if any(level.quantity == name for level in levels)]
    return [*known, *dict.fromkeys(level.quantity for level in levels if level.quantity not in QUANTITIES)]


def _quantity_view(name: str) -> dict[str, str]:
    title, unit = QUANTITIES.get(name, (humanised(name), ""))
    return {"name": title, "unit": unit}


def _concentrations(levels: Sequence[Concentration]) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Give a row a metabolite, and the reasons for what is missing, each under a letter."""
    by_cell = {(level.metabolite, level.quantity): level for level in levels}
    quantities = _quantities(levels)
    reasons = dict.fromkeys(_reason(level) for level in levels if not is_number(level.value))
    letters = {reason: _letter(place) for place, reason in enumerate(reasons)}
    rows = [
        {
            "metabolite": metabolite,
            "cells": [_cell_view(by_cell.get((metabolite, name)), letters) for name in quantities],
            "crlb": _crlb(levels, metabolite),
        }
        for metabolite in dict.fromkeys(level.metabolite for level in levels)
    ]
    return rows, [(letter, reason) for reason, letter in letters.items()]


def _reason(level: Concentration) -> str:
    return level.reason or "no reason was recorded"


def _letter(place: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[place] if place < 26 else str(place + 1)


def _cell_view(level: Concentration | None, letters: Mapping[str, str]) -> dict[str, str]:
    if level is None:
        return {"text": "", "note": "", "fit": ""}
    if not is_number(level.value):
        return {"note": letters[_reason(level)], "reason": _reason(level)}
    error = level.se_total if is_number(level.se_total) else level.se_fit
    share = fixed(level.se_fit, decimals_for(error)) if is_number(level.se_fit) else ""
    return {"text": measured(level.value, error), "note": "", "fit": share}


def _crlb(levels: Sequence[Concentration], metabolite: str) -> str:
    known = [level.crlb_pct for level in levels if level.metabolite == metabolite and is_number(level.crlb_pct)]
    return number(known[0]) if known else MISSING


def _metric_view(metric: Metric) -> dict[str, Any]:
    unit = metric.unit or metric_unit(metric.name)
    value = count(metric.value) if metric.name.startswith("n_") else number(metric.value)
    failed = bool(metric.limit) and not metric.passed
    return {
        "name": metric_label(metric.name),
        "value": f"{value} {unit}" if unit and value != MISSING else value,
        "limit": metric.limit or "–",
        "failed": failed,
        "result": ("not met" if failed else "met") if metric.limit else "for information",
    }


def _before_and_after(scan: ScanSection, key: str) -> "Markup | None":
    if scan.preprocessing is None:
        return None
    figure = preprocessing_figure(scan.preprocessing)
    return _drawing(figure, f"{key}-before", f"Spectrum of {scan.title} before and after preprocessing")


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
    return _drawing(figure, f"{key}-voxel", f"Voxel of {scan.title} on three slices of the anatomical image"), ""


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


# The study's page


def _sample_row(sample: SampleCount) -> tuple[str, ...]:
    counts = (sample.subjects, sample.subjects_included, sample.scans, sample.scans_included)
    return (sample.label, *(number(value) for value in counts))


def _sample_sentence(sample: SampleCount) -> str:
    out = sample.scans - sample.scans_included
    left = "no scan was left out" if out == 0 else f"{out} scan{'s' if out > 1 else ''} left out (reasons below)"
    return (
        f"{sample.subjects_included} of {sample.subjects} subjects and {sample.scans_included} of {sample.scans} scans "
        f"enter the group analysis; {left}."
    )


def _group_figures(page: GroupPage) -> Iterator[dict[str, Any]]:
    """Draw what there are values for: ratings, outcome, treatment, quality."""
    used = [row for row in records(page.measurements) if of_outcome(row, page.outcome) and row.get("included", True)]
    spread = "Each thin line is one subject; the thick line joins the means, its bars are one SD to either side."
    if page.condition is None:
        spread = "Each dot is one subject; the large dot is the mean, its bar one SD to either side."
    if page.ratings is not None:
        rated = _panels(records(page.ratings), page.ratings_column, page, over=page.condition, split=page.treatment)
        yield from _paired("ratings", page.ratings_label, rated, page.condition, page.ratings_label, spread)
    found = _panels(used, "value", page, over=page.condition, split=page.treatment)
    name = page.outcome.metabolite
    factors = [word for word, factor in (("group", page.group), ("condition", page.condition)) if factor]
    title = f"{name} by {' and '.join(factors)}" if factors else name
    yield from _paired("outcome", title, found, page.condition, page.outcome.label, spread)
    if page.treatment is not None:
        treated = _panels(used, "value", page, over=page.treatment, split=page.condition)
        between = " and ".join(page.treatment.labels.values())
        yield from _paired("treatment", f"{name} under {between}", treated, page.treatment, page.outcome.label, spread)
    panels = _quality_panels(page)
    if panels:
        caption = "Each mark is one scan; its shape tells the verdict. Scans that are not used are shown too."
        drawing = _drawing(quality_figure(panels), "quality", "Quality measures of each scan by group")
        yield {"title": "Quality of the spectra", "drawing": drawing, "caption": caption}


def _paired(
    key: str,
    title: str,
    panels: Mapping[str, Mapping[str, FloatArray]],
    over: Factor | None,
    y_label: str,
    caption: str,
) -> Iterator[dict[str, Any]]:
    if not panels:
        return
    figure = paired_figure(panels, conditions=list(over.labels.values()) if over else [""], y_label=y_label)
    yield {"title": title, "drawing": _drawing(figure, key, f"{title}: {y_label}"), "caption": caption}


def _panels(
    rows: Sequence[Row], column: str, page: GroupPage, *, over: Factor | None, split: Factor | None
) -> dict[str, dict[str, FloatArray]]:
    """Arrange values in panels by ``split``, in blocks by group, in lines by subject, in columns by ``over``."""
    panels = {}
    for value, title in split.labels.items() if split else [("", "")]:
        inside = [row for row in rows if split is None or str(row.get(split.column)) == value]
        blocks = {
            label: _lines([row for row in inside if _label(row, page.group) == label], column, page, over)
            for label in (page.group.labels.values() if page.group else ("All subjects",))
        }
        filled = {label: lines for label, lines in blocks.items() if lines.size}
        if filled:
            panels[title] = filled
    return panels


def _label(row: Row, factor: Factor | None) -> str:
    return factor.labels.get(str(row.get(factor.column)), "") if factor else "All subjects"


def _lines(rows: Sequence[Row], column: str, page: GroupPage, over: Factor | None) -> FloatArray:
    """One line for each subject (and session and run, unless these are what the columns differ by)."""
    levels = list(over.labels) if over else [""]
    own = [page.subject_column, "run", *([] if over is page.treatment and over else ["session_id"])]
    lines: dict[tuple[str, ...], FloatArray] = {}
    for row in rows:
        level = str(row.get(over.column)) if over else ""
        if level in levels and is_number(row.get(column)):
            key = tuple(str(row.get(name)) for name in own if over is None or name != over.column)
            lines.setdefault(key, np.full(len(levels), np.nan))[levels.index(level)] = float(row[column])
    return np.array([lines[key] for key in sorted(lines)])


def _quality_panels(page: GroupPage) -> dict[str, dict[str, dict[str, FloatArray]]]:
    rows = records(page.quality)
    panels = {}
    for metric in _QUALITY_PANELS:
        groups: dict[str, dict[str, FloatArray]] = {}
        for label in page.group.labels.values() if page.group else ("All subjects",):
            mine = [row for row in rows if _group_of(row, page) == label and is_number(row.get(metric))]
            verdicts = dict.fromkeys(str(row.get("verdict")) for row in mine)
            groups[label] = {
                v: np.array([float(r[metric]) for r in mine if str(r.get("verdict")) == v]) for v in verdicts
            }
        if any(groups.values()):
            unit = metric_unit(metric)
            panels[metric_label(metric) + (f" ({unit})" if unit else "")] = groups
    return panels


def _group_of(row: Row, page: GroupPage) -> str:
    """Give the label of the group; where the row has no column of it, by the subject."""
    if page.group is None or page.group.column in row:
        return _label(row, page.group)
    return _group_by_subject(page).get(str(row.get(page.subject_column)), "")


def _group_by_subject(page: GroupPage) -> dict[str, str]:
    rows = [*records(page.measurements), *records(page.quality)]
    known = [row for row in rows if page.group is None or page.group.column in row]
    return {str(row.get(page.subject_column)): _label(row, page.group) for row in known}


@dataclass(frozen=True, slots=True)
class _Cell:
    """A column of the table of subjects: its title, and the values that a row must have to stand in it."""

    title: str
    where: Mapping[str, str]

    def holds(self, row: Row) -> bool:
        return all(str(row.get(column)) == value for column, value in self.where.items())


def _cells(page: GroupPage) -> list[_Cell]:
    factors = [factor for factor in (page.treatment, page.condition) if factor is not None]
    columns = [[(factor.column, value, label) for value, label in factor.labels.items()] for factor in factors]
    return [
        _Cell(", ".join(label for *_, label in level) or page.outcome.label, {name: value for name, value, _ in level})
        for level in product(*columns)
    ]


def _subjects(page: GroupPage) -> list[dict[str, Any]]:
    """Give a row a subject: everyone who was measured, used or not."""
    rows = [row for row in records(page.measurements) if of_outcome(row, page.outcome)]
    quality, groups, cells = records(page.quality), _group_by_subject(page), _cells(page)
    failed = [str(failure.row()["participant_id"]) for failure in page.failures]
    measured_ones = [str(row.get(page.subject_column)) for row in [*records(page.measurements), *quality]]
    return [
        {
            "name": subject,
            "link": f"{quote(subject)}.html",
            "group": groups.get(subject, "") or MISSING,
            "levels": [_values(rows, page, subject, cell) for cell in cells],
            "verdicts": _verdicts([row for row in quality if str(row.get(page.subject_column)) == subject]),
        }
        for subject in sorted({*measured_ones, *failed} - {MISSING})
    ]


def _values(rows: Sequence[Row], page: GroupPage, subject: str, cell: _Cell) -> str:
    mine = [row for row in rows if str(row.get(page.subject_column)) == subject and cell.holds(row)]
    texts = (number(row.get("value")) for row in mine)
    shown = [text if row.get("included", True) else f"({text})" for row, text in zip(mine, texts, strict=True)]
    return ", ".join(shown) or MISSING


def _verdicts(rows: Sequence[Row]) -> list[tuple[str, int]]:
    found = [str(row.get("verdict")) for row in rows]
    return [(verdict, found.count(verdict)) for verdict in _OPENINGS if verdict in found]
