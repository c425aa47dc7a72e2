"""Transformer encoders that turn sentences, or words in their sentences, into vectors.

Safetensors only, no remote code, as for suspects. Strings are encoded together, sorted by length,
so that little of a batch is padding. What is encoded twice is computed once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModel

from ...errors import InvalidInput
from ...files import read_json
from ...provenance.suspect.local.batching import batches
from ...provenance.suspect.local.loading import Loading, load
from ...stats import Input

__all__ = ["Encoder", "WordAt", "cosines", "longest_input"]

_TOKENS_PER_BATCH = 4096
_DEFAULT_LENGTH = 512
_SHORTEST = 16

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class WordAt:
    """A word in a sentence, by its span of characters."""

    sentence: str
    start: int
    end: int


class Encoder:
    """A bidirectional encoder with its tokenizer.

    Attributes:
        identity: Name, and SHA-256 over the digests of weights, configuration and tokenizer.
        longest: Most tokens of a sentence; the rest is cut off.
        unknown: The token of all words that the vocabulary cannot spell, or None.
    """

    def __init__(self, model: Any, tokenizer: Any, identity: Input) -> None:
        self.identity = identity
        self.longest = longest_input(model, tokenizer, identity.name)
        self.unknown: int | None = tokenizer.unk_token_id
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._device = next(model.parameters()).device

    @classmethod
    def open(cls, name: str, *, device: str = "cpu") -> "Encoder":
        """Load an encoder from a folder or the hub.

        Args:
            name: Folder, or `owner/model`.
            device: See `device_named`.

        Returns:
            The encoder, in float32.

        Raises:
            InvalidInput: If weights are missing, pickled or broken, want to run code, or were made
                to be pooled in another way than by the mean.
        """
        _refuse_other_pooling(Path(name))
        loaded = load(AutoModel, name, Loading(device=device))
        return cls(loaded.model, loaded.tokenizer, loaded.identity)

    def token_ids(self, sentences: Sequence[str]) -> list[tuple[int, ...]]:
        """The tokens of each sentence as the encoder sees it, special tokens included."""
        if not sentences:
            return []
        encoded = self._tokenizer(list(sentences), truncation=True, max_length=self.longest)
        return [tuple(ids) for ids in encoded["input_ids"]]

    def sentence_vectors(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Mean of the last hidden states over all tokens, scaled to length 1.

        Source: Reimers and Gurevych (2019), arXiv 1908.10084, pooling MEAN.

        Args:
            rows: Tokens, as `token_ids` returns them.

        Returns:
            Shape (len(rows), width).
        """
        vectors = np.empty((len(rows), self._model.config.hidden_size), dtype=np.float32)
        for batch in batches(range(len(rows)), lambda i: len(rows[i]), lambda: _TOKENS_PER_BATCH):
            hidden, mask = self._hidden([rows[i] for i in batch])
            vectors[batch] = _unit(_mean(hidden, mask))
        return vectors

    def word_vectors(self, words: Sequence[WordAt]) -> NDArray[np.float32]:
        """Mean of the last hidden states over the tokens of a word, scaled to length 1.

        Args:
            words: Words in their sentences.

        Returns:
            Shape (len(words), width); a row of NaN where the word lies in the part that was cut
            off, or is unknown to the vocabulary.
        """
        vectors = np.full((len(words), self._model.config.hidden_size), np.nan, dtype=np.float32)
        if not words:
            return vectors
        encoded = self._tokenizer(
            [word.sentence for word in words],
            truncation=True,
            max_length=self.longest,
            return_offsets_mapping=True,
        )
        rows, offsets = encoded["input_ids"], encoded["offset_mapping"]
        tokens = [_tokens_of(w, spans) for w, spans in zip(words, offsets, strict=True)]
        seen = [
            i
            for i, own in enumerate(tokens)
            if own and all(rows[i][token] != self.unknown for token in own)
        ]
        for batch in batches(seen, lambda i: len(rows[i]), lambda: _TOKENS_PER_BATCH):
            hidden, _ = self._hidden([rows[i] for i in batch])
            of_word = torch.zeros(hidden.shape[:2], device=hidden.device)
            for line, i in enumerate(batch):
                of_word[line, tokens[i]] = 1
            vectors[batch] = _unit(_mean(hidden, of_word))
        return vectors

    @torch.inference_mode()
    def _hidden(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Last hidden states of a batch, and the mask of what is no padding."""
        ids = torch.full((len(rows), max(map(len, rows))), self._tokenizer.pad_token_id or 0)
        mask = torch.zeros_like(ids)
        for line, row in enumerate(rows):
            ids[line, : len(row)] = torch.tensor(row)
            mask[line, : len(row)] = 1
        ids, mask = ids.to(self._device), mask.to(self._device)
        return self._model(input_ids=ids, attention_mask=mask).last_hidden_state, mask


def cosines(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine of each row of one with that of the other, both of length 1; NaN stays NaN."""
    products: NDArray[np.float64] = np.einsum("nd,nd->n", one, other, dtype=np.float64)
    return products


def longest_input(model: Any, tokenizer: Any, name: str) -> int:
    """Most tokens that model and tokenizer take.

    Raises:
        InvalidInput: If that is too few for a sentence.
    """
    positions = getattr(model.config, "max_position_embeddings", _DEFAULT_LENGTH)
    longest = min(positions - 2, tokenizer.model_max_length, _DEFAULT_LENGTH)  # RoBERTa: from 2 on
    if longest < _SHORTEST:
        raise InvalidInput(
            f"{name}: takes only {longest} tokens at once",
            f"at least {_SHORTEST} are needed for a sentence",
        )
    return int(longest)


def _refuse_other_pooling(folder: Path) -> None:
    """Refuse a sentence model whose folder asks for another pooling than the mean.

    Raises:
        InvalidInput: If it does.
    """
    path = folder / "1_Pooling" / "config.json"
    if (
        path.is_file()
        and read_json(path, "a pooling configuration").get("pooling_mode_mean_tokens") is not True
    ):
        raise InvalidInput(
            f"{folder}: its sentence vectors are not the mean over tokens",
            "give a model with mean pooling, such as all-MiniLM-L6-v2",
        )


def _tokens_of(word: WordAt, spans: Sequence[tuple[int, int]]) -> list[int]:
    return [i for i, (a, b) in enumerate(spans) if a < word.end and b > word.start and a < b]


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    weights = mask[:, :, None].to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


def _unit(vectors: Tensor) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = torch.nn.functional.normalize(vectors, dim=1).cpu().numpy()
    return scaled
