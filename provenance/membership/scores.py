"""The published membership scores, one function each, of one text; all oriented alike.

A higher value always speaks for membership, also where the paper has it the other way round; each
docstring says so. A score that a text cannot have is NaN: all of them for a text without a scored
token, and what needs a prefix or neighbours where nothing is left to compare.

Notation: n scored tokens, l_i = log p(x_i | x_<i) in nats, L = -mean_i l_i the loss in nats per token.
"""

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidInput
from ..suspect import TokenTable

__all__ = [
    "TokenFrequencies",
    "dc_pdd",
    "loss",
    "lower_case_ratio",
    "max_k",
    "min_k",
    "min_k_plus_plus",
    "neighbourhood",
    "perplexity",
    "recall",
    "reference_ratio",
    "zlib_ratio",
]

_UNDEFINED = math.nan
_LEAST_LOSS = 1e-6  # nats per token; a denominator of a text that the model knows by heart
_MOST_LOSS = 300.0  # nats per token; the square of its exponential, 1e260, still is a float
_LEAST_SD = 1e-4  # nats; below it the deviation from the mean is rounding error


def loss(table: TokenTable) -> float:
    """Mean log-probability -L, in nats per token.

    Source: Yeom et al. (2018), arXiv 1709.01604, Adversary 1, in its form for language models.
    Published as L, lower for members; here its negative.
    """
    return _mean(table.logprobs)


def perplexity(table: TokenTable) -> float:
    """Minus the perplexity, -exp(L); dimensionless.

    Source: Carlini et al. (2021), arXiv 2012.07805. Published as exp(L), lower for members. It ranks
    texts as `loss` does; on its own scale a few poorly predicted texts weigh most. L is capped at 300.
    """
    return -math.exp(min(-_mean(table.logprobs), _MOST_LOSS)) if table.logprobs.size else _UNDEFINED


def lower_case_ratio(table: TokenTable, lowered: NDArray[np.float64]) -> float:
    """Loss of the lower-cased text over the loss of the text; dimensionless.

    Source: Carlini et al. (2021), arXiv 2012.07805; as a ratio of log-perplexities, as in the authors'
    code (ftramer/LM_Memorization). Published so: higher for members. Losses below 1e-6 count as 1e-6.

    Args:
        table: The text.
        lowered: Log-probabilities of the tokens of `text.lower()`, shape (m,), nats.
    """
    return -_mean(lowered) / _denominator(table.logprobs)


def zlib_ratio(table: TokenTable, text: str) -> float:
    """-L over the bytes that zlib needs for the text; nats per token and byte.

    Source: Carlini et al. (2021), arXiv 2012.07805: compressed size over L, higher for members. This is
    minus its reciprocal, which ranks texts alike and exists for a loss of 0.
    """
    return _mean(table.logprobs) / len(zlib.compress(text.encode("utf-8")))


def min_k(table: TokenTable, share: float = 0.2) -> float:
    """Mean log-probability of the least likely tokens, in nats per token.

    Source: Shi et al. (2024), arXiv 2310.16789, Min-K% Prob. Published so: higher for members.

    Args:
        table: The text.
        share: K as a share, in (0, 1]; of n tokens floor(share n) count, at least one.
    """
    return _mean(_lowest(table.logprobs, share))


def max_k(table: TokenTable, share: float = 0.2) -> float:
    """Mean log-probability of the likeliest tokens, in nats per token.

    Source: Maini et al. (2024), arXiv 2406.06443, a feature of dataset inference (`k_max_probs` in the
    authors' code), as a loss and so lower for members; here as a log-probability.

    Args:
        table: The text.
        share: See `min_k`.
    """
    return -_mean(_lowest(-table.logprobs, share))


def min_k_plus_plus(table: TokenTable, share: float = 0.2) -> float:
    r"""Mean of the lowest standardised log-probabilities; in standard deviations.

    .. math:: \frac{1}{|E|} \sum_{i \in E} \frac{l_i - \mu_i}{\sigma_i}, \quad
        \mu_i = E_{v \sim p_i} \log p_i(v), \quad \sigma_i^2 = \operatorname{var}_{v \sim p_i} \log p_i(v)

    with E the share of tokens for which the fraction is lowest. Source: Zhang et al. (2024), arXiv
    2404.02936, and `run.py` of the authors' code. Published so: higher for members. Where sigma is
    below 1e-4 nats, all of the distribution lies on one token or all tokens are alike: there 1e-4 takes
    its place, so that such a token counts as 0 up to rounding unless the model had ruled it out.

    Args:
        table: The text; `mean` and `sd` must be known.
        share: See `min_k`.

    Raises:
        InvalidInput: If they are not.
    """
    if table.mean is None or table.sd is None:
        raise InvalidInput(
            "Min-K%++ needs mean and sd of log p over the vocabulary",
            "ask a suspect with weights, or leave this score out",
        )
    standardised = (table.logprobs - table.mean) / np.maximum(table.sd, _LEAST_SD)
    return _mean(_lowest(standardised, share))


def recall(table: TokenTable, prefixed: TokenTable) -> float:
    r"""Relative conditional log-likelihood, LL(x | P) / LL(x) with LL the mean of l_i; dimensionless.

    Source: Xie et al. (2024), arXiv 2406.15968. Published so: higher for members, whose
    likelihood falls most behind a prefix of non-members.

    Both likelihoods are taken over the same tokens: those at the end that the text with and without
    its prefix have in common, as a tokenizer may join prefix and text. Log-likelihoods above -1e-6
    count as -1e-6 in the denominator.

    Args:
        table: The text x.
        prefixed: The prefix P with the text behind it.
    """
    n = _common_end(table.tokens, prefixed.tokens)
    if n == 0:
        return _UNDEFINED
    return -_mean(prefixed.logprobs[-n:]) / _denominator(table.logprobs[-n:])


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFrequencies:
    """How common each token is in a corpus, with Laplace's correction (DC-PDD, section 3.3).

    Attributes:
        counts: Occurrences of each token.
        n_tokens: Tokens of the corpus.
        vocabulary: Size |V| of the vocabulary.
    """

    counts: Mapping[str, int]
    n_tokens: int
    vocabulary: int

    @classmethod
    def of(
        cls, texts: Iterable[Sequence[str]], *, vocabulary: int | None = None
    ) -> "TokenFrequencies":
        """Count the tokens of a corpus.

        Args:
            texts: The tokens of each of its texts.
            vocabulary: Size of the tokenizer's vocabulary; default: the distinct tokens of the corpus and
                one more for all others, which only moves the correction.

        Raises:
            InvalidInput: If the corpus has no token, or more distinct ones than the vocabulary.
        """
        counts = Counter(token for tokens in texts for token in tokens)
        size = len(counts) + 1 if vocabulary is None else vocabulary
        if not counts:
            raise InvalidInput(
                "the corpus for token frequencies has no token", "give a corpus with text"
            )
        if size < len(counts):
            raise InvalidInput(
                f"expected a vocabulary of at least the {len(counts)} distinct tokens of the "
                f"corpus, got {size}"
            )
        return cls(counts=counts, n_tokens=counts.total(), vocabulary=size)

    def log_share(self, token: str) -> float:
        """log((count + 1) / (N' + |V|)), in nats."""
        return math.log((self.counts.get(token, 0) + 1) / (self.n_tokens + self.vocabulary))


def dc_pdd(table: TokenTable, frequencies: TokenFrequencies, cap: float = 0.01) -> float:
    r"""Divergence-calibrated probability, in nats.

    .. math:: \frac{1}{|F|} \sum_{i \in F} \min(-p(x_i \mid x_{<i}) \log q(x_i),\; a)

    with q the frequencies of a reference corpus and F the first occurrence of each token in the text.
    Source: Zhang et al. (2024), arXiv 2409.14781, section 3.4, and `com_det_sco.py` of the authors' code.
    Published so: higher for members.
    Only scored tokens count, so a first token without a score leaves the next one as the first.

    Args:
        table: The text.
        frequencies: The reference corpus, in tokens of the same tokenizer.
        cap: The bound a on each token's part; 0.01 in the authors' code.
    """
    first = list({token: i for i, token in reversed(list(enumerate(table.tokens)))}.values())
    log_q = np.array([frequencies.log_share(table.tokens[i]) for i in first])
    return _mean(np.minimum(-np.exp(table.logprobs[first]) * log_q, cap)) if first else _UNDEFINED


def reference_ratio(table: TokenTable, reference: NDArray[np.float64]) -> float:
    """Negative log-likelihood under another model over that under the suspect; dimensionless.

    Source: Carlini et al. (2021), arXiv 2012.07805, as the ratio of log-perplexities of GPT-2 Small and XL.
    Published so: higher for members. Here of the whole text instead of per token, so that the models
    may differ in their tokenizers; with one tokenizer it is the published ratio.

    Args:
        table: The text under the suspect.
        reference: Log-probabilities of its tokens under the reference, shape (m,), nats.
    """
    if not reference.size:
        return _UNDEFINED
    return -float(reference.sum()) / (_denominator(table.logprobs) * table.logprobs.size)


def neighbourhood(table: TokenTable, neighbours: Sequence[NDArray[np.float64]]) -> float:
    """Mean loss of texts that differ in a few words, minus the loss of the text; nats per token.

    Source: Mattern et al. (2023), arXiv 2305.18462, with neighbours from a masked model. Published
    the other way round, lower for members. Here the caller brings the neighbours.

    Args:
        table: The text.
        neighbours: Per neighbour the log-probabilities of its tokens, nats.
    """
    losses = [-_mean(neighbour) for neighbour in neighbours if neighbour.size]
    return float(np.mean(losses)) + _mean(table.logprobs) if losses else _UNDEFINED


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else _UNDEFINED


def _denominator(logprobs: NDArray[np.float64]) -> float:
    """The loss, but not 0; NaN of no token."""
    return max(-_mean(logprobs), _LEAST_LOSS) if logprobs.size else _UNDEFINED


def _lowest(values: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """The lowest floor(share n) of n values, at least one if there is any."""
    if not 0 < share <= 1:
        raise InvalidInput(f"expected a share of tokens above 0 and at most 1, got {share}")
    count = max(int(share * values.size), 1)
    return np.sort(values)[:count]


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    n = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        n += 1
    return n
