"""How a dataset is marked: what one draw of the key decides."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import lru_cache
from typing import Any

from ..errors import InvalidInput
from .keys import Drawer

__all__ = ["Marking", "Mode", "Unit", "type_name"]

_MOST_SHARDS = 10**6


@lru_cache(maxsize=1 << 16)  # more sets of choices than the table has; a hostile text has no end
def type_name(choices: tuple[str, ...]) -> str:
    """Name of a word type: the original word, then whatever else may stand for it.

    One draw decides all slots of one name, so a name must fix the choices. The word alone does not:
    a source that reads the context may admit {great, large} for "big" here and {large, vast} there,
    and one draw for both would be two uniform draws that are one and the same.

    Args:
        choices: Of a slot, the original first. Capitals do not count, so that the start of a
            sentence makes no type of its own. `|` occurs in no word.
    """
    return "|".join(map(str.lower, choices))


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
        ghosts: Unpublished variants per record (M); 0 unless the unit is the record.
        shards: Parts of the dataset with choices of their own; 0 unless the unit is the shard.
    """

    mode: Mode = Mode.KEYED
    unit: Unit = Unit.TYPE
    ghosts: int = 0
    shards: int = 0

    def __post_init__(self) -> None:
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

    def unit_name(self, record: str, index: int, word_type: str) -> str:
        """Name of the unit that a slot belongs to; one draw decides all slots of one name.

        Args:
            record: SHA-256 of the original text.
            index: Which slot of the record.
            word_type: The slot's word type, see `type_name`.
        """
        if self.unit is Unit.TYPE:
            return word_type
        if self.unit is Unit.SHARD:
            return f"{word_type}/{self._shard(record)}"
        return f"{record}/{index}"

    def _shard(self, record: str) -> int:
        return int(record[:16], 16) % self.shards  # a digest: equal texts share a shard

    def draw(
        self, drawer: Drawer, record: str, index: int, word_type: str, n_choices: int
    ) -> tuple[int, ...]:
        """The released choice of a slot, then each ghost's.

        Args:
            drawer: The key's source of choices.
            record: SHA-256 of the original text, so that equal texts get equal marks.
            index: Which slot of the record.
            word_type: The slot's word type, see `type_name`.
            n_choices: How many choices the slot has.

        Returns:
            Indices in [0, n_choices), one more than there are ghosts. In mode LEXIMARK nothing is
            drawn: slots have two choices there, and the second one, the rarest, is released.
        """
        if self.mode is Mode.LEXIMARK:
            return (1,)
        if self.unit is Unit.TYPE:
            return (drawer.draw(n_choices, "type", word_type),)
        if self.unit is Unit.SHARD:
            return (drawer.draw(n_choices, "shard", str(self._shard(record)), word_type),)
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
            raise InvalidInput(f"expected marking parameters {sorted(expected)}, got {data!r:.200}")
        for name in ("ghosts", "shards"):
            if type(data[name]) is not int:
                raise InvalidInput(f"expected a whole number for '{name}', got {data[name]!r:.80}")
        try:
            return cls(**{**data, "mode": Mode(data["mode"]), "unit": Unit(data["unit"])})
        except ValueError as error:
            raise InvalidInput(f"unknown marking parameters: {error!s:.200}") from error
