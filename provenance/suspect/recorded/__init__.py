"""What somebody else computed of a model: questions for the holder of the weights, and the answers."""

from .questions import Questions, collect
from .recording import record_answers
from .suspect import RecordedSuspect

__all__ = ["Questions", "RecordedSuspect", "collect", "record_answers"]
