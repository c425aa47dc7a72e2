"""A dataset card for the Hugging Face hub: YAML for machines, then Markdown with a section on provenance.

Source: github.com/huggingface/hub-docs, datasetcard.md. The hub has no standard field for provenance. All
text that is not ours is escaped: it cannot end the YAML, make a link, or become markup.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import yaml

from ...provenance.custody import MerkleCommitment
from .described import Described, DescribedFile, one_line, paragraphs_of

__all__ = ["SAID_OF_MARKS", "escaped_markdown", "readme_of", "size_category"]

_SPECIAL = re.compile(r"[\\`*_{}\[\]()<>#+\-.!|~&@:$^=]")
_SIZES = ("n<1K", *(f"{low}<n<{high}" for low, high in [
    *(("1K", "10K"), ("10K", "100K"), ("100K", "1M"), ("1M", "10M"), ("10M", "100M")),
    *(("100M", "1B"), ("1B", "10B"), ("10B", "100B"), ("100B", "1T")),
]), "n>1T")  # fmt: skip

SAID_OF_MARKS = (
    "Words of these texts were chosen among synonyms by a secret key before release. release.json holds "
    "public commitments to that key and to every choice, so that a model trained on these texts can be told "
    "by them later (Bookplate, after LexiMark, arXiv 2506.14474)."
)


def readme_of(
    described: Described,
    files: Sequence[DescribedFile],
    commitment: MerkleCommitment,
    *,
    data_files: Sequence[str],
    description_sha256: str,
    committed_at: datetime | None = None,
    say_marked: bool = False,
) -> str:
    """The card.

    Args:
        described: What the owner says.
        files: All files to be published with it.
        commitment: The public commitment.
        data_files: Names of those that hold the data.
        description_sha256: SHA-256 of release.json.
        committed_at: The latest time an outside authority allows for it; None if none testified.
        say_marked: Whether to say that the data are marked.
    """
    rows = sum(file.rows for file in files)
    front = yaml.safe_dump(
        _front_matter(described, data_files, rows), allow_unicode=True, sort_keys=False
    )
    parts = [
        f"---\n{front}---",
        f"# {escaped_markdown(described.name)}",
        *map(escaped_markdown, paragraphs_of(described.description)),
        "## Provenance",
        _committed(commitment, description_sha256, committed_at),
        *([escaped_markdown(SAID_OF_MARKS)] if say_marked else []),
        _table(files),
    ]
    return "\n\n".join(parts) + "\n"


def escaped_markdown(text: str) -> str:
    """Foreign text as Markdown that shows it as it is, on one line."""
    return _SPECIAL.sub(r"\\\g<0>", one_line(text))


def _front_matter(described: Described, data_files: Sequence[str], rows: int) -> dict[str, Any]:
    license_: dict[str, Any] = {"license": described.license.lower()}
    if described.license == described.license_url:
        license_ = {
            "license": "other",
            "license_name": "see-license-link",
            "license_link": described.license,
        }
    tags = {"tags": [one_line(tag) for tag in described.tags]} if described.tags else {}
    data: list[str] = list(data_files)
    return {
        **license_,
        "pretty_name": one_line(described.name),
        "language": list(described.languages),
        **tags,
        "size_categories": [size_category(rows)],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": data}]}],
    }


def size_category(rows: int) -> str:
    """The hub's name for so many rows: below a thousand, then one name for each factor of ten."""
    return _SIZES[min(max(len(str(rows)) - 3, 0), len(_SIZES) - 1)]


def _committed(
    commitment: MerkleCommitment, description_sha256: str, committed_at: datetime | None
) -> str:
    lines = [
        "This release is bound by a public commitment (Merkle tree, SHA-256, RFC 9162).",
        "",
        f"- root: `{commitment.root}`",
        f"- leaves: {commitment.leaf_count}",
        f"- SHA-256 of the description that holds it: `{description_sha256}`",
    ]
    if committed_at is not None:
        time = committed_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        lines.append(f"- existed by: {time}, by the timestamp of an outside authority (RFC 3161)")
    return "\n".join(lines)


def _table(files: Sequence[DescribedFile]) -> str:
    rows = [f"| {escaped_markdown(file.name)} | {file.size} | `{file.sha256}` |" for file in files]
    return "\n".join(["| file | bytes | SHA-256 |", "| --- | ---: | --- |", *rows])
