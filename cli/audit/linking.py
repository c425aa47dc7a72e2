"""All checks of a bundle that need to know the kinds of tests: what `report verify` makes besides its own."""

from .chronicle import told_as_logged
from .controls import controls_as_computed
from .endings import endings_as_logged
from .extent import sequences_as_registered
from .limits import limits_as_told
from .rows import choices_as_committed
from .settings import carried_out_as_registered
from .telling import told_as_registered
from .wording_checks import findings_as_worded

__all__ = ["LINK_CHECKS"]

LINK_CHECKS = (
    choices_as_committed,
    carried_out_as_registered,
    told_as_registered,
    findings_as_worded,
    sequences_as_registered,
    told_as_logged,
    controls_as_computed,
    limits_as_told,
    endings_as_logged,
)
