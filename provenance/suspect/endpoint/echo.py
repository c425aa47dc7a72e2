"""Reading echoed prompts: which of the tokens in an answer are those of the prompt, whatever the server.

Servers differ in how they write tokens (as text, in the byte alphabet of GPT-2, in that of SentencePiece,
with U+FFFD where a character is cut in two), in whether they put a start token in front, and in what
`text_offset` counts. So offsets are not read at all: the tokens must spell the prompt, and the place where
they have done so is where the generated ones begin.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from .http_client import PassingTroubleError

__all__ = [
    "BadEchoError",
    "Echo",
    "NoPromptLogprobsError",
    "echo_of",
    "echo_of_ids",
    "generated_tokens",
    "read_logprobs",
]

_ROUNDING = 1e-3  # nats by which a log-probability may be above 0 in low precision
_LOST = "\ufffd".encode()  # stands for one to three bytes of a character that was cut in two
_MOST_ECHOED = 8  # characters that come back for each that was sent; what hides a byte takes six
_MORE = 1_000  # characters that may come back besides: what was generated
_SPACE = re.compile(rb"\s+")
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class NoPromptLogprobsError(Exception):
    """The endpoint does not tell how likely the tokens of a prompt are."""


class BadEchoError(Exception):
    """What came back cannot be the log-probabilities of the prompt; asking again would not help."""


@dataclass(frozen=True, slots=True)
class Echo:
    """The tokens of a text as an endpoint scored them.

    Attributes:
        tokens: As the server writes them.
        logprobs: In nats; None for a first token with nothing before it.
    """

    tokens: tuple[str, ...]
    logprobs: tuple[float | None, ...]

    def scored(self) -> "Echo":
        """Without a first token that nothing precedes."""
        if self.logprobs and self.logprobs[0] is None:
            return Echo(self.tokens[1:], self.logprobs[1:])
        return self


def read_logprobs(data: Any) -> Echo:
    """All tokens of an answer of `/completions`, those of the prompt and the generated ones.

    Raises:
        PassingTroubleError: If the answer is no answer of this kind.
        NoPromptLogprobsError: If it holds no log-probabilities.
        BadEchoError: If they are malformed.
    """
    choice = _first_choice(data)
    logprobs = choice.get("logprobs")
    if not isinstance(logprobs, dict) or logprobs.get("token_logprobs") is None:
        raise NoPromptLogprobsError
    tokens, values = logprobs.get("tokens"), logprobs["token_logprobs"]
    if not isinstance(tokens, list) or not isinstance(values, list):
        raise BadEchoError("tokens and log-probabilities are no lists")
    if len(tokens) != len(values):
        raise BadEchoError(f"{len(tokens)} tokens, but {len(values)} log-probabilities")
    if not all(isinstance(token, str) for token in tokens):
        raise BadEchoError("a token is no string")
    if len(values) > 1 and all(value is None for value in values):
        raise NoPromptLogprobsError
    first, *others = [_number(value) for value in values] or [None]
    for place, value in enumerate(others, 2):
        if value is None:
            raise BadEchoError(f"token {place} has no log-probability")
    for place, value in enumerate((first, *others), 1):
        if value is not None and value > _ROUNDING:
            raise BadEchoError(f"token {place} has the log-probability {value:g} > 0")
    return Echo(tuple(tokens), (first, *others)[: len(values)])


def _number(value: Any) -> float | None:
    """A finite number of JSON, which may be larger than any float; None if it is none."""
    if type(value) not in {int, float}:
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def generated_tokens(data: Any) -> int | None:
    """How many tokens the endpoint says it generated, if it does."""
    usage = data.get("usage")
    count = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return count if type(count) is int and count >= 0 else None


def echo_of(start: str, text: str, answer: Echo, *, generated: int | None) -> Echo:
    """The tokens of a text that was sent after a start text.

    Args:
        start: What was sent before the text; may be empty.
        text: The text.
        answer: All tokens of the answer.
        generated: How many the endpoint says it generated, or None.

    Raises:
        BadEchoError: If the tokens do not spell the text, or not so that one can tell where it ends.
        NoPromptLogprobsError: If there are only generated tokens.
    """
    if sum(map(len, answer.tokens)) > _MOST_ECHOED * (len(start) + len(text) + _MORE):
        raise BadEchoError("far more came back than was sent")
    for lenient in (False, True):
        for pieces in _readings(answer.tokens):
            found = _placed(start, text, pieces, answer, generated, lenient)
            if found is not None:
                first, stop = found
                return Echo(answer.tokens[first:stop], answer.logprobs[first:stop])
    if len(answer.tokens) <= 1 or len(answer.tokens) == generated:
        raise NoPromptLogprobsError
    raise BadEchoError("the echoed tokens do not spell the prompt")


def echo_of_ids(n_ids: int, answer: Echo, *, generated: int | None) -> Echo:
    """The tokens of a prompt that was sent as token ids.

    Raises:
        BadEchoError: If there are not as many as were sent, apart from those generated.
        NoPromptLogprobsError: If there are only generated tokens.
    """
    n = len(answer.tokens)
    if n < n_ids and n <= (1 if generated is None else generated):
        raise NoPromptLogprobsError
    if n - n_ids not in {0, 1 if generated is None else generated}:
        raise BadEchoError(f"{n_ids} tokens were sent, but {n} came back")
    return Echo(answer.tokens[:n_ids], answer.logprobs[:n_ids])


def _first_choice(data: Any) -> dict[str, Any]:
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise PassingTroubleError("the answer holds no choices")
    first: dict[str, Any] = choices[0]
    return first


def _placed(
    start: str,
    text: str,
    pieces: Sequence[bytes],
    answer: Echo,
    generated: int | None,
    lenient: bool,
) -> tuple[int, int] | None:
    """First token of the text and the one after its last; None if they do not spell it."""
    # A server may put a token of its own in front, or write our start text as something else.
    leads = (0, 1) if answer.logprobs and answer.logprobs[0] is None else (0,)
    for lead in leads:
        rest = pieces[lead:]
        stop = _end(rest, start + text, generated, lenient)
        if stop is not None:
            begins = _ends(rest, start, lenient)
            return None if not begins else (lead + (begins[-1] if start else 0), lead + stop)
    if start and len(leads) == 2:
        stop = _end(pieces[1:], text, generated, lenient)
        return None if stop is None else (1, 1 + stop)
    return None


def _end(pieces: Sequence[bytes], text: str, generated: int | None, lenient: bool) -> int | None:
    """How many pieces are those of the text, the others being generated; None if that is unclear."""
    ends = _ends(pieces, text, lenient)
    if generated is not None and len(pieces) - generated in ends:
        return len(pieces) - generated
    # One token is asked for; one that shows nothing (an end of text) is seen only by its place.
    if len(ends) == 2 and ends[1] == len(pieces) and not pieces[-1].strip():
        return ends[0]
    return ends[0] if len(ends) == 1 else None


def _ends(pieces: Sequence[bytes], text: str, lenient: bool) -> list[int]:
    """Every number of first pieces that spells the text. `lenient`: leave out all white space."""
    wanted = text.encode("utf-8", "surrogatepass")
    if lenient:
        wanted = _SPACE.sub(b"", wanted)
    reached = {0}
    ends = [0] if not wanted else []
    for count, piece in enumerate(pieces, 1):
        reached = _after(_SPACE.sub(b"", piece) if lenient else piece, wanted, reached)
        if len(wanted) in reached:
            ends.append(count)
        if not reached:
            break
    return ends


def _after(piece: bytes, wanted: bytes, reached: set[int]) -> set[int]:
    """Where in the wanted bytes one may be after a piece, from where one may have been before it."""
    for index, known in enumerate(piece.split(_LOST)):
        if index:
            reached = {
                place + n for place in reached for n in (1, 2, 3) if _is_cut(wanted, place, n)
            }
        if known:
            reached = {p + len(known) for p in reached if wanted.startswith(known, p)}
    return reached


def _is_cut(wanted: bytes, place: int, n: int) -> bool:
    """Whether n bytes from a place on may be what was lost: none of them is ASCII."""
    lost = wanted[place : place + n]
    return len(lost) == n and min(lost) >= 0x80


def _readings(tokens: Sequence[str]) -> Iterator[list[bytes]]:
    """The bytes of each token, in every way of writing tokens that these could be in."""
    yield [token.encode("utf-8", "surrogatepass") for token in tokens]
    if any(token.startswith("bytes:") for token in tokens):
        yield [_escaped_bytes(token) for token in tokens]
    alphabet = _byte_alphabet()
    if all(c in alphabet for token in tokens for c in token):
        yield [bytes(alphabet[c] for c in token) for token in tokens]
    if any("▁" in token or _BYTE_TOKEN.fullmatch(token) for token in tokens):
        pieces = [_sentence_piece(token) for token in tokens]
        yield pieces
        for lead in (0, 1):  # the space that such tokenizers put before a text
            if pieces[lead : lead + 1] and pieces[lead].startswith(b" "):
                yield [*pieces[:lead], pieces[lead][1:], *pieces[lead + 1 :]]


def _escaped_bytes(token: str) -> bytes:
    r"""A token such as `bytes:\xe2\x80`."""
    if not token.startswith("bytes:"):
        return token.encode("utf-8", "surrogatepass")
    parts = re.findall(r"\\x([0-9a-fA-F]{2})|(.)", token[len("bytes:") :], re.DOTALL)
    return b"".join(bytes.fromhex(h) if h else c.encode("utf-8", "surrogatepass") for h, c in parts)


def _sentence_piece(token: str) -> bytes:
    byte = _BYTE_TOKEN.fullmatch(token)
    if byte is not None:
        return bytes.fromhex(byte.group(1))
    return token.replace("▁", " ").encode("utf-8", "surrogatepass")


@cache
def _byte_alphabet() -> dict[str, int]:
    """GPT-2's characters for bytes: those that show stand for themselves, the others are moved up."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in set(shown)]
    moved = {chr(256 + i): byte for i, byte in enumerate(hidden)}
    return {chr(byte): byte for byte in shown} | moved
