"""What marking did to a release, for its owner to read before publishing: `assess`, `render_quality`."""

from .assess import Edited, Quality, assess
from .forecast import Forecast
from .page import render_quality
from .perplexity import Perplexity
from .similarity import Similarity

__all__ = [
    "Edited",
    "Forecast",
    "Perplexity",
    "Quality",
    "Similarity",
    "assess",
    "render_quality",
]
