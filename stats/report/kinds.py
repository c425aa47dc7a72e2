"""What each kind of test may say: what was drawn, who is innocent, what is left open.

The sentences never give a probability of a proposition: they give that of the result, under the null
hypothesis. `{material}` and `{suspect}` are filled with names from the case, `{commitment}` with when the
draw was fixed and who testifies to it.
"""

from dataclasses import dataclass

__all__ = ["Kind", "kind_of"]

_ROUTE_OF_TEXT = (
    "The report does not say by what route the text arrived, whether its use was permitted, or what it "
    "contributed."
)
_ROUTE_OF_ORDER = (
    "The report does not say by what route the order reached it, whether that was permitted, or what it "
    "contributed."
)
_SHARED_START = (
    "A model that shares the claimant's starting checkpoint, or was trained in the same order for another "
    "reason, would also give this result; see {same_order}."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The words of one kind of test.

    Attributes:
        label: What the test is called in plain words.
        premise: What the test rests on: what was drawn, by whom, when fixed.
        innocent: The case that the p-value speaks of, as the start of a sentence.
        against: What the evidence is against, after "evidence that".
        trace: What was not found, where nothing was.
        left_out: What a result without a trace does not show.
        open: What the report does not say.
        adds: A further sentence that every answer of this kind has; may be empty.
        keyed: Whether a secret draw of the claimant decides, so that luck with many draws is a question.
    """

    label: str
    premise: str
    innocent: str
    against: str
    trace: str
    left_out: str
    open: str
    adds: str = ""
    keyed: bool = False


_WORDING = Kind(
    label="secret choices of wording",
    premise="The choices of wording in {material} were drawn with a secret key{commitment}.",
    innocent="For a model built without any text carrying those choices,",
    against="{suspect} is not independent of the marked wording",
    trace="No trace of the marked wording of {material} was found in {suspect}",
    left_out="{material} was left out of {suspect}",
    open=_ROUTE_OF_TEXT,
    keyed=True,
)
_ORDER = Kind(
    label="secret order of training",
    premise="The order in which the sequences of {material} were trained on was drawn at random{commitment}.",
    innocent="For a model that does not descend from that run and knows nothing of that order,",
    against="{suspect} is not independent of that order",
    trace="No trace of the training order of {material} was found in {suspect}",
    left_out="{suspect} does not descend from that run",
    open=_ROUTE_OF_ORDER,
    adds=_SHARED_START,
    keyed=False,
)
_GENERAL = Kind(
    label="test",
    premise="",
    innocent="If the null hypothesis of {para} is true of {suspect},",
    against="that hypothesis is not true of {suspect}",
    trace="No trace was found in {suspect}",
    left_out="the material of {para} was left out of {suspect}",
    open="The report does not say by what route the text or the order reached {suspect}, whether its use "
    "was permitted, or what it contributed.",
)
_KINDS = {
    "watermark": _WORDING,
    "completion": Kind(
        label="secret choices of wording, answers in text",
        premise=f"{_WORDING.premise} The suspect was asked to go on writing, and its words were compared "
        "with those choices.",
        innocent=_WORDING.innocent,
        against="the answers of {suspect} are not independent of the marked wording",
        trace="No trace of the marked wording of {material} was found in the answers of {suspect}",
        left_out=_WORDING.left_out,
        open=_ROUTE_OF_TEXT,
        adds="The answers are those of the service under that name at the time of the queries; which model "
        "gave them is not known.",
        keyed=True,
    ),
    "leak": Kind(
        label="secret choices of wording, in another dataset",
        premise=_WORDING.premise,
        innocent="For texts made without any text carrying those choices,",
        against="the wording of {suspect} is not independent of the marked wording",
        trace="No trace of the marked wording of {material} was found in {suspect}",
        left_out="{suspect} owes nothing to {material}",
        open="The report does not say by what route the texts arrived, who copied them, or whether that was "
        "permitted.",
        keyed=True,
    ),
    "leximark": Kind(
        label="marked members against marked non-members",
        premise="Texts of {material} and comparison texts were marked by one rule{commitment}; which of them "
        "the model finds likelier was compared.",
        innocent="For a model that met neither set, if both sets come from one distribution,",
        against="{suspect} tells the two sets apart",
        trace="No preference of {suspect} for the texts of {material} was found",
        left_out=_WORDING.left_out,
        open=_ROUTE_OF_TEXT,
        adds="No secret draw secures that both sets come from one distribution; a difference of subject or "
        "date between them would also give this result.",
    ),
    "order": _ORDER,
    "palimpsest": _ORDER,
    "query": _ORDER,
    "partition": Kind(
        label="secret order of training, in a text",
        premise=_ORDER.premise,
        innocent="For a text made without a model that knows that order,",
        against="{suspect} is not independent of that order",
        trace="No trace of the training order of {material} was found in {suspect}",
        left_out="{suspect} was made without that model",
        open=_ROUTE_OF_ORDER,
        adds=_SHARED_START.replace("A model that shares", "A text of a model that shares"),
    ),
    "reshuffle": Kind(
        label="secret order of training, against retrained runs",
        premise="The last phase of training on {material} was repeated in other orders, drawn at random like "
        "the true one{commitment}.",
        innocent="For a text made without a model that was trained in the true order,",
        against="{suspect} is not independent of the true order",
        trace="No preference of {suspect} for the true order was found",
        left_out="{suspect} was made without that model",
        open=_ROUTE_OF_ORDER,
        adds=_SHARED_START.replace("A model that shares", "A text of a model that shares"),
    ),
    "influence": Kind(
        label="claimed documents against controls",
        premise="The influence of claimed documents of {material} on stated answers of {suspect} was "
        "estimated, and compared with that of control documents of equal source and similar length.",
        innocent="If claimed documents and controls are exchangeable in their influence,",
        against="the claim and the estimated influence on {suspect} are not independent",
        trace="No larger influence of the claimed documents than of their controls was found in {suspect}",
        left_out="the claimed documents contributed nothing to {suspect}",
        open="The report does not say whether the use of the documents was permitted, or what they are "
        "worth.",
        adds="The ranking says which documents the stated approximation holds responsible for the behaviour. "
        "It is not a finding of cause in the legal sense.",
    ),
    "membership": Kind(
        label="texts under test against held-out texts",
        premise="How likely {suspect} finds the texts of {material} was compared with texts held out of it.",
        innocent="For a model that treats both alike, if both sets come from one distribution,",
        against="the scores of {suspect} and the membership of the texts are not independent",
        trace="No preference of {suspect} for the texts of {material} was found",
        left_out=_WORDING.left_out,
        open=_ROUTE_OF_TEXT,
        adds="No secret draw secures that both sets come from one distribution; a difference of subject or "
        "date between them would also give this result.",
    ),
}
_SAME = {
    "dataset-inference": "membership",
    "inference": "membership",
    "keyed": "watermark",
    "mark": "watermark",
    "records": "watermark",
}


def kind_of(name: str) -> Kind:
    """The words of a kind of test; the general ones where it is not known.

    Args:
        name: As registered, e.g. `watermark`, `order` or `order-sequential`.
    """
    name = name.removesuffix("-sequential")  # looking often changes p and e, not what they speak of
    return _KINDS.get(_SAME.get(name, name), _GENERAL)
