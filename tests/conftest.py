"""Tiny models and texts that the whole session shares; nothing is downloaded."""

import random
from pathlib import Path

import pytest
import torch
from bookplate.cli.demo.corpus import docstrings
from bookplate.cli.demo.training import ModelSize, Recipe, packed, tokenizer_of, train
from bookplate.cli.output import quiet_libraries


@pytest.fixture(scope="session")
def english() -> list[str]:
    """Real English that is on every machine: NumPy's docstrings, in a fixed order."""
    quiet_libraries()
    return docstrings("numpy")


@pytest.fixture(scope="session")
def tokenizer(english):
    return tokenizer_of(english[:300], 1_000)


@pytest.fixture(scope="session")
def tiny_size() -> ModelSize:
    return ModelSize(layers=2, width=64, heads=4, context=128)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory, tokenizer, english, tiny_size) -> Path:
    """A model folder, trained for a few steps."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    train(
        folder,
        tokenizer,
        packed(tokenizer, english[:60], 128),
        size=tiny_size,
        recipe=Recipe(seed=1),
    )
    return folder


@pytest.fixture(scope="session")
def shuffled_english(english) -> list[str]:
    texts = list(english)
    random.Random(5).shuffle(texts)
    return texts


@pytest.fixture(autouse=True)
def _one_seed():
    torch.manual_seed(0)
