"""Write a file completely or not at all.

Every writer of the package goes through `atomic_path`: an interrupted run leaves the old file or the new one, never
half of one.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FILE_MODE = 0o644


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
    path.parent.mkdir(parents=True, exist_ok=True)
    ending = "".join(path.suffixes[-2:])
    handle, name = tempfile.mkstemp(prefix=".writing-", suffix=ending, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(_FILE_MODE)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """Write bytes to a file, completely or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def atomic_write_text(path: Path, text: str) -> None:
    """Write text as UTF-8 with the line ends as they are, completely or not at all."""
    atomic_write_bytes(path, text.encode("utf-8"))
