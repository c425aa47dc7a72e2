"""How a language model's logits come about: where it is simple, they need never be held as a whole."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from .capture import at_rest
from .modules import TrackedModule
from .sequences import TokenSequence
from .tasks import Task, TokenTask

__all__ = ["ending_at_head", "plain_head", "task_of"]


def task_of(data: Task | Sequence[TokenSequence], model: nn.Module, what: str = "sequence") -> Task:
    """Sequences as a task that was checked against the model; a task as it is."""
    if isinstance(data, Task):
        return data
    task = TokenTask(data, what)
    task.check(model)
    return task


def ending_at_head(task: Task, model: nn.Module, modules: Sequence[TrackedModule]) -> Task:
    """The same task without its logits, if the model's head is plain and not listened at."""
    if type(task) is not TokenTask:
        return task
    return TokenTask(task.sequences, task.what, plain_head(model, modules))


def plain_head(model: nn.Module, modules: Sequence[TrackedModule]) -> nn.Linear | None:
    """The output layer, if logits are what it makes of the last hidden states (no soft cap, no scale).

    Args:
        model: A causal language model of transformers.
        modules: Layers that are listened at; the head must not be one of them.

    Returns:
        The layer, or None.
    """
    known: Any = model
    head = getattr(known, "get_output_embeddings", lambda: None)()
    # A layer of another kind (of 8 bits, say), or one that something listens at, is left to the model.
    if type(head) is not nn.Linear or head._forward_hooks or head._forward_pre_hooks:
        return None
    if any(tracked.module is head for tracked in modules) or known.base_model is model:
        return None
    tokens = torch.arange(4, device=head.weight.device)[None] % head.out_features
    with at_rest(model), torch.no_grad():
        states = getattr(
            known.base_model(input_ids=tokens, use_cache=False), "last_hidden_state", None
        )
        if states is None or states.shape[-1] != head.in_features:
            return None
        logits = known(input_ids=tokens, use_cache=False).logits
        direct = head(states)
    if direct.shape != logits.shape or not torch.allclose(
        direct.float(), logits.float(), atol=1e-4
    ):
        return None
    return head
