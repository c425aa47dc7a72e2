"""Words that the owner of a dataset wants to stay as they are."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache

from ...errors import InvalidInput

__all__ = ["Protection", "lemmas_of"]


@lru_cache(maxsize=1 << 18)  # more words than English has; a hostile text has no end
def lemmas_of(word: str) -> tuple[str, ...]:
    """The lemmas that a lower-case word may be a form of, in all parts of speech of open classes."""
    from lemminflect import getAllLemmas  # loads its dictionaries; most markings need none

    found = getAllLemmas(word)
    classes = ("NOUN", "VERB", "ADJ", "ADV")
    return tuple(dict.fromkeys(lemma for pos in classes for lemma in found.get(pos, ())))


class Protection:
    """Words that neither change nor come in, nor do their inflected forms.

    Attributes:
        words: The words in lower case.
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
        self.words = frozenset(map(str.lower, words))
        for word in self.words:
            if not word.isalpha():
                raise InvalidInput(
                    f"expected single words to protect, got {word!r}", "give each word on its own"
                )
        self._lemmas = frozenset(lemma for word in self.words for lemma in (word, *lemmas_of(word)))

    @property
    def settings(self) -> Mapping[str, str | int]:
        """What a release records: how many words are protected, and their digest."""
        listed = "\n".join(sorted(self.words)).encode()
        return {
            "protected": len(self.words),
            "protect_sha256": hashlib.sha256(listed).hexdigest(),
        }

    def protects(self, word: str) -> bool:
        """Whether a word, or a form of the same lemma, is among the protected words."""
        return bool(self._lemmas) and not self._lemmas.isdisjoint((word, *lemmas_of(word)))
