"""Which documents are worth scoring exactly? TF-IDF filtering, arXiv 2308.03296 section 3.2.1.

`DocumentFiles` or `DocumentList` gives the corpus batch by batch, twice; `tfidf_filter` keeps for each query
the documents that share most of its rare terms, a random sample of all others, and some that share least.
The result is `Filtered`; `candidates_of` fetches the chosen documents. Once these have been scored exactly,
and `influences_of` has summed their scores by document, `filter_recall` says how many of the most
influential documents the filter may have hidden, and `hidden_tail` how much influence; `random_needed` says
beforehand how large a random sample must be for that.
"""

from .documents import DocumentBatch, DocumentFiles, DocumentList, DocumentSource, candidates_of
from .filtered import Chosen, Filtered, Members
from .filtering import tfidf_filter
from .frequencies import DocumentFrequencies, document_frequencies
from .recall import FilterRecall, HiddenTail, filter_recall, hidden_tail, random_needed
from .scored import influences_of
from .settings import FilterSettings

__all__ = [
    "Chosen",
    "DocumentBatch",
    "DocumentFiles",
    "DocumentFrequencies",
    "DocumentList",
    "DocumentSource",
    "FilterRecall",
    "FilterSettings",
    "Filtered",
    "HiddenTail",
    "Members",
    "candidates_of",
    "document_frequencies",
    "filter_recall",
    "hidden_tail",
    "influences_of",
    "random_needed",
    "tfidf_filter",
]
