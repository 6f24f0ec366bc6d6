"""Every error mrspipe raises on purpose.

::

    MrspipeError
    ├── InputError          a file or folder cannot be used
    │   ├── FileError         unreadable, truncated, wrong shape, not finite
    │   ├── HeaderError       a header or sidecar key is missing, impossible or contradictory
    │   └── PairingError      which files belong together cannot be decided
    ├── ConfigError         a setting or a study design is wrong
    └── AnalysisError       the data are readable but cannot be analysed

An error says what is wrong, where, and the cure. ``code`` is a short stable name for tables and scripts.
"""

from typing import ClassVar


class MrspipeError(Exception):
    """Base of all errors that are meant for the user.

    Parameters
    ----------
    message : str
        What is wrong, naming the value and the rule.
    where : str, optional
        File, key or setting.
    cure : str, optional
        What to do about it.
    code : str, optional
        Short stable name such as ``echo-time-unit``; the class's own by default.
    """

    default_code: ClassVar[str] = "error"

    def __init__(self, message: str, *, where: str = "", cure: str = "", code: str = "") -> None:
        super().__init__(message, where, cure, code)
        self.message = message
        self.where = where
        self.cure = cure
        self.code = code or self.default_code

    def __str__(self) -> str:
        """Give one line: where, what, cure."""
        place = f"{self.where}: " if self.where else ""
        cure = f" {self.cure}" if self.cure else ""
        return f"{place}{self.message}{cure}"

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process borders by pickle, which would drop the keyword arguments.
        return _rebuild, (type(self), self.message, self.where, self.cure, self.code)


def _rebuild(kind: type[MrspipeError], message: str, where: str, cure: str, code: str) -> MrspipeError:
    return kind(message, where=where, cure=cure, code=code)


class InputError(MrspipeError):
    """A file or folder cannot be used."""

    default_code = "input"


class FileError(InputError):
    """A file is unreadable, truncated, of the wrong shape, or not finite."""

    default_code = "file"


class HeaderError(InputError):
    """A header or sidecar key is missing, impossible or contradictory."""

    default_code = "header"


class PairingError(InputError):
    """Which files belong together cannot be decided."""

    default_code = "pairing"


class ConfigError(MrspipeError):
    """A setting or a study design is wrong."""

    default_code = "config"


class AnalysisError(MrspipeError):
    """The data are readable but cannot be analysed."""

    default_code = "analysis"
