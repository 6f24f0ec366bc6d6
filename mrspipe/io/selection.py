"""Which scans of a dataset the user wants: labels, and the queries of a BIDS filter file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mrspipe.core.errors import ConfigError
from mrspipe.io.names import SCAN_ENTITIES, same_value

_QUERIES = ("svs", "mrsref", "t1w")
# Long names of the BIDS specification, which filter files use.
_LONG_NAMES = {
    "subject": "sub",
    "session": "ses",
    "acquisition": "acq",
    "nucleus": "nuc",
    "volume": "voi",
    "reconstruction": "rec",
    "inversion": "inv",
}
# These say what a query is about; here the query's name says it.
_IGNORED = frozenset({"datatype", "suffix", "extension"})


@dataclass(frozen=True, slots=True)
class Selection:
    """Labels to keep, with or without their prefix; empty keeps all.

    Parameters
    ----------
    participants, sessions, tasks : tuple of str
        Such as ``"01"`` or ``"sub-01"``.
    filters : mapping
        As in a BIDS filter file: for ``svs``, ``mrsref`` or ``t1w`` the values that entities may have; null means that
        the entity must be absent.

    Raises
    ------
    ConfigError
        A query or an entity of ``filters`` is not known.

    Examples
    --------
    >>> Selection(participants=("sub-01", "02")).participants
    ('01', '02')
    >>> Selection(filters={"svs": {"acquisition": ["press"]}}).takes_scan({"sub": "01", "acq": "steam"})
    False
    """

    participants: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    filters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, prefix in (("participants", "sub-"), ("sessions", "ses-"), ("tasks", "task-")):
            labels = tuple(label.removeprefix(prefix) for label in getattr(self, name))
            object.__setattr__(self, name, labels)
        object.__setattr__(self, "filters", {query.lower(): _short(query, f) for query, f in self.filters.items()})

    def takes_scan(self, entities: Mapping[str, str]) -> bool:
        """Tell whether a spectrum is wanted."""
        wanted = {"sub": self.participants, "ses": self.sessions, "task": self.tasks}
        labels_fit = all(not labels or entities.get(name) in labels for name, labels in wanted.items())
        return labels_fit and self.takes("svs", entities)

    def takes(self, query: str, entities: Mapping[str, str]) -> bool:
        """Tell whether a file fits the query's filter."""
        return all(_fits(name, entities.get(name), value) for name, value in self.filters.get(query, {}).items())


def _short(query: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Check a query and give its entities their short names."""
    if query.lower() not in _QUERIES or not isinstance(wanted, Mapping):
        raise ConfigError(
            f"The query {query!r} is not known.",
            cure=f"Use {', '.join(_QUERIES)}.",
            where="BIDS filter",
            code="filter",
        )
    short = {_LONG_NAMES.get(name, name): value for name, value in wanted.items() if name not in _IGNORED}
    unknown = sorted(set(short) - set(SCAN_ENTITIES))
    if unknown and query.lower() != "t1w":
        raise ConfigError(
            f"The entity {', '.join(unknown)} is not known.",
            cure=f"Use {', '.join(SCAN_ENTITIES)}.",
            where=f"BIDS filter, {query}",
            code="filter",
        )
    return short


def _fits(name: str, value: str | None, wanted: Any) -> bool:
    choices = wanted if isinstance(wanted, list) else [wanted]
    if value is None:
        return None in choices
    return any(choice is not None and same_value(name, value, str(choice)) for choice in choices)
