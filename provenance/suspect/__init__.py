"""Reaching a model under audit: `open_suspect` turns what a user names into a `Suspect`.

A suspect answers two questions, always in nats: how likely is each token of a text, and how likely
is each of several words at a place in a text. Its weights may be here, it may be behind an endpoint, or
whoever holds it answers a file of questions (`collect`, `record_answers`, `RecordedSuspect`). Importing
this package does not import torch.
"""

from .base import (
    ChoiceSlot,
    Completer,
    LikelihoodReader,
    Suspect,
    TokenReader,
    TokenTable,
    hearsay_of,
    inputs_of,
    refuse_same_model,
    which_model,
)
from .endpoint import Budget, EndpointSuspect, Reaching
from .opening import open_suspect
from .recorded import Questions, RecordedSuspect, collect, record_answers

__all__ = [
    "Budget",
    "ChoiceSlot",
    "Completer",
    "EndpointSuspect",
    "LikelihoodReader",
    "Questions",
    "Reaching",
    "RecordedSuspect",
    "Suspect",
    "TokenReader",
    "TokenTable",
    "collect",
    "hearsay_of",
    "inputs_of",
    "open_suspect",
    "record_answers",
    "refuse_same_model",
    "which_model",
]
