"""Shared by the benchmarks: interleaved timings, so that a drifting machine moves both sides alike."""

import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def interleaved(rounds: int, actions: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each action, run in turn, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds + 1):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds[1:]) for name, seconds in times.items()}


def table(
    title: str, heading: Sequence[str], rows: Sequence[Sequence[str]], packages: Sequence[str]
) -> None:
    """Print a Markdown table with machine and versions."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    print(f"\n### {title}\n")
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {versions}\n")
    print(f"| {' | '.join(heading)} |")
    print(f"| {' | '.join('---' for _ in heading)} |")
    for row in rows:
        print(f"| {' | '.join(row)} |")
