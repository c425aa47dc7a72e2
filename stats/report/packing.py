"""`packed`: a PDF with its small objects in compressed object streams (ISO 32000-1, 7.5.7 and 7.5.8).

typst writes each of the many elements of a tagged page as an object of its own, uncompressed. For a
report with hundreds of findings that is two thirds of the file. PDF/A-2 allows object streams.
"""

import re
import struct
import zlib

__all__ = ["packed"]

_PER_STREAM = 200
_STREAM = re.compile(rb">>\s*stream\r?\n")
_START = re.compile(rb"startxref\s+(\d+)\s+%%EOF\s*\Z")
_TABLE = re.compile(rb"xref\s+0 (\d+)\s+")
_ENTRY_SIZE = 20
_OBJECT = re.compile(rb"(\d+) 0 obj\s(.*)\sendobj\s*\Z", re.DOTALL)
_TRAILER = re.compile(rb"trailer\s*<<(.*)>>\s*startxref", re.DOTALL)
_IN_FILE, _IN_STREAM = 1, 2


def packed(pdf: bytes) -> bytes:
    """Pack the objects of a PDF, and leave what they say as it is.

    Args:
        pdf: A file with one cross-reference table, not encrypted, as typst writes it.

    Returns:
        The packed file; the file as it was if it is built in another way.
    """
    found = _objects(pdf)
    if found is None:
        return pdf
    header, objects, trailer = found
    out = bytearray(header)
    size = max(objects) + 1
    entries = {0: (0, 0, 65535)}
    small: dict[int, bytes] = {}
    for number, body in objects.items():
        if _STREAM.search(body):
            entries[number] = (_IN_FILE, len(out), 0)
            out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
        else:
            small[number] = body
    numbers = sorted(small)
    for first in range(0, len(numbers), _PER_STREAM):
        together = numbers[first : first + _PER_STREAM]
        entries |= {number: (_IN_STREAM, size, k) for k, number in enumerate(together)}
        entries[size] = (_IN_FILE, len(out), 0)
        out += _object_stream(size, {number: small[number] for number in together})
        size += 1
    start = len(out)
    entries[size] = (_IN_FILE, start, 0)
    out += _cross_references(size, entries, trailer)
    out += b"startxref\n%d\n%%%%EOF\n" % start
    return bytes(out)


def _objects(pdf: bytes) -> tuple[bytes, dict[int, bytes], bytes] | None:
    """What stands before the objects, the objects by number, and the entries of the trailer."""
    end = _START.search(pdf)
    table = _TABLE.match(pdf, int(end[1])) if end else None
    trailer = _TRAILER.search(pdf, table.end()) if table else None
    if end is None or table is None or trailer is None or b"/Encrypt" in trailer[1]:
        return None
    rows = [
        pdf[table.end() + _ENTRY_SIZE * k : table.end() + _ENTRY_SIZE * (k + 1)].split()
        for k in range(int(table[1]))
    ]
    offsets = sorted(int(row[0]) for row in rows if row[2:] == [b"n"])
    objects: dict[int, bytes] = {}
    for offset, after in zip(offsets, [*offsets[1:], int(end[1])], strict=True):
        parsed = _OBJECT.match(pdf[offset:after])
        if parsed is None:
            return None
        objects[int(parsed[1])] = parsed[2]
    if not objects:
        return None
    return pdf[: offsets[0]], objects, re.sub(rb"/Size\s+\d+", b"", trailer[1]).strip()


def _object_stream(number: int, objects: dict[int, bytes]) -> bytes:
    places, at = [], 0
    for inner, body in objects.items():
        places.append(b"%d %d" % (inner, at))
        at += len(body) + 1
    index = b" ".join(places) + b"\n"
    data = zlib.compress(index + b"\n".join(objects.values()), 9)
    entries = b"/Type/ObjStm/N %d/First %d" % (len(objects), len(index))
    return _stream(number, entries, data)


def _cross_references(
    number: int, entries: dict[int, tuple[int, int, int]], trailer: bytes
) -> bytes:
    """The cross-reference stream: per object its kind, its offset or stream, and its place in there."""
    absent = (0, 0, 65535)
    rows = [struct.pack(">BIH", *entries.get(k, absent)) for k in range(number + 1)]
    head = b"/Type/XRef/Size %d/W[1 4 2]%b" % (number + 1, trailer)
    return _stream(number, head, zlib.compress(b"".join(rows), 9))


def _stream(number: int, entries: bytes, data: bytes) -> bytes:
    head = b"%d 0 obj\n<<%b/Filter/FlateDecode/Length %d>>\nstream\n" % (number, entries, len(data))
    return head + data + b"\nendstream\nendobj\n"
