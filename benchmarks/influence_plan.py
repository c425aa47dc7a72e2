"""`influence plan` against what happens: memory and time of each stage.

    python benchmarks/influence_plan.py [small] [medium] [rank]

Each case is planned in one process, with its probe, and run in another. Memory is the highest resident set
in a stage (VmHWM, Linux) above what was resident once the model was loaded. A process keeps some of what an
earlier stage has freed, so that each stage is held against the most that was planned so far, too.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from bookplate.provenance.influence import (
    Cutting,
    Factors,
    FactorSettings,
    TokenSequence,
    fit_factors,
    influence_scores,
)
from bookplate.provenance.influence.plan import Amount, plan
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

# Layers, width, vocabulary, tokens of a sequence, sequences in a batch, rank of queries, dtype.
CASES = {
    "small": (3, 256, 2_000, 128, 8, None, "float32"),
    "medium": (6, 512, 8_000, 256, 16, None, "float32"),
    "rank": (6, 512, 8_000, 256, 4, 32, "float32"),
    "bfloat16": (6, 512, 8_000, 256, 16, None, "bfloat16"),
}
N_SEQUENCES, N_QUERIES = 64, 8
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def sequences(n: int, length: int, vocabulary: int) -> list[TokenSequence]:
    tokens = torch.randint(vocabulary, (n, length), generator=torch.Generator().manual_seed(n))
    return [TokenSequence(str(i), tuple(row)) for i, row in enumerate(tokens.tolist())]


class Watch:
    """Peak memory (bytes above the start) and seconds of each stage."""

    def __init__(self) -> None:
        self.start = _resident("VmRSS")
        self.stages: dict[str, dict[str, float]] = {}
        self._name, self._began = "", time.perf_counter()
        _CLEAR.write_text("5")  # the high-water mark falls to what is resident now

    def __call__(self, name: str, *_: object) -> None:
        """A stage goes on, or begins."""
        if name == self._name:
            return
        self.close()
        self._name, self._began = name, time.perf_counter()

    def close(self) -> None:
        """The stage is over."""
        if self._name:
            self.stages[self._name] = {
                "memory": _resident("VmHWM") - self.start,
                "seconds": time.perf_counter() - self._began,
            }
        _CLEAR.write_text("5")


def _resident(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) << 10


def child(case: str, what: str) -> None:
    layers, width, vocabulary, length, batch, rank, dtype = CASES[case]
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        intermediate_size=4 * width,
        max_position_embeddings=length,
    )
    model = GPTNeoXForCausalLM(config).eval().to(getattr(torch, dtype))
    data = sequences(N_SEQUENCES, length, vocabulary)
    queries = sequences(N_QUERIES, length, vocabulary)
    settings = FactorSettings(product_precision=dtype, kept_precision=dtype)
    cutting = Cutting(batch_positions=batch * (length - 1))
    with TemporaryDirectory() as place:
        if what == "plan":
            began = time.perf_counter()
            planned = plan(
                model,
                fitted=Amount.of(data),
                candidates=Amount.of(data),
                queries=Amount.of(queries),
                settings=settings,
                cutting=cutting,
                query_rank=rank,
                folder=Path(place),
            )
            took = time.perf_counter() - began
            print(json.dumps({"took": took, "stages": planned.as_json()["stages"]}))
            return
        watch = Watch()
        folder = Path(place) / "factors"
        fit_factors(model, data, folder, settings=settings, cutting=cutting, progress=watch)
        watch.close()
        size = sum(path.stat().st_size for path in folder.iterdir())
        influence_scores(
            model,
            Factors.read(folder),
            queries,
            data,
            query_rank=rank,
            precision=settings.product_precision,
            batch_positions=cutting.batch_positions,
            progress=watch,
        )
        watch.close()
        print(json.dumps({"stages": watch.stages, "disk": size}))


def _in_a_process(case: str, what: str) -> dict:
    done = subprocess.run(
        [sys.executable, __file__, "child", case, what], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    if sys.argv[1:2] == ["child"]:
        child(*sys.argv[2:])
        return
    for case in sys.argv[1:] or CASES:
        planned, measured = _in_a_process(case, "plan"), _in_a_process(case, "run")
        print(f"{case}: {CASES[case]}, planned in {planned['took']:.1f} s")
        heading = ("MiB planned", "measured", "ratio", "to most so far", "s planned", "measured")
        print(f"  {'stage':16}" + "".join(f"{word:>15}" for word in heading))
        most = 0.0
        for stage in planned["stages"]:
            found = measured["stages"].get(stage["name"])
            if found is None:
                continue
            mib, got = stage["memory"] / 2**20, found["memory"] / 2**20
            most = max(most, mib)
            numbers = (mib, got, mib / got, most / got, stage["seconds"], found["seconds"])
            print(f"  {stage['name']:16}" + "".join(f"{number:15.2f}" for number in numbers))
        files = next(s["disk"] for s in planned["stages"] if s["name"] == "candidates")
        print(
            f"  files of factors: {files / 2**20:.1f} MiB planned, {measured['disk'] / 2**20:.1f}"
        )


if __name__ == "__main__":
    main()
