"""A reader of WordNet 3.0's own files, for what the lexicon needs and no more.

It needs the senses of each lemma in order, their counts in SemCor, and per sense the synonyms, the
marks of usage and subject, and the grammar of each synonym. Formats: the manual pages wndb(5WN),
senseidx(5WN) and cntlist(5WN) that come with WordNet.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import InvalidInput

__all__ = ["Lemma", "Sense", "Synset", "WordNet"]

Lemma = tuple[str, str]  # (word, part of speech): lower case, spaces as "_"; one of "nvar"

_FILES = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
_POS_OF_SENSE_KEY = {"1": "n", "2": "v", "3": "a", "4": "r", "5": "a"}  # 5: satellite adjective
_USAGE, _TOPIC = ";u", ";c"


@dataclass(frozen=True, slots=True)
class Synset:
    """One meaning, and the words that share it.

    Attributes:
        words: As written: capitals kept, spaces as "_", without syntactic markers.
        markers: Per word, where an adjective may stand: "a", "p", "ip", or "" for anywhere.
        frames: Per word, the numbers of the sentence frames a verb fits; empty for the rest.
        usage: Per word, heads of the usage domains it is marked with, such as "slang".
        topics: Heads of the subject domains, such as "computer_science".
        gloss: Definition and examples.
    """

    words: tuple[str, ...]
    markers: tuple[str, ...]
    frames: tuple[frozenset[int], ...]
    usage: tuple[frozenset[str], ...]
    topics: frozenset[str]
    gloss: str


@dataclass(frozen=True, slots=True)
class Sense:
    """One sense of a lemma, with how often SemCor tags it."""

    synset: Synset
    count: int


class WordNet:
    """Senses by lemma.

    Attributes:
        senses: For each lemma its senses, the most frequent first.
        words: All lemmas' words, each with its parts of speech.
    """

    def __init__(self, folder: Path) -> None:
        synsets = _synsets(folder)
        counts = _counts(folder)
        self.senses: dict[Lemma, tuple[Sense, ...]] = {}
        self.words: dict[str, str] = {}
        for (word, pos), offsets in _index(folder):
            self.senses[word, pos] = tuple(
                Sense(synsets[pos, offset], counts.get((word, pos, number), 0))
                for number, offset in enumerate(offsets, start=1)
            )
            self.words[word] = self.words.get(word, "") + pos


def _lines(folder: Path, name: str) -> Iterator[str]:
    """Return the lines of a file, without the indented licence at its head.

    Raises:
        InvalidInput: The file is missing or unreadable.
    """
    path = folder / name
    try:
        text = path.read_text(encoding="latin-1")
    except OSError as error:
        raise InvalidInput(
            f"{path}: cannot read WordNet: {error.strerror}",
            "give the folder of the WordNet 3.0 database that holds data.noun and cntlist.rev",
        ) from error
    return (line for line in text.splitlines() if line and not line.startswith(" "))


def _index(folder: Path) -> Iterator[tuple[Lemma, list[str]]]:
    for pos, name in _FILES.items():
        for line in _lines(folder, f"index.{name}"):
            fields = line.split()
            yield (fields[0], pos), fields[-int(fields[2]) :]


def _counts(folder: Path) -> dict[tuple[str, str, int], int]:
    """Return SemCor's counts by lemma, part of speech and sense number."""
    counts = {}
    for line in _lines(folder, "cntlist.rev"):
        key, number, count = line.split()
        word, _, rest = key.partition("%")
        counts[word, _POS_OF_SENSE_KEY[rest[0]], int(number)] = int(count)
    return counts


def _synsets(folder: Path) -> dict[tuple[str, str], Synset]:
    rows = {
        (pos, line[:8]): line
        for pos, name in _FILES.items()
        for line in _lines(folder, f"data.{name}")
    }
    return {key: _synset(line, rows) for key, line in rows.items()}


def _synset(line: str, rows: dict[tuple[str, str], str]) -> Synset:
    head, _, gloss = line.partition("| ")
    fields = head.split()
    n_words = int(fields[3], 16)
    words = fields[4 : 4 + 2 * n_words : 2]
    rest = fields[4 + 2 * n_words :]
    n_pointers = int(rest[0])
    pointers, frames = rest[1 : 1 + 4 * n_pointers], rest[1 + 4 * n_pointers :]
    usage, topics = _domains(pointers, n_words, rows)
    return Synset(
        words=tuple(word.partition("(")[0] for word in words),
        markers=tuple(word.partition("(")[2].removesuffix(")") for word in words),
        frames=_frames(frames, n_words),
        usage=usage,
        topics=topics,
        gloss=gloss.strip(),
    )


def _domains(
    pointers: list[str], n_words: int, rows: dict[tuple[str, str], str]
) -> tuple[tuple[frozenset[str], ...], frozenset[str]]:
    usage: list[set[str]] = [set() for _ in range(n_words)]
    topics = set()
    for symbol, offset, pos, ends in zip(*(pointers[i::4] for i in range(4)), strict=True):
        if symbol not in {_USAGE, _TOPIC}:
            continue
        name = rows[pos, offset].split(maxsplit=5)[4]
        if symbol == _TOPIC:
            topics.add(name)
        else:
            for number in _numbered(ends[:2], n_words):
                usage[number].add(name)
    return tuple(map(frozenset, usage)), frozenset(topics)


def _frames(fields: list[str], n_words: int) -> tuple[frozenset[int], ...]:
    """Return the frames per word of "04 + 08 00 + 09 02 ...": each with its word, 00 for all."""
    frames: list[set[int]] = [set() for _ in range(n_words)]
    for frame, word in zip(fields[2::3], fields[3::3], strict=True):
        for number in _numbered(word, n_words):
            frames[number].add(int(frame))
    return tuple(map(frozenset, frames))


def _numbered(word: str, n_words: int) -> range:
    """Return the places that a hexadecimal word number means: one, or all for 00."""
    number = int(word, 16)
    return range(number - 1, number) if number else range(n_words)
