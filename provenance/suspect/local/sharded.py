"""Scoring on a Ray cluster (extra `[ray]`): every worker loads the models, and is sent batches.

Tokens, windows and batches are made in this process, by the same code as without a cluster; a worker
does the forward pass and the output layer of one batch. So each batch holds the same sequences, padded
alike, and where the workers compute as this process would (the same kind of processor, as many
threads) the scores are the same bit by bit. Workers that differ among each other are refused.

Texts leave this process as token ids. The models must lie under the same names on every node.
"""

import queue
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import ray
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from .... import __version__
from ....errors import BookplateError, InvalidInput
from ....files import Interrupted
from .batching import batches
from .loading import Loading, load
from .network import MemoryShortError, Moments, Network, Positions
from .suspect import TransformersSuspect

__all__ = ["Opened", "ShardedSuspect", "sharded"]

_AT_ONCE = 2  # batches on their way for each worker, so that none is idle
_RETRIES = 3  # of a batch whose worker was lost
_AGAIN = "give the same command again"

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that was opened here, and how the workers open it.

    Attributes:
        suspect: The model. It may lie on the CPU here, whatever the workers compute on.
        name: Folder, or `owner/model`.
        how: Device, precision and adapter on the workers; `auto` is a GPU each if the cluster has any.
    """

    suspect: TransformersSuspect
    name: str
    how: Loading


@contextmanager
def sharded(models: Sequence[Opened], workers: int) -> Generator[list["ShardedSuspect"]]:
    """Models whose batches are scored by workers of the Ray cluster that this process is connected to.

    Args:
        models: The models; every worker loads them all.
        workers: How many workers there are.

    Yields:
        The models in their order, until the block ends.

    Raises:
        InvalidInput: If the cluster is too small, the models are for several devices, or one cannot be
            opened there.
        Interrupted: If the workers have another version of Bookplate, other weights, or differ in what
            they compute with.
    """
    asked = {model.how.device for model in models}
    if len(asked) != 1:
        raise InvalidInput(f"expected models for one device, got {len(asked)}")
    device = _device_there(asked.pop(), workers)
    there = [(model.name, replace(model.how, device=device)) for model in models]
    kind = ray.remote(
        num_cpus=1,
        num_gpus=0 if device == "cpu" else 1,
        max_restarts=_RETRIES,
        max_task_retries=_RETRIES,
    )(_Worker)
    actors = [kind.remote(there, torch.get_num_threads()) for _ in range(workers)]
    try:
        _refuse_unlike(models, ray.get([actor.about.remote() for actor in actors]))
        yield [
            ShardedSuspect(model.suspect, _Share(actors, number))
            for number, model in enumerate(models)
        ]
    finally:
        for actor in actors:
            ray.kill(actor)


class ShardedSuspect(TransformersSuspect):
    """A model whose batches others score; it continues texts (`complete`) here.

    Args:
        suspect: The model as it was opened here.
        share: The workers that score.
    """

    def __init__(self, suspect: TransformersSuspect, share: "_Share") -> None:
        vars(self).update(vars(suspect))
        self._network = _ShardedNetwork(suspect._network, share)


class _ShardedNetwork(Network):
    """The forward passes of a network, done elsewhere.

    Args:
        network: The same network here.
        share: The workers.
    """

    def __init__(self, network: Network, share: "_Share") -> None:
        vars(self).update(vars(network))
        self._share = share

    def in_batches(
        self,
        items: Sequence[_Item],
        length: Callable[[_Item], int],
        work: Callable[[list[_Item]], _Result],
    ) -> Iterator[tuple[list[_Item], _Result]]:
        """See `Network.in_batches`; several batches are on their way, their results come in order."""

        def done(batch: list[_Item]) -> list[tuple[list[_Item], _Result]]:
            return list(Network.in_batches(self, batch, length, work))  # halves it if need be

        waiting: deque[Future[list[tuple[list[_Item], _Result]]]] = deque()
        pool = ThreadPoolExecutor(self._share.at_once)
        try:
            for batch in batches(items, length, lambda: self._budget):
                waiting.append(pool.submit(done, batch))
                if len(waiting) > self._share.at_once:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def forward(self, **inputs: Tensor) -> Tensor:
        """Nothing yet: hidden states stay on the worker, so it is asked by `moments` at once."""
        return cast("Tensor", _Unread(inputs))

    def moments(self, hidden: Tensor, wanted: Positions, *, spread: bool = False) -> Moments:
        """See `Network.moments`; `hidden` is what `forward` here gave."""
        return self._share.moments(cast("_Unread", hidden).inputs, wanted, spread=spread)


@dataclass(frozen=True, slots=True)
class _Unread:
    """Inputs that a worker is to read."""

    inputs: dict[str, Tensor]


class _Share:
    """What the workers do for one of the models.

    Args:
        actors: The workers.
        number: Of the model, among those that they hold.
    """

    def __init__(self, actors: Sequence[Any], number: int) -> None:
        self._number = number
        self.at_once = _AT_ONCE * len(actors)
        self._free: queue.Queue[Any] = queue.Queue()
        for actor in [*actors] * _AT_ONCE:
            self._free.put(actor)

    def moments(self, inputs: dict[str, Tensor], wanted: Positions, *, spread: bool) -> Moments:
        """What some worker finds."""
        actor = self._free.get()
        try:
            found = ray.get(actor.moments.remote(self._number, inputs, wanted, spread))
        finally:
            self._free.put(actor)
        if isinstance(found, Exception):
            raise found
        return cast("Moments", found)


@dataclass(frozen=True, slots=True)
class _About:
    """What must be alike.

    Attributes:
        version: Of Bookplate.
        digests: SHA-256 of each model.
        computes: What decides the last bits of the scores.
    """

    version: str
    digests: tuple[str, ...]
    computes: str


def _device_there(device: str, workers: int) -> str:
    """The workers' device.

    Raises:
        InvalidInput: If there are not enough.
    """
    has = ray.cluster_resources()
    n_cpus, n_gpus = int(has.get("CPU", 0)), int(has.get("GPU", 0))
    if device == "auto":
        device = "cuda" if n_gpus else "cpu"
    n, what = (n_cpus, "processors") if device == "cpu" else (min(n_cpus, n_gpus), "GPUs")
    if workers > n:
        raise InvalidInput(
            f"the Ray cluster has {n} {what} for {workers} workers", "ask for fewer --workers"
        )
    return device


def _refuse_unlike(models: Sequence[Opened], told: Sequence["_About | BookplateError"]) -> None:
    for about in told:
        if isinstance(about, BookplateError):
            raise about
        if about.version != __version__:
            raise Interrupted(
                f"the Ray workers run bookplate {about.version}, this is {__version__}",
                f"install one version on every node; {_AGAIN}",
            )
        for model, digest in zip(models, about.digests, strict=True):
            if digest != model.suspect.identity.sha256:
                raise Interrupted(
                    f"{model.name}: other weights on a Ray worker than here",
                    f"give every node the same files; {_AGAIN}",
                )
    ways = sorted({about.computes for about in told if isinstance(about, _About)})
    if len(ways) > 1:
        raise Interrupted(
            f"the Ray workers compute differently: {'; '.join(ways)}",
            f"scores would depend on which worker gave them; use nodes of one kind, then {_AGAIN}",
        )


# On a worker.


class _Worker:
    """Holds the models. They are loaded when first needed, so that a worker that was lost begins anew.

    Args:
        models: Name of each, and how it is loaded.
        threads: Of torch: how many decides how sums are split, and so the last bits.
    """

    def __init__(self, models: Sequence[tuple[str, Loading]], threads: int) -> None:
        torch.set_num_threads(threads)
        self._models = models
        self._networks: list[Network] = []
        self._digests: list[str] = []

    def about(self) -> "_About | BookplateError":
        """What this worker is."""
        try:
            self._open()
        except BookplateError as error:
            return error
        return _About(__version__, tuple(self._digests), _computes_with(self._networks[0].device))

    def moments(
        self, number: int, inputs: dict[str, Tensor], wanted: Positions, spread: bool
    ) -> "Moments | Exception":
        """See `Network`. Errors of the model are returned: raised ones would come in Ray's clothes."""
        self._open()
        network = self._networks[number]
        try:
            return network.moments(network.forward(**inputs), wanted, spread=spread)
        except (BookplateError, MemoryShortError) as error:
            error.__cause__ = None  # whatever a backend raised might not travel
            return error

    def _open(self) -> None:
        for name, how in self._models[len(self._networks) :]:
            loaded = load(AutoModelForCausalLM, name, how)
            self._networks.append(Network(loaded.model, loaded.identity.name))
            self._digests.append(loaded.identity.sha256)


def _computes_with(device: torch.device) -> str:
    if device.type == "cuda":
        return f"torch {torch.__version__} on {torch.cuda.get_device_name(device)}"
    capability = torch.backends.cpu.get_cpu_capability()
    return (
        f"torch {torch.__version__} on a CPU with {capability}, {torch.get_num_threads()} threads"
    )
