"""Models whose weights are at hand, through transformers. Importing this imports torch."""

from .loading import Dtype, Loading
from .suspect import TransformersSuspect

__all__ = ["Dtype", "Loading", "TransformersSuspect"]
