"""Was this model derived from my training run? Told from the order of my data (arXiv 2510.19796).

A model remembers recent training data better than early data, and its descendants inherit that.
`Transcript` is the record of a training order; `query_test` asks whether a suspect's likelihoods
follow it. An order drawn at random is independent of every model trained without it.
"""

from .query import QueryStatistic, mean_logprobs, order_test, query_test
from .transcript import Transcript

__all__ = ["QueryStatistic", "Transcript", "mean_logprobs", "order_test", "query_test"]
