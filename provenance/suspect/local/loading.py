"""Loading a model of transformers from a folder or the hub: safetensors only, no remote code."""

import hashlib
import importlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from ....errors import InvalidInput
from ....files import canonical_json
from ....stats import Input
from ..naming import hub_options
from .devices import device_named, first_line
from .folders import folder_digest, refuse_unsafe, refuse_unsafe_adapter, weights_digest

__all__ = ["Dtype", "Loaded", "Loading", "load"]


class Dtype(StrEnum):
    """Precision that a model computes in."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    # Linear layers in 8 bit, the rest in float16, by bitsandbytes (LLM.int8, arXiv 2208.07339). What
    # is rounded depends a little on what else is in a batch.
    INT8 = "int8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """How a model is loaded.

    Attributes:
        device: See `device_named`.
        dtype: Precision.
        adapter: Folder of a LoRA adapter that is merged into the weights, or None.
    """

    device: str = "auto"
    dtype: Dtype = Dtype.FLOAT32
    adapter: Path | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model, its fast tokenizer, and what exactly they are."""

    model: Any
    tokenizer: Any
    identity: Input


def load(kind: Any, name: str, how: Loading | None = None) -> Loaded:
    """Load a model and its tokenizer.

    Args:
        kind: An `Auto` class of transformers.
        name: Folder, or `owner/model`.
        how: Device, precision and adapter.

    Returns:
        The model with its tokenizer. The digest of a folder covers the files that decide what is
        computed; the digest of a model of the hub covers its weights.

    Raises:
        InvalidInput: If weights are missing, pickled, broken, or want to run code.
    """
    how = Loading() if how is None else how
    folder = Path(name)
    where = hub_options(name)
    if folder.exists():
        refuse_unsafe(folder)
    place = device_named(how.device)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False, **where)
        model = _weights(kind, name, how, place, where)
    except InvalidInput:
        raise
    except Exception as error:  # transformers raises whatever its backends raise
        raise InvalidInput(
            f"{name}: cannot be loaded as {kind.__name__}: {first_line(error)}",
            "give a folder with config.json, *.safetensors and a tokenizer",
        ) from error
    _refuse_unfit(name, model, tokenizer)
    digest = folder_digest(folder) if folder.exists() else weights_digest(model)
    shown = folder.resolve().name if folder.exists() else name
    if how.adapter is not None:
        model = _with_adapter(model, how.adapter)
        digest = _digest_of_both(digest, folder_digest(how.adapter))
        shown = f"{shown} with adapter {how.adapter.resolve().name}"
    if how.dtype is not Dtype.FLOAT32:
        shown = f"{shown} in {how.dtype}"
    return Loaded(model, tokenizer, Input(name=shown, sha256=digest))


def _weights(
    kind: Any, name: str, how: Loading, place: torch.device, where: Mapping[str, Any]
) -> Any:
    options: dict[str, Any] = {"use_safetensors": True, "trust_remote_code": False, **where}
    if how.dtype is Dtype.INT8:
        return kind.from_pretrained(name, **options, **_in_8_bit(place))
    return kind.from_pretrained(name, dtype=getattr(torch, how.dtype), **options).to(place)


def _in_8_bit(place: torch.device) -> dict[str, Any]:
    """Options of `from_pretrained` for 8 bit.

    Raises:
        InvalidInput: If bitsandbytes is not installed.
    """
    try:
        importlib.import_module("bitsandbytes")
    except ImportError as error:
        raise InvalidInput(
            "8 bit needs the package bitsandbytes",
            "pip install 'bookplate[int8]', or use bfloat16",
        ) from error
    from transformers import BitsAndBytesConfig

    return {
        "dtype": torch.float16,
        "quantization_config": BitsAndBytesConfig(load_in_8bit=True),
        "device_map": {"": place},
    }


def _with_adapter(model: Any, folder: Path) -> Any:
    """The model with a LoRA adapter merged in.

    Raises:
        InvalidInput: If peft is not installed, or the folder holds no adapter of this model.
    """
    refuse_unsafe_adapter(folder)
    try:
        from peft import PeftModel
    except ImportError as error:
        raise InvalidInput(
            f"{folder}: an adapter needs the package peft", "pip install 'bookplate[adapters]'"
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by an old name
            return PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    except Exception as error:  # peft raises whatever its backends raise
        raise InvalidInput(
            f"{folder}: cannot be put on the model: {first_line(error)}",
            "give the adapter that was trained on this base model",
        ) from error


def _digest_of_both(model: str, adapter: str) -> str:
    return hashlib.sha256(canonical_json({"model": model, "adapter": adapter})).hexdigest()


def _refuse_unfit(name: str, model: Any, tokenizer: Any) -> None:
    if not tokenizer.is_fast:
        raise InvalidInput(
            f"{name}: its tokenizer does not tell which characters a token stands for",
            "convert it to a tokenizer.json",
        )
    if not tokenizer("a word", add_special_tokens=False)["input_ids"]:
        raise InvalidInput(
            f"{name}: no tokenizer, or an empty one", "copy tokenizer.json beside config.json"
        )
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        raise InvalidInput(
            f"{name}: the tokenizer has {len(tokenizer)} tokens, the model only "
            f"{model.get_input_embeddings().num_embeddings}",
            "tokenizer and weights do not belong together",
        )
