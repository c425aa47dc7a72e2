"""What large jobs would cost: rates measured here, carried to 1 TB, a 7B suspect, 300 B tokens.

    OMP_NUM_THREADS=1 python benchmarks/cost.py [--rounds 3]

The first table is measured in this run: a GPT-NeoX of Pythia-6.9B's widths with one and two layers, whose
difference is one layer, in processor seconds of one core. The second is EXTRAPOLATED from it and from
rates that other benchmarks measured (named in each row): nothing of that size was run.
"""

import argparse
import time

import torch
from bookplate.cli.output import quiet_libraries
from timing import table
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

LAYERS, WIDTH, VOCABULARY = 32, 4_096, 50_432  # Pythia-6.9B
LENGTH, ROWS = 256, 2
# Rates of other benchmarks, on one core of this machine; see RESULTS.md.
EMBED = 4.1e6  # characters a second, "Marking"
LEAK = 9.7e6  # characters a second over unrelated texts, "Leak test"
INDEX = 3.0e6 / 2  # tokens a second of one of two cores, "Partition test"
INDEX_BYTES = 6.3  # a token
SEAL = (3e6, 23e6)  # tokens a second, "Recording a training order"
FILTER = (
    50_600,
    104_000,
)  # documents a second in the second and first pass, 100 queries, "the filter"
FIT, SCORE = (
    0.95 + 0.13 + 1.25,
    0.88 / 8,
)  # bare forward and backward passes, "Influence against kronfluence"
TRAINED, CANDIDATES = 20_000, 11_000  # sequences: the defaults of `influence fit` and `score`


def seconds_of(layers: int, dtype: torch.dtype, rounds: int) -> float:
    """Processor seconds of one forward pass, the least of some."""
    config = GPTNeoXConfig(
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_attention_heads=32,
        num_hidden_layers=layers,
        vocab_size=VOCABULARY,
        max_position_embeddings=LENGTH,
        use_cache=False,
    )
    torch.manual_seed(0)
    with torch.device("meta"):
        model = GPTNeoXForCausalLM(config)
    model = model.to(dtype).to_empty(device="cpu").eval()
    with torch.inference_mode():
        for parameter in model.parameters():
            parameter.fill_(0.01)
        model.gpt_neox.rotary_emb = type(model.gpt_neox.rotary_emb)(config=config)
        ids = torch.randint(VOCABULARY, (ROWS, LENGTH))
        found = []
        for _ in range(rounds + 1):
            began = time.process_time()
            model(input_ids=ids)
            found.append(time.process_time() - began)
    return min(found[1:])


def measured(rounds: int) -> dict[str, float]:
    """Print the first table; tokens a second of the whole model on one core, by data type."""
    rows, rates = [], {}
    for name, dtype in {"float32": torch.float32, "bfloat16": torch.bfloat16}.items():
        one, two = (seconds_of(n, dtype, rounds) for n in (1, 2))
        layer, rest = two - one, one - (two - one)
        whole = LAYERS * layer + rest
        rates[name] = ROWS * LENGTH / whole
        rows.append([name, f"{layer:.2f}", f"{rest:.2f}", f"{whole:.0f}", f"{rates[name]:.1f}"])
    heading = [
        "precision",
        "one layer, s",
        "embedding and output, s",
        f"{LAYERS} layers (extrapolated), s",
        "tokens/s",
    ]
    table(
        f"Forward pass of a 7B shape, {ROWS} x {LENGTH} tokens, one core",
        heading,
        rows,
        ("torch", "transformers"),
    )
    return rates


def hours(seconds: float) -> str:
    """A time for people."""
    if seconds < 120:
        return f"{seconds:,.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:,.0f} min"
    return f"{seconds / 3_600:,.0f} h"


def carried(tokens_a_second: float) -> None:
    """Print the second table."""
    passes = TRAINED * LENGTH * FIT * 3 / tokens_a_second  # a backward pass costs two forward ones
    scored = CANDIDATES * LENGTH * SCORE * 3 / tokens_a_second
    rows = [
        ["mark 1 TB of text", "Marking", hours(1e12 / EMBED), "any number of cores or machines"],
        ["search 1 TB for a leaked copy", "Leak test", hours(1e12 / LEAK), "one process per piece"],
        [
            "ask a 7B suspect about 1 M tokens",
            "first table",
            hours(1e6 / tokens_a_second),
            "grows with tokens, not with the release",
        ],
        [
            "seal a transcript of 300 B tokens",
            "Recording a training order",
            f"{hours(3e11 / SEAL[1])} to {hours(3e11 / SEAL[0])}",
            "600 GB; shards",
        ],
        [
            "order test of it, 16,000 sequences of 256 tokens",
            "first table",
            hours(16_000 * LENGTH / tokens_a_second),
            "a sample is asked about",
        ],
        [
            "index it for the partition test",
            "Partition test",
            hours(3e11 / INDEX),
            f"{3e11 * INDEX_BYTES / 1e12:.1f} TB; shards",
        ],
        [
            "filter 1 M documents for 100 queries",
            "Influence, the filter",
            hours(sum(1e6 / rate for rate in FILTER)),
            "1.1 GB",
        ],
        [
            f"curvature of a 7B model on {TRAINED:,} sequences of 256",
            "first table; Influence against kronfluence",
            hours(passes),
            "without eigenvectors and memory: `influence plan`",
        ],
        [
            f"score {CANDIDATES:,} sequences for one query",
            "the same",
            hours(scored),
            "1 M documents, filtered",
        ],
    ]
    table(
        "EXTRAPOLATED, nothing of this size was run: models in bfloat16, time of one core",
        ["job", "rate from", "one core", "remarks"],
        rows,
        ("torch",),
    )


def main() -> None:
    """Measure, carry on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(1)
    carried(measured(arguments.rounds)["bfloat16"])


if __name__ == "__main__":
    main()
