"""Fingerprints: hashes over the content of files, settings, arrays and text."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from mrspipe.core.errors import FileError

_CHUNK_BYTES = 1 << 20


def fingerprint(*parts: object) -> str:
    """Hash the content of the parts, in their order.

    Parameters
    ----------
    *parts : object
        A ``Path`` stands for the bytes of the file (its name and date do not count). Arrays count with type and shape.
        Also taken: settings, dataclasses (such as a `BasisSet`), mappings (in any order), sequences, text, numbers,
        None.

    Returns
    -------
    str
        SHA-256 as 64 hexadecimal digits; the same in every process.

    Examples
    --------
    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    >>> fingerprint("ab", "c") == fingerprint("a", "bc")
    False
    """
    return _digest("parts", *(_hash(part).encode() for part in parts))


def _hash(part: object) -> str:
    if isinstance(part, Path):
        return _digest("file", hash_file(part).encode())
    if isinstance(part, (np.ndarray, np.generic)):
        array = np.ascontiguousarray(part)
        return _digest("array", array.dtype.str.encode(), str(np.shape(part)).encode(), array.tobytes())
    if isinstance(part, BaseModel):
        return _object_hash(part, list(type(part).model_fields))
    if is_dataclass(part) and not isinstance(part, type):
        return _object_hash(part, [f.name for f in fields(part)])
    if isinstance(part, Mapping):
        return _digest("mapping", *sorted(f"{_hash(key)}{_hash(value)}".encode() for key, value in part.items()))
    if isinstance(part, (set, frozenset)):
        return _digest("set", *sorted(_hash(item).encode() for item in part))
    if isinstance(part, (list, tuple)):
        return _digest("sequence", *(_hash(item).encode() for item in part))
    if isinstance(part, bytes):
        return _digest("bytes", part)
    return _digest("value", _spelling(part).encode())


def _object_hash(part: object, names: list[str]) -> str:
    return _digest(type(part).__name__, _hash({name: getattr(part, name) for name in names}).encode())


def _spelling(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"float:{value}"
    if value is None or isinstance(value, (bool, int, float, str)):
        return f"{type(value).__name__}:{json.dumps(value)}"
    raise TypeError(f"A {type(value).__name__} has no content to take a fingerprint of.")


def _digest(kind: str, *parts: bytes) -> str:
    # Each part is preceded by its length, so that moving a border between two parts changes the hash.
    state = hashlib.sha256()
    for part in (kind.encode(), *parts):
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises
    ------
    FileError
        The file cannot be read.
    """
    state = hashlib.sha256()
    try:
        with Path(path).open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                state.update(chunk)
    except OSError as error:
        raise FileError(f"The file cannot be read: {error.strerror}.", where=str(path), code="file-missing") from error
    return state.hexdigest()
