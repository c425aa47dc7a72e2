"""A table of scores: each text read once for every variant that a score needs."""

import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...errors import InvalidInput
from ...stats import Input
from ...stats.checks import one_of
from ..suspect import Suspect, TokenReader, TokenTable, inputs_of, refuse_same_model
from . import scores as of
from .methods import METHODS, Score
from .scores import TokenFrequencies

__all__ = ["ScoreTable", "score_texts"]

_TEXTS_AT_ONCE = 2048  # their token tables are held in memory
_BEHIND_PREFIX = "\n\n"  # a tokenizer does not join words across it

_Logprobs = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTable:
    """Membership scores of texts; a higher value always speaks for membership.

    Attributes:
        frame: One row per text in their order: `row` from 1, `tokens` scored, and a column per score;
            null where the text cannot have it. With several references there is a column for each, named
            with its number from 1.
        left_out: Scores that were asked for and could not be had, each with the reason.
        inputs: The suspect and the references.
    """

    frame: pl.DataFrame
    left_out: Mapping[Score, str]
    inputs: tuple[Input, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that hold scores."""
        return tuple(self.frame.columns[2:])

    def values(self) -> NDArray[np.float64]:
        """The scores, shape (n_texts, n_scores); NaN where a text cannot have one."""
        columns = [
            self.frame[name].fill_null(math.nan).to_numpy().astype(np.float64)
            for name in self.names
        ]
        return np.stack(columns, axis=1)


@dataclass(slots=True)
class _Readings:
    """What the models said of some texts and their variants."""

    tables: dict[str, TokenTable] = field(default_factory=dict)
    logprobs: dict[str, _Logprobs] = field(default_factory=dict)
    by_reference: list[dict[str, _Logprobs]] = field(default_factory=list)

    def knows(self, text: str) -> bool:
        return text in self.tables or text in self.logprobs

    def of(self, text: str) -> _Logprobs:
        known = self.tables.get(text)
        return self.logprobs[text] if known is None else known.logprobs


def score_texts(
    texts: Sequence[str],
    suspect: TokenReader,
    *,
    scores: Iterable[Score] | None = None,
    references: Sequence[Suspect] = (),
    prefix: str | None = None,
    frequency_texts: Sequence[str] | None = None,
    neighbours: Sequence[Sequence[str]] | None = None,
    share: float = 0.2,
    progress: Callable[[int], object] = lambda done: None,
) -> ScoreTable:
    """Score texts by several methods from one reading.

    The suspect reads each distinct text once, and once in lower case, behind the prefix and per
    neighbour where a score needs that; each reference reads it once. A prefix acts only on
    tokens within the suspect's context of it.

    Args:
        texts: The texts, at least one.
        suspect: The model under audit.
        scores: Which scores; default: all that these arguments provide for.
        references: Models that cannot have seen the texts.
        prefix: Texts that were not trained on, for ReCaLL; put before each text with an empty line between.
        frequency_texts: A corpus for DC-PDD's token frequencies, e.g. of the texts' language.
        neighbours: Per text the neighbours to compare it with; may be empty for some.
        share: K of the Min-K% family, as a share of the tokens.
        progress: Called now and then with the number of texts done.

    Returns:
        The table.

    Raises:
        InvalidInput: If there is no text, the arguments do not fit together, a model is named twice, or
            none of the scores can be had.
    """
    if not texts:
        raise InvalidInput("expected at least one text to score, got none")
    if neighbours is not None and len(neighbours) != len(texts):
        raise InvalidInput(
            f"expected neighbours for each of {len(texts)} texts, got {len(neighbours)}"
        )
    if not 0 < share <= 1:
        raise InvalidInput(f"expected a share of tokens above 0 and at most 1, got {share}")
    refuse_same_model(cast("Suspect", suspect), references)  # which asks for its identity only
    given = {
        Score.RECALL: bool(prefix),
        Score.DC_PDD: frequency_texts is not None,
        Score.REFERENCE_RATIO: bool(references),
        Score.NEIGHBOURHOOD: neighbours is not None,
    }
    wanted = [score for score in Score if given.get(score, True)]
    left_out: dict[Score, str] = {}
    if scores is not None:
        asked = [one_of("scores", Score, score) for score in dict.fromkeys(scores)]
        left_out = {s: f"needs {METHODS[s].needs}" for s in asked if s not in wanted}
        wanted = [score for score in asked if score in wanted]
    frequencies = None
    if Score.DC_PDD in wanted and frequency_texts is not None:
        frequencies = _frequencies(suspect, frequency_texts, left_out)
    wanted = [score for score in wanted if score not in left_out]
    columns: dict[str, list[float]] = {}
    sizes: list[int] = []
    for begin in range(0, len(texts), _TEXTS_AT_ONCE):
        chunk = texts[begin : begin + _TEXTS_AT_ONCE]
        near = [()] * len(chunk) if neighbours is None else neighbours[begin:][: len(chunk)]
        readings = _read(chunk, near, suspect, references, wanted, left_out, prefix)
        _leave_out_unknown(readings, wanted, left_out)
        sizes += [readings.of(text).size for text in chunk]
        for score in wanted:
            for name, values in _values(
                score, chunk, near, readings, prefix=prefix, frequencies=frequencies, share=share
            ):
                columns.setdefault(name, []).extend(values)
        progress(min(begin + _TEXTS_AT_ONCE, len(texts)))
    for name in left_out:  # an earlier part may have had it
        columns.pop(name, None)
    if not columns:
        raise InvalidInput(
            "none of the scores can be had: "
            + "; ".join(f"{score} {why}" for score, why in left_out.items()),
            "ask for others, or give what they need",
        )
    frame = pl.DataFrame(
        {"row": np.arange(1, len(texts) + 1), "tokens": sizes, **columns},
        schema_overrides=dict.fromkeys(columns, pl.Float64),
    ).with_columns(pl.col(list(columns)).fill_nan(None))
    inputs = inputs_of(suspect, *references)
    return ScoreTable(frame=frame, left_out=left_out, inputs=inputs)


def _frequencies(
    suspect: TokenReader, texts: Sequence[str], left_out: dict[Score, str]
) -> TokenFrequencies | None:
    try:
        tokens = suspect.tokens(texts)
    except InvalidInput as error:  # its tokenizer is not known
        left_out[Score.DC_PDD] = f"cannot count tokens: {error}"
        return None
    return TokenFrequencies.of(tokens)


def _read(
    texts: Sequence[str],
    neighbours: Sequence[Sequence[str]],
    suspect: TokenReader,
    references: Sequence[Suspect],
    wanted: list[Score],
    left_out: dict[Score, str],
    prefix: str | None,
) -> _Readings:
    """Ask the models; a variant that cannot be read, as nobody recorded it, costs its score alone."""
    originals = list(dict.fromkeys(texts))
    readings = _Readings(dict(zip(originals, suspect.token_tables(originals), strict=True)))
    if Score.RECALL in wanted and prefix:
        behind = [_prefixed(prefix, text) for text in originals]
        with _without(Score.RECALL, wanted, left_out):
            readings.tables |= dict(zip(behind, suspect.token_tables(behind), strict=True))
    variants = {
        Score.LOWER_CASE_RATIO: [text.lower() for text in texts],
        Score.NEIGHBOURHOOD: [neighbour for near in neighbours for neighbour in near],
    }
    for score, plain in variants.items():
        if score in wanted:
            fresh = [text for text in dict.fromkeys(plain) if not readings.knows(text)]
            with _without(score, wanted, left_out):
                said = _logprobs_of(suspect, fresh)
                readings.logprobs |= dict(zip(fresh, said, strict=True))
    if Score.REFERENCE_RATIO in wanted:
        for reference in references:
            said = reference.token_logprobs(originals)
            readings.by_reference.append(dict(zip(originals, said, strict=True)))
    return readings


@contextmanager
def _without(score: Score, wanted: list[Score], left_out: dict[Score, str]) -> Generator[None]:
    """Go on without a score, by name, if what it needs cannot be read."""
    try:
        yield
    except InvalidInput as error:
        _drop(score, f"cannot be had: {error}", wanted, left_out)


def _logprobs_of(suspect: TokenReader, texts: Sequence[str]) -> list[_Logprobs]:
    """Log-probabilities alone, by the cheaper way where the suspect has one."""
    if not texts:
        return []
    cheaper = getattr(suspect, "token_logprobs", None)
    if cheaper is not None:
        found: list[_Logprobs] = cheaper(texts)
        return found
    return [table.logprobs for table in suspect.token_tables(texts)]


def _prefixed(prefix: str, text: str) -> str:
    return prefix + _BEHIND_PREFIX + text


def _leave_out_unknown(
    readings: _Readings, wanted: list[Score], left_out: dict[Score, str]
) -> None:
    """Name the scores for which this suspect does not say enough, and drop them."""
    tables = readings.tables.values()
    if any(table.mean is None or table.sd is None for table in tables):
        _drop(
            Score.MIN_K_PLUS_PLUS,
            "needs mean and sd of log p over the vocabulary, which this suspect does not tell",
            wanted,
            left_out,
        )
    if any(len(table.tokens) != table.logprobs.size for table in tables):
        for score in (Score.RECALL, Score.DC_PDD):
            _drop(score, "needs the tokens, which this suspect does not tell", wanted, left_out)


def _drop(score: Score, why: str, wanted: list[Score], left_out: dict[Score, str]) -> None:
    if score in wanted:
        wanted.remove(score)
        left_out[score] = why


def _values(
    score: Score,
    texts: Sequence[str],
    neighbours: Sequence[Sequence[str]],
    readings: _Readings,
    *,
    prefix: str | None,
    frequencies: TokenFrequencies | None,
    share: float,
) -> list[tuple[str, list[float]]]:
    """The columns of one score, with their names."""
    tables = [readings.tables[text] for text in texts]
    if score is Score.REFERENCE_RATIO:
        numbers = [f"_{i}" for i in range(1, len(readings.by_reference) + 1)]
        ends = numbers if len(numbers) > 1 else [""]
        return [
            (
                score + end,
                [of.reference_ratio(t, said[x]) for t, x in zip(tables, texts, strict=True)],
            )
            for end, said in zip(ends, readings.by_reference, strict=True)
        ]

    def one(table: TokenTable, text: str, near: Sequence[str]) -> float:
        match score:
            case Score.LOSS:
                return of.loss(table)
            case Score.PERPLEXITY:
                return of.perplexity(table)
            case Score.LOWER_CASE_RATIO:
                return of.lower_case_ratio(table, readings.of(text.lower()))
            case Score.ZLIB_RATIO:
                return of.zlib_ratio(table, text)
            case Score.MIN_K:
                return of.min_k(table, share)
            case Score.MAX_K:
                return of.max_k(table, share)
            case Score.MIN_K_PLUS_PLUS:
                return of.min_k_plus_plus(table, share)
            case Score.NEIGHBOURHOOD:
                return of.neighbourhood(table, [readings.of(other) for other in near])
        if score is Score.RECALL and prefix:
            return of.recall(table, readings.tables[_prefixed(prefix, text)])
        if score is Score.DC_PDD and frequencies is not None:
            return of.dc_pdd(table, frequencies)
        raise AssertionError(f"{score} was not prepared")

    return [(score, [one(*each) for each in zip(tables, texts, neighbours, strict=True)])]
