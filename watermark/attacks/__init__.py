"""What a washer, or an honest pipeline, does to released texts before a model is trained on them.

`substitution` replaces words, blindly or with knowledge of the method; `layout` changes letters,
white space and length; `sentences` drops and shuffles sentences; `duplicates` removes repeated and
nearly repeated text; `dilution` mixes in other texts. Every attack is a frozen object that is called
with texts and a seed, and answers with `Attacked`: the texts that are left, and the row that each of
them came from. `ATTACKS` and `DILUTIONS` hold the settings that benchmarks report.

Continued training on clean text attacks the model, not the texts: benchmarks train further and test
again; there is nothing to call here.
"""

from .attack import Attack, Attacked, TextAttack
from .dilution import Dilute
from .duplicates import DropNearDuplicates, DropRepeats, Whole
from .layout import LowerCase, NormaliseSpace, NormaliseUnicode, Truncate
from .sentences import DropSentences, ShuffleSentences
from .standard import ATTACKS, DILUTIONS
from .substitution import InformedAttack, Resubstitute, ShareOf, Wording

__all__ = [
    "ATTACKS",
    "DILUTIONS",
    "Attack",
    "Attacked",
    "Dilute",
    "DropNearDuplicates",
    "DropRepeats",
    "DropSentences",
    "InformedAttack",
    "LowerCase",
    "NormaliseSpace",
    "NormaliseUnicode",
    "Resubstitute",
    "ShareOf",
    "ShuffleSentences",
    "TextAttack",
    "Truncate",
    "Whole",
    "Wording",
]
