"""A released dataset as Croissant 1.1, for those who find datasets by machine.

Source: github.com/mlcommons/croissant, docs/croissant-spec-1.1.md. Under the prefix `bp` stands the public
commitment. It is an opaque hash: that the data are marked is said by whoever owns them, or by nobody.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ...provenance.custody import MerkleCommitment
from .described import Described, DescribedFile, one_line, paragraphs_of

__all__ = ["croissant_of"]

_VERSION = "http://mlcommons.org/croissant/1.1"
_TERMS = "tag:bookplate,2026:terms/1#"
_MOST_RECORD_SETS = 20  # files described column by column; more would say the same again
_WORDS = {
    name: f"cr:{name}"
    for name in (
        *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract"),
        *("field", "fileProperty", "fileObject", "fileSet", "format", "includes", "isArray"),
        *("isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet"),
        *("references", "regex", "repeated", "replace", "samplingRate", "separator", "source"),
        *("subField", "transform"),
    )
}
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "bp": _TERMS,
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    **_WORDS,
}


def croissant_of(
    described: Described,
    files: Sequence[DescribedFile],
    commitment: MerkleCommitment,
    *,
    description_sha256: str,
    committed_at: datetime | None = None,
    note: str = "",
) -> dict[str, Any]:
    """The description as JSON-LD.

    Args:
        described: What its owner says.
        files: All files to be published with it.
        commitment: The public commitment.
        description_sha256: SHA-256 of the release.json that holds the commitment and that to the key.
        committed_at: The latest time an outside authority allows for it; None if none testified.
        note: A sentence on the commitment, if the owner wants to say what it is.
    """
    about = {
        "bp:commitmentRoot": commitment.root,
        "bp:leafCount": commitment.leaf_count,
        "bp:hashAlgorithm": "SHA-256 (RFC 9162)",
        "bp:descriptionSha256": description_sha256,
    }
    if committed_at is not None:
        about["bp:committedAt"] = committed_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if note:
        about["bp:note"] = note
    tables = [file for file in files if file.columns][:_MOST_RECORD_SETS]
    data: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": _VERSION,
        "name": one_line(described.name),
        "description": "\n\n".join(paragraphs_of(described.description)),
        "license": described.license_url,
        "url": described.url,
        "creator": {
            "@type": "sc:Person" if described.person else "sc:Organization",
            "name": one_line(described.creator),
        },
        "datePublished": described.published,
        "version": described.version,
        "isLiveDataset": False,
        **about,
        "distribution": [_file_object(number, file) for number, file in enumerate(files, 1)],
    }
    if tables:
        numbers = {file.name: number for number, file in enumerate(files, 1)}
        data["recordSet"] = [_record_set(numbers[file.name], file) for file in tables]
    return data


def _file_object(number: int, file: DescribedFile) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": f"file-{number}",
        "name": one_line(file.name),
        "contentUrl": file.name,
        "contentSize": f"{file.size} B",
        "encodingFormat": file.media_type,
        "sha256": file.sha256,
    }


def _record_set(number: int, file: DescribedFile) -> dict[str, Any]:
    """Columns of a file; identifiers are numbers of ours, as foreign names may mean something there."""
    here = f"records-{number}"
    return {
        "@type": "cr:RecordSet",
        "@id": here,
        "name": one_line(file.name),
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{here}/column-{place}",
                "name": one_line(column.name),
                "dataType": column.data_type,
                "source": {
                    "fileObject": {"@id": f"file-{number}"},
                    "extract": {"column": column.name},
                },
            }
            for place, column in enumerate(file.columns, 1)
        ],
    }
