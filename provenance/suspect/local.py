"""Models whose weights are at hand, through transformers. Safetensors only; no remote code.

Memory: logits are never held for a whole batch. The transformer's last hidden states are; the
output layer is applied to the positions that are asked for, in chunks. Only where a model does more
to its logits than that (soft caps, a bias) are they held, and batches are smaller for it.

Many places of a text are scored in one pass by an attention mask of our own. Not every architecture
obeys one (recurrent ones cannot), so the first use compares both ways on made-up tokens, and a
model for which they differ gets a plain sequence per choice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from ...errors import InvalidInput
from ...stats import Input
from .alignment import AlignedSlot, align_slots
from .base import ChoiceSlot
from .devices import device_named, first_line
from .folders import folder_digest, refuse_unsafe, weights_digest
from .generation import continuations

__all__ = ["TransformersSuspect"]

_TOKENS_PER_BATCH = 8192
_LOGITS_PER_CHUNK = 1 << 24  # 64 MiB of float32
_CONTEXT = ("max_position_embeddings", "max_seq_len", "context_length")
_DEFAULT_CONTEXT = 2048
_SHORTEST_CONTEXT = 32
_LONGEST_ROW = 8192  # tokens; masks of our own grow with its square
_TRIAL_CONTEXT = 640  # local attention over fewer tokens is noticed, over more stands in the config
_TRIAL_TOLERANCE = 3e-3  # nats; a mask that is not obeyed costs far more
_HELD_LOGITS = 1 << 28  # 1 GiB of float32
_LOCAL_ATTENTION = ("sliding_window", "attention_chunk_size", "window_size")

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class _Branch:
    """One choice of one slot as it lies in a packed row.

    Attributes:
        slot: Index of the slot within its text.
        choice: Index of the choice within its slot.
        context: Number of tokens of the row's text before the choice.
        tokens: Tokens of the choice.
        first: Index in the row of the first appended token.
    """

    slot: int
    choice: int
    context: int
    tokens: tuple[int, ...]
    first: int


@dataclass(frozen=True, slots=True)
class _PackedRow:
    """A window of a text followed by branches, each of which sees only its own context and itself."""

    text: int
    window: tuple[int, ...]
    branches: tuple[_Branch, ...]

    @property
    def length(self) -> int:
        return len(self.window) + sum(len(b.tokens) - 1 for b in self.branches)

    @property
    def is_single(self) -> bool:
        """Whether it is a plain sequence that needs no mask of our own."""
        return len(self.branches) == 1 and self.branches[0].context == len(self.window)


class TransformersSuspect:
    """A causal language model and its tokenizer.

    Attributes:
        identity: Name, and SHA-256 over the digests of weights, configuration and tokenizer.
        context: Longest sequence that is scored at once, in tokens: what the model takes, at most 8,192.
    """

    def __init__(self, model: Any, tokenizer: Any, identity: Input) -> None:
        self.identity = identity
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._device = next(model.parameters()).device
        config = model.config.get_text_config()
        named = [getattr(config, name, None) for name in _CONTEXT]
        longest = next((n for n in named if isinstance(n, int)), _DEFAULT_CONTEXT)
        if longest < _SHORTEST_CONTEXT:
            raise InvalidInput(
                f"{identity.name}: takes only {longest} tokens at once",
                f"at least {_SHORTEST_CONTEXT} are needed to score words in context",
            )
        start = tokenizer.bos_token_id
        self._start: int | None = tokenizer.eos_token_id if start is None else start
        self._vocabulary: int = model.get_input_embeddings().num_embeddings
        self._refuse_foresight()
        self._plain_head = self._head_is_plain()
        held = _LONGEST_ROW if self._plain_head else max(_HELD_LOGITS // self._vocabulary, 512)
        self.context: int = min(longest, _LONGEST_ROW, held)
        self._obeys: bool | None = None  # masks of our own; known after the first trial

    @classmethod
    def open(cls, name: str, *, device: str = "auto") -> "TransformersSuspect":
        """Load a model from a folder or the hub.

        Args:
            name: Folder, or `owner/model`.
            device: See `open_suspect`.

        Returns:
            The suspect, in float32.

        Raises:
            InvalidInput: If weights are missing, pickled, broken, or want to run code.
        """
        folder = Path(name)
        if folder.exists():
            refuse_unsafe(folder)
        place = device_named(device)
        options: dict[str, Any] = {"trust_remote_code": False}
        try:
            tokenizer = AutoTokenizer.from_pretrained(name, **options)
            model = AutoModelForCausalLM.from_pretrained(
                name, use_safetensors=True, dtype=torch.float32, **options
            ).to(place)
        except Exception as error:  # transformers raises whatever its backends raise
            raise InvalidInput(
                f"{name}: cannot be loaded as a causal language model: {first_line(error)}",
                "give a folder with config.json, *.safetensors and a tokenizer",
            ) from error
        if not tokenizer.is_fast:
            raise InvalidInput(
                f"{name}: its tokenizer does not tell which characters a token stands for",
                "convert it to a tokenizer.json",
            )
        if not tokenizer("a word", add_special_tokens=False)["input_ids"]:
            raise InvalidInput(
                f"{name}: no tokenizer, or an empty one", "copy tokenizer.json beside config.json"
            )
        if len(tokenizer) > model.get_input_embeddings().num_embeddings:
            raise InvalidInput(
                f"{name}: the tokenizer has {len(tokenizer)} tokens, the model only "
                f"{model.get_input_embeddings().num_embeddings}",
                "tokenizer and weights do not belong together",
            )
        digest = folder_digest(folder) if folder.exists() else weights_digest(model)
        try:
            return cls(model, tokenizer, Input(name=folder.resolve().name, sha256=digest))
        except InvalidInput:
            raise
        except Exception as error:  # whatever a model raises that is no causal language model
            raise InvalidInput(
                f"{name}: cannot be run as a causal language model: {first_line(error)}",
                "only causal language models can be examined",
            ) from error

    def token_logprobs(self, sequences: Sequence[str | Sequence[int]]) -> list[NDArray[np.float64]]:
        """See `Suspect.token_logprobs`. Texts beyond the context go through half-overlapping windows."""
        rows = [self._token_ids(sequence) for sequence in sequences]
        scores = [np.zeros(max(len(row) - 1, 0)) for row in rows]
        windows = [
            (index, begin, row[begin : begin + self.context])
            for index, row in enumerate(rows)
            for begin in _window_starts(len(row), self.context)
        ]
        for batch in _batches(windows, lambda w: len(w[2]), self._tokens_per_batch()):
            hidden = self._hidden_states([w[2] for w in batch])
            lines = torch.tensor([i for i, w in enumerate(batch) for _ in w[2][1:]])
            columns = torch.tensor([t for w in batch for t in range(len(w[2]) - 1)])
            targets = torch.tensor([token for w in batch for token in w[2][1:]])
            logprobs = self._gather(hidden, lines, columns, targets)
            for (index, begin, window), part in zip(
                batch,
                np.split(logprobs, np.cumsum([len(w[2]) - 1 for w in batch])[:-1]),
                strict=True,
            ):
                # A later window knows less of the past of its first half: keep the earlier scores.
                fresh = 0 if begin == 0 else self.context // 2 - 1
                scores[index][begin + fresh : begin + len(window) - 1] = part[fresh:]
        return scores

    def choice_logprobs(
        self, texts: Sequence[str], slots: Sequence[Sequence[ChoiceSlot]]
    ) -> list[list[NDArray[np.float64]]]:
        """See `Suspect.choice_logprobs`.

        One forward pass per window of a text scores all its places: the tokens of every choice are
        appended to the text, each seeing only the text before its place and itself. A model that
        does not obey such a mask gets one sequence per choice. A word's score is the sum over its
        tokens, from the first token in which the choices of a place differ.
        """
        scores = [[np.full(len(slot.choices), np.nan) for slot in places] for places in slots]
        aligned = align_slots(self._tokenizer, texts, slots, start_token=self._start)
        rows = [row for index, text in enumerate(aligned) for row in self._packed(index, *text)]
        groups: Iterator[list[_PackedRow]]
        if not rows or self._obeys_masks():
            groups = iter([rows])
        else:  # row by row, as the copies of all of them might fill the memory
            groups = (list(_singles(row)) for row in rows)
        for group in groups:
            for (text, branch), score in self._branch_scores(group):
                scores[text][branch.slot][branch.choice] = score
        return scores

    def complete(
        self, prompts: Sequence[str], *, n_samples: int, max_new_tokens: int, seed: int
    ) -> list[list[str]]:
        """See `Completer.complete`. Of a long prompt the end is used.

        Raises:
            InvalidInput: If the tokenizer has no token to start from and a prompt is empty.
        """
        room = self.context - max_new_tokens
        if n_samples < 1 or max_new_tokens < 1 or room < 1:
            raise InvalidInput(
                f"expected at least 1 sample of 1 to {self.context - 1} tokens, got {n_samples} of "
                f"{max_new_tokens}"
            )
        rows = [self._token_ids(prompt)[-room:] for prompt in prompts]
        if not all(rows):
            raise InvalidInput(
                "an empty prompt gives this model nothing to start from", "leave it out"
            )
        drawn = continuations(
            self._model,
            rows,
            n_samples=n_samples,
            max_new_tokens=max_new_tokens,
            seed=seed,
            device=self._device,
        )
        return [
            [self._tokenizer.decode(ids, skip_special_tokens=True) for ids in samples]
            for samples in drawn
        ]

    def _branch_scores(
        self, rows: Sequence[_PackedRow]
    ) -> Iterator[tuple[tuple[int, _Branch], float]]:
        """Text, branch and log-probability of every branch, in no particular order."""
        for batch in _batches(rows, lambda row: row.length, self._tokens_per_batch()):
            hidden = self._packed_hidden_states(batch)
            lines: list[int] = []
            columns: list[int] = []
            targets: list[int] = []
            owners: list[tuple[int, _Branch]] = []
            for line, row in enumerate(batch):
                for branch in row.branches:
                    before = [
                        branch.context - 1,
                        *range(branch.first, branch.first + len(branch.tokens) - 1),
                    ]
                    lines += [line] * len(branch.tokens)
                    columns += before
                    targets += branch.tokens
                    owners.append((row.text, branch))
            logprobs = self._gather(
                hidden, torch.tensor(lines), torch.tensor(columns), torch.tensor(targets)
            )
            ends = np.cumsum([len(branch.tokens) for _, branch in owners])
            for owner, part in zip(owners, np.split(logprobs, ends[:-1]), strict=True):
                yield owner, float(part.sum())

    def _obeys_masks(self) -> bool:
        """Whether packed rows get the scores of plain sequences; tried once, on made-up tokens."""
        if self._obeys is None:
            self._obeys = self._masks_work()
        return self._obeys

    def _masks_work(self) -> bool:
        n = min(self._reach(), _TRIAL_CONTEXT) - 3
        tokens = [(7919 * i + 13) % self._vocabulary for i in range(n + 6)]
        branches = tuple(
            _Branch(i, 0, context, tuple(tokens[-3 - i :][:3]), n + 2 * i)
            for i, context in enumerate((2, n // 2, n))
        )
        packed = _PackedRow(0, tuple(tokens[:n]), branches)
        expected = [score for row in _singles(packed) for _, score in self._branch_scores([row])]
        try:
            found = [score for _, score in self._branch_scores([packed])]
        except InvalidInput:  # it cannot take such a mask at all
            return False
        return bool(np.allclose(found, expected, rtol=1e-4, atol=_TRIAL_TOLERANCE))

    def _tokens_per_batch(self) -> int:
        """Fewer where the logits of a whole batch are held."""
        if self._plain_head:
            return _TOKENS_PER_BATCH
        return min(_TOKENS_PER_BATCH, _HELD_LOGITS // self._vocabulary)

    def _reach(self) -> int:
        """Longest window of a packed row: within it no layer's local attention forgets anything."""
        config = self._model.config.get_text_config()
        local = [getattr(config, name, None) for name in _LOCAL_ATTENTION]
        longer = [n for n in local if isinstance(n, int) and n > _TRIAL_CONTEXT]
        return min(self.context, _LONGEST_ROW // 2, *longer)

    def _token_ids(self, sequence: str | Sequence[int]) -> list[int]:
        if not isinstance(sequence, str):
            if (largest := max(sequence, default=-1)) >= self._vocabulary:
                raise InvalidInput(
                    f"token id {largest} is beyond the {self._vocabulary} tokens of {self.identity.name}",
                    "the sequences were tokenised for another model: give them as text",
                )
            return list(sequence)
        ids: list[int] = self._tokenizer(sequence, add_special_tokens=False, verbose=False)[
            "input_ids"
        ]
        return ids if self._start is None else [self._start, *ids]

    def _packed(
        self, text: int, tokens: Sequence[int], places: Sequence[AlignedSlot]
    ) -> Iterator[_PackedRow]:
        """Windows of one text, each with the branches of the places it gives most context to."""
        usable = [(index, place) for index, place in enumerate(places) if place.context > 0]
        if not usable:
            return
        longest = max(len(choice) for _, place in usable for choice in place.choices)
        reach = max(self._reach() - longest, 2)
        for begin in _window_starts(usable[-1][1].context, reach):
            first = begin + (0 if begin == 0 else reach // 2)
            mine = [(i, p) for i, p in usable if first < p.context <= begin + reach]
            if begin == 0:
                mine = [(i, p) for i, p in usable if p.context <= reach]
            if not mine:
                continue
            window = tuple(tokens[begin : max(place.context for _, place in mine)])
            branches: list[_Branch] = []
            position = len(window)
            for index, place in mine:
                for choice, choice_tokens in enumerate(place.choices):
                    if position + len(choice_tokens) > 2 * reach and branches:
                        yield _PackedRow(text, window, tuple(branches))
                        branches, position = [], len(window)
                    branches.append(
                        _Branch(index, choice, place.context - begin, choice_tokens, position)
                    )
                    position += len(choice_tokens) - 1
            yield _PackedRow(text, window, tuple(branches))

    def _hidden_states(self, rows: Sequence[Sequence[int]]) -> Tensor:
        ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        seen = torch.zeros_like(ids)
        for line, row in enumerate(rows):
            ids[line, : len(row)] = torch.tensor(row)
            seen[line, : len(row)] = 1
        return self._forward(input_ids=ids, attention_mask=seen)

    def _packed_hidden_states(self, rows: Sequence[_PackedRow]) -> Tensor:
        if all(row.is_single for row in rows):
            return self._hidden_states([(*r.window, *r.branches[0].tokens[:-1]) for r in rows])
        width = max(row.length for row in rows)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        positions = torch.zeros_like(ids)
        sees = torch.eye(width, dtype=torch.bool).repeat(len(rows), 1, 1)
        for line, row in enumerate(rows):
            n = len(row.window)
            ids[line, :n] = torch.tensor(row.window)
            positions[line, :n] = torch.arange(n)
            sees[line, :n, :n] = torch.ones(n, n, dtype=torch.bool).tril()
            for branch in row.branches:
                m = len(branch.tokens) - 1
                here = slice(branch.first, branch.first + m)
                ids[line, here] = torch.tensor(branch.tokens[:-1], dtype=torch.long)
                positions[line, here] = torch.arange(branch.context, branch.context + m)
                sees[line, here, : branch.context] = True
                sees[line, here, here] = torch.ones(m, m, dtype=torch.bool).tril()
        blocked = torch.finfo(self._model.dtype).min
        mask = torch.zeros(sees.shape, dtype=self._model.dtype).masked_fill_(~sees, blocked)
        return self._forward(input_ids=ids, attention_mask=mask[:, None], position_ids=positions)

    @torch.inference_mode()
    def _forward(self, **inputs: Tensor) -> Tensor:
        """Last hidden states, or logits where the output layer is not a plain matrix product."""
        placed = {name: tensor.to(self._device) for name, tensor in inputs.items()}
        try:
            if self._plain_head:
                states: Tensor = self._model.base_model(**placed, use_cache=False).last_hidden_state
                return states
            logits: Tensor = self._model(**placed, use_cache=False).logits
        except Exception as error:  # models raise whatever their backends raise
            raise InvalidInput(
                f"{self.identity.name}: cannot score {inputs['input_ids'].shape[1]} tokens at once: "
                f"{first_line(error)}",
                "it takes fewer than its configuration says, or memory is short",
            ) from error
        return logits

    @torch.inference_mode()
    def _gather(
        self, hidden: Tensor, lines: Tensor, columns: Tensor, targets: Tensor
    ) -> NDArray[np.float64]:
        """Log p of each target at its position, the output layer applied chunk by chunk."""
        head = self._model.get_output_embeddings()
        vocabulary = head.weight.shape[0]
        parts = [np.empty(0)]
        step = max(1, _LOGITS_PER_CHUNK // vocabulary)
        for begin in range(0, len(targets), step):
            chunk = slice(begin, begin + step)
            states = hidden[lines[chunk], columns[chunk]]
            logits = (head(states) if self._plain_head else states).float()
            wanted = logits.gather(1, targets[chunk].to(self._device)[:, None])[:, 0]
            parts.append((wanted - logits.logsumexp(1)).cpu().double().numpy())
        logprobs = np.concatenate(parts)
        if not np.isfinite(logprobs).all():
            raise InvalidInput(
                f"{self.identity.name}: gives log-probabilities that are not finite",
                "its weights are damaged, or overflow: ask for an intact copy",
            )
        return logprobs

    @torch.inference_mode()
    def _refuse_foresight(self) -> None:
        """Refuse a model that sees later tokens, as BERT does: its scores are no likelihoods."""
        ids = torch.arange(8, device=self._device)[None] % self._vocabulary
        other = ids.clone()
        other[0, -1] = self._vocabulary - 1
        one, two = (self._model(input_ids=i, use_cache=False).logits[0, :-1] for i in (ids, other))
        if not torch.allclose(one, two, rtol=1e-3, atol=1e-3, equal_nan=True):
            raise InvalidInput(
                f"{self.identity.name}: a token's score depends on the tokens after it",
                "only causal language models can be examined",
            )

    @torch.inference_mode()
    def _head_is_plain(self) -> bool:
        """Whether logits are the output layer applied to the last hidden states (no soft-capping)."""
        head = self._model.get_output_embeddings()
        if head is None:
            return False
        ids = torch.arange(4, device=self._device)[None] % head.weight.shape[0]
        hidden = self._model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        logits = self._model(input_ids=ids, use_cache=False).logits
        direct = head(hidden)
        return direct.shape == logits.shape and bool(torch.allclose(direct, logits, atol=1e-4))


def _singles(row: _PackedRow) -> Iterator[_PackedRow]:
    """A row for each branch, a plain sequence that ends with it."""
    for branch in row.branches:
        alone = replace(branch, first=branch.context)
        yield _PackedRow(row.text, row.window[: branch.context], (alone,))


def _window_starts(length: int, context: int) -> range:
    """Starts of windows of `context` tokens, half overlapping, that cover `length` tokens."""
    if length <= context:
        return range(1)
    half = context // 2
    return range(0, -(-(length - context) // half) * half + 1, half)


def _batches(
    items: Sequence[_Item], length: Callable[[_Item], int], most: int
) -> Iterator[list[_Item]]:
    """Batches of items of like length, each padded to at most so many tokens (or a single item)."""
    batch: list[_Item] = []
    for item in sorted(items, key=length, reverse=True):
        if batch and (len(batch) + 1) * length(batch[0]) > most:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
