"""Each kind of test of an audit: it calls what its own command calls."""

from .materials import Materials
from .tested import Tested
from .testing import tested

__all__ = ["Materials", "Tested", "tested"]
