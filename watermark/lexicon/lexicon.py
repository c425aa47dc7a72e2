"""The substitution table as the marker sees it: a word, and the words that may stand for it.

They are rarer than the word, or a reader accepted the pair: then either may stand for the other.

Only polars is needed here; `build` holds what made the table.
"""

import hashlib
import io
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Self

import polars as pl

from ...errors import InvalidInput
from .contexts import Context

__all__ = ["REVIEW", "SCHEMA", "SHIPPED_TABLE", "Lexicon", "Tier"]

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

# What a reader found; a table may go without.
REVIEW = pl.Schema({
    "reviewed": pl.Boolean(),  # the pair was accepted, whichever of the two is rarer
    "context": pl.String(),  # rules for the form, as `Context.read` takes them; or empty
})

_REBUILD = "use the shipped table, or rebuild one with `bookplate lexicon build`"


class Tier(StrEnum):
    """How sure it is that a word's substitutes mean the same; each tier holds the stricter ones.

    A reader accepted the pairs of the strict tier. In the others WordNet's counts decide how dominant
    a word's main sense must be before it may be replaced.
    """

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
    _contexts: Mapping[str, Context] = field(compare=False, default_factory=dict)

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
            The lexicon; a word is in it if a rarer one or an accepted one may stand for it.

        Raises:
            InvalidInput: The file is missing, is no such table, or holds a bad value.
        """
        path, tier = Path(path), _known(tier)
        data = _bytes_of(path)
        table = _checked(_parsed(data, path), path)
        pairs = _admissible_pairs(table, tier)
        return cls(
            tier=tier,
            sha256=hashlib.sha256(data).hexdigest(),
            _choices=_choices_of(pairs),
            _surprisal=_surprisals_of(pairs),
            _contexts=_contexts_of(pairs, path),
        )

    def choices(self, word: str) -> tuple[str, ...]:
        """Return the word, then its substitutes from a to z; empty when it has none.

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

    @property
    def forms(self) -> Set[str]:
        """The surface forms that may change."""
        return self._choices.keys()

    def context(self, word: str) -> Context | None:
        """Return beside which words a form must stay as it is; None when nothing is known."""
        return self._contexts.get(word)

    def entries(self) -> Iterator[tuple[str, ...]]:
        """Yield for each form what `choices` returns, from a to z."""
        yield from self._choices.values()

    def with_entries(self, entries: Mapping[str, tuple[str, ...]]) -> "Lexicon":
        """Return this lexicon with other choices of its words, for who reads the table otherwise.

        Args:
            entries: For each form its choices, the form first.

        Raises:
            InvalidInput: A form does not come first, or a word is not in this lexicon.
        """
        for form, choices in entries.items():
            if choices[:1] != (form,):
                raise InvalidInput(f"expected {form!r} as the first of its choices, got {choices}")
            for word in choices:
                self.surprisal(word)
        return replace(self, _choices=dict(sorted(entries.items())))

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
    reviewed = {name: dtype for name, dtype in REVIEW.items() if name in table.columns}
    for name, dtype in {**SCHEMA, **reviewed}.items():
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


def _admissible_pairs(table: pl.DataFrame, tier: Tier) -> pl.DataFrame:
    """Return the pairs of a tier that trade a word for a rarer or an accepted one, form by form."""
    absent = [
        pl.lit(False if name == "reviewed" else "", dtype).alias(name)
        for name, dtype in REVIEW.items()
        if name not in table.columns
    ]
    return (
        table
        .with_columns(absent)
        .filter(pl.col("tier").is_in([*map(str, tier.members)]))
        .filter(pl.col("reviewed") | (pl.col("substitute_surprisal") > pl.col("form_surprisal")))
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


def _contexts_of(pairs: pl.DataFrame, path: Path) -> dict[str, Context]:
    written = pairs.filter(pl.col("context") != "").select("form", "context").unique()
    try:
        return {form: Context.read(rules) for form, rules in written.sort("form").iter_rows()}
    except ValueError as error:
        raise InvalidInput(f"{path}: column 'context': {error}", _REBUILD) from error
