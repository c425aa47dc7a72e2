"""Datasets of the Hugging Face library `datasets`, which need not be installed to import this."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from ..errors import InvalidInput
from .embed import EmbedOptions, EmbedSummary, embed
from .keys import MarkingKey
from .marking import Marking
from .sources import brought, refuse_names
from .tables import Columns, refuse_empty
from .tables.table import check_columns

__all__ = ["HuggingFaceDataset", "embed_dataset"]

_STRINGS = {"string", "large_string", "string_view"}


def embed_dataset(
    dataset: Any, out: Path, key: MarkingKey, marking: Marking, /, **options: Unpack[EmbedOptions]
) -> EmbedSummary:
    """Mark a `datasets.Dataset` or `DatasetDict`.

    Each split becomes a parquet file of the release, named after it. All columns keep their features:
    `datasets.load_dataset("parquet", data_dir=out / "release")` gives the same dataset, marked.

    Args:
        dataset: The dataset. It is written to a private parquet file first, batch by batch, so it needs
            not fit into memory.
        out: See `embed`.
        key: See `embed`.
        marking: See `embed`.
        options: See `embed`.

    Returns:
        What was done.

    Raises:
        InvalidInput: As `embed`, or if `dataset` is of another kind.
    """
    return embed(HuggingFaceDataset(dataset), out, key, marking, **options)


class HuggingFaceDataset:
    """A `datasets.Dataset`, or several by split, as a `Source`.

    It is told from others by the fingerprint that the library keeps: a hash of its data and of all
    transforms since. Where a transform cannot be hashed the library draws one at random, and warns; a
    run that was killed is then not recognised, and refused.

    Raises:
        InvalidInput: If it is neither, or the name of a split is no name of a file.
    """

    def __init__(self, dataset: Any) -> None:
        splits = dict(dataset) if isinstance(dataset, Mapping) else {_split_of(dataset): dataset}
        if not splits:
            raise InvalidInput("the dataset has no splits")
        for name, split in splits.items():
            if not all(hasattr(split, part) for part in ("to_parquet", "_fingerprint", "num_rows")):
                raise InvalidInput(
                    f"split '{name}': expected a datasets.Dataset, got {type(split).__name__}",
                    "write a stream to parquet or JSON lines first",
                )
        self._splits = {f"{name}.parquet": split for name, split in sorted(splits.items())}
        refuse_names(self._splits, "the dataset")

    def check(self, columns: Columns) -> None:
        """See `Source.check`."""
        for name, split in self._splits.items():
            check_columns(self.origin(name), columns, split.column_names)
            dtype = getattr(split.features[columns.text], "dtype", "no string")
            if dtype not in _STRINGS:
                raise InvalidInput(
                    f"{self.origin(name)}: column '{columns.text}': expected strings, got {dtype}"
                )
            refuse_empty(Path(self.origin(name)), split.num_rows)

    def identity(self) -> list[list[str | int]]:
        """Name, fingerprint and number of rows of each split."""
        return [[name, ds._fingerprint, ds.num_rows] for name, ds in self._splits.items()]

    def files(self, folder: Path) -> dict[str, Path]:
        """See `Source.files`."""
        return brought(folder, self._splits, self._write)

    def _write(self, name: str, path: Path) -> None:
        with path.open("wb") as file:
            self._splits[name].to_parquet(file)

    def origin(self, name: str) -> str:
        """See `Source.origin`."""
        return f"split '{name.removesuffix('.parquet')}'"


def _split_of(dataset: Any) -> str:
    """The name of a split that stands alone; of "train[:10%]" it is "train"."""
    found = re.match(r"\w+", str(getattr(dataset, "split", None) or "data"))
    return found.group() if found else "data"
