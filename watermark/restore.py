"""Taking the marks out of a release again."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import InvalidInput, VerificationError
from ..files import new_file, new_folder
from .manifest import Manifest, MarkedRecord, digest_of
from .release import RELEASE_NAME
from .tables import (
    ENDINGS,
    Columns,
    apply_edits,
    dataset_files,
    format_of,
    join,
    pieces_of,
    refuse_empty,
    table_file,
)

__all__ = ["original_texts", "restore"]


def restore(
    released: Path,
    manifest_path: Path,
    out: Path,
    *,
    text_column: str = "text",
    id_column: str | None = None,
) -> int:
    """Take the marks out of a released file, or of a folder of them.

    Files are read and written bit by bit; the manifest is held in memory.

    Args:
        released: A released file, or the folder `release/`; its rows may come in another order, or be
            fewer.
        manifest_path: The private manifest.
        out: File to write, of the same ending, or folder; it must not exist.
        text_column: Column of the texts.
        id_column: Column of the dataset's own ids, if the release was made with one; only needed
            where rows were moved and two originals became the same text.

    Returns:
        Number of rows written; every one was checked against the digest of its original.

    Raises:
        InvalidInput: If a file cannot be read, or `out` exists.
        VerificationError: If a text is not in this release, or could be one of several originals.
    """
    columns = Columns(text_column, id_column)
    if released.is_dir():
        with new_folder(out) as staged:
            manifest = Manifest.read(manifest_path)
            total = 0
            for name, path in dataset_files(released, but=RELEASE_NAME).items():
                target = staged / name
                target.parent.mkdir(parents=True, exist_ok=True)
                total += _restore_file(path, manifest, target, columns)
        return total
    ending = released.suffix if not _known(released) else format_of(released).ending
    if not out.name.lower().endswith(ending.lower()):
        raise InvalidInput(
            f"{out}: expected the ending {ending}, as {released.name} has",
            "a table is restored in the format it was released in",
        )
    with new_file(out) as staged:
        return _restore_file(released, Manifest.read(manifest_path), staged, columns)


def _known(path: Path) -> bool:
    return path.name.lower().endswith(ENDINGS)


def _restore_file(released: Path, manifest: Manifest, target: Path, columns: Columns) -> int:
    """Write the original of one file; returns its number of rows."""
    table_file(released)
    records = list(_records_of(released, manifest, columns))
    refuse_empty(released, len(records))

    def originals(part: Path) -> Iterator[Path]:
        """Each piece's original rows, one after the other in the same place."""
        row = 0
        for piece in pieces_of(released, columns):
            table = piece.after(row).read()
            edits = []
            for text in table.texts:
                record = records[row]
                row += 1
                _checked_original(text, record, f"{released}: row {row}")
                edits.append(record.restore_edits())
            table.write(part, edits)
            yield part

    with TemporaryDirectory(prefix=".bookplate-", dir=target.parent) as scratch:
        join(released, originals(Path(scratch) / "part"), target)
    return len(records)


def _records_of(released: Path, manifest: Manifest, columns: Columns) -> Iterator[MarkedRecord]:
    digests: list[str] = []
    ids: list[str] = []
    for piece in pieces_of(released, columns):
        table = piece.after(len(digests)).read()
        digests += map(digest_of, table.texts)
        ids += table.ids or ()
    yield from manifest.match_digests(
        digests,
        str(released),
        ids=None if columns.id is None else ids,
        first_row=manifest.first_row_of(released),
    )


def original_texts(
    manifest: Manifest, texts: Sequence[str], where: str, *, first_row: int | None = 0
) -> dict[str, str]:
    """The original text of each record that is present, by its digest.

    Args:
        manifest: The manifest.
        texts: Released texts.
        where: Name of their file, for error messages.
        first_row: Rows of the release before them; None if unknown.

    Returns:
        Original texts by record, each checked against its digest.

    Raises:
        VerificationError: If a text is not in this release.
    """
    matched = zip(texts, manifest.match(texts, where, first_row=first_row), strict=True)
    return {
        record.record: _checked_original(text, record, f"{where}: row {row}")
        for row, (text, record) in enumerate(matched, 1)
    }


def _checked_original(text: str, record: MarkedRecord, where: str) -> str:
    original = apply_edits(text, record.restore_edits())
    if digest_of(original) != record.record:
        raise VerificationError(
            f"{where}: taking the marks out does not give the original",
            "the manifest was altered, or belongs to another release",
        )
    return original
