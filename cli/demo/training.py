"""Tiny language models of Pythia's architecture (GPT-NeoX), trained from scratch on the CPU.

They are small enough to train in a minute, and remember enough of one epoch to be caught.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

from ...files import new_folder

__all__ = ["ModelSize", "Recipe", "packed", "tokenizer_of", "train"]

END_OF_TEXT = "<|endoftext|>"
_RISE = 20  # steps until the learning rate is reached


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """Shape of a GPT-NeoX model."""

    layers: int = 3
    width: int = 128
    heads: int = 4
    context: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a model is trained: one pass over its sequences, in the order given.

    Attributes:
        learning_rate: Rate of AdamW, constant after a short linear rise. A rate that falls to nothing
            leaves little trace of the order in models as small as these.
        batch: Sequences per step.
        seed: Seed of the initial weights.
    """

    learning_rate: float = 3e-3
    batch: int = 8
    seed: int = 0


def tokenizer_of(texts: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on texts; deterministic."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT, pad_token=END_OF_TEXT
    )


def packed(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], length: int
) -> list[list[int]]:
    """Texts laid end to end, each after an end-of-text token, cut into sequences of one length."""
    stream: list[int] = []
    for ids in tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]:
        stream += [tokenizer.eos_token_id, *ids]
    return [stream[i : i + length] for i in range(0, len(stream) - length + 1, length)]


def train(
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    sequences: Sequence[Sequence[int]],
    *,
    size: ModelSize,
    recipe: Recipe,
    start_from: Path | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Train one epoch and save the model with its tokenizer; the folder appears when it is whole.

    Args:
        folder: Where to save; must not exist.
        tokenizer: Saved beside the weights.
        sequences: Token sequences of one length, in training order.
        size: Shape of the model; ignored if it starts from another.
        recipe: Optimiser settings.
        start_from: Folder of the model to fine-tune, or None to train from scratch.
        progress: Called after each step with the number of tokens trained on so far.
    """
    torch.manual_seed(recipe.seed)
    if start_from is None:
        model = GPTNeoXForCausalLM(_config(tokenizer, size))
    else:
        model = GPTNeoXForCausalLM.from_pretrained(start_from, use_safetensors=True)
    data = torch.tensor(sequences)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=recipe.learning_rate,
        betas=(0.9, 0.95),
        weight_decay=0.01,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / _RISE, 1.0)
    )
    model.train()
    for step, batch in enumerate(_batches(data, recipe.batch), 1):
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress(min(step * recipe.batch, len(data)) * data.shape[1])
    with new_folder(folder) as staged:
        model.save_pretrained(staged, safe_serialization=True)
        tokenizer.save_pretrained(staged)


def _config(tokenizer: PreTrainedTokenizerFast, size: ModelSize) -> GPTNeoXConfig:
    return GPTNeoXConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.width,
        max_position_embeddings=size.context,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        use_cache=False,
    )


def _batches(data: Tensor, size: int) -> Iterator[Tensor]:
    for begin in range(0, len(data), size):
        yield data[begin : begin + size]
