"""Was this model derived from my training run? Told from the order of my data (arXiv 2510.19796).

A model remembers recent training data better than early data, and its descendants inherit that.
`Transcript` is the record of a training order, or a `Sample` of it; `recording.Recorder` writes one while a
model is trained, and commits to it. `query_test` asks whether a suspect's likelihoods follow the order. An
order drawn at random is independent of every model trained without it.
"""

from .covariates import Covariate
from .partition import Partition, index_transcript, partition_test
from .query import QueryStatistic, order_test, query_test
from .reshuffle import ReshuffleResult, reshuffle_test
from .sampling import Sample, Sampling
from .scoring import PUBLISHED_WINDOW, WHOLE, Window, mean_logprobs
from .sequential import SequentialOrder, query_sequentially
from .transcript import Content, Transcript, TranscriptSource, sequence_digest

__all__ = [
    "PUBLISHED_WINDOW",
    "WHOLE",
    "Content",
    "Covariate",
    "Partition",
    "QueryStatistic",
    "ReshuffleResult",
    "Sample",
    "Sampling",
    "SequentialOrder",
    "Transcript",
    "TranscriptSource",
    "Window",
    "index_transcript",
    "mean_logprobs",
    "order_test",
    "partition_test",
    "query_sequentially",
    "query_test",
    "reshuffle_test",
    "sequence_digest",
]
