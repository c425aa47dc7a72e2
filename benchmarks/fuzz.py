"""Parsers of foreign files, fuzzed with coverage as the guide (atheris, libFuzzer).

    pip install atheris
    python benchmarks/fuzz.py manifest release statement audit zip --minutes 10 [--out FOLDER]

A finding is whatever is no `BookplateError`: a traceback, a check that "broke off", an input that takes
more than five seconds or 4 GB, a message longer than 5,000 characters, the end of the process. Each is kept
with its input in FOLDER/PARSER/findings; so is the corpus, from which the next run goes on.
"""

import argparse
import faulthandler
import hashlib
import importlib.util
import json
import os
import random
import re
import subprocess
import sys
import time
import traceback
from pathlib import Path

LONGEST_MESSAGE = 5_000
SLOW = 5.0  # seconds
HANGING = 60.0  # seconds
NOT_INSTRUMENTED = [  # numba compiles them, and wonders at what is added
    *(f"bookplate.stats.{name}" for name in ("kernels", "ranking_kernels", "resampling_kernels")),
    "bookplate.provenance.palimpsest.ngrams.kernels",
    "bookplate.provenance.influence.tfidf.kernels",
]
_LINE = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)")
_DONE = re.compile(r"done (\d+) runs")


def main() -> None:
    options = _options()
    if importlib.util.find_spec("atheris") is None:
        sys.exit("needs atheris: pip install atheris")
    if options.child:
        _fuzz(options.parsers[0], options.out, options.seconds)
        return
    rows = []
    for parser in options.parsers:
        rows.append(_run(parser, options.out / parser, 60 * options.minutes))
    print("| parser | minutes | runs | corpus | branches covered: at first, at last | findings |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("parsers", nargs="+", help="see `PARSERS`")
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--out", type=Path, default=Path("fuzzing"))
    options.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options.add_argument("--seconds", type=int, default=0, help=argparse.SUPPRESS)
    return options.parse_args()


def _run(parser: str, folder: Path, seconds: float) -> tuple[str, ...]:
    """Fuzz one parser; where its process ends before its time, note that and go on."""
    (folder / "findings").mkdir(parents=True, exist_ok=True)
    begin, runs, first, last, corpus = time.monotonic(), 0, 0, 0, 0
    while (left := seconds - (time.monotonic() - begin)) > 5:
        command = [
            sys.executable,
            __file__,
            parser,
            "--child",
            "--out",
            str(folder),
            "--seconds",
            str(int(left)),
        ]
        child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace")
        done, tail, whole = 0, [], False
        assert child.stderr is not None
        for line in child.stderr:
            tail = [*tail[-40:], line]
            if found := _LINE.match(line):
                done, last, corpus = int(found[1]), int(found[2]), int(found[4])
                first = first or (last if "INITED" in line else 0)
            elif found := _DONE.match(line):
                done, whole = int(found[1]), True
        runs += done
        if child.wait() != 0 or not whole:
            _note(
                folder,
                f"the process ended with {child.returncode}",
                "".join(tail),
                _last_input(folder),
            )
            if done == 0:
                print("".join(tail), file=sys.stderr)
                break
    minutes = (time.monotonic() - begin) / 60
    kinds = sorted((folder / "findings").glob("*.txt"))
    return (
        *(parser, f"{minutes:.1f}", f"{runs:,}", str(corpus), f"{first}, {last}", str(len(kinds))),
    )


def _fuzz(name: str, folder: Path, seconds: int) -> None:
    """In a process of its own, as libFuzzer does not come back."""
    import atheris

    sys.path.insert(0, str(Path(__file__).parent))
    with atheris.instrument_imports(include=["bookplate", "yaml"], exclude=NOT_INSTRUMENTED):
        from bookplate.errors import BookplateError
        from fuzz_parsers import PARSERS

    work, corpus = folder / "work", folder / "corpus"
    fresh = not corpus.exists()
    for place in (work, corpus):
        place.mkdir(exist_ok=True)
    parser = PARSERS[name](work)
    if fresh:
        for number, seed in enumerate(parser.seeds()):
            (corpus / f"seed-{number}").write_bytes(seed)
        parser = PARSERS[name](work)
    last, end, runs = folder / "last-input", time.monotonic() + seconds, 0

    def test(data: bytes) -> None:
        nonlocal runs
        runs += 1
        start = time.monotonic()
        if start > end:
            print(f"done {runs} runs", file=sys.stderr, flush=True)
            os._exit(0)
        last.write_bytes(data)
        faulthandler.dump_traceback_later(HANGING, exit=True)
        try:
            parser.parse(data)
        except BookplateError as error:
            if len(str(error)) > LONGEST_MESSAGE:
                _note(folder, f"a long message: {_place(error)}", str(error)[:500], data)
        except BaseException as error:  # that is what is looked for
            if isinstance(error, KeyboardInterrupt):
                raise
            what = str(error)[:90] if isinstance(error, AssertionError) else type(error).__name__
            trace = "".join(traceback.format_exception(error))[-6_000:]
            _note(folder, f"{what}: {_place(error)}", trace, data)
        faulthandler.cancel_dump_traceback_later()
        if time.monotonic() - start > SLOW:
            _note(folder, f"slow: {round(time.monotonic() - start, -1):.0f} s", "", data)

    def change(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.25:
            return atheris.Mutate(data, max_size)
        changed = parser.change(data, rng)
        return changed if len(changed) <= max_size else data[:max_size]

    arguments = [
        *(sys.argv[0], str(corpus), f"-max_len={parser.largest}", "-len_control=0"),
        *("-timeout=7200", "-rss_limit_mb=4096", f"-artifact_prefix={folder}/findings/"),
    ]
    atheris.Setup(arguments, test, custom_mutator=change)
    atheris.Fuzz()


def _place(error: BaseException) -> str:
    """The innermost line of the package that an error went through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "fuzz" not in Path(frame.filename).name]
    frame = next(
        (f for f in reversed(ours) if "site-packages" not in f.filename), (ours or frames)[-1]
    )
    return f"{Path(frame.filename).name}:{frame.lineno}"


def _note(folder: Path, what: str, detail: str, data: bytes) -> None:
    """Keep a finding, once of each kind."""
    name = hashlib.sha256(what.encode("utf-8", "replace")).hexdigest()[:12]
    path = folder / "findings" / f"{name}.txt"
    if not path.exists():
        path.write_text(f"{what}\n\n{detail}", encoding="utf-8", errors="replace")
        path.with_suffix(".input").write_bytes(data)
        print(json.dumps({"finding": what, "input": str(path.with_suffix(".input"))}), flush=True)


def _last_input(folder: Path) -> bytes:
    try:
        return (folder / "last-input").read_bytes()
    except OSError:
        return b""


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
