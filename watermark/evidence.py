"""A manifest with the original texts it speaks of, read and checked against each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..display import visible
from ..errors import InvalidInput, VerificationError
from ..files import sha256_of_file
from ..stats import Input
from .embed import RELEASE_NAME, original_texts
from .keys import MarkingKey
from .manifest import Manifest, MarkedRecord, digest_of
from .release import Release
from .tables import Columns, dataset_files, pieces_of, refuse_empty, table_file

__all__ = ["KEY_ASSUMPTION", "Evidence", "load_evidence"]

_MOST_NAMES = 3

KEY_ASSUMPTION = (
    "The key that drew the choices was secret and marked nothing else, and text that carries its choices "
    "could reach those who made what is examined from the release only."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A manifest with the original texts it speaks of.

    Attributes:
        manifest: The manifest.
        originals: Original text of each record, by its digest.
        inputs: The files it was read from.
        warnings: What could not be checked while reading, or is not as it was released.
        places: Released file and first row, from 1, of each record, by its digest; empty where the
            texts were not read from files.
    """

    manifest: Manifest
    originals: dict[str, str]
    inputs: tuple[Input, ...] = ()
    warnings: tuple[str, ...] = ()
    places: dict[str, tuple[str, int]] = field(default_factory=dict)

    def marked(self) -> list[MarkedRecord]:
        """Records that have slots and whose text is present, sorted by record."""
        return [r for r in self.manifest.records if r.slots and r.record in self.originals]


def load_evidence(
    manifest_path: Path,
    *,
    released: Path | None = None,
    key: MarkingKey | None = None,
    text_column: str = "text",
    commitment: Path | None = None,
) -> Evidence:
    """Read a manifest and the texts it speaks of, and check that they belong together.

    Args:
        manifest_path: The private manifest.
        released: A released file, or a folder of them; default: the ones listed in `../release/release.json`.
        key: The key; if given, every choice is drawn anew and compared.
        text_column: Column of the texts.
        commitment: The release.json as it was published; default: the one in `../release/`.

    Returns:
        The evidence; its warnings say what was not checked, and which files are not those that
        release.json lists. Texts that are not the released ones are no matter of warnings: they are refused.

    Raises:
        InvalidInput: If a file cannot be read.
        VerificationError: If key, manifest, release.json or texts do not belong together.
    """
    manifest = Manifest.read(manifest_path)
    inputs = [Input(name=manifest_path.name, sha256=sha256_of_file(manifest_path))]
    warnings = []
    beside = manifest_path.resolve().parent.parent / "release" / RELEASE_NAME
    description = beside if commitment is None else commitment
    listed: Mapping[str, str] | None = None
    files: dict[str, Path] = {}
    if commitment is not None or description.exists():
        release = Release.read(description)
        _check_release(manifest, release, description)
        inputs.append(Input(name=RELEASE_NAME, sha256=sha256_of_file(description)))
        listed = release.files
        files = {name: beside.parent / name for name in listed}
    else:
        warnings.append(
            "release.json was not at hand: the manifest was not held against its commitment."
        )
    if released is not None:
        files = dataset_files(released, but=RELEASE_NAME)
    if not files:
        raise InvalidInput(
            f"{manifest_path}: no release.json beside it in ../release/", "name the released file"
        )
    if key is None:
        warnings.append("The key was not at hand: the choices were read, not drawn anew.")
    else:
        manifest.check_key(key)
    texts = _Texts(manifest)
    digests = {}
    for name, file in files.items():
        texts.read(name, file, text_column)
        digests[name] = sha256_of_file(file)
        inputs.append(Input(name=visible(name), sha256=digests[name]))
    if listed is not None:
        warnings += _departures(listed, digests, named=released is not None)
    warnings += texts.missing()
    return Evidence(
        manifest=manifest,
        originals=texts.originals,
        inputs=tuple(inputs),
        warnings=tuple(warnings),
        places=texts.places,
    )


class _Texts:
    """The original texts of released files, read one after the other."""

    def __init__(self, manifest: Manifest) -> None:
        self.originals: dict[str, str] = {}
        self.places: dict[str, tuple[str, int]] = {}
        self._manifest = manifest
        self._records_of: dict[str, list[str]] = {}
        for record in manifest.records:
            self._records_of.setdefault(record.released, []).append(record.record)

    def read(self, name: str, file: Path, text_column: str) -> None:
        """Read a file; every text is checked against the digest of its original."""
        table_file(file)
        texts: list[str] = []
        for piece in pieces_of(file, Columns(text_column)):
            texts += piece.after(len(texts)).texts()
        refuse_empty(file, len(texts))
        first_row = self._manifest.first_row_of(file)
        self.originals |= original_texts(self._manifest, texts, str(file), first_row=first_row)
        for row, text in enumerate(texts, 1):
            for record in self._records_of[digest_of(text)]:
                self.places.setdefault(record, (name, row))

    def missing(self) -> list[str]:
        """A warning if some records of the manifest are in none of the files."""
        n_records = len(self._manifest.records)
        if (n_missing := n_records - len(self.originals)) == 0:
            return []
        return [
            f"{n_missing:,} of {n_records:,} records of the manifest are in none of the files at hand: "
            "they were left out."
        ]


def _departures(listed: Mapping[str, str], digests: Mapping[str, str], *, named: bool) -> list[str]:
    """Warnings about files that are not, byte for byte, those that release.json lists.

    Args:
        listed: Name and SHA-256 of each file of the release.
        digests: Name and SHA-256 of each file at hand.
        named: Whether the caller named the files, so that their names need not be those of the release.
    """
    if not named:
        return [
            f"{visible(name)} is not byte for byte the released file, though its texts are the released "
            "texts: rows, their order, other columns or the way of writing were changed."
            for name, digest in digests.items()
            if digest != listed[name]
        ]
    known = set(listed.values())
    others = [name for name, digest in digests.items() if digest not in known]
    if not others:
        return []
    return [
        f"{_few(others)}: not byte for byte a file that release.json lists, though the texts are "
        "released texts of this manifest."
    ]


def _few(names: Sequence[str]) -> str:
    """Some names, for one line."""
    more = len(names) - _MOST_NAMES
    return ", ".join(map(visible, names[:_MOST_NAMES])) + (
        f" and {more:,} more files" if more > 0 else ""
    )


def _check_release(manifest: Manifest, release: Release, path: Path) -> None:
    same = (
        release.manifest == manifest.commitment()
        and release.key_commitment == manifest.key_commitment
        and release.candidates == manifest.candidates
        and release.marking == manifest.marking
    )
    if not same:
        raise VerificationError(
            f"{path}: does not describe this manifest",
            "they belong to different releases, or one was altered",
        )
