"""What a finding may assume, given how its test was registered: the blanks of its wording filled.

Where the registration leaves it to the data, such as covariates that do not vary, all that can be are given.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import combinations

from .planned import (
    InfluenceTest,
    LeakTest,
    OrderSequentialTest,
    OrderTest,
    PartitionTest,
    ReshuffleTest,
)
from .registering import Pair
from .wordings import WORDINGS

__all__ = ["MAY_ASSUME", "names_of_kind", "possible_assumptions", "unmatched"]

_NUMBER = "[0-9][0-9,]*"
_SCORED = "Scored were *, as fixed beforehand."
_CORRELATED = "Correlated with the step is the log-probability per token*, as fixed beforehand."
_COUNTS = "What counts was fixed before the text was looked at: *."
_REGRESSED = "Regressed out of the scores: *."
_RANKS = "What ranks the runs was fixed before the texts were scored: *."
_STATISTICS = ("likelihood", "difference", "residual")
_RANKINGS = (
    "log (1/2 + 1/2 p / mean p of the runs), averaged over the tokens",
    "log-probability per token",
)
_ALL = "All * sequences of the transcript were used."
_RECIPIENT = (
    "The names of all who got a copy were fixed before any was made: one that fits could be found."
)
_CONTROLS = "The runs' liking of * control texts was regressed out."
_NOT_RANDOMISED = (
    "Nobody drew at random which documents are claimed. That labels are exchangeable within strata is "
    "assumed; with a keyed watermark the key's draw makes it a fact."
)
_RANDOMISED = (
    "Which documents are claimed was drawn at random within the strata, as the claimant states."
)
_DRAWN = {
    "random": "at random",
    "stratified": "evenly over the training order",
    "extremes": "from the two ends of the training order",
}
MAY_ASSUME = (_ALL, _RECIPIENT, _CONTROLS, _NOT_RANDOMISED, _RANDOMISED)


def possible_assumptions(pair: Pair) -> tuple[str, ...]:
    """Every assumption that a finding of this test may state; a `*` is a whole number.

    Args:
        pair: The test, as registered.
    """
    due = WORDINGS[pair.planned.kind]
    stated = (*due.assumptions, *(due.with_references if pair.references else ()))
    return (*(text for form in stated for text in _filled(form, pair)), *_besides(pair))


def names_of_kind(pair: Pair) -> tuple[str, ...]:
    """What a finding of this test may be called; a `*` is the query of an influence audit."""
    names = WORDINGS[pair.planned.kind].names
    if isinstance(pair.planned, OrderTest):
        names = tuple(name.replace("*", how) for name in names for how in _STATISTICS)
    return tuple(f"{name} ({pair.test})" for name in names)


def unmatched(texts: Sequence[str], forms: Sequence[str]) -> list[str]:
    """The texts that have none of these forms.

    Args:
        texts: Of any origin.
        forms: With a `*` for each whole number.
    """
    patterns = [re.compile(re.escape(form).replace(r"\*", _NUMBER)) for form in forms]
    return [text for text in texts if not any(p.fullmatch(text) for p in patterns)]


def _filled(form: str, pair: Pair) -> Iterator[str]:
    """A form of the wording with each option that can stand in its blank."""
    planned = pair.planned
    options: Sequence[str] = ()
    if isinstance(planned, OrderTest | OrderSequentialTest) and form == _SCORED:
        from ...provenance.palimpsest import Window

        options = (str(Window(planned.prefix_tokens, planned.window_tokens)),)
    elif isinstance(planned, OrderTest) and form == _CORRELATED:
        options = _corrections(planned, pair)
    elif isinstance(planned, PartitionTest) and form == _COUNTS:
        from ...provenance.palimpsest.ngrams import MatchRule

        longest, shortest = planned.longest, planned.shortest
        most = planned.most_occurrences
        options = (str(MatchRule(longest=longest, shortest=shortest, most_occurrences=most)),)
    elif isinstance(planned, PartitionTest) and form == _REGRESSED:
        options = [", ".join(some) or "nothing" for some in _some_of(planned.covariates)]
    elif form == _RANKS:
        options = _RANKINGS
    for option in options:
        yield form.replace("*", option)
    if "*" not in form:
        yield form


def _corrections(planned: OrderTest, pair: Pair) -> list[str]:
    """By what a likelihood was corrected; covariates that do not vary are left out."""
    if planned.statistic == "likelihood":
        return [""]
    if planned.statistic == "difference":
        return [" minus references"]
    references = ["references"] if pair.references else []
    covariates: tuple[str, ...] = ("length",) if references else ()
    if planned.covariates is not None:
        covariates = planned.covariates
    if not (references or covariates):
        return [""]
    known = [" and ".join([*references, *some]) for some in _some_of(covariates)]
    return [f" after {words or 'nothing, as no covariate varies'}" for words in known]


def _some_of(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Each choice of some of them, in their order."""
    once = list(dict.fromkeys(names))
    return [some for size in range(len(once) + 1) for some in combinations(once, size)]


def _besides(pair: Pair) -> Iterator[str]:
    """What such a finding need not say."""
    planned = pair.planned
    if isinstance(planned, OrderTest | OrderSequentialTest) and planned.sample is not None:
        yield _ALL
        yield (
            f"{planned.sample:,} of * sequences were used, drawn {_DRAWN[planned.sampling]} "
            f"({planned.sampling}, seed {pair.seed}) without regard to any score."
        )
    elif isinstance(planned, LeakTest):
        yield _RECIPIENT
    elif isinstance(planned, ReshuffleTest) and planned.controls is not None:
        yield _CONTROLS
    elif isinstance(planned, InfluenceTest):
        yield _RANDOMISED if planned.randomised else _NOT_RANDOMISED
