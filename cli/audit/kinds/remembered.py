"""A reference that is asked the same for every suspect, and answers once."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ....provenance.suspect import ChoiceSlot, Suspect

__all__ = ["Remembered"]

_MOST_ANSWERS = 16  # one for each test of an audit, or a little more

_T = TypeVar("_T")
_Scores = list[NDArray[np.float64]]


class Remembered:
    """A model that keeps its last answers in memory; all else it is asked goes to the model itself.

    Args:
        model: Whose answers to keep. Nobody may change them.
    """

    def __init__(self, model: Suspect) -> None:
        self._model = model
        self._answers: OrderedDict[bytes, Any] = OrderedDict()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def token_logprobs(self, sequences: Sequence[str | Sequence[int]]) -> _Scores:
        """See `Suspect.token_logprobs`."""
        question = ["tokens", *(s if isinstance(s, str) else list(s) for s in sequences)]
        return self._answer(question, lambda: self._model.token_logprobs(sequences))

    def choice_logprobs(
        self, texts: Sequence[str], slots: Sequence[Sequence[ChoiceSlot]]
    ) -> list[_Scores]:
        """See `Suspect.choice_logprobs`."""
        places = [[(s.start, s.end, s.choices) for s in row] for row in slots]
        question = ["choices", list(texts), places]
        return self._answer(question, lambda: self._model.choice_logprobs(texts, slots))

    def _answer(self, question: list[Any], ask: Callable[[], _T]) -> _T:
        key = hashlib.sha256(repr(question).encode("utf-8", "surrogatepass")).digest()
        if key not in self._answers:
            self._answers[key] = ask()
            if len(self._answers) > _MOST_ANSWERS:
                self._answers.popitem(last=False)
        self._answers.move_to_end(key)
        answer: _T = self._answers[key]
        return answer
