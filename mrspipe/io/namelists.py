"""Fortran namelists and fixed-width numbers, as LCModel writes and reads them.

A namelist is ``$NAME key = value, key = value $END``. Files in the wild leave out spaces, commas, line ends and
even quotes, so values are found between one key and the next.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrspipe.core.arrays import ComplexArray
from mrspipe.core.errors import FileError, HeaderError

_QUOTED = re.compile(r"'(?:[^'\n]|'')*'")
_BEGIN = re.compile(r"[$&]\s*([A-Za-z]\w*)")
_END = re.compile(r"[$&]\s*END\b|^\s*/\s*$", re.IGNORECASE | re.MULTILINE)
_KEY = re.compile(r"([A-Za-z]\w*)\s*(?:\(\s*\d+\s*\))?\s*=")
_FIELD = re.compile(r"[EFGD](\d+)\.", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Namelist:
    """One namelist.

    Parameters
    ----------
    name : str
        In upper case.
    values : mapping of str to str
        Keys in upper case; values as they stand, without quotes and closing commas.
    start, end : int
        Place in the text: from the ``$`` to behind the ``$END``.
    """

    name: str
    values: Mapping[str, str]
    start: int
    end: int

    def number(self, key: str, default: float | None, where: Path) -> float | None:
        """Value of a key as a number; ``default`` when the key is absent or empty.

        Raises
        ------
        HeaderError
            When the value is no number.
        """
        text = self.values.get(key, "")
        if not text:
            return default
        try:
            return float(text.lower().replace("d", "e"))
        except ValueError:
            raise HeaderError(
                f"{key} in ${self.name} must be a number, got '{text}'.", where=str(where), code="namelist"
            ) from None


def find_namelists(text: str) -> tuple[Namelist, ...]:
    """Find all namelists of a text, in order.

    Examples
    --------
    >>> found = find_namelists("$SEQPAR ECHOT=30.00 SEQ='PRESS' $END")[0]
    >>> found.name, dict(found.values)
    ('SEQPAR', {'ECHOT': '30.00', 'SEQ': 'PRESS'})
    """
    # Signs inside quotes mean nothing: they are blanked, at their place.
    masked = _QUOTED.sub(lambda match: "'" + "_" * (len(match.group()) - 2) + "'", text)
    found: list[Namelist] = []
    begin = _BEGIN.search(masked)
    while begin is not None:
        end = _END.search(masked, begin.end())
        if end is None:
            break
        values = _values(text, masked, begin.end(), end.start())
        found.append(Namelist(begin.group(1).upper(), values, begin.start(), end.end()))
        begin = _BEGIN.search(masked, end.end())
    return tuple(found)


def _values(text: str, masked: str, start: int, end: int) -> dict[str, str]:
    """Keys and values between two places of the text."""
    keys = list(_KEY.finditer(masked, start, end))
    ends = [key.start() for key in keys[1:]] + [end]
    return {
        key.group(1).upper(): _unquoted(text[key.end() : value_end]) for key, value_end in zip(keys, ends, strict=True)
    }


def _unquoted(value: str) -> str:
    """Strip spaces, a closing comma and quotes."""
    return value.strip().rstrip(",").strip().strip("'").strip()


def complex_numbers(text: str, fortran_format: str, n_points: int | None, where: Path) -> ComplexArray:
    """Read complex numbers written as pairs of real and imaginary part.

    Parameters
    ----------
    text : str
    fortran_format : str
        Such as ``(8E13.5)``; its field width is used where numbers touch each other.
    n_points : int or None
        How many are expected; None takes all there are.
    where : Path
        File, for the error message.

    Raises
    ------
    FileError
        When a number cannot be read, or their count is wrong.
    """
    numbers = _numbers(text, fortran_format, where)
    if numbers.size % 2 or (n_points is not None and numbers.size != 2 * n_points) or not numbers.size:
        expected = "pairs of numbers" if n_points is None else f"{2 * n_points} numbers ({n_points} complex points)"
        raise FileError(
            f"Expected {expected}, found {numbers.size}.",
            where=str(where),
            cure="The file is truncated or damaged; export it again.",
            code="truncated",
        )
    if not np.isfinite(numbers).all():
        raise FileError("The data hold values that are not finite.", where=str(where), code="not-finite")
    samples: ComplexArray = numbers[0::2] + 1j * numbers[1::2]
    return samples


def _numbers(text: str, fortran_format: str, where: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Numbers separated by spaces or, failing that, by the width of their fields."""
    plain = text.replace("D", "E").replace("d", "e")
    try:
        return np.array(plain.split(), dtype=np.float64)
    except ValueError:
        pass
    width = _FIELD.search(fortran_format)
    try:
        if width is None:
            raise ValueError
        step = int(width.group(1))
        fields = [line[i : i + step] for line in plain.splitlines() for i in range(0, len(line.rstrip()), step)]
        return np.array(fields, dtype=np.float64)
    except ValueError:
        raise FileError(
            f"The data are not numbers in the format {fortran_format or '(none given)'}.",
            where=str(where),
            cure="Is this an LCModel file? Export it again if it is damaged.",
            code="not-numbers",
        ) from None


def formatted(samples: ComplexArray, per_line: int = 3) -> str:
    """Write complex numbers as pairs in fields of 15 characters with 6 digits: the Fortran format ``(6E15.6)``."""
    pairs = [f"{sample.real:15.6E}{sample.imag:15.6E}" for sample in samples]
    lines = ["".join(pairs[i : i + per_line]) for i in range(0, len(pairs), per_line)]
    return "\n".join(lines) + "\n"


FORMAT_WRITTEN = "(6E15.6)"
"""Fortran format of what `formatted` writes."""


def read_text(path: Path) -> str:
    """Text of a file that should be plain text.

    Raises
    ------
    FileError
        When it is absent or holds other than text.
    """
    try:
        text = Path(path).read_text(encoding="latin-1")
    except OSError as error:
        raise FileError(f"Cannot read it: {error.strerror}.", where=str(path), code="unreadable") from error
    if "\0" in text:
        raise FileError("This is a binary file, not an LCModel text file.", where=str(path), code="binary")
    return text
