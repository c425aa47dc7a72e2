"""Every method of the power benchmark on models that read what it marked: p-values by number of records."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from bookplate.provenance.suspect import ChoiceSlot
from bookplate.stats import Alternative, ghost_test, welch_test
from bookplate.watermark.attacks import ATTACKS
from bookplate.watermark.baselines import (
    Baseline,
    LookAlikes,
    RandomSequence,
    Scope,
    baseline_test,
)
from bookplate.watermark.detect import unit_test
from bookplate.watermark.evidence import Evidence
from bookplate.watermark.manifest import digest_of
from bookplate.watermark.marking import Mode, Unit
from bookplate.watermark.scoring import score_variants, variants_of
from bookplate.watermark.tables import apply_edits
from numpy.typing import NDArray
from power_models import Lab, Remembered, SlotTable, Way, key_of

LEVEL = 0.01
SUBSETS = 40  # random subsets of the records per number of records
SHARDS = 4
KEYED = {
    "keyed, type, strict": Way.of("strict"),
    "keyed, type, standard": Way.of("standard"),
    "keyed, type, broad": Way.of("broad"),
    "keyed, shard (4), strict": Way.of("strict", Unit.SHARD, shards=SHARDS),
}
BY_RECORD = Way.of("strict", Unit.RECORD, ghosts=4)
LEXIMARK = Way.of("strict", mode=Mode.LEXIMARK)
DEFAULT = "keyed, type, strict"
DILUTIONS = (0.3, 0.1, 0.03)
UNTOUCHED = 0.02  # attacks that change a smaller share of the records are not trained on

_Records = NDArray[np.int64]


RANDOM, LOOKS = "random string", "look-alikes"
BASELINES = {  # with the records to score at most, and the number of ghosts
    f"{RANDOM}, one per record": (RandomSequence(scope=Scope.RECORD), 400, 19),
    f"{RANDOM}, one for all": (RandomSequence(scope=Scope.DATASET), 10, 119),
    f"{LOOKS}, per record": (LookAlikes(scope=Scope.RECORD), 100, 4),
    f"{LOOKS}, one set for all": (LookAlikes(scope=Scope.DATASET), 4, 119),
}
RECORD_MOST = 300
REFERENCE = ", with a reference"
PUBLISHED = "LexiMark, Welch"


class Case:
    """A trained model under one method: the p-value from any of the first `n` records."""

    def __init__(self, n: int, p: Callable[[_Records], float]) -> None:
        self.n, self.p = n, p
        self.some_p = cache(self._some_p)

    def median_p(self, n: int) -> float:
        """Median p over random subsets of n records."""
        return float(np.median(self.some_p(n)))

    def _some_p(self, n: int) -> list[float]:
        """The p-values of random subsets of n records."""
        rng = np.random.default_rng(n)
        rounds = 1 if n == self.n else SUBSETS
        return [self.p(rng.permutation(self.n)[:n]) for _ in range(rounds)]

    def needed(self, threshold: Callable[[int], float] = lambda n: LEVEL) -> float:
        """The fewest records from which on the median p is below the threshold; inf if none."""
        found = np.inf
        for n in reversed(sizes(self.n)):
            if self.median_p(n) >= threshold(n):
                return found
            found = n
        return found


def sizes(most: int) -> list[int]:
    """1, 2, ... in steps of about a fifth, and all."""
    steps = np.unique(np.round(1.2 ** np.arange(1, 60))).astype(int)
    return [*(int(n) for n in steps if n < most), most]


class Bench:
    """The methods, on one lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.originals = {digest_of(text): text for text in lab.pools.owned}
        self.evidence, self.released = cache(self._evidence), cache(self._released)
        self.leximarked = cache(self._leximarked)

    # --- keyed ---------------------------------------------------------------------------------

    def _evidence(self, way: Way, seed: int) -> Evidence:
        """The owned records as a key marks them."""
        manifest = way.mark(self.lab.pools.owned, key_of(seed))
        return Evidence(manifest=manifest, originals=self.originals)

    def _released(self, way: Way, seed: int) -> list[str]:
        """The marked records, in the order of the owned ones."""
        by_original = self.evidence(way, seed).manifest.by_original()
        return [
            apply_edits(text, by_original[digest_of(text)].release_edits())
            for text in self.lab.pools.owned
        ]

    def keyed(
        self, way: Way, seed: int, model: Path, *, n: int = 0, with_reference: bool = False
    ) -> Case:
        """Detection by type, shard or slot."""
        evidence, texts = self.evidence(way, seed), self.lab.pools.owned
        slots = SlotTable.of(evidence, texts, Remembered(model))
        references = [Remembered(self.reference())] if with_reference else []
        others = [SlotTable.of(evidence, texts, reference) for reference in references]

        def p(records: _Records) -> float:
            units = slots.units(records)
            if not units.names:
                return 1.0
            found = unit_test(units, [o.units(records) for o in others], seed=1, n_resamples=999)
            return found.p_value

        return Case(n or len(texts), p)

    def by_record(self, seed: int, model: Path, most: int) -> Case:
        """Whole variants; only the first records, as each is scored five times."""
        evidence = self.evidence(BY_RECORD, seed)
        by_original = evidence.manifest.by_original()
        records = [by_original[digest_of(text)] for text in self.lab.pools.owned[:most]]
        has_slots = np.array([bool(record.slots) for record in records])
        scored = [record for record in records if record.slots]
        scores = np.zeros((len(records), 1 + BY_RECORD.marking.ghosts))
        scores[has_slots] = score_variants(Remembered(model), variants_of(evidence, scored))

        def p(rows: _Records) -> float:
            return ghost_test(scores[rows], seed=1, n_resamples=999).p_value

        return Case(len(records), p)

    # --- the published method ------------------------------------------------------------------

    def _leximarked(self, held_back: bool) -> list[str]:
        """The owned or the held-back records as LexiMark marks them."""
        pools = self.lab.pools
        texts = pools.held_back if held_back else pools.owned
        by_original = LEXIMARK.mark(texts, key_of(0)).by_original()
        return [apply_edits(t, by_original[digest_of(t)].release_edits()) for t in texts]

    def leximark(self, model: Path, *, n: int = 0) -> Case:
        """So many of the released marked records against as many that were held back."""
        members, others = (self.likelihoods(model, held_back) for held_back in (False, True))
        n = n or min(members.size, others.size)

        def p(rows: _Records) -> float:
            if rows.size < 2:
                return 1.0
            rng = np.random.default_rng(int(rows.sum()))
            held_back = others[rng.permutation(others.size)[: rows.size]]
            return welch_test(members[rows], held_back, alternative=Alternative.GREATER).p_value

        return Case(n, p)

    def positions(self) -> list[int]:
        """Where in the corpus the records stood: the owned ones', then the held-back ones'."""
        pools = self.lab.pools
        return [pools.position[text] for text in (*pools.owned, *pools.held_back)]

    def likelihoods(self, model: Path, held_back: bool) -> NDArray[np.float64]:
        """Mean log-probability per token of each marked text."""
        found = Remembered(model).token_logprobs(self.leximarked(held_back))
        return np.array([scores.mean() for scores in found])

    # --- other marks ---------------------------------------------------------------------------

    def inserted(self, mark: Baseline, seed: int) -> list[str]:
        """The owned records with another kind of mark."""
        drawer = key_of(seed).drawer()
        return [mark.variants(text, drawer, 1)[0] for text in self.lab.pools.owned]

    def baseline(self, mark: Baseline, seed: int, model: Path, *, most: int, ghosts: int) -> Case:
        """A random string is scored as a choice at the end of its text: what precedes is common to all."""
        drawer, texts = key_of(seed).drawer(), self.lab.pools.owned[:most]
        variants = [mark.variants(text, drawer, ghosts) for text in texts]
        if isinstance(mark, RandomSequence):
            slots = [
                [ChoiceSlot(len(text), len(text), tuple(v[len(text) :] for v in row))]
                for text, row in zip(texts, variants, strict=True)
            ]
            scores = np.array([row[0] for row in Remembered(model).choice_logprobs(texts, slots)])
        else:
            scores = score_variants(Remembered(model), variants)
        return Case(
            len(scores), lambda rows: baseline_test(mark.scope, scores[rows], seed=1).p_value
        )

    # --- models --------------------------------------------------------------------------------

    def reference(self) -> Path:
        """The model that read what nobody else did."""
        return self.lab.model(self.lab.pools.neighbour, 999)

    def innocent(self, kind: str, seed: int) -> Path:
        """A model that read other texts, or the unmarked originals."""
        pools = self.lab.pools
        return self.lab.model({"other": pools.world, "originals": pools.owned}[kind], 500 + seed)


Make = Callable[[], Case]


def main_cases(bench: Bench, seed: int) -> Iterator[tuple[str, Make]]:
    """Every method on a model that read its marked records and nothing else."""
    lab = bench.lab
    ways = {**KEYED, "keyed, slot, strict": BY_RECORD}
    for name, way in ways.items():
        for suffix in ("", REFERENCE):
            yield (
                name + suffix,
                lambda way=way, suffix=suffix: bench.keyed(
                    way,
                    seed,
                    lab.model(bench.released(way, seed), seed),
                    with_reference=bool(suffix),
                ),
            )
    yield (
        "keyed, record with 4 ghosts, strict",
        lambda: bench.by_record(
            seed, lab.model(bench.released(BY_RECORD, seed), seed), RECORD_MOST
        ),
    )
    yield PUBLISHED, lambda: bench.leximark(lab.model(bench.leximarked(False), seed))
    for name, (mark, most, ghosts) in BASELINES.items():
        yield (
            name,
            lambda mark=mark, most=most, ghosts=ghosts: bench.baseline(
                mark,
                seed,
                lab.model(bench.inserted(mark, seed), seed, whole=True),
                most=most,
                ghosts=ghosts,
            ),
        )


def diluted_cases(bench: Bench, seed: int, share: float) -> Iterator[tuple[str, Make]]:
    """The first of the marked records as a part of what the model read."""
    lab, way, strings = bench.lab, KEYED[DEFAULT], f"{RANDOM}, one per record"
    n = len(lab.first(lab.pools.owned, share))
    mark, most, ghosts = BASELINES[strings]

    def model(texts: list[str]) -> Path:
        return lab.model(lab.diluted(texts, share), seed)

    for suffix in ("", REFERENCE):
        yield (
            DEFAULT + suffix,
            lambda suffix=suffix: bench.keyed(
                way,
                seed,
                model(bench.released(way, seed)),
                n=n,
                with_reference=bool(suffix),
            ),
        )
    yield PUBLISHED, lambda: bench.leximark(model(bench.leximarked(False)), n=n)
    yield (
        strings,
        lambda: bench.baseline(
            mark, seed, model(bench.inserted(mark, seed)), most=min(most, n), ghosts=ghosts
        ),
    )


def attacked_cases(bench: Bench, seed: int) -> Iterator[tuple[str, Make]]:
    """The default method with a reference, after each attack that changes something here."""
    lab, way = bench.lab, KEYED[DEFAULT]
    released = bench.released(way, seed)

    def found(model: Path) -> Case:
        return bench.keyed(way, seed, model, with_reference=True)

    yield "none", lambda: found(lab.model(released, seed))
    for name, attack in ATTACKS.items():
        texts = list(attack(released, seed=seed).texts)
        if 1 - len(set(texts) & set(released)) / len(set(released)) >= UNTOUCHED:
            yield name, lambda texts=texts: found(lab.model(texts, seed))
    yield (
        "continued training on as much clean text",
        lambda: found(lab.model(lab.pools.world, seed, start_from=lab.model(released, seed))),
    )
