"""A loader whose batches are taken down."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from ....errors import InvalidInput

__all__ = ["RecordedLoader"]


class _Taker(Protocol):
    def add(self, input_ids: Any, attention_mask: Any = None) -> None: ...


class RecordedLoader:
    """Gives the batches of a loader, in its order, each taken down before it is handed out.

    It records in the process that trains, so the loader's workers need not know of it. Everything but
    iterating is the loader's own: length, sampler, `set_epoch`.
    """

    def __init__(
        self,
        recorder: _Taker,
        loader: Iterable[Any],
        columns: Callable[[Any], tuple[Any, Any]] | None = None,
    ) -> None:
        self._recorder = recorder
        self._loader = loader
        self._columns = columns or _columns

    def __iter__(self) -> Iterator[Any]:
        for batch in self._loader:
            self._recorder.add(*self._columns(batch))
            yield batch

    def __len__(self) -> int:
        return len(self._loader)  # type: ignore[arg-type]  # without a length, its own error is right

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # while being copied or unpickled there is no loader yet
            raise AttributeError(name)
        return getattr(self._loader, name)


def _columns(batch: Any) -> tuple[Any, Any]:
    if isinstance(batch, Mapping):
        if "input_ids" not in batch:
            raise InvalidInput(
                f"a batch has no 'input_ids', but {', '.join(map(str, batch))}",
                "say with `columns` where its token ids are",
            )
        return batch["input_ids"], batch.get("attention_mask")
    if isinstance(batch, tuple | list):
        raise InvalidInput(
            f"a batch is a {type(batch).__name__}", "say with `columns` where its token ids are"
        )
    return batch, None
