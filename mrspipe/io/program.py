"""Which program this is: its version, and a hash of its source files.

A version alone does not tell two states of a checkout apart; the source does.
"""

from functools import cache
from pathlib import Path

from mrspipe import __version__
from mrspipe.io.digests import fingerprint, hash_file

_PACKAGE = Path(__file__).parents[1]
_SOURCE = frozenset({".py", ".toml", ".jinja", ".css", ".js"})
# What the numbers of a scan cannot depend on: a test makes sure that no stage of a scan uses it.
NOT_FOR_SCANS = ("cli", "console.py", "calibrate", "calibrate.py", "report", "stats", "synth")


@cache
def program_mark(*, without: tuple[str, ...] = ()) -> str:
    """Hash of the version and of every source file of the package.

    Parameters
    ----------
    without : tuple of str, optional
        Modules and subpackages of `mrspipe` that do not count.

    Returns
    -------
    str
        The same for the same source, wherever it is installed.
    """
    paths = [path for path in sorted(_PACKAGE.rglob("*")) if path.suffix in _SOURCE and path.is_file()]
    below = {path.relative_to(_PACKAGE): path for path in paths}
    counted = {name.as_posix(): hash_file(path) for name, path in below.items() if name.parts[0] not in without}
    return fingerprint(__version__, counted)
