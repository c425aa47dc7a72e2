"""Models trained for the power benchmark, and what they say of marked texts, kept in a folder.

A record is a piece of a corpus of at most `LONGEST` characters. Pieces are shuffled once and dealt to
pools that share no piece: what a claimant owns, what a LexiMark owner holds back, what the rest of
the world writes, and what the reference model reads.
"""

import hashlib
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import torch
import transformers
from bookplate.cli.demo.training import ModelSize, Recipe, packed, tokenizer_of, train
from bookplate.provenance.suspect import ChoiceSlot, Suspect, open_suspect
from bookplate.stats import Input
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.embed import mark_texts
from bookplate.watermark.evidence import Evidence
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.manifest import Manifest, digest_of
from bookplate.watermark.marking import Marking, Mode, Unit
from bookplate.watermark.scoring import UnitScores
from numpy.typing import NDArray

__all__ = [
    "Lab",
    "NotTrained",
    "Pools",
    "Remembered",
    "SlotTable",
    "Way",
    "key_of",
    "pieces",
    "shuffled",
]

LONGEST, SHORTEST = 750, 250  # within the context of the models
WINDOW = 256
VOCABULARY = 2_048
RECIPE = Recipe(batch=4)
TUNING = Recipe(batch=4, learning_rate=1e-3)


@dataclass(frozen=True)
class Way:
    """A way to mark: a tier of the shipped table, and what one draw decides."""

    tier: Tier
    marking: Marking

    @classmethod
    def of(
        cls,
        tier: str,
        unit: Unit = Unit.TYPE,
        *,
        mode: Mode = Mode.KEYED,
        shards: int = 0,
        ghosts: int = 0,
    ) -> "Way":
        """The way of these names."""
        return cls(Tier(tier), Marking(mode=mode, unit=unit, shards=shards, ghosts=ghosts))

    def mark(self, texts: Sequence[str], key: MarkingKey) -> Manifest:
        """Mark texts in this way."""
        source = LexiconSource(Lexicon.shipped(self.tier))
        return mark_texts(texts, key, self.marking, candidates=source)


def key_of(seed: int) -> MarkingKey:
    """A key that is secret to nobody, so that the benchmark can be repeated."""
    return MarkingKey(hashlib.sha256(b"power benchmark %d" % seed).digest(), bytes(32))


def shuffled(texts: Iterable[str], seed: int) -> list[str]:
    found = list(texts)
    random.Random(seed).shuffle(found)
    return found


def pieces(texts: Iterable[str]) -> Iterator[str]:
    """Distinct texts cut at white space; what is left of fewer than `SHORTEST` characters goes."""
    seen = set()
    for text in texts:
        rest = text
        while len(rest) >= SHORTEST:
            piece = rest if len(rest) <= LONGEST else rest[:LONGEST].rsplit(None, 1)[0]
            rest = rest[len(piece) :].lstrip()
            if piece not in seen and len(piece) >= SHORTEST:
                seen.add(piece)
                yield piece


@dataclass(frozen=True, kw_only=True)
class Pools:
    """Texts that share no piece, each of about as many tokens as one model reads."""

    owned: list[str]
    held_back: list[str]
    world: list[str]
    neighbour: list[str]
    position: dict[str, int]  # of each piece in its corpus

    @classmethod
    def deal(cls, texts: Sequence[str], characters: int, *, skip: int = 0) -> "Pools":
        """Deal shuffled pieces; `skip` pools are left to another benchmark."""
        cut = list(pieces(texts))
        waiting = iter(shuffled(cut, 0))
        dealt = [list(_worth(waiting, characters)) for _ in range(skip + 4)][skip:]
        owned, held_back, world, neighbour = dealt
        return cls(
            owned=owned,
            held_back=held_back,
            world=world,
            neighbour=neighbour,
            position={piece: number for number, piece in enumerate(cut)},
        )


def _worth(texts: Iterator[str], characters: int) -> Iterator[str]:
    while characters > 0 and (text := next(texts, None)) is not None:
        characters -= len(text)
        yield text


class NotTrained(Exception):
    """A model is not in the cache, and none is to be trained."""


class Remembered:
    """A suspect that is loaded only for questions it has not answered before; see `Suspect`."""

    def __init__(self, folder: Path) -> None:
        self.identity = Input(name=folder.name, sha256=digest_of(folder.name))
        self._folder = folder

    @cached_property
    def _suspect(self) -> Suspect:
        return open_suspect(str(self._folder))

    def choice_logprobs(
        self, texts: Sequence[str], slots: Sequence[Sequence[ChoiceSlot]]
    ) -> list[list[NDArray[np.float64]]]:
        """See `Suspect.choice_logprobs`."""
        file = self._file("choices", repr([texts, slots]))
        if not file.exists():
            found = self._suspect.choice_logprobs(texts, slots)
            rows = [[score.tolist() for score in scores] for scores in found]
            pl.DataFrame(
                {"scores": rows}, schema={"scores": pl.List(pl.List(pl.Float64))}
            ).write_parquet(file)
        return [[np.array(s) for s in row] for row in pl.read_parquet(file)["scores"].to_list()]

    def token_logprobs(self, sequences: Sequence[str | Sequence[int]]) -> list[NDArray[np.float64]]:
        """See `Suspect.token_logprobs`."""
        file = self._file("tokens", repr(sequences))
        if not file.exists():
            rows = [row.tolist() for row in self._suspect.token_logprobs(sequences)]
            pl.DataFrame({"scores": rows}, schema={"scores": pl.List(pl.Float64)}).write_parquet(
                file
            )
        return [np.array(row) for row in pl.read_parquet(file)["scores"].to_list()]

    def _file(self, kind: str, asked: str) -> Path:
        return self._folder / f"{kind}-{digest_of(asked)[:16]}.parquet"


class Lab:
    """Trains models and remembers them.

    Args:
        cache: Where models and their answers are kept.
        pools: What they read.
        tokens: How many tokens each of them reads at most.
        trains: Whether models that are not kept yet are trained.
    """

    def __init__(self, cache: Path, pools: Pools, tokens: int, *, trains: bool = True) -> None:
        self.cache, self.pools, self.tokens, self.trains = cache, pools, tokens, trains
        cache.mkdir(parents=True, exist_ok=True)
        self.tokenizer = tokenizer_of([*pools.owned, *pools.world], VOCABULARY)

    def model(
        self,
        texts: Sequence[str],
        seed: int,
        *,
        start_from: Path | None = None,
        whole: bool = False,
    ) -> Path:
        """A model that read these texts once, in an order drawn by the seed.

        Args:
            texts: What it reads; what is beyond the lab's number of tokens is cut off at random.
            seed: Of the order and the initial weights.
            start_from: A model to train further.
            whole: Read all texts, however many tokens.
        """
        windows = packed(self.tokenizer, shuffled(texts, seed), WINDOW)
        if not whole:
            windows = windows[: self.tokens // WINDOW]
        recipe = replace(TUNING if start_from else RECIPE, seed=seed)
        made_of = [windows, recipe, ModelSize(), start_from and start_from.name, torch.__version__]
        made_of += [transformers.__version__, self.tokenizer.backend_tokenizer.to_str()]
        folder = self.cache / hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]
        if not folder.exists():
            if not self.trains:
                raise NotTrained
            # Half the time of float32; a cache of weights would never see an update.
            with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):
                train(
                    folder,
                    self.tokenizer,
                    windows,
                    size=ModelSize(),
                    recipe=recipe,
                    start_from=start_from,
                )
        return folder

    def first(self, texts: Sequence[str], share: float) -> list[str]:
        """The first texts, at least one, whose originals are worth a share of all."""
        most = share * sum(map(len, self.pools.owned))
        ends = np.cumsum([len(text) for text in self.pools.owned])
        return list(texts[: max(int(np.searchsorted(ends, most)), 1)])

    def diluted(self, texts: Sequence[str], share: float) -> list[str]:
        """The first texts up to a share, and the world's for the rest."""
        rest = (1 - share) * sum(map(len, self.pools.owned))
        return [*self.first(texts, share), *_worth(iter(self.pools.world), int(rest))]


@dataclass(frozen=True, kw_only=True)
class SlotTable:
    """Scores of all slots of all records, from which the units of any records can be made.

    Attributes:
        record: Index of each slot's record, shape (S,).
        unit: Index of each slot's unit, shape (S,).
        scores: Scores of its choices, NaN beyond the last, shape (S, K).
        names: Name of each unit.
        chosen: Released choice of each unit.
        frequencies: Log-frequency of each unit's choices, in nats.
    """

    record: NDArray[np.int64]
    unit: NDArray[np.int64]
    scores: NDArray[np.float64]
    names: NDArray[np.str_]
    chosen: NDArray[np.int64]
    frequencies: list[NDArray[np.float64]]

    @classmethod
    def of(cls, evidence: Evidence, texts: Sequence[str], suspect: Suspect) -> "SlotTable":
        """Ask a suspect; records are numbered as the texts are."""
        by_original, name_of = evidence.manifest.by_original(), evidence.manifest.marking.unit_name
        records = [by_original[digest_of(text)] for text in texts]
        places = [[ChoiceSlot(s.start, s.end, s.choices) for s in r.slots] for r in records]
        asked = suspect.choice_logprobs(texts, places)
        rows = [
            (number, name_of(record.record, i, slot.unit), slot.choice, score, slot.surprisals)
            for number, (record, scores) in enumerate(zip(records, asked, strict=True))
            for i, (slot, score) in enumerate(zip(record.slots, scores, strict=True))
            if np.isfinite(score).all()
        ]
        names, first, unit = np.unique([r[1] for r in rows], return_index=True, return_inverse=True)
        width = max(r[3].size for r in rows)
        return cls(
            record=np.array([r[0] for r in rows]),
            unit=unit,
            scores=np.array([
                np.pad(r[3], (0, width - r[3].size), constant_values=np.nan) for r in rows
            ]),
            names=names,
            chosen=np.array([rows[i][2] for i in first]),
            frequencies=[-np.log(2) * np.array(rows[i][4]) for i in first],
        )

    def units(self, records: NDArray[np.int64]) -> UnitScores:
        """The units of some records, as `score_units` makes them."""
        mine = np.isin(self.record, records)
        kept, unit, n_slots = np.unique(self.unit[mine], return_inverse=True, return_counts=True)
        totals = np.zeros((kept.size, self.scores.shape[1]))
        np.add.at(totals, unit, self.scores[mine])
        means = totals / n_slots[:, None]
        return UnitScores(
            names=tuple(self.names[kept].tolist()),
            values=tuple(row[~np.isnan(row)] for row in means),
            frequencies=tuple(self.frequencies[u] for u in kept),
            chosen=self.chosen[kept],
            n_slots=n_slots,
        )
