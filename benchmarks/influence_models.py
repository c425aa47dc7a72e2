"""Shared by the influence benchmarks: docstrings as documents, and tiny models that are trained on them."""

import copy
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from bookplate.cli.demo.corpus import cached_docstrings
from bookplate.cli.demo.training import packed, tokenizer_of
from bookplate.provenance.influence.sequences import TokenSequence
from numpy.typing import NDArray
from torch.nn import functional
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

__all__ = ["Recipe", "Shape", "Texts", "base_model", "logprobs", "new_model", "trained"]

Tokens = Sequence[Sequence[int]]
LIBRARIES = ["torch", "transformers", "tokenizers", "numpy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Shape of a tiny language model; no dropout, so that training has no noise but its order."""

    layers: int
    width: int
    vocabulary: int
    context: int
    architecture: str = "gpt_neox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """AdamW over whole epochs, each in an order of its own; the rate falls linearly to nothing."""

    epochs: int
    learning_rate: float
    batch: int = 8
    weight_decay: float = 0.01


@dataclass(frozen=True)
class Texts:
    """Docstrings, dealt into those a base model reads and those kept for documents and queries.

    Attributes:
        cache: Folder where docstrings and models are kept.
        vocabulary: Size of the tokenizer.
        packages: Installed packages whose docstrings are read.
    """

    cache: Path
    vocabulary: int
    packages: tuple[str, ...] = ("scipy", "numpy", "torch", "transformers", "statsmodels")

    @cached_property
    def texts(self) -> list[str]:
        """All docstrings, shuffled once."""
        found = [
            text for package in self.packages for text in cached_docstrings(package, self.cache)
        ]
        random.Random(0).shuffle(found)
        return found

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """One tokenizer, trained on all of them."""
        return tokenizer_of(self.texts, self.vocabulary)

    def read_by_base(self, length: int) -> list[list[int]]:
        """The first half of the texts, packed into sequences of one length."""
        return packed(self.tokenizer, self.texts[: len(self.texts) // 2], length)

    def documents(self, length: int) -> list[list[int]]:
        """The other half: the first tokens of each text that is long enough, all distinct."""
        kept = self.texts[len(self.texts) // 2 :]
        encoded = self.tokenizer(kept, add_special_tokens=False, verbose=False)["input_ids"]
        cut = dict.fromkeys(tuple(ids[:length]) for ids in encoded if len(ids) >= length)
        return [list(ids) for ids in cut]


def new_model(shape: Shape, seed: int) -> PreTrainedModel:
    """A model with random weights."""
    torch.manual_seed(seed)
    heads = max(shape.width // 32, 1)
    if shape.architecture == "gpt2":
        return GPT2LMHeadModel(
            GPT2Config(
                vocab_size=shape.vocabulary,
                n_embd=shape.width,
                n_layer=shape.layers,
                n_head=heads,
                n_positions=shape.context,
                resid_pdrop=0.0,
                embd_pdrop=0.0,
                attn_pdrop=0.0,
                use_cache=False,
            )
        )
    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=heads,
            intermediate_size=4 * shape.width,
            max_position_embeddings=shape.context,
            use_cache=False,
        )
    )


def trained(
    start: PreTrainedModel, sequences: Tokens, recipe: Recipe, seed: int
) -> PreTrainedModel:
    """A copy of a model, trained further on sequences of one length; the seed draws the order."""
    model = copy.deepcopy(start).train()
    data, order = torch.tensor(sequences), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    steps = recipe.epochs * -(-len(data) // recipe.batch)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for _ in range(recipe.epochs):
        for rows in torch.randperm(len(data), generator=order).split(recipe.batch):
            optimizer.zero_grad(set_to_none=True)
            model(input_ids=data[rows], labels=data[rows]).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return model.eval()


def base_model(texts: Texts, shape: Shape, recipe: Recipe, n: int | None = None) -> PreTrainedModel:
    """The model that has read the first half of the texts, or n sequences of it; kept in the cache."""
    name = f"base-{shape.architecture}-{shape.layers}x{shape.width}-{recipe.epochs}"
    folder = texts.cache / name
    model = new_model(shape, seed=0)
    if not folder.exists():
        print(f"training {name}", file=sys.stderr)
        trained(model, texts.read_by_base(shape.context)[:n], recipe, seed=0).save_pretrained(
            folder
        )
    return type(model).from_pretrained(folder).eval()


@torch.inference_mode()
def logprobs(model: PreTrainedModel, sequences: Sequence[TokenSequence]) -> NDArray[np.float64]:
    """Log-probability of the scored tokens of each sequence, nats, shape (sequences,)."""
    found = np.empty(len(sequences))
    for i, sequence in enumerate(sequences):
        ids = torch.tensor([sequence.tokens])
        logits = model(input_ids=ids).logits[0, sequence.first_scored - 1 : -1]
        loss = functional.cross_entropy(
            logits.double(), ids[0, sequence.first_scored :], reduction="sum"
        )
        found[i] = -loss.item()
    return found
