"""The settings that benchmarks report, by name."""

from collections.abc import Mapping
from types import MappingProxyType

from .attack import Attack
from .dilution import Dilute
from .duplicates import DropNearDuplicates, DropRepeats, Whole
from .layout import LowerCase, NormaliseSpace, NormaliseUnicode, Truncate
from .sentences import DropSentences, ShuffleSentences
from .substitution import InformedAttack, Resubstitute, ShareOf, Wording

__all__ = ["ATTACKS", "DILUTIONS"]

# Informed attacks assume the tier and limit of `Marking`'s defaults.
ATTACKS: Mapping[str, Attack] = MappingProxyType({
    "resubstitute-10": Resubstitute(share=0.1),
    "resubstitute-30": Resubstitute(share=0.3),
    "resubstitute-50": Resubstitute(share=0.5),
    "resubstitute-10-of-all": Resubstitute(share=0.1, of=ShareOf.ALL),
    "resubstitute-30-of-all": Resubstitute(share=0.3, of=ShareOf.ALL),
    "resubstitute-50-of-all": Resubstitute(share=0.5, of=ShareOf.ALL),
    "informed-redraw": InformedAttack(wording=Wording.REDRAWN, per_sentence=5),
    "informed-redraw-everywhere": InformedAttack(wording=Wording.REDRAWN),
    "informed-most-frequent": InformedAttack(wording=Wording.MOST_FREQUENT, per_sentence=5),
    "informed-most-frequent-everywhere": InformedAttack(wording=Wording.MOST_FREQUENT),
    "lower-case": LowerCase(),
    "normalise-unicode": NormaliseUnicode(),
    "normalise-space": NormaliseSpace(),
    "drop-sentences-10": DropSentences(share=0.1),
    "drop-sentences-30": DropSentences(share=0.3),
    "drop-sentences-50": DropSentences(share=0.5),
    "shuffle-sentences": ShuffleSentences(),
    "truncate-to-half": Truncate(share=0.5),
    "truncate-to-500": Truncate(characters=500),
    "drop-repeated-texts": DropRepeats(words=50),
    "drop-repeated-passages": DropRepeats(words=50, whole=Whole.PASSAGE),
    "drop-near-duplicates": DropNearDuplicates(),
})

DILUTIONS: Mapping[str, Dilute] = MappingProxyType({
    "dilute-to-30": Dilute(marked_share=0.3),
    "dilute-to-10": Dilute(marked_share=0.1),
    "dilute-to-3": Dilute(marked_share=0.03),
})
