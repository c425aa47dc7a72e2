"""The dataset under audit: of any size, read bit by bit."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidInput
from ..files import sha256_of_file
from .release import RELEASE_NAME
from .tables import PIECE_BYTES, Columns, dataset_files, pieces_of, refuse_empty

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
        self._files: tuple[AuditedFile, ...] | None = None

    def texts(self, progress: Callable[[int], object] = lambda rows: None) -> Iterator[str]:
        """The texts of all files, in the order of the files' names.

        Args:
            progress: Called after each piece with the number of texts so far.

        Yields:
            The texts.

        Raises:
            InvalidInput: If a file cannot be read, changes while it is read, or there is no text at all.
        """
        files = []
        total = 0
        for name, path in self._paths.items():
            before = _state(path)
            n_texts = 0
            for piece in pieces_of(path, self._columns, self._piece_bytes):
                texts = piece.after(n_texts).texts()
                yield from texts
                n_texts += len(texts)
                total += len(texts)
                progress(total)
            digest = sha256_of_file(path)
            if _state(path) != before:
                raise InvalidInput(f"{path}: changed while it was read", "copy it first")
            files.append(AuditedFile(name, n_texts, digest))
        refuse_empty(self._source, total)
        self._files = tuple(files)

    @property
    def files(self) -> tuple[AuditedFile, ...]:
        """The files, once all texts have been read.

        Raises:
            InvalidInput: If they have not.
        """
        if self._files is None:
            raise InvalidInput(f"{self._source}: its texts have not been read to the end yet")
        return self._files

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, of one or more files."""
        return self._source.is_dir()


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
