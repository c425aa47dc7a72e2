"""Opens a candidate source by its name; models are loaded only for the sources that have one."""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

from ...errors import InvalidInput
from ..lexicon import Lexicon, Tier
from ..lexicon.lexicon import SHIPPED_TABLE
from ..selection import Budget
from .base import CandidateSource
from .lexicon import LexiconSource

__all__ = ["SourceName", "open_source"]


class SourceName(StrEnum):
    """Who says what may stand for a word."""

    LEXICON = "lexicon"  # the substitution table, wherever the word stands
    SBERT = "sbert"  # the table, where the sentence stays alike
    BERT = "bert"  # the table, where the word's vector stays alike
    MLM = "mlm"  # a masked language model (LexiMark's "concatenation")
    LLM = "llm"  # a chat model behind an OpenAI-compatible endpoint


_NEEDS = {
    SourceName.LEXICON: frozenset({"table", "tier"}),
    SourceName.SBERT: frozenset({"table", "tier", "model", "least_cosine", "device"}),
    SourceName.BERT: frozenset({"table", "tier", "model", "least_cosine", "device"}),
    SourceName.MLM: frozenset({"model", "least_cosine", "device"}),
    SourceName.LLM: frozenset({"model", "url", "answers", "token_variable"}),
}


def open_source(
    name: SourceName | str,
    *,
    table: Path | None = None,
    tier: Tier | None = None,
    model: str | None = None,
    least_cosine: float | None = None,
    device: str | None = None,
    url: str | None = None,
    answers: Path | None = None,
    token_variable: str | None = None,
    protect: Iterable[str] = (),
    budget: Budget | None = None,
    rarer_only: bool = False,
) -> CandidateSource:
    """Open a candidate source.

    Args:
        name: Which one.
        table: A substitution table, for `lexicon`, `sbert` and `bert`; default: the shipped one.
        tier: Of the table, for `lexicon` (default: strict), `sbert` and `bert` (default: broad).
        model: Folder or hub id of the model, or its name at the endpoint; all but `lexicon`.
        least_cosine: Least cosine of what `sbert`, `bert` and `mlm` admit; default: 0.8.
        device: Torch device of the model; default: cpu.
        url: Address of the chat endpoint, for `llm`.
        answers: File that keeps the endpoint's answers, for `llm`.
        token_variable: Environment variable that holds its API token, or None.
        protect: Words that must stay as they are, in all their forms.
        budget: How many words may be replaced; default: 5 per sentence.
        rarer_only: Whether a substitute must be rarer than the word, as LexiMark publishes.

    Returns:
        The source, its model loaded.

    Raises:
        InvalidInput: If the name is unknown, an argument is missing or would be ignored, or the
            model cannot be loaded.
    """
    try:
        kind = SourceName(name)
    except ValueError:
        raise InvalidInput(
            f"unknown candidate source {name!r}", f"expected one of {', '.join(SourceName)}"
        ) from None
    given = {
        "table": table,
        "tier": tier,
        "model": model,
        "least_cosine": least_cosine,
        "device": device,
        "url": url,
        "answers": answers,
        "token_variable": token_variable,
    }
    ignored = [key for key, value in given.items() if value is not None and key not in _NEEDS[kind]]
    if ignored:
        raise InvalidInput(f"the candidate source '{kind}' takes no {ignored[0]}")
    common: dict[str, Any] = {"protect": protect, "budget": budget, "rarer_only": rarer_only}
    if kind is SourceName.LEXICON:
        lexicon = Lexicon.read(table or SHIPPED_TABLE, Tier.STRICT if tier is None else tier)
        return LexiconSource(lexicon, **common)
    if model is None:
        raise InvalidInput(
            f"the candidate source '{kind}' needs a model", "give a folder, a hub id, or its name"
        )
    if kind is SourceName.LLM:
        return _open_llm(url, model, answers, token_variable=token_variable, **common)
    least = 0.8 if least_cosine is None else least_cosine
    place = "cpu" if device is None else device
    if kind is SourceName.MLM:
        from .mlm import MlmSource

        return MlmSource.open(model, device=place, least_cosine=least, **common)
    from .bert import BertSource
    from .encoders import Encoder
    from .sbert import SbertSource
    from .thesaurus import Thesaurus

    table_based = SbertSource if kind is SourceName.SBERT else BertSource
    return table_based(
        Encoder.open(model, device=place),
        least_cosine=least,
        thesaurus=Thesaurus(table or SHIPPED_TABLE, Tier.BROAD if tier is None else tier),
        **common,
    )


def _open_llm(url: str | None, model: str, answers: Path | None, **options: Any) -> CandidateSource:
    from .llm import LlmSource

    if url is None:
        raise InvalidInput(
            "the candidate source 'llm' needs the address of an endpoint",
            "one such as https://api.example.org/v1",
        )
    if answers is None:
        raise InvalidInput(
            "the candidate source 'llm' needs a file that keeps the answers",
            "use the same one for every copy of a dataset; it holds sentences of it, keep it private",
        )
    return LlmSource(url, model, answers=answers, **options)
