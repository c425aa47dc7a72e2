"""Scores kept from one run of the demo to the next, so that a second run is quick."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from ... import __version__
from ...provenance.suspect import ChoiceSlot, Suspect, open_suspect
from ...provenance.suspect.local.loading import Loading

__all__ = ["RememberedSuspect"]

_Scores = list[NDArray[np.float64]]


class RememberedSuspect:
    """A suspect whose answers are kept in files named by model, question and program versions."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self._suspect: Suspect = open_suspect(str(folder), loading=Loading(device="cpu"))
        self._cache = cache
        self.identity = self._suspect.identity

    def token_logprobs(self, sequences: Sequence[str | Sequence[int]]) -> _Scores:
        """See `Suspect.token_logprobs`."""
        question = ["tokens", *(s if isinstance(s, str) else list(s) for s in sequences)]
        return self._remembered(question, lambda: self._suspect.token_logprobs(sequences))

    def choice_logprobs(
        self, texts: Sequence[str], slots: Sequence[Sequence[ChoiceSlot]]
    ) -> list[_Scores]:
        """See `Suspect.choice_logprobs`."""

        def flat() -> _Scores:
            return [score for text in self._suspect.choice_logprobs(texts, slots) for score in text]

        places = [[(s.start, s.end, s.choices) for s in row] for row in slots]
        scores = iter(self._remembered(["choices", list(texts), places], flat))
        return [[next(scores) for _ in row] for row in slots]

    def _remembered(self, question: list[Any], answer: Callable[[], _Scores]) -> _Scores:
        identity = [self.identity.sha256, __version__, torch.__version__, transformers.__version__]
        name = hashlib.sha256(repr([identity, question]).encode()).hexdigest()
        path = self._cache / f"scores-{name}.npz"
        if not path.exists():
            scores = answer()
            self._cache.mkdir(parents=True, exist_ok=True)
            staged = path.with_suffix(".partial")
            with staged.open("wb") as file:
                np.savez(
                    file, values=np.concatenate(scores), sizes=[score.size for score in scores]
                )
            staged.rename(path)
        kept = np.load(path, allow_pickle=False)
        return np.split(kept["values"], np.cumsum(kept["sizes"])[:-1])
