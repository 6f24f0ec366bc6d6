"""Write a file completely or not at all.

Every writer of the package goes through `atomic_path`: an interrupted run leaves the old file or the new one, never
half of one. What a process that was killed had begun stays as a hidden ``.writing-*`` file; the next run removes it.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

_FILE_MODE = 0o644
_UNFINISHED = ".writing-"
_written: ContextVar[list[Path] | None] = ContextVar("written", default=None)


@contextmanager
def recorded() -> Iterator[list[Path]]:
    """Give a list that takes up every file this process writes in the block, so that a manifest can name them all.

    Examples
    --------
    >>> import tempfile
    >>> with recorded() as written:
    ...     atomic_write_text(Path(tempfile.mkdtemp()) / "note.txt", "whole")
    >>> [path.name for path in written]
    ['note.txt']
    """
    before = _written.get()
    written: list[Path] = []
    token = _written.set(written)
    try:
        yield written
    finally:
        _written.reset(token)
        if before is not None:
            before.extend(written)


def _record(path: Path) -> None:
    record = _written.get()
    if record is not None:
        record.append(path)


def is_unfinished(path: Path) -> bool:
    """Tell whether a file is one that a killed process had begun to write."""
    return path.name.startswith(_UNFINISHED)


def remove_unfinished(folder: Path, below: str = "**/") -> None:
    """Remove what killed processes had begun to write in a folder and below it; nobody may be writing there.

    With ``below`` empty, in the folder itself alone.
    """
    for path in folder.glob(f"{below}{_UNFINISHED}*"):
        path.unlink(missing_ok=True)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of ``path``; move it there when the block ends without an error.

    The temporary file is hidden and ends like ``path`` (``.nii.gz`` stays ``.nii.gz``), because some libraries choose
    the format by the ending. Missing folders are made. After an error the temporary file is removed and ``path`` is
    as it was.

    Parameters
    ----------
    path : Path
        Where the file shall be.

    Yields
    ------
    Path
        An empty file to write to.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "new" / "note.txt"
    >>> with atomic_path(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    path = Path(path)
    handle, temporary = _begun(path)
    os.close(handle)
    with _moved(temporary, path):
        yield Path(temporary)


def _begun(path: Path) -> tuple[int, str]:
    """Open an empty temporary file in the folder of ``path``: its handle and its name."""
    ending = "".join(path.suffixes[-2:])
    try:
        return tempfile.mkstemp(prefix=_UNFINISHED, suffix=ending, dir=path.parent)
    except (FileNotFoundError, NotADirectoryError):
        path.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.mkstemp(prefix=_UNFINISHED, suffix=ending, dir=path.parent)


@contextmanager
def _moved(temporary: str, path: Path) -> Iterator[None]:
    """Move a temporary file to its place when the block ends; remove it after an error."""
    try:
        yield
        os.chmod(temporary, _FILE_MODE)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _record(path)


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """Write bytes to a file, completely or not at all; a file that holds them already is not touched."""
    path = Path(path)
    if _holds(path, content):
        _record(path)
        return
    handle, temporary = _begun(path)
    with _moved(temporary, path), open(handle, "wb") as file:
        file.write(content)


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False


def atomic_write_text(path: Path, text: str) -> None:
    """Write text as UTF-8 with the line ends as they are, completely or not at all."""
    atomic_write_bytes(path, text.encode("utf-8"))
