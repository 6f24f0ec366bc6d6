"""Which study, with which settings, and what a run of it did."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mrspipe.checks.catalogue import Finding
from mrspipe.config import StudyConfig
from mrspipe.core.results import Failure
from mrspipe.io.bids import Selection
from mrspipe.pipeline.group import Comparison


@dataclass(frozen=True, slots=True)
class StudyRequest:
    """Which study, where to, and with which settings.

    Parameters
    ----------
    bids_dir, out_dir : Path
    config : StudyConfig
    selection : Selection, optional
        All scans by default.
    derivatives : mapping of str to Path, optional
        Where to look for tissue maps.
    work_dir : Path, optional
        For what is not a result: remembered hashes of files, files of Dask workers; by default ``out_dir/logs``.
    relearn : bool
        Learn the nuisance model of the study anew.
    stop_on_first_crash : bool
        End at the first scan that fails for a reason nobody foresaw.
    """

    bids_dir: Path
    out_dir: Path
    config: StudyConfig
    selection: Selection = field(default_factory=Selection)
    derivatives: Mapping[str, Path] = field(default_factory=dict)
    work_dir: Path | None = None
    relearn: bool = False
    stop_on_first_crash: bool = False

    @property
    def work(self) -> Path:
        """The work folder."""
        return self.work_dir or self.out_dir / "logs"


@dataclass(frozen=True, slots=True, eq=False)
class StudySummary:
    """What a run did, for the command line.

    ``notes`` are lines about the run as a whole; ``seconds`` is how long scans and steps took, by their names.
    """

    n_scans: int
    n_reused: int
    failures: tuple[Failure, ...]
    skipped: tuple[tuple[Path, str], ...] = ()
    comparison: Comparison | None = None
    group_page: Path | None = None
    told: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
