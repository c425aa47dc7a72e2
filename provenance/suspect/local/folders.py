"""Model folders before anything in them is loaded: what is refused, and the digest of what counts."""

import hashlib
from pathlib import Path
from typing import Any

import torch

from ....errors import InvalidInput
from ....files import read_json, sha256_of_file

__all__ = ["folder_digest", "refuse_unsafe", "refuse_unsafe_adapter", "weights_digest"]

_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def refuse_unsafe(folder: Path) -> None:
    """Refuse a folder without safetensors weights of its own; nothing in it is loaded.

    Raises:
        InvalidInput: If it is no model folder, or its weights are missing, pickled or elsewhere.
    """
    if not folder.is_dir() or not (folder / "config.json").is_file():
        raise InvalidInput(
            f"{folder}: no model folder (config.json is missing)",
            "give the folder that save_pretrained wrote",
        )
    if (folder / "adapter_config.json").exists():
        raise InvalidInput(
            f"{folder}: an adapter, whose base model lies elsewhere",
            "name the base model, and this folder with --adapter",
        )
    for index in sorted(folder.glob("*.safetensors.index.json")):
        files = read_json(index, "an index of weights").get("weight_map")
        names = files.values() if isinstance(files, dict) else [None]
        if not all(isinstance(n, str) and Path(n).name == n for n in names):
            raise InvalidInput(
                f"{index}: names weights outside its folder", "copy all weights beside config.json"
            )
    if any(folder.glob("*.safetensors")):
        return
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise InvalidInput(
            f"{folder}: weights are pickled ({pickles[0]}); loading them could run hostile code",
            "ask for safetensors weights, or convert them on a machine you can lose",
        )
    raise InvalidInput(
        f"{folder}: no weights (*.safetensors) in this folder",
        "copy the weights beside config.json",
    )


def refuse_unsafe_adapter(folder: Path) -> None:
    """Refuse an adapter without safetensors weights; nothing in the folder is loaded.

    Raises:
        InvalidInput: If it is no folder of a LoRA adapter, or its weights are missing or pickled.
    """
    config = folder / "adapter_config.json"
    if not config.is_file():
        raise InvalidInput(
            f"{folder}: no adapter (adapter_config.json is missing)",
            "give the folder that peft's save_pretrained wrote",
        )
    if (kind := read_json(config, "an adapter's configuration").get("peft_type")) != "LORA":
        raise InvalidInput(
            f"{folder}: an adapter of kind {kind!r}", "only LoRA adapters can be merged"
        )
    if not (folder / "adapter_model.safetensors").is_file():
        raise InvalidInput(
            f"{folder}: no adapter_model.safetensors; pickled weights could run hostile code",
            "ask for the adapter in safetensors",
        )


def folder_digest(folder: Path) -> str:
    """SHA-256 over names and digests of all files that decide what the model computes."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in {".safetensors", ".json", ".txt", ".model"} and path.is_file():
            digest.update(f"{sha256_of_file(path)}  {path.name}\n".encode())
    return digest.hexdigest()


def weights_digest(model: Any) -> str:
    """SHA-256 over names and bytes of the parameters of a model that came from the hub."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + b"\0")
        digest.update(
            tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()
