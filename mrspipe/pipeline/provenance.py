"""What made the results: program, libraries, command, input."""

import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mrspipe import __version__

_LIBRARIES = ("numpy", "scipy", "nibabel", "pandas", "statsmodels")


def provenance(
    source: Path,
    derivatives: Mapping[str, Path],
    command: Sequence[str] | None = None,
    accepted: Sequence[str] = (),
) -> dict[str, Any]:
    """Describe this run.

    Parameters
    ----------
    source : Path
        The dataset.
    derivatives : mapping of str to Path
        Folders that tissue maps were looked for in.
    command : sequence of str, optional
        The command line; that of this process by default.
    accepted : sequence of str, optional
        Problems of scans that the settings override.
    """
    return {
        "Program": "mrspipe",
        "Version": __version__,
        "Command": list(command if command is not None else ["mrspipe", *sys.argv[1:]]),
        "Source": str(source.resolve()),
        "Derivatives": {name: str(path.resolve()) for name, path in derivatives.items()},
        "AcceptedChecks": list(accepted),
        "Time": datetime.now(UTC).isoformat(timespec="seconds"),
        "Python": platform.python_version(),
        "Platform": platform.platform(),
        "Libraries": {name: version(name) for name in _LIBRARIES},
    }
