"""An index of the k-grams of a training transcript: which sequences does a text share words with?

`build_index` writes a suffix array per shard, `open_index` checks and maps it, and `Index.match` finds
from each place of a text on the longest k-gram that occurs in the transcript. Nothing is given up
for lack of time: a k-gram that is there is found.
"""

from .blocks import blocks_of
from .building import Block, Engine, build_index
from .matching import Index, Matches, MatchRule, joined
from .opening import open_index
from .table import SequenceTable
from .tokenising import ModelTokenizer, Tokenizer, WordTokenizer, refuse_other_tokenizer

__all__ = [
    "Block",
    "Engine",
    "Index",
    "MatchRule",
    "Matches",
    "ModelTokenizer",
    "SequenceTable",
    "Tokenizer",
    "WordTokenizer",
    "blocks_of",
    "build_index",
    "joined",
    "open_index",
    "refuse_other_tokenizer",
]
