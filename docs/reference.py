"""Write the reference of all settings from the models that read them.

Usage: python docs/reference.py          (writes docs/configuration.md and docs/recipe.md)
"""

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mrspipe.config import StudyConfig
from mrspipe.synth.recipe import Recipe

_DOCS = Path(__file__).parent

_CONFIGURATION = """# Configuration reference

Made from the settings that the code reads, with `python docs/reference.py`; do not edit.

A study's settings are one TOML file, given with `--config`. Every setting may be left out. An unknown name is an error
that names the nearest known one. What a run used, defaults included, is written to `config.toml` beside its results,
and can be given to the next run. Units are in the names or in the descriptions; `none` as a default means that the
setting is not there.
"""

_RECIPE = """# Recipe reference

Made from the settings that the code reads, with `python docs/reference.py`; do not edit.

A recipe describes a synthetic study: `mrspipe synth RECIPE OUT`. Those that come with mrspipe are in `synthetic_data/`;
a recipe may start from another with `base = "other.toml"`. How each number is known (read, derived, recalled, assumed)
is said there.
"""

_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "none"}


def page(model: type[BaseModel], head: str) -> str:
    """The page of a model as Markdown: a section for each of its tables."""
    return "\n".join([head, *(_section(*one) for one in _tables(model, ""))])


def _tables(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """A model and all that its fields hold, each with its heading, in the order of the fields."""
    yield path or "At the top of the file", model
    for name, info in model.model_fields.items():
        whole = f"{path.strip('[]').partition('`')[0]}.{name}".lstrip(".")
        kinds = list(_models(info.annotation))
        for kind in kinds:
            place = f"[[{whole}]]" if _is_list(info.annotation) else f"[{whole}]"
            tag = _tag(kind)
            heading = f"{place}, {tag}" if tag and len(kinds) > 1 else place
            if len(kinds) > 1:
                yield heading, kind
            else:
                yield from _tables(kind, heading)


def _models(kind: Any) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        return
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    for part in get_args(kind):
        yield from _models(part)


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _tag(model: type[BaseModel]) -> str:
    """The field that tells members of a union apart, as it is written."""
    for name, info in model.model_fields.items():
        if get_origin(info.annotation) is Literal and len(get_args(info.annotation)) == 1:
            return f'{name} = "{get_args(info.annotation)[0]}"'
    return ""


def _section(heading: str, model: type[BaseModel]) -> str:
    title = f"## `{heading}`" if heading.startswith("[") else f"## {heading}"
    about = " ".join((model.__doc__ or "").split("\n\n")[0].split())
    rows = [_row(name, info) for name, info in model.model_fields.items()]
    return "\n".join(
        [title, "", about, "", "| setting | type | default | description |", "|---|---|---|---|", *rows, ""]
    )


def _row(name: str, info: FieldInfo) -> str:
    about = " ".join((info.description or "").split())
    return (
        "| "
        + " | ".join(
            _cell(text) for text in (f"`{name}`", _kind(info.annotation) + _bounds(info), _default(info), about)
        )
        + " |"
    )


def _bounds(info: FieldInfo) -> str:
    """Limits of a number in words, also where they belong to a type of its own."""
    given = [
        *info.metadata,
        *(part for kind in get_args(info.annotation) for part in getattr(kind, "__metadata__", ())),
    ]
    flat = [part for one in given for part in (one.metadata if isinstance(one, FieldInfo) else [one])]
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    said = [f"{word} {getattr(one, name):g}" for one in flat for name, word in words.items() if hasattr(one, name)]
    return ", " + ", ".join(dict.fromkeys(said)) if said else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _kind(kind: Any) -> str:
    """A type in words."""
    if kind in _WORDS:
        return _WORDS[kind]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "table"
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _kind(parts[0])
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_kind(part) for part in parts if part is not type(None)))
    if origin is tuple:
        inner = _kind(parts[0])
        return f"list of {inner}" if Ellipsis in parts else f"{len(parts)} of {inner}"
    if origin is dict or "Mapping" in str(origin):
        return f"table of name = {_kind(parts[-1])}"
    return getattr(kind, "__name__", str(kind))


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    text = _toml(info.get_default(call_default_factory=True))
    return text if text in ("none", "empty", "see its table") else f"`{text}`"


def _toml(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        return _toml(value.model_dump(exclude_unset=True)) if value.model_fields_set else "see its table"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(part)}" for name, part in value.items()) + " }" if value else "empty"
    if isinstance(value, list | tuple):
        if value and all(isinstance(part, BaseModel) for part in value):
            tagged = (f"{{ {tag} }}" if (tag := _tag(type(part))) else _toml(part) for part in value)
            return "[" + ", ".join(tagged) + "]"
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    return str(value)


PAGES = {"configuration.md": (StudyConfig, _CONFIGURATION), "recipe.md": (Recipe, _RECIPE)}

if __name__ == "__main__":
    for name, (model, head) in PAGES.items():
        (_DOCS / name).write_text(page(model, head), encoding="utf-8")
