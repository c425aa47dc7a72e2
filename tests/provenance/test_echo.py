"""Which tokens of an answer are those of the prompt, however a server writes them; texts in pieces."""

import pytest
from bookplate.provenance.suspect.endpoint.echo import BadEchoError, Echo, echo_of
from bookplate.provenance.suspect.endpoint.pieces import context_before, pieces_of


@pytest.mark.parametrize("longest", [2, 3, 10, 50, 1_000, None])
def test_pieces_make_up_a_text_and_stay_within_their_length(longest):
    text = "one two  three\n\nfour, five six " * 5 + "x" * 60
    pieces = pieces_of(text, longest)
    assert "".join(piece.text for piece in pieces) == text
    begin = 0
    for piece in pieces:
        assert text[:begin].endswith(piece.before)
        assert longest is None or 0 < len(piece.before + piece.text) <= longest
        begin += len(piece.text)
    assert text[:70].endswith(context_before(text, 70, longest))


def echoed(tokens, *, start="", text, generated=None, first=None):
    values = (first, *(-float(i) for i in range(1, len(tokens))))
    return echo_of(start, text, Echo(tuple(tokens), values), generated=generated)


@pytest.mark.parametrize(
    ("start", "text", "tokens", "generated", "n"),
    [
        ("", "The cat", ["The", " cat", " sat"], None, 2),
        ("", "The cat", ["<s>", "▁The", "▁cat", "▁sat"], None, 2),  # SentencePiece, its own start
        ("", "The cat", ["The", "cat", "sat"], 1, 2),  # white space lost
        ("", "The cat", ["", "The", " cat", ""], None, 3),  # a start and an end that do not show
        ("", "naïve", ["na", "ï", "ve", "."], 1, 3),
        ("", "naïve", ["na", "\ufffd", "\ufffd", "ve", "."], None, 4),  # a character cut in two
        ("", "naï", ["na", "\ufffd", "\ufffd", "."], 1, 3),
        ("", "naïve", ["na", "bytes:\\xc3", "bytes:\\xaf", "ve", "."], 1, 4),
        ("", "naïve", ["▁na", "<0xC3>", "<0xAF>", "ve", "."], 1, 4),
        ("", "naïve", ["na", "Ã", "¯", "ve", "Ġso"], 1, 4),  # GPT-2's bytes
        ("<s>", "The cat", ["<s>", "The", " cat", "!"], None, 2),
        ("<s>", "The cat", ["", "The", " cat", "!"], None, 2),  # a start that does not show
        ("<s>", "The cat", ["<b>", "<s>", "The", " cat", "!"], None, 2),  # two starts
        ("", "The cat", ["The", " cat", " sat", " on", " it"], None, 2),  # more than was asked for
        ("", "The cat", ["The", " cat"], 0, 2),
        ("", "\ufffd a", ["\ufffd", " a", " b"], 1, 2),
    ],
)  # fmt: skip
def test_tokens_are_told_apart_however_they_are_written(start, text, tokens, generated, n):
    echo = echoed(tokens, start=start, text=text, generated=generated)
    first = next(i for i in range(len(tokens)) if tuple(tokens[i : i + n]) == echo.tokens)
    assert len(echo.tokens) == n
    assert echo.logprobs[-1] == -float(first + n - 1)


@pytest.mark.parametrize(
    ("start", "text", "tokens"),
    [
        ("", "The cat", ["The", " dog", " sat"]),
        ("", "The cat", ["The", " ca"]),
        ("", "The cat", ["The", " cats"]),
        ("<s>", "The cat", ["<s>T", "he", " cat", "!"]),  # the start is no token of its own
        ("", "naï", ["na", "\ufffd", "\ufffd", "\ufffd"]),  # which of them was generated?
        ("", "The cat", ["a", "The", " cat", "!"]),
    ],
)
def test_tokens_that_cannot_be_told_apart_are_refused(start, text, tokens):
    with pytest.raises(BadEchoError):
        echoed(tokens, start=start, text=text, first=-1.0)
