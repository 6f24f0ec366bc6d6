"""The base of every stage's settings, and how settings are read from TOML with errors that people can act on."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mrspipe.core.errors import ConfigError


class Settings(BaseModel):
    """Frozen settings that refuse unknown names.

    A stage's settings are a subclass, beside the code they set; every field has a default, a unit where it has one,
    and a description.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


AnySettings = TypeVar("AnySettings", bound=Settings)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    ConfigError
        There is no such file, or it is not TOML; the message gives line and column.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("There is no such file.", where=str(path), cure="Check the path.", code="no-file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The file is not readable TOML: {error}.", where=str(path), code="toml") from None


def parse_settings(model: type[AnySettings], content: Mapping[str, Any], *, where: str) -> AnySettings:
    """Turn what was read into settings.

    Parameters
    ----------
    model : type of Settings
    content : mapping
    where : str
        File, for the message.

    Raises
    ------
    ConfigError
        A key is unknown (with the nearest known one) or a value is wrong (with its path); all of them at once.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = [_problem(model, dict(one)) for one in error.errors()]
        raise ConfigError(" ".join(problems), where=where, cure="Correct the file.", code="settings") from None


def _problem(model: type[Settings], error: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        nearest = difflib.get_close_matches(str(error["loc"][-1]), sorted(set(_keys(model))), n=1)
        hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
        return f"There is no setting '{key}'.{hint}"
    text = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
    if error["type"] == "value_error" or not isinstance(error["input"], (str, int, float, bool)):
        return f"{key}: {text}." if key else f"{text}."
    return f"{key} = {error['input']!r}: {text}."


def _keys(model: type[Settings]) -> Iterator[str]:
    schema = model.model_json_schema()
    for table in (schema, *schema.get("$defs", {}).values()):
        yield from table.get("properties", {})
