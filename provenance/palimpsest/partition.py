"""The partition test: does a text share more words with what I trained on late?

All it needs of the suspect is text. A model remembers recent training data better, so what it writes
has more k-grams in common with late sequences than with early ones; a text made without the order
cannot know which are late.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import InsufficientEvidence
from ...stats import Alternative, Finding, Input, SpearmanMethod, Trend, spearman_test
from .covariates import Covariate, covariate_values
from .exchangeability import content_in_order, neighbours_alike
from .ngrams import (
    Engine,
    Index,
    Matches,
    MatchRule,
    Tokenizer,
    blocks_of,
    build_index,
    joined,
    refuse_other_tokenizer,
)
from .repeats import digest_names
from .sampling import FEWEST
from .transcript import Transcript, TranscriptSource

__all__ = [
    "Covariate",
    "Partition",
    "index_transcript",
    "partition_test",
    "partition_test_of_tokens",
]

_AT_ONCE = 4_096  # sequences
_CONSTANT = 1e-12

_ORDER_ASSUMPTION = (
    "The training order of the sequences was drawn at random, each sequence by itself, and the text, if "
    "innocent, was made without it: not by the claimant's model, nor by one trained in the same order "
    "for another reason. The transcript was written down before the text was seen."
)


@dataclass(frozen=True, slots=True)
class Partition:
    """The outcome of a partition test.

    Attributes:
        finding: The finding; its unit is the distinct training sequence.
        matches: What the text shares with the transcript.
    """

    finding: Finding
    matches: Matches


def index_transcript(
    folder: Path,
    transcript: Transcript | TranscriptSource,
    tokenizer: Tokenizer,
    *,
    engine: Engine = Engine.SUFFIX_ARRAY,
) -> None:
    """Build the index of a transcript; the folder appears when it is whole.

    Args:
        folder: Folder to make.
        transcript: The whole training order, of token ids or of text; on disk it may be of any size.
        tokenizer: What its ids are ids of, or what its texts are to be tokenised by.
        engine: Who sorts and searches.

    Raises:
        InvalidInput: If the folder exists, the transcript is a sample or holds digests, or a row is
            malformed.
    """
    build_index(
        folder,
        blocks_of(transcript, tokenizer),
        source=transcript.source if isinstance(transcript, Transcript) else transcript.identity(),
        tokenizer=tokenizer.identity,
        engine=engine,
    )


def partition_test(
    index: Index,
    texts: Sequence[str],
    tokenizer: Tokenizer,
    *,
    seed: int,
    rule: MatchRule | None = None,
    covariates: Sequence[Covariate] = (Covariate.LENGTH,),
    method: SpearmanMethod = SpearmanMethod.PERMUTATION,
    name: str = "the text",
    inputs: Sequence[Input] = (),
) -> Partition:
    """Test whether a text comes from the run whose transcript was indexed, or from a descendant.

    Args:
        index: The transcript's index.
        texts: The text under audit; k-grams do not run from one into the next.
        tokenizer: The one that the index was built for.
        seed: Seed of the permutations, in [0, 2**64).
        rule: Which k-grams count, fixed before the text was looked at.
        covariates: What to regress out of the scores.
        method: How p is computed.
        name: What to call the text.
        inputs: The files that the text was read from.

    Returns:
        The finding, and the matches behind it.

    Raises:
        InvalidInput: If the transcript was tokenised by another tokenizer.
        InsufficientEvidence: If fewer than 30 distinct sequences, or two steps, are left, or no k-gram
            of the text counts.
    """
    tokens = tokenizer.encode(texts)
    refuse_other_tokenizer(index, tokenizer, tokens)
    done = partition_test_of_tokens(
        index, tokens, seed=seed, rule=rule, covariates=covariates, method=method
    )
    finding = done.finding.about(
        question=f"Was {name} written by the model of this training run, or by a descendant?",
        inputs=(index.table.source, index.table.tokenizer, *inputs),
    )
    return Partition(finding, done.matches)


def partition_test_of_tokens(
    index: Index,
    texts: Sequence[NDArray[np.int64]],
    *,
    seed: int,
    rule: MatchRule | None = None,
    covariates: Sequence[Covariate] = (Covariate.LENGTH,),
    method: SpearmanMethod = SpearmanMethod.PERMUTATION,
) -> Partition:
    """`partition_test` on token ids; nobody checks that they are of the right tokenizer.

    Source: arXiv 2510.19796, section 4.3.1, phi_obs^part; there counts are taken per training step, every
    occurrence weighs the same, and a look-up that takes too long counts as none. Here the unit is the
    sequence, occurrences are weighted by `MatchRule`, and nothing is given up.

    A sequence's score depends on the contents of all sequences and on the text, never on an order: so
    under the null hypothesis every assignment of the steps to the sequences was equally likely, whatever
    the scores are. Sequences enter the test sorted by their digests; therefore the rows of a transcript
    may come in any order, and even rounding cannot know the training order.

    Args:
        index: The transcript's index.
        texts: Token ids of each text.
        seed: See `partition_test`.
        rule: See `partition_test`.
        covariates: See `partition_test`.
        method: See `partition_test`.

    Returns:
        The finding, and the matches behind it.

    Raises:
        InsufficientEvidence: See `partition_test`.
    """
    rule = MatchRule() if rule is None else rule
    source = index.table.source.name
    units = index.table.units()
    _refuse_too_little(source, units.steps)
    query = joined(list(texts))
    matches = index.match(query, rule)
    if matches.n_counted == 0:
        raise InsufficientEvidence(
            f"none of the text's {matches.n_places:,} places begins a k-gram of {source} that counts",
            "give more text, or text in the language of the transcript",
        )
    scores = matches.scores[units.sequences]
    names, columns = _columns(index, units.sequences, covariates)
    finding = spearman_test(
        units.steps,
        scores,
        alternative=Alternative.GREATER,  # later sequences are remembered better
        covariates=columns,
        seed=seed,
        method=method,
    ).named(digest_names(index.table.digests[units.sequences]))
    _, first = np.unique(index.table.contents, return_index=True)
    properties = {
        covariate.value: _values(index, covariate)[units.sequences]
        for covariate in (Covariate.LENGTH, Covariate.RARITY)
    }
    refuted = [
        *content_in_order(units.steps, properties),
        *neighbours_alike(units.steps, first[units.sequences], scores),
    ]
    warnings = [
        units.note,
        *refuted,
        *finding.warnings,
    ]
    finding = finding.about(
        name="palimpsest partition",
        question="Was the text written by the model of this training run, or by a descendant?",
        null="The training order is independent of the text: every order of the sequences was equally "
        "likely.",
        unit="distinct training sequences",
        assumptions=(
            _ORDER_ASSUMPTION,
            f"What counts was fixed before the text was looked at: {rule}.",
            f"Regressed out of the scores: {', '.join(names) or 'nothing'}.",
        ),
        warnings=tuple(warning for warning in warnings if warning),
        refuted=tuple(refuted),
        inputs=(index.table.source,),
        figure=_figure(finding, bool(names)),
    )
    return Partition(finding, matches)


def _refuse_too_little(source: str, steps: NDArray[np.int64]) -> None:
    if steps.size < FEWEST:
        raise InsufficientEvidence(
            f"{source}: {steps.size} distinct sequences are too few",
            f"an order test needs at least {FEWEST}; some thousands are usual",
        )
    if steps.min() == steps.max():
        raise InsufficientEvidence(
            f"{source}: all distinct sequences have the same step, so there is no order to test"
        )


def _columns(
    index: Index, sequences: NDArray[np.int64], covariates: Sequence[Covariate]
) -> tuple[list[str], list[NDArray[np.float64]]]:
    """The covariates that vary, in the order of the units."""
    names, columns = [], []
    for covariate in dict.fromkeys(covariates):
        values = _values(index, covariate)
        if np.ptp(values) > _CONSTANT * np.abs(values).max():
            names.append(covariate.value)
            columns.append(values[sequences])
    return names, columns


def _values(index: Index, covariate: Covariate) -> NDArray[np.float64]:
    """A covariate of each distinct sequence: what `covariate_values` gives, without loading them all."""
    if covariate is Covariate.LENGTH:
        return index.table.lengths.astype(np.float64)
    if covariate is Covariate.RARITY:
        return index.rarity()
    n = index.table.lengths.size
    return np.concatenate([
        covariate_values(
            covariate,
            [tuple(index.sequence(i).tolist()) for i in range(begin, min(begin + _AT_ONCE, n))],
        )
        for begin in range(0, n, _AT_ONCE)
    ])


def _figure(finding: Finding, adjusted: bool) -> Trend | None:
    figure = finding.figure
    if not isinstance(figure, Trend):
        return None
    label = "Weighted k-gram matches per sequence"
    y_label = f"{label}, after covariates" if adjusted else label
    return replace(figure, x_label="Training step", y_label=y_label)
