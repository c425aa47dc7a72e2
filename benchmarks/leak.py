"""The leak test: power after attacks, false accusations, recipients, speed and memory.

    python benchmarks/leak.py [--keys 2000] [--megabytes 200]

The release is NumPy's docstrings; SciPy's are the unrelated text, which shares phrases with it. Some
fifteen minutes on two cores.
"""

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from bookplate.cli.demo.corpus import docstrings
from bookplate.errors import InsufficientEvidence
from bookplate.stats import AdjustMethod, adjust, format_p
from bookplate.watermark.alignment import Alignment
from bookplate.watermark.attacks import ATTACKS, DILUTIONS
from bookplate.watermark.embed import embed, mark_texts
from bookplate.watermark.evidence import Evidence
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.leak import aligner_of, leak_test
from bookplate.watermark.manifest import digest_of
from bookplate.watermark.marking import Marking, Unit
from bookplate.watermark.recipients import copies_of
from bookplate.watermark.tables import apply_edits
from scipy.stats import binom
from timing import table

UNITS = {"by type": Marking(), "by slot": Marking(unit=Unit.SLOT)}
LEVELS = (0.05, 0.01)
PER_DATASET = 100  # keys that are tried on one innocent dataset
N_INNOCENT = 150  # texts of an innocent dataset
N_UNRELATED = 1_000  # of one that shares no more than phrases with the release
RECIPIENTS = [f"licensee {number}" for number in range(10)]
PACKAGES = ["numpy", "scipy", "polars"]

# Run apart, so that the memory of one run is not that of another.
SEARCH = """
import json, resource, sys, time
from pathlib import Path
from bookplate.watermark.audited import AuditedDataset
from bookplate.watermark.evidence import load_evidence
from bookplate.watermark.leak import aligner_of, leak_test

evidence = load_evidence(Path(sys.argv[1]))
aligner = aligner_of(evidence)
before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
start, cpu = time.perf_counter(), time.process_time()
found = aligner.align(AuditedDataset(Path(sys.argv[2])).texts())
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
try:
    p = leak_test(evidence, found, seed=1).finding.p_text
except Exception as error:
    p = type(error).__name__
print(json.dumps({"seconds": seconds, "cpu": cpu, "before": before, "peak": peak, "p": p}))
"""


def evidence_of(texts: Sequence[str], key: MarkingKey, marking: Marking) -> Evidence:
    manifest = mark_texts(texts, key, marking)
    return Evidence(manifest=manifest, originals={digest_of(text): text for text in texts})


def released(evidence: Evidence, texts: Sequence[str]) -> list[str]:
    records = evidence.manifest.by_original()
    return [apply_edits(text, records[digest_of(text)].release_edits()) for text in texts]


def with_key(evidence: Evidence, key: MarkingKey) -> Evidence:
    return replace(evidence, manifest=evidence.manifest.redrawn(key))


def lightly_edited(texts: Sequence[str], share: float = 0.1) -> list[str]:
    """Words deleted or replaced by other words of the text, half and half."""
    rng = random.Random(1)

    def edited(text: str) -> str:
        words = text.split(" ")
        return " ".join(
            word if rng.random() > share else rng.choice(["", rng.choice(words)]) for word in words
        )

    return [edited(text) for text in texts]


def near_duplicates(texts: Sequence[str]) -> list[str]:
    """Each text three times, each time with other small edits."""
    return [t for _ in range(3) for t in lightly_edited(texts, 0.03)]


@dataclass(frozen=True)
class Theft:
    """What was done to the release before it was found again."""

    name: str
    do: Callable[[list[str], list[str], list[str]], Sequence[str]]  # released, originals, others


def attacked(name: str) -> Theft:
    return Theft(name, lambda ours, originals, others: ATTACKS[name](ours, seed=1).texts)


def part(n: int) -> Callable[[list[str], list[str], list[str]], Sequence[str]]:
    return lambda ours, originals, others: random.Random(2).sample(ours, n)


def among_originals(ours: list[str], originals: list[str], others: list[str]) -> list[str]:
    n = round(0.03 * len(ours))
    return ours[:n] + originals[n:]


THEFTS = [
    Theft("full copy", lambda ours, originals, others: ours),
    Theft(
        "texts in another order",
        lambda ours, originals, others: random.Random(1).sample(ours, len(ours)),
    ),
    Theft("50 of the texts", part(50)),
    Theft("10 of the texts", part(10)),
    attacked("truncate-to-half"),
    attacked("drop-sentences-30"),
    attacked("drop-sentences-50"),
    attacked("shuffle-sentences"),
    Theft(
        "all sentences of all texts in one text, shuffled",
        lambda ours, originals, others: [
            "\n".join(random.Random(1).sample(ours, len(ours))),
        ],
    ),
    Theft("10 % of the words edited", lambda ours, originals, others: lightly_edited(ours)),
    attacked("resubstitute-10-of-all"),
    attacked("resubstitute-50"),
    attacked("informed-redraw"),
    attacked("informed-most-frequent"),
    Theft("three near-duplicates of each", lambda ours, *_: near_duplicates(ours)),
    attacked("drop-near-duplicates"),
    attacked("lower-case"),
    attacked("normalise-unicode"),
    attacked("normalise-space"),
    Theft(
        "3 % among unrelated texts",
        lambda ours, originals, others: (
            DILUTIONS["dilute-to-3"](ours[: len(others) // 33], others, seed=1).texts
        ),
    ),
    Theft("3 % among the unmarked originals", among_originals),
]


def power(texts: list[str], others: list[str]) -> None:
    rows: dict[str, list[str]] = {theft.name: [] for theft in THEFTS}
    for marking in UNITS.values():
        evidence = evidence_of(texts, MarkingKey.generate(), marking)
        aligner = aligner_of(evidence)
        ours = released(evidence, texts)
        for theft in THEFTS:
            stolen = theft.do(ours, texts, others)
            result = leak_test(evidence, aligner.align(stolen), seed=1)
            rows[theft.name] += [
                f"{result.n_shown:,}",
                f"{result.finding.effect.value:.2f}",
                result.finding.p_text,
            ]
    heading = ["what was found"]
    for unit in UNITS:
        heading += [f"slots found, {unit}", "with the released word", "p"]
    title = f"Leak test: {len(texts):,} docstrings, strict table, one key each"
    table(title, heading, [[name, *cells] for name, cells in rows.items()], PACKAGES)


def innocents(
    texts: list[str], others: list[str], evidence: Evidence, seed: int
) -> dict[str, list[str]]:
    """Datasets that owe nothing to the key under test, though most know these very texts."""
    rng = random.Random(seed)
    some = rng.sample(texts, N_INNOCENT)
    alice, bob = (released(with_key(evidence, MarkingKey.generate()), some) for _ in range(2))
    return {
        "the unmarked originals": some,
        "the originals, 10 % of the table's words replaced": list(
            ATTACKS["resubstitute-10"](some, seed=seed).texts
        ),
        "another recipient's copy": alice,
        "two other recipients' copies, mixed by text": [
            rng.choice(pair) for pair in zip(alice, bob, strict=True)
        ],
        "another recipient's copy, three near-duplicates of each": near_duplicates(alice),
        "unrelated texts with phrases in common": rng.sample(others, N_UNRELATED),
    }


def p_value(evidence: Evidence, found: Alignment, seed: int) -> float:
    try:
        return leak_test(evidence, found, seed=seed, n_resamples=1_999).finding.p_value
    except InsufficientEvidence:
        return 1.0


def false_accusations(texts: list[str], others: list[str], n_keys: int) -> None:
    rows = []
    for unit, marking in UNITS.items():
        base = evidence_of(texts, MarkingKey.generate(), marking)
        aligner = aligner_of(base)
        p: dict[str, list[float]] = {}
        for run in range(n_keys):
            if run % PER_DATASET == 0:
                found = {
                    name: aligner.align(dataset)
                    for name, dataset in innocents(texts, others, base, run).items()
                }
            evidence = with_key(base, MarkingKey.generate())
            for name, alignment in found.items():
                p.setdefault(name, []).append(p_value(evidence, alignment, run))
        for name, values in p.items():
            counts = [f"{(np.array(values) <= level).sum()}" for level in LEVELS]
            ones = sum(value == 1 for value in values)
            rows.append([unit, name, *counts, f"{ones}", f"{min(values):.2g}"])
    bounds = [f"at most {binom.ppf(1 - 1e-6, n_keys, level):.0f}" for level in LEVELS]
    rows.append(["", "allowed by chance (1 - 1e-6)", *bounds, "", ""])
    heading = [
        "unit",
        "innocent dataset",
        *(f"p <= {level}" for level in LEVELS),
        "p = 1",
        "least p",
    ]
    title = (
        f"Leak test, false accusations: {n_keys:,} fresh keys, a fresh dataset of {N_INNOCENT} texts for "
        f"every {PER_DATASET} of them"
    )
    table(title, heading, rows, PACKAGES)


def recipients(texts: list[str]) -> None:
    rows = []
    for unit, marking in UNITS.items():
        owner = MarkingKey.generate()
        base = evidence_of(texts, owner, marking)
        copies = dict(copies_of(base, owner, RECIPIENTS))
        aligner = aligner_of(base)
        right, wrong = [], []
        for leaker, copy in copies.items():
            found = aligner.align(released(copy, texts))
            findings = [leak_test(other, found, seed=1).finding for other in copies.values()]
            corrected = dict(zip(copies, adjust(findings, method=AdjustMethod.HOLM), strict=True))
            right.append(corrected.pop(leaker))
            wrong += corrected.values()
        rows.append([unit, format_p(max(right)), format_p(min(wrong)), f"{len(wrong)}"])
    heading = [
        "unit",
        "largest corrected p of who leaked",
        "least corrected p of who did not",
        "of so many",
    ]
    title = f"Leak test: {len(RECIPIENTS)} copies, each leaked once, Holm over {len(RECIPIENTS)}"
    table(title, heading, rows, PACKAGES)


def write_lines(path: Path, texts: Sequence[str], megabytes: float) -> int:
    """Texts over and over as JSON lines; returns their characters."""
    characters = 0
    with path.open("w", encoding="utf-8") as file:
        while characters < megabytes * 1e6:
            for number, text in enumerate(texts):
                file.write(json.dumps({"id": number, "text": text}, ensure_ascii=False) + "\n")
                characters += len(text)
    return characters


def speed(texts: list[str], others: list[str], megabytes: int) -> None:
    rows = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_lines(folder / "data.jsonl", texts, 0.1)
        embed(folder / "data.jsonl", folder / "out", MarkingKey.generate(), Marking())
        copy = folder / "out" / "release" / "data.jsonl"
        ours = [json.loads(line)["text"] for line in copy.read_text(encoding="utf-8").splitlines()]
        (folder / "script.py").write_text(SEARCH)
        for what, content in (("unrelated texts", others), ("the release, over and over", ours)):
            for size in (megabytes // 10, megabytes):
                characters = write_lines(folder / "theirs.jsonl", content, size)
                done = subprocess.run(
                    [sys.executable, "script.py", "out/private/manifest.parquet", "theirs.jsonl"],
                    cwd=folder,
                    check=True,
                    capture_output=True,
                    text=True,
                )
                found = json.loads(done.stdout)
                rows.append([
                    what,
                    f"{characters / 1e6:,.0f}",
                    f"{characters / found['seconds'] / 1e6:.1f}",
                    f"{characters / found['cpu'] / 1e6:.1f}",
                    f"{found['before'] / 1e6:,.0f}",
                    f"{found['peak'] / 1e6:,.0f}",
                    found["p"],
                ])
    heading = [
        "dataset under audit",
        "M characters",
        "M characters/s",
        "per second of processor time",
        "memory before, MB",
        "peak memory, MB",
        "p",
    ]
    title = f"Leak test, speed: JSON lines searched for {len(texts):,} docstrings, one process"
    table(title, heading, rows, PACKAGES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=2_000)
    parser.add_argument("--megabytes", type=int, default=200)
    arguments = parser.parse_args()
    texts, others = docstrings("numpy"), docstrings("scipy")
    power(texts, others)
    recipients(texts)
    speed(texts, others, arguments.megabytes)
    false_accusations(texts, others, arguments.keys)


if __name__ == "__main__":
    main()
