"""Everything that was found about one scan."""

from dataclasses import dataclass

from mrspipe.core.results import Alternative, Concentration, FitResult, QualityReport
from mrspipe.core.signal import Scan, ScanKey


@dataclass(frozen=True, slots=True, eq=False)
class ScanResult:
    """The result of one scan: the preprocessed scan, its fit, concentrations, quality, and what else they could be."""

    key: ScanKey
    clean: Scan
    fit: FitResult
    levels: tuple[Concentration, ...]
    quality: QualityReport
    alternatives: tuple[Alternative, ...] = ()
