"""What recording a training costs: in the loop, on disk, and when it is sealed.

    python benchmarks/recorder.py [--rounds 7] [--steps 60]

Training with and without the recorder is timed in turn, on the CPU, on a model of the demo's size; the time
of the recorder alone is also set against the steps of larger batches. A few minutes.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from bookplate.cli.demo.training import ModelSize
from bookplate.cli.output import quiet_libraries
from bookplate.provenance.palimpsest.recording import Recorder, seal, verify_recording
from timing import interleaved, table
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

VOCABULARY = 2_048
BATCHES = [(8, 256), (8, 2_048), (32, 4_096)]  # sequences, tokens of each
PACKAGES = ("torch", "transformers", "polars")


def tiny_model(size: ModelSize) -> GPTNeoXForCausalLM:
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=VOCABULARY,
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.width,
        max_position_embeddings=size.context,
        use_cache=False,
    )
    return GPTNeoXForCausalLM(config)


def batch_of(sequences: int, length: int) -> dict[str, torch.Tensor]:
    ids = torch.randint(VOCABULARY, (sequences, length))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}


class TimedRecorder(Recorder):
    """Counts the seconds that are spent in it, which a busy machine moves less than their difference."""

    def __init__(self, folder: Path) -> None:
        self.seconds = 0.0
        super().__init__(folder, seed=42)  # the default of the trainer

    def add(self, input_ids: Any, attention_mask: Any = None) -> None:
        """As `Recorder.add`."""
        with self._timed():
            super().add(input_ids, attention_mask)

    def step(self) -> None:
        """As `Recorder.step`."""
        with self._timed():
            super().step()

    def flush(self) -> None:
        """As `Recorder.flush`."""
        with self._timed():
            super().flush()

    @contextmanager
    def _timed(self) -> Generator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start


class TrainingRuns:
    """The same training, with the recorder and without."""

    def __init__(self, folder: Path, steps: int) -> None:
        self._folder, self._steps = folder, steps
        self._model = tiny_model(ModelSize())
        rows = batch_of(8 * steps, ModelSize().context)
        self._rows = [{name: column[i] for name, column in rows.items()} for i in range(8 * steps)]
        self._numbers = itertools.count()
        self.shares: list[float] = []

    def plain(self) -> None:
        """Train."""
        self._train(self._folder / str(next(self._numbers)))

    def recorded(self) -> None:
        """Train with the recorder; `shares` has the part of the time that is spent in it."""
        folder = self._folder / str(next(self._numbers))
        start = time.perf_counter()
        with TimedRecorder(folder / "run") as recorder:
            self._train(folder, recorder.callback())
        self.shares.append(recorder.seconds / (time.perf_counter() - start))

    def _train(self, folder: Path, *callbacks: TrainerCallback) -> None:
        arguments = TrainingArguments(
            output_dir=str(folder / "out"),
            max_steps=self._steps,
            per_device_train_batch_size=8,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            dataloader_pin_memory=False,
        )
        with redirect_stdout(StringIO()):  # the trainer prints its own times
            Trainer(
                model=self._model,
                args=arguments,
                train_dataset=self._rows,
                callbacks=list(callbacks),
            ).train()


def slowdown(folder: Path, rounds: int, steps: int) -> list[str]:
    runs = TrainingRuns(folder, steps)
    seconds = interleaved(rounds, {"without": runs.plain, "with": runs.recorded})
    return [
        f"{1e3 * seconds['without'] / steps:.2f}",
        f"{1e3 * seconds['with'] / steps:.2f}",
        f"{seconds['with'] / seconds['without'] - 1:+.2%}",
        f"{statistics.median(runs.shares[1:]):.3%}",
    ]


def recorder_alone(folder: Path, sequences: int, length: int, steps: int) -> list[str]:
    """Microseconds per step, bytes per token, and tokens per second of sealing and verifying."""
    inputs = batch_of(sequences, length)
    run = folder / f"{sequences}x{length}"
    with Recorder(run, seed=1) as recorder:
        recorder.start()
        start = time.perf_counter()
        for _ in range(steps):
            recorder.add(inputs["input_ids"], inputs["attention_mask"])
            recorder.step()
        writing = time.perf_counter() - start
        recorder.end()
    n_tokens = sequences * length * steps
    size = sum(path.stat().st_size for path in run.rglob("*.journal"))
    start = time.perf_counter()
    seal(run)
    sealing = time.perf_counter() - start
    start = time.perf_counter()
    verify_recording(run)
    verifying = time.perf_counter() - start
    return [
        f"{sequences} x {length:,}",
        f"{1e6 * writing / steps:,.0f}",
        f"{n_tokens / writing / 1e6:,.0f}",
        f"{size / n_tokens:.2f}",
        f"{n_tokens / sealing / 1e6:.1f}",
        f"{n_tokens / verifying / 1e6:.1f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=60)
    args = parser.parse_args()
    quiet_libraries()
    with TemporaryDirectory() as name:
        folder = Path(name)
        table(
            "Recorder alone",
            [
                "batch",
                "µs a step",
                "M tokens/s",
                "bytes a token",
                "sealing, M tokens/s",
                "verifying",
            ],
            [recorder_alone(folder, *shape, args.steps) for shape in BATCHES],
            PACKAGES,
        )
        table(
            "Training with the recorder (transformers.Trainer, batch 8 x 256)",
            ["ms a step without", "with", "slowdown", "time in the recorder"],
            [slowdown(folder, args.rounds, args.steps)],
            PACKAGES,
        )


if __name__ == "__main__":
    main()
