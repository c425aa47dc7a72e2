"""What every way of reaching a model has in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidInput
from ...stats import Input

__all__ = [
    "ChoiceSlot",
    "Completer",
    "LikelihoodReader",
    "Suspect",
    "TokenReader",
    "TokenTable",
    "hearsay_of",
    "inputs_of",
    "refuse_same_model",
    "which_model",
]


@dataclass(frozen=True, slots=True)
class ChoiceSlot:
    """A place in a text and the words that could stand there.

    Attributes:
        start: First character of the place (code points).
        end: End of the place, exclusive.
        choices: The words to score.
    """

    start: int
    end: int
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTable:
    """What a model says of each scored token of one text, in nats; all arrays have shape (n,).

    Attributes:
        tokens: Each token as the tokenizer writes it; empty where they are not known.
        logprobs: Its log-probability given the tokens before it.
        mean: Expectation of log p(v) over the vocabulary, v drawn from the model's distribution at that
            place (minus its entropy); None where only the token's own probability is known.
        sd: Standard deviation of the same; None likewise.
    """

    tokens: tuple[str, ...]
    logprobs: NDArray[np.float64]
    mean: NDArray[np.float64] | None = None
    sd: NDArray[np.float64] | None = None


class LikelihoodReader(Protocol):
    """A model that tells how likely sequences are: all that tests of an order ask of it.

    Attributes:
        identity: Name and digest of what exactly is examined.
    """

    identity: Input

    def token_logprobs(self, sequences: Sequence[str | Sequence[int]]) -> list[NDArray[np.float64]]:
        """Log-probabilities of the tokens of each sequence, in nats.

        Args:
            sequences: Texts, or sequences of token ids. The first token of a text counts if the
                tokenizer has a token to start from; the first of a list of ids never does.

        Returns:
            Per sequence the log-probability of each token given those before it.
        """


class Suspect(LikelihoodReader, Protocol):
    """A model under audit, or a reference model."""

    def choice_logprobs(
        self, texts: Sequence[str], slots: Sequence[Sequence[ChoiceSlot]]
    ) -> list[list[NDArray[np.float64]]]:
        """Log-probabilities of words at places, given the text before each place, in nats.

        Args:
            texts: The texts.
            slots: For each text its places, ascending.

        Returns:
            Per text and place the log-probabilities of the choices, shape (n_choices,), comparable
            with each other; NaN where nothing precedes the place that a model could start from.
        """


@runtime_checkable
class TokenReader(Protocol):
    """A model that tells what membership scores need of each token.

    Attributes:
        identity: Name and digest of what exactly is examined.
    """

    identity: Input

    def token_tables(self, texts: Sequence[str]) -> list[TokenTable]:
        """The tokens of each text with their log-probabilities, in nats.

        Args:
            texts: Texts. The first token of a text counts if the tokenizer has a token to start from.
        """

    def tokens(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """The tokens of each text as the tokenizer writes them; nothing is scored.

        Args:
            texts: Texts.

        Raises:
            InvalidInput: If the tokenizer is not known.
        """


@runtime_checkable
class Completer(Protocol):
    """A model that continues texts, and need not tell how likely anything is.

    Attributes:
        identity: Name and digest of what exactly is examined.
    """

    identity: Input

    def complete(
        self, prompts: Sequence[str], *, n_samples: int, max_new_tokens: int, seed: int
    ) -> list[list[str]]:
        """Continue texts, drawing at temperature 1 from the whole vocabulary if the model allows it.

        Args:
            prompts: The texts.
            n_samples: Continuations per text.
            max_new_tokens: Length of each, in tokens.
            seed: Seed of the draws.

        Returns:
            Per text its continuations.
        """


def inputs_of(*models: LikelihoodReader | Completer | TokenReader) -> tuple[Input, ...]:
    """What a finding records of models: each one's identity, and the file its answers were read from."""
    found: list[Input] = []
    for model in models:
        source: Input | None = getattr(model, "source", None)
        found += [model.identity, *(() if source is None else (source,))]
    return tuple(found)


def hearsay_of(*models: LikelihoodReader | Completer | TokenReader) -> tuple[str, ...]:
    """What a finding must say where a model is known by somebody's account of it only."""
    told = [model.identity.name for model in models if getattr(model, "source", None) is not None]
    if not told:
        return ()
    return (
        f"What {', '.join(told)} answered, and the digest of the model, are what the party who recorded "
        "the answers says; nobody opened the weights here.",
    )


def refuse_same_model(suspect: LikelihoodReader, references: Sequence[LikelihoodReader]) -> None:
    """Refuse a model that is named twice: regressed on itself it would always look innocent.

    Args:
        suspect: The model under audit.
        references: The models it is compared with.

    Raises:
        InvalidInput: If two of them are the same files, or the same model of one endpoint.
    """
    seen = {which_model(suspect): f"the suspect {suspect.identity.name}"}
    for reference in references:
        name, which = reference.identity.name, which_model(reference)
        if which in seen:
            raise InvalidInput(
                f"reference {name} is the same model as {seen[which]}", "name another reference"
            )
        seen[which] = f"the reference {name}"


def which_model(model: LikelihoodReader) -> str:
    """What tells a model from others: the address of an endpoint, whose digest grows with its answers."""
    name = model.identity.name
    return name if name.startswith(("http://", "https://")) else model.identity.sha256
