"""Hashes of files, remembered: a study of unchanged files is recognised without reading all of them again.

A remembered hash stands only while the file's size, inode, time of modification **and** time of status change are what
they were. The last one is set by the system whenever content or dates are written, and no program can set it back, so
giving a changed file its old date does not hide the change. A file whose time of change is not well before the moment
of hashing is not remembered: it could change again within the resolution of the clock. What is left, a disk that is
written to by another computer with a wrong clock, is why ``mrspipe verify`` never uses this memory.
"""

import os.path
import time
from pathlib import Path

from mrspipe.core.errors import FileError
from mrspipe.io.digests import hash_file
from mrspipe.io.tables import read_json, write_json

# Coarsest resolution of file systems in use (FAT: 2 s).
_RESOLUTION_NS = 2_000_000_000
_VERSION = 1


class FileHashes:
    """SHA-256 of files, from memory where nothing has touched them since.

    Parameters
    ----------
    path : Path or None
        JSON file that keeps the memory from one run to the next; None: only this process remembers.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._kept = _read(path) if path else {}
        self._changed = False

    def of(self, path: Path) -> str:
        """SHA-256 of a file.

        Raises
        ------
        FileError
            The file cannot be read.
        """
        name = os.path.relpath(path, self._path.parent) if self._path else str(Path(path).absolute())
        state = _state(path)
        kept = self._kept.get(name)
        if kept is not None and kept[:-1] == state:
            return kept[-1]
        now_ns = time.time_ns()
        digest = hash_file(path)
        # A file that changed while it was read has another state now.
        if int(state[-1]) < now_ns - _RESOLUTION_NS and state == _state(path):
            self._kept[name] = [*state, digest]
            self._changed = True
        return digest

    def save(self) -> None:
        """Write the memory down, where a file was named for it."""
        if self._path is not None and self._changed:
            write_json(self._path, {"version": _VERSION, "files": self._kept})
            self._changed = False


def _state(path: Path) -> list[str]:
    """Size, inode, time of modification and of status change, as text; links are followed."""
    try:
        found = Path(path).stat()
    except OSError as error:
        raise FileError(f"The file cannot be read: {error.strerror}.", where=str(path), code="file-missing") from error
    return [str(value) for value in (found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)]


def _read(path: Path) -> dict[str, list[str]]:
    try:
        content = read_json(path)
    except FileError:
        return {}
    files = content.get("files") if content.get("version") == _VERSION else None
    return {str(name): [str(part) for part in kept] for name, kept in files.items()} if isinstance(files, dict) else {}
