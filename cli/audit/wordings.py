"""What the findings of each kind of test say, apart from their numbers: the words that are fixed.

A `*` stands for what differs from case to case: a name, a count, an option. A test of this module holds these
texts against the modules that write them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["REFUTING", "WORDINGS", "Wording", "blanks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """The texts of one kind of test.

    Attributes:
        names: What it may be called.
        question: With one blank for whom it is about.
        nulls: The null hypothesis, by the test of `stats` that was made.
        units: What is exchangeable.
        statistics: Names of the statistic.
        assumptions: Each must be among those stated.
        with_references: Must be among them, too, where references were registered.
        warnings: Each must be among those stated.
    """

    names: tuple[str, ...]
    question: str
    nulls: Mapping[str, str]
    units: tuple[str, ...]
    statistics: tuple[str, ...]
    assumptions: tuple[str, ...]
    with_references: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())


_PLURALS = ("word types", "word types within a shard", "slots", "records")
_KEY = (
    "The key that drew the choices was secret and marked nothing else, and text that carries its choices "
    "could reach those who made what is examined from the release only."
)
_CHOICE = (
    "Given all scores, each unit's released choice is a uniform draw from its choices, independent of the "
    "other units'."
)
_GHOST = (
    "Within each record, released variant and ghosts are exchangeable given the scores, independently of the "
    "other records."
)
_SIGNS = "Given all earlier records and its own size, each difference is as likely to be above 0 as below 0."
_RANKS = (
    "Given all earlier records and the unordered scores of a record, each of its variants is equally likely "
    "to be the released one."
)
_STEPWISE = {"sign e-process": _SIGNS, "rank e-process": _RANKS}
_IN_STEPS = "log10 of the largest capital so far"
_Z = "z, standardised sum of choice advantages"
_ORDER = (
    "The training order of the sequences was drawn at random, each sequence by itself, and the suspect, if "
    "innocent, was made without it: it neither shares the claimant's checkpoint nor was trained in the same "
    "order for another reason. The transcript was written down before the suspect was seen."
)
_OTHER_ORDER = (
    "The references were not trained in this order; none is an earlier checkpoint of the run."
)
_SCORED = "Scored were *, as fixed beforehand."
_DERIVED = "Was * derived from the model of this training run?"

WORDINGS: Mapping[str, Wording] = MappingProxyType({
    "watermark": Wording(
        names=("keyed watermark",),
        question="Was * trained on the marked release?",
        nulls={"choice": _CHOICE, "ghost": _GHOST},
        units=_PLURALS,
        statistics=(_Z,),
        assumptions=(_KEY,),
        with_references=("The references never saw the release; one that did costs power.",),
    ),
    "completion": Wording(
        names=("completion test",),
        question="Does * continue the original texts with the released words?",
        nulls={"choice": _CHOICE},
        units=tuple(f"{plural} with an answer" for plural in _PLURALS),
        statistics=(_Z,),
        assumptions=(_KEY,),
        warnings=("* of * answers are one of the choices of their place; the others say nothing.",),
    ),
    "watermark-sequential": Wording(
        names=("sequential watermark test",),
        question="Was * trained on the marked release?",
        nulls=_STEPWISE,
        units=_PLURALS,
        statistics=(_IN_STEPS,),
        assumptions=(_KEY,),
        warnings=("* of * scores were asked for; the level was *.",),
    ),
    "leximark": Wording(
        names=("LexiMark comparison",),
        question="Are the released marked texts likelier under * than marked texts held back?",
        nulls={"welch": "Both sets are independent samples of distributions with one mean."},
        units=("texts",),
        statistics=("Welch's t with * degrees of freedom",),
        assumptions=(
            "Released and held-back texts come from one distribution, for instance by a split at random.",
            "The values are independent of each other.",
        ),
        warnings=(
            "The p-value assumes both sets of texts to come from one distribution; the keyed test does not.",
        ),
    ),
    "leak": Wording(
        names=("leak test",),
        question="Were the texts* copied from the marked release*?",
        nulls={
            "choice": "Given all that the texts show, each unit's released choice is a uniform draw from its "
            "choices, independent of the other units'."
        },
        units=_PLURALS,
        statistics=(_Z,),
        assumptions=(
            _KEY,
            "Passages and the words in them were found without looking at which choices were released.",
        ),
    ),
    "order": Wording(
        names=("palimpsest query (*)",),
        question=_DERIVED,
        nulls={
            "spearman": "The training order is independent of the suspect's and the references' likelihoods: "
            "every order of the sequences was equally likely."
        },
        units=("training sequences",),
        statistics=("Spearman rho",),
        assumptions=(
            _ORDER,
            "Correlated with the step is the log-probability per token*, as fixed beforehand.",
            _SCORED,
        ),
        with_references=(_OTHER_ORDER,),
    ),
    "order-sequential": Wording(
        names=("sequential palimpsest query",),
        question=_DERIVED,
        nulls=_STEPWISE,
        units=("pairs of an early and a late training sequence",),
        statistics=(_IN_STEPS,),
        assumptions=(_ORDER, _SCORED),
        with_references=(_OTHER_ORDER,),
        warnings=("* of * sequences were asked about; the level was *.",),
    ),
    "partition": Wording(
        names=("palimpsest partition",),
        question="Was * written by the model of this training run, or by a descendant?",
        nulls={
            "spearman": "The training order is independent of the text: every order of the sequences was "
            "equally likely."
        },
        units=("distinct training sequences",),
        statistics=("Spearman rho",),
        assumptions=(
            "The training order of the sequences was drawn at random, each sequence by itself, and the text, "
            "if innocent, was made without it: not by the claimant's model, nor by one trained in the same "
            "order for another reason. The transcript was written down before the text was seen.",
            "What counts was fixed before the text was looked at: *.",
            "Regressed out of the scores: *.",
        ),
    ),
    "reshuffle": Wording(
        names=("palimpsest reshuffle",),
        question="Do the texts* descend from the model trained in the true order?",
        nulls={
            "rank": "The run in the true order and those in other orders are exchangeable, given the texts."
        },
        units=("training runs",),
        statistics=("mid-rank of the observed value among all, 1 the smallest",),
        assumptions=(
            "All runs differ in nothing but the order of the last phase's data, each order, the true one "
            "too, was drawn at random, and the true one was fixed before the others.",
            "The text, if innocent, was made without a model that was trained in the true order.",
            "What ranks the runs was fixed before the texts were scored: *.",
        ),
        warnings=("With * other orders p cannot fall below *.",),
    ),
    "influence": Wording(
        names=("influence audit, *",),
        question="Do the claimed documents influence * more than controls of equal source and similar "
        "length?",
        nulls={
            "stratified": "Within each stratum (source and bin of length), claimed documents and controls "
            "are exchangeable in their influence on *: the claim carries no information about influence."
        },
        units=("documents (* claimed, * controls)",),
        statistics=("z, standardised difference of mean Savage scores, length trend removed",),
        assumptions=(
            "Given source and length, the controls come from the same distribution as the claimed documents: "
            "the same subjects, time, language and format. Documents on the subject of a query influence it "
            "more than others, whoever wrote them: controls on other subjects make any claim look right.",
            "The documents of a stratum are independent of each other: copies of one text, or chapters of "
            "one book, are not.",
            "Claimed documents, controls, queries, bins and top were chosen before any score was seen.",
            "Candidates were selected, cut and scored by one rule that did not look at who claims them.",
        ),
        warnings=(
            "Influence is defined for any text, also for one that the model never read: a small p is no "
            "evidence that the model was trained on the claimed documents.",
        ),
    ),
    "membership": Wording(
        names=(
            "dataset inference",
            "dataset inference (FORCED: the sets differ, p is no evidence)",
        ),
        question="Was * trained on these texts, rather than on none of both sets?",
        nulls={
            "two-sample": "Texts under test and held-out texts are exchangeable: the model treats both "
            "alike, and both come from one distribution."
        },
        units=("texts of the second halves (* under test, * held out)",),
        statistics=("z, standardised mean difference",),
        assumptions=(
            "The held-out texts come from the same distribution as the texts under test, independently, e.g. "
            "by a random split before publication; and the model was not trained on them. If they differ in "
            "source, topic, time, format or editing, the p-value means nothing, and an innocent model will "
            "be accused. The check by their words cannot prove that they do not.",
            "The texts are independent of each other: chapters of one book, or versions of one page, are "
            "not.",
            "To be trained on copies of the texts, or on long quotations, is to be trained on them.",
            "Seed, scores and references were chosen before the model was asked.",
        ),
    ),
})

# Warnings that refute an assumption: whoever states one states, too, that the assumption failed.
REFUTING = (
    "THE ORDER IS NOT RANDOM: the * of the sequences follows it (rho = *, p = *). The p-value here means "
    "nothing.",
    "Sequences that follow each other in the training order have similar scores (z = *), as when documents "
    "are shuffled first and cut into sequences afterwards. If so, sequences are not exchangeable, and p is "
    "too small: test whole documents instead.",
    "FORCED: *. The p-value is no evidence of training.",
)


def blanks(text: str, form: str) -> tuple[str, ...] | None:
    """What stands in the blanks of a form; None if the text has another form.

    Each blank is as short as it can be, found in time that grows with the length of the text only.

    Args:
        text: The text, of any origin.
        form: With a `*` for each blank; a blank may be empty, and holds no line break, so that nothing can be
            hidden below what is read first.
    """
    first, *rest = form.split("*")
    if not text.startswith(first) or "\n" in text or "\r" in text:
        return None
    if not rest:
        return () if text == first else None
    at, found = len(first), []
    for part in rest[:-1]:
        place = text.find(part, at)
        if place < 0:
            return None
        found.append(text[at:place])
        at = place + len(part)
    end = len(text) - len(rest[-1])
    if end < at or not text.endswith(rest[-1]):
        return None
    return (*found, text[at:end])
