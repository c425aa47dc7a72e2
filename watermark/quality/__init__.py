"""What marking did to a release, for its owner to read before publishing: `assess`, `render_quality`."""

from .assess import Edited, Forecast, Perplexity, Quality, assess
from .page import render_quality

__all__ = ["Edited", "Forecast", "Perplexity", "Quality", "assess", "render_quality"]
