"""Seeing what a model gets: a hook before its forward pass."""

import sys
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.utils.hooks import RemovableHandle

from ....errors import InvalidInput

__all__ = ["watch"]

# One watcher per model: the hook of a training that failed must not go on recording beside the next.
_watchers: WeakKeyDictionary[torch.nn.Module, RemovableHandle] = WeakKeyDictionary()


def watch(model: torch.nn.Module, add: Callable[[Any, Any], None]) -> Callable[[], None]:
    """Hand over token ids and attention mask of every forward pass in training mode, with gradients on.

    Evaluation, sampling and passes of a frozen model are no training, and are left out.

    Args:
        model: The innermost model that gets `input_ids`; wrappers for several devices call it.
        add: Called with (ids, mask or None).

    Returns:
        A function that ends this.
    """

    def before_forward(
        module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        if module.training and torch.is_grad_enabled():
            add(_ids(args, kwargs), _mask(args, kwargs))

    if "torch._dynamo" in sys.modules:  # a compiled model must call the hook, not trace it
        before_forward = torch.compiler.disable(before_forward)  # type: ignore[no-untyped-call]
    if (earlier := _watchers.pop(model, None)) is not None:
        earlier.remove()
    handle = model.register_forward_pre_hook(before_forward, with_kwargs=True)
    _watchers[model] = handle
    return handle.remove


def _ids(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    ids = kwargs.get("input_ids")
    if ids is None and args:
        ids = args[0]
    if not isinstance(ids, torch.Tensor) or ids.is_floating_point():
        raise InvalidInput(
            "the model was called without 'input_ids'",
            "only models that are given token ids can be recorded",
        )
    return ids


def _mask(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    mask = kwargs.get("attention_mask")
    if mask is None and len(args) > 1 and "input_ids" not in kwargs:
        mask = args[1]  # the second argument of the causal models of transformers
    return mask
