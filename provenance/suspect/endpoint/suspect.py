"""Models behind an OpenAI-compatible endpoint, asked through `/completions` with echoed log-probabilities.

A prompt's tokens are scored by asking for one more token and reading those of the prompt alone. The
tokenizer need not be known: tokens are told apart by what the server writes, see `echo`. Every answer
is kept, so nothing is paid for twice. The texts leave this machine: the caller must be allowed to send them.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ....errors import InvalidInput
from ....files import canonical_json
from ....stats import Input
from ..base import ChoiceSlot, TokenTable
from .answers import AnswerStore, default_store
from .asking import Asker
from .budget import Budget
from .echo import (
    BadEchoError,
    Echo,
    NoPromptLogprobsError,
    echo_of,
    echo_of_ids,
    generated_tokens,
    read_logprobs,
)
from .http_client import Api, Patience, Question, Reply
from .pieces import Piece, context_before, pieces_of
from .rehearsal import Rehearsal, RehearsedAsker
from .sampling import Draw, continuations_of, draw_question, shares

__all__ = ["Budget", "EndpointSuspect", "Reaching"]

_OK = 200
_BAD_REQUEST = frozenset({400, 422})
_HELD = 2_000_000  # characters whose tokens are held at a time
_LOST = "\ufffd"
_NEED = "the keyed, sequential, palimpsest and membership tests need them"
_REMAINS = "the completion test remains possible: --method completion"

_Prompt: TypeAlias = Piece | tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaching:
    """How an endpoint is reached; one object may serve several suspects, which then share the budget.

    Attributes:
        token_variable: Environment variable that holds the API token, or None.
        answers: File that keeps the answers; default: one in the user's cache folder. Private.
        start: Text sent before every text, such as `<|endoftext|>`; its tokens are not counted. Without
            it the first token of a text has no log-probability, unless the server starts texts itself.
        longest: Longest text sent at once, in characters; longer ones go through half-overlapping
            pieces that begin between words. None: no limit.
        chat: Whether texts are continued through `/chat/completions`, for models that know no other way.
        budget: What may be spent.
        patience: How often and how long to try.
        rehearsal: If given, nothing is sent: it counts what would be.

    Raises:
        InvalidInput: If pieces would be too short.
    """

    token_variable: str | None = None
    answers: Path | None = None
    start: str = ""
    longest: int | None = None
    chat: bool = False
    budget: Budget = field(default_factory=Budget)
    patience: Patience = field(default_factory=Patience)
    rehearsal: Rehearsal | None = None

    def __post_init__(self) -> None:
        if self.longest is not None and self.longest < 2:
            raise InvalidInput(f"expected pieces of at least 2 characters, got {self.longest}")


class EndpointSuspect:
    """A model behind an endpoint.

    Args:
        url: Base address of the API, such as `https://api.example.org/v1`.
        model: The model's name there.
        how: How to reach it.

    Attributes:
        identity: Address and model name, and SHA-256 over `record`; another one once something was asked.
        on_progress: Called with the questions answered so far, their total, and the seconds it took.

    Raises:
        InvalidInput: If the address is none, or would send a token unencrypted over a network.
    """

    def __init__(self, url: str, model: str, how: Reaching | None = None) -> None:
        self._how = Reaching() if how is None else how
        self._api = Api(url, token_variable=self._how.token_variable, patience=self._how.patience)
        answers = self._how.answers
        store = default_store() if answers is None else AnswerStore(answers)
        asking = (self._api, model, store, self._how.budget)
        rehearsal = self._how.rehearsal
        self._asker = Asker(*asking) if rehearsal is None else RehearsedAsker(rehearsal, *asking)
        self._model = model
        self._one_sample_at_once = False
        self.identity = self._identified()
        self.on_progress: Callable[[int, int, float], object] = lambda done, total, seconds: None

    @classmethod
    def open(cls, name: str, how: Reaching | None = None) -> "EndpointSuspect":
        """Reach a model by `https://host/v1#model`.

        Raises:
            InvalidInput: If the name has no model, or as for the class.
        """
        url, _, model = name.partition("#")
        suspect = cls(url, model, how)
        if not model:
            raise InvalidInput(
                f"{url}: which model?", "expected one such as https://api.example.org/v1#model"
            )
        return suspect

    @property
    def _name(self) -> str:
        return f"{self._api.url}#{self._model}"

    def _identified(self) -> Input:
        return Input(name=self._name, sha256=hashlib.sha256(self.record()).hexdigest())

    def record(self) -> bytes:
        """What is known of the endpoint, as canonical JSON: to be attached to reports.

        Address, model name, when the first of the kept answers came, and what the answers say of who
        gave them. Before anything was asked: address and model name.
        """
        known = {"url": self._api.url, "model": self._model}
        return canonical_json(known | self._asker.witnessed())

    def token_logprobs(self, sequences: Sequence[str | Sequence[int]]) -> list[NDArray[np.float64]]:
        """See `Suspect.token_logprobs`.

        Raises:
            InvalidInput: If the endpoint cannot be used, or tells no log-probabilities of prompts.
            Interrupted: If the budget is spent.
        """
        return [_values(echo) for echo in self._echoes(sequences)]

    def token_tables(self, texts: Sequence[str]) -> list[TokenTable]:
        """See `TokenReader.token_tables`; mean and sd are not known. Raises as `token_logprobs`."""
        return [
            TokenTable(tokens=echo.scored().tokens, logprobs=_values(echo))
            for echo in self._echoes(texts)
        ]

    def tokens(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """See `TokenReader.tokens`.

        Raises:
            InvalidInput: Always: the tokenizer is not known.
        """
        raise InvalidInput(
            f"{self._name}: an endpoint does not tell the tokens of {len(texts):,} texts unscored",
            "this needs a model whose tokenizer is at hand",
        )

    def choice_logprobs(
        self, texts: Sequence[str], slots: Sequence[Sequence[ChoiceSlot]]
    ) -> list[list[NDArray[np.float64]]]:
        """See `Suspect.choice_logprobs`.

        One prompt for each choice: the text before the place and the choice. A word's score is the sum
        over its tokens, from the first token in which the choices of the place differ. Raises as
        `token_logprobs`.
        """
        places = [(text, slot) for text, own in zip(texts, slots, strict=True) for slot in own]
        scores = (
            _choice_scores(rows)
            for rows in self._scored([self._choice_prompts(*place) for place in places])
        )
        return [[next(scores) for _ in own] for own in slots]

    def complete(
        self, prompts: Sequence[str], *, n_samples: int, max_new_tokens: int, seed: int
    ) -> list[list[str]]:
        """See `Completer.complete`. The seed is sent along; not every endpoint heeds it.

        Raises:
            InvalidInput: If the endpoint cannot be used.
            Interrupted: If the budget is spent.
        """
        if n_samples < 1 or max_new_tokens < 1:
            raise InvalidInput(
                f"expected at least 1 sample of 1 token, got {n_samples} of {max_new_tokens}"
            )
        sent = [self._how.start * (not self._how.chat) + prompt for prompt in prompts]
        drawn: list[list[str]] = [[] for _ in prompts]
        while wanted := [
            Draw(prompt, first, count)
            for prompt, samples in enumerate(drawn)
            for first, count in shares(len(samples), n_samples, one_by_one=self._one_sample_at_once)
        ]:
            body = {"model": self._model, "max_tokens": max_new_tokens}
            questions = [
                draw_question(sent[draw.prompt], draw, body, seed=seed, chat=self._how.chat)
                for draw in wanted
            ]
            for draw, samples in zip(wanted, self._drawn(wanted, questions), strict=True):
                drawn[draw.prompt] += samples or []
        return drawn

    def _drawn(self, wanted: Sequence[Draw], questions: Sequence[Question]) -> list[Any]:
        """The samples of each draw; None where several at once were refused."""

        def read(index: int, reply: Reply) -> tuple[list[str] | None, int]:
            if reply.status in _BAD_REQUEST and wanted[index].count > 1:
                self._one_sample_at_once = True
                return None, 0
            if reply.status != _OK:
                raise self._api.refusal(reply)
            return continuations_of(reply.data, wanted[index].count), 0

        answers = self._asker.ask(questions, read, lambda index, answer: None, self.on_progress)
        self.identity = self._identified()
        return answers

    def _choice_prompts(self, text: str, slot: ChoiceSlot) -> list[_Prompt]:
        before = context_before(text, slot.start, self._how.longest)
        return [Piece("", before + choice) for choice in slot.choices]

    def _echoes(self, sequences: Sequence[str | Sequence[int]]) -> Iterator[Echo]:
        """The tokens of each sequence, a long text's put together from its pieces."""
        prompts: list[list[_Prompt]] = [
            [*pieces_of(sequence, self._how.longest)]
            if isinstance(sequence, str)
            else [tuple(map(int, sequence))]
            for sequence in sequences
        ]
        for parts in self._scored(prompts):
            yield Echo(
                tuple(token for part in parts for token in part.tokens),
                tuple(value for part in parts for value in part.logprobs),
            )

    def _scored(self, jobs: Sequence[Sequence[_Prompt]]) -> Iterator[list[Echo]]:
        """For each job the tokens of its prompts; only some jobs' tokens are held at a time."""
        total = len({prompt for job in jobs for prompt in job})
        done = 0
        for some in _chunks(jobs):
            found = self._ask(list(dict.fromkeys(p for job in some for p in job)), done, total)
            done += len(found)
            yield from ([found[prompt] for prompt in job] for job in some)

    def _ask(self, prompts: Sequence[_Prompt], done: int, total: int) -> dict[_Prompt, Echo]:
        """The tokens of each prompt that count; those with nothing to score are not asked about."""
        asked = [p for p in prompts if (p.text if isinstance(p, Piece) else p[1:])]
        questions = [self._echo_question(prompt) for prompt in asked]

        def read(index: int, reply: Reply) -> tuple[dict[str, Any], int]:
            if reply.status != _OK:
                raise self._api.refusal(reply, _maybe(questions[index].characters))
            whole = self._useful(lambda: read_logprobs(reply.data))
            answer = {"tokens": whole.tokens, "logprobs": whole.logprobs}
            return answer | {"generated": generated_tokens(reply.data)}, len(whole.tokens)

        def check(index: int, answer: Any) -> None:
            self._cut(asked[index], answer)

        def show(new: int, _: int, seconds: float) -> None:
            self.on_progress(min(done + new, total), total, seconds)

        # An answer is kept before it is understood: it was paid for, and we may learn to read it.
        answers = self._asker.ask(questions, read, check, show)
        self.identity = self._identified()
        nothing: dict[_Prompt, Echo] = dict.fromkeys(prompts, Echo((), ()))
        return nothing | {p: self._cut(p, a) for p, a in zip(asked, answers, strict=True)}

    def _echo_question(self, prompt: _Prompt) -> Question:
        sent: str | list[int]
        if isinstance(prompt, Piece):
            sent = self._how.start + prompt.before + prompt.text
            characters = len(sent)
        else:
            sent, characters = list(prompt), 4 * len(prompt)
        # Servers refuse max_tokens=0, and what they draw does not matter; at temperature 1 no server
        # has a reason to scale what it tells.
        body = {
            "model": self._model,
            "prompt": sent,
            "max_tokens": 1,
            "temperature": 1,
            "logprobs": 1,
            "echo": True,
        }
        return Question("/completions", body, characters)

    def _cut(self, prompt: _Prompt, answer: Any) -> Echo:
        """The tokens that count of an answer as it is kept."""
        whole = Echo(tuple(answer["tokens"]), tuple(answer["logprobs"]))
        generated = answer["generated"]
        if isinstance(prompt, Piece):
            start = self._how.start + prompt.before
            return self._useful(lambda: echo_of(start, prompt.text, whole, generated=generated))
        echo = self._useful(lambda: echo_of_ids(len(prompt), whole, generated=generated))
        return Echo(echo.tokens[1:], echo.logprobs[1:])  # the first of a list of ids never counts

    def _useful(self, work: Callable[[], Echo]) -> Echo:
        try:
            return work()
        except NoPromptLogprobsError:
            raise InvalidInput(
                f"{self._name}: tells no log-probabilities of prompts, and {_NEED}", _REMAINS
            ) from None
        except BadEchoError as error:
            raise InvalidInput(
                f"{self._name}: {error}, so its log-probabilities cannot be used", _REMAINS
            ) from None


def _chunks(jobs: Sequence[Sequence[_Prompt]]) -> Iterator[list[Sequence[_Prompt]]]:
    """Jobs in order, some at a time, by the length of what they send."""
    chunk: list[Sequence[_Prompt]] = []
    held = 0
    for job in jobs:
        chunk.append(job)
        held += sum(len(p.before) + len(p.text) if isinstance(p, Piece) else len(p) for p in job)
        if held > _HELD:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def _values(echo: Echo) -> NDArray[np.float64]:
    return np.array(echo.scored().logprobs, dtype=np.float64)


def _choice_scores(rows: Sequence[Echo]) -> NDArray[np.float64]:
    """Log-probability of each row from the first token in which the rows differ; NaN if one is unknown.

    `alignment` goes back further where the text itself has other tokens there. Those are alike in all
    rows, so scores then differ from its by one constant per place, and no test looks at that.
    """
    most = min(len(row.tokens) for row in rows) - 1
    shared = 0
    while shared < most and _alike(rows, shared):
        shared += 1
    tails = [row.logprobs[shared:] for row in rows]
    if not all(tails) or any(value is None for tail in tails for value in tail):
        return np.full(len(rows), np.nan)
    return np.array([sum(value for value in tail if value is not None) for tail in tails])


def _alike(rows: Sequence[Echo], place: int) -> bool:
    """Whether all rows have the same token there, of those that one can tell apart."""
    first = rows[0]
    if any(row.tokens[place] != first.tokens[place] for row in rows):
        return False
    # A character that was cut in two may be any: the same one has the same log-probability.
    return _LOST not in first.tokens[place] or all(
        row.logprobs[place] == first.logprobs[place] for row in rows
    )


def _maybe(characters: int) -> str:
    return (
        f"if {characters:,} characters are too long for it, set a limit (--longest); if it tells no "
        f"log-probabilities of prompts, {_NEED}, and {_REMAINS}"
    )
