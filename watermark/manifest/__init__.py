"""The private table of every slot and choice of a release.

A manifest has one row per distinct record: `record` (SHA-256 of the original text), `released`
(SHA-256 of the released text), `ids`, `salt`, and `slots`. It holds no text but the replaced words;
with it a released text becomes the original again, byte for byte. Rows are sorted by record, so the
manifest does not depend on the order of the dataset.
"""

from .header import MANIFEST_ROWS, ManifestHeader, write_rows
from .manifest import Manifest
from .records import MarkedRecord, MarkedSlot, digest_of
from .rows import ROW_SCHEMA, leaf_data, leaf_of, parse_record, rows_frame

__all__ = [
    "MANIFEST_ROWS",
    "ROW_SCHEMA",
    "Manifest",
    "ManifestHeader",
    "MarkedRecord",
    "MarkedSlot",
    "digest_of",
    "leaf_data",
    "leaf_of",
    "parse_record",
    "rows_frame",
    "write_rows",
]
