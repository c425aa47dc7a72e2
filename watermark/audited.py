"""The dataset under audit: of any size, read bit by bit."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidInput
from ..files import sha256_of_file
from .release import RELEASE_NAME
from .tables import PIECE_BYTES, Columns, Piece, dataset_files, pieces_of, refuse_empty

__all__ = ["AuditedDataset", "AuditedFile"]


@dataclass(frozen=True, slots=True)
class AuditedFile:
    """A file that was read to its end.

    Attributes:
        name: Path below the dataset, with `/`.
        n_texts: Its rows.
        sha256: SHA-256 of its bytes.
    """

    name: str
    n_texts: int
    sha256: str


class AuditedDataset:
    """A file, or a folder of files, whose texts are handed out one by one.

    Memory does not grow with the dataset: one piece of a file is held at a time, and one entry per file.

    Args:
        source: A table in one of our formats, or a folder of such tables, also in folders; it may be the
            folder `release/` of another copy.
        text_column: Column (or key) of the texts.
        piece_bytes: Uncompressed bytes of a piece of a text file, about.

    Raises:
        InvalidInput: If a file is not there or has none of our endings, or the folder holds none.
    """

    def __init__(
        self, source: Path, *, text_column: str = "text", piece_bytes: int = PIECE_BYTES
    ) -> None:
        self._source = source
        self._paths = dataset_files(source, but=RELEASE_NAME)
        self._columns = Columns(text_column)
        self._piece_bytes = piece_bytes
        self._rows: dict[Path, int] = {}  # counted so far
        self._digests: dict[Path, str] = {}  # of files that were read to their end
        self._total = 0
        self._whole = False

    def texts(self, progress: Callable[[int], object] = lambda rows: None) -> Iterator[str]:
        """The texts of all files, in the order of the files' names.

        Args:
            progress: Called after each piece with the number of texts so far.

        Yields:
            The texts.

        Raises:
            InvalidInput: If a file cannot be read, changes while it is read, or there is no text at all.
        """
        for piece in self.pieces():
            texts = self.placed(piece).texts()
            yield from texts
            progress(self.count(piece, len(texts)))
        self.refuse_empty()

    def pieces(self) -> Iterator[Piece]:
        """The pieces of all files, in the order of the files' names, for whoever reads them elsewhere.

        Rows of parquet are to be read (`Piece.packed`) before the next piece is asked for. How many texts
        a piece holds is to be told by `count`, and at the end `refuse_empty` to be called.

        Yields:
            The pieces.

        Raises:
            InvalidInput: If a file cannot be read, or changes while it is read.
        """
        self._rows, self._total = dict.fromkeys(self._paths.values(), 0), 0
        self._digests, self._whole = {}, False
        for path in self._paths.values():
            before = _state(path)
            yield from pieces_of(path, self._columns, self._piece_bytes)
            digest = sha256_of_file(path)
            if _state(path) != before:
                raise InvalidInput(f"{path}: changed while it was read", "copy it first")
            self._digests[path] = digest
        self._whole = True

    def placed(self, piece: Piece) -> Piece:
        """A piece that knows how many rows come before, once all earlier ones were counted."""
        return piece.after(self._rows[piece.place.path])

    def count(self, piece: Piece, n_texts: int) -> int:
        """Take down how many texts a piece holds.

        Args:
            piece: The piece.
            n_texts: Its texts.

        Returns:
            Texts of all pieces so far.
        """
        self._rows[piece.place.path] += n_texts
        self._total += n_texts
        return self._total

    def refuse_empty(self) -> None:
        """Check, once all pieces have been counted, that there was a text.

        Raises:
            InvalidInput: If there was none.
        """
        refuse_empty(self._source, self._total)

    @property
    def files(self) -> tuple[AuditedFile, ...]:
        """The files, once all texts have been read.

        Raises:
            InvalidInput: If they have not.
        """
        if not self._whole:
            raise InvalidInput(f"{self._source}: its texts have not been read to the end yet")
        return tuple(
            AuditedFile(name, self._rows[path], self._digests[path])
            for name, path in self._paths.items()
        )

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, of one or more files."""
        return self._source.is_dir()


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
