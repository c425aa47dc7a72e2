"""The demo: mark a dataset, train models that used it and models that did not, audit them, sign the bundle.

Roles. The claimant owns SciPy's docstrings, and a model, `base`, trained in a recorded random order.
`guilty` was trained on the marked release among the world's text, `innocent` on the world's text only.
`derivative` is `base` fine-tuned on other text; `stranger` was trained on other data. `neighbour`, an
innocent model, serves as the reference of both tests. A third test asks which of the claimant's documents
stand behind what `guilty` writes. Keys and order are drawn afresh with each cache.
"""

import hashlib
import random
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import torch
import transformers

from ... import __version__
from ...files import canonical_json, new_folder
from ...provenance.bundle.verification import Verification
from ...provenance.custody import SigningKey
from ...provenance.palimpsest import Transcript
from ...stats.report import AuditReport
from ...watermark.candidates import LexiconSource
from ...watermark.embed import embed
from ...watermark.keys import MarkingKey
from ...watermark.lexicon import Lexicon, Tier
from ...watermark.marking import Marking
from ...watermark.tables import read_table
from ..reporting import now, refuse_unfit
from .audit import audit
from .corpus import cached_docstrings
from .influence import make_influence_run
from .training import ModelSize, Recipe, packed, tokenizer_of, train

__all__ = ["DemoResult", "Plan", "Progress", "default_cache", "run_demo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Sizes of the demo.

    Attributes:
        owned: The claimant's package, whose docstrings are marked.
        world: Packages whose docstrings everybody trains on.
        owned_records: Records of the claimant at most.
        world_records: Records of each world package at most.
        tier: Tier of the substitution table; technical prose has few words of the strict one.
        longest: Records are cut at white space before this many characters.
        vocabulary: Entries of the tokenizer.
        size: Shape of the models.
        recipe: Optimiser settings of the models trained from scratch.
        tuning: Optimiser settings of `derivative`; gentler, as fine-tuning is.
        window: Tokens per training sequence of the models that are trained on records.
        order_window: Tokens per training sequence of `base`.
        order_sequences: Training sequences of `base`.
        other_sequences: Sequences of the text on which `derivative` is fine-tuned.
        documents: Documents whose influence is scored.
        claimed: How many of them are claimed.
    """

    owned: str = "scipy"
    world: tuple[str, ...] = ("numpy", "torch", "statsmodels")
    owned_records: int = 2_883
    world_records: int = 600
    tier: Tier = Tier.STANDARD
    longest: int = 2_000
    vocabulary: int = 4_096
    size: ModelSize = field(default_factory=ModelSize)
    recipe: Recipe = field(default_factory=Recipe)
    tuning: Recipe = field(default_factory=lambda: Recipe(learning_rate=1e-3))
    window: int = 256
    order_window: int = 64
    order_sequences: int = 4_000
    other_sequences: int = 1_500
    documents: int = 200
    claimed: int = 20


class Progress(Protocol):
    """Shows that something happens."""

    def stage(self, name: str) -> None:
        """A new stage begins."""

    def training(self, model: str, total_tokens: int) -> Callable[[int], None]:
        """A model is being trained; the callback takes the tokens done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What the demo leaves behind.

    Attributes:
        report: The audit of all models.
        verification: What a stranger finds who has the bundle and the signer's public key.
        folder: Where everything lies.
    """

    report: AuditReport
    verification: Verification
    folder: Path

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "folder": str(self.folder),
            "verification": self.verification.to_dict(),
            "report": self.report.to_dict(),
        }


def default_cache() -> Path:
    """Where trained models are kept: `bookplate` in the user's cache folder."""
    return Path.home() / ".cache" / "bookplate" / "demo"


def run_demo(out: Path, cache: Path, progress: Progress, plan: Plan | None = None) -> DemoResult:
    """Do the whole job.

    Args:
        out: Folder to make.
        cache: Folder for models and secrets, which a later run takes up again.
        progress: Where to show progress.
        plan: Sizes; the default takes some minutes on two cores.

    Returns:
        The audit.

    Raises:
        InvalidInput: If `out` exists, or a package of the corpus is not installed.
    """
    refuse_unfit(out)
    cache.mkdir(parents=True, exist_ok=True)
    with new_folder(out) as staged:
        workshop = _Workshop(plan or Plan(), cache, staged, progress)
        workshop.mark()
        models = workshop.models()
        workshop.record_order()
        workshop.score_influence(models["guilty"])
        progress.stage("auditing, signing and verifying")
        report, verification = audit(staged, workshop.signer())
    return DemoResult(report=report, verification=verification, folder=out)


@dataclass(frozen=True, kw_only=True)
class _Secrets:
    """The claimant's keys, and the seed of the order of `base`; drawn once per cache."""

    key_file: Path
    signing_key: Path
    order_seed: int

    @classmethod
    def of(cls, cache: Path) -> "_Secrets":
        key_file, order_file = cache / "key.json", cache / "order-seed"
        signing_key = cache / "signer.key"
        if not key_file.exists():
            MarkingKey.generate().save(key_file)
        if not signing_key.exists():
            SigningKey.generate().save(signing_key)
        if not order_file.exists():
            order_file.write_text(secrets.token_hex(8), encoding="utf-8")
        return cls(
            key_file=key_file,
            signing_key=signing_key,
            order_seed=int(order_file.read_text(encoding="utf-8"), 16),
        )


class _Workshop:
    """Makes the datasets and models of one demo."""

    def __init__(self, plan: Plan, cache: Path, out: Path, progress: Progress) -> None:
        self._plan, self._cache, self._out, self._progress = plan, cache, out, progress
        self._secrets = _Secrets.of(cache)

    def mark(self) -> None:
        """Write the claimant's dataset, the key, the release and the manifest."""
        self._progress.stage("reading docstrings")
        dataset = self._out / "scipy-docstrings.parquet"
        pl.DataFrame({"text": self._owned}).write_parquet(dataset)
        self._progress.stage("marking the claimant's dataset")
        shutil.copy(self._secrets.key_file, self._out / "key.json")
        key = MarkingKey.read(self._secrets.key_file)
        candidates = LexiconSource(Lexicon.shipped(self._plan.tier))
        embed(dataset, self._out / "marked", key, Marking(), candidates=candidates)

    def models(self) -> Mapping[str, Path]:
        """Train all models, or take them from the cache, and lay copies into the output."""
        released = read_table(self._out / "marked" / "release" / "scipy-docstrings.parquet").texts
        window = self._plan.window
        records = {
            "guilty": packed(self._tokenizer, _shuffled([*released, *self._world], 1), window),
            "innocent": packed(self._tokenizer, _shuffled(self._world, 2), window),
            "neighbour": packed(self._tokenizer, _shuffled(self._world, 3), window),
        }
        made = {
            name: self._trained(name, sequences, seed)
            for seed, (name, sequences) in enumerate(records.items(), 1)
        }
        made["base"] = self._trained("base", self._ordered, 4)
        other = self._other
        made["derivative"] = self._trained(
            "derivative", other[: self._plan.other_sequences], 5, made["base"]
        )
        made["stranger"] = self._trained("stranger", other[self._plan.other_sequences :], 6)
        for name, folder in made.items():
            shutil.copytree(folder, self._out / "models" / name)
        return {name: self._out / "models" / name for name in made}

    def record_order(self) -> None:
        """Write the transcript of `base`: at which step it saw which tokens."""
        steps = [i // self._plan.recipe.batch for i in range(len(self._ordered))]
        Transcript.write(self._out / "transcript.parquet", steps, self._ordered)

    def score_influence(self, model: Path) -> None:
        """Score some of the released documents for what a model writes."""
        self._progress.stage("scoring the influence of documents")
        released = read_table(self._out / "marked" / "release" / "scipy-docstrings.parquet").texts
        make_influence_run(
            model,
            _shuffled(released, 4),
            self._out / "influence",
            documents=self._plan.documents,
            claimed=self._plan.claimed,
            seed=0,
            created=now(),
        )

    def signer(self) -> Path:
        """The key that signs the bundle, laid into the output."""
        shutil.copy(self._secrets.signing_key, self._out / "signer.key")
        return self._out / "signer.key"

    @cached_property
    def _owned(self) -> list[str]:
        return self._corpus(self._plan.owned, self._plan.owned_records)

    @cached_property
    def _world(self) -> list[str]:
        limit = self._plan.world_records
        return [text for package in self._plan.world for text in self._corpus(package, limit)]

    def _corpus(self, package: str, limit: int) -> list[str]:
        texts = cached_docstrings(package, self._cache)
        cut = dict.fromkeys(_cut(text, self._plan.longest) for text in texts)
        return _shuffled(list(cut), 0)[:limit]

    @cached_property
    def _tokenizer(self) -> transformers.PreTrainedTokenizerFast:
        return tokenizer_of([*self._owned, *self._world], self._plan.vocabulary)

    @cached_property
    def _ordered(self) -> list[list[int]]:
        """The sequences of `base` in the order in which it sees them."""
        sequences = packed(self._tokenizer, self._world, self._plan.order_window)
        random.Random(self._secrets.order_seed).shuffle(sequences)
        return sequences[: self._plan.order_sequences]

    @cached_property
    def _other(self) -> list[list[int]]:
        """Sequences that `base` never saw: the claimant's originals, unmarked."""
        sequences = packed(self._tokenizer, self._owned, self._plan.order_window)
        return sequences[: self._plan.other_sequences + self._plan.order_sequences]

    def _trained(
        self, name: str, sequences: list[list[int]], seed: int, start_from: Path | None = None
    ) -> Path:
        recipe = replace(self._plan.tuning if start_from else self._plan.recipe, seed=seed)
        made_of = {
            "sequences": hashlib.sha256(repr(sequences).encode()).hexdigest(),
            "tokenizer": hashlib.sha256(
                self._tokenizer.backend_tokenizer.to_str().encode()
            ).hexdigest(),
            "size": asdict(self._plan.size),
            "recipe": asdict(recipe),
            "start": start_from.name if start_from else "",
            "programs": [__version__, torch.__version__, transformers.__version__],
        }
        folder = self._cache / f"{name}-{hashlib.sha256(canonical_json(made_of)).hexdigest()[:16]}"
        if not folder.exists():
            tokens = len(sequences) * len(sequences[0])
            train(
                folder,
                self._tokenizer,
                sequences,
                size=self._plan.size,
                recipe=recipe,
                start_from=start_from,
                progress=self._progress.training(name, tokens),
            )
        return folder


def _shuffled(texts: Sequence[str], seed: int) -> list[str]:
    shuffled = list(texts)
    random.Random(seed).shuffle(shuffled)
    return shuffled


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    return text[:longest].rsplit(None, 1)[0]
