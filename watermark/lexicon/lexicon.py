"""The substitution table as the marker sees it: a word, and the rarer words that may stand for it.

Only polars is needed here; `build` holds what made the table.
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Self

import polars as pl

from ...errors import InvalidInput

__all__ = ["SCHEMA", "SHIPPED_TABLE", "Lexicon", "Tier"]

SHIPPED_TABLE = Path(__file__).with_name("lexicon.parquet")

SCHEMA = pl.Schema({
    "form": pl.String(),
    "substitute": pl.String(),
    "tier": pl.String(),
    "lemma": pl.String(),
    "pos": pl.String(),
    "form_surprisal": pl.Float64(),
    "substitute_surprisal": pl.Float64(),
})

_REBUILD = "use the shipped table, or rebuild one with `bookplate lexicon build`"


class Tier(StrEnum):
    """How dominant a word's main sense must be before it may be replaced; each holds the last."""

    STRICT = "strict"
    STANDARD = "standard"
    BROAD = "broad"

    @property
    def members(self) -> tuple["Tier", ...]:
        """The tiers a pair may carry to belong to this one: itself and every stricter tier."""
        order = tuple(Tier)
        return order[: order.index(self) + 1]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Lexicon:
    """Admissible words for each surface form of one tier of a substitution table.

    Attributes:
        tier: The tier that was read, stricter ones included.
        sha256: Hex digest of the table file, whatever the tier.
    """

    tier: Tier
    sha256: str
    _choices: Mapping[str, tuple[str, ...]] = field(compare=False)
    _surprisal: Mapping[str, float] = field(compare=False)

    @classmethod
    def shipped(cls, tier: Tier = Tier.STRICT) -> "Lexicon":
        """Return the table that comes with the package; read once per tier and process."""
        return _shipped(_known(tier))

    @classmethod
    def read(cls, path: Path | str, tier: Tier = Tier.STRICT) -> Self:
        """Read a table written by `build.write_lexicon`.

        Args:
            path: The parquet file.
            tier: Pairs of this tier and of the stricter ones are kept.

        Returns:
            The lexicon; words without a rarer substitute are not in it.

        Raises:
            InvalidInput: The file is missing, is no such table, or holds a bad value.
        """
        path, tier = Path(path), _known(tier)
        data = _bytes_of(path)
        table = _checked(_parsed(data, path), path)
        pairs = _rarer_pairs(table, tier)
        return cls(
            tier=tier,
            sha256=hashlib.sha256(data).hexdigest(),
            _choices=_choices_of(pairs),
            _surprisal=_surprisals_of(pairs),
        )

    def choices(self, word: str) -> tuple[str, ...]:
        """Return the word, then its rarer substitutes from a to z; empty when it has none.

        Args:
            word: A lower-case surface form.
        """
        return self._choices.get(word, ())

    def surprisal(self, word: str) -> float:
        """Return the word's surprisal in general English, in bits.

        Args:
            word: A form with choices, or a substitute, of this lexicon.

        Returns:
            Minus the base-2 logarithm of the word's relative frequency.

        Raises:
            InvalidInput: The word is not in this lexicon.
        """
        try:
            return self._surprisal[word]
        except KeyError:
            raise InvalidInput(
                f"expected a word of the {self.tier} lexicon, got {word!r}",
                "ask `choices` first: it is empty for a word the lexicon does not hold",
            ) from None

    def __contains__(self, word: str) -> bool:
        return word in self._choices

    def __len__(self) -> int:
        return len(self._choices)

    def __repr__(self) -> str:
        return f"Lexicon(tier={self.tier.value!r}, forms={len(self)}, sha256={self.sha256[:12]!r})"


@lru_cache(maxsize=len(Tier))
def _shipped(tier: Tier) -> Lexicon:
    return Lexicon.read(SHIPPED_TABLE, tier)


def _known(tier: str) -> Tier:
    try:
        return Tier(tier)
    except ValueError:
        raise InvalidInput(
            f"expected a tier among {[*map(str, Tier)]}, got {tier!r}", "pass a member of `Tier`"
        ) from None


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"{path}: cannot read the lexicon: {error.strerror}", _REBUILD
        ) from error


def _parsed(data: bytes, path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InvalidInput(f"{path}: not a readable parquet file", _REBUILD) from error


def _checked(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Return the table if it is one of ours.

    Raises:
        InvalidInput: A column is missing or of a wrong type, a cell is empty, a tier is unknown.
    """
    for name, dtype in SCHEMA.items():
        found = table.schema.get(name)
        if found != dtype:
            raise InvalidInput(
                f"{path}: expected column {name!r} of {dtype}, got {found}", _REBUILD
            )
        if table[name].null_count():
            raise InvalidInput(f"{path}: column {name!r} has empty cells", _REBUILD)
    unknown = set(table["tier"]) - set(Tier)
    if unknown:
        raise InvalidInput(
            f"{path}: expected tiers among {[*map(str, Tier)]}, got {sorted(unknown)}", _REBUILD
        )
    return table


def _rarer_pairs(table: pl.DataFrame, tier: Tier) -> pl.DataFrame:
    """Return the pairs of a tier that trade a word for a rarer one, ordered for `_choices_of`."""
    return (
        table
        .filter(pl.col("tier").is_in([*map(str, tier.members)]))
        .filter(pl.col("substitute_surprisal") > pl.col("form_surprisal"))
        .unique(["form", "substitute"], keep="first")
        .sort("form", "substitute")
    )


def _choices_of(pairs: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    grouped = pairs.group_by("form", maintain_order=True).agg("substitute")
    return {form: (form, *substitutes) for form, substitutes in grouped.iter_rows()}


def _surprisals_of(pairs: pl.DataFrame) -> dict[str, float]:
    forms = pairs.select("form", "form_surprisal").iter_rows()
    substitutes = pairs.select("substitute", "substitute_surprisal").iter_rows()
    return {**dict(forms), **dict(substitutes)}
