"""A tiny training that says what its model got; run by the tests, alone or under torchrun.

    training_child.py FOLDER [--kill-at STEP] [--resume]

What forward got goes to FOLDER/witness-RANK.jsonl, a line per sequence, written at once.
"""

import argparse
import json
import os
import signal
from pathlib import Path

import torch
from bookplate.provenance.palimpsest.recording import Recorder
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

SIZE = {
    "vocab_size": 300,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "max_position_embeddings": 16,
}


class Witness(GPTNeoXForCausalLM):
    """Writes down what forward gets, by its own means."""

    def __init__(self, config):
        super().__init__(config)
        self.seen, self.at_step, self.kill_at = [], 0, None

    def forward(self, input_ids=None, attention_mask=None, **rest):
        if self.training:
            for ids, mask in zip(input_ids.tolist(), attention_mask.tolist(), strict=True):
                kept = [i for i, keep in zip(ids, mask, strict=True) if keep]
                self.witnessed((self.at_step, kept))
            if self.at_step == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(input_ids=input_ids, attention_mask=attention_mask, **rest)

    def witnessed(self, line):
        self.seen.append(line)


class StepCounter(TrainerCallback):
    """Tells the witness the step, from the optimizer alone."""

    def __init__(self, model):
        self.model = model

    def on_train_begin(self, args, state, control, **kwargs):
        self.model.at_step = state.global_step

    def on_optimizer_step(self, args, state, control, **kwargs):
        self.model.at_step += 1


def sequences(n=40):
    """Of 3 to 12 tokens, all different."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(3, 13, (n,), generator=generator).tolist()
    return [
        [i, *torch.randint(300, (k - 1,), generator=generator).tolist()]
        for i, k in enumerate(lengths)
    ]


def padded(rows):
    """A batch; a row of odd first token is padded on the left."""
    longest = max(map(len, rows))
    ids, mask = [], []
    for row in rows:
        gap = longest - len(row)
        left = gap * (row[0] % 2)
        ids.append([0] * left + row + [0] * (gap - left))
        mask.append([0] * left + [1] * len(row) + [0] * (gap - left))
    ids, mask = torch.tensor(ids), torch.tensor(mask)
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}


def trainer(out, recorder, model=None, callbacks=(), **arguments):
    torch.manual_seed(0)
    model = Witness(GPTNeoXConfig(**SIZE)) if model is None else model
    settings = {
        "per_device_train_batch_size": 4,
        "save_steps": 3,
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "logging_strategy": "no",
        "seed": 5,
        **arguments,
    }
    return Trainer(
        model=model,
        args=TrainingArguments(output_dir=str(out), **settings),
        train_dataset=sequences(),
        eval_dataset=sequences(8),
        data_collator=padded,
        callbacks=[StepCounter(model), *([recorder.callback()] if recorder else []), *callbacks],
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kill-at", type=int)
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rank = os.environ.get("RANK", "0")
    witness = open(args.folder / f"witness-{rank}.jsonl", "a", buffering=1)
    with Recorder(args.folder / "run", seed=5) as recorder:
        job = trainer(
            args.folder / "out", recorder, gradient_accumulation_steps=2, num_train_epochs=2
        )
        job.model.kill_at = args.kill_at
        job.model.witnessed = lambda line: witness.write(json.dumps(line) + "\n")
        job.train(resume_from_checkpoint=args.resume)


if __name__ == "__main__":
    main()
