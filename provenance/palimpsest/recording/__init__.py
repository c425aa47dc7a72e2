"""Record a training order while it happens, and commit to it.

Before training, `Recorder` commits to the seed of the shuffle; while training, it writes down every sequence
the model gets; after training, `seal` makes the transcript and commits to it. `commitments.json`, published
before the model is, is what makes the order evidence; `verify_recording` holds a recording against it, and
`check_committed` a transcript alone. Importing this package imports neither torch nor transformers.
"""

from .commitments import Commitments, Opening
from .ranks import Rank
from .recorder import Recorder
from .rows import transcript_commitment
from .sealing import (
    NOT_CHECKED,
    Summary,
    check_committed,
    inspect_recording,
    seal,
    verify_recording,
    write_digests,
)

__all__ = [
    "NOT_CHECKED",
    "Commitments",
    "Opening",
    "Rank",
    "Recorder",
    "Summary",
    "check_committed",
    "inspect_recording",
    "seal",
    "transcript_commitment",
    "verify_recording",
    "write_digests",
]
