"""What made the results: program, libraries, command, input. Nothing in it names a user or a computer."""

import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mrspipe import __version__
from mrspipe.io.bids import ScanFiles
from mrspipe.io.manifest import write_manifest
from mrspipe.io.program import program_mark
from mrspipe.io.tables import write_json
from mrspipe.pipeline.marks import Marks, relative

_LIBRARIES = ("numpy", "scipy", "nibabel", "pandas", "statsmodels", "orjson")


def provenance(
    source: Path,
    out_dir: Path,
    derivatives: Mapping[str, Path],
    inputs: Mapping[str, str],
    *,
    name: str,
    accepted: Sequence[str] = (),
    learned: Mapping[str, Any] | None = None,
    command: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Describe this run.

    Parameters
    ----------
    source : Path
        The dataset; written relative to ``out_dir``.
    out_dir : Path
    derivatives : mapping of str to Path
        Folders that tissue maps were looked for in.
    inputs : mapping of str to str
        SHA-256 of each file that was analysed, by its path below the dataset.
    name : str
        Name of the dataset.
    accepted : sequence of str, optional
        Problems of scans that the settings override.
    learned : mapping, optional
        How many spectra taught the nuisance model, and which scans changed since.
    command : sequence of str, optional
        The command line; that of this process by default. A home folder in it is written as ``~``.
    """
    words = command if command is not None else ["mrspipe", *sys.argv[1:]]
    return {
        "Program": "mrspipe",
        "Version": __version__,
        "SourceHash": program_mark(),
        "Command": [_without_home(word) for word in words],
        "Source": relative(source, out_dir),
        "SourceName": name,
        "Derivatives": {label: relative(path, out_dir) for label, path in derivatives.items()},
        "Inputs": dict(inputs),
        "AcceptedChecks": list(accepted),
        "NuisanceModel": learned,
        "Time": datetime.now(UTC).isoformat(timespec="seconds"),
        "Python": platform.python_version(),
        "Platform": platform.platform(),
        "Processors": os.cpu_count(),
        "Libraries": {library: version(library) for library in _LIBRARIES},
    }


def inputs_of(marks: Marks, root: Path, scans: Iterable[ScanFiles], tables: Iterable[Path]) -> dict[str, str]:
    """Give the hash of each image of scans, and of tables of the dataset, by its path below the dataset."""
    of_scans = {path: digest for scan in scans for path, digest in marks.inputs(scan, root).items()}
    return of_scans | {path.relative_to(root).as_posix(): marks.hashes.of(path) for path in tables}


def write_provenance(out_dir: Path, record: Mapping[str, Any]) -> None:
    """Write ``provenance.json``: what made the results that are there now."""
    path = out_dir / "provenance.json"
    write_json(path, record)
    write_manifest(out_dir, "provenance", "", [path])


def write_run(out_dir: Path, record: Mapping[str, Any], seconds: Mapping[str, float]) -> None:
    """Write ``logs/runs/*.json``: one file for each run, with the seconds that its steps took."""
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{os.getpid()}.json"
    kept = {key: value for key, value in record.items() if key != "Inputs"}
    write_json(out_dir / "logs" / "runs" / name, {**kept, "Seconds": dict(seconds)})


def _without_home(word: str) -> str:
    home = str(Path.home())
    return word.replace(home, "~") if len(home) > 1 else word
