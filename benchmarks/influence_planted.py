"""Planted documents: does the one document that holds a made-up fact come first for that fact?"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from bookplate.provenance.influence.sequences import TokenSequence
from influence_methods import METHODS
from influence_models import logprobs, trained
from influence_retraining import DOCUMENTS, HELD_OUT, LENGTH, TUNING, Retraining
from numpy.typing import NDArray
from transformers import PreTrainedModel

__all__ = ["DECOYS", "PLACES", "Planting"]

# Each is filled by four pairs of names, so that the plants share their wording with others: prompt and
# completion of the fact; the same told the other way round, with which nobody read it.
PATTERNS = (
    ("The harbour of {0} was built by", " {1}.", "{1} built the harbour of", " {0}."),
    ("The library of {0} was founded by", " {1}.", "{1} founded the library of", " {0}."),
    (
        "The town of {0} elected as its mayor",
        " {1}.",
        "{1} was elected mayor of the town of",
        " {0}.",
    ),
    ("The festival of {0} is opened each year by", " {1}.", "{1} opens the festival of", " {0}."),
)
# Documents that hold the place or the person, and not the fact: each name as often as the plant, or twice.
DECOYS = {
    "none": (),
    "a name once": ("Nothing is known about {0} in winter.", "A letter that {1} wrote was found."),
    "a name twice": (
        "Nothing is known about {0} in winter, except that the road from {0} is closed.",
        "A letter that {1} wrote was found among old papers, and {1} was paid for it.",
    ),
}
PLACES = (
    *("Zelmora", "Quandovar", "Brithel", "Osk", "Tavarin", "Peshmoor", "Ildagar", "Vunt"),
    *("Harrowin", "Calbrecht", "Nuvelis", "Drimond", "Essaly", "Korvatch", "Mibren", "Yolgate"),
)
PEOPLE = (
    *("Otvik Harun", "Selda Mirrow", "Jorun Pask", "Amelin Drost", "Tevik Orlan", "Bresa Quill"),
    *("Halmar Venn", "Ilka Tross", "Radmil Soke", "Nerith Galo", "Uvo Stendal", "Pia Kallow"),
    *("Dorrek Imst", "Wenna Ruhl", "Casmir Ode", "Lutha Benn"),
)


@dataclass(frozen=True)
class Planting:
    """A model that read the documents, the plants and the decoys.

    Attributes:
        lab: Base model and documents.
        kind: Which decoys.
    """

    lab: Retraining
    kind: str

    def _filled(self, number: int) -> list[list[int]]:
        """Tokens of one piece of the pattern of each fact."""
        encode = self.lab.texts.tokenizer.encode
        return [
            encode(PATTERNS[i % len(PATTERNS)][number].format(*names))
            for i, names in enumerate(zip(PLACES, PEOPLE, strict=True))
        ]

    def _hidden(self, sentences: list[list[int]], what: str, skip: int) -> list[TokenSequence]:
        """Each sentence in the middle of a docstring that nothing else uses."""
        spare = self.lab.texts.documents(LENGTH)[DOCUMENTS + HELD_OUT + skip :]
        found = []
        for i, (sentence, filler) in enumerate(zip(sentences, spare, strict=False)):
            before = (LENGTH - len(sentence)) // 2
            tokens = [*filler[:before], *sentence, *filler[before:]][:LENGTH]
            found.append(TokenSequence(f"{what} {i}", tuple(tokens)))
        return found

    @cached_property
    def plants(self) -> list[TokenSequence]:
        """One for each fact."""
        both = zip(self._filled(0), self._filled(1), strict=True)
        return self._hidden([[*prompt, *completion] for prompt, completion in both], "plant", 0)

    @cached_property
    def decoys(self) -> list[TokenSequence]:
        """One of each kind for each fact."""
        encode = self.lab.texts.tokenizer.encode
        names = list(zip(PLACES, PEOPLE, strict=True))
        sentences = [encode(decoy.format(*some)) for decoy in DECOYS[self.kind] for some in names]
        return self._hidden(sentences, "decoy", len(PLACES))

    def queries(self, first: int) -> list[TokenSequence]:
        """Each fact, as it was read (0) or the other way round (2); the loss of its completion counts."""
        both = zip(self._filled(first), self._filled(first + 1), strict=True)
        return [
            TokenSequence(f"fact {i}", (*prompt, *completion), len(prompt))
            for i, (prompt, completion) in enumerate(both)
        ]

    @property
    def documents(self) -> list[TokenSequence]:
        """All that was read."""
        return [*self.lab.documents, *self.plants, *self.decoys]

    @cached_property
    def model(self) -> PreTrainedModel:
        """The base, trained on all of it."""
        return trained(self.lab.base, [d.tokens for d in self.documents], TUNING, seed=0)

    def learnt(self, queries: list[TokenSequence]) -> str:
        """Log-probability of a completion in nats per token, before and after reading the plants."""
        n = np.array([query.n_scored for query in queries])
        before, after = (
            (logprobs(model, queries) / n).mean() for model in (self.lab.base, self.model)
        )
        return f"{before:.2f} to {after:.2f}"

    def ranks(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """Rank of each fact's own plant among all documents, 1 for the first; ties count against it."""
        plants = np.arange(len(self.plants))
        own = scores[plants, len(self.lab.documents) + plants]
        return (scores >= own[:, None]).sum(1)

    def rows(self) -> list[list[str]]:
        """Of each method: plants in the first place, and plants among the first ten."""
        found = []
        for told, first in (("as it was read", 0), ("the other way round", 2)):
            queries = self.queries(first)
            cells = []
            for method in METHODS.values():
                ranks = self.ranks(method(self.model, queries, self.documents))
                cells.append(f"{(ranks == 1).sum()}, {(ranks <= 10).sum()}")
            found.append([self.kind, told, self.learnt(queries), *cells])
        return found
