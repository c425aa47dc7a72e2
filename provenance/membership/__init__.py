"""Does a model treat these texts as ones it was trained on? Scores, and what they can and cannot prove.

A membership score is a number per text that tends to be higher for training texts. `score_texts`
computes those that are asked for from one reading of a suspect; `separation` says how well they tell
known members from known non-members. Neither is evidence of training: texts from elsewhere, or of
another year, score differently in any model (arXiv 2409.19798).

`dataset_inference` tests a set of texts against texts held out from the same distribution, and
refuses where `same_distribution` can tell the two sets apart by their words. For proof that needs no
such set, mark the data before it is released: `bookplate.watermark`.
"""

from .bag_of_words import SameDistribution, same_distribution
from .duplicates import near_duplicates, without_near_duplicates
from .evaluation import SHIFT_WARNING, separation
from .inference import DatasetInference, Mix, dataset_inference, inference_test
from .methods import METHODS, Method, Score
from .scores import TokenFrequencies
from .table import ScoreTable, score_texts

__all__ = [
    "METHODS",
    "SHIFT_WARNING",
    "DatasetInference",
    "Method",
    "Mix",
    "SameDistribution",
    "Score",
    "ScoreTable",
    "TokenFrequencies",
    "dataset_inference",
    "inference_test",
    "near_duplicates",
    "same_distribution",
    "score_texts",
    "separation",
    "without_near_duplicates",
]
