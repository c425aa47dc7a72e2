"""Makes the substitution table from a reader's pairs, WordNet 3.0, wordfreq and lemminflect.

No tagger reads the text that is marked, so a word may change only if it can hardly mean anything
else. The strict tier holds the pairs that a reader accepted (`accepted`), with the phrases in which
a word must stay as it is (`contexts`).

The other tiers come from WordNet. What a word means, and how often, is told by its counts of senses in
SemCor; each sense counts half an occurrence more than was seen, so that an unseen one is rare, not
impossible. A pair of lemmas is judged as a whole: the senses they share, as a part of all the senses
of the one and of the other. Their inflected forms follow, and a form goes when it is also, to a
noticeable part, a form of another lemma or a piece of a set phrase. `_DEMANDS` holds the numbers.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from .accepted import ACCEPTED, ACCEPTED_AS_STANDARD, FORMS, pairs_in
from .contexts import written_contexts
from .inflection import PLAIN, forms, same_inflection, surprisal, zipf
from .lexicon import REVIEW, SCHEMA, Tier
from .reviewed import REFUSED, REFUSED_SUBSTITUTES
from .variants import same_word, spelling
from .vocabulary import BANNED, FUNCTION_WORDS, NAMES, TECHNICAL
from .wordnet import Lemma, Sense, Synset, WordNet

__all__ = ["build_lexicon", "write_lexicon"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Demand:
    """What a pair must meet to enter a tier.

    Attributes:
        pos: Least part of the form's occurrences that are the lemma in its part of speech.
        sense: Least part of the lemma's occurrences that are in a shared sense.
        substitute: Least part of the substitute's occurrences that are in a shared sense.
    """

    pos: float
    sense: float
    substitute: float


_DEMANDS = {
    Tier.STANDARD: _Demand(pos=0.9, sense=0.8, substitute=0.6),
    Tier.BROAD: _Demand(pos=0.8, sense=0.6, substitute=0.4),
}

_UNSEEN = 0.5
_MIN_ZIPF = 2.0  # of a substitute, on wordfreq's scale: one in ten million words
_MAX_BITS = 5.0  # a substitute's surprisal above the form's; rarer ones are mostly of another tone
_PHRASE = 0.5  # what an occurrence in a set phrase weighs against one outside

# A word this frequent that SemCor never saw means something WordNet does not know: a name, a
# product, a newer term. Adjectives and adverbs are seldom names.
_MAX_ZIPF_UNSEEN = {"n": 3.0, "v": 3.0, "a": 4.0, "r": 4.0}

_USAGE = frozenset({
    "abbreviation",
    "acronym",
    "African_American_Vernacular_English",
    "archaism",
    "colloquialism",
    "combining_form",
    "comparative",
    "dialect",
    "disparagement",
    "ethnic_slur",
    "euphemism",
    "formality",
    "French",
    "irony",
    "obscenity",
    "plural",
    "regionalism",
    "slang",
    "street_name",
    "superlative",
    "trade_name",
    "trademark",
    "United_Kingdom",
    "Yiddish",
})
_EXACT_SUBJECTS = frozenset({"computer_science", "mathematics", "statistics"})
_EXACT_LABEL = re.compile(r"\((?:computer science|computing|mathematics|statistics|geometry)\b")
_LABEL = re.compile(
    r"\([^)]*\b(?:informal(?:ly)?|slang|archaic|obsolete|old-fashioned|formerly|dialect|"
    r"nonstandard|offensive|ethnic slur|British|Scottish|Irish|Yiddish|trademark)\b[^)]*\)|"
    r"^(?:an? )?(?:\w+ )?(?:informal|archaic|obsolete|offensive|derogatory|disparaging|slang|"
    r"pejorative|insulting)\b"
)
_FIXED = FUNCTION_WORDS | NAMES | TECHNICAL  # these never change


def build_lexicon(wordnet: Path) -> pl.DataFrame:
    """Build the substitution table.

    Args:
        wordnet: Folder of the WordNet 3.0 database: the index and data files and cntlist.rev.

    Returns:
        One row per form and substitute, of the columns of `lexicon.SCHEMA` and `lexicon.REVIEW`,
        sorted by both. A pair carries the strictest tier it meets. Substitutes may be rarer or more
        frequent than the form; `Lexicon` keeps the rarer and the accepted.

    Raises:
        InvalidInput: A file of the database is missing or unreadable.
    """
    usage = _Usage(WordNet(wordnet))
    accepted = {row[:2]: row for row in _accepted_rows()}
    found = (row for pair in _pairs(usage) for row in _rows(pair, usage))
    rows = [*accepted.values(), *(row for row in found if row[:2] not in accepted)]
    table = pl.DataFrame(sorted(rows, key=_strictest_first), schema=SCHEMA, orient="row")
    table = table.unique(["form", "substitute"], keep="first", maintain_order=True)
    contexts = written_contexts()
    return table.with_columns(
        pl.Series(
            "reviewed", [pair in accepted for pair in table.select(table.columns[:2]).rows()]
        ),
        pl.Series("context", [contexts.get(form, "") for form in table["form"]]),
    ).cast(REVIEW)


def write_lexicon(table: pl.DataFrame, path: Path) -> None:
    """Write a table so that equal tables give equal bytes; the file appears whole or not at all.

    Args:
        table: What `build_lexicon` returned.
        path: The parquet file.
    """
    partial = path.with_name(f"{path.name}.part")
    table.write_parquet(partial, compression="zstd", compression_level=19)
    os.replace(partial, path)


class _Usage:
    """How often SemCor uses lemmas, words and surface forms, unseen senses smoothed.

    Attributes:
        wordnet: The senses themselves.
        lemma: Occurrences of a word in one part of speech.
        word: Occurrences of a word in all parts of speech.
        form: Occurrences of a surface form, of whatever lemma or set phrase.
    """

    def __init__(self, wordnet: WordNet) -> None:
        self.wordnet = wordnet
        self.lemma = {lemma: sum(map(_weight, senses)) for lemma, senses in wordnet.senses.items()}
        self.word: dict[str, float] = defaultdict(float)
        self.form: dict[str, float] = defaultdict(float)
        for lemma, weight in self.lemma.items():
            self.word[lemma[0]] += weight
            for form, part in self._spread(lemma):
                self.form[form] += part

    def of_form(self, lemma: Lemma, form: str) -> float:
        """Return the occurrences of a lemma in one of its forms.

        Those of nouns and verbs are taken to be spread evenly. Adjectives and adverbs are seldom
        compared, so their base form is taken to have them all.
        """
        word, pos = lemma
        is_base_of_modifier = pos in {"a", "r"} and form == word
        return self.lemma[lemma] / (1 if is_base_of_modifier else len(forms(lemma)))

    def seen(self, lemma: Lemma) -> int:
        """Return the occurrences of a lemma that SemCor really holds."""
        return sum(sense.count for sense in self.wordnet.senses[lemma])

    def _spread(self, lemma: Lemma) -> Iterator[tuple[str, float]]:
        parts = re.split(r"[-_]", lemma[0])
        if len(parts) > 1:
            return ((part, _PHRASE * self.seen(lemma)) for part in parts)
        return ((form, self.of_form(lemma, form)) for form in forms(lemma))


@dataclass(frozen=True, slots=True)
class _Pair:
    """A lemma and a word for it, with the parts of their use that the senses they share make up."""

    lemma: Lemma
    substitute: str
    pos_share: float
    sense_share: float
    substitute_share: float


def _pairs(usage: _Usage) -> Iterator[_Pair]:
    for lemma, senses in usage.wordnet.senses.items():
        if not _may_change(lemma, usage):
            continue
        for substitute, shared in _shared_senses(lemma[0], senses).items():
            theirs = _senses_of((substitute, lemma[1]), shared, usage.wordnet)
            attested = any(sense.count for sense in (*shared, *theirs))
            if attested and _may_replace(lemma, substitute):
                yield _pair(lemma, substitute, shared, theirs, usage)


def _pair(
    lemma: Lemma, substitute: str, shared: list[Sense], theirs: list[Sense], usage: _Usage
) -> _Pair:
    word, _ = lemma
    return _Pair(
        lemma=lemma,
        substitute=substitute,
        pos_share=usage.lemma[lemma] / usage.word[word],
        sense_share=sum(map(_weight, shared)) / usage.lemma[lemma],
        substitute_share=sum(map(_weight, theirs)) / usage.word[substitute],
    )


def _weight(sense: Sense) -> float:
    return sense.count + _UNSEEN


def _senses_of(lemma: Lemma, shared: list[Sense], wordnet: WordNet) -> list[Sense]:
    """Return the lemma's own senses, with its own counts, of the synsets given."""
    synsets = [sense.synset for sense in shared]
    return [sense for sense in wordnet.senses[lemma] if sense.synset in synsets]


# Which words may change, and into which.


def _may_change(lemma: Lemma, usage: _Usage) -> bool:
    word, pos = lemma
    if not PLAIN.fullmatch(word) or word in _FIXED:
        return False
    if not usage.seen(lemma) and zipf(word) > _MAX_ZIPF_UNSEEN[pos]:
        return False
    return not any(
        _is_exact_term(sense.synset)
        for pos in usage.wordnet.words[word]
        for sense in usage.wordnet.senses[word, pos]
    )


def _is_exact_term(synset: Synset) -> bool:
    return bool(synset.topics & _EXACT_SUBJECTS) or bool(_EXACT_LABEL.match(synset.gloss))


def _may_replace(lemma: Lemma, substitute: str) -> bool:
    word, _ = lemma
    return (
        substitute not in FUNCTION_WORDS
        and substitute not in BANNED
        and substitute not in REFUSED_SUBSTITUTES
        and not _is_refused(word, substitute)
        and zipf(substitute) >= _MIN_ZIPF
        and not same_word(word, substitute)
        and _one_kind_of_noun(lemma, substitute)
    )


def _is_refused(word: str, substitute: str) -> bool:
    """Return whether a reader refused a pair; what differs in one direction differs in both."""
    return (word, substitute) in REFUSED or (substitute, word) in REFUSED


def _one_kind_of_noun(lemma: Lemma, substitute: str) -> bool:
    """Return False for the name of an act or a quality: "siege" is no "besieging"."""
    word, pos = lemma
    return pos != "n" or all(
        word.endswith(ending) or not substitute.endswith(ending) for ending in ("ing", "ness")
    )


def _shared_senses(word: str, senses: tuple[Sense, ...]) -> dict[str, list[Sense]]:
    """Return the words that can stand for a word, each with the senses in which it can."""
    shared: dict[str, list[Sense]] = defaultdict(list)
    for sense in senses:
        if word in sense.synset.words and not _LABEL.search(sense.synset.gloss):
            for substitute in _equals(word, sense.synset):
                shared[substitute].append(sense)
    return {substitute: shared[substitute] for substitute in _one_spelling_each(shared)}


def _one_spelling_each(words: Iterable[str]) -> Iterable[str]:
    """Return the most frequent of the words that are one word in two spellings."""
    ranked = sorted(words, key=lambda word: (zipf(word), word))
    return {spelling(word): word for word in ranked}.values()


def _equals(word: str, synset: Synset) -> Iterator[str]:
    """Yield a synset's unmarked single words that fit wherever the word does."""
    place = synset.words.index(word)
    for i, other in enumerate(synset.words):
        if (
            i != place
            and PLAIN.fullmatch(other)
            and not synset.usage[i] & _USAGE
            and synset.markers[i] == synset.markers[place]
            and synset.frames[i] >= synset.frames[place]
        ):
            yield other


# From lemmas to surface forms.

_Row = tuple[str, str, str, str, str, float, float]
_STRICTNESS = {tier.value: rank for rank, tier in enumerate(Tier)}


def _strictest_first(row: _Row) -> tuple[str, str, int, str, str]:
    """Return the order of the table; two lemmas may give one form the same substitute."""
    form, substitute, tier, lemma, pos, *_ = row
    return form, substitute, _STRICTNESS[tier], lemma, pos


def _rows(pair: _Pair, usage: _Usage) -> Iterator[_Row]:
    word, pos = pair.lemma
    for form, tags in forms(pair.lemma).items():
        substitute = same_inflection(pair.substitute, tags)
        if not substitute or not _may_meet(form, substitute) or _is_own_word(form, word, usage):
            continue
        bits, substitute_bits = surprisal(form), surprisal(substitute)
        pos_share = min(pair.pos_share, usage.of_form(pair.lemma, form) / usage.form[form])
        tier = _tier(pair, pos_share)
        if tier and substitute_bits - bits <= _MAX_BITS:
            yield form, substitute, tier.value, word, pos, bits, substitute_bits


def _accepted_rows() -> Iterator[_Row]:
    """Yield what a reader accepted; it need not meet the rules for pairs that nobody read."""
    for tier, accepted in ((Tier.STANDARD, ACCEPTED_AS_STANDARD), (Tier.STRICT, ACCEPTED)):
        for pos, listed in accepted.items():
            for word, other in pairs_in(listed):
                for form, substitute in _accepted_forms(word, other, pos):
                    bits, substitute_bits = surprisal(form), surprisal(substitute)
                    yield form, substitute, tier.value, word, pos, bits, substitute_bits


def _accepted_forms(word: str, other: str, pos: str) -> Iterator[tuple[str, str]]:
    if pos == FORMS:
        yield word, other
        return
    for form, tags in forms((word, pos)).items():
        substitute = same_inflection(other, tags)
        if substitute and form != substitute:
            yield form, substitute


def _may_meet(form: str, substitute: str) -> bool:
    return (
        form != substitute
        and form not in _FIXED
        and substitute not in FUNCTION_WORDS
        and substitute not in BANNED
        and substitute not in REFUSED_SUBSTITUTES
        and not _is_refused(form, substitute)
        and zipf(form) > 0
        and zipf(substitute) >= _MIN_ZIPF
    )


def _is_own_word(form: str, word: str, usage: _Usage) -> bool:
    """Return whether an inflected form is a word of its own, as "cursed" and "proceeds" are."""
    return form != word and form in usage.wordnet.words


def _tier(pair: _Pair, pos_share: float) -> Tier | None:
    for tier, demand in _DEMANDS.items():
        if (
            pos_share >= demand.pos
            and pair.sense_share >= demand.sense
            and pair.substitute_share >= demand.substitute
        ):
            return tier
    return None
