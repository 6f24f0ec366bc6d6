"""Tables that other programs wrote: tabs, commas or semicolons, any line ends, with or without a byte order mark."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from mrspipe.core.errors import FileError
from mrspipe.io.tables import MISSING

if TYPE_CHECKING:
    import pandas as pd

_BLANK = frozenset({"", "n/a", "na", "nan", "null", "none", "#n/a", "<na>"})


def read_foreign_table(path: Path) -> "pd.DataFrame":
    """Read a table as text, cell by cell.

    Parameters
    ----------
    path : Path
        Cells are separated by tabs; in a file that ends with ``.csv`` by commas, or by semicolons where its header has
        those only.

    Returns
    -------
    DataFrame
        Of text; what is missing is ``n/a``. The index is the number of the line in the file; the header is line 1.

    Raises
    ------
    FileError
        It cannot be read as a table; the message names the line.
    """
    import pandas as pd

    text = _text(path)
    is_csv = path.suffix.lower() == ".csv"
    header_line = text.split("\n", maxsplit=1)[0]
    separator = (";" if "," not in header_line and ";" in header_line else ",") if is_csv else "\t"
    # Tables with tabs follow BIDS, which knows no quotes.
    lines = io.StringIO(text)
    reader = (
        csv.reader(lines, delimiter=separator) if is_csv else csv.reader(lines, csv.excel_tab, quoting=csv.QUOTE_NONE)
    )
    rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(cell.strip() for cell in row)]
    if not rows:
        raise FileError("The table is empty.", where=str(path), code="table")
    header = rows[0][1]
    _check_header(header, path, separator)
    for number, row in rows[1:]:
        if len(row) != len(header):
            text = f"Line {number} has {len(row)} cells but the header has {len(header)}."
            cure = "Write one cell for each column, and n/a for what is missing."
            raise FileError(text, where=str(path), cure=cure, code="table")
    cells = [[MISSING if cell.lower() in _BLANK else cell for cell in row] for _, row in rows[1:]]
    return pd.DataFrame(cells, columns=header, index=[number for number, _ in rows[1:]], dtype=object)


def _check_header(header: list[str], path: Path, separator: str) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise FileError(f"The table names a column twice: {', '.join(twice)}.", where=str(path), code="table")
    if len(header) == 1 and separator == "\t" and ("," in header[0] or ";" in header[0]):
        text = "The header has no tabs, but commas or semicolons."
        raise FileError(text, where=str(path), cure="Let the name of a table with commas end with .csv.", code="table")


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileError("The table does not exist.", where=str(path), cure="Check the path.", code="table") from None
    except UnicodeDecodeError as error:
        text = f"The table is not UTF-8 text: {error.reason}."
        raise FileError(text, where=str(path), cure="Save it as UTF-8 text (CSV UTF-8, TSV).", code="table") from None
    except OSError as error:
        raise FileError(f"The table cannot be read: {error}.", where=str(path), code="table") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
