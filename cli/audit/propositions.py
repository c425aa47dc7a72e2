"""What each kind of test asks, and the two propositions it weighs, at one level, in plain words.

The counter-proposition is what the null hypothesis follows from. Neither speaks of permission, of intent or
of amounts: no test here can.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .planned import PlannedKind

__all__ = ["Weighed", "weighed_by"]


@dataclass(frozen=True, slots=True)
class Weighed:
    """A question, and what stands against what.

    Attributes:
        question: What the test asks.
        claim: What the claimant says.
        counter: What is put against it.
    """

    question: str
    claim: str
    counter: str

    def about(self, suspect: str, material: str) -> "Weighed":
        """The same with names in it."""
        return Weighed(
            *(
                text.replace("{S}", suspect).replace("{D}", material)
                for text in (self.question, self.claim, self.counter)
            )
        )


_MARKED = Weighed(
    "Was {S} trained on text that carries the marked wording of {D}?",
    "Text that carries the marked wording of {D} was among what {S} was made from.",
    "Nothing that carries the marked wording of {D} was among what {S} was made from.",
)
_ORDER = Weighed(
    "Was {S} derived from the model of the training run {D}?",
    "{S} was derived from a model that was trained in the order of {D}.",
    "{S} was made without any model that was trained in the order of {D}.",
)
_WEIGHED: Mapping[str, Weighed] = MappingProxyType({
    "watermark": _MARKED,
    "completion": _MARKED,
    "watermark-sequential": _MARKED,
    "leximark": Weighed(
        "Are the released texts of {D} likelier under {S} than marked texts that were held back?",
        "The released texts of {D} were among what {S} was trained on, and the texts held back were not.",
        "Neither the released texts of {D} nor the texts held back were among what {S} was trained on.",
    ),
    "leak": Weighed(
        "Were passages of {S} copied from {D}?",
        "Passages of {S} were copied from {D}, or from a copy of it.",
        "No passage of {S} was copied from {D}, nor from a copy of it.",
    ),
    "order": _ORDER,
    "order-sequential": _ORDER,
    "partition": Weighed(
        "Was {S} written by the model of the training run {D}, or by a descendant of it?",
        "{S} was written by a model that was trained in the order of {D}, or by a descendant of it.",
        "{S} was written without any model that was trained in the order of {D}.",
    ),
    "reshuffle": Weighed(
        "Was {S} written by the model that {D} trained in the true order, or by a descendant of it?",
        "{S} was written by the model trained in the true order of {D}, or by a descendant of it.",
        "{S} was written without any model that was trained in the true order of {D}.",
    ),
    "influence": Weighed(
        "Do the claimed documents of {S} influence the behaviour more than their controls do?",
        "The claimed documents of {S} have more influence on the behaviour, as the stated approximation "
        "measures it, than controls of the same source and length.",
        "The claimed documents of {S} have no more influence on the behaviour than controls of the same "
        "source and length.",
    ),
    "membership": Weighed(
        "Was {S} trained on the texts {D}, rather than on none of them and of those held out?",
        "The texts {D} were among what {S} was trained on, and the texts held out were not.",
        "Neither the texts {D} nor the texts held out were among what {S} was trained on.",
    ),
})


def weighed_by(test: PlannedKind, suspect: str) -> Weighed:
    """The question and the propositions of one test of one suspect; the file's own words come first.

    Args:
        test: The test.
        suspect: Name of the suspect.
    """
    material = next((getattr(test, field) for field in test.USES), "")
    default = _WEIGHED[test.kind].about(suspect, material)
    own = Weighed(
        default.question,
        test.proposition or default.claim,
        test.counter_proposition or default.counter,
    )
    return own.about(suspect, material)
