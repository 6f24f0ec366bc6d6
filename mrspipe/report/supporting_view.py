"""Tables beside the contrasts on the page of a study: who was compared, what goes along with what, and quality."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mrspipe.report.cited import Origin, joined
from mrspipe.report.content import GroupPage
from mrspipe.report.spelling import (
    MISSING,
    Row,
    count,
    fixed,
    humanised,
    is_number,
    metric_label,
    number,
    p_value,
    records,
    words,
)

if TYPE_CHECKING:
    from markupsafe import Markup

# Title, columns that pick a row, and columns of each group of numbers with its heading.
_Columns = Sequence[tuple[str, tuple[str, ...]]]
_TABLES: Mapping[str, tuple[str, tuple[str, ...], _Columns]] = {
    "demographics": (
        "Who was compared",
        ("variable", "level"),
        (
            ("{reference}: n", ("n_reference",)),
            ("{reference}: mean, SD", ("mean_reference", "sd_reference")),
            ("{reference}: count", ("count_reference",)),
            ("{other}: n", ("n_other",)),
            ("{other}: mean, SD", ("mean_other", "sd_other")),
            ("{other}: count", ("count_other",)),
            ("Test", ("test",)),
            ("Statistic", ("statistic",)),
            ("df", ("df",)),
            ("p", ("p",)),
        ),
    ),
    "associations": (
        "What goes along with what",
        ("metabolite", "quantity", "of", "with", "participants"),
        (
            ("n", ("n",)),
            ("Spearman's ρ", ("rho",)),
            ("{confidence:g} % interval", ("ci_low", "ci_high")),
            ("p", ("p",)),
            ("p adjusted", ("p_adjusted",)),
            ("Adjusted for", ("adjusted_for",)),
            ("partial ρ", ("partial_rho",)),
            ("its p", ("partial_p",)),
        ),
    ),
    "quality_tests": (
        "Does quality differ between groups and conditions?",
        ("metric", "term"),
        (
            ("Test", ("test",)),
            ("Subjects", ("n_subjects",)),
            ("Scans", ("n_scans",)),
            ("F", ("statistic",)),
            ("df", ("num_df", "den_df")),
            ("p", ("p",)),
        ),
    ),
}
SUPPORTING = tuple(_TABLES)
"""Names of the tables, of their files in ``group``."""


def supporting_view(page: GroupPage) -> list[dict[str, Any]]:
    """Lay out the tables that have rows; every number names its cell."""
    return [_table(name, page) for name in SUPPORTING if len(page.supporting.get(name, ())) > 0]


def _table(name: str, page: GroupPage) -> dict[str, Any]:
    title, picks, columns = _TABLES[name]
    labels = list(page.group.labels.values()) if page.group else []
    sides = dict(zip(("reference", "other"), labels if len(labels) == 2 else ("Reference", "Other"), strict=True))
    rows = records(page.supporting[name])
    # A column that no row fills, such as levels where all variables are numbers, says nothing.
    picks_shown = [pick for pick in picks if any(words(row.get(pick)) != MISSING for row in rows)]
    filled = [column for column in columns if any(words(row.get(one)) != MISSING for row in rows for one in column[1])]
    return {
        "name": name,
        "title": title,
        "columns": [
            *(humanised(pick) for pick in picks_shown),
            *(head.format(confidence=page.confidence_pct, **sides) for head, _ in filled),
        ],
        "numeric": [len(picks_shown) + place for place, (head, _) in enumerate(filled) if head not in _TEXTS],
        "rows": [
            [*(_name(pick, row) for pick in picks_shown), *(_cell(name, picks, row, names) for _, names in filled)]
            for row in rows
        ],
    }


_TEXTS = ("Test", "Adjusted for")
_CORRELATIONS = ("rho", "ci_low", "ci_high", "partial_rho")


def _name(column: str, row: Row) -> str:
    text = words(row.get(column))
    if text == MISSING:
        return ""
    return metric_label(text) if column == "metric" else text.replace("_", " ")


def _cell(table: str, picks: Sequence[str], row: Row, names: Sequence[str]) -> "Markup | str":
    origin = Origin(f"group/{table}.tsv", {pick: words(row.get(pick)) for pick in picks})
    if names == ("test",) and not is_number(row.get("p")):
        # The note says why there is no test.
        return _text(row, ("note",))
    if not any(is_number(row.get(name)) for name in names):
        return _text(row, names)
    return joined(origin.cite(name, row.get(name), _spelled(name, row.get(name))) for name in names)


def _text(row: Row, names: Sequence[str]) -> str:
    text = words(row.get(names[0]))
    return "" if text == MISSING else text.replace("_", " ")


def _spelled(name: str, value: object) -> str:
    if name == "p" or name.startswith("p_") or name.endswith("_p"):
        return p_value(value)
    if name.startswith(("n_", "count_")) or name == "n":
        return count(value)
    if name == "df" or name.endswith("_df"):
        return fixed(value, 1).removesuffix(".0")
    return fixed(value, 2) if name in _CORRELATIONS else number(value)
