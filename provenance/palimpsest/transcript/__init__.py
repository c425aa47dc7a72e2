"""The record of a training order: read whole, in frames, or as a sample drawn before it is loaded.

`Transcript` is what the tests work on. `TranscriptSource` is the file, or the folder of shards, that it
comes from; it may be far larger than memory, or hold digests in place of sequences.
"""

from .digests import SALT_BYTES, sequence_digest
from .layout import Content
from .source import Outline, TranscriptSource
from .transcript import Transcript

__all__ = [
    "SALT_BYTES",
    "Content",
    "Outline",
    "Transcript",
    "TranscriptSource",
    "sequence_digest",
]
