"""The filters that every candidate must pass, whichever source it came from.

A sentence model gives opposites and words of another inflection a high cosine, and a language model
proposes them readily, so a threshold cannot replace these rules.
"""

import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from lemminflect import getAllInflections, getAllLemmas
from wordfreq import word_frequency, zipf_frequency

from ..lexicon.articles import starts_with_vowel_sound
from ..lexicon.reviewed import REFUSED, REFUSED_SUBSTITUTES
from ..lexicon.variants import same_word
from ..lexicon.vocabulary import BANNED, FUNCTION_WORDS, NAMES, TECHNICAL, ZERO_PLURALS
from ..selection import Place
from .opposites import Opposites
from .protection import Protection, lemmas_of

__all__ = ["Rules"]

_PLAIN = re.compile(r"(?=.*[aeiouy])[a-z]{3,}")
_FIXED = FUNCTION_WORDS | NAMES | TECHNICAL
_UNWANTED = FUNCTION_WORDS | NAMES | BANNED | REFUSED_SUBSTITUTES
_OPEN_CLASSES = ("NOUN", "VERB", "ADJ", "ADV")
_MIN_ZIPF = 2.0  # of a substitute, as in `lexicon.build`: ten per hundred million words
_MAX_BITS = 5.0  # between the surprisals of word and substitute, as there
_remembered = lru_cache(maxsize=1 << 18)  # more words than English has; a hostile text has no end


class Rules(Protection):
    """What may change into what, by the words alone.

    A substitute must be an ordinary word of English with the inflection of the word it replaces.
    It must not be its opposite, its variant in spelling or derivation, a stop-word, a name, an
    insult, or a pair that a reader refused for the table.

    Args:
        protect: Words that must stay as they are, in all their forms.
        rarer_only: Whether a substitute must be rarer than the word, as LexiMark publishes.
    """

    def __init__(self, protect: Iterable[str] = (), *, rarer_only: bool = False) -> None:
        super().__init__(protect)
        self._rarer_only = rarer_only

    @property
    def settings(self) -> Mapping[str, str | int]:
        """What a release records; see `Protection`."""
        return {**super().settings, "rarer_only": self._rarer_only}

    def may_change(self, word: str) -> bool:
        """Whether a lower-case word may be replaced at all."""
        return _is_open(word) and not self.protects(word)

    def choose(
        self, place: Place, words: Iterable[str], *, from_table: bool = False
    ) -> tuple[str, ...]:
        """The words that may stand at a place.

        Args:
            place: Where; after "a" or "an" only words of the same article fit.
            words: Substitutes in lower case.
            from_table: Whether they stand in the substitution table for the place's word. Its pairs
                met the rules for words and inflection when it was built, also where a word is
                missing from the smaller dictionary at hand here.

        Returns:
            Those that pass, from a to z.
        """
        fits = _may_meet if from_table else _fits
        fitting = [w for w in set(words) if fits(place.word, w) and not self.protects(w)]
        if self._rarer_only:
            bits = _surprisal(place.word)
            fitting = [w for w in fitting if _surprisal(w) > bits]
        if place.follows_article:
            sound = starts_with_vowel_sound(place.word)
            fitting = [
                w for w in fitting if sound is not None and starts_with_vowel_sound(w) is sound
            ]
        return tuple(sorted(fitting))

    def surprisal(self, word: str) -> float:
        """-log2 of a word's frequency in general English, in bits, as in the substitution table."""
        return _surprisal(word)


@_remembered
def _is_open(word: str) -> bool:
    """Whether a word is of an open class and has a meaning that may be put in other words."""
    return (
        bool(_PLAIN.fullmatch(word))
        and zipf_frequency(word, "en") > 0
        and bool(lemmas_of(word))
        and _FIXED.isdisjoint((word, *lemmas_of(word)))
    )


@_remembered
def _fits(word: str, substitute: str) -> bool:
    return (
        bool(_PLAIN.fullmatch(substitute))
        and not same_word(word, substitute)
        and _UNWANTED.isdisjoint((substitute, *lemmas_of(substitute)))
        and zipf_frequency(substitute, "en") >= _MIN_ZIPF
        and _surprisal(substitute) - _surprisal(word) <= _MAX_BITS
        and _same_inflection(word, substitute)
        and _may_meet(word, substitute)
    )


@_remembered
def _may_meet(word: str, substitute: str) -> bool:
    """Whether two words are no opposites, no forms of one lemma, no names, and no refused pair."""
    opposites = Opposites.shipped()
    return NAMES.isdisjoint((*lemmas_of(word), *lemmas_of(substitute))) and not any(
        opposites.are(one, other) or one == other or (one, other) in REFUSED
        for one in (word, *lemmas_of(word))
        for other in (substitute, *lemmas_of(substitute))
    )


def _same_inflection(word: str, substitute: str) -> bool:
    """Whether in some part of speech the substitute serves every tag that the word serves.

    "walked" is past tense and participle, so "went" is refused and "strolled" is not. What part of
    speech a place has is not known: the sources judge that by the context.
    """
    ours, theirs = _tags(word), _tags(substitute)
    return any(ours[pos] and ours[pos] <= theirs[pos] for pos in _OPEN_CLASSES)


@_remembered
def _tags(word: str) -> Mapping[str, frozenset[str]]:
    """The Penn tags that a form serves, by part of speech; lemminflect's dictionary only."""
    lemmas = getAllLemmas(word)
    return {
        pos: frozenset(
            tag
            for lemma in lemmas.get(pos, ())
            for tag, forms in getAllInflections(lemma, pos).items()
            if word in forms and not _is_mass_plural(word, lemma, tag)
        )
        for pos in _OPEN_CLASSES
    }


def _is_mass_plural(word: str, lemma: str, tag: str) -> bool:
    """Whether it is listed as a plural of itself, as mass nouns are, and is none."""
    return tag == "NNS" and word == lemma and word not in ZERO_PLURALS


@_remembered
def _surprisal(word: str) -> float:
    """Rounded, so that every machine agrees; infinite for an unknown word."""
    frequency = word_frequency(word, "en")
    return round(-math.log2(frequency), 4) if frequency else math.inf
