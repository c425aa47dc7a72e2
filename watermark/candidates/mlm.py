"""Candidates a masked language model proposes: LexiMark's "concatenation".

Source: German et al. (2025), arXiv 2506.14474, after Qiang et al. (2020), arXiv 1907.06226. The
model reads the original sentence and, as a second one, the sentence with the word masked, so that
its guesses keep to the meaning. Its most probable words pass the filters, then are ranked by

    cosine(word in the sentence, original word there) + 0.003 * ln p(word | both sentences).

Departures: the cosine is that of the words' vectors in the last layer, where LexiMark weights
layers 1 to 4 by attention; guesses are whole lower-case words, and the original does not count
among them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForMaskedLM

from ...errors import InvalidInput
from ...provenance.suspect.local.batching import batches
from ...provenance.suspect.local.loading import Loading, load
from ...stats import Input
from ..selection import Budget, Slot
from ..source_identity import SourceIdentity
from .base import Proposal, settled, threshold
from .encoders import Encoder, WordAt, cosines, longest_input
from .places import Context, asked_places
from .rules import Rules

__all__ = ["MlmSource"]

_WEIGHT_OF_LOG_P = 0.003
_HELD_LOGITS = 1 << 26  # 256 MiB of float32
_TOKENS_PER_BATCH = 4096


class MlmSource:
    """Admits the guesses of a masked language model that mean the same in the sentence.

    Args:
        model: A masked language model.
        tokenizer: Its fast tokenizer.
        identity: Name and digest of both.
        top: How many guesses are looked at.
        most: How many are kept per place at most.
        least_cosine: Least cosine of what is admitted.
        protect: Words that must stay as they are, in all their forms.
        budget: How many words may be replaced; default: 5 per sentence. Twice as many are asked
            about, the most surprising ones.

    Raises:
        InvalidInput: If the model has no mask token, or a limit makes no sense.
    """

    reads_context = True

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        identity: Input,
        *,
        top: int = 20,
        most: int = 3,
        least_cosine: float = 0.8,
        protect: Iterable[str] = (),
        budget: Budget | None = None,
        rarer_only: bool = False,
    ) -> None:
        if tokenizer.mask_token_id is None:
            raise InvalidInput(
                f"{identity.name}: its tokenizer has no mask token", "give a masked language model"
            )
        if not 1 <= most <= top:
            raise InvalidInput(f"expected 1 <= most <= top, got most={most} and top={top}")
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._device = next(model.parameters()).device
        self._encoder = Encoder(model.base_model, tokenizer, identity)
        self._longest = longest_input(model, tokenizer, identity.name)
        self._top, self._most = top, most
        self._least_cosine = threshold(least_cosine)
        self._rules = Rules(protect, rarer_only=rarer_only)
        self._budget = Budget() if budget is None else budget
        self._ids, self._words = _whole_words(tokenizer)
        if not self._words:
            raise InvalidInput(
                f"{identity.name}: no token of its vocabulary is a whole lower-case word",
                "give a masked language model of English",
            )

    @classmethod
    def open(cls, name: str, *, device: str = "cpu", **options: Any) -> "MlmSource":
        """Load a masked language model from a folder or the hub.

        Args:
            name: Folder, or `owner/model`, such as `FacebookAI/roberta-base`.
            device: A torch device.
            options: As for the class.

        Returns:
            The source.

        Raises:
            InvalidInput: If weights are missing, pickled or broken, or want to run code.
        """
        loaded = load(AutoModelForMaskedLM, name, Loading(device=device))
        return cls(loaded.model, loaded.tokenizer, loaded.identity, **options)

    @property
    def identity(self) -> SourceIdentity:
        """See `CandidateSource.identity`."""
        return SourceIdentity(
            name="mlm",
            settings={
                "top": self._top,
                "most": self._most,
                "least_cosine": self._least_cosine,
                **asdict(self._budget),
                **self._rules.settings,
            },
            inputs=(self._encoder.identity,),
        )

    def slots(self, texts: Sequence[str]) -> list[list[Slot]]:
        """See `CandidateSource.slots`."""
        asked = [
            (index, place, context)
            for index, text in enumerate(texts)
            for place, context in asked_places(text, self._rules, self._budget)
        ]
        guesses = self._guesses([context for _, _, context in asked])
        proposals, log_p = [], []
        for (index, place, context), guessed in zip(asked, guesses, strict=True):
            words = self._rules.choose(place, guessed)
            if words:
                proposals.append(Proposal(index, place, context, words))
                log_p.append([guessed[word] for word in words])
        return settled(texts, proposals, self._best(proposals, log_p), self._rules, self._budget)

    def _guesses(self, contexts: Sequence[Context]) -> list[dict[str, float]]:
        """The most probable whole words at each place, each with its ln p."""
        found: list[dict[str, float]] = [{} for _ in contexts]
        if not contexts:
            return found
        masked = [replace(context, word=self._tokenizer.mask_token) for context in contexts]
        encoded = self._tokenizer(
            [context.sentence for context in contexts],
            [context.sentence for context in masked],
            truncation="longest_first",
            max_length=self._longest,
            return_offsets_mapping=True,
        )
        rows: list[tuple[int, int, Any]] = []  # which context, where its mask is, the tokens
        for i, context in enumerate(masked):
            place = _mask_of(encoded[i], context.span)
            if place is not None:
                rows.append((i, place, encoded[i]))
        vocabulary = self._model.config.vocab_size
        most = min(_TOKENS_PER_BATCH, max(_HELD_LOGITS // vocabulary, self._longest))
        for batch in batches(rows, lambda row: len(row[2].ids), lambda: most):
            for (i, _, _), best in zip(batch, self._top_words(batch), strict=True):
                own = contexts[i].word.lower()
                found[i] = dict(islice(((w, p) for w, p in best if w != own), self._top))
        return found

    @torch.inference_mode()
    def _top_words(self, batch: Sequence[tuple[int, int, Any]]) -> list[list[tuple[str, float]]]:
        width = max(len(row.ids) for _, _, row in batch)
        ids = torch.full((len(batch), width), self._tokenizer.pad_token_id or 0)
        attended, kinds = torch.zeros_like(ids), torch.zeros_like(ids)
        for line, (_, _, row) in enumerate(batch):
            ids[line, : len(row.ids)] = torch.tensor(row.ids)
            attended[line, : len(row.ids)] = 1
            kinds[line, : len(row.ids)] = torch.tensor(row.type_ids)
        inputs = {"input_ids": ids, "attention_mask": attended}
        if "token_type_ids" in self._tokenizer.model_input_names:
            inputs["token_type_ids"] = kinds
        logits = self._model(**{k: v.to(self._device) for k, v in inputs.items()}).logits
        places = torch.tensor([place for _, place, _ in batch], device=self._device)
        at_mask = logits[torch.arange(len(batch), device=self._device), places].float()
        of_words = at_mask.log_softmax(1)[:, self._ids.to(self._device)]
        # Ties are broken by the token's number, on every machine alike: the sort is stable.
        values, order = of_words.sort(dim=1, descending=True, stable=True)
        keep = self._top + 1  # the original may be among them
        return [
            [(self._words[j], p) for j, p in zip(line[:keep], ps[:keep], strict=True)]
            for line, ps in zip(order[:, :keep].tolist(), values[:, :keep].tolist(), strict=True)
        ]

    def _best(
        self, proposals: Sequence[Proposal], log_p: Sequence[Sequence[float]]
    ) -> list[list[str]]:
        """The words of each proposal above the threshold, the best-ranked first, at most `most`."""
        originals = self._encoder.word_vectors([
            WordAt(p.context.sentence, *p.context.span) for p in proposals
        ])
        exchanged = [p.context.with_word(word) for p in proposals for word in p.words]
        vectors = self._encoder.word_vectors([WordAt(c.sentence, *c.span) for c in exchanged])
        owner = np.repeat(np.arange(len(proposals)), [len(p.words) for p in proposals])
        scores = iter(cosines(originals[owner], vectors).tolist())
        best = []
        for proposal, logs in zip(proposals, log_p, strict=True):
            ranked = [
                (-(cosine + _WEIGHT_OF_LOG_P * log), word)
                for word, log, cosine in zip(
                    proposal.words, logs, islice(scores, len(proposal.words)), strict=True
                )
                if cosine >= self._least_cosine
            ]
            best.append([word for _, word in sorted(ranked)[: self._most]])
        return best


def _whole_words(tokenizer: Any) -> tuple[torch.Tensor, list[str]]:
    """Tokens that are one lower-case word after a space, by their numbers, and those words."""
    tokens = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    words = [(i, token.lstrip("Ġ▁")) for token, i in tokens]
    plain = [(i, w) for i, w in words if w.isascii() and w.isalpha() and w.islower()]
    if not plain:
        return torch.empty(0, dtype=torch.long), []
    encoded = tokenizer([f" {word}" for _, word in plain], add_special_tokens=False)["input_ids"]
    whole = [(i, w) for (i, w), ids in zip(plain, encoded, strict=True) if ids == [i]]
    return torch.tensor([i for i, _ in whole], dtype=torch.long), [word for _, word in whole]


def _mask_of(row: Any, span: tuple[int, int]) -> int | None:
    """The mask's place among the tokens of a pair; None where it was cut off.

    A text may hold the mask token itself: only the one in the second sentence at `span` counts.
    """
    for place, (part, (start, end)) in enumerate(zip(row.sequence_ids, row.offsets, strict=True)):
        if part == 1 and start < end and start < span[1] and end > span[0]:
            return place
    return None
