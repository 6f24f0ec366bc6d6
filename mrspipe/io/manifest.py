"""What was computed from what: lets an interrupted or repeated run compute only what changed.

A scan's *fingerprint* is a hash over the content of everything its result depends on: the bytes of its files, the
settings, the basis, the version of the program. After a scan is written, a small JSON keeps the fingerprint and the
hash of each output. The scan is current when the fingerprint is the same **and** the outputs are still what was
written; that a file exists proves nothing.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from mrspipe.core.errors import FileError
from mrspipe.core.signal import ScanKey
from mrspipe.io.tables import read_json, write_json

_CHUNK_BYTES = 1 << 20
_FOLDER = Path("logs") / "manifest"


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One scan: the fingerprint of its inputs, and the hash of each output by its path below the output folder."""

    fingerprint: str
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Manifest:
    """All scans of an output folder that were finished, by the scan's label."""

    out_dir: Path
    entries: Mapping[str, ManifestEntry]


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


def write_manifest(out_dir: Path, key: ScanKey, fingerprint: str, outputs: Sequence[Path]) -> Path:
    """Note that a scan is finished.

    Each scan has its own file, so that workers need not wait for each other.

    Parameters
    ----------
    out_dir : Path
        Output folder of the run.
    key : ScanKey
    fingerprint : str
        Of everything the result depends on.
    outputs : sequence of Path
        The files that were written, all below ``out_dir``.

    Returns
    -------
    Path
        The file of this entry.
    """
    path = out_dir / _FOLDER / f"{key.label}.json"
    hashes = {output.relative_to(out_dir).as_posix(): hash_file(output) for output in outputs}
    write_json(path, {"fingerprint": fingerprint, "outputs": hashes})
    return path


def read_manifest(out_dir: Path) -> Manifest:
    """Read which scans were finished; an entry that cannot be read counts as not finished."""
    entries = {path.stem: _read_entry(path) for path in sorted((out_dir / _FOLDER).glob("*.json"))}
    return Manifest(out_dir, {label: entry for label, entry in entries.items() if entry is not None})


def _read_entry(path: Path) -> ManifestEntry | None:
    try:
        content = read_json(path)
    except FileError:
        return None
    print_of_inputs, outputs = content.get("fingerprint"), content.get("outputs")
    if not isinstance(print_of_inputs, str) or not isinstance(outputs, dict) or not outputs:
        return None
    return ManifestEntry(print_of_inputs, {str(name): str(value) for name, value in outputs.items()})


def is_current(manifest: Manifest, key: ScanKey, fingerprint: str) -> bool:
    """Tell whether a scan need not be computed again: same inputs, and its outputs untouched."""
    entry = manifest.entries.get(key.label)
    return entry is not None and entry.fingerprint == fingerprint and _outputs_are_intact(manifest.out_dir, entry)


def _outputs_are_intact(out_dir: Path, entry: ManifestEntry) -> bool:
    return all(
        (out_dir / name).is_file() and hash_file(out_dir / name) == expected for name, expected in entry.outputs.items()
    )


def set_aside(out_dir: Path, key: ScanKey) -> tuple[Path, ...]:
    """Move the results of a scan that no longer hold to ``logs/outdated``, where no table or page takes them up.

    Parameters
    ----------
    out_dir : Path
    key : ScanKey

    Returns
    -------
    tuple of Path
        Where they are now; empty when the scan had no results.
    """
    entry = out_dir / _FOLDER / f"{key.label}.json"
    finished = _read_entry(entry) if entry.exists() else None
    entry.unlink(missing_ok=True)
    moved = []
    for name in finished.outputs if finished else ():
        if (out_dir / name).exists():
            target = out_dir / "logs" / "outdated" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            moved.append((out_dir / name).replace(target))
    return tuple(moved)
