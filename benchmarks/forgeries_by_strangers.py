"""Forgeries by strangers: without a key, with one of their own, and with a .zip made by hand."""

import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bookplate.files import canonical_json
from bookplate.provenance.custody.envelopes import Envelope
from forging import (
    FORGERIES,
    SIGNER,
    STATEMENT,
    Forgery,
    Workshop,
    edited_exhibit,
    edited_json,
    flipped,
    forgery,
)
from sample_bundle import (
    CREATED,
)

__all__ = ["FLIPPED"]

# ---- a stranger without a key -----------------------------------------------------------------------

FLIPPED = {
    "audit.yaml": (3, "was altered"),
    "commitments/release.json": (3, "was altered"),
    "commitments/release.json.sample.tsr": (3, "was altered"),
    "commitments/audit.yaml.sample.tsr": (3, "was altered"),
    "custody.jsonl": (3, "was altered"),
    "exhibits/T01.parquet": (3, "was altered"),
    "exhibits/T03.parquet": (3, "was altered"),
    "report.html": (3, "was altered"),
    "report.json": (3, "was altered"),
    "signer.pem": (2, "signer.pem"),
    "statement.dsse.json": (2, "the signature was not made"),
    "timestamps/statement.sample.tsr": (6, "statement.sample.tsr"),
}


def _flip(name: str) -> Callable[[Workshop], Path]:
    def make(shop: Workshop) -> Path:
        folder = shop.copy()
        data = (folder / name).read_bytes()
        at = len(data) // 2
        if name == STATEMENT:  # a letter of the payload that stays one of base64
            at = next(i for i in range(at, len(data)) if chr(data[i]) in "BCDEFGHIJKLMNOPQRSTUVWX")
        (folder / name).write_bytes(flipped(data, at))
        return folder

    return make


FORGERIES += [
    Forgery(f"A bit of {name} is flipped", check, reason, _flip(name))
    for name, (check, reason) in FLIPPED.items()
]


@forgery(3, "report.json: was altered")
def json_only(shop: Workshop) -> Path:
    """A p-value is edited in report.json."""
    folder = shop.copy()
    edited_json(folder, lambda report: report["entries"][1]["finding"].update(log10_p=-9.0))
    return folder


@forgery(3, "report.html: was altered")
def html_only(shop: Workshop) -> Path:
    """Words are edited in report.html."""
    folder = shop.copy()
    page = folder / "report.html"
    page.write_text(page.read_text("utf-8").replace("Inconclusive", "Evidence found"), "utf-8")
    return folder


@forgery(3, "exhibits/T01.parquet: was altered")
def rows_dropped_unsigned(shop: Workshop) -> Path:
    """Rows of an exhibit are dropped."""
    folder = shop.copy()
    edited_exhibit(folder, "exhibits/T01.parquet", lambda column: column[:40])
    return folder


@forgery(3, "extra.txt: not signed for")
def extra_file(shop: Workshop) -> Path:
    """A file is added."""
    folder = shop.copy()
    (folder / "exhibits" / "extra.txt").write_text("Further evidence.")
    return folder


@forgery(3, "timestamps/note.txt: not signed for")
def extra_beside_stamps(shop: Workshop) -> Path:
    """A file is added where only timestamps may lie unsigned."""
    folder = shop.copy()
    (folder / "timestamps" / "note.txt").write_text("Further evidence.")
    return folder


@forgery(3, "exhibits/T03.parquet: signed for, but missing")
def file_removed(shop: Workshop) -> Path:
    """An exhibit is taken out."""
    folder = shop.copy()
    (folder / "exhibits" / "T03.parquet").unlink()
    return folder


@forgery(2, "statement.dsse.json: missing")
def statement_removed(shop: Workshop) -> Path:
    """The statement is taken out."""
    folder = shop.copy()
    (folder / STATEMENT).unlink()
    return folder


@forgery(3, "was altered")
def replayed(shop: Workshop) -> Path:
    """The statement of one bundle is put into another."""
    draft = shop.draft()
    draft.not_run = {"mark.south": "The respondent took the model off its page."}
    other = draft.write(shop.key)
    shutil.copy(shop.sound / STATEMENT, other / STATEMENT)
    return other


@forgery(6, "of another message")
def stamp_of_another(shop: Workshop) -> Path:
    """The statement gets a timestamp of something else."""
    folder = shop.copy()
    other = shop.authority.stamp(b"something else", CREATED)
    (folder / "timestamps" / "statement.sample.tsr").write_bytes(other)
    return folder


@forgery(2, "occurs twice")
def envelope_twice(shop: Workshop) -> Path:
    """The envelope has a key twice, so that two readers see two payloads."""
    folder = shop.copy()
    data = (folder / STATEMENT).read_bytes()
    (folder / STATEMENT).write_bytes(
        data.replace(b'{"payload":', b'{"payload":"e30=","payload":', 1)
    )
    return folder


@forgery(2, "expected one signature")
def two_signatures(shop: Workshop) -> Path:
    """The envelope has a second signature."""
    folder = shop.copy()
    envelope = json.loads((folder / STATEMENT).read_bytes())
    envelope["signatures"] *= 2
    (folder / STATEMENT).write_bytes(canonical_json(envelope))
    return folder


@forgery(1, "a symbolic link")
def symlink(shop: Workshop) -> Path:
    """A file is a link to one outside."""
    folder = shop.copy()
    (folder / "report.md").symlink_to("/etc/hostname")
    return folder


@forgery(1, "neither file nor folder")
def pipe(shop: Workshop) -> Path:
    """A file is a pipe, at which a reader would wait for ever."""
    folder = shop.copy()
    os.mkfifo(folder / "report.md")
    return folder


# ---- a stranger, and a .zip -------------------------------------------------------------------------


def _added(shop: Workshop, name: str, data: bytes = b"x", **options: object) -> Path:
    path = shop.zipped()
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    for option, value in options.items():
        setattr(info, option, value)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info, data)
    return path


@forgery(1, "leads out of its folder")
def traversal(shop: Workshop) -> Path:
    """A .zip has a file that would be unpacked elsewhere."""
    return _added(shop, "../../.ssh/authorized_keys")


@forgery(1, "not a relative path")
def absolute(shop: Workshop) -> Path:
    """A .zip has a file with an absolute path."""
    return _added(shop, "/etc/passwd")


@forgery(1, "meaning of its own on other systems")
def backslash(shop: Workshop) -> Path:
    """A .zip has a path of Windows."""
    return _added(shop, "..\\evil.exe")


@forgery(1, "more than a bundle's files shrink")
def bomb(shop: Workshop) -> Path:
    """A .zip has a file that unpacks to a thousand times its size."""
    return _added(shop, "exhibits/T09.parquet", bytes(20_000_000))


@forgery(1, "larger than the 1048576 bytes stated")
def lying_bomb(shop: Workshop) -> Path:
    """A .zip understates how large a file unpacks."""
    path = _added(shop, "exhibits/T09.parquet", bytes(20_000_000))
    stated, said = struct.pack("<L", 20_000_000), struct.pack("<L", 1 << 20)
    path.write_bytes(path.read_bytes().replace(stated, said))
    return path


@forgery(1, "a symbolic link")
def zipped_symlink(shop: Workshop) -> Path:
    """A .zip has a symbolic link."""
    return _added(shop, "report.md", b"/etc/passwd", create_system=3, external_attr=0o120777 << 16)


@forgery(1, "named twice")
def entry_twice(shop: Workshop) -> Path:
    """A .zip has a file twice: one reader sees the first, another the last."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _added(shop, "report.json", b"{}")


@forgery(1, "one file where case is not told apart")
def other_case(shop: Workshop) -> Path:
    """A .zip has two files that are one on some systems."""
    return _added(shop, "REPORT.json", b"{}")


@forgery(1, "called otherwise in its own header")
def two_names(shop: Workshop) -> Path:
    """A .zip calls a file one thing in its directory and another before its data."""
    path = shop.zipped()
    data = path.read_bytes()
    at = data.index(b"report.json")
    path.write_bytes(data[:at] + b"report.jsom" + data[at + 11 :])
    return path


@forgery(1, "between its last file and its directory")
def hidden_bytes(shop: Workshop) -> Path:
    """A .zip holds bytes that no file accounts for."""
    path = shop.zipped()
    data, end = path.read_bytes(), struct.Struct("<4s4H2LH")
    fields = list(end.unpack(data[-22:]))
    begin, fields[6] = fields[6], fields[6] + 5
    path.write_bytes(data[:begin] + b"hello" + data[begin:-22] + end.pack(*fields))
    return path


@forgery(1, "something follows its end")
def appended(shop: Workshop) -> Path:
    """Something is appended to a .zip."""
    path = shop.zipped()
    path.write_bytes(path.read_bytes() + b"<script>")
    return path


@forgery(1, "directory does not lie where")
def prefixed(shop: Workshop) -> Path:
    """A .zip is also a program."""
    path = shop.zipped()
    path.write_bytes(b"#!/bin/sh\nexit\n" + path.read_bytes())
    return path


@forgery(1, "encrypted")
def encrypted(shop: Workshop) -> Path:
    """A file of a .zip is said to be encrypted."""
    path = shop.zipped()
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    return path


# ---- a stranger with a key --------------------------------------------------------------------------


@forgery(2, "which is not one that you named")
def key_swapped(shop: Workshop) -> Path:
    """All is signed anew by another key."""
    return shop.resigned(shop.copy(), shop.stranger)


@forgery(2, "is not the key that signed")
def signer_swapped(shop: Workshop) -> Path:
    """Only signer.pem is another key."""
    folder = shop.copy()
    (folder / SIGNER).write_bytes(shop.stranger.public.to_pem())
    return folder


@forgery(2, "the signature was not made")
def keyid_kept(shop: Workshop) -> Path:
    """Signed by another key, under the claimant's key id."""
    folder = shop.resigned(shop.copy(), shop.stranger)
    forged = Envelope.read((folder / STATEMENT).read_bytes())
    (folder / STATEMENT).write_bytes(replace(forged, keyid=shop.key.public.keyid).to_bytes())
    return folder
