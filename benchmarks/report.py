"""How large and how slow a big report is: 100 suspects, 5 tests each, and a case around them.

    python benchmarks/report.py [SUSPECTS] [TESTS]

The findings are made up: one of each kind of test, given other names. Writes all four forms as an audit
does, prints the bytes and processor seconds of each (other programs may share the machine), and exits
with 1 where a file is larger than 5 MB or all take longer than 30 s.
"""

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "stats"))
from bookplate.stats.report import (
    AuditReport,
    ExaminedItem,
    Exhibit,
    render_html,
    render_markdown,
    render_pdf,
)
from sample_case import sample_case, sample_report, sha

__all__ = ["big_report"]

LARGEST, LONGEST = 5_000_000, 30.0


def big_report(suspects: int, tests: int) -> AuditReport:
    """A report of so many suspects and tests, with every text of its real length.

    Args:
        suspects: Number of suspects.
        tests: Tests of each.
    """
    sample = sample_report()
    case = sample_case()
    kinds = {test.test: test for test in case.registered}
    names = [f"suspect-{i:03d}" for i in range(suspects)]
    entries = [sample.entries[k % len(sample.entries)] for k in range(tests)]
    rows, registered = [], []
    for name in names:
        for k, entry in enumerate(entries):
            finding = entry.finding.about(name=f"{entry.finding.name}, {k}")
            rows.append((f"T{k}.{name}", name, finding, entry.power))
            registered.append(
                replace(kinds[entry.test], test=f"T{k}.{name}", suspect=name, power=entry.power)
            )
    big = replace(
        case,
        registered=tuple(registered),
        items=(
            *case.items,
            *(ExaminedItem(name=n, kind="model", role="suspect", sha256=sha(n)) for n in names),
        ),
    )
    return AuditReport.from_findings(
        [(suspect, finding, power) for _, suspect, finding, power in rows],
        title=sample.title,
        subject=sample.subject,
        alpha=sample.alpha,
        command=sample.command,
        versions=sample.versions,
        created=sample.created,
        controls=sample.controls,
        exhibits=[
            Exhibit(name=f"exhibits/T{i:02d}.parquet", sha256=sha(str(i)), description="numbers")
            for i in range(1, len(rows) + 1)
        ],
        limits=sample.limits,
        case=big,
        ids={(suspect, finding.name): name for name, suspect, finding, _ in rows},
    )


def main() -> int:
    """Build one, and say what it cost."""
    given = [int(word) for word in sys.argv[1:]] or [100, 5]
    suspects, tests = given
    report = big_report(suspects, tests)
    start, begun = time.perf_counter(), _processor_seconds()
    page = render_html(report)
    forms: dict[str, Callable[[], bytes]] = {
        "report.json": report.to_json,
        "report.md": lambda: render_markdown(report, page=page).encode(),
        "report.pdf": lambda: render_pdf(report, page=page),
    }
    sizes = {"report.html": len(page.encode())}
    print(f"{suspects} suspects x {tests} tests")
    print(f"report.html: {sizes['report.html']:,} bytes in {_processor_seconds() - begun:.1f} s")
    for name, made in forms.items():
        before = _processor_seconds()
        sizes[name] = len(made())
        print(f"{name}: {sizes[name]:,} bytes in {_processor_seconds() - before:.1f} s")
    seconds, wall = _processor_seconds() - begun, time.perf_counter() - start
    print(f"all: {seconds:.1f} s of processor time, {wall:.1f} s on the clock")
    return int(max(sizes.values()) > LARGEST or seconds > LONGEST)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
