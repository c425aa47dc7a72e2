"""Attacks on the sentences of a text: drop some, or shuffle them."""

from dataclasses import dataclass

from ...errors import InvalidInput
from ..selection import sentence_ends
from ..tables import Edit, apply_edits
from .attack import TextAttack, random_for

__all__ = ["DropSentences", "ShuffleSentences", "sentence_spans"]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence, ascending, without the white space around it.

    Sentences are those of `selection`, by which the marker picks its words.
    """
    flat = text.replace("\r\n", " \n").replace("\r", "\n")
    spans, position = [], 0
    for end in [*sentence_ends(flat), len(flat)]:
        piece = flat[position:end]
        start = position + len(piece) - len(piece.lstrip())
        if start < end:
            spans.append((start, start + len(piece.strip())))
        position = end
    return spans


@dataclass(frozen=True, slots=True, kw_only=True)
class DropSentences(TextAttack):
    """Drop each sentence at random, with the white space behind it.

    If chance drops all of a text's sentences, one of them stays: a corpus holds no empty texts.

    Attributes:
        share: Probability that a sentence is dropped, in (0, 1).
    """

    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InvalidInput(f"expected a share of sentences within (0, 1), got {self.share}")

    def on_text(self, text: str, *, seed: int) -> str:
        """The sentences that stay; see `TextAttack.on_text`."""
        rng = random_for("drop sentences", seed, text)
        spans = sentence_spans(text)
        if not spans:
            return text
        dropped = {index for index in range(len(spans)) if rng.random() < self.share}
        if len(dropped) == len(spans):
            dropped.remove(rng.randrange(len(spans)))
        next_starts = [*(start for start, _ in spans[1:]), spans[-1][1]]
        return apply_edits(text, [Edit(spans[i][0], next_starts[i], "") for i in sorted(dropped)])


@dataclass(frozen=True, slots=True)
class ShuffleSentences(TextAttack):
    """Put the sentences of each text in a random order; the white space between them stays."""

    def on_text(self, text: str, *, seed: int) -> str:
        """The same sentences in another order; see `TextAttack.on_text`."""
        rng = random_for("shuffle sentences", seed, text)
        spans = sentence_spans(text)
        sentences = [text[start:end] for start, end in spans]
        rng.shuffle(sentences)
        edits = [Edit(*span, sentence) for span, sentence in zip(spans, sentences, strict=True)]
        return apply_edits(text, edits)
