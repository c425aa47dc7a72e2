"""Sampling continuations from a local model, for tests that look at its answers only."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig

__all__ = ["continuations"]

_TOKENS_PER_BATCH = 16_384


def continuations(
    model: Any,
    rows: Sequence[Sequence[int]],
    *,
    n_samples: int,
    max_new_tokens: int,
    seed: int,
    device: torch.device,
) -> list[list[list[int]]]:
    """Draw continuations at temperature 1 from the whole vocabulary, whatever the model's own settings.

    Args:
        model: A causal language model.
        rows: Token ids of each prompt, at least one each; short enough for the model with what is drawn.
        n_samples: Continuations per prompt.
        max_new_tokens: Tokens per continuation.
        seed: Seed of the draws.
        device: Where the model lies.

    Returns:
        Token ids, per prompt and sample; the same for the same rows in the same order on one machine.
    """
    # A config of our own: the model's may ask for greedy search, penalties or other truncation.
    how = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        num_return_sequences=n_samples,
        max_new_tokens=max_new_tokens,
        min_new_tokens=max_new_tokens,
        pad_token_id=0,
    )
    drawn: list[list[list[int]]] = []
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), torch.inference_mode():
        torch.manual_seed(seed % 2**63)
        for first, stop in _batches([len(row) for row in rows], n_samples):
            batch = rows[first:stop]
            width = max(map(len, batch))
            # Padded on the left, so that every prompt ends where its continuation begins.
            ids = torch.zeros((len(batch), width), dtype=torch.long)
            mask = torch.zeros_like(ids)
            for i, row in enumerate(batch):
                ids[i, width - len(row) :] = torch.tensor(list(row))
                mask[i, width - len(row) :] = 1
            out = model.generate(
                ids.to(device), attention_mask=mask.to(device), generation_config=how
            )
            new = out[:, width:].cpu().tolist()
            drawn += [new[i * n_samples : (i + 1) * n_samples] for i in range(len(batch))]
    return drawn


def _batches(lengths: Sequence[int], n_samples: int) -> list[tuple[int, int]]:
    """Runs of prompts whose padded samples stay within the memory allowed for, in order."""
    runs: list[tuple[int, int]] = []
    first, width = 0, 0
    for i, length in enumerate(lengths):
        wider = max(width, length)
        if i > first and wider * (i - first + 1) * n_samples > _TOKENS_PER_BATCH:
            runs.append((first, i))
            first, wider = i, length
        width = wider
    return [*runs, (first, len(lengths))] if lengths else []
