"""The mean spectrum of each group."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mrspipe.core.arrays import FloatArray
from mrspipe.core.ratios import why_no_ratio
from mrspipe.core.results import FitResult
from mrspipe.core.signal import ScanKey
from mrspipe.io.rows import scan_columns
from mrspipe.report.content import Factor, MeanSpectrum

if TYPE_CHECKING:
    from pandas import DataFrame

# One axis for all scans, whose own differ by their frequency shifts; finer than the points of a spectrum.
_PPM = np.round(np.arange(0.2, 4.2001, 0.01), 2)
_SCAN = ("participant_id", "session_id", "task_id", "run")


@dataclass(frozen=True, slots=True, eq=False)
class ScanSpectrum:
    """A processed spectrum and its fit on the common axis, relative to total creatine; ``place`` names the scan."""

    place: tuple[str, ...]
    data: FloatArray
    fit: FloatArray


def scan_spectrum(key: ScanKey, fit: FitResult) -> ScanSpectrum | None:
    """Bring the spectrum of a scan to the common axis and scale; None where total creatine is not measurable."""
    creatine = fit.weights("tCr")
    if creatine is None or why_no_ratio(fit):
        return None
    total = float(creatine @ fit.amplitudes)
    data, whole = (np.interp(_PPM, fit.ppm, curve) / total for curve in (fit.data, fit.fit))
    return ScanSpectrum(tuple(scan_columns(key)[name] for name in _SCAN), data, whole)


def mean_spectra(
    spectra: Sequence[ScanSpectrum], measurements: "DataFrame", group: Factor | None
) -> tuple[MeanSpectrum, ...]:
    """Average the spectra of included scans, over the scans of each subject and then over the subjects of each group.

    Parameters
    ----------
    spectra : sequence of ScanSpectrum
    measurements : DataFrame
        Says which scans are included, and the group of each.
    group : Factor or None
        None: all subjects are one group.

    Returns
    -------
    tuple of MeanSpectrum
        Groups without spectra are left out. The SD of a single subject is zero: it shows no spread.
    """
    used = measurements[measurements["included"].astype(bool)]
    rows = (
        used[[*_SCAN, *([group.column] if group else [])]]
        .astype(object)
        .fillna("n/a")
        .astype(str)
        .drop_duplicates(list(_SCAN))
    )
    members = {tuple(row[:4]): row[4] if group else "" for row in rows.itertuples(index=False, name=None)}
    means = []
    for value in group.labels if group else ("",):
        by_subject: dict[str, list[ScanSpectrum]] = {}
        for spectrum in spectra:
            if members.get(spectrum.place) == value:
                by_subject.setdefault(spectrum.place[0], []).append(spectrum)
        if not by_subject:
            continue
        data = np.array([np.mean([one.data for one in scans], axis=0) for scans in by_subject.values()])
        fits = np.array([np.mean([one.fit for one in scans], axis=0) for scans in by_subject.values()])
        sd = data.std(axis=0, ddof=1) if len(data) > 1 else np.zeros_like(_PPM)
        means.append(MeanSpectrum(value, _PPM, data.mean(axis=0), sd, fits.mean(axis=0), len(data)))
    return tuple(means)
