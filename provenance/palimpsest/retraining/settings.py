"""A Trainer made of settings in a JSON file: for who has no code of their own at hand."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PrinterCallback, Trainer, TrainingArguments

from ....errors import BookplateError, InvalidInput
from ...suspect.local.devices import first_line
from ...suspect.local.folders import refuse_unsafe
from .phase import PhaseRows
from .runs import MakeTrainer

__all__ = ["collate", "refuse_settings", "trainer_of"]

# Numbers and names only: nothing here loads code, reaches for the network, or changes the order.
_ALLOWED = frozenset({
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "average_tokens_across_devices",
    "bf16",
    "ddp_backend",
    "fp16",
    "full_determinism",
    "gradient_accumulation_steps",
    "gradient_checkpointing",
    "label_smoothing_factor",
    "learning_rate",
    "lr_scheduler_kwargs",
    "lr_scheduler_type",
    "max_grad_norm",
    "max_steps",
    "neftune_noise_alpha",
    "optim",
    "per_device_train_batch_size",
    "save_steps",
    "save_total_limit",
    "seed",
    "tf32",
    "use_cpu",
    "warmup_ratio",
    "warmup_steps",
    "weight_decay",
})
_OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "adafactor", "sgd", "adagrad", "rmsprop")
_IGNORED_LABEL = -100  # positions that count nothing in the loss of transformers' models


def collate(rows: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, torch.Tensor]:
    """A batch of causal language modelling; shorter sequences are padded on the right.

    Args:
        rows: Items of `PhaseRows`.

    Returns:
        `input_ids` and `labels`, shape (batch, longest); an `attention_mask` if there is padding, where the
        labels are -100.
    """
    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
    for place, row in zip(ids, rows, strict=True):
        place[: len(row["input_ids"])] = torch.tensor(row["input_ids"])
    if (lengths == ids.shape[1]).all():
        return {"input_ids": ids, "labels": ids.clone()}
    mask = torch.arange(ids.shape[1]) < lengths[:, None]
    return {
        "input_ids": ids,
        "attention_mask": mask.long(),
        "labels": ids.masked_fill(~mask, _IGNORED_LABEL),
    }


def refuse_settings(settings: Mapping[str, Any], name: str) -> None:
    """Refuse settings that are not known to be harmless.

    Args:
        settings: Keyword arguments of TrainingArguments.
        name: Of their file.

    Raises:
        InvalidInput: If there is one; names it.
    """
    if unknown := sorted(set(settings) - _ALLOWED):
        raise InvalidInput(
            f"{name}: '{unknown[0]}' cannot be set here",
            "leave it out (length and epochs are the checkpoint's and the transcript's), or call "
            "'retrain' from Python with a trainer of your own",
        )
    if (optimizer := settings.get("optim")) not in (None, *_OPTIMIZERS):
        raise InvalidInput(
            f"{name}: 'optim' is {optimizer!r}", f"choose among {', '.join(_OPTIMIZERS)}"
        )


def trainer_of(checkpoint: Path, settings: Mapping[str, Any], name: str) -> MakeTrainer:
    """What makes the trainers of all runs, from a checkpoint's own model and the settings in a file.

    Args:
        checkpoint: Folder with `config.json` and safetensors weights; no code of its own is run.
        settings: Keyword arguments of TrainingArguments that `refuse_settings` lets pass.
        name: Of their file.

    Raises:
        InvalidInput: At once if checkpoint or settings are refused; later if they do not fit transformers.
    """
    refuse_unsafe(checkpoint)
    refuse_settings(settings, name)
    arguments = {
        "save_strategy": "steps",
        "save_total_limit": 2,
        "report_to": [],
        "disable_tqdm": True,
        "logging_strategy": "no",
        "log_level": "error",  # a Trainer warns of weights that are loaded after it
        "log_level_replica": "error",
        **settings,
    }

    def make_trainer(rows: PhaseRows, output_dir: Path) -> Trainer:
        try:
            args = TrainingArguments(output_dir=str(output_dir), **arguments)
        except Exception as error:  # it looks at some of them, and does with them what it likes
            raise InvalidInput(
                f"{name}: not accepted by transformers: {first_line(error)}"
            ) from error
        try:
            model = AutoModelForCausalLM.from_pretrained(
                checkpoint, use_safetensors=True, trust_remote_code=False, dtype="auto"
            )
        except Exception as error:  # transformers raises whatever its backends raise
            raise InvalidInput(
                f"{checkpoint}: cannot be loaded: {first_line(error)}",
                "a model of another kind needs a trainer of your own, from Python",
            ) from error
        with _told_as_input(name, checkpoint):
            trainer = _Trainer(model=model, args=args, train_dataset=rows, data_collator=collate)
        trainer.read_from = (name, checkpoint)
        trainer.remove_callback(PrinterCallback)  # standard output is the command's
        return trainer

    return make_trainer


class _Trainer(Trainer):  # type: ignore[misc]  # transformers has no types
    """A Trainer all of whose material comes from files, which its errors are put down to."""

    read_from: tuple[str, Path]

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As a Trainer does; what settings and checkpoint make it raise is bad input."""
        with _told_as_input(*self.read_from):
            return super().train(*args, **kwargs)


@contextmanager
def _told_as_input(name: str, checkpoint: Path) -> Generator[None]:
    try:
        yield
    except (BookplateError, OSError):
        raise
    except (
        Exception
    ) as error:  # transformers and torch raise whatever damaged or wrong files lead to
        raise InvalidInput(
            f"{checkpoint}: cannot be trained on from with {name}: {type(error).__name__}: "
            f"{first_line(error)}",
            "the checkpoint must be whole, the settings and the transcript those of its own training",
        ) from error
