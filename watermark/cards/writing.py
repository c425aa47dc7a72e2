"""The folder of a card: `croissant.json`, `README.md`, and the commitment that they quote."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ...display import visible
from ...errors import InvalidInput, VerificationError
from ...files import new_folder, sha256_of_file
from ...provenance.custody import AuthorityChain
from ..release import RELEASE_NAME, Release
from .croissant import croissant_of
from .described import Described, DescribedFile, file_at
from .readme import SAID_OF_MARKS, readme_of

__all__ = ["CardFiles", "write_card"]

_COMMITMENT_NAME = "commitment.json"
_LARGEST_ANSWER = 1 << 20


@dataclass(frozen=True, slots=True)
class CardFiles:
    """What was written.

    Attributes:
        names: Files in the folder.
        rows: Rows of the dataset.
        committed_at: The latest time an outside authority allows for the commitment; None without one.
    """

    names: tuple[str, ...]
    rows: int
    committed_at: datetime | None


def write_card(
    release_folder: Path,
    out: Path,
    described: Described,
    *,
    text_column: str = "text",
    say_marked: bool = False,
    timestamp: Path | None = None,
    trusted: AuthorityChain | None = None,
) -> CardFiles:
    """Write a card beside nothing: into a new folder, to be looked at and then published with the data.

    By default the card speaks of an opaque commitment, and `commitment.json` holds it: root and leaf count.
    release.json, which says that and how the data are marked, is then left out, and may be kept.

    Args:
        release_folder: The folder `release/` that `embed` wrote.
        out: A folder that does not exist yet.
        described: What the owner says.
        text_column: Column of the texts.
        say_marked: Say that the data are marked, and publish release.json.
        timestamp: An authority's answer over release.json, or over the commitment.json of an earlier
            card; None for none.
        trusted: Whom to trust for it; needed with `timestamp`.

    Raises:
        InvalidInput: If the release cannot be read, or `out` exists.
        VerificationError: If a file is not the released one, or the timestamp does not hold.
    """
    description = release_folder / RELEASE_NAME
    release = Release.read(description)
    content = description.read_bytes()
    data = [_released(release_folder, *item, text_column) for item in sorted(release.files.items())]
    written = {_COMMITMENT_NAME: release.manifest.to_bytes()}
    if say_marked:
        written[RELEASE_NAME] = content
    committed_at = None
    if timestamp is not None:
        answer = _answer_in(timestamp)
        subject, committed_at = _stamped(
            answer, {RELEASE_NAME: content, **written}, trusted, timestamp
        )
        if subject in written:
            written[f"{subject}.timestamp.tsr"] = answer
    files = [*data, *(_described(name, part) for name, part in written.items())]
    digest = hashlib.sha256(content).hexdigest()
    croissant = croissant_of(
        described,
        files,
        release.manifest,
        description_sha256=digest,
        committed_at=committed_at,
        note=SAID_OF_MARKS if say_marked else "",
    )
    written["croissant.json"] = (
        json.dumps(croissant, indent=2, ensure_ascii=False) + "\n"
    ).encode()
    written["README.md"] = readme_of(
        described,
        files,
        release.manifest,
        data_files=[file.name for file in data],
        description_sha256=digest,
        committed_at=committed_at,
        say_marked=say_marked,
    ).encode()
    with new_folder(out) as staged:
        for name, part in written.items():
            (staged / name).write_bytes(part)
    return CardFiles(tuple(written), sum(file.rows for file in data), committed_at)


def _released(folder: Path, name: str, sha256: str, text_column: str) -> DescribedFile:
    """A file of the release, if it is still the one that was released."""
    path = folder / name
    if visible(name) != name:
        raise InvalidInput(
            f"{visible(name)}: a name that cannot be shown cannot be published", "rename the file"
        )
    if not path.is_file():
        raise InvalidInput(f"{path}: no such file, but release.json lists it")
    if sha256_of_file(path) != sha256:
        raise VerificationError(
            f"{path}: is not the released file (its SHA-256 differs)",
            "describe the release as 'watermark embed' wrote it",
        )
    return file_at(path, name, text_column)


def _described(name: str, content: bytes) -> DescribedFile:
    return DescribedFile(
        name=name,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        media_type="application/timestamp-reply" if name.endswith(".tsr") else "application/json",
    )


def _answer_in(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_ANSWER + 1)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from None


def _stamped(
    answer: bytes, subjects: dict[str, bytes], trusted: AuthorityChain | None, path: Path
) -> tuple[str, datetime]:
    """Which of some files a timestamp is of, and the latest time that it may mean."""
    if trusted is None:
        raise InvalidInput("a timestamp needs the root certificate to check it against")
    reasons = []
    for name, content in subjects.items():
        try:
            return name, trusted.verify(answer, content).latest
        except VerificationError as error:
            reasons.append(f"{name}: {error}")
    raise VerificationError(f"{path}: holds for none of them: {'; '.join(reasons)}")
