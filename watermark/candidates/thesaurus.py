"""The substitution table read both ways: for `sbert` and `bert`, which judge its pairs in context."""

from collections import defaultdict
from pathlib import Path

import polars as pl

from ...stats import Input
from ..lexicon import Lexicon, Tier
from ..lexicon.lexicon import SHIPPED_TABLE

__all__ = ["Thesaurus"]


class Thesaurus:
    """Substitutes by word, the more frequent ones too: a drawn word need not be the rarer one.

    Args:
        table: A table written by `lexicon.build.write_lexicon`; default: the shipped one.
        tier: Pairs of this tier and of the stricter ones.

    Attributes:
        identity: Name and digest of the table.
        tier: The tier.
    """

    def __init__(self, table: Path = SHIPPED_TABLE, tier: Tier = Tier.BROAD) -> None:
        lexicon = Lexicon.read(table, tier)  # refuses what is no such table
        self.identity = Input(name="substitution table", sha256=lexicon.sha256)
        self.tier = lexicon.tier
        pairs = pl.read_parquet(table).filter(pl.col("tier").is_in([*map(str, tier.members)]))
        self._substitutes: dict[str, list[str]] = defaultdict(list)
        for word, substitute in pairs.select("form", "substitute").iter_rows():
            # A word that must stay in some phrases is left to `lexicon`, which knows them.
            if lexicon.context(word) is None:
                self._substitutes[word].append(substitute)

    def substitutes(self, word: str) -> list[str]:
        """The table's words for a lower-case word; empty if it has none."""
        return self._substitutes.get(word, [])
