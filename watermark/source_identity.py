"""How candidates were made, as manifest and release say it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidInput
from ..files import canonical_json, hexadecimal
from ..stats import Input

__all__ = ["Setting", "SourceIdentity"]

Setting = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceIdentity:
    """How candidates were made, as a release says it.

    Attributes:
        name: Name of the source.
        settings: Thresholds, limits and filters.
        inputs: Digests of the table and the model; a chat endpoint has none.
    """

    name: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """The identity as JSON data."""
        inputs = [{"name": i.name, "sha256": i.sha256} for i in self.inputs]
        return {"name": self.name, "settings": dict(self.settings), "inputs": inputs}

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical JSON of `as_dict`."""
        return hashlib.sha256(canonical_json(self.as_dict())).hexdigest()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "SourceIdentity":
        """Read what `as_dict` wrote.

        Raises:
            InvalidInput: If it is no identity of a source.
        """
        match data:
            case {
                "name": str(name),
                "settings": dict(settings),
                "inputs": list(inputs),
                **rest,
            } if not rest and all(isinstance(v, Setting) for v in settings.values()):
                return cls(name=name, settings=settings, inputs=tuple(map(_input, inputs)))
        raise InvalidInput(
            f"expected name, settings and inputs of a candidate source, got {data!r:.200}"
        )


def _input(data: object) -> Input:
    match data:
        case {"name": str(name), "sha256": str(sha256), **rest} if not rest:
            return Input(name=name, sha256=hexadecimal(64, sha256, f"digest of {name!r:.80}"))
    raise InvalidInput(f"expected name and sha256 of an input, got {data!r:.80}")
