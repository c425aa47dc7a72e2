"""What the filter chose, in memory and as a parquet file."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ....errors import InvalidInput
from ....files import canonical_json, new_file
from .settings import FilterSettings

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Chosen", "Filtered", "Members"]

_KEY, _FORMAT = "bookplate.influence.filter", 1
_STRATA = ("top", "random", "bottom")
_COLUMNS = ("query", "stratum", "position", "id", "score", "probability")


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Documents of a stratum.

    Attributes:
        positions: Where they are in the corpus, counted from 0, shape (n,).
        ids: Their ids.
        scores: Their TF-IDF scores for the query, in nats, shape (n,).
    """

    positions: NDArray[np.int64]
    ids: tuple[str, ...]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What is worth scoring exactly for one query; no document is in two strata.

    Attributes:
        query: Id of the query.
        top: Documents of the highest score, from the highest on; none of score 0.
        random: A simple random sample of the documents that are not in the top, by position.
        bottom: Documents of the lowest score among all others, from the lowest on. Not a random sample: it
            shows whether documents that share no rare term have influence.
        n_outside: Documents that take part and are not in the top.
    """

    query: str
    top: Members
    random: Members
    bottom: Members
    n_outside: int

    @property
    def probability(self) -> float:
        """With which each document outside the top came into the random sample, given its size."""
        return len(self.random) / self.n_outside if self.n_outside else 0.0

    def strata(self) -> Iterator[tuple[str, Members, float | None]]:
        """Name, members and inclusion probability (None for the bottom, which is not drawn) of each."""
        yield "top", self.top, 1.0
        yield "random", self.random, self.probability
        yield "bottom", self.bottom, None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filtered:
    """What the filter chose for each query.

    Attributes:
        queries: One for each query, in the order given.
        n_documents: Documents of the corpus.
        n_short: How many of them are too short to take part, see `FilterSettings.fewest`.
        settings: What was kept.
        seed: Of the random sample.
    """

    queries: tuple[Chosen, ...]
    n_documents: int
    n_short: int
    settings: FilterSettings
    seed: int

    def positions(self) -> NDArray[np.int64]:
        """Positions of the documents chosen for any query, ascending, each once."""
        return np.array(sorted(self._names()), dtype=np.int64)

    def ids(self) -> list[str]:
        """Ids of the documents at `positions()`."""
        return [name for _, name in sorted(self._names().items())]

    def _names(self) -> dict[int, str]:
        names: dict[int, str] = {}
        for chosen in self.queries:
            for _, members, _ in chosen.strata():
                names.update(zip(members.positions.tolist(), members.ids, strict=True))
        return names

    def frame(self) -> "pl.DataFrame":
        """One row for each query and document: query, stratum, position, id, score, probability."""
        import polars as pl

        parts = [
            pl.DataFrame(
                {
                    "query": [chosen.query] * len(members),
                    "stratum": [name] * len(members),
                    "position": members.positions,
                    "id": list(members.ids),
                    "score": members.scores,
                    "probability": [probability] * len(members),
                },
                schema=_schema(),
            )
            for chosen in self.queries
            for name, members, probability in chosen.strata()
        ]
        return pl.concat(parts)

    def write(self, path: Path) -> None:
        """Write a parquet file.

        Raises:
            InvalidInput: If it exists already, or cannot be written.
        """
        header = {
            "format": _FORMAT,
            "queries": [[chosen.query, chosen.n_outside] for chosen in self.queries],
            "n_documents": self.n_documents,
            "n_short": self.n_short,
            "settings": asdict(self.settings),
            "seed": str(self.seed),  # JSON's numbers end at 2**53
        }
        with new_file(path) as staged, staged.open("wb") as file:
            self.frame().write_parquet(file, metadata={_KEY: canonical_json(header).decode()})

    @classmethod
    def read(cls, path: Path) -> "Filtered":
        """Read what `write` wrote.

        Raises:
            InvalidInput: If the file is no result of the filter of this version.
        """
        import polars as pl

        unreadable = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
        try:
            return _parsed(path)
        except (*unreadable, KeyError, TypeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise InvalidInput(
                f"{path}: no result of the filter that this version can read: {reason}"
            ) from error


def _parsed(path: Path) -> Filtered:
    import polars as pl

    with path.open("rb") as file:
        header = json.loads(pl.read_parquet_metadata(file)[_KEY])
    with path.open("rb") as file:
        frame = pl.read_parquet(file)
    if header["format"] != _FORMAT or frame.schema != _schema():
        raise ValueError("its format or its columns are others")
    return Filtered(
        queries=tuple(_chosen(frame, query, size) for query, size in header["queries"]),
        n_documents=int(header["n_documents"]),
        n_short=int(header["n_short"]),
        settings=FilterSettings(**header["settings"]),
        seed=int(header["seed"]),
    )


def _schema() -> "pl.Schema":
    import polars as pl

    kinds = (pl.String, pl.String, pl.Int64, pl.String, pl.Float64, pl.Float64)
    return pl.Schema(dict(zip(_COLUMNS, kinds, strict=True)))


def _chosen(frame: "pl.DataFrame", query: str, n_outside: int) -> Chosen:
    rows = frame.filter(frame["query"] == query)
    top, random, bottom = (_members(rows.filter(rows["stratum"] == name)) for name in _STRATA)
    return Chosen(query=query, top=top, random=random, bottom=bottom, n_outside=n_outside)


def _members(rows: "pl.DataFrame") -> Members:
    return Members(
        positions=rows["position"].to_numpy(),
        ids=tuple(rows["id"].to_list()),
        scores=rows["score"].to_numpy(),
    )
