"""Marking that is killed at random moments and taken up again, compared with marking in one go.

    python benchmarks/kills.py [--kills 20] [--workers 1 2] [--copies 5] [--seed 1]

Each run is killed (SIGKILL, the parent alone: its workers must notice) at a moment drawn evenly from
the time that an undisturbed run works, imports not counted, and the same call repeated until it gets
through; then it starts afresh, until there were as many kills as asked for. Some twenty minutes.
"""

import argparse
import random
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from bookplate.cli.demo.corpus import docstrings
from bookplate.files import unfinished_path
from bookplate.watermark.embed import embed
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.marking import Marking, Mode, Unit
from bookplate.watermark.tables import Columns, dataset_files, pieces_of
from timing import table

MARKINGS = {
    "by type": Marking(),
    "by type within 5 shards": Marking(unit=Unit.SHARD, shards=5),
    "by slot": Marking(unit=Unit.SLOT),
    "by record, 3 ghosts": Marking(unit=Unit.RECORD, ghosts=3),
    "leximark": Marking(mode=Mode.LEXIMARK),
}
PIECE_BYTES = 20_000  # so many that parts are merged in two steps


def mark(source: Path, out: Path, marking: str, workers: int) -> None:
    key = MarkingKey(b"k" * 32, b"s" * 32)
    how = MARKINGS[marking]
    embed(source, out, key, how, id_column="id", workers=workers, piece_bytes=PIECE_BYTES)


def write_dataset(folder: Path, texts: list[str]) -> None:
    """Files of several formats; a tenth of the texts comes twice, in two files."""
    frame = pl.DataFrame({"id": [f"id {i}" for i in range(len(texts))], "text": texts})
    part = len(texts) // 4
    folder.mkdir()
    frame[: part + part // 10].write_ndjson(folder / "a.jsonl")
    frame[part : 2 * part + part // 10].write_ndjson(folder / "b.jsonl.zst", compression="zstd")
    frame[2 * part : 3 * part].write_csv(folder / "c.csv.gz", compression="gzip")
    frame[3 * part :].write_parquet(folder / "d.parquet")


def everything(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def _changed(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


class Runs:
    """Runs of one marking, killed or not; `table_row` says how they went."""

    def __init__(self, source: Path, folder: Path, marking: str, workers: int) -> None:
        self.name, self.workers = marking, workers
        self.out = folder / "killed"
        self._call = [sys.executable, __file__, "--child", str(source), str(self.out), marking]
        files = dataset_files(source).values()
        self._pieces = sum(1 for f in files for _ in pieces_of(f, Columns(id="id"), PIECE_BYTES))
        self._expected: dict[str, bytes] = {}
        self.kills = dict.fromkeys(("before", "marking", "putting together"), 0)
        self.whole = self.alike = 0
        self.seconds = self._finish()

    def _begun(self) -> "subprocess.Popen[bytes]":
        """A run that has begun to work: it holds the lock and has cleared what it makes anew."""
        work = unfinished_path(self.out)
        before = _changed(work / "whole")
        process = subprocess.Popen(
            [*self._call, str(self.workers)], stderr=subprocess.DEVNULL, start_new_session=True
        )
        while _changed(work / "whole") == before and process.poll() is None:
            time.sleep(0.002)
        return process

    def _finish(self) -> float:
        """Run to the end; returns the seconds that it worked."""
        process = self._begun()
        start = time.monotonic()
        assert process.wait() == 0
        seconds = time.monotonic() - start
        self._compare()
        return seconds

    def _compare(self) -> None:
        """Whether what came out is the same; the first run, undisturbed, says what it should be."""
        found = everything(self.out)
        self._expected = self._expected or found
        self.whole += 1
        self.alike += found == self._expected and not unfinished_path(self.out).exists()
        self.out.rename(self.out.with_name(f"{self.name} {self.workers} {self.whole}"))

    def kill(self, seconds: float) -> None:
        """Run, and kill the run so many seconds after it began to work, if it still does."""
        process = self._begun()
        try:
            assert process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            if not self.out.exists():
                self.kills[self._stage()] += 1
                return
        self._compare()

    def _stage(self) -> str:
        done = len(list((unfinished_path(self.out) / "parts").glob("*.json")))
        if done == 0:
            return "before"
        return "marking" if done < self._pieces else "putting together"

    def table_row(self) -> list[str]:
        """Finish what was killed last; the row of the table."""
        if unfinished_path(self.out).exists():
            self._finish()
        counts = [str(n) for n in self.kills.values()]
        return [self.name, str(self.workers), *counts, f"{self.alike} of {self.whole}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--copies", type=int, default=5, help="variants of each docstring")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    moments, rows = random.Random(options.seed), []
    with TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        write_dataset(
            source,
            [f"{text}\n\nNote {i}." for i in range(options.copies) for text in docstrings("numpy")],
        )
        for marking in MARKINGS:
            for workers in options.workers:
                runs = Runs(source, Path(scratch), marking, workers)
                while sum(runs.kills.values()) < options.kills:
                    runs.kill(moments.uniform(0, runs.seconds))
                rows.append(runs.table_row())
                print(rows[-1], file=sys.stderr, flush=True)
    heading = ["marking", "workers", "killed before the first part", "while marking"]
    heading += ["while putting together", "runs with the same bytes"]
    title = f"Killed at random moments: jsonl, jsonl.zst, csv.gz and parquet, seed {options.seed}"
    table(title, heading, rows, ["polars"])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        mark(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
    else:
        main()
