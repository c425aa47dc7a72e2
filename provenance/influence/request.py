"""What an influence run is asked to do."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ...stats import Input
from .corpus import Corpus
from .curvature import Damping, Factors
from .prompts import Prompt
from .records import FORMAT, VERSION
from .tfidf import FilterSettings

__all__ = ["Run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is run.

    Attributes:
        model: A causal language model.
        tokenizer: Its fast tokenizer.
        identity: Name and digest of both.
        factors: Its curvature.
        prompts: The queries.
        corpus: The documents.
        length: Tokens of a window, as the model was trained.
        filtering: What the filter keeps; None scores every document.
        only: Ids of the only documents that are scored, with why each was chosen; or None. There is no filter
            then.
        seed: Of the filter's random sample and of what a page draws at random.
        damping: What is added to the curvature.
        query_rank: Rank that queries are cut down to, or None.
        training_size: N, or None for as many sequences as the curvature was fitted on.
        self_influence: Whether it is computed too.
        source_column: Column that says where a document comes from, or None.
        batch_positions: Positions that a batch may be padded to.
    """

    model: Any
    tokenizer: Any
    identity: Input
    factors: Factors
    prompts: tuple[Prompt, ...]
    corpus: Corpus
    length: int
    filtering: FilterSettings | None = None
    only: Mapping[str, str] | None = None
    seed: int = 0
    damping: Damping = field(default_factory=Damping)
    query_rank: int | None = None
    training_size: int | None = None
    self_influence: bool = False
    source_column: str | None = None
    batch_positions: int = 4096

    @property
    def dtype(self) -> str:
        """Precision of the model's passes."""
        return str(next(self.model.parameters()).dtype).removeprefix("torch.")

    def record(self) -> dict[str, Any]:
        """All that decides the scores, as JSON."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "model": asdict(self.identity),
            "factors": self.factors.settings.as_json(),
            "fitted_on": asdict(self.factors.data),
            "weights_sha256": self.factors.model_sha256,
            "dtype": self.dtype,
            "queries": [asdict(prompt) for prompt in self.prompts],
            "corpus": {
                "files": dict(self.corpus.digests()),
                "column": self.corpus.column,
                "id_column": self.corpus.id_column,
            },
            "length": self.length,
            "filter": None if self.filtering is None else asdict(self.filtering),
            "only": None if self.only is None else dict(self.only),
            "seed": str(self.seed),
            "damping": asdict(self.damping),
            "query_rank": self.query_rank,
            "training_size": self.training_size or self.factors.data.n_examples,
            "self_influence": self.self_influence,
            "source_column": self.source_column,
        }
