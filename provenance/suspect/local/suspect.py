"""Models whose weights are at hand, through transformers. Safetensors only; no remote code.

Many places of a text are scored in one pass by an attention mask of our own. Not every architecture
obeys one (recurrent ones cannot), so the first use compares both ways on made-up tokens, and a
model for which they differ gets a plain sequence per choice.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModelForCausalLM

from ....errors import InvalidInput
from ....stats import Input
from ..base import ChoiceSlot, TokenTable
from .alignment import align_slots
from .batching import fresh_scores, window_starts
from .devices import first_line
from .generation import continuations
from .loading import Loading, load
from .network import Moments, Network, Positions
from .packing import Branch, PackedRow, masked_inputs, packed_rows, single_rows

__all__ = ["TransformersSuspect"]

_CONTEXT = ("max_position_embeddings", "max_seq_len", "context_length")
_DEFAULT_CONTEXT = 2048
_SHORTEST_CONTEXT = 32
_LONGEST_ROW = 8192  # tokens; masks of our own grow with its square
_TRIAL_CONTEXT = 640  # local attention over fewer tokens is noticed, over more stands in the config
_TRIAL_TOLERANCE = 3e-3  # nats; a mask that is not obeyed costs far more
_ROUNDING = {torch.float32: 1.0}  # of the trial's tolerance; sixteen bits round far more coarsely
_COARSE = 100.0
_LOCAL_ATTENTION = ("sliding_window", "attention_chunk_size", "window_size")


class TransformersSuspect:
    """A causal language model and its tokenizer.

    Args:
        model: A model of transformers.
        tokenizer: Its fast tokenizer.
        identity: Name and digest of both.
        context: Longest sequence that is scored at once, in tokens; default: what the model takes, at
            most 8,192.
        stride: Tokens by which the windows of a longer text move on; default: half the context. Each
            token is scored in the first window that holds it.

    Attributes:
        identity: Name, and SHA-256 over the digests of weights, configuration and tokenizer.
        context: Longest sequence that is scored at once, in tokens.
        stride: Tokens between windows.
        on_progress: Called while `token_logprobs`, `token_tables` and `choice_logprobs` work with the
            tokens read so far, their total, and the seconds it took.

    Raises:
        InvalidInput: If the model takes too few tokens, sees later ones, or is asked for a context
            or stride it does not have.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        identity: Input,
        *,
        context: int | None = None,
        stride: int | None = None,
    ) -> None:
        self.identity = identity
        self.on_progress: Callable[[int, int, float], object] = lambda done, total, seconds: None
        self._tokenizer = tokenizer
        self._network = Network(model, identity.name)
        config = self._network.config
        named = [getattr(config, name, None) for name in _CONTEXT]
        longest = next((n for n in named if isinstance(n, int)), _DEFAULT_CONTEXT)
        if longest < _SHORTEST_CONTEXT:
            raise InvalidInput(
                f"{identity.name}: takes only {longest} tokens at once",
                f"at least {_SHORTEST_CONTEXT} are needed to score words in context",
            )
        start = tokenizer.bos_token_id
        self._start: int | None = tokenizer.eos_token_id if start is None else start
        held = _LONGEST_ROW if self._network.has_plain_head else self._network.most_held
        most = min(longest, _LONGEST_ROW, held)
        self.context: int = most if context is None else context
        if not _SHORTEST_CONTEXT <= self.context <= most:
            raise InvalidInput(
                f"{identity.name}: expected a context of {_SHORTEST_CONTEXT} to {most} tokens, got {context}"
            )
        self.stride: int = self.context // 2 if stride is None else stride
        if not 1 <= self.stride < self.context:
            raise InvalidInput(f"expected a stride of 1 to {self.context - 1} tokens, got {stride}")
        self._obeys: bool | None = None  # masks of our own; known after the first trial

    @classmethod
    def open(
        cls,
        name: str,
        how: Loading | None = None,
        *,
        context: int | None = None,
        stride: int | None = None,
    ) -> "TransformersSuspect":
        """Load a model from a folder or the hub.

        Args:
            name: Folder, or `owner/model`.
            how: Device, precision and adapter; default: float32 on the accelerator if there is one.
            context: See the class.
            stride: See the class.

        Returns:
            The suspect.

        Raises:
            InvalidInput: If weights are missing, pickled, broken, or want to run code.
        """
        loaded = load(AutoModelForCausalLM, name, how)
        try:
            return cls(
                loaded.model, loaded.tokenizer, loaded.identity, context=context, stride=stride
            )
        except InvalidInput:
            raise
        except Exception as error:  # whatever a model raises that is no causal language model
            raise InvalidInput(
                f"{name}: cannot be run as a causal language model: {first_line(error)}",
                "only causal language models can be examined",
            ) from error

    def token_logprobs(self, sequences: Sequence[str | Sequence[int]]) -> list[NDArray[np.float64]]:
        """See `Suspect.token_logprobs`. Texts beyond the context go through overlapping windows."""
        rows = [self._token_ids(sequence) for sequence in sequences]
        return [moments.logprobs for moments in self._moments(rows, spread=False)]

    def token_tables(self, texts: Sequence[str]) -> list[TokenTable]:
        """See `TokenReader.token_tables`."""
        rows = [self._token_ids(text) for text in texts]
        return [
            TokenTable(
                tokens=tuple(self._tokenizer.convert_ids_to_tokens(row[1:])),
                logprobs=moments.logprobs,
                mean=moments.mean,
                sd=moments.sd,
            )
            for row, moments in zip(rows, self._moments(rows, spread=True), strict=True)
        ]

    def tokens(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """See `TokenReader.tokens`."""
        if not texts:
            return []
        encoded = self._tokenizer(list(texts), add_special_tokens=False, verbose=False)
        return [tuple(self._tokenizer.convert_ids_to_tokens(ids)) for ids in encoded["input_ids"]]

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
        reach = self._reach()
        rows = [
            row
            for i, (ids, places) in enumerate(aligned)
            for row in packed_rows(i, ids, places, reach=reach)
        ]
        groups: Iterator[list[PackedRow]]
        if not rows or self._obeys_masks():
            groups = iter([rows])
        else:  # row by row, as the copies of all of them might fill the memory
            groups = (list(single_rows(row)) for row in rows)
        show = self._shown(sum(row.length for row in rows))
        for group in groups:
            for (text, branch), score in self._branch_scores(group, show):
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
            self._network.model,
            rows,
            n_samples=n_samples,
            max_new_tokens=max_new_tokens,
            seed=seed,
            device=self._network.device,
        )
        return [
            [self._tokenizer.decode(ids, skip_special_tokens=True) for ids in samples]
            for samples in drawn
        ]

    def _moments(self, rows: Sequence[Sequence[int]], *, spread: bool) -> list[Moments]:
        """What the model says of each token but the first of each row."""
        found = [np.zeros((3 if spread else 1, max(len(row) - 1, 0))) for row in rows]
        windows = [
            (index, begin, row[begin : begin + self.context])
            for index, row in enumerate(rows)
            for begin in window_starts(len(row), self.context, self.stride)
        ]

        def work(batch: list[tuple[int, int, Sequence[int]]]) -> Moments:
            hidden = self._network.hidden_states([window for _, _, window in batch])
            wanted = Positions(
                torch.tensor([i for i, w in enumerate(batch) for _ in w[2][1:]], dtype=torch.long),
                torch.tensor([t for w in batch for t in range(len(w[2]) - 1)], dtype=torch.long),
                torch.tensor([token for w in batch for token in w[2][1:]], dtype=torch.long),
            )
            return self._network.moments(hidden, wanted, spread=spread)

        show = self._shown(sum(len(window) for _, _, window in windows))
        for batch, moments in self._network.in_batches(windows, lambda w: len(w[2]), work):
            parts = np.stack([
                a for a in (moments.logprobs, moments.mean, moments.sd) if a is not None
            ])
            ends = np.cumsum([max(len(window) - 1, 0) for _, _, window in batch])[:-1]
            for (index, begin, window), part in zip(
                batch, np.split(parts, ends, axis=1), strict=True
            ):
                fresh = fresh_scores(begin, self.context, self.stride)
                found[index][:, begin + fresh : begin + len(window) - 1] = part[:, fresh:]
            show(sum(len(window) for _, _, window in batch))
        return [Moments(*values) for values in found]

    def _shown(self, total: int) -> Callable[[int], None]:
        """Counts tokens and tells `on_progress`."""
        begin, done = time.perf_counter(), 0

        def show(tokens: int) -> None:
            nonlocal done
            done += tokens
            self.on_progress(min(done, total), total, time.perf_counter() - begin)

        return show

    def _branch_scores(
        self, rows: Sequence[PackedRow], show: Callable[[int], None] = lambda tokens: None
    ) -> Iterator[tuple[tuple[int, Branch], float]]:
        """Text, branch and log-probability of every branch, in no particular order."""

        def work(batch: list[PackedRow]) -> Moments:
            hidden = self._packed_hidden_states(batch)
            lines: list[int] = []
            columns: list[int] = []
            targets: list[int] = []
            for line, row in enumerate(batch):
                for branch in row.branches:
                    lines += [line] * len(branch.tokens)
                    columns += [
                        branch.context - 1,
                        *range(branch.first, branch.first + len(branch.tokens) - 1),
                    ]
                    targets += branch.tokens
            wanted = Positions(torch.tensor(lines), torch.tensor(columns), torch.tensor(targets))
            return self._network.moments(hidden, wanted)

        for batch, moments in self._network.in_batches(rows, lambda row: row.length, work):
            owners = [(row.text, branch) for row in batch for branch in row.branches]
            ends = np.cumsum([len(branch.tokens) for _, branch in owners])
            for owner, part in zip(owners, np.split(moments.logprobs, ends[:-1]), strict=True):
                yield owner, float(part.sum())
            show(sum(row.length for row in batch))

    def _packed_hidden_states(self, rows: Sequence[PackedRow]) -> Tensor:
        if all(row.is_single for row in rows):
            return self._network.hidden_states([
                (*row.window, *row.branches[0].tokens[:-1]) for row in rows
            ])
        return self._network.forward(**masked_inputs(rows, self._network.model.dtype))

    def _obeys_masks(self) -> bool:
        """Whether packed rows get the scores of plain sequences; tried once, on made-up tokens."""
        if self._obeys is None:
            self._obeys = self._masks_work()
        return self._obeys

    def _masks_work(self) -> bool:
        n = min(self._reach(), _TRIAL_CONTEXT) - 3
        tokens = [(7919 * i + 13) % self._network.vocabulary for i in range(n + 6)]
        branches = tuple(
            Branch(i, 0, context, tuple(tokens[-3 - i :][:3]), n + 2 * i)
            for i, context in enumerate((2, n // 2, n))
        )
        packed = PackedRow(0, tuple(tokens[:n]), branches)
        expected = [score for row in single_rows(packed) for _, score in self._branch_scores([row])]
        try:
            found = [score for _, score in self._branch_scores([packed])]
        except InvalidInput:  # it cannot take such a mask at all
            return False
        tolerance = _TRIAL_TOLERANCE * _ROUNDING.get(self._network.model.dtype, _COARSE)
        return bool(np.allclose(found, expected, rtol=tolerance / 30, atol=tolerance))

    def _reach(self) -> int:
        """Longest window of a packed row: within it no layer's local attention forgets anything."""
        local = [getattr(self._network.config, name, None) for name in _LOCAL_ATTENTION]
        longer = [n for n in local if isinstance(n, int) and n > _TRIAL_CONTEXT]
        return min(self.context, _LONGEST_ROW // 2, *longer)

    def _token_ids(self, sequence: str | Sequence[int]) -> list[int]:
        if not isinstance(sequence, str):
            vocabulary = self._network.vocabulary
            if (largest := max(sequence, default=-1)) >= vocabulary:
                raise InvalidInput(
                    f"token id {largest} is beyond the {vocabulary} tokens of {self.identity.name}",
                    "the sequences were tokenised for another model: give them as text",
                )
            return list(sequence)
        ids: list[int] = self._tokenizer(sequence, add_special_tokens=False, verbose=False)[
            "input_ids"
        ]
        return ids if self._start is None else [self._start, *ids]
