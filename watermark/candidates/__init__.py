"""Where substitutes come from: what may stand for a word, judged in its context.

`lexicon` asks the substitution table and needs no model. The other sources read the sentence, so
that they can admit words the table must leave alone: `sbert` compares sentences, `bert` compares
words in their sentences, `mlm` lets a masked language model propose (LexiMark's "concatenation"),
`llm` asks a chat endpoint. `base` holds what they share and says why the test stays exact; `rules`
holds the filters every candidate must pass, `encoders` the models.

`open_source` opens any of them by name; torch and transformers are imported only for the models.
"""

from .base import (
    CandidateSource,
    Threshold,
)
from .lexicon import LexiconSource
from .opening import SourceName, open_source
from .rules import Rules

__all__ = [
    "CandidateSource",
    "LexiconSource",
    "Rules",
    "SourceName",
    "Threshold",
    "open_source",
]
