"""Which words are opposites, from WordNet's antonyms; the list ships as `opposites.txt`.

Each line is one axis of meaning: the words of one end, `|`, the words of the other. An end holds a
word that WordNet calls an antonym, the rest of its synset and, for adjectives, the satellites that
WordNet groups around it: "moist" stands with "wet" against "dry". That refuses too much rather
than too little. Opposites that WordNet links only through a common class, as "north" and "south",
are not known here.

`build_opposites(wordnet, SHIPPED_LIST)` rebuilds the list; a test compares the two.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ...errors import InvalidInput

__all__ = ["Opposites", "build_opposites"]

SHIPPED_LIST = Path(__file__).with_name("opposites.txt")

_DATA_FILES = ("data.adj", "data.adv", "data.noun", "data.verb")
_ANTONYM, _SIMILAR = "!", "&"


@dataclass(frozen=True, slots=True)
class Opposites:
    """Lemmas with the axes they lie on; an axis is counted from 1, its other end is negative."""

    _axes: dict[str, frozenset[int]]

    @classmethod
    @lru_cache(maxsize=1)
    def shipped(cls) -> "Opposites":
        """The list that comes with the package; read once per process."""
        axes: dict[str, set[int]] = defaultdict(set)
        for axis, line in enumerate(SHIPPED_LIST.read_text(encoding="ascii").splitlines(), 1):
            one, other = line.split(" | ")
            for word in one.split():
                axes[word].add(axis)
            for word in other.split():
                axes[word].add(-axis)
        return cls({word: frozenset(found) for word, found in axes.items()})

    def are(self, one: str, other: str) -> bool:
        """Whether two lower-case lemmas lie at the two ends of an axis."""
        theirs = self._axes.get(other, frozenset())
        return any(-axis in theirs for axis in self._axes.get(one, ()))


def build_opposites(wordnet: Path, path: Path) -> int:
    """Write the list of opposites.

    Args:
        wordnet: Folder of the WordNet 3.0 database.
        path: The file to write; it appears whole or not at all.

    Returns:
        Number of axes.

    Raises:
        InvalidInput: If a file of the database cannot be read.
    """
    synsets = {s.key: s for name in _DATA_FILES for s in _synsets(wordnet / name)}
    axes = {axis for synset in synsets.values() for axis in _axes_of(synset, synsets)}
    partial = path.with_name(f"{path.name}.part")
    partial.write_text("".join(f"{axis}\n" for axis in sorted(axes)), encoding="ascii")
    os.replace(partial, path)
    return len(axes)


@dataclass(frozen=True, slots=True)
class _Synset:
    key: tuple[str, str]  # file and offset; satellites are in the adjectives' file
    words: frozenset[str]  # plain single words in lower case
    antonyms: tuple[tuple[str, str], ...]
    similar: tuple[tuple[str, str], ...]


def _synsets(path: Path) -> Iterator[_Synset]:
    """Read one data file; its format is in the manual page wndb(5WN).

    Raises:
        InvalidInput: If the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="latin-1").splitlines()
    except OSError as error:
        raise InvalidInput(
            f"{path}: cannot read WordNet: {error.strerror}",
            "give the folder of the WordNet 3.0 database that holds data.adj",
        ) from error
    for line in lines:
        if line.startswith(" "):  # the licence at the head
            continue
        fields = line.partition("| ")[0].split()
        n_words = int(fields[3], 16)
        words = (word.partition("(")[0].lower() for word in fields[4 : 4 + 2 * n_words : 2])
        pointers = fields[5 + 2 * n_words :]
        linked: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for i in range(int(fields[4 + 2 * n_words])):
            symbol, offset, pos, _ = pointers[4 * i : 4 * i + 4]
            linked[symbol].append((pos.replace("s", "a"), offset))
        yield _Synset(
            key=(fields[2].replace("s", "a"), fields[0]),
            words=frozenset(word for word in words if word.isascii() and word.isalpha()),
            antonyms=tuple(linked[_ANTONYM]),
            similar=tuple(linked[_SIMILAR]),
        )


def _axes_of(synset: _Synset, synsets: dict[tuple[str, str], _Synset]) -> Iterator[str]:
    for key in synset.antonyms:
        if synset.key < key:  # each axis once
            one = _end(synset, synsets)
            other = _end(synsets[key], synsets)
            if one - other and other - one:
                yield f"{_line(one - other)} | {_line(other - one)}"


def _end(synset: _Synset, synsets: dict[tuple[str, str], _Synset]) -> frozenset[str]:
    return synset.words.union(*(synsets[key].words for key in synset.similar))


def _line(words: Iterable[str]) -> str:
    return " ".join(sorted(words))
