"""What a model says of training sequences: one number for each, and which sequences have one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import InsufficientEvidence, InvalidInput
from ..suspect import Suspect
from .transcript import Transcript

__all__ = [
    "PUBLISHED_WINDOW",
    "WHOLE",
    "Window",
    "mean_logprobs",
    "scored_rows",
    "tokenizer_doubts",
    "window_means",
]

_PROBED = 50  # sequences whose tokens are put in random order
_FIRST_TOKENS = 64  # of each of them
# Nats per token by which the right order must be likelier. A model of 1.3 M parameters after 200,000 tokens
# gains 2.6 on its own ids, and 0.0 (single sequences up to 0.6) on those of another tokenizer.
_LEAST_GAIN = 0.25


@dataclass(frozen=True, slots=True)
class Window:
    """The tokens of a sequence that are scored.

    Attributes:
        prefix: Tokens at the beginning that are read and not scored.
        tokens: Tokens scored after it at most; None: all.
    """

    prefix: int = 0
    tokens: int | None = None

    def __post_init__(self) -> None:
        if self.prefix < 0 or (self.tokens is not None and self.tokens < 1):
            raise InvalidInput(
                f"expected a prefix of 0 or more tokens and a window of at least 1, got {self.prefix} and "
                f"{self.tokens}"
            )

    @property
    def end(self) -> int | None:
        """The first token that is no longer read, or None."""
        return None if self.tokens is None else self.prefix + self.tokens

    def __str__(self) -> str:
        if self == WHOLE:
            return "whole sequences"
        if self.tokens is None:
            return f"all tokens after a prefix of {self.prefix}"
        return f"{self.tokens} tokens after a prefix of {self.prefix}"


WHOLE = Window()
PUBLISHED_WINDOW = Window(32, 32)  # of arXiv 2510.19796


def scored_rows(transcript: Transcript, window: Window) -> NDArray[np.int64]:
    """The rows that are long enough for a window, as far as their length is known without a tokenizer."""
    least = max(window.prefix, 1) + 1
    return np.array(
        [
            row
            for row, sequence in enumerate(transcript.sequences)
            if isinstance(sequence, str) or len(sequence) >= least
        ],
        dtype=np.int64,
    )


def mean_logprobs(
    transcript: Transcript, suspect: Suspect, window: Window = WHOLE
) -> NDArray[np.float64]:
    """`window_means` of all sequences of a transcript."""
    return window_means(transcript.sequences, suspect, window, name=transcript.source.name)


def window_means(
    sequences: Sequence[str | tuple[int, ...]], suspect: Suspect, window: Window, *, name: str
) -> NDArray[np.float64]:
    """Mean log-probability per token of each sequence, shape (n,), in nats.

    Args:
        sequences: Texts or token ids.
        suspect: The model.
        window: Which tokens count. Of texts, tokens are those of the suspect's tokenizer.
        name: What to call the sequences in an error.

    Raises:
        InvalidInput: If the suspect cannot tell the window's tokens from the others.
        InsufficientEvidence: If a sequence has no token that can be scored.
    """
    if window != WHOLE and getattr(suspect, "tells_means_only", False):
        raise InvalidInput(
            f"{suspect.identity.name}: only means over whole sequences were recorded",
            "leave out --prefix-tokens and --window-tokens",
        )
    asked = [s if isinstance(s, str) else s[: window.end] for s in sequences]
    means = np.empty(len(asked))
    told = suspect.token_logprobs(asked)
    for row, (sequence, scores) in enumerate(zip(asked, told, strict=True)):
        # The first of a list of ids has no score; of a text it has one if the tokenizer has a start.
        first = window.prefix if isinstance(sequence, str) else max(window.prefix - 1, 0)
        counted = scores[first:][: window.tokens]
        if counted.size == 0:
            raise InsufficientEvidence(
                f"{name}: row {row + 1} has no token with {max(window.prefix, 1)} before it",
                "leave out sequences that are so short",
            )
        means[row] = counted.mean()
    return means


def tokenizer_doubts(transcript: Transcript, suspect: Suspect) -> list[str]:
    """What a finding must say if token ids seem to mean nothing to a model.

    A model finds its own language likelier than the same tokens in random order. Of ids from another
    tokenizer it does not, and then its answers cannot show that it descends from anything. Neither steps
    nor the scores under test are looked at.

    Args:
        transcript: The sequences; texts need no check.
        suspect: The model; recorded answers are about the sequences alone, so they are not checked.

    Returns:
        A warning at most.
    """
    rng = np.random.default_rng(0)
    ids = [s for s in transcript.sequences if not isinstance(s, str) and len(set(s)) > 2]
    probed = [ids[i][:_FIRST_TOKENS] for i in rng.permutation(len(ids))[:_PROBED]]
    if not probed or getattr(suspect, "source", None) is not None:
        return []
    mixed = [tuple(int(token) for token in rng.permutation(s)) for s in probed]
    told = suspect.token_logprobs([*probed, *mixed])
    pairs = zip(told[: len(probed)], told[len(probed) :], strict=True)
    if np.median([right.mean() - wrong.mean() for right, wrong in pairs]) >= _LEAST_GAIN:
        return []
    return [
        f"{suspect.identity.name} finds these token ids hardly likelier than the same ids in random order: "
        "they may be another tokenizer's. Then a result without evidence says nothing; ask about texts."
    ]


def concatenated(values: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lists one behind the other, and where each begins."""
    lengths = np.array([len(v) for v in values], dtype=np.int64)
    flat = np.fromiter((i for v in values for i in v), dtype=np.int64, count=int(lengths.sum()))
    return flat, np.cumsum(lengths) - lengths
