"""Asking an endpoint what is not known yet, keeping its answers, and noting who gave them."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from ....display import visible
from ....files import canonical_json
from .answers import AnswerStore
from .budget import Budget
from .http_client import Api, Question, Reply

__all__ = ["Asker"]

_FORMAT = "bookplate-endpoint-1"
_HEADERS = ("server", "openai-version")  # say who answers; others change with every answer
_FIELDS = ("model", "system_fingerprint")
_LONGEST = 200  # characters of what an endpoint says of itself
_MOST_WITNESSED = 16  # behind one address may be many machines


class Asker:
    """Asks one model of one endpoint.

    Args:
        api: The endpoint.
        model: The model's name there.
        store: Where the answers are kept.
        budget: What may be spent.
    """

    def __init__(self, api: Api, model: str, store: AnswerStore, budget: Budget) -> None:
        self._api, self._model, self._store, self._budget = api, model, store, budget
        self._witnessed: list[dict[str, str]] = []

    def ask(
        self,
        questions: Sequence[Question],
        read: Callable[[int, Reply], tuple[Any, int]],
        check: Callable[[int, Any], None],
        on_progress: Callable[[int, int, float], object],
    ) -> list[Any]:
        """The answers to questions, those that are kept and those that have to be asked for.

        Args:
            questions: What to ask; equal ones are asked once.
            read: Takes the index of a question and its reply, and returns the answer as JSON, or None
                if there is none to keep, and the number of tokens seen.
            check: Takes the index of a question and its new answer, once that is kept; may raise.
            on_progress: Called with the questions answered, their total, and the seconds it took.

        Returns:
            An answer for each question; None where there was none to keep.

        Raises:
            InvalidInput: As for `Api.ask_all`, or as `read` and `check` raise it.
            Interrupted: If the budget is spent.
        """
        names = [self._name("answer", question.path, question.body) for question in questions]
        known = self._store.read(names)
        if len(known) < len(set(names)):
            with self._store.alone():
                known = self._store.read(names)
                self._recall()
                known |= self._ask_rest(questions, names, set(known), (read, check, on_progress))
        elif not self._witnessed:
            self._recall()
        return [known.get(name) for name in names]

    def witnessed(self) -> dict[str, Any]:
        """When the first answer came, and what the answers said of who gave them; empty before that."""
        if not self._witnessed:
            return {}
        seen = [{k: v for k, v in one.items() if k != "first"} for one in self._witnessed]
        return {"first_asked": self._witnessed[0]["first"], "seen": seen}

    def _ask_rest(
        self,
        questions: Sequence[Question],
        names: Sequence[str],
        known: set[str],
        how: tuple[Callable[..., Any], ...],
    ) -> dict[str, Any]:
        read, check, on_progress = how
        first = {name: index for index, name in reversed(list(enumerate(names)))}
        new = sorted(index for name, index in first.items() if name not in known)
        begin, found = time.perf_counter(), dict[str, Any]()

        def accept(position: int, reply: Reply) -> int:
            index = new[position]
            answer, tokens = read(index, reply)
            if answer is not None:
                self._witness(reply)
                self._store.add([(names[index], answer)])
                found[names[index]] = answer
                on_progress(len(known) + len(found), len(first), time.perf_counter() - begin)
                check(index, answer)
            return int(tokens)

        self._api.ask_all([questions[index] for index in new], accept, budget=self._budget)
        return found

    def _witness(self, reply: Reply) -> None:
        said = {name: reply.headers.get(name) for name in _HEADERS}
        said |= {name: reply.data.get(name) for name in _FIELDS}
        shown = {
            name: visible(value[:_LONGEST])
            for name, value in said.items()
            if isinstance(value, str) and value
        }
        seen = [{k: v for k, v in one.items() if k != "first"} for one in self._witnessed]
        if shown in seen or len(seen) >= _MOST_WITNESSED:
            return
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._witnessed.append({**shown, "first": now})
        self._store.add([(self._name("witness", len(seen)), self._witnessed[-1])])

    def _recall(self) -> None:
        names = [self._name("witness", i) for i in range(_MOST_WITNESSED)]
        kept = self._store.read(names)
        self._witnessed = [kept[name] for name in names if name in kept]

    def _name(self, kind: str, *parts: Any) -> str:
        """All that an answer may depend on."""
        return canonical_json([_FORMAT, kind, self._api.url, self._model, *parts]).decode()
