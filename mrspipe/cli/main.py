"""The entry point.

Heavy libraries are imported inside the commands, so that ``mrspipe --help`` is quick. Exit codes: 0 all analysed,
1 some scans failed (they are named), 2 wrong usage or unusable input, 130 interrupted.
"""

import os
import sys

import typer

from mrspipe.cli import calibrate, compare, importing, spectra, statistics, study, synthetic
from mrspipe.cli.app import app
from mrspipe.core.errors import MrspipeError

_THREAD_COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
# The commands in the order of the help.
_ORDER = (
    *("demo", "run", "check", "group", "stats", "report", "compare", "verify"),
    *("power", "synth", "calibrate", "fit", "basis", "import"),
)
_MODULES = (calibrate, compare, importing, spectra, statistics, study, synthetic)
app.registered_commands.sort(key=lambda one: _ORDER.index(one.name or str(getattr(one.callback, "__name__", ""))))


def main() -> None:
    """Entry point: errors meant for the user are one line, and the exit code says what happened."""
    for name in _THREAD_COUNTS:
        # Read when a library is loaded, which happens later, inside the commands.
        os.environ.setdefault(name, "1")
    try:
        app()
    except MrspipeError as error:
        typer.echo(f"mrspipe: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        typer.echo(
            f"mrspipe: {place}{error.strerror or error}. Check the path, its permissions and the disk.", err=True
        )
        sys.exit(2)
