"""Scoring texts with a local model against a bare loop of forward passes over the same batches.

Every run has a process of its own, so that the memory of one is not that of another. On a machine
with a GPU: python benchmarks/suspects.py --device cuda --dtype bfloat16 --shape pythia-410m
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import torch
from bookplate.provenance.suspect.local.batching import batches
from bookplate.provenance.suspect.local.loading import Dtype, Loading
from bookplate.provenance.suspect.local.network import TOKENS_PER_BATCH
from bookplate.provenance.suspect.local.suspect import TransformersSuspect
from timing import table
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, GPTNeoXConfig, PreTrainedTokenizerFast

VOCABULARY = 50_000
SHAPES = {
    "small": {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4},
    "pythia-410m": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16},
}
WAYS = ("bare loop", "token_logprobs", "token_tables")


def write_model(folder: Path, shape: str) -> None:
    """A model of random weights with a vocabulary of 50,000."""
    config = GPTNeoXConfig(
        vocab_size=VOCABULARY,
        intermediate_size=4 * SHAPES[shape]["hidden_size"],
        max_position_embeddings=2048,
        **SHAPES[shape],
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    words = {f"w{i}": i for i in range(VOCABULARY)}
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w0")), bos_token="w0"
    ).save_pretrained(folder)


def sequences(tokens: int) -> list[list[int]]:
    """Rows of 20 to 900 tokens."""
    rng = np.random.default_rng(0)
    rows: list[list[int]] = []
    while sum(map(len, rows)) < tokens:
        rows.append(rng.integers(0, VOCABULARY, rng.integers(20, 900)).tolist())
    return rows


def run(way: str, folder: str, device: str, dtype: str, tokens: int) -> None:
    """One way, measured after a warm-up; prints JSON."""
    suspect = TransformersSuspect.open(folder, Loading(device=device, dtype=Dtype(dtype)))
    model, rows = suspect._network.model, sequences(tokens)
    place = suspect._network.device

    @torch.inference_mode()
    def bare(rows: list[list[int]]) -> None:
        for batch in batches(rows, len, lambda: TOKENS_PER_BATCH):
            ids = torch.zeros(len(batch), len(batch[0]), dtype=torch.long)
            for line, row in enumerate(batch):
                ids[line, : len(row)] = torch.tensor(row)
            model(input_ids=ids.to(place), use_cache=False)
        if place.type == "cuda":
            torch.cuda.synchronize()

    def tables(rows: list[list[int]]) -> None:
        suspect._moments(rows, spread=True)

    work = {"bare loop": bare, "token_logprobs": suspect.token_logprobs, "token_tables": tables}[
        way
    ]
    work(rows[:2])
    begin = time.perf_counter()
    work(rows)
    seconds = time.perf_counter() - begin
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if place.type == "cuda":
        memory = torch.cuda.max_memory_allocated()
    print(json.dumps({"speed": sum(map(len, rows)) / seconds, "memory": memory}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--shape", default="small", choices=SHAPES)
    parser.add_argument("--tokens", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        run(asked.way, asked.folder, asked.device, asked.dtype, asked.tokens)
        return
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with TemporaryDirectory() as folder:
        write_model(Path(folder), asked.shape)
        how = ["--device", asked.device, "--dtype", asked.dtype, "--tokens", str(asked.tokens)]
        for _ in range(asked.rounds):
            for way in WAYS:
                command = [sys.executable, __file__, "--folder", folder, "--way", way, *how]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found[way].append(json.loads(done.stdout.splitlines()[-1]))
    speed = {way: float(np.median([r["speed"] for r in runs])) for way, runs in found.items()}
    memory = {way: float(np.median([r["memory"] for r in runs])) for way, runs in found.items()}
    rows = [
        [
            way,
            f"{speed[way]:,.0f}",
            f"{speed[way] / speed['bare loop']:.2f}",
            f"{memory[way] / 1e6:,.0f}",
            f"{memory[way] / memory['bare loop']:.2f}",
        ]
        for way in WAYS
    ]
    title = (
        f"Scoring {asked.tokens:,} tokens, {asked.shape} GPT-NeoX, 50,000 words, {asked.dtype} on "
        f"{asked.device}"
    )
    heading = ["way", "tokens/s", "of the bare loop", "peak memory, MB", "of the bare loop"]
    table(title, heading, rows, ["torch", "transformers"])


if __name__ == "__main__":
    main()
