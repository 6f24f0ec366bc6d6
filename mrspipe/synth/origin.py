"""How each number of a recipe is known: a tag that stands beside it as a field, not as a comment.

In a recipe, ``origin`` of a table holds for all its numbers, or for each by name::

    [quality]
    snr_mean = 17.5
    snr_sd = 3.5
    origin.snr_mean = { tag = "read", source = "conference poster" }
    origin.snr_sd = { tag = "assumed" }

A default in the code carries its tag in the annotation of the field (`Default`), and its unit (`Unit`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from mrspipe.settings import Settings

Tag = Literal["read", "derived", "recalled", "assumed"]
# Numbers that describe no quantity.
_NO_QUANTITY = frozenset({"origin", "seed", "decimals"})


class Origin(Settings):
    """How a number is known."""

    tag: Tag
    """``read`` in a public source, ``derived`` from read numbers, ``recalled`` but not verified, or ``assumed``."""
    source: str = ""
    """Where it stands: a DOI, a registry, a poster, or the command that measures it."""
    note: str = ""
    """What else must be known."""

    @model_validator(mode="after")
    def _is_traceable(self) -> Self:
        if self.tag in {"read", "derived"} and not self.source:
            raise ValueError(f"a number that is {self.tag} needs a source")
        return self


@dataclass(frozen=True, slots=True)
class Default:
    """In an annotation: how the default of a field is known."""

    tag: Tag
    source: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Unit:
    """In an annotation: the unit of a field."""

    name: str


ASSUMED = Default("assumed")


class Sourced(Settings):
    """Settings whose numbers say how they are known."""

    origin: dict[str, Origin] = Field(default_factory=dict)
    """How each number given is known, by its name; one origin instead holds for all numbers of the table."""

    @model_validator(mode="before")
    @classmethod
    def _spread(cls, data: Any) -> Any:
        return spread(data) if isinstance(data, Mapping) else data

    @model_validator(mode="after")
    def _origins_have_numbers(self) -> Self:
        unknown = sorted(set(self.origin) - set(type(self).model_fields))
        if unknown:
            raise ValueError(f"origin names {', '.join(unknown)}, which is no number of this table")
        return self

    @property
    def label(self) -> str:
        """What sets this table apart from others of its kind; empty: its place does."""
        return ""

    def unit_of(self, name: str) -> str:
        """Unit of a field; empty: it has none."""
        return next((one.name for one in type(self).model_fields[name].metadata if isinstance(one, Unit)), "")

    def origin_of(self, name: str) -> Origin | None:
        """How the value of a field is known; None: nobody said."""
        if name in self.origin:
            return self.origin[name]
        if name in self.model_fields_set:
            return None
        for one in type(self).model_fields[name].metadata:
            if isinstance(one, Default):
                return Origin(tag=one.tag, source=one.source, note=one.note)
        return None


@dataclass(frozen=True, slots=True)
class Fact:
    """A number of a recipe: its place, value and unit, how it is known (None: nobody said), and if it is no default."""

    place: str
    value: Any
    unit: str
    origin: Origin | None
    given: bool


def spread(table: Mapping[str, Any]) -> dict[str, Any]:
    """Give every number of a table the one origin of the table, if it has one.

    Examples
    --------
    >>> spread({"mean": 1.0, "on": "Glu", "origin": {"tag": "assumed"}})
    {'mean': 1.0, 'on': 'Glu', 'origin': {'mean': {'tag': 'assumed'}}}
    """
    origin = table.get("origin")
    if not (isinstance(origin, Origin) or (isinstance(origin, Mapping) and isinstance(origin.get("tag"), str))):
        return dict(table)
    numbers = [key for key, value in table.items() if key not in _NO_QUANTITY and _is_numeric(value)]
    return {**table, "origin": dict.fromkeys(numbers, origin)}


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one recipe's content over another's: tables are merged, lists and values replaced.

    A number that is replaced loses the origin it had, so that the new one has to say its own.

    Examples
    --------
    >>> merged({"sd": 2, "origin": {"sd": {"tag": "recalled"}}}, {"sd": 3})
    {'sd': 3, 'origin': {}}
    """
    base, over = spread(base), spread(over)
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        both = key != "origin" and isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    if "origin" in base:
        kept = {name: one for name, one in base["origin"].items() if name not in over}
        result["origin"] = {**kept, **over.get("origin", {})}
    return result


def facts(settings: Sourced, place: str = "") -> Iterator[Fact]:
    """All numbers of settings and of the settings within them.

    Parameters
    ----------
    settings : Sourced
        A recipe, or a part of one.
    place : str
        Where the settings are in the recipe.

    Yields
    ------
    Fact
    """
    for name in type(settings).model_fields:
        value, inner = getattr(settings, name), f"{place}.{name}" if place else name
        parts = _parts(value)
        if name in _NO_QUANTITY:
            continue
        if parts:
            for key, part in parts:
                yield from facts(part, f"{inner}[{key}]" if key else inner)
        elif _is_numeric(value):
            yield Fact(
                inner, value, settings.unit_of(name), settings.origin_of(name), name in settings.model_fields_set
            )


def _parts(value: Any) -> list[tuple[str, Sourced]]:
    """The settings that a value holds, each with what names it."""
    if isinstance(value, Sourced):
        return [("", value)]
    if isinstance(value, Mapping):
        return [(key, part) for key, part in value.items() if isinstance(part, Sourced)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [(part.label or str(n + 1), part) for n, part in enumerate(value) if isinstance(part, Sourced)]
    return []


def _is_numeric(value: Any) -> bool:
    """Whether a value is a number, or a list or table of numbers."""
    if isinstance(value, Mapping):
        return any(_is_numeric(one) for one in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return any(_is_numeric(one) for one in value)
    return isinstance(value, (int, float)) and not isinstance(value, bool)
