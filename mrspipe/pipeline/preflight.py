"""What a run would find in a dataset, before anything is computed."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrspipe.config import StudyConfig
from mrspipe.core.errors import MrspipeError
from mrspipe.core.results import Failure
from mrspipe.core.signal import Scan
from mrspipe.io.bids import ScanFiles, Selection, StudyFiles, find_scans, participants, read_scan, sessions
from mrspipe.pipeline.basis import basis_for, read_basis_once
from mrspipe.pipeline.scan import StageError, failure_of, stage
from mrspipe.stats.design import resolve_contrasts

_HEADER = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something a user should look at; the run goes on nevertheless. ``code`` is short and stable."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was found.

    Parameters
    ----------
    rows : tuple
        Per scan that can be analysed: label, water reference, anatomy, tissue maps (names, or why not).
    doubts : tuple of Doubt
    failures : tuple of Failure
    skipped : tuple
        Files that are not analysed, with the reason.
    """

    rows: tuple[_HEADER, ...]
    doubts: tuple[Doubt, ...]
    failures: tuple[Failure, ...]
    skipped: tuple[tuple[Path, str], ...]


def check_study(
    bids_dir: Path, config: StudyConfig, selection: Selection, derivatives: Mapping[str, Path]
) -> Preflight:
    """Read every scan's header and samples, and look for what would go wrong.

    Raises
    ------
    MrspipeError
        The dataset as a whole cannot be used.
    """
    read_basis_once(config.basis)
    resolve_contrasts(config.design, config.contrast)
    files = find_scans(bids_dir, selection=selection, derivatives=derivatives)
    read: list[tuple[ScanFiles, Scan]] = []
    failures = list(files.failures)
    for one in files.scans:
        try:
            with stage("load"):
                scan = read_scan(one)
            with stage("basis"):
                basis_for(scan.metabolites, config.basis)
        except StageError as error:
            failures.append(failure_of(one.key.label, one.key.entities, error, None))
        else:
            read.append((one, scan))
    return Preflight(
        rows=tuple(_row(one, scan) for one, scan in read),
        doubts=tuple(_doubts(files, read, config)),
        failures=tuple(failures),
        skipped=files.skipped,
    )


def _row(files: ScanFiles, scan: Scan) -> _HEADER:
    water = files.water.name if files.water else scan.water_note
    anatomy = files.anatomy.name if files.anatomy else files.anatomy_note
    tissue = files.tissue_maps["GM"].parent.as_posix() if files.tissue_maps else files.tissue_note
    return files.key.label, water, anatomy, tissue


def _doubts(files: StudyFiles, read: Sequence[tuple[ScanFiles, Scan]], config: StudyConfig) -> Iterator[Doubt]:
    without_water = [one.key.label for one, scan in read if scan.water is None and "cycle" not in scan.metabolites.dims]
    if without_water:
        yield Doubt("no-water", f"{len(without_water)} scans have no water: ratios only ({', '.join(without_water)}).")
    if not config.quantify.tissue_fractions:
        unknown = [one.key.label for one, _ in read if not one.tissue_maps]
        if unknown:
            yield Doubt("no-tissue", f"{len(unknown)} scans have no tissue maps: no molal or molar concentrations.")
    for name, values in _acquisitions(read).items():
        if len(values) > 1:
            listed = ", ".join(f"{value} ({count})" for value, count in sorted(values.items()))
            yield Doubt("mixed-acquisition", f"{name} differs between scans: {listed}.")
    yield from _missing_columns(files.root, config)


def _acquisitions(read: Sequence[tuple[ScanFiles, Scan]]) -> dict[str, Counter[str]]:
    facts: dict[str, Counter[str]] = {"Echo time": Counter(), "Repetition time": Counter(), "Sequence": Counter()}
    for _, scan in read:
        acquisition = scan.metabolites.acquisition
        facts["Echo time"][_milliseconds(acquisition.echo_time_s)] += 1
        facts["Repetition time"][_milliseconds(acquisition.repetition_time_s)] += 1
        facts["Sequence"][acquisition.sequence or "unknown"] += 1
    return facts


def _milliseconds(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{1000 * seconds:g} ms"


def _missing_columns(root: Path, config: StudyConfig) -> Iterator[Doubt]:
    try:
        known = {*participants(root).columns, *sessions(root).columns, "gm_fraction"}
    except MrspipeError as error:
        yield Doubt("table", str(error))
        return
    for column in config.design.columns:
        if column not in known:
            yield Doubt("design-column", f"The design names '{column}', which no participants or sessions file has.")
