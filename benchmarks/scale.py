"""Past one process: are the results of Ray and torchrun those of one process, and how fast do they come?

    python benchmarks/scale.py [--megabytes 20] [--texts 300] [--documents 80] [--only ray | torchrun]

Every job is a command of its own, timed whole: imports, loading, and the start of a cluster or of processes
count. Each process has one thread. What is compared are the bytes of what the command makes; where these
differ, the greatest difference of a number, as a part of the greatest number of its array. Some ten
minutes on two cores.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import polars as pl
import torch
from bookplate.cli.demo.corpus import docstrings
from bookplate.cli.demo.training import ModelSize, Recipe, packed, tokenizer_of, train
from bookplate.cli.output import quiet_libraries
from bookplate.provenance.palimpsest import Transcript
from bookplate.provenance.palimpsest.retraining.settings import collate
from numpy.typing import NDArray
from safetensors.numpy import load_file
from timing import table
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, Trainer, TrainingArguments

COMMAND = [sys.executable, "-c", "from bookplate.cli import main; main()"]
RANKS = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python"]
STEPS, AT_STEP, BATCH = 30, 10, 8  # of the training whose last phase is trained again

Numbers = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Made:
    """What a command made: a digest of it, the numbers in it if there are any, and how long it took."""

    seconds: float
    digest: str
    numbers: Callable[[], Numbers] = dict

    def against(self, first: "Made") -> str:
        """Whether it is the same, in words."""
        if self.digest == first.digest:
            return f"yes, {self.digest[:12]}"
        ours, theirs = self.numbers(), first.numbers()
        if not ours or ours.keys() != theirs.keys():
            return f"NO, {self.digest[:12]}"
        worst = max(apart(ours[name], theirs[name]) for name in ours)
        return f"no, {self.digest[:12]}: {worst:.1e} apart at most"


def apart(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Greatest difference, as a part of the greatest number."""
    scale = np.abs(other).max(initial=0.0)
    return float(np.abs(one - other).max(initial=0.0) / scale) if scale else 0.0


def bookplate(*arguments: object, ranks: int = 1) -> tuple[float, bytes]:
    """Run a command; its seconds and what it prints."""
    command = [*COMMAND, *map(str, arguments)]
    if ranks > 1:
        command = [sys.executable, *RANKS, *command]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment.pop("RAY_ADDRESS", None)
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode not in {0, 1}:  # 1: the dataset was found to be a copy
        raise SystemExit(f"{' '.join(command)}\n{done.stderr.decode()}")
    return seconds, done.stdout


def digest_of(paths: Sequence[Path], base: Path) -> str:
    """One digest of files and their names."""
    found = hashlib.sha256()
    for path in sorted(paths):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        found.update(f"{path.relative_to(base).as_posix()} {content}\n".encode())
    return found.hexdigest()


def tensors(folder: Path) -> Callable[[], Numbers]:
    """All tensors of a folder's safetensors files."""
    return lambda: {
        f"{path.relative_to(folder)} {name}": tensor.astype(np.float64)
        for path in sorted(folder.rglob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def compared(job: str, cases: Mapping[tuple[str, str], Made]) -> list[list[str]]:
    """Rows of the table; the first case is what the others are held against."""
    first = next(iter(cases.values()))
    rows = [
        [
            job,
            engine,
            processes,
            f"{made.seconds:.1f}",
            f"- ({made.digest[:12]})" if made is first else made.against(first),
        ]
        for (engine, processes), made in cases.items()
    ]
    for row in rows:
        print(*row, sep=" | ", file=sys.stderr, flush=True)
    return rows


# ---- Ray ------------------------------------------------------------------------------------------


def ray_cases(make: Callable[[Path, list[str]], Made], folder: Path) -> dict[tuple[str, str], Made]:
    """A command without Ray, and with one and two workers."""
    options = {("local", "1"): []} | {
        ("Ray", f"1 + {n}"): ["--engine", "ray", "--workers", str(n)] for n in (1, 2)
    }
    return {
        case: make(folder / f"{number}", more)
        for number, (case, more) in enumerate(options.items())
    }


def by_ray(folder: Path, texts: list[str], megabytes: float, n_texts: int) -> list[list[str]]:
    """Marking, searching and scoring."""
    key, data, small = folder / "key", folder / "data.jsonl", folder / "small"
    bookplate("key", "new", key)
    size = write_numbered(data, texts, megabytes)
    model = small_model(folder / "model", texts)
    asked = folder / "texts.jsonl"
    pl.DataFrame({"text": texts[:n_texts]}).write_ndjson(asked)

    def embed(out: Path, more: list[str]) -> Made:
        seconds, _ = bookplate("watermark", "embed", data, out, "--key", key, *more)
        return Made(seconds, digest_of([p for p in out.rglob("*") if p.is_file()], out))

    def leak(out: Path, more: list[str]) -> Made:
        manifest, copies = (
            small / "private" / "manifest.parquet",
            folder / "embed" / "0" / "release",
        )
        seconds, said = bookplate("watermark", "leak", manifest, copies, "--json", *more)
        return Made(seconds, hashlib.sha256(said).hexdigest())

    def score(out: Path, more: list[str]) -> Made:
        scores = out.with_suffix(".csv")
        command = ("membership", "score", asked, "--suspect", model, "--device", "cpu")
        seconds, _ = bookplate(*command, "--out", scores, *more)
        return Made(seconds, hashlib.sha256(scores.read_bytes()).hexdigest())

    (folder / "embed").mkdir()
    (folder / "score").mkdir()
    rows = compared(f"embed, {size:.0f} MB", ray_cases(embed, folder / "embed"))
    bookplate("watermark", "embed", asked, small, "--key", key)
    rows += compared(f"leak, {size:.0f} MB", ray_cases(leak, folder))
    return rows + compared(
        f"membership score, {n_texts:,} texts", ray_cases(score, folder / "score")
    )


def write_numbered(path: Path, texts: list[str], megabytes: float) -> float:
    """Texts again and again, each time with another number; returns megabytes."""
    with path.open("w", encoding="utf-8") as file:
        number = 0
        while file.tell() < megabytes * 1e6:
            text = f"{texts[number % len(texts)]} {number}"
            file.write(json.dumps({"text": text}) + "\n")
            number += 1
    return path.stat().st_size / 1e6


def small_model(folder: Path, texts: list[str]) -> Path:
    tokenizer = tokenizer_of(texts[:300], 2_000)
    size = ModelSize(layers=4, width=256, heads=4, context=256)
    train(folder, tokenizer, packed(tokenizer, texts[:60], 256), size=size, recipe=Recipe(seed=1))
    return folder


# ---- torchrun -------------------------------------------------------------------------------------


def by_torchrun(folder: Path, texts: list[str], documents: int) -> list[list[str]]:
    """Factors, influence scores, and a last phase that is trained again."""
    return [*influence_rows(folder, texts, documents), *retraining_rows(folder)]


def rank_cases(
    make: Callable[[Path, int], Made], folder: Path, *, again: bool = True
) -> dict[tuple[str, str], Made]:
    """A command alone, and by two ranks, these twice."""
    cases = {("alone", "1"): make(folder / "alone", 1)}
    cases["torchrun, gloo", "2"] = make(folder / "two", 2)
    if again:
        cases["torchrun, gloo, again", "2"] = make(folder / "two-again", 2)
    return cases


def influence_rows(folder: Path, texts: list[str], n_documents: int) -> list[list[str]]:
    model = small_model(folder / "influence-model", texts)
    documents, queries = folder / "documents.jsonl", folder / "queries.jsonl"
    pl.DataFrame({"text": texts[:n_documents]}).write_ndjson(documents)
    halves = [text[:400] for text in texts[n_documents : n_documents + 4]]
    pl.DataFrame({
        "prompt": [text[:200] for text in halves],
        "completion": [text[200:] for text in halves],
    }).write_ndjson(queries)

    def fit(out: Path, ranks: int) -> Made:
        command = ("influence", "fit", model, documents, out, "--device", "cpu")
        seconds, _ = bookplate(*command, ranks=ranks)
        return Made(seconds, digest_of([*out.glob("*.safetensors")], out), tensors(out))

    def score(out: Path, ranks: int) -> Made:
        command = ("influence", "score", model, folder / "fit" / "alone", queries, documents, out)
        seconds, _ = bookplate(*command, "--all", "--device", "cpu", ranks=ranks)
        found = pl.read_parquet(out / "scores.parquet")
        values = found["influence"].to_numpy().astype(np.float64)
        return Made(seconds, digest_of([out / "scores.parquet"], out), lambda: {"": values})

    (folder / "fit").mkdir()
    (folder / "scored").mkdir()
    fitted = compared(f"influence fit, {n_documents} texts", rank_cases(fit, folder / "fit"))
    scored = rank_cases(score, folder / "scored")
    return fitted + compared(f"influence score, 4 x {n_documents}", scored)


def retraining_rows(folder: Path) -> list[list[str]]:
    checkpoint, transcript = trained(folder / "training")
    batches = {"whole": (BATCH, 1), "halves": (BATCH // 2, 2), "ranks": (BATCH // 2, 1)}

    def retrain(out: Path, kind: str, ranks: int) -> Made:
        settings = folder / f"{kind}.json"
        settings.write_text(json.dumps(arguments(*batches[kind])))
        command = ("palimpsest", "retrain", checkpoint, transcript, out, "--training", settings)
        seconds, _ = bookplate(*command, "--orders", 1, "--seed", 1, ranks=ranks)
        weights = [*out.rglob("model.safetensors")]
        return Made(seconds, digest_of(weights, out), tensors(out))

    job = f"retrain, 2 x {STEPS - AT_STEP} steps"
    cases = {("alone, batches of 8", "1"): retrain(folder / "whole", "whole", 1)}
    cases["alone, 2 batches of 4 a step", "1"] = retrain(folder / "halves", "halves", 1)
    for name in ("torchrun, gloo, 4 each", "torchrun, gloo, again"):
        cases[name, "2"] = retrain(folder / name.replace(", ", "-"), "ranks", 2)
    return compared(job, cases)


def arguments(batch: int, accumulated: int) -> dict[str, object]:
    return {
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": accumulated,
        "learning_rate": 1e-3,
        "seed": 5,
        "use_cpu": True,
    }


def trained(folder: Path) -> tuple[Path, Path]:
    """A training with a checkpoint on the way, and its transcript."""
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=2_000,
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=128,
    )
    rows = np.random.default_rng(1).integers(2_000, size=(STEPS * BATCH, 128)).tolist()
    settings = TrainingArguments(
        output_dir=str(folder),
        save_steps=AT_STEP,
        num_train_epochs=1,
        report_to=[],
        disable_tqdm=True,
        logging_strategy="no",
        **arguments(BATCH, 1),
    )

    class Unshuffled(Trainer):
        """The order was drawn before."""

        def _get_train_sampler(self, *given: object) -> torch.utils.data.Sampler[int]:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    job = Unshuffled(
        model=GPTNeoXForCausalLM(config),
        args=settings,
        train_dataset=[{"input_ids": row} for row in rows],
        data_collator=collate,
    )
    job.train()
    transcript = folder / "transcript.parquet"
    Transcript.write(transcript, [i // BATCH for i in range(len(rows))], rows)
    return folder / f"checkpoint-{AT_STEP}", transcript


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--documents", type=int, default=80)
    parser.add_argument("--only", choices=("ray", "torchrun"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    quiet_libraries()
    texts = docstrings("numpy")
    packages = ["torch", "transformers"]
    with TemporaryDirectory() as place:
        folder, rows = Path(place), []
        if given.only != "torchrun":
            packages.append("ray")
            rows += by_ray(folder, texts, given.megabytes, given.texts)
        if given.only != "ray":
            rows += by_torchrun(folder, texts, given.documents)
    heading = ("job", "engine", "processes", "seconds", "identical (sha256)")
    table("One process and several", heading, rows, packages)


if __name__ == "__main__":
    main()
