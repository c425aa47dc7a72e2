"""Train the last phase of a run again, in its true order and in others: what the reshuffle test compares.

`retrain` takes a checkpoint of `transformers.Trainer` and the transcript of what followed. One run gets it in
the true order, K in fresh random ones; all are made by the same code, so that under the null the true one
is like any other. `finished_runs` finds them again. Importing this package imports neither torch nor
transformers.
"""

from .checkpoint import Checkpoint
from .folders import FinishedRuns, finished_runs
from .phase import LastPhase, PhaseRows
from .runs import retrain

__all__ = ["Checkpoint", "FinishedRuns", "LastPhase", "PhaseRows", "finished_runs", "retrain"]
