"""Is a bundle what its signer says, and do its own numbers bear it out?

`verify` makes eleven numbered checks and returns all of them: `signature` (1 to 3), `contents` (4, 5),
`times` (6), `numbers` (7, 8), `words` (9), `history` (10, 11). `Matter` is what they look at: what one
check has not established, the next cannot see. `outcomes` turns checks into one result.
"""

from .contents import ReadRegistration
from .history import LinkCheck, ReadFile
from .outcomes import Check, NotChecked, Outcome, Result, Verification
from .verifier import verify

__all__ = [
    "Check",
    "LinkCheck",
    "NotChecked",
    "Outcome",
    "ReadFile",
    "ReadRegistration",
    "Result",
    "Verification",
    "verify",
]
