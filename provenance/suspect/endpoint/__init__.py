"""A model behind an OpenAI-compatible endpoint, and what asking one takes."""

from .budget import Budget
from .suspect import EndpointSuspect, Reaching

__all__ = ["Budget", "EndpointSuspect", "Reaching"]
