"""Tables as tab-separated text and objects as JSON: the same values always give the same bytes.

Tables follow BIDS: a header line, tabs, ``n/a`` for what was not measured, line feeds, UTF-8, no quoting. Numbers are
written with up to 10 significant digits. Columns that name things (``participant_id``, ``run``, ...) stay text, so that
run ``01`` does not become 1.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import FileError
from mrspipe.io.atomic import atomic_write_bytes, atomic_write_text

if TYPE_CHECKING:
    import pandas as pd

MISSING = "n/a"
_JSON_CURE = "Write one JSON object in UTF-8; an editor that knows JSON shows where it breaks."
_N_DIGITS = 10
_NUMBER_FORMAT = f"%.{_N_DIGITS}g"
# Exact, so that a whole number divided by one of them is the number nearest to the decimal one. They serve between
# these sizes, and a digit beyond, where a logarithm is rounded.
_POWERS_OF_TEN = 10.0 ** np.arange(23)
_SMALLEST, _LARGEST = 1e-12, 1e9
_JSON_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
_READ_AS_MISSING = frozenset({"", "n/a", "N/A", "NA", "NaN", "nan"})
_LABEL_COLUMNS = frozenset(
    {"sub", "ses", "task", "acq", "nuc", "voi", "rec", "run", "echo", "inv"}
    | {"session", "subject", "participant", "metabolite", "quantity", "spectrum"}
)
_INTEGER = re.compile(r"[-+]?(0|[1-9]\d*)")
_NUMBER = re.compile(r"[-+]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][-+]?\d+)?|[-+]?inf")
_TRUTH = {"true": True, "false": False}


def write_table(
    path: Path,
    table: "pd.DataFrame | Mapping[str, Sequence[Any] | FloatArray]",
    descriptions: Mapping[str, str | Mapping[str, Any]] | None = None,
) -> None:
    """Write a table as TSV, and the dictionary of its columns as JSON beside it.

    Parameters
    ----------
    path : Path
        Ends with ``.tsv``.
    table : DataFrame, or mapping of column to sequence
        The index is not written.
    descriptions : mapping of column to str or mapping, optional
        What each column means: a sentence, or a BIDS description with ``Description``, ``Units``, ``Levels``.
        Descriptions of columns that the table does not have are left out.

    Raises
    ------
    ValueError
        A column name is not text, or is there twice.
    """
    columns = [str(name) for name in table]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise ValueError(f"A table may name each column once; {', '.join(twice)} is there more than once.")
    values = list(table.values()) if isinstance(table, Mapping) else [table.iloc[:, i] for i in range(len(columns))]
    lines = ["\t".join(format_cell(name) for name in columns), *_lines(values)]
    atomic_write_text(path, "\n".join(lines) + "\n")
    if descriptions is not None:
        write_json(path.with_suffix(".json"), _dictionary(columns, descriptions))


def _lines(columns: Sequence[Any]) -> list[str]:
    """The rows as text."""
    if columns and all(getattr(column, "dtype", None) == np.float64 for column in columns):
        values = np.column_stack(columns)
        size = np.abs(values)
        if len(values) and not ((size > _LARGEST) | ((size < _SMALLEST) & (size > 0))).any():
            return _number_lines(values)
    cells = [[format_cell(value) for value in column] for column in columns]
    return ["\t".join(row) for row in zip(*cells, strict=True)]


def _number_lines(values: FloatArray) -> list[str]:
    """Rows of numbers with as many digits as `format_cell` gives them, in a third of its time."""
    with np.errstate(divide="ignore"):
        decimals = _N_DIGITS - 1 - np.floor(np.log10(np.abs(values)))
    # Of zero and of what is not a number any power makes the same.
    power = _POWERS_OF_TEN[np.where(np.isfinite(decimals), decimals, 0).astype(int)]
    # Adding zero turns -0.0 into 0.0.
    text = orjson.dumps(np.rint(values * power) / power + 0.0, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    for written, wanted in ((".0,", ","), (".0]", "]"), ("null", MISSING), (",", "\t")):
        text = text.replace(written, wanted)
    return text[2:-2].split("]\t[")


def table_of(rows: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> dict[str, list[Any]]:
    """Give the named columns of rows, for `write_table`; what a row does not have is missing there.

    Examples
    --------
    >>> table_of([{"a": 1, "b": 2}, {"b": 3}], ["b", "a"])
    {'b': [2, 3], 'a': [1, None]}
    """
    return {name: [row.get(name) for row in rows] for name in columns}


def _dictionary(columns: Sequence[str], descriptions: Mapping[str, str | Mapping[str, Any]]) -> dict[str, Any]:
    known = {name: descriptions[name] for name in columns if name in descriptions}
    return {name: {"Description": text} if isinstance(text, str) else dict(text) for name, text in known.items()}


def format_cell(value: object) -> str:
    """Write one value as the text of a cell.

    Examples
    --------
    >>> [format_cell(value) for value in (1 / 3, 2, True, float("nan"), None, "sub-01")]
    ['0.3333333333', '2', 'true', 'n/a', 'n/a', 'sub-01']
    """
    if isinstance(value, (float, np.floating)):
        # Adding zero turns -0.0 into 0.0: one number, one spelling.
        return MISSING if math.isnan(value) else _NUMBER_FORMAT % (value + 0.0)
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    text = " ".join(str(value).split()) if _is_text(value) else ""
    return text or MISSING


def _is_text(value: object) -> bool:
    # pandas marks what is missing with None, NaN, NaT or NA; the last two are told by not being equal to themselves.
    return value is not None and str(value) not in {"<NA>", "NaT"}


def read_table(path: Path) -> "pd.DataFrame":
    """Read a TSV.

    ``n/a`` becomes NaN. A column of numbers becomes numeric, one of ``true`` and ``false`` boolean; columns that name
    things (ending in ``_id``, and ``run``, ``metabolite``, ...) and numbers with leading zeros stay text.

    Parameters
    ----------
    path : Path

    Returns
    -------
    DataFrame

    Raises
    ------
    FileError
        It cannot be read as a table; the message names the line.
    """
    import pandas as pd

    return pd.DataFrame({name: _column(name, cells) for name, cells in _cells(path).items()})


def join_tables(
    paths: Sequence[Path], extra: Mapping[str, Sequence[str]], *, columns: Sequence[str] = ()
) -> "pd.DataFrame":
    """Read tables and put them below each other; a column's type is found from all of them together.

    Parameters
    ----------
    paths : sequence of Path
    extra : mapping of column to sequence of str
        Columns that are put in front: one value for each table.
    columns : sequence of str
        Columns that are there, first, even without tables.

    Returns
    -------
    DataFrame
        A column that a table does not have is NaN in its rows.
    """
    import pandas as pd

    tables = [_cells(path) for path in paths]
    lengths = [len(next(iter(cells.values()))) for cells in tables]
    for i, cells in enumerate(tables):
        cells.update({name: [values[i]] * lengths[i] for name, values in extra.items()})
    names = list(dict.fromkeys([*columns, *extra, *(name for cells in tables for name in cells)]))
    absent = [[MISSING] * length for length in lengths]
    joined = {
        name: [cell for cells, blank in zip(tables, absent, strict=True) for cell in cells.get(name, blank)]
        for name in names
    }
    return pd.DataFrame({name: _column(name, cells) for name, cells in joined.items()})


def _cells(path: Path) -> dict[str, list[str]]:
    """The text of each column."""
    rows = [line.split("\t") for line in _text(path).split("\n") if line.strip()]
    if not rows:
        raise FileError("The table is empty.", where=str(path), code="table")
    header = [name.strip() for name in rows[0]]
    if len(set(header)) < len(header):
        twice = sorted({name for name in header if header.count(name) > 1})
        raise FileError(f"The table names a column twice: {', '.join(twice)}.", where=str(path), code="table")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise FileError(
                f"Line {number} has {len(row)} cells but the header has {len(header)}.",
                where=str(path),
                cure="Separate the cells by tabs and write n/a for what is missing.",
                code="table",
            )
    return {name: [row[i].strip() for row in rows[1:]] for i, name in enumerate(header)}


def _text(path: Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise FileError("The table does not exist.", where=str(path), code="table") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(
            f"The table cannot be read: {error}.", where=str(path), cure="Save it as UTF-8.", code="table"
        ) from error


def _column(name: str, cells: Sequence[str]) -> "pd.Series[Any]":
    import pandas as pd

    present = [cell for cell in cells if cell not in _READ_AS_MISSING]
    is_label = name.endswith("_id") or name in _LABEL_COLUMNS
    if not is_label and len(present) == len(cells) and cells and all(_INTEGER.fullmatch(cell) for cell in cells):
        return pd.Series([int(cell) for cell in cells])
    if not is_label and all(_NUMBER.fullmatch(cell) for cell in present):
        return pd.Series([math.nan if cell in _READ_AS_MISSING else float(cell) for cell in cells], dtype=float)
    if not is_label and len(present) == len(cells) and set(cells) <= set(_TRUTH):
        return pd.Series([_TRUTH[cell] for cell in cells])
    return pd.Series([math.nan if cell in _READ_AS_MISSING else cell for cell in cells], dtype=object)


def write_json(path: Path, content: Any) -> None:
    """Write an object as JSON: keys sorted, indented by two, NaN as null, numbers so that they read back exactly.

    Parameters
    ----------
    path : Path
    content : object
        Mappings, sequences, arrays, dataclasses, paths (written with forward slashes), text, numbers, None.
    """
    atomic_write_bytes(path, json_bytes(content))


def json_bytes(content: Any) -> bytes:
    """Give the bytes that `write_json` writes."""
    reduced = plain(content)
    try:
        return orjson.dumps(reduced, option=_JSON_OPTIONS)
    except TypeError:
        # What orjson does not write: whole numbers of more than 64 bits, and what is nested deeper than 254 levels.
        text = json.dumps(reduced, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        return f"{text}\n".encode()


def plain(content: Any) -> Any:
    """Reduce an object to what JSON knows; NaN and infinity become None.

    Examples
    --------
    >>> plain({"b": np.array([1.0, np.nan]), 2: (True,)})
    {'b': [1.0, None], '2': [True]}
    """
    # Most of what is written are numbers.
    if isinstance(content, float):
        return float(content) if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, np.ndarray):
        finite = content.dtype == np.float64 and np.isfinite(content).all()
        return content.tolist() if finite else plain(content.tolist())
    if isinstance(content, (list, tuple)):
        return [plain(value) for value in content]
    if isinstance(content, np.generic):
        return plain(content.item())
    if isinstance(content, Path):
        return content.as_posix()
    if is_dataclass(content) and not isinstance(content, type):
        return plain(asdict(content))
    if content is None or isinstance(content, (bool, int, str)):
        return content
    raise TypeError(f"A {type(content).__name__} cannot be written as JSON.")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Raises
    ------
    FileError
        It is not there, or is not one JSON object.
    """
    try:
        # Not orjson: other programs write NaN, which is no JSON, but is meant.
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise FileError("The file does not exist.", where=str(path), cure="Restore it.", code="json") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FileError(f"The file is not JSON: {error}.", where=str(path), cure=_JSON_CURE, code="json") from error
    if not isinstance(content, dict):
        kind = type(content).__name__
        text = f"The file holds a {kind}, not an object of keys."
        raise FileError(text, where=str(path), cure=_JSON_CURE, code="json")
    return content
