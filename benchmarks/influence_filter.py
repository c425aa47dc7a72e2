"""The TF-IDF filter: documents per second and memory, and the same work by bm25s and scikit-learn.

    python benchmarks/influence_filter.py [--documents 1000000] [--peer-python VENV/bin/python]

Synthetic documents, 256 tokens on average, of a Zipf-Mandelbrot distribution over a vocabulary of 50,257
with topics of their own, in ten parquet files. bm25s and scikit-learn, which hold the corpus in memory,
get the first file; bm25s is looked for in the venv of `--peer-python`; what is not there is left out. Run
with OMP_NUM_THREADS=1. Time of the processor is counted too, for a machine that is shared. Some ten
minutes and 1 GB of disk.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import polars as pl
from numpy.typing import NDArray
from timing import table

VOCABULARY = 50_257
N_TOPICS, TOPIC_WORDS, TOPIC_SHARE = 1_000, 200, 0.3
QUANTILES = 1 << 20
N_SHARDS = 10
QUERY_TOKENS = 64
N_QUERIES = (8, 100)
MOST_BYTES = 2e9

# Each run in a process of its own, so that the memory of one is not that of another. Its peak is that of its
# address space, as ru_maxrss goes back to before the process was this one.
OURS = """
import json, sys, time
from pathlib import Path
import numpy as np
import polars
from bookplate.provenance.influence.sequences import TokenSequence
from bookplate.provenance.influence.tfidf import (
    DocumentFiles, DocumentList, FilterSettings, document_frequencies, tfidf_filter,
)

files = sorted(Path(sys.argv[1]).glob("*.parquet"))[: int(sys.argv[2])]
rows = json.loads(Path(sys.argv[3]).read_text())[: int(sys.argv[4])]
queries = [TokenSequence(f"q{i}", tuple(row)) for i, row in enumerate(rows)]
settings = FilterSettings(longest=int(sys.argv[5]), n_buckets=1 << int(sys.argv[6]))
few = DocumentList([TokenSequence(q.id, q.tokens) for q in queries])
tfidf_filter(few, queries, seed=0, settings=settings)  # compiles
source = DocumentFiles(files, "tokens", id_column="id")
start, cpu = time.perf_counter(), time.process_time()
frequencies = document_frequencies(source, settings)
middle = time.perf_counter()
found = tfidf_filter(source, queries, seed=0, settings=settings, frequencies=frequencies)
end, cpu = time.perf_counter(), time.process_time() - cpu
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
print(json.dumps({
    "documents": found.n_documents, "first": middle - start,
    "second": end - middle, "cpu": cpu, "peak": peak,
}))
"""
BM25S = """
import json, sys, time
from pathlib import Path
import bm25s, polars as pl

files = sorted(Path(sys.argv[1]).glob("*.parquet"))[: int(sys.argv[2])]
queries = json.loads(Path(sys.argv[3]).read_text())[: int(sys.argv[4])]
start, cpu = time.perf_counter(), time.process_time()
corpus = [row for file in files for row in pl.read_parquet(file)["tokens"].to_list()]
vocabulary = {str(i): i for i in range(50_257)}
retriever = bm25s.BM25(k1=1.5, b=0.0, method="lucene")
retriever.index(bm25s.tokenization.Tokenized(ids=corpus, vocab=vocabulary), show_progress=False)
middle = time.perf_counter()
texts = [[str(token) for token in query] for query in queries]
retriever.retrieve(texts, k=min(10_000, len(corpus)), show_progress=False)
end, cpu = time.perf_counter(), time.process_time() - cpu
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
print(json.dumps({
    "documents": len(corpus), "first": middle - start, "second": end - middle, "cpu": cpu, "peak": peak,
    "version": bm25s.__version__,
}))
"""
SKLEARN = """
import json, sys, time
from pathlib import Path
import numpy as np, polars as pl, scipy.sparse
from sklearn.feature_extraction.text import HashingVectorizer

files = sorted(Path(sys.argv[1]).glob("*.parquet"))[: int(sys.argv[2])]
queries = json.loads(Path(sys.argv[3]).read_text())[: int(sys.argv[4])]
hashing = HashingVectorizer(
    analyzer=lambda row: [str(token) for token in row], binary=True, alternate_sign=False, norm=None
)
start, cpu = time.perf_counter(), time.process_time()
corpus = [row for file in files for row in pl.read_parquet(file)["tokens"].to_list()]
matrix = hashing.transform(corpus)
held = np.asarray((matrix > 0).sum(axis=0)).ravel()
idf = np.log1p((matrix.shape[0] - held + 0.5) / (held + 0.5))
middle = time.perf_counter()
scores = (matrix @ hashing.transform(queries).multiply(idf).T.tocsc()).toarray()
for column in scores.T:
    best = np.argpartition(column, -min(10_000, column.size))[-10_000:]
    best[np.argsort(-column[best])]
end, cpu = time.perf_counter(), time.process_time() - cpu
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
print(json.dumps({
    "documents": len(corpus), "first": middle - start, "second": end - middle, "cpu": cpu, "peak": peak,
}))
"""


def quantiles(weights: NDArray[np.float64]) -> NDArray[np.int32]:
    """Number at each of many equally spaced quantiles of a distribution."""
    cumulative = np.cumsum(weights / weights.sum())
    return np.searchsorted(cumulative, (np.arange(QUANTILES) + 0.5) / QUANTILES).astype(np.int32)


class Writer:
    """Draws documents: each token of the whole vocabulary, or of the document's topic."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        ranks = np.arange(VOCABULARY)
        self._all = quantiles((ranks + 2.7) ** -1.07)
        self._topics = self._rng.integers(500, VOCABULARY, (N_TOPICS, TOPIC_WORDS), dtype=np.int32)
        self._in_topic = quantiles((np.arange(TOPIC_WORDS) + 1.0) ** -1)

    def _documents(self, lengths: NDArray[np.int64]) -> NDArray[np.int32]:
        n = int(lengths.sum())
        tokens = self._all[self._rng.integers(0, QUANTILES, n)]
        topics = np.repeat(self._rng.integers(0, N_TOPICS, lengths.size), lengths)
        places = np.flatnonzero(self._rng.random(n) < TOPIC_SHARE)
        words = self._in_topic[self._rng.integers(0, QUANTILES, places.size)]
        tokens[places] = self._topics[topics[places], words]
        return tokens

    def shards(self, folder: Path, n_documents: int) -> None:
        """Write the corpus."""
        per_shard = n_documents // N_SHARDS
        for number in range(N_SHARDS):
            lengths = np.clip(self._rng.lognormal(5.3, 0.7, per_shard), 8, 1_024).astype(np.int64)
            documents = pl.DataFrame({
                "document": np.repeat(np.arange(per_shard), lengths),
                "token": self._documents(lengths),
            })
            rows = documents.group_by("document", maintain_order=True).agg(tokens="token")
            ids = [f"{number}-{row}" for row in range(per_shard)]
            frame = rows.select(pl.Series("id", ids), "tokens")
            frame.write_parquet(folder / f"{number}.parquet", row_group_size=10_000)

    def queries(self, n: int) -> Iterator[list[int]]:
        """Draw queries as documents are drawn."""
        for _ in range(n):
            yield self._documents(np.array([QUERY_TOKENS])).tolist()


def ran(python: str, script: str, *arguments: object) -> dict[str, float] | None:
    """What a script says of itself; None if it needs what is not there."""
    command = [python, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        if "ModuleNotFoundError" not in done.stderr:
            raise RuntimeError(done.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def rate(run: dict[str, float], seconds: float) -> str:
    return f"{run['documents'] / seconds:,.0f}"


def row_of(name: str, run: dict[str, float]) -> list[str]:
    cells = [rate(run, run["first"]), rate(run, run["second"]), rate(run, run["cpu"])]
    return [name, f"{run['documents']:,}", *cells, f"{run['peak'] / 1e6:,.0f} MB"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--peer-python", default=sys.executable)
    arguments = parser.parse_args()
    rows, peers, ok = [], [], True
    with TemporaryDirectory() as name:
        folder, queries = Path(name), Path(name) / "queries.json"
        writer = Writer(0)
        writer.shards(folder, arguments.documents)
        queries.write_text(json.dumps(list(writer.queries(max(N_QUERIES)))))
        for longest, bits in ((1, 20), (2, 24)):
            for n in N_QUERIES:
                run = ran(sys.executable, OURS, folder, N_SHARDS, queries, n, longest, bits)
                kind = "single tokens" if longest == 1 else "and pairs, 2**24 buckets"
                rows.append(row_of(f"{n} queries, {kind}", run))
                ok &= run["peak"] < MOST_BYTES
        ours = {n: ran(sys.executable, OURS, folder, 1, queries, n, 1, 20) for n in N_QUERIES}
        for peer, python, script in (
            ("bm25s", arguments.peer_python, BM25S),
            ("scikit-learn HashingVectorizer", sys.executable, SKLEARN),
        ):
            for n in N_QUERIES:
                run = ran(python, script, folder, 1, queries, n)
                if run is None:
                    print(f"{peer}: not installed, left out")
                    break
                ratio = f"{run['cpu'] / ours[n]['cpu']:.1f}"
                peers.append([*row_of(f"{peer}, {n} queries", run), ratio])
    heading = [
        "run",
        "documents",
        "first pass, documents/s",
        "second",
        "both, per processor second",
        "peak",
    ]
    packages = ["numpy", "numba", "polars", "torch"]
    table("TF-IDF filter, k = 10,000, from parquet", heading, rows, packages)
    peers += [[*row_of(f"ours, {n} queries", run), "1"] for n, run in ours.items()]
    table("The same by others, in memory", [*heading, "processor time / ours"], peers, packages)
    print(f"\npeak memory below 2 GB: {'yes' if ok else 'NO'}")
    sys.exit(not ok)


if __name__ == "__main__":
    main()
