"""The figures of a study, each with the numbers that it shows."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mrspipe.report.answers import of_outcome, specifications, split_contrasts
from mrspipe.report.content import Factor, GroupPage
from mrspipe.report.panels import (
    Dot,
    Lines,
    Specification,
    paired_figure,
    quality_figure,
    specification_figure,
    spectra_figure,
)
from mrspipe.report.spelling import Row, as_float, is_number, metric_label, metric_unit, records, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUALITY_PANELS = ("snr", "fwhm_ppm", "residual_ratio", "crlb_glu_pct")
EVERYONE = "All subjects"


@dataclass(frozen=True, slots=True, eq=False)
class GroupFigure:
    """A figure of the study.

    Parameters
    ----------
    name : str
        For files: lower case, words joined by hyphens.
    title, caption, label : str
        ``label`` is for readers who do not see the figure.
    figure : Figure
    data : mapping of column to sequence
        The numbers that are drawn.
    """

    name: str
    title: str
    caption: str
    label: str
    figure: "Figure"
    data: Mapping[str, Sequence[Any]]


def group_figures(page: GroupPage) -> list[GroupFigure]:
    """Draw what there are values for: ratings, outcome, treatment, spectra, choices of the analysis, quality.

    A blinded page has the quality alone.
    """
    if page.blinded:
        return list(_quality(page))
    return [*_ratings(page), *_outcome(page), *_spectra(page), *_choices(page), *_quality(page)]


def label_of(row: Row, factor: Factor | None) -> str:
    """Give what the value of a factor is called; empty where the row has none that is known."""
    return factor.labels.get(str(row.get(factor.column)), "") if factor else EVERYONE


def group_by_subject(page: GroupPage) -> dict[str, str]:
    """Give the label of each subject's group."""
    rows = [*records(page.measurements), *records(page.quality)]
    known = [row for row in rows if page.group is None or page.group.column in row]
    return {str(row.get(page.subject_column)): label_of(row, page.group) for row in known}


def _group_labels(page: GroupPage) -> list[str]:
    return list(page.group.labels.values()) if page.group else [EVERYONE]


def _slug(*texts: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", "-".join(texts).lower()).strip("-")


# Ratings and concentrations: lines over conditions


def _ratings(page: GroupPage) -> Iterator[GroupFigure]:
    if page.ratings is None:
        return
    rated = records(page.ratings)
    panels = _panels(rated, page.ratings_column, page, over=page.condition, split=page.treatment)
    name = _slug(re.sub(r"\s*(rating|\().*", "", page.ratings_label, flags=re.IGNORECASE) or "rating", _by(page))
    yield from _paired(name, f"{page.ratings_label} by {_by(page, ' and ')}", panels, page.condition,
                       page.ratings_label, page, page.treatment)  # fmt: skip


def _outcome(page: GroupPage) -> Iterator[GroupFigure]:
    used = [row for row in records(page.measurements) if of_outcome(row, page.outcome) and row.get("included", True)]
    metabolite, label = page.outcome.metabolite, page.outcome.label
    panels = _panels(used, "value", page, over=page.condition, split=page.treatment)
    yield from _paired(_slug(metabolite, _by(page)), f"{metabolite} by {_by(page, ' and ')}", panels, page.condition,
                       label, page, page.treatment)  # fmt: skip
    if page.treatment is not None:
        treated = _panels(used, "value", page, over=page.treatment, split=page.condition)
        between = " and ".join(page.treatment.labels.values())
        name = _slug(metabolite, "by-group-and-treatment" if page.group else "by-treatment")
        yield from _paired(name, f"{metabolite} under {between}", treated, page.treatment, label, page, page.condition)


def _by(page: GroupPage, joint: str = "-and-") -> str:
    factors = [word for word, factor in (("group", page.group), ("condition", page.condition)) if factor]
    text = joint.join(factors) or "subject"
    return text if joint != "-and-" else f"by-{text}"


def _paired(
    name: str,
    title: str,
    panels: Mapping[str, Mapping[str, Lines]],
    over: Factor | None,
    y_label: str,
    page: GroupPage,
    split: Factor | None,
) -> Iterator[GroupFigure]:
    if not panels:
        return
    caption = (
        "Each thin line is one subject; the thick line joins the means, its bars are one SD to either side; at the "
        "ends, the density of the values."
        if over and len(over.labels) > 1
        else "Each dot is one subject; the large dot is the mean, its bar one SD to either side; beside it, the "
        "density of the values."
    )
    conditions = list(over.labels.values()) if over else [""]
    figure = paired_figure(panels, conditions=conditions, y_label=y_label)
    data = _paired_data(panels, conditions, page, over, split)
    yield GroupFigure(name, title, caption, f"{title}: {y_label}", figure, data)


def _paired_data(
    panels: Mapping[str, Mapping[str, Lines]],
    conditions: Sequence[str],
    page: GroupPage,
    over: Factor | None,
    split: Factor | None,
) -> dict[str, list[Any]]:
    rows = [
        (subject, group, panel, condition, float(value))
        for panel, blocks in panels.items()
        for group, lines in blocks.items()
        for subject, values in zip(lines.subjects, lines.values, strict=True)
        for condition, value in zip(conditions, values, strict=True)
        if np.isfinite(value)
    ]
    columns = list(zip(*rows, strict=True))
    named = {"participant_id": columns[0], "value": columns[4]}
    for factor, values in ((page.group, columns[1]), (split, columns[2]), (over, columns[3])):
        if factor is not None:
            named[factor.column] = values
    return {name: list(values) for name, values in named.items()}


def _panels(
    rows: Sequence[Row], column: str, page: GroupPage, *, over: Factor | None, split: Factor | None
) -> dict[str, dict[str, Lines]]:
    """Arrange values in panels by ``split``, in blocks by group, in lines by subject, in columns by ``over``."""
    panels = {}
    for value, title in split.labels.items() if split else [("", "")]:
        inside = [row for row in rows if split is None or str(row.get(split.column)) == value]
        blocks = {
            label: _lines([row for row in inside if label_of(row, page.group) == label], column, page, over)
            for label in _group_labels(page)
        }
        filled = {label: lines for label, lines in blocks.items() if lines.subjects}
        if filled:
            panels[title] = filled
    return panels


def _lines(rows: Sequence[Row], column: str, page: GroupPage, over: Factor | None) -> Lines:
    """One line for each subject (and session and run, unless these are what the columns differ by)."""
    levels = list(over.labels) if over else [""]
    own = [page.subject_column, "run", *([] if over is page.treatment and over else ["session_id"])]
    lines: dict[tuple[str, ...], Any] = {}
    for row in rows:
        level = str(row.get(over.column)) if over else ""
        if level in levels and is_number(row.get(column)):
            key = tuple(str(row.get(name)) for name in own if over is None or name != over.column)
            lines.setdefault(key, np.full(len(levels), np.nan))[levels.index(level)] = float(row[column])
    keys = sorted(lines)
    return Lines(tuple(key[0] for key in keys), np.array([lines[key] for key in keys]))


# Spectra


def _spectra(page: GroupPage) -> Iterator[GroupFigure]:
    if not page.spectra:
        return
    labels = page.group.labels if page.group else {"": EVERYONE}
    caption = (
        "Processed spectra relative to total creatine, averaged over each subject's scans and then over subjects; the "
        "band is one SD between subjects, the thin line the mean fit."
    )
    data: dict[str, list[Any]] = {
        "group": [labels.get(one.group, one.group) for one in page.spectra for _ in one.ppm],
        **{
            name: [float(value) for one in page.spectra for value in getattr(one, name)]
            for name in ("ppm", "mean", "sd", "fit")
        },
    }
    title = "Mean spectra by group" if page.group else "Mean spectrum"
    name = "spectra-by-group" if page.group else "spectra"
    yield GroupFigure(name, title, caption, f"{title} with fits", spectra_figure(page.spectra, labels), data)


# Choices of the analysis


# One row of the drawing holds them all: who was left out is in the figure's data.
_LEAVE_ONE_OUT = "leave one out"


def _choices(page: GroupPage) -> Iterator[GroupFigure]:
    for contrast in split_contrasts(page)[0]:
        found = specifications(page, contrast)
        if len(found) < 2:
            continue
        is_one_unit = len({row.get("quantity") for row in found}) == 1
        name, metabolite = (words(contrast.get(column)) for column in ("contrast", "metabolite"))
        unit = page.outcome.unit if of_outcome(contrast, page.outcome) else ""
        measure = f"estimate{f' ({unit})' if unit else ''}" if is_one_unit else "effect (SD)"
        scaled = "" if is_one_unit else " Units differ between choices, so estimates and intervals are in SD."
        columns = (
            "contrast",
            "metabolite",
            "quantity",
            "choice",
            "kind",
            "estimate",
            "ci_low",
            "ci_high",
            "effect",
            "p",
        )
        drawn = _specifications(found, is_one_unit)
        lost = len(found) - len(drawn)
        undrawn = f" {lost} of them cannot be given in SD and {'is' if lost == 1 else 'are'} not drawn." if lost else ""
        yield GroupFigure(
            _slug("choices", name),
            f"Choices of the analysis: {name}",
            "The estimate with its interval under each choice of the analysis, sorted by size; below, which choice it "
            f"is. Filled: p below the level of the tests. The main analysis is red.{scaled}{undrawn}",
            f"Estimates of {name} under {len(found)} choices of the analysis",
            specification_figure(drawn, y_label=f"{metabolite}, {measure}"),
            {column: [row.get(column) for row in found] for column in columns},
        )


def _specifications(rows: Sequence[Row], is_one_unit: bool) -> list[Specification]:
    """Give what each choice gives; where units differ, those that have a scale in common.

    Then the estimate and its interval are scaled so that the estimate is the standardised effect. A model that gives no
    such effect has the scale of the main analysis, if its estimate is in the same unit.
    """
    main = next((row for row in rows if row["choice"] == "main"), rows[0])
    n_left_out = sum(row.get("kind") == _LEAVE_ONE_OUT for row in rows)
    drawn = []
    for row in rows:
        scale = 1.0 if is_one_unit else _sd_per_unit(row)
        if not is_number(scale) and row.get("quantity") == main.get("quantity"):
            scale = _sd_per_unit(main)
        if is_number(scale * float(row["estimate"])):
            drawn.append(_specification(row, scale, n_left_out))
    return drawn


def _sd_per_unit(row: Row) -> float:
    estimate = float(row["estimate"])
    return as_float(row.get("effect")) / estimate if estimate else float("nan")


def _specification(row: Row, scale: float, n_left_out: int) -> Specification:
    is_main = row["choice"] == "main"
    kind = words(row.get("kind"))
    choice = f"each of {n_left_out} participants" if kind == _LEAVE_ONE_OUT else words(row["choice"])
    return Specification(
        label="main analysis" if is_main else f"{kind}: {choice.replace('_', ' ')}",
        estimate=scale * float(row["estimate"]),
        low=scale * as_float(row.get("ci_low")),
        high=scale * as_float(row.get("ci_high")),
        is_main=is_main,
        is_significant=str(row.get("is_significant")).lower() == "true",
    )


# Quality


def _quality(page: GroupPage) -> Iterator[GroupFigure]:
    rows, groups = records(page.quality), group_by_subject(page)
    panels: dict[str, dict[str, list[Dot]]] = {}
    data: dict[str, list[Any]] = {
        name: [row.get(name) for row in rows]
        for name in (page.subject_column, "session_id", "task_id", "run", "verdict")
    }
    data["group"] = [groups.get(str(row.get(page.subject_column)), "") for row in rows]
    limits = {}
    for metric in QUALITY_PANELS:
        dots: dict[str, list[Dot]] = {label: [] for label in _group_labels(page)}
        for row in rows:
            label = groups.get(str(row.get(page.subject_column)), "")
            if label in dots and is_number(row.get(metric)):
                dot = Dot(str(row.get(page.subject_column)), str(row.get("verdict")), float(row[metric]))
                dots[label].append(dot)
        if any(dots.values()):
            unit = metric_unit(metric)
            title = metric_label(metric) + (f" ({unit})" if unit else "")
            panels[title], limits[title] = dots, page.limits.get(metric, {})
            data[metric] = [row.get(metric) for row in rows]
    if panels:
        caption = "Each mark is one scan; its shape tells the verdict. Scans that are not used are shown too."
        title = "Quality of the spectra"
        label = "Quality measures of each scan by group"
        yield GroupFigure("quality", title, caption, label, quality_figure(panels, limits), data)
