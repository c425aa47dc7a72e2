"""From outcomes to a bundle: report, exhibits, commitments, log, and a signature over all of them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from ... import __version__
from ...errors import InvalidInput
from ...files import new_folder, sha256_of_file
from ...provenance.bundle import layout, write_exhibit
from ...provenance.bundle.predicate import ClaimedTest, Predicate
from ...provenance.bundle.sealing import seal
from ...provenance.custody import AuthorityChain, SigningKey
from ...provenance.custody import log as custody_log
from ...stats.report import (
    AuditReport,
    Exhibit,
    Letterhead,
    NotRun,
    render_html,
    render_markdown,
    render_pdf,
)
from ..reporting import versions
from .case import case_of
from .commitments import Committed, committed_by
from .controls import control_exhibit_name, controls_from, numbers_of
from .limits import limits_of
from .outcomes import Outcome
from .registering import Registered
from .rows import write_rows

__all__ = ["assemble"]


def assemble(
    registered: Registered,
    outcomes: Sequence[Outcome],
    out: Path,
    *,
    signing_key: SigningKey | None,
    log: Path,
    chains: Sequence[AuthorityChain],
    created: str,
    who: str,
    command: str,
    letterhead: Letterhead | None = None,
) -> AuditReport:
    """Write the bundle of an audit.

    1. Exhibits: the numbers behind every p-value, the rows committed to, and what endpoints told.
    2. The registration, the commitments and their timestamps, as they were published.
    3. The log, after an entry that says that a bundle was made.
    4. The report for machines, as a page, for print and for a model card.
    5. With a key: the signature over all of it.

    Args:
        registered: The audit.
        outcomes: One for each registered pair, in its order.
        out: Folder to make.
        signing_key: Who signs; None leaves the bundle unsigned.
        log: The custody log.
        chains: Authorities whose timestamps count.
        created: Time of the report, RFC 3339 in UTC.
        who: Who acts, for the log.
        command: The command that repeats the audit.
        letterhead: Whose letterhead the report bears; it is part of report.json.

    Returns:
        The report.

    Raises:
        InvalidInput: If `out` exists, an outcome is missing, or a file cannot be read.
        VerificationError: If a timestamp is not over what it is named for, or the log was altered.
    """
    if [outcome.test for outcome in outcomes] != [pair.id for pair in registered.pairs]:
        raise InvalidInput("the outcomes are not those of the registered tests")
    committed = committed_by(registered, chains)
    controls = controls_from(registered, numbers_of(registered, outcomes))
    with new_folder(out) as staged:
        exhibits = _write_exhibits(registered, outcomes, staged)
        _write_commitments(committed, staged)
        custody_log.append(
            log,
            "preservation",
            who=who,
            details={
                "registration": registered.pre_registration,
                "exhibits": {e.name: e.sha256 for e in exhibits},
            },
        )
        (staged / layout.CUSTODY).write_bytes(log.read_bytes())
        case = case_of(
            registered,
            outcomes,
            committed,
            custody_log.verify(staged / layout.CUSTODY),
            controls,
            key_fingerprint="" if signing_key is None else signing_key.public.keyid,
            created=created,
            letterhead=letterhead,
        )
        kinds = {pair.id: pair for pair in registered.pairs}
        findings = [(kinds[o.test].subject, o.finding, o) for o in outcomes if o.finding]
        report = AuditReport.from_findings(
            [
                (suspect, finding, kinds[outcome.test].planned.power)
                for suspect, finding, outcome in findings
            ],
            title=registered.audit.title,
            subject=registered.audit.subject,
            alpha=registered.audit.alpha,
            command=command,
            versions=versions(),
            created=created,
            controls=controls.null,
            exhibits=exhibits,
            limits=limits_of(registered, outcomes, committed),
            not_run=[_not_run(registered, outcome) for outcome in outcomes if not outcome.finding],
            failed_assumptions={
                (suspect, finding.name): outcome.failed_assumption
                for suspect, finding, outcome in findings
                if outcome.failed_assumption
            },
            case=case,
            ids={(suspect, finding.name): outcome.test for suspect, finding, outcome in findings},
        )
        _write_report(report, staged)
        if signing_key is not None:
            seal(staged, _predicate(registered, report, committed[1]), signing_key)
    return report


def _write_exhibits(
    registered: Registered, outcomes: Sequence[Outcome], folder: Path
) -> list[Exhibit]:
    """Step 1; the exhibits in order of their names."""
    described: dict[str, str] = {}
    (folder / "exhibits").mkdir()
    for number, outcome in enumerate(outcomes, 1):
        if outcome.finding is not None and outcome.finding.working is not None:
            name = layout.exhibit_name(number)
            write_exhibit(outcome.finding.working, folder / name)
            described[name] = f"the numbers that {outcome.test} was computed from"
        for attachment in outcome.attachments:
            name = f"exhibits/{outcome.test}-{attachment.name}"
            (folder / name).write_bytes(attachment.content)
            described[name] = attachment.description
    told = {
        f"{pair.test}.{name}": finding
        for pair, outcome in zip(registered.pairs, outcomes, strict=True)
        for name, finding in {**outcome.controls, **outcome.positives}.items()
    }
    for pair in registered.controls:
        if pair.id in told and (working := told[pair.id].working) is not None:
            name = control_exhibit_name(pair)
            write_exhibit(working, folder / name)
            described[name] = f"the numbers that the control {pair.id} was computed from"
    described.update(write_rows(registered, outcomes, folder))
    return [
        Exhibit(name=name, sha256=sha256_of_file(folder / name), description=text)
        for name, text in described.items()
    ]


def _write_commitments(committed: tuple[Committed, tuple[Committed, ...]], folder: Path) -> None:
    """Step 2."""
    (folder / "commitments").mkdir()
    for one in (committed[0], *committed[1]):
        (folder / one.name).write_bytes(one.content)
        for stamp in one.stamps:
            (folder / stamp.name).write_bytes(stamp.content)
    if not any((folder / "commitments").iterdir()):
        (folder / "commitments").rmdir()


def _write_report(report: AuditReport, folder: Path) -> None:
    """Step 4."""
    (folder / layout.REPORT_JSON).write_bytes(report.to_json())
    page = render_html(report)
    (folder / layout.REPORT_HTML).write_text(page, encoding="utf-8")
    short = render_markdown(report, page=page)
    (folder / layout.REPORT_MARKDOWN).write_text(short, encoding="utf-8")
    (folder / layout.REPORT_PDF).write_bytes(render_pdf(report, page=page))


def _not_run(registered: Registered, outcome: Outcome) -> NotRun:
    (due,) = (test for test in registered.registered_tests() if test.test == outcome.test)
    return NotRun(
        suspect=due.suspect,
        name=f"{due.kind} ({outcome.test.partition('.')[0]})",
        question=due.question,
        reason=outcome.reason,
        test=outcome.test,
    )


def _predicate(
    registered: Registered, report: AuditReport, committed: Sequence[Committed]
) -> Predicate:
    """Step 5: what the signature says besides the digests."""
    status = {entry.test: entry.status.value for entry in report.entries}
    status.update((test.test, test.status.value) for test in report.not_run)
    return Predicate(
        report_id=registered.audit.report_id,
        tool_version=__version__,
        created_at=report.created,
        pre_registration_sha256=hashlib.sha256(registered.data).hexdigest(),
        commitments=tuple(one.commitment() for one in committed),
        tests=tuple(
            ClaimedTest(
                id=pair.id, kind=pair.planned.kind, suspect=pair.subject, status=status[pair.id]
            )
            for pair in registered.pairs
        ),
        suspects=tuple(dict.fromkeys(pair.subject for pair in registered.pairs)),
        alpha=registered.audit.alpha,
        correction=registered.audit.correction,
        custody_head="" if report.case is None else report.case.custody_head,
        previous_statement_sha256=registered.audit.previous_statement,
    )
