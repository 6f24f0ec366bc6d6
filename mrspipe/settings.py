"""The base of every stage's settings."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen settings that refuse unknown names.

    A stage's settings are a subclass, beside the code they set; every field has a default, a unit where it has one,
    and a description.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
