"""Numbers that say which cell of which table they come from.

A number is ``<data value="-0.951" data-source="group/contrasts.tsv?contrast=cue-baseline#estimate">−0.95</data>``: the
file beside the page, what picks the row, the column (in JSON, the keys joined by dots). So a reader, or a test, can
compare every number with its table.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from mrspipe.report.spelling import MISSING, decimals_for, fixed, is_number, words

if TYPE_CHECKING:
    from markupsafe import Markup

_SCAN_COLUMNS = ("participant_id", "session_id", "task_id", "run")


@dataclass(frozen=True, slots=True)
class Origin:
    """A row of a table beside the pages.

    Parameters
    ----------
    file : str
        Relative to the folder of results; empty: unknown, and nothing is cited.
    row : mapping of str to str
        Columns and their values that pick the row.
    """

    file: str
    row: Mapping[str, str]

    def cite(self, column: str, value: object, text: str) -> "Markup":
        """Spell a value of this row; ``text`` is how it is shown, without its unit."""
        from markupsafe import Markup, escape

        if not (self.file and is_number(value)) or text == MISSING:
            return escape(text)
        source = f"{self.file}{'?' if self.row else ''}{urlencode(self.row)}#{column}"
        return Markup('<data value="{}" data-source="{}">{}</data>').format(f"{value:.10g}", source, text)

    def measured(self, column: str, value: object, error_column: str, error: object) -> "Markup":
        """Spell a value with its standard error, both to the error's second significant digit.

        Examples
        --------
        >>> print(Origin("", {}).measured("value", 11.8934, "se_total", 0.4312))
        11.89 ± 0.43
        """
        from markupsafe import Markup

        decimals = decimals_for(error)
        if not is_number(value):
            return Markup(MISSING)
        shown = self.cite(column, value, fixed(value, decimals))
        return Markup("{} ± {}").format(shown, self.cite(error_column, error, fixed(error, decimals)))


def scan_origin(file: str, row: Mapping[str, Any], *more: str) -> Origin:
    """Origin of a row that belongs to a scan; ``more`` columns pick it, too."""
    names = [name for name in (*_SCAN_COLUMNS, *more) if name in row]
    return Origin(file, {name: words(row[name]) for name in names})


def joined(parts: "Iterable[Markup | str]", separator: str = ", ") -> "Markup":
    """Join pieces of text, escaped where they are plain."""
    from markupsafe import Markup

    return Markup(separator).join(parts)
