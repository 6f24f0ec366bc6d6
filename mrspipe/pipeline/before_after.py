"""What preprocessing did to a scan, for its page: the spectrum before and after, and its transients."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mrspipe.config import StudyConfig
from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import MrspipeError
from mrspipe.core.operators import phased, shifted, to_spectrum
from mrspipe.core.results import FitResult
from mrspipe.core.signal import Signal
from mrspipe.io.bids import ScanFiles, read_scan
from mrspipe.preprocess.alignment import register
from mrspipe.preprocess.steps import combined
from mrspipe.report.content import BeforeAndAfter

# From the methyl protons of macromolecules to residual water.
_RANGE_PPM = (0.2, 4.9)


def before_and_after(files: ScanFiles, config: StudyConfig, clean: Signal, fit: FitResult) -> BeforeAndAfter | None:
    """Compare a preprocessed spectrum with what its raw data give when they are only combined.

    Parameters
    ----------
    files : ScanFiles
    config : StudyConfig
    clean : Signal
        Preprocessed.
    fit : FitResult
        Its phase and shift are taken out of both.

    Returns
    -------
    BeforeAndAfter or None
        None when the raw data are no longer there, or cannot be combined without the other steps.
    """
    try:
        raw = _registered(combined(read_scan(files), config.preprocess).metabolites, clean)
    except MrspipeError:
        return None
    details = {name: value for step in clean.history for name, value in step.details.items()}
    shift_hz, phase_deg = _trace(details, "shift_hz"), _trace(details, "phase_deg")
    shown = clean.axis.slice_ppm(*_RANGE_PPM)
    return BeforeAndAfter(
        ppm=clean.axis.ppm[shown],
        before=_seen(raw, fit)[shown],
        after=_seen(clean, fit)[shown],
        shift_hz=shift_hz,
        phase_deg=phase_deg,
        # Transients rejected before the average are numbered otherwise than those it dropped.
        dropped=() if details.get("rejected") else tuple(details.get("dropped", ())),
    )


def _registered(raw: Signal, clean: Signal) -> Signal:
    """The whole scan's frequency and phase, which the water reference set right, are no change of the spectrum."""
    found = register(raw.fid[None], clean.fid, clean.axis)
    return replace(raw, samples=found.applied(raw.fid[None], raw.axis)[0])


def _trace(details: Mapping[str, Any], name: str) -> FloatArray:
    return np.array(details.get(name, ()), dtype=np.float64)


def _seen(signal: Signal, fit: FitResult) -> FloatArray:
    fid = shifted(signal.fid, signal.axis, -fit.nuisance.get("shift_hz", 0.0))
    return to_spectrum(phased(fid, -np.deg2rad(fit.nuisance.get("phase0_deg", 0.0)))).real
