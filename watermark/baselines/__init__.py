"""Marks of other kinds, to compare with: random strings, look-alike letters and trigger sentences.

Each is keyed. The key draws M + 1 variants of a text by one rule, each variant by a draw of its own;
the first is released, the others are ghosts that nobody else sees. So the variants are independent and
identically distributed given the text, hence exchangeable; and a model that never saw the release does
not depend on the draws. Whatever number such a model gives to each variant, its log-likelihood for
instance, which of them is called released is uniform. What differs is the *unit*, see `Scope`:

- RECORD: every distinct text has draws of its own. Texts are independent: `bookplate.stats.ghost_test` on the
  matrix of scores, one row per distinct text, is exact.
- DATASET: one draw for all texts, as in the paper, where the repeated mark is learnt best. All texts
  share it, so they are *not* independent and `ghost_test` would be wrong: the dataset is the one unit.
  Sum the scores over texts and use `bookplate.stats.rank_test`; its p-value is at least 1 / (M + 1).

`baseline_test` picks the right one. Sources: random strings and look-alikes after Wei, Wang & Jia (2024),
arXiv 2402.10892, which compares one released mark with random others; trigger sentences after the
TextMarker baseline that LexiMark compares with (arXiv 2506.14474). The key and the ghosts are ours.
"""

from .baseline import Baseline, Scope, baseline_test, restoring_edits
from .insertions import TRIGGER_WORDS, Alphabet, Place, RandomSequence, SentenceTrigger
from .lookalikes import LOOK_ALIKES, LookAlikes, Pattern

__all__ = [
    "LOOK_ALIKES",
    "TRIGGER_WORDS",
    "Alphabet",
    "Baseline",
    "LookAlikes",
    "Pattern",
    "Place",
    "RandomSequence",
    "Scope",
    "SentenceTrigger",
    "baseline_test",
    "restoring_edits",
]
