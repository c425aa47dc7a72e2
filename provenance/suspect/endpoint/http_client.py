"""One client for every OpenAI-compatible endpoint: who is asked, how often, how long, and with which token.

The token is read from the environment when it is sent and kept nowhere else. An answer that repeats it
is refused, so that it gets into no file. Errors are raised outside `except` blocks: no exception of the
HTTP library, which holds the request, hangs on them.
"""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn
from urllib.parse import urlsplit

from ....display import visible
from ....errors import BookplateError, InvalidInput
from .address import checked_url, is_loopback, token_in
from .budget import Budget

__all__ = ["Api", "PassingTroubleError", "Patience", "Question", "Reply"]

_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_NOT_BILLED = 429
_LONGEST_BACKOFF = 60.0  # seconds; what an endpoint asks for may be longer
_MOST_SAID = 200  # characters of an endpoint's own words in an error


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How an endpoint is asked.

    Attributes:
        timeout: Seconds that one request may take, from connecting to the last byte.
        retries: How often a failed request is tried again.
        longest: Seconds that one question may take with all its tries.
        at_once: Requests under way at one time.
        first_wait: Seconds before the first repetition; doubled after each failure, with jitter.
        largest_answer: Bytes of an answer that are read.

    Raises:
        InvalidInput: If a limit makes no sense.
    """

    timeout: float = 60.0
    retries: int = 6
    longest: float = 900.0
    at_once: int = 4
    first_wait: float = 1.0
    largest_answer: int = 1 << 24

    def __post_init__(self) -> None:
        if self.timeout <= 0 or self.longest <= 0 or self.first_wait < 0:
            raise InvalidInput(
                f"expected a timeout and a longest wait above 0, got {self.timeout} and {self.longest}"
            )
        if self.retries < 0 or self.at_once < 1 or self.largest_answer < 1:
            raise InvalidInput(
                "expected retries >= 0 and at least one request at once, "
                f"got {self.retries} and {self.at_once}"
            )


@dataclass(frozen=True, slots=True)
class Question:
    """One request.

    Attributes:
        path: Below the address of the API, such as `/completions`.
        body: What is sent as JSON.
        characters: Length of what is sent, by which a budget guesses its tokens.
    """

    path: str
    body: Mapping[str, Any]
    characters: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        status: HTTP status; none that may pass.
        data: The JSON object; empty if it was none and the status is an error.
        headers: Response headers, names in lower case.
    """

    status: int
    data: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def said(self) -> str:
        """The endpoint's own words about an error, fit to be shown; empty if there are none."""
        error = self.data.get("error", self.data.get("message", self.data.get("detail")))
        words = error.get("message") if isinstance(error, dict) else error
        if not isinstance(words, str):
            return ""
        short = " ".join(words.split())
        return visible(short if len(short) <= _MOST_SAID else short[:_MOST_SAID] + "...")


class PassingTroubleError(Exception):
    """A failure after which the same request may succeed.

    Args:
        what: What happened, in few words.
        wait: Seconds the endpoint asks us to wait.
        billed: Whether the request may cost something all the same.
    """

    def __init__(self, what: str, wait: float = 0.0, *, billed: bool = True) -> None:
        super().__init__(what)
        self.wait = wait
        self.billed = billed


@dataclass
class _Round:
    """What the requests of one call share."""

    accept: Callable[[int, Reply], int]
    budget: Budget
    failed: BookplateError | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    not_before: float = 0.0  # an endpoint that is busy for one request is busy for all

    def fail(self, error: BookplateError) -> None:
        self.failed = self.failed or error
        self.stop.set()


class Api:
    """An OpenAI-compatible API.

    Args:
        url: Base address, such as `https://api.example.org/v1`.
        token_variable: Environment variable that holds the API token, or None.
        patience: How to ask.

    Attributes:
        url: The address without a slash at its end.

    Raises:
        InvalidInput: If the address is none, or would send a token unencrypted over a network.
    """

    def __init__(
        self, url: str, *, token_variable: str | None = None, patience: Patience | None = None
    ) -> None:
        self.url = checked_url(url, with_token=token_variable is not None)
        self._token_variable = token_variable
        self._patience = Patience() if patience is None else patience

    def ask_all(
        self,
        questions: Sequence[Question],
        accept: Callable[[int, Reply], int],
        *,
        budget: Budget | None = None,
    ) -> None:
        """Ask several questions, some at a time.

        After a failure no new request begins; those under way are waited for, as they may be paid for.

        Args:
            questions: What to ask.
            accept: Takes the index of a question and its reply, as soon as it comes, and returns how
                many tokens it saw in it; or raises `PassingTroubleError` to have it asked again. Never
                called twice at the same time.
            budget: What may be spent.

        Raises:
            InvalidInput: If there is no token, or an endpoint cannot be used.
            Interrupted: If the budget is spent.
        """
        if not questions:
            return
        token_in(self._token_variable)
        shared = _Round(accept, Budget() if budget is None else budget)
        _run(self._ask_in_parallel(questions, shared))
        if shared.failed is not None:
            raise shared.failed

    def refusal(self, reply: Reply, hint: str = "") -> InvalidInput:
        """The error for a status that is no success.

        Args:
            reply: The reply.
            hint: What to do; default: by the status.
        """
        # What is said of a token that was turned away may repeat a part of it.
        said = f": {reply.said}" if reply.said and reply.status not in {401, 403} else ""
        redirect = " (redirects are not followed)" if 300 <= reply.status < 400 else ""
        return InvalidInput(
            f"{self.url}: the endpoint answered with status {reply.status}{redirect}{said}",
            _hint(reply.status, self._token_variable)
            or hint
            or "check the address and the model's name",
        )

    async def _ask_in_parallel(self, questions: Sequence[Question], shared: _Round) -> None:
        import httpx

        waiting = iter(enumerate(questions))
        # One total deadline per request is ours; the library's own are per read and can be crept under.
        # Loopback is never asked through a proxy, which would see a token sent without encryption.
        async with httpx.AsyncClient(
            timeout=self._patience.timeout,
            trust_env=not is_loopback(urlsplit(self.url).hostname or ""),
            headers={"Accept-Encoding": "identity", "User-Agent": "bookplate"},
        ) as client:

            async def work() -> None:
                for index, question in waiting:
                    if shared.failed is None:
                        try:
                            await self._ask(client, index, question, shared)
                        except BookplateError as error:
                            shared.fail(error)

            await asyncio.gather(*(work() for _ in range(self._patience.at_once)))

    async def _ask(self, client: Any, index: int, question: Question, shared: _Round) -> None:
        """One question, asked again after failures that may pass."""
        deadline = time.monotonic() + self._patience.longest
        trouble: PassingTroubleError | None = None
        for attempt in range(self._patience.retries + 1):
            asked = 0.0 if trouble is None else trouble.wait
            pause = max(self._backoff(attempt), asked, shared.not_before - time.monotonic())
            if time.monotonic() + pause > deadline:
                busy = f"{trouble or 'busy'}, and {pause:,.0f} seconds to wait before the next try"
                _give_up(self.url, attempt, busy)
            if await _stopped_within(shared.stop, pause):
                return
            taken = shared.budget.take(question.characters)
            outcome = await self._try(client, index, question, shared)
            if not isinstance(outcome, PassingTroubleError):
                shared.budget.settle(taken, outcome)
                return
            trouble = outcome
            shared.budget.settle(taken, billed=trouble.billed)
            if trouble.wait:
                shared.not_before = max(shared.not_before, time.monotonic() + trouble.wait)
        _give_up(self.url, self._patience.retries + 1, str(trouble))

    async def _try(
        self, client: Any, index: int, question: Question, shared: _Round
    ) -> int | PassingTroubleError:
        """One request: how many tokens it took, or what went wrong that may pass."""
        try:
            async with asyncio.timeout(self._patience.timeout):
                reply = await self._post(client, question)
        except TimeoutError:
            return PassingTroubleError(f"no whole answer within {self._patience.timeout:g} seconds")
        if isinstance(reply, PassingTroubleError):
            return reply
        if isinstance(reply, InvalidInput):
            raise reply
        try:
            return max(shared.accept(index, reply), _usage(reply.data))
        except PassingTroubleError as error:
            return error

    async def _post(
        self, client: Any, question: Question
    ) -> Reply | PassingTroubleError | InvalidInput:
        """The endpoint's answer, read to its end, or an error: raised here, it would show the token."""
        import httpx

        url, token = f"{self.url}{question.path}", token_in(self._token_variable)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            async with client.stream(
                "POST", url, json=dict(question.body), headers=headers
            ) as answer:
                body = await _limited(answer.aiter_raw(), self._patience.largest_answer)
                status, fields = answer.status_code, dict(answer.headers.items())
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            # Only the kind of error: its text or its request could carry what was sent.
            return PassingTroubleError(type(error).__name__)
        except PassingTroubleError as error:
            return error
        if status in _PASSING:
            wait = _seconds(fields.get("retry-after", ""))
            return PassingTroubleError(f"status {status}", wait, billed=status != _NOT_BILLED)
        data = _json_object(body)
        if data is None and status == httpx.codes.OK:
            return PassingTroubleError("the answer is no JSON object")
        if token and token in json.dumps([data, fields], ensure_ascii=False):
            if status == httpx.codes.OK:
                return InvalidInput(
                    f"{self.url}: the endpoint repeats the API token in its answer",
                    "do not use it, and replace the token",
                )
            data = None
        return Reply(status, data or {}, fields)

    def _backoff(self, attempt: int) -> float:
        """Seconds before a try: doubled each time, and up to half as much again, drawn at random."""
        if attempt == 0:
            return 0.0
        jitter = 1 + secrets.randbelow(1_000) / 2_000
        return min(self._patience.first_wait * 2.0 ** (attempt - 1) * jitter, _LONGEST_BACKOFF)


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end, also where a loop is running already, as in notebooks."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


async def _stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    if seconds <= 0:
        return stop.is_set()
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def _limited(chunks: AsyncIterator[bytes], most: int) -> bytes:
    data = bytearray()
    async for chunk in chunks:
        data += chunk
        if len(data) > most:
            raise PassingTroubleError(f"the answer is longer than {most} bytes")
    return bytes(data)


def _json_object(data: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _usage(data: Mapping[str, Any]) -> int:
    """Tokens the endpoint says it counted; 0 if it does not."""
    usage = data.get("usage")
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return total if type(total) is int and total > 0 else 0


def _seconds(asked: str) -> float:
    """How long the endpoint asks to wait: seconds, or a date."""
    if asked.isdecimal() and len(asked) < 10:
        return float(asked)
    try:
        until = parsedate_to_datetime(asked)
    except (ValueError, TypeError, OverflowError):  # whatever a hostile date makes of it
        return 0.0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max((until - datetime.now(UTC)).total_seconds(), 0.0)


def _hint(status: int, token_variable: str | None) -> str:
    if status not in {401, 403}:
        return ""
    return f"check the token in {token_variable}" if token_variable else "it wants an API token"


def _give_up(url: str, tries: int, trouble: str) -> NoReturn:
    raise InvalidInput(
        f"{url}: no usable answer after {tries} tries: {trouble}",
        "what was answered is kept; try again later, with a longer timeout, or with another model",
    )
