"""A manifest with the original texts it speaks of, read and checked against each other."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidInput, VerificationError
from ..files import sha256_of_file
from ..stats import Input
from .embed import RELEASE_NAME, original_texts
from .keys import MarkingKey
from .manifest import Manifest, MarkedRecord
from .release import Release
from .tables import dataset_files, read_table

__all__ = ["KEY_ASSUMPTION", "Evidence", "load_evidence"]

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
        warnings: What could not be checked while reading.
    """

    manifest: Manifest
    originals: dict[str, str]
    inputs: tuple[Input, ...] = ()
    warnings: tuple[str, ...] = ()

    def marked(self) -> list[MarkedRecord]:
        """Records that have slots and whose text is present, sorted by record."""
        return [r for r in self.manifest.records if r.slots and r.record in self.originals]


def load_evidence(
    manifest_path: Path,
    *,
    released: Path | None = None,
    key: MarkingKey | None = None,
    text_column: str = "text",
) -> Evidence:
    """Read a manifest and the texts it speaks of, and check that they belong together.

    Args:
        manifest_path: The private manifest.
        released: A released file, or a folder of them; default: the ones listed in `../release/release.json`.
        key: The key; if given, every choice is drawn anew and compared.
        text_column: Column of the texts.

    Returns:
        The evidence; its warnings say what was not checked.

    Raises:
        InvalidInput: If a file cannot be read.
        VerificationError: If key, manifest, release.json or texts do not belong together.
    """
    manifest = Manifest.read(manifest_path)
    inputs = [Input(name=manifest_path.name, sha256=sha256_of_file(manifest_path))]
    warnings = []
    description = manifest_path.resolve().parent.parent / "release" / RELEASE_NAME
    if description.exists():
        release = Release.read(description)
        _check_release(manifest, release, description)
        inputs.append(Input(name=RELEASE_NAME, sha256=sha256_of_file(description)))
        files = [description.parent / name for name in release.files]
    else:
        warnings.append(
            "release.json was not at hand: the manifest was not held against its commitment."
        )
        files = []
    if released is not None:
        files = list(dataset_files(released, but=RELEASE_NAME).values())
    if not files:
        raise InvalidInput(
            f"{manifest_path}: no release.json beside it in ../release/", "name the released file"
        )
    if key is None:
        warnings.append("The key was not at hand: the choices were read, not drawn anew.")
    else:
        manifest.check_key(key)
    originals: dict[str, str] = {}
    for file in files:
        texts = read_table(file, text_column=text_column).texts
        first_row = manifest.first_row_of(file)
        originals |= original_texts(manifest, texts, str(file), first_row=first_row)
        inputs.append(Input(name=file.name, sha256=sha256_of_file(file)))
    return Evidence(
        manifest=manifest, originals=originals, inputs=tuple(inputs), warnings=tuple(warnings)
    )


def _check_release(manifest: Manifest, release: Release, path: Path) -> None:
    same = (
        release.manifest == manifest.commitment()
        and release.key_commitment == manifest.key_commitment
        and release.lexicon_sha256 == manifest.lexicon_sha256
        and release.marking == manifest.marking
    )
    if not same:
        raise VerificationError(
            f"{path}: does not describe this manifest",
            "they belong to different releases, or one was altered",
        )
