"""Options that the influence commands share, each said once."""

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InvalidInput
from .option_groups import takes
from .output import quiet_libraries, show_progress

if TYPE_CHECKING:
    from ..provenance.suspect.local.loading import Loaded

__all__ = ["ModelUse", "ProgressShown", "Texts", "load_model", "processes", "uses_model"]


class PassDtypeName(StrEnum):
    """The values of --dtype: what a backward pass can be made in."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


Texts = Annotated[
    Path,
    typer.Argument(help="The training documents: .parquet or .jsonl, or a folder of such files."),
]

_PANEL = "The model"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUse:
    """How the model is used. The fields are options of the command line."""

    device: Annotated[str, typer.Option(help="cpu, cuda or auto.", rich_help_panel=_PANEL)] = "auto"
    dtype: Annotated[
        PassDtypeName, typer.Option(help="Precision of its passes.", rich_help_panel=_PANEL)
    ] = PassDtypeName.FLOAT32
    adapter: Annotated[
        Path | None,
        typer.Option(
            help="LoRA adapter (peft folder) to merge into the model.", rich_help_panel=_PANEL
        ),
    ] = None
    batch_tokens: Annotated[
        int,
        typer.Option(
            help="Tokens of a batch, padding included; fewer need less memory.",
            rich_help_panel=_PANEL,
        ),
    ] = 4096
    length: Annotated[
        int | None,
        typer.Option(
            help="Tokens of a training sequence: longer documents are cut into such. Default: the model's "
            "context, 512 at most.",
            rich_help_panel=_PANEL,
        ),
    ] = None

    def window(self, model: Any) -> int:
        """Tokens of a sequence.

        Raises:
            InvalidInput: If --length is beyond the model's context.
        """
        context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        if self.length is None:
            return min(context or 512, 512)
        if not 2 <= self.length <= (context or self.length):
            raise InvalidInput(
                f"--length: expected 2 to {context:,}, the model's context, got {self.length}"
                if context
                else f"--length: expected at least 2, got {self.length}"
            )
        return self.length


uses_model = takes(ModelUse, "use")


def load_model(name: str, use: ModelUse) -> "Loaded":
    """The model and its tokenizer."""
    from transformers import AutoModelForCausalLM

    from ..provenance.suspect.local.loading import Dtype, Loading, load

    quiet_libraries()
    loading = Loading(
        device=_own_device(use.device), dtype=Dtype(use.dtype.value), adapter=use.adapter
    )
    return load(AutoModelForCausalLM, name, loading)


def _own_device(name: str) -> str:
    """Of several processes on a machine with GPUs each has its own."""
    import torch

    if name not in {"auto", "cuda"} or not torch.cuda.is_available():
        return name
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return name
    rank, n = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if rank >= n:
        raise InvalidInput(
            f"{rank + 1} processes or more, but {n} GPUs here", f"start at most {n} on this machine"
        )
    torch.cuda.set_device(rank)
    return f"cuda:{rank}"


@contextmanager
def processes() -> Generator[int]:
    """The process group that torchrun asks for, none without it; yields this process's rank."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield 0
        return
    import torch
    from torch import distributed

    # A model on the CPU is possible on a machine with GPUs, too: each device has its backend.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    # Some stages leave a process waiting for hours while another decomposes or writes.
    distributed.init_process_group(backend, timeout=timedelta(days=1))
    try:
        yield distributed.get_rank()
    finally:
        distributed.destroy_process_group()


class ProgressShown:
    """Says on standard error how far each stage is."""

    def __init__(self) -> None:
        self._stage, self._begun = "", 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        """A stage has come this far."""
        if what != self._stage:
            self._stage, self._begun = what, time.monotonic()
        show_progress(done, total, time.monotonic() - self._begun, unit=what)
