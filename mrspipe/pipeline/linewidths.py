"""The scans of a participant with lines of the same width: what a change of width alone does to the concentrations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrspipe.config import StudyConfig
from mrspipe.core.errors import MrspipeError
from mrspipe.core.results import Concentration, FitResult
from mrspipe.core.signal import ScanKey
from mrspipe.engine import Progress, Workers
from mrspipe.fit.learning import LearnedMacromolecules
from mrspipe.fit.refits import broadened
from mrspipe.fit.spectrum import fit_spectrum
from mrspipe.io.columns import SCAN_ALTERNATIVES
from mrspipe.io.derivatives import read_clean, read_fit, read_levels, read_quality
from mrspipe.io.rows import scan_columns
from mrspipe.io.tables import table_of, write_table
from mrspipe.pipeline.basis import basis_for
from mrspipe.pipeline.kept_rows import KeptRows, Row

CHOICE = "lines of a participant equally broad"


@dataclass(frozen=True, slots=True)
class ParticipantJob:
    """The analysed scans of one participant."""

    out_dir: Path
    keys: tuple[ScanKey, ...]
    config: StudyConfig
    learned: LearnedMacromolecules | None


def write_linewidths(
    kept: KeptRows,
    keys: Sequence[ScanKey],
    config: StudyConfig,
    learned: LearnedMacromolecules | None,
    workers: Workers,
    progress: Progress,
) -> None:
    """Write ``group/linewidths.tsv``: fits of spectra that were broadened to the participant's broadest usable one.

    Parameters
    ----------
    kept : KeptRows
        Of the output folder.
    keys : sequence of ScanKey
        Scans with results.
    config : StudyConfig
    learned : LearnedMacromolecules or None
    workers : Workers
    progress : callable
    """

    def job(scans: tuple[ScanKey, ...]) -> ParticipantJob:
        return ParticipantJob(kept.out_dir, scans, config, learned)

    # Where every participant has one scan, there is nothing to match.
    several = len({key.sub for key in keys}) < len(keys)
    rows = kept.of_subjects(keys if several else (), job, _matched, workers, progress)
    write_table(kept.out_dir / "group" / "linewidths.tsv", table_of(rows, SCAN_ALTERNATIVES), SCAN_ALTERNATIVES)


def _matched(job: ParticipantJob) -> list[Row]:
    widths = {key: width for key in job.keys if np.isfinite(width := _usable_width_hz(job.out_dir, key))}
    # A single usable scan keeps its value: without it the participant would be missing under this choice.
    return [row for key, width_hz in widths.items() for row in _rows(job, key, width_hz, max(widths.values()))]


def _usable_width_hz(out_dir: Path, key: ScanKey) -> float:
    quality = read_quality(out_dir, key)
    return float("nan") if quality.verdict == "unusable" else quality.metric("fwhm_hz")


def _rows(job: ParticipantJob, key: ScanKey, width_hz: float, target_hz: float) -> list[Row]:
    signal, fit = read_clean(job.out_dir, key), read_fit(job.out_dir, key)
    try:
        basis = basis_for(signal, job.config.basis)
        spectrum = broadened(signal, width_hz, target_hz)
        other = fit if spectrum is signal else fit_spectrum(spectrum, basis, job.config.fit, job.learned)
    except MrspipeError:
        return []
    levels = read_levels(job.out_dir, key)
    change = {level.metabolite: _change(fit, other, level.metabolite) for level in levels}
    return [
        {**scan_columns(key), "kind": "fit", "choice": CHOICE, "metabolite": level.metabolite}
        | {"quantity": level.quantity, "value": _scaled(level, change)}
        for level in levels
        if np.isfinite(level.value)
    ]


def _change(fit: FitResult, other: FitResult, name: str) -> float:
    """Ratio of the new amplitude to that before."""
    weights = fit.weights(name)
    if weights is None or weights @ fit.amplitudes == 0:
        return float("nan")
    return float(weights @ other.amplitudes) / float(weights @ fit.amplitudes)


def _scaled(level: Concentration, change: Mapping[str, float]) -> float:
    """Everything but the amplitudes is unchanged, so a concentration changes as its amplitude does."""
    return level.value * change[level.metabolite] / (change.get("tCr", 1.0) if level.quantity == "ratio_tcr" else 1.0)
