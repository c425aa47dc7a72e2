"""Reaching a model under audit: `open_suspect` turns what a user names into a `Suspect`.

A suspect answers two questions, always in nats: how likely is each token of a text, and how likely
is each of several words at a place in a text. Importing this package does not import torch.
"""

from .base import ChoiceSlot, Completer, Suspect, refuse_same_model
from .opening import open_suspect

__all__ = ["ChoiceSlot", "Completer", "Suspect", "open_suspect", "refuse_same_model"]
