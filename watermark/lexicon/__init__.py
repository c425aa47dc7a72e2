"""The substitution table of the watermark: which words may stand for which.

`Lexicon` answers what the marker asks of every word: may it change, into what, and how rare is
each choice. `Tier` says how sure we must be that a word has the sense its substitutes share.
`articles` tells whether "a" or "an" goes before a word. `build` made the shipped table from
WordNet; it needs more libraries than the marker does, so it is not imported here.
"""

from .articles import starts_with_vowel_sound
from .lexicon import Lexicon, Tier

__all__ = ["Lexicon", "Tier", "starts_with_vowel_sound"]
