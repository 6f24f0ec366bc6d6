"""The pages: finished results laid out as HTML that needs nothing but itself.

Style, script and figures stand inside the page, nothing is fetched, and the same values give the same bytes. Every page
can be read and printed without scripts; the script adds zooming, switching, searching, sorting and marking.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mrspipe.core.results import Failure
from mrspipe.io.atomic import atomic_write_text
from mrspipe.report.answers import contrast_answer, contrast_cells, in_brief, sample_sentence, split_contrasts
from mrspipe.report.content import GroupPage, SubjectPage
from mrspipe.report.group_figures import GroupFigure, group_figures
from mrspipe.report.group_view import exclusion_view, sample_row, subject_columns, subject_rows
from mrspipe.report.spelling import MISSING, words
from mrspipe.report.subject_view import drawing, scan_view
from mrspipe.report.supporting_view import supporting_view

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def write_subject_page(path: Path, page: SubjectPage) -> None:
    """Write the page of one subject.

    Parameters
    ----------
    path : Path
        Ends with ``.html``; written completely or not at all.
    page : SubjectPage
    """
    scans = [scan_view(scan, f"scan-{place}") for place, scan in enumerate(page.scans, start=1)]
    title = f"{page.participant_id}: {page.study_title}" if page.study_title else page.participant_id
    failures = _failures(page.failures)
    write_page(path, "subject.html.jinja", page=page, page_title=title, scans=scans, failures=failures)


def write_group_page(path: Path, page: GroupPage, figures: Sequence[GroupFigure] | None = None) -> None:
    """Write the page of the study.

    Parameters
    ----------
    path : Path
        Ends with ``.html``; written completely or not at all.
    page : GroupPage
    figures : sequence of GroupFigure, optional
        As `group_figures` draws them, where they are at hand already.
    """
    primary, secondary = split_contrasts(page)
    drawn = group_figures(page) if figures is None else figures
    write_page(
        path,
        "group.html.jinja",
        page=page,
        page_title=page.title,
        brief=[] if page.blinded else in_brief(page),
        sample=sample_sentence(page.sample),
        counts=[sample_row(sample) for sample in page.sample_by_group],
        answers=[] if page.why_no_test else [contrast_answer(row, page) for row in primary],
        figures=[
            {"id": f"figure-{one.name}", "title": one.title, "caption": one.caption, "file": f"fig-{one.name}",
             "drawing": drawing(one.figure, one.name, one.label)}
            for one in drawn
        ],
        primary=[contrast_cells(row, page) for row in primary],
        secondary=[contrast_cells(row, page) for row in secondary],
        confidence=f"{page.confidence_pct:g}",
        cells=subject_columns(page),
        subjects=subject_rows(page),
        supporting=supporting_view(page),
        exclusions=exclusion_view(page),
        failures=_failures(page.failures),
    )  # fmt: skip


def write_page(path: Path, template: str, **values: Any) -> None:
    """Fill a template of this package and write it, completely or not at all, with the style inside the page."""
    from markupsafe import Markup

    css, script = (Markup(_static(name)) for name in ("report.css", "report.js"))
    text = _environment().get_template(template).render(css=css, script=script, **values)
    atomic_write_text(path, text + "\n")


@cache
def _static(name: str) -> str:
    return (files("mrspipe.report") / "static" / name).read_text(encoding="utf-8").strip()


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


def _failures(failures: Iterable[Failure]) -> list[dict[str, str]]:
    return [
        {
            "subject": str(failure.row()["participant_id"]),
            "scan": "_".join(f"{name}-{value}" for name, value in failure.entities.items()) or MISSING,
            "stage": words(failure.stage),
            "code": failure.code,
            "message": words(failure.message),
            "cure": words(failure.cure),
        }
        for failure in failures
    ]
