"""The callback for `transformers.Trainer`."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ....errors import InvalidInput
from .recorder import Recorder

__all__ = ["RecorderCallback"]

_KEY = "bookplate_recording"


class RecorderCallback(TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Records what the trained model gets; `Recorder.callback` makes one.

    Which training a checkpoint is of is kept in its `trainer_state.json`: a number and the public
    commitment to the seed. Resuming needs nothing but the same recorder and `resume_from_checkpoint`.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start at the step of the checkpoint, and watch the model; refuse what would be recorded wrongly."""
        _refuse_split_batches(args, kwargs["model"])
        self._recorder.refuse_other_seed(args.seed if args.data_seed is None else args.data_seed)
        known = state.stateful_callbacks.get(_KEY)
        self._recorder.start(state.global_step, checkpoint=known)
        state.stateful_callbacks[_KEY] = self._recorder.state_dict()
        self._recorder.watch(kwargs["model"])

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the step down; all of them, if a checkpoint is about to be saved."""
        self._recorder.step()
        if self._recorder.next_step != state.global_step:
            raise InvalidInput(
                f"the trainer counts {state.global_step} steps, the recorder "
                f"{self._recorder.next_step}",
                "another callback must not change the number of steps",
            )
        if (
            control.should_save or control.should_evaluate
        ):  # the best so far is saved after evaluating
            self._recorder.flush()

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write everything: a checkpoint may follow."""
        self._recorder.flush()

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write everything, if another callback asked for the checkpoint."""
        self._recorder.flush()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Close the record of this training."""
        self._recorder.end()


def _refuse_split_batches(args: TrainingArguments, model: Any) -> None:
    """Where one sequence is seen by several devices, or in parts, the record would be wrong."""
    if args.n_gpu > 1:
        raise InvalidInput(
            f"{args.n_gpu} GPUs in one process cannot be recorded",
            "use torchrun, with one process per GPU",
        )
    parallel = getattr(args, "parallelism_config", None)
    sizes = [getattr(parallel, name, 1) or 1 for name in ("tp_size", "cp_size", "sp_size")]
    if max(*sizes, getattr(model, "_tp_size", None) or 1) > 1:
        raise InvalidInput(
            "training that splits a sequence or a model over ranks cannot be recorded by a callback",
            "record in your own loop, on one rank of each group",
        )
