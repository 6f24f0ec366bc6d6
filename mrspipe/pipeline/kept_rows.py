"""Rows of a table of the study that belong to one subject, kept: one changed scan costs its subject and no other.

They are in ``logs/rows``, a file for each subject, with the fingerprint of what they were computed from.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mrspipe.core.errors import FileError
from mrspipe.core.signal import ScanKey
from mrspipe.engine import Progress, Workers, counted
from mrspipe.io.tables import read_json, write_json

Job = TypeVar("Job")
Row = dict[str, Any]
_FOLDER = Path("logs") / "rows"


@dataclass(frozen=True, slots=True)
class KeptRows:
    """The rows that a step makes of each subject.

    Parameters
    ----------
    out_dir : Path
    step : str
    mark : callable
        Gives the fingerprint of what the rows of some scans depend on.
    """

    out_dir: Path
    step: str
    mark: Callable[[Sequence[ScanKey]], str]

    def of_subjects(
        self,
        keys: Sequence[ScanKey],
        make_job: Callable[[tuple[ScanKey, ...]], Job],
        work: Callable[[Job], list[Row]],
        workers: Workers,
        progress: Progress,
    ) -> list[Row]:
        """Give the rows of all subjects in the order of their first scans; those that are not kept are computed.

        Parameters
        ----------
        keys : sequence of ScanKey
        make_job : callable
            Gives what a worker needs for the scans of a subject.
        work : callable
            A function of a module.
        workers : Workers
        progress : callable
        """
        of_subject: dict[str, list[ScanKey]] = {}
        for key in keys:
            of_subject.setdefault(key.sub, []).append(key)
        marks = {subject: self.mark(scans) for subject, scans in of_subject.items()}
        new = [subject for subject in of_subject if self._read(subject, marks[subject]) is None]
        jobs = [make_job(tuple(of_subject[subject])) for subject in new]
        done = counted(progress, self.step.capitalize(), len(jobs))
        found = workers.run(work, jobs, lost=lambda _: None, done=done)
        for subject, rows in zip(new, found, strict=True):
            # The rows of a worker that died are missing, and sought again by the next run.
            if rows is not None:
                write_json(self._path(subject), {"fingerprint": marks[subject], "rows": rows})
        return [row for subject in of_subject for row in self._read(subject, marks[subject]) or []]

    def _path(self, subject: str) -> Path:
        return self.out_dir / _FOLDER / self.step / f"sub-{subject}.json"

    def _read(self, subject: str, mark: str) -> list[Row] | None:
        try:
            content: Mapping[str, Any] = read_json(self._path(subject))
        except FileError:
            return None
        rows = content.get("rows")
        return rows if content.get("fingerprint") == mark and isinstance(rows, list) else None
