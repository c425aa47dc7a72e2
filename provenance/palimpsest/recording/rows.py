"""Rows of a sealed transcript: written in shards, hashed into a Merkle tree, and read again."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ....errors import InvalidInput
from ...custody import MerkleCommitment, MerkleTree, leaf_hash
from ..transcript import Content, TranscriptSource, sequence_digest
from ..transcript.layout import refuse_malformed
from .commitments import Opening

__all__ = ["ShardWriter", "digest_frames", "transcript_commitment"]

_SHARD_TOKENS, _SHARD_ROWS = 1 << 22, 1 << 16
_PLACE = struct.Struct("<qq")
_LARGEST_INT32 = 2**31 - 1


class ShardWriter:
    """Writes the rows of a transcript in order, some millions of tokens to a file."""

    def __init__(self, folder: Path, opening: Opening) -> None:
        self._folder = folder
        self._opening = opening
        self._tree = MerkleTree()
        self._n_shards = 0
        self._clear()

    def write(self, step: int, sequences: list[NDArray[np.unsignedinteger]]) -> None:
        """Add the sequences of one step."""
        for position, tokens in enumerate(sequences):
            salt = self._opening.row_salt(step, position)
            self._tree.extend([_leaf(step, position, sequence_digest(tokens, salt))])
            self._places.append((step, position, salt))
            self._tokens.append(tokens)
            self._n_tokens += len(tokens)
            if self._n_tokens >= _SHARD_TOKENS or len(self._tokens) >= _SHARD_ROWS:
                self._flush()

    def close(self) -> MerkleCommitment:
        """Write what is left, and give the commitment to all rows."""
        if self._tokens or not self._n_shards:
            self._flush()
        return self._tree.commitment()

    def _flush(self) -> None:
        schema = pl.Schema([("step", pl.Int64()), ("position", pl.Int64()), ("salt", pl.Binary())])
        places = pl.DataFrame(self._places, schema=schema, orient="row")
        frame = places.insert_column(2, _lists(self._tokens))
        with (self._folder / f"{self._n_shards:06}.parquet").open("wb") as file:
            frame.write_parquet(file)
        self._n_shards += 1
        self._clear()

    def _clear(self) -> None:
        self._places: list[tuple[int, int, bytes]] = []
        self._tokens: list[NDArray[np.unsignedinteger]] = []
        self._n_tokens = 0


def transcript_commitment(path: Path) -> MerkleCommitment:
    """The Merkle commitment to a transcript, from what it says alone.

    A leaf is step and position as little-endian 64-bit integers, and the 32 bytes of the row's
    `sequence_digest`. Rows count in the order in which they lie in the shards.

    Args:
        path: A sealed transcript, or one of digests that was made of it.

    Raises:
        InvalidInput: If it is neither, or cannot be read.
    """
    tree = MerkleTree()
    for frame in digest_frames(path):
        rows = zip(frame["step"], frame["position"], frame["digest"], strict=True)
        tree.extend([_leaf(step, position, digest) for step, position, digest in rows])
    return tree.commitment()


def digest_frames(path: Path) -> Iterator[pl.DataFrame]:
    """`step`, `position` and `digest` of all rows, a few at a time.

    Raises:
        InvalidInput: As for `transcript_commitment`.
    """
    source = TranscriptSource.open(path)
    if not source.layout.has_position or source.content is Content.TEXT:
        _refuse_unsealed(path)
    is_digests, first_row = source.content is Content.DIGEST, 0
    for frame in source.frames(extra=() if is_digests else ("salt",)):
        rows = np.arange(first_row, first_row + frame.height)  # counted through all shards
        refuse_malformed(frame[source.content], path, rows)
        first_row += frame.height
        yield frame if is_digests else _digested(frame, path)


def _digested(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    if frame["salt"].dtype != pl.Binary or frame["salt"].null_count():
        _refuse_unsealed(path)
    digests = [
        sequence_digest(tokens.to_numpy(), salt)
        for tokens, salt in zip(frame["tokens"], frame["salt"], strict=True)
    ]
    return frame.select("step", "position").with_columns(pl.Series("digest", digests))


def _refuse_unsealed(path: Path) -> NoReturn:
    raise InvalidInput(
        f"{path}: not a sealed transcript: expected step, position, tokens and salt, or digests",
        "make it with 'bookplate palimpsest seal'",
    )


def _leaf(step: int, position: int, digest: str) -> bytes:
    return leaf_hash(_PLACE.pack(step, position) + bytes.fromhex(digest))


def _lists(sequences: list[NDArray[np.unsignedinteger]]) -> pl.Series:
    """A column of lists; token ids fit 32 bits but for absurd vocabularies."""
    flat = np.concatenate(sequences) if sequences else np.zeros(0, dtype=np.uint16)
    narrow = not flat.size or flat.max() <= _LARGEST_INT32
    dtype = pl.Int32 if narrow else pl.Int64
    rows = np.repeat(np.arange(len(sequences)), [len(tokens) for tokens in sequences])
    frame = pl.DataFrame({"row": rows, "tokens": pl.Series(flat).cast(dtype)})
    return frame.group_by("row", maintain_order=True).agg("tokens")["tokens"]
