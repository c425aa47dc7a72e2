"""How a dataset is marked: what one draw of the key decides, and from which words."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from ..errors import InvalidInput
from .keys import Drawer
from .lexicon import Tier

__all__ = ["Marking", "Mode", "Unit"]

_MOST_SHARDS = 10**6


class Mode(StrEnum):
    """Who chooses the words."""

    KEYED = "keyed"  # the secret key: the test is exact
    LEXIMARK = "leximark"  # nobody, as published: always the rarest substitute


class Unit(StrEnum):
    """What one draw of the key decides."""

    TYPE = "type"  # a word type: one choice for the whole dataset
    SHARD = "shard"  # a word type within one of several parts of the dataset: more, smaller units
    SLOT = "slot"  # every slot of every record
    RECORD = "record"  # every slot of every record, with ghosts to compare whole records

    @property
    def plural(self) -> str:
        """What findings count, where the unit is the one of the draws."""
        return {"type": "word types", "shard": "word types within a shard"}.get(
            self.value, f"{self.value}s"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Marking:
    """How a dataset is marked.

    Attributes:
        mode: Who chooses the words.
        unit: What one draw decides.
        tier: Tier of the substitution table.
        per_sentence: Most slots per sentence (K).
        ghosts: Unpublished variants per record (M); 0 unless the unit is the record.
        shards: Parts of the dataset with choices of their own; 0 unless the unit is the shard.
    """

    mode: Mode = Mode.KEYED
    unit: Unit = Unit.TYPE
    tier: Tier = Tier.STRICT
    per_sentence: int = 5
    ghosts: int = 0
    shards: int = 0

    def __post_init__(self) -> None:
        if self.per_sentence < 1:
            raise InvalidInput(f"expected at least 1 word per sentence, got {self.per_sentence}")
        if self.mode is Mode.LEXIMARK and self.unit is not Unit.TYPE:
            raise InvalidInput(
                f"mode 'leximark' maps each word type to one other, it has no unit '{self.unit}'"
            )
        if self.unit is not Unit.RECORD and self.ghosts:
            raise InvalidInput(
                f"ghosts belong to the unit 'record'; by {self.unit} the test needs none"
            )
        if self.unit is Unit.RECORD and not 1 <= self.ghosts <= 999:
            raise InvalidInput(
                f"the unit 'record' needs 1 to 999 ghosts, got {self.ghosts}", "19 is a good number"
            )

        if self.unit is not Unit.SHARD and self.shards:
            raise InvalidInput(f"shards belong to the unit 'shard', not to '{self.unit}'")
        if self.unit is Unit.SHARD and not 2 <= self.shards <= _MOST_SHARDS:
            raise InvalidInput(
                f"the unit 'shard' needs 2 to {_MOST_SHARDS:,} shards, got {self.shards}",
                "so many that each word type has some ten slots in each",
            )

    def unit_name(self, record: str, index: int, word: str) -> str:
        """Name of the unit that a slot belongs to; one draw decides all slots of one name.

        Args:
            record: SHA-256 of the original text.
            index: Which slot of the record.
            word: The slot's word type.
        """
        if self.unit is Unit.TYPE:
            return word
        if self.unit is Unit.SHARD:
            return f"{word}/{self._shard(record)}"
        return f"{record}/{index}"

    def _shard(self, record: str) -> int:
        return int(record[:16], 16) % self.shards  # a digest: equal texts share a shard

    def draw(
        self, drawer: Drawer, record: str, index: int, word: str, n_choices: int
    ) -> tuple[int, ...]:
        """The released choice of a slot, then each ghost's.

        Args:
            drawer: The key's source of choices.
            record: SHA-256 of the original text, so that equal texts get equal marks.
            index: Which slot of the record.
            word: The slot's word type.
            n_choices: How many choices the slot has.

        Returns:
            Indices in [0, n_choices), one more than there are ghosts. In mode LEXIMARK nothing is
            drawn: slots have two choices there, and the second one, the rarest, is released.
        """
        if self.mode is Mode.LEXIMARK:
            return (1,)
        if self.unit is Unit.TYPE:
            return (drawer.draw(n_choices, "type", word),)
        if self.unit is Unit.SHARD:
            return (drawer.draw(n_choices, "shard", str(self._shard(record)), word),)
        if self.unit is Unit.SLOT:
            return (drawer.draw(n_choices, "slot", record, str(index)),)
        return tuple(
            drawer.draw(n_choices, "record", record, str(index), str(variant))
            for variant in range(self.ghosts + 1)
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Marking":
        """Read what `dataclasses.asdict` wrote.

        Raises:
            InvalidInput: If a field is missing, unknown or out of range.
        """
        expected = {field.name for field in fields(cls)}
        if not isinstance(data, Mapping) or set(data) != expected:
            raise InvalidInput(f"expected marking parameters {sorted(expected)}, got {data!r}")
        for name in ("per_sentence", "ghosts", "shards"):
            if type(data[name]) is not int:
                raise InvalidInput(f"expected a whole number for '{name}', got {data[name]!r}")
        try:
            kinds = {"mode": Mode(data["mode"]), "unit": Unit(data["unit"])}
            return cls(**{**data, **kinds, "tier": Tier(data["tier"])})
        except ValueError as error:
            raise InvalidInput(f"unknown marking parameters: {error}") from error
