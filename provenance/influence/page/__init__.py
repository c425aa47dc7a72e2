"""An influence run as one HTML page: what a score means, the ranked documents, their tokens, the tail.

`shown_candidates` decides by rule which documents are shown, the caller looks up their texts,
`InfluencePage` holds all that is shown and refuses what does not fit together, and `write_page` writes it.
"""

from .contents import (
    FitSettings,
    InfluencePage,
    QueryText,
    ShownDocument,
    shown_candidates,
)
from .write import render_page, write_page

__all__ = [
    "FitSettings",
    "InfluencePage",
    "QueryText",
    "ShownDocument",
    "render_page",
    "shown_candidates",
    "write_page",
]
