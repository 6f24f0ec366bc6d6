"""Every problem that is looked for (``codes.toml``): its code, what it means, the cure, whether it can be overridden.

Three levels: what would give wrong numbers is *refused*, and the scan is a failure; a *doubt* and a *note* are told,
and the scan is analysed. Some refusals can be accepted in the settings; that is recorded wherever results are.
"""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import field_validator

from mrspipe.settings import Settings

Level = Literal["refused", "doubt", "note"]

_TITLES: Mapping[Level, str] = {
    "refused": "Refused: the scan is a failure, everything else goes on",
    "doubt": "Doubts: told, and the scan is analysed",
    "note": "Notes: allowed, and told",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One problem.

    Parameters
    ----------
    code : str
        Short stable name.
    level : {"refused", "doubt", "note"}
    what : str
        What it means, in general; the message of a scan names values.
    cure : str
    accept : bool
        Whether ``checks.accept`` can override it.
    """

    code: str
    level: Level
    what: str
    cure: str
    accept: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem that was found. ``text`` names the values, ``where`` the scan (empty: the study)."""

    code: str
    text: str
    where: str = ""
    accepted: bool = False

    @property
    def check(self) -> Check:
        """What is known about problems of this kind."""
        return catalogue()[self.code]

    @property
    def refuses(self) -> bool:
        """Whether the scan cannot be analysed."""
        return self.check.level == "refused" and not self.accepted

    @property
    def outcome(self) -> str:
        """Level of the problem, or that it was accepted."""
        return "accepted" if self.accepted else self.check.level


@cache
def catalogue() -> Mapping[str, Check]:
    """All checks by code."""
    text = files("mrspipe.checks").joinpath("codes.toml").read_text(encoding="utf-8")
    return {row["code"]: Check(**row) for row in tomllib.loads(text)["check"]}


def cure_of(code: str) -> str:
    """Give the cure of a problem that is in the catalogue; empty for others."""
    check = catalogue().get(code)
    return check.cure if check else ""


class CheckSettings(Settings):
    """Which refusals are overridden."""

    accept: tuple[str, ...] = ()
    """Codes that do not refuse a scan, for all scans (``conjugated``) or for one (``conjugated:sub-01_ses-1``)."""

    @field_validator("accept")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        allowed = sorted(check.code for check in catalogue().values() if check.accept)
        for entry in value:
            code = entry.partition(":")[0]
            if code not in allowed:
                nearest = difflib.get_close_matches(code, allowed, n=1)
                hint = f"did you mean '{nearest[0]}'?" if nearest else f"there are {', '.join(allowed)}"
                raise ValueError(f"'{code}' is no check that can be accepted; {hint}")
        return value

    def accepts(self, code: str, label: str) -> bool:
        """Tell whether a problem of a scan is overridden.

        Examples
        --------
        >>> CheckSettings(accept=("conjugated:sub-01",)).accepts("conjugated", "sub-02")
        False
        """
        return code in self.accept or f"{code}:{label}" in self.accept


def page() -> str:
    """Give the text of ``docs/checks.md``."""
    parts = [_HEAD]
    for level, title in _TITLES.items():
        rows = sorted((check for check in catalogue().values() if check.level == level), key=lambda c: c.code)
        lines = [f"| `{c.code}` | {c.what} | {c.cure} | {'yes' if c.accept else ''} |" for c in rows]
        table = "\n".join(["| Code | What | Cure | Can be accepted |", "|---|---|---|---|", *lines])
        parts.append(f"## {title}\n\n{table}\n")
    return "\n".join(parts)


_HEAD = """# What is checked before a scan is analysed

`mrspipe check` and `mrspipe run` make the same checks. What would give wrong numbers refuses the scan: it is a row of
`group/failures.tsv` with its code, the other scans are analysed, and the exit code is 1. Everything else is told. What
was found in scans that could be read is in `group/checks.tsv`, and on the subject's page. `mrspipe fit` checks each
spectrum and its water on their own, and tells refusals only.

Some refusals can be overridden, for all scans or for one:

```toml
[checks]
accept = ["reference-small", "conjugated:sub-01_ses-1"]
```

What was accepted is recorded in `group/checks.tsv`, in `provenance.json`, on the subject's page and in the methods
text. In `mrspipe fit` the name of a spectrum stands in the place of the scan's, and what was accepted is only in the
configuration.
"""
