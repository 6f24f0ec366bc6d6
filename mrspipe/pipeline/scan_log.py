"""What happened to a scan, and how long it took: ``logs/sub-X...log``, for people."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mrspipe.core.results import Failure
from mrspipe.core.scan_result import ScanResult
from mrspipe.core.signal import ScanKey
from mrspipe.io.atomic import atomic_write_text


def write_scan_log(
    out_dir: Path,
    key: ScanKey,
    result: ScanResult | None,
    failure: Failure | None,
    seconds: Mapping[str, float],
    warned: Sequence[str],
) -> None:
    """Write the log of a scan.

    Parameters
    ----------
    out_dir : Path
    key : ScanKey
    result : ScanResult or None
        None when there is none.
    failure : Failure or None
        Why there is none.
    seconds : mapping of str to float
        How long each stage took.
    warned : sequence of str
        Warnings of the libraries.
    """
    lines = _lines(key, result, failure, seconds, warned)
    atomic_write_text(out_dir / "logs" / f"{key.label}.log", "\n".join(lines) + "\n")


def _lines(
    key: ScanKey,
    result: ScanResult | None,
    failure: Failure | None,
    seconds: Mapping[str, float],
    warned: Sequence[str],
) -> Iterator[str]:
    yield key.label
    for name, duration in seconds.items():
        yield f"{name}: {duration:.3f} s"
        if name == "preprocess" and result is not None:
            yield from (f"  step: {step.method}" for step in result.clean.metabolites.history)
        if name == "fit" and result is not None:
            yield f"  {result.fit.status} after {result.fit.n_iterations} iterations"
            yield from (f"  advice: {advice}" for advice in result.fit.advice)
        if name == "quality" and result is not None:
            yield "  " + "; ".join((result.quality.verdict, *result.quality.reasons))
    yield from (f"warning: {' '.join(text.split())}" for text in dict.fromkeys(warned))
    if failure is not None:
        yield f"failed: {failure.stage}, {failure.code}: {failure.message} {failure.cure}".rstrip()
