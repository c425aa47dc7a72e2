"""Changes that keep the form of a file and break its meaning: what random bytes would hardly ever reach."""

import copy
import io
import json
import random
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["depth", "mutated_json", "mutated_value", "mutated_zip", "nested"]

Change = Callable[[bytes, random.Random], bytes]

WORDS = (
    *(
        "",
        " ",
        "\0",
        "a\nb",
        "\x1b[2J",
        "\u202egnp",
        "\ud800",
        "<script>",
        "a" * 5_000,
        "1",
        "-1",
        "NaN",
    ),
    *(
        "../x",
        "/etc/passwd",
        "C:\\x",
        "con",
        "a/b",
        "x.parquet#c",
        "https://[",
        "http://a]b",
        "https://a@b",
    ),
    *(
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-01T24:00:00+99:99",
    ),
    *(
        "0" * 64,
        "f" * 64,
        "exhibits/T99.parquet",
        "report.json",
        "tag:x/v9999",
        "\u0130",
        "\ufb01",
        "\u00df",
    ),
)
NUMBERS = (
    *(
        0,
        1,
        -1,
        2,
        3,
        255,
        256,
        2**31,
        2**32,
        2**53 - 1,
        2**53,
        2**63 - 1,
        2**63,
        -(2**63),
        2**64,
        10**400,
    ),
    *(
        0.0,
        -0.0,
        0.5,
        1.0,
        1e-320,
        5e-324,
        1e308,
        -1e308,
        1.5,
        float("nan"),
        float("inf"),
        float("-inf"),
    ),
)
OTHERS = (None, True, False, [], {}, [[]], [None], {"": None}, {"kind": []})


def mutated_json(data: bytes, rng: random.Random) -> bytes:
    """Some JSON, changed in one to four places; bytes that are none are changed as bytes."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return _bytes(data, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        value = mutated_value(value, rng)
    return json.dumps(value, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1))).encode(
        "utf-8", "surrogatepass"
    )


def mutated_value(value: Any, rng: random.Random) -> Any:
    """A JSON value with one change; containers are changed in place."""
    places = list(_places(value))
    if not places or rng.random() < 0.02:
        return _scalar(value, rng)
    holder, key = rng.choice(places)
    other_holder, other_key = rng.choice(places)
    match rng.randrange(9):
        case 0:
            del holder[key]
        case 1:
            holder[key] = copy.deepcopy(other_holder[other_key])  # of elsewhere
        case 2 if isinstance(holder, list):
            holder.insert(rng.randrange(len(holder) + 1), copy.deepcopy(holder[key]))
        case 3 if isinstance(holder, dict):
            holder[rng.choice([*WORDS, str(other_key)])] = holder.pop(key)
        case 4 if isinstance(holder, list):
            rng.shuffle(holder)
        case 5:
            holder[key] = copy.deepcopy(rng.choice(OTHERS))
        case 6:
            holder[key] = nested(rng.choice((3, 20, 80)))
        case _:
            holder[key] = _scalar(holder[key], rng)
    return value


def nested(depth: int) -> Any:
    """Lists and objects within each other."""
    value: Any = None
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def depth(value: Any) -> int:
    """How deep lists and objects lie within each other."""
    level, count = [value], 0
    while level := [
        inner
        for outer in level
        if isinstance(outer, dict | list)
        for inner in (outer.values() if isinstance(outer, dict) else outer)
    ]:
        count += 1
    return count


def mutated_zip(
    data: bytes, rng: random.Random, change_member: Callable[..., bytes], seal: Change
) -> bytes:
    """An archive with one of its files changed, and mostly signed again; or its bytes changed.

    Args:
        data: The archive.
        rng: Source of choices.
        change_member: From name, content and `rng` to new content.
        seal: Signs an archive's files anew.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {info.filename: archive.read(info) for info in archive.infolist()}
    except Exception:  # ruff: ignore[blind-except]  (zipfile raises many things over a hostile file)
        return _bytes(data, rng)
    if not members or rng.random() < 0.1:
        return _bytes(data, rng)
    name = rng.choice(sorted(members))
    match rng.randrange(20):
        case 0:
            del members[name]
        case 1:
            members[rng.choice(WORDS).encode("utf-8", "replace").decode()[:200] or "x"] = members[
                name
            ]
        case 2:
            members[name] = members[rng.choice(sorted(members))]
        case _:
            members[name] = change_member(name, members[name], rng)
    packed = io.BytesIO()
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(packed, "w", method) as archive:
        for member, content in members.items():
            archive.writestr(zipfile.ZipInfo(member), content, method)
    return seal(packed.getvalue(), rng) if rng.random() < 0.9 else packed.getvalue()


def _bytes(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data or b"\0")
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed)) if changed else 0
        match rng.randrange(4):
            case 0:
                changed[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del changed[at : at + rng.randint(1, 16)]
            case 2:
                changed[at:at] = changed[at : at + rng.randint(1, 64)]
            case _:
                changed[at : at + 4] = rng.choice((0, 1, 2**31, 2**32 - 1)).to_bytes(4, "little")
    return bytes(changed)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    pending = [value]
    while pending:
        holder = pending.pop()
        keys = (
            holder
            if isinstance(holder, dict)
            else range(len(holder))
            if isinstance(holder, list)
            else ()
        )
        for key in list(keys):
            yield holder, key
            pending.append(holder[key])


def _scalar(value: Any, rng: random.Random) -> Any:
    if isinstance(value, str) and value and rng.random() < 0.4:
        at = rng.randrange(len(value))
        return (
            value[:at]
            + rng.choice((*WORDS, chr(rng.randrange(0x250))))
            + value[at + rng.randrange(2) :]
        )
    if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.3:
        return rng.choice((
            value + 1,
            value - 1,
            -value,
            value * 2,
            float(value) if abs(value) < 1e300 else 0,
        ))
    return rng.choice((rng.choice(WORDS), rng.choice(NUMBERS), copy.deepcopy(rng.choice(OTHERS))))
