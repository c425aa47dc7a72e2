"""Detection as LexiMark published it: marked texts that were released against marked texts held back.

Source: German et al. (2025), arXiv 2506.14474. The p-value speaks of a difference between two sets
of texts. It speaks of training only if both sets come from one distribution, which nothing in the
data can show; the keyed tests in `detect` need no such assumption.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InsufficientEvidence, InvalidInput
from ..provenance.suspect import Suspect, inputs_of
from ..stats import Alternative, Finding, Input, RocResult, roc, welch_test
from .candidates import LexiconSource
from .evidence import Evidence
from .lexicon import Lexicon, Tier
from .marking import Mode
from .selection import Budget, to_the_rarest
from .source_identity import SourceIdentity
from .tables import apply_edits

__all__ = ["LexiMarkResult", "leximark_test", "refuse_unfit_sets", "released_texts"]

_FEWEST_TEXTS = 2
_MOST_UNMARKED = 0.2
_FPRS = (0.05, 0.01)
_ONE_DISTRIBUTION = (
    "Released and held-back texts come from one distribution, for instance by a split at random."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LexiMarkResult:
    """Released against held-back texts.

    Attributes:
        finding: Welch's test of the mean log-probability per token.
        roc: How well that score tells the two sets apart.
    """

    finding: Finding
    roc: RocResult


def released_texts(evidence: Evidence) -> list[str]:
    """The published texts that hold at least one replaced word, sorted by record."""
    return [
        apply_edits(evidence.originals[record.record], record.release_edits())
        for record in evidence.marked()
    ]


def refuse_unfit_sets(evidence: Evidence, held_out: Sequence[str]) -> None:
    """Refuse to compare a keyed release, or with texts that were not marked as the release was.

    Unmarked texts differ from marked ones under any model, however innocent. Where a language model
    named the substitutes, this cannot be told without it, and nothing is refused.

    Raises:
        InvalidInput: If the release is a keyed one, or many of the held-back texts still have words that
            marking would have replaced.
    """
    marking = evidence.manifest.marking
    if marking.mode is not Mode.LEXIMARK:
        raise InvalidInput(
            "this release was marked with a key: comparing sets of texts would give up its exact test",
            "leave out --held-out",
        )
    table = _table_of(evidence.manifest.candidates)
    if table is None:
        return

    def unmarked_share(texts: Sequence[str]) -> float:
        left = table.slots(texts)
        return sum(map(bool, map(to_the_rarest, left))) / max(len(texts), 1)

    # Words beyond the number per sentence stay in marked texts too.
    excess = unmarked_share(held_out) - unmarked_share(released_texts(evidence))
    if excess > _MOST_UNMARKED:
        raise InvalidInput(
            f"{excess:.0%} more held-back than released texts have words that marking replaces",
            "mark them as the release was marked, with 'embed --mode leximark', and give what it wrote",
        )


def _table_of(source: SourceIdentity) -> LexiconSource | None:
    """The table that a source took its words from, if any."""
    settings = source.settings
    if "tier" not in settings:
        return None
    limits: dict[str, Any] = {
        name: settings.get(name) for name in ("per_sentence", "share", "most_per_record")
    }
    lexicon = Lexicon.shipped(Tier(str(settings["tier"])))
    return LexiconSource(lexicon, budget=Budget(**limits), rarer_only=True)


def leximark_test(
    released: Sequence[str],
    held_out: Sequence[str],
    suspect: Suspect,
    *,
    inputs: Sequence[Input] = (),
) -> LexiMarkResult:
    """Compare a model's likelihood of released marked texts with that of marked texts held back.

    Args:
        released: Marked texts that were published; each distinct text counts once.
        held_out: Texts of the same source, marked in the same way, that nobody has seen.
        suspect: The model under audit.
        inputs: The files the texts were read from.

    Returns:
        Welch's test (GREATER: the released texts are likelier) and the ROC of the mean
        log-probability per token, in nats.

    Raises:
        InvalidInput: If a text is in both sets.
        InsufficientEvidence: If a set has fewer than two texts that can be scored.
    """
    members, others = list(dict.fromkeys(released)), list(dict.fromkeys(held_out))
    shared = set(members) & set(others)
    if shared:
        raise InvalidInput(
            f"{len(shared)} of the held-back texts are among the released ones",
            "held-back texts must not have been published",
        )
    scores, left_out = [], 0
    for name, texts in (("released", members), ("held-back", others)):
        found = [s.mean() for s in suspect.token_logprobs(texts) if s.size and np.isfinite(s).all()]
        if len(found) < _FEWEST_TEXTS:
            raise InsufficientEvidence(
                f"only {len(found)} {name} texts could be scored",
                f"at least {_FEWEST_TEXTS} of each kind are needed, and hundreds to find anything",
            )
        left_out += len(texts) - len(found)
        scores.append(np.array(found))
    finding = welch_test(*scores, alternative=Alternative.GREATER)
    labels = np.repeat(["released", "held-back"], [scores[0].size, scores[1].size])
    curve = roc(labels, np.concatenate(scores), higher_means="released", fprs=_FPRS)
    warnings = [
        *finding.warnings,
        *curve.warnings,
        "The p-value assumes both sets of texts to come "
        "from one distribution; the keyed test does not.",
    ]
    if left_out:
        warnings.append(f"{left_out} texts are too short to be scored and were left out.")
    return LexiMarkResult(
        finding=finding.about(
            name="LexiMark comparison",
            question=f"Are the released marked texts likelier under {suspect.identity.name} than marked "
            "texts held back?",
            unit="texts",
            assumptions=(*finding.assumptions, _ONE_DISTRIBUTION),
            warnings=tuple(warnings),
            inputs=(*inputs, *inputs_of(suspect)),
        ),
        roc=curve,
    )
