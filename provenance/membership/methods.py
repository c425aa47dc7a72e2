"""Which scores there are, where each comes from, and what it needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

__all__ = ["METHODS", "Method", "Score"]


class Score(StrEnum):
    """A membership score; its value is its column in a table of scores."""

    LOSS = "loss"
    PERPLEXITY = "perplexity"
    LOWER_CASE_RATIO = "lower_case_ratio"
    ZLIB_RATIO = "zlib_ratio"
    MIN_K = "min_k"
    MAX_K = "max_k"
    MIN_K_PLUS_PLUS = "min_k_plus_plus"
    RECALL = "recall"
    DC_PDD = "dc_pdd"
    REFERENCE_RATIO = "reference_ratio"
    NEIGHBOURHOOD = "neighbourhood"


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """What a reader of a score must know; in our tables a higher value always speaks for membership.

    Attributes:
        title: Its name in the literature.
        source: Where it was published.
        unit: Unit of our values.
        published: How the source is oriented, and what we changed.
        needs: What it takes besides token log-probabilities; empty if nothing.
    """

    title: str
    source: str
    unit: str
    published: str
    needs: str = ""


_SAME = "higher for members, as here"
_CARLINI = "Carlini et al. 2021, arXiv 2012.07805"

METHODS: Mapping[Score, Method] = MappingProxyType({
    Score.LOSS: Method(
        title="Loss",
        source="Yeom et al. 2018, arXiv 1709.01604",
        unit="nats per token",
        published="lower for members; here negated",
    ),
    Score.PERPLEXITY: Method(
        title="Perplexity",
        source=_CARLINI,
        unit="dimensionless",
        published="lower for members; here negated",
    ),
    Score.LOWER_CASE_RATIO: Method(
        title="Lower-case ratio",
        source=_CARLINI,
        unit="dimensionless",
        published=_SAME,
    ),
    Score.ZLIB_RATIO: Method(
        title="zlib ratio",
        source=_CARLINI,
        unit="nats per token and byte",
        published="higher for members; here minus the reciprocal, which ranks alike",
    ),
    Score.MIN_K: Method(
        title="Min-K%",
        source="Shi et al. 2024, arXiv 2310.16789",
        unit="nats per token",
        published=_SAME,
    ),
    Score.MAX_K: Method(
        title="Max-K%",
        source="Maini et al. 2024, arXiv 2406.06443",
        unit="nats per token",
        published="as a loss, lower for members; here negated",
    ),
    Score.MIN_K_PLUS_PLUS: Method(
        title="Min-K%++",
        source="Zhang et al. 2024, arXiv 2404.02936",
        unit="standard deviations",
        published=_SAME,
        needs="mean and sd of log p over the vocabulary",
    ),
    Score.RECALL: Method(
        title="ReCaLL",
        source="Xie et al. 2024, arXiv 2406.15968",
        unit="dimensionless",
        published=_SAME,
        needs="a prefix of texts that were not trained on, and the tokens themselves",
    ),
    Score.DC_PDD: Method(
        title="DC-PDD",
        source="Zhang et al. 2024, arXiv 2409.14781",
        unit="nats",
        published=_SAME,
        needs="a reference corpus for token frequencies, and the tokens themselves",
    ),
    Score.REFERENCE_RATIO: Method(
        title="Reference ratio",
        source=_CARLINI,
        unit="dimensionless",
        published=_SAME,
        needs="a reference model",
    ),
    Score.NEIGHBOURHOOD: Method(
        title="Neighbourhood",
        source="Mattern et al. 2023, arXiv 2305.18462",
        unit="nats per token",
        published="lower for members; here negated",
        needs="neighbours of each text",
    ),
})
