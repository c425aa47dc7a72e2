"""From the bytes of an audit file to what it says; every error is one line that names the line."""

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from pydantic import ValidationError

from ...display import visible
from ...errors import InvalidInput
from .checking import check, doubts
from .fields import Strict
from .lines import Document, Place, read_yaml
from .planned import PlannedKind
from .schema import (
    FORMAT,
    Acquired,
    Audit,
    Dataset,
    Limits,
    Model,
    PartyNamed,
    Retraining,
    Run,
    Texts,
    Transcript,
)

__all__ = ["read_audit"]


def read_audit(data: bytes, name: str) -> tuple[Audit, Document, tuple[str, ...]]:
    """Read an audit file.

    Args:
        data: Its bytes.
        name: What to call it in messages.

    Returns:
        The audit, the document with the lines of its values, and what its author should look at again.

    Raises:
        InvalidInput: If it is no audit file; one message that names the first line that is wrong.
    """
    document = read_yaml(data, name)
    if document.data.get("format") != FORMAT:
        raise document.error(
            ("format",), f"expected format: {FORMAT}", "that is the only format known here"
        )
    try:
        audit = Audit.model_validate_json(json.dumps(document.data))
    except ValidationError as error:
        raise _explained(error, document) from None
    check(audit, document)
    return audit, document, tuple(doubts(audit))


# ---- what pydantic found ---------------------------------------------------------------------------


def _explained(error: ValidationError, document: Document) -> InvalidInput:
    """The first of pydantic's errors, in order of lines, in our words."""
    found = []
    for item in error.errors(include_url=False, include_input=False, include_context=True):
        place = _place(item["loc"], document)
        if item["type"] == "union_tag_invalid":
            place = (*place, "kind")
        found.append((document.line(place), place, item))
    # A field that is missing may be the one that is misspelt: what is there comes first.
    _, place, item = min(found, key=lambda entry: (entry[2]["type"] == "missing", entry[0]))
    more = f" ({len(found) - 1} more after it)" if len(found) > 1 else ""
    message, hint = _words(item, place)
    return document.error(place, f"{message}{more}", hint)


def _place(loc: Sequence[int | str], document: Document) -> Place:
    """Where in the file an error is: pydantic adds names of types, which the file does not have."""
    place: Place = ()
    value: Any = document.data
    for part in loc:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            continue
        place = (*place, part)
    return place


def _words(item: Any, place: Place) -> tuple[str, str]:
    kind, last = item["type"], visible(str(item["loc"][-1] if item["loc"] else "")[:80])
    where = _shown(place)
    if kind == "missing":
        return f"{where}the field {last!r} is missing", ""
    if kind == "extra_forbidden":
        return f"unknown field {last!r}", _nearest(str(item["loc"][-1]), item["loc"])
    if last == "[key]":
        name = visible(str(item["loc"][-2])[:80])
        return f"the name {name!r}: expected small letters, digits and '-', at most 40", ""
    if kind == "string_pattern_mismatch" and "0-9a-f" in item["ctx"]["pattern"]:
        return f"{where}expected a SHA-256, 64 hexadecimal digits", ""
    if kind == "string_pattern_mismatch":
        return f"{where}expected a name: small letters, digits and '-', at most 40", ""
    if kind == "union_tag_invalid":
        return f"{where}unknown kind of test", f"expected one of {item['ctx']['expected_tags']}"
    if kind == "union_tag_not_found":
        return f"{where}the field 'kind' is missing", ""
    if kind == "value_error":
        return f"{where}{visible(str(item['ctx']['error'])[:200])}", ""
    if kind == "string_type":
        return f"{where}expected a text", "put numbers, true and false in quotes to mean a text"
    message = item["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{where}expected {visible(message[:200])}", ""


def _shown(place: Place) -> str:
    return f"{'.'.join(visible(str(part)[:60]) for part in place)}: " if place else ""


_FIELDS: Mapping[str, type[Strict]] = {
    "datasets": Dataset,
    "transcripts": Transcript,
    "retrainings": Retraining,
    "runs": Run,
    "texts": Texts,
    "models": Model,
    "acquired": Acquired,
    "budget": Limits,
    "parties": PartyNamed,
}


def _nearest(name: str, loc: Sequence[int | str]) -> str:
    owner: type[Strict] = Audit
    for part in loc[:-1]:
        owner = _FIELDS.get(str(part), owner)
    if "tests" in loc[:1]:
        kinds = get_args(get_args(PlannedKind)[0])
        owner = next(
            (k for k in kinds if k.model_fields["kind"].annotation == Literal[loc[2]]), owner
        )
    known = [field.alias or key for key, field in owner.model_fields.items()]
    near = difflib.get_close_matches(name[:80], known, 1)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
