"""From text to the ids of a transcript, and how a transcript of other ids is noticed."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ....errors import InvalidInput
from ....files import canonical_json
from ....stats import Input
from ...suspect.naming import hub_options
from .matching import Index, joined

__all__ = ["ModelTokenizer", "Tokenizer", "WordTokenizer", "refuse_other_tokenizer"]

_WORDS = r"\w+|[^\w\s]"
_WORD_RULE = f"words: {_WORDS}; id = BLAKE2b-32 of the UTF-8, little-endian, mod 2**31"
_SAMPLE = 64  # sequences that are decoded and encoded again
_EDGE = 2  # tokens at either end that are left out: sequences are cut anywhere
# Share of 2-grams that come back. Right tokenizers gave 0.995 to 1 (BPE and WordPiece of 2,000 to 8,000
# ids, sequences of 32 and 128 tokens, edges included), others of these kinds 0.43 to 0.92.
_LEAST_RETURNED = 0.97
_PLACES = 20_000
_FEWEST_PLACES = 1_000
_LENGTHS = (2, 3, 4)
_SATURATED = 0.5  # where shuffled text matches so often, longer k-grams tell more
_MORE_THAN_SHUFFLED = 1.25
_BATCH = 1_000


class Tokenizer(Protocol):
    """Gives texts ids.

    Attributes:
        identity: Name and digest of its rules.
    """

    identity: Input

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Ids of each text, without tokens that mark its start or end."""


class WordTokenizer:
    """Words and signs, for transcripts of text whose model's tokenizer is not at hand.

    A word's id is a 31-bit hash of it, so that nothing need be learnt or kept. Of a million words some
    230 pairs share an id: noise, which says nothing about the order.
    """

    def __init__(self) -> None:
        digest = hashlib.sha256(_WORD_RULE.encode()).hexdigest()
        self.identity = Input(name="words", sha256=digest)
        self._pattern = re.compile(_WORDS)
        self._ids: dict[str, int] = {}

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Ids of each text."""
        return [
            np.array([self._id(word) for word in self._pattern.findall(text)], dtype=np.int64)
            for text in texts
        ]

    def _id(self, word: str) -> int:
        known = self._ids.get(word)
        if known is None:
            digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=4).digest()
            known = self._ids[word] = int.from_bytes(digest, "little") % 2**31
        return known


class ModelTokenizer:
    """A model's tokenizer.

    Args:
        name: Folder, or `owner/model` on the hub.

    Raises:
        InvalidInput: If it cannot be loaded.
    """

    def __init__(self, name: str) -> None:
        where = hub_options(name)
        from transformers import AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                name, trust_remote_code=False, **where
            )
        except Exception as error:  # transformers raises whatever its backends raise
            lines = str(error).splitlines() or [type(error).__name__]
            raise InvalidInput(
                f"{name}: no tokenizer can be loaded: {lines[0]}",
                "give the folder that holds tokenizer.json of the model that was trained",
            ) from error
        self.identity = Input(name=_shown(name), sha256=_digest_of(self._tokenizer))

    @property
    def n_ids(self) -> int:
        """Number of ids it can give."""
        return len(self._tokenizer)

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Ids of each text."""
        encoded: list[NDArray[np.int64]] = []
        for begin in range(0, len(texts), _BATCH):
            batch = list(texts[begin : begin + _BATCH])
            rows = self._tokenizer(batch, add_special_tokens=False, verbose=False)["input_ids"]
            encoded += [np.array(ids, dtype=np.int64) for ids in rows]
        return encoded

    def decode(self, ids: NDArray[np.int64]) -> str:
        """The text of some ids, with whatever special tokens are among them."""
        text: str = self._tokenizer.decode(
            ids.tolist(), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text


def _shown(name: str) -> str:
    folder = Path(name)
    return folder.resolve().name if folder.exists() else name


def _digest_of(tokenizer: Any) -> str:
    """SHA-256 of a tokenizer's rules; of its vocabulary where it has no rules that can be written."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        return hashlib.sha256(backend.to_str().encode()).hexdigest()
    return hashlib.sha256(canonical_json(tokenizer.get_vocab())).hexdigest()


def refuse_other_tokenizer(
    index: Index, tokenizer: Tokenizer, texts: Sequence[NDArray[np.int64]]
) -> None:
    """Check that a transcript's ids are those of a tokenizer.

    1. The index was built for this tokenizer.  2. No id is beyond its vocabulary.
    3. Sequences of the transcript, decoded and encoded again, come back: a foreign tokenizer decodes
    them to nonsense, which it would write in other ids.
    4. The text under audit has more short k-grams in common with the transcript than its tokens
    shuffled have. This also notices whole-word vocabularies, which pass the third.

    Nothing here depends on the training order.

    Args:
        index: The index.
        tokenizer: What the text under audit was tokenised by.
        texts: The text under audit.

    Raises:
        InvalidInput: If a check fails.
    """
    table = index.table
    if table.tokenizer.sha256 != tokenizer.identity.sha256:  # 1
        raise InvalidInput(
            f"the index is of ids of the tokenizer {table.tokenizer.name}, not of "
            f"{tokenizer.identity.name}",
            "name that tokenizer, or build another index",
        )
    name = f"{table.source.name}: was tokenised by another tokenizer than {tokenizer.identity.name}"
    hint = "name the tokenizer of the model that was trained"
    if isinstance(tokenizer, ModelTokenizer):
        if table.largest_id >= tokenizer.n_ids:  # 2
            raise InvalidInput(
                f"{name}: it holds the id {table.largest_id:,}, and there are {tokenizer.n_ids:,}",
                hint,
            )
        returned = _share_returned(index, tokenizer)
        if returned < _LEAST_RETURNED:  # 3
            raise InvalidInput(
                f"{name}: of its pairs of tokens {returned:.0%} come back when they are decoded and "
                "encoded again",
                hint,
            )
    if not isinstance(tokenizer, WordTokenizer) and _is_foreign(index, texts):  # 4
        raise InvalidInput(
            f"{name}, or is in another language: the text has hardly more in common with it than "
            "the same tokens shuffled",
            hint,
        )


def _share_returned(index: Index, tokenizer: ModelTokenizer) -> float:
    """Share of the 2-grams of some sequences, chosen by content, that survive decoding and encoding."""
    numbers = index.table.units().sequences[:_SAMPLE]
    ids = [index.sequence(int(number)) for number in numbers]
    again = tokenizer.encode([tokenizer.decode(sequence) for sequence in ids])
    n_before = n_kept = 0
    for whole, after in zip(ids, again, strict=True):
        before = whole[_EDGE:-_EDGE]
        pairs = Counter(zip(before[:-1].tolist(), before[1:].tolist(), strict=True))
        n_before += pairs.total()
        back = Counter(zip(after[:-1].tolist(), after[1:].tolist(), strict=True))
        n_kept += (pairs & back).total()
    return n_kept / n_before if n_before else 1.0


def _is_foreign(index: Index, texts: Sequence[NDArray[np.int64]]) -> bool:
    """Whether k-grams of a text occur hardly more often than those of its tokens shuffled."""
    ids = np.concatenate([*texts, np.zeros(0, dtype=np.int64)])[:_PLACES]
    if ids.size < _FEWEST_PLACES:
        return False
    shuffled = joined([np.random.default_rng(0).permutation(ids)])
    for length in _LENGTHS:
        by_chance = index.n_matched(shuffled, length) / ids.size
        if by_chance < _SATURATED:
            real = index.n_matched(joined([ids]), length) / ids.size
            noise = (2 * by_chance * (1 - by_chance) / ids.size) ** 0.5
            return bool(real <= _MORE_THAN_SHUFFLED * by_chance + 3 * noise)
    return False
