"""What the fields of an audit file are made of."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ...stats.report.case import check_time

__all__ = ["Digest", "Name", "PathText", "Strict", "Text", "Time", "Words", "registered"]


class Strict(BaseModel):
    """A mapping with these fields and no other; nothing is turned into another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def _time(text: str) -> str:
    check_time("time", text)
    return text


def _path(text: str) -> str:
    if "\0" in text:
        raise ValueError("a path cannot hold the character NUL")
    return text


Name = Annotated[str, Field(pattern=r"\A[a-z0-9][a-z0-9-]{0,39}\z")]
Text = Annotated[str, Field(max_length=20_000)]
Words = Annotated[str, Field(min_length=1, max_length=500)]
PathText = Annotated[str, Field(min_length=1, max_length=4_096), AfterValidator(_path)]
Time = Annotated[str, Field(max_length=40), AfterValidator(_time)]
Digest = Annotated[str, Field(pattern=r"\A([0-9a-f]{64})?\z")]


def registered(label: str, default: Any = ..., **limits: Any) -> Any:
    """A setting of a test, with the words that the registration has for it."""
    return Field(default=default, description=label, **limits)
