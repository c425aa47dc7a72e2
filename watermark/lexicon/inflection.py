"""The inflected forms of English words, and how frequent words are: lemminflect and wordfreq."""

import math
import re
from collections import defaultdict
from functools import cache

from lemminflect import getInflection
from wordfreq import word_frequency, zipf_frequency

from .vocabulary import ZERO_PLURALS
from .wordnet import Lemma

__all__ = ["PLAIN", "forms", "same_inflection", "surprisal", "zipf"]

PLAIN = re.compile(r"(?=.*[aeiouy])[a-z]{3,}")  # what may change, or come in

_TAGS = {
    "n": ("NN", "NNS"),
    "v": ("VB", "VBD", "VBG", "VBN", "VBZ"),
    "a": ("JJ", "JJR", "JJS"),
    "r": ("RB", "RBR", "RBS"),
}
_BASE_TAGS = frozenset({"NN", "VB", "JJ", "RB"})


def same_inflection(word: str, tags: tuple[str, ...]) -> str | None:
    """Return the one form of a word that serves all the tags, if one does."""
    found = {_inflections(word, tag)[:1] for tag in tags}
    return found.pop()[0] if len(found) == 1 and () not in found else None


@cache
def forms(lemma: Lemma) -> dict[str, tuple[str, ...]]:
    """Return a lemma's surface forms, each with the Penn tags that it serves."""
    word, pos = lemma
    tags: dict[str, list[str]] = defaultdict(list)
    for tag in _TAGS[pos]:
        for form in _inflections(word, tag):
            tags[form].append(tag)
    return {form: tuple(served) for form, served in tags.items()}


@cache
def _inflections(word: str, tag: str) -> tuple[str, ...]:
    """Return a word's known forms for a tag, the most frequent first.

    lemminflect's rules for words outside its dictionary are not asked: they make "beautifuler".
    It lists mass nouns as plurals of themselves; only true ones, as "sheep", are taken.
    """
    if tag in _BASE_TAGS:
        return (word,)
    listed = set(getInflection(word, tag, inflect_oov=False))
    if tag == "NNS" and word not in ZERO_PLURALS:
        listed.discard(word)
    known = (form for form in listed if PLAIN.fullmatch(form) and zipf(form) > 0)
    return tuple(sorted(known, key=lambda form: (-zipf(form), form)))


@cache
def zipf(word: str) -> float:
    """Return the word's frequency on wordfreq's scale: log10 of its uses per thousand million words."""
    return float(zipf_frequency(word, "en"))


@cache
def surprisal(word: str) -> float:
    """Return -log2 of the word's relative frequency; rounded, so that every machine agrees."""
    return round(-math.log2(word_frequency(word, "en")), 4)
