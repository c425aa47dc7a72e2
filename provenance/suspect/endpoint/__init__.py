"""A model behind an OpenAI-compatible endpoint, and what asking one takes."""

from .budget import Budget
from .http_client import Patience
from .rehearsal import Foreseen, Rehearsal
from .suspect import EndpointSuspect, Reaching

__all__ = ["Budget", "EndpointSuspect", "Foreseen", "Patience", "Reaching", "Rehearsal"]
