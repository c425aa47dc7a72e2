"""`bookplate audit`: every registered test of every suspect, and one bundle of what came of them."""

import getpass
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..display import counted
from ..errors import InvalidInput
from .options import AsJson
from .output import print_json, print_note, print_rows, print_table, working
from .verdicts import EXIT_DOES_NOT_HOLD

if TYPE_CHECKING:
    from ..provenance.custody import AuthorityChain, SigningKey
    from ..stats.report import AuditReport, Letterhead
    from .audit.registering import Pair, Registered
    from .audit.running import Job

__all__ = ["audit"]

_EXAMPLE = "example.yaml"


def audit(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="AUDIT.yaml", help="The audit file; 'bookplate audit --example' prints one."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the bundle; default: AUDIT-bundle beside the file."),
    ] = None,
    sign: Annotated[
        Path | None, typer.Option(help="Private key that signs it: 'bookplate key new --signing'.")
    ] = None,
    as_zip: Annotated[
        bool, typer.Option("--zip", help="Also pack the bundle into OUT.zip.")
    ] = False,
    log: Annotated[
        Path | None,
        typer.Option(help="Custody log; default: custody.jsonl beside the file. Keep one for all."),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps finished tests; default: AUDIT.yaml.work beside it."),
    ] = None,
    who: Annotated[
        str | None, typer.Option(help="Who runs it, for the log; default: user and machine.")
    ] = None,
    tsa_roots: Annotated[
        list[Path] | None,
        typer.Option(help="Root certificates of a time authority (PEM); may be repeated."),
    ] = None,
    template: Annotated[
        Path | None,
        typer.Option(
            help="Your letterhead for the report: a .toml file with name, lines, accent, footer and logo, or "
            "a folder with letterhead.toml."
        ),
    ] = None,
    register: Annotated[
        bool,
        typer.Option(
            "--register",
            help="Only check the file, enter it in the log, and write AUDIT.yaml.tsq, a request to a time "
            "authority. Do this first.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only show what would be run, and what is missing (exit code 1); touches nothing.",
        ),
    ] = False,
    retry: Annotated[
        bool,
        typer.Option(
            "--retry", help="Try again what failed; what gave a result is never run again."
        ),
    ] = False,
    example: Annotated[
        bool, typer.Option("--example", help="Print an audit file to start from.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run every test that AUDIT.yaml registers, and write one bundle of report, exhibits and log.

    The SHA-256 of the file is the registration: tests, directions and thresholds are fixed before data are
    read. A killed run goes on with the same command. Exit code 0: done, whatever was found; 'report verify'
    and the report say what.
    """
    if example:
        typer.echo(_example(), nl=False)
        return
    if file is None:
        raise InvalidInput("which audit file?", "'bookplate audit --example' prints one")
    if register and dry_run:
        raise InvalidInput("--register and --dry-run do not go together", "choose one of them")
    with working(f"reading {file}"):
        from .audit.readiness import refuse_unready
        from .audit.registering import Registered

        registered = Registered.read(file)
    job = _job(registered, log, work, who, retry=retry)
    if dry_run:
        if not _show(job, as_json=as_json):
            raise typer.Exit(EXIT_DOES_NOT_HOLD)
        return
    refuse_unready(registered, job.work)
    for warning in registered.warnings:
        print_note(f"note: {warning}")
    if register:
        _register(job, as_json=as_json)
        return
    target = file.with_name(f"{file.stem}-bundle") if out is None else out
    _refuse_unfit(target, as_zip=as_zip)
    key, chains = _keys(sign, tsa_roots or [])
    report = _run(job, target, key, chains, _letterhead(template))
    if as_zip:
        from ..provenance.bundle.sealing import pack

        pack(target, _zip_of(target))
    _tell(report, registered, target, as_zip=as_zip, as_json=as_json)


def _job(
    registered: "Registered", log: Path | None, work: Path | None, who: str | None, *, retry: bool
) -> "Job":
    from .audit.running import Job
    from .reporting import repeat_command

    file = registered.path
    return Job(
        registered=registered,
        work=file.with_name(f"{file.name}.work") if work is None else work,
        log=file.with_name("custody.jsonl") if log is None else log,
        who=who or _somebody(),
        command=(repeat_command(),),
        retry=retry,
        debug="--debug" in sys.argv[1:],
    )


def _somebody() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a system without accounts
        user = "unknown user"
    return f"{user} at {platform.node() or 'unknown machine'}"


def _refuse_unfit(target: Path, *, as_zip: bool) -> None:
    """Before hours of work, not after."""
    from .reporting import refuse_unfit

    refuse_unfit(target)
    if target.suffix == ".zip":
        raise InvalidInput(f"{target}: names a folder", "leave out .zip, and say --zip")
    if as_zip:
        refuse_unfit(_zip_of(target))


def _zip_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.zip")


def _keys(
    sign: Path | None, tsa_roots: list[Path]
) -> "tuple[SigningKey | None, list[AuthorityChain]]":
    from ..provenance.custody import AuthorityChain, SigningKey

    key = None if sign is None else SigningKey.read(sign)
    return key, [AuthorityChain.read(path) for path in tsa_roots]


def _run(
    job: "Job",
    target: Path,
    key: "SigningKey | None",
    chains: "list[AuthorityChain]",
    letterhead: "Letterhead | None",
) -> "AuditReport":
    from .audit.assembly import assemble
    from .audit.running import run
    from .reporting import now

    outcomes = run(job)
    with working("writing the bundle"):
        return assemble(
            job.registered,
            outcomes,
            target,
            signing_key=key,
            log=job.log,
            chains=chains,
            created=now(),
            who=job.who,
            command=job.command[0],
            letterhead=letterhead,
        )


def _letterhead(path: Path | None) -> "Letterhead | None":
    from ..stats.report import Letterhead

    return None if path is None else Letterhead.read(path)


def _register(job: "Job", *, as_json: bool) -> None:
    from ..files import new_file
    from ..provenance.custody import TimestampRequest
    from .audit.readiness import refuse_missing, refuse_other_request
    from .audit.running import register
    from .timestamp_commands import how_to_send

    registered = job.registered
    refuse_missing(registered)
    query = registered.path.with_name(f"{registered.path.name}.tsq")
    refuse_other_request(query, registered)
    is_new = register(job)
    if not query.exists():
        with new_file(query) as staged:
            staged.write_bytes(TimestampRequest.of(registered.data).to_bytes())
    send, then = how_to_send(registered.path, query)
    if as_json:
        print_json({
            "sha256": registered.pre_registration,
            "tests": len(registered.pairs),
            "log": str(job.log),
            "request": str(query),
            "new": is_new,
            "send": send,
            "then": then,
        })
        return
    print_rows([
        ("SHA-256", registered.pre_registration),
        ("tests", f"{len(registered.pairs):,} registered, alpha {registered.audit.alpha:g}, Holm"),
        ("log", f"{job.log}{'' if is_new else ': entered before'}"),
        ("request", f"{query}: send it to a time authority before the first test"),
        ("send it", send),
        ("then", then),
        ("optional", "without it check 6 stays 'time unproven'"),
    ])


def _show(job: "Job", *, as_json: bool) -> bool:
    """What would be run; returns whether it can be."""
    from .audit.readiness import changed

    registered = job.registered
    other, left, missing = (
        changed(registered, job.work),
        registered.placeholders(),
        registered.missing(),
    )
    ready = not (other or left or missing)
    present = [(where, str(path), path.exists()) for where, path in registered.files()]
    everything = (*registered.pairs, *registered.controls)
    if as_json:
        print_json({
            "sha256": registered.pre_registration,
            "audit": registered.audit.normalised(),
            "tests": [_pair_json(registered, pair) for pair in everything],
            "files": [{"where": w, "path": p, "found": found} for w, p, found in present],
            "warnings": list(registered.warnings),
            "placeholders": [{"line": line, "field": field} for line, field in left],
            "changed": other,
            "ready": ready,
        })
        return ready
    print_rows([("SHA-256", registered.pre_registration), ("alpha", f"{registered.audit.alpha:g}")])
    print_table(
        ("test", "kind", "role", "seed"),
        [(pair.id, pair.planned.kind, pair.role, str(pair.seed)) for pair in everything],
    )
    print_rows([
        *(("found" if found else "MISSING", f"{where}: {path}") for where, path, found in present),
        *(("FILL IN", f"line {line}: {field}") for line, field in left),
        *((("CHANGED", other),) if other else ()),
        *(("note", warning) for warning in registered.warnings),
        ("asked", _requests(registered)),
    ])
    return ready


def _pair_json(registered: "Registered", pair: "Pair") -> dict[str, Any]:
    settings = {test.test: test.settings for test in registered.registered_tests()}
    return {
        "id": pair.id,
        "kind": pair.planned.kind,
        "role": pair.role,
        "seed": pair.seed,
        "direction": pair.planned.DIRECTION,
        "settings": settings.get(pair.id, ""),
    }


def _requests(registered: "Registered") -> str:
    """Which tests ask endpoints, and what bounds their number; it is not known before datasets are read."""
    models = registered.audit.models
    asking = [
        pair.id
        for pair in (*registered.pairs, *registered.controls)
        if pair.section == "models"
        and any(models[name].is_endpoint for name in (pair.subject, *pair.references))
    ]
    if not asking:
        return "no endpoint"
    limits = registered.audit.budget
    most = (
        "no limit"
        if limits.max_queries is None
        else f"at most {counted(limits.max_queries, 'request')}"
    )
    return f"endpoints by {counted(len(asking), 'test')}, {most} in all"


def _tell(
    report: "AuditReport", registered: "Registered", target: Path, *, as_zip: bool, as_json: bool
) -> None:
    from ..stats import format_p

    if as_json:
        print_json({
            "bundle": str(target),
            "zip": str(_zip_of(target)) if as_zip else None,
            "sha256": registered.pre_registration,
            "tests": [
                *(
                    {
                        "id": entry.test,
                        "suspect": entry.suspect,
                        "status": entry.status.value,
                        "log10_p_corrected": entry.log10_p_corrected,
                    }
                    for entry in report.entries
                ),
                *(
                    {"id": test.test, "suspect": test.suspect, "status": test.status.value}
                    for test in report.not_run
                ),
            ],
        })
        return
    print_table(
        ("test", "status", f"p, corrected for {report.n_tests}"),
        [
            *((e.test, e.status.value, format_p(e.log10_p_corrected)) for e in report.entries),
            *((t.test, t.status.value, "") for t in report.not_run),
        ],
    )
    print_rows([
        *(("not run", f"{test.test}: {test.reason}") for test in report.not_run),
        ("bundle", str(target)),
        *([("zip", str(_zip_of(target)))] if as_zip else []),
    ])


def _example() -> str:
    from importlib.resources import files

    return files("bookplate.cli.audit").joinpath(_EXAMPLE).read_text(encoding="utf-8")
