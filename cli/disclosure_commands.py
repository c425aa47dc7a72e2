"""`bookplate watermark disclose`, `check-disclosure`: a few rows of the manifest, shown and checked."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput
from ..files import new_file
from .options import AsJson
from .output import print_json, print_rows
from .verdicts import may_not_hold

if TYPE_CHECKING:
    from ..watermark.manifest import MarkedRecord

__all__ = ["check_disclosure", "disclose"]

_LARGEST = 64 << 20
_MOST_SHOWN = 50


def disclose(
    manifest: Annotated[Path, typer.Argument(help="The private manifest.parquet.")],
    record: Annotated[
        list[str],
        typer.Option(
            help="The dataset's own id of a record, or the SHA-256 of its original text (its first 8 digits "
            "will do); may be repeated."
        ),
    ],
    out: Annotated[Path, typer.Option(help="File to write.")],
    as_json: AsJson = False,
) -> None:
    """Show a few records: which words were chosen there, with proofs that this was committed to.

    Nothing can be told of the other records. The file holds the replaced words and no other text.
    """
    from ..watermark.disclosure import disclose as disclose_rows
    from ..watermark.manifest import Manifest

    read = Manifest.read(manifest)
    data = disclose_rows(read, record)
    with new_file(out) as staged:
        staged.write_bytes(data)
    shown = {
        "out": str(out),
        "records": len(set(record)),
        "root": read.commitment().root,
        "leaf_count": len(read.records),
    }
    if as_json:
        print_json(shown)
    else:
        print_rows([
            ("wrote", str(out)),
            ("root", str(shown["root"])),
            ("rows under it", f"{len(read.records):,}"),
        ])


def check_disclosure(
    disclosure: Annotated[Path, typer.Argument(help="What 'watermark disclose' wrote.")],
    release: Annotated[Path, typer.Argument(help="The release.json that was published.")],
    as_json: AsJson = False,
) -> None:
    """Check disclosed records against the published Merkle root. Exit 1 if one is not under it."""
    from ..watermark.disclosure import check_disclosure as check
    from ..watermark.release import Release

    described = Release.read(release)
    try:
        with disclosure.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise InvalidInput(f"{disclosure}: cannot be read: {error.strerror}") from None
    with may_not_hold(as_json=as_json):
        found = check(data, described, str(disclosure))
    if as_json:
        print_json({
            "holds": True,
            "root": found.commitment.root,
            "leaf_count": found.commitment.leaf_count,
            "records": [
                {
                    "index": index,
                    "record": record.record,
                    "released": record.released,
                    "ids": list(record.ids),
                    "slots": len(record.slots),
                }
                for index, record in zip(found.indices, found.records, strict=True)
            ],
        })
        return
    print_rows([
        ("root", found.commitment.root),
        ("records under it", f"{len(found.records):,} of {found.commitment.leaf_count:,}"),
    ])
    for record in found.records[:_MOST_SHOWN]:
        print_rows(_rows(record))
    if (more := len(found.records) - _MOST_SHOWN) > 0:
        print_rows([("not shown", f"{more:,} more records")])


def _rows(record: "MarkedRecord") -> list[tuple[str, str]]:
    words = [
        f"{slot.released} (of {', '.join(slot.choices)})" for slot in record.slots[:_MOST_SHOWN]
    ]
    more = len(record.slots) - len(words)
    return [
        ("original text", f"SHA-256 {record.record}"),
        ("released text", f"SHA-256 {record.released}"),
        *([("ids", ", ".join(record.ids[:_MOST_SHOWN]))] if record.ids else []),
        ("released words", "; ".join(words) + (f"; {more:,} more" if more else "")),
    ]
