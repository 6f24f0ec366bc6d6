"""Who is writing to an output folder: runs of different subjects may share it, runs that overlap are refused.

Each run puts a note of itself into ``logs/locks`` and then looks at the notes of the others. Of two that start at the
same moment each sees the other, so they never both go on; they wait a random moment and try again.
"""

import os
import random
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mrspipe.core.errors import FileError, InputError
from mrspipe.io.atomic import is_unfinished, remove_unfinished
from mrspipe.io.tables import read_json, write_json

_FOLDER = Path("logs") / "locks"
_TRIES = 4
_LONGEST_PAUSE_S = 0.4


@dataclass(frozen=True, slots=True)
class _Note:
    """What a run says about itself; ``subjects`` is None for one that needs the whole folder."""

    path: Path
    host: str
    pid: int
    started: str
    since: str
    subjects: frozenset[str] | None

    def overlaps(self, subjects: frozenset[str] | None) -> bool:
        return self.subjects is None or subjects is None or bool(self.subjects & subjects)

    @property
    def is_stale(self) -> bool:
        """True when the process is known to be gone; of another computer's processes nothing is known."""
        return self.host == socket.gethostname() and _start_of(self.pid) != self.started


@contextmanager
def locked(out_dir: Path, subjects: frozenset[str] | None) -> Iterator[None]:
    """Hold an output folder, or some subjects of it, while the block runs.

    What a run that was killed had begun is removed.

    Parameters
    ----------
    out_dir : Path
        Made when it is not there.
    subjects : frozenset of str or None
        Labels of the subjects that will be written; None: everything.

    Raises
    ------
    InputError
        Code ``locked``: another run writes the same.
    """
    note = _register(out_dir, subjects)
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def _register(out_dir: Path, subjects: frozenset[str] | None) -> Path:
    for attempt in range(1, _TRIES + 1):
        mine = _write_note(out_dir, subjects)
        others = _others(out_dir, mine)
        stale = [note for note in others if note.is_stale]
        against = [note for note in others if note not in stale and note.overlaps(subjects)]
        if not against:
            _take_over(out_dir, stale, subjects)
            return mine
        mine.unlink(missing_ok=True)
        if attempt == _TRIES:
            raise _refusal(out_dir, against[0])
        time.sleep(random.uniform(0.1, 1.0) * _LONGEST_PAUSE_S)
    raise AssertionError  # The last attempt returns or raises.


def _write_note(out_dir: Path, subjects: frozenset[str] | None) -> Path:
    path = out_dir / _FOLDER / f"{uuid.uuid4().hex}.json"
    content = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": _start_of(os.getpid()),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "subjects": None if subjects is None else sorted(subjects),
    }
    write_json(path, content)
    return path


def _others(out_dir: Path, mine: Path) -> list[_Note]:
    paths = [p for p in sorted((out_dir / _FOLDER).glob("*.json")) if p != mine and not is_unfinished(p)]
    return [note for note in map(_read_note, paths) if note is not None]


def _read_note(path: Path) -> _Note | None:
    """Read a note; None when its run ended meanwhile."""
    try:
        content = read_json(path)
    except FileError:
        if not path.exists():
            return None
        raise
    named = {name: content[name] for name in ("host", "pid", "started", "since")}
    subjects = content["subjects"]
    return _Note(path, **named, subjects=None if subjects is None else frozenset(subjects))


def _take_over(out_dir: Path, stale: list[_Note], subjects: frozenset[str] | None) -> None:
    """Clean up after runs that were killed, as far as nobody else may be writing there."""
    for note in stale:
        if subjects is None:
            remove_unfinished(out_dir)
        elif note.subjects is not None and note.subjects <= subjects:
            for subject in note.subjects:
                remove_unfinished(out_dir / f"sub-{subject}")
        else:
            continue
        note.path.unlink(missing_ok=True)
    if subjects is None:
        # Runs of single subjects write here, too, and clean up only their subjects' folders.
        remove_unfinished(out_dir / "logs")
        remove_unfinished(out_dir, "")


def _refusal(out_dir: Path, other: _Note) -> InputError:
    return InputError(
        f"Another run writes here: process {other.pid} on {other.host}, since {other.since}.",
        where=str(out_dir),
        cure=f"Wait until it has ended. If it is no longer there, remove logs/locks/{other.path.name}.",
        code="locked",
    )


def _start_of(pid: int) -> str:
    """When a process of this computer began, so that a later one with its number is not taken for it; "" if none."""
    try:
        # The second field, the program's name in brackets, may hold blanks; the third is the state, the 22nd the start.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return "" if fields[0] in {"Z", "X"} else fields[19]
    except (OSError, IndexError):
        return "running" if _is_running(pid) else ""


def _is_running(pid: int) -> bool:
    """Tell whether a process is there, on systems without /proc; where that cannot be asked, assume so."""
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
