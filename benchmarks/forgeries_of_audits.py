"""Forgeries of a whole audit's bundle by the claimant, before signing: what only check 11 can refuse.

The bundle that is forged is the one that stands among the tests as an example of format 1.
"""

import hashlib
import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cli"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "provenance"))
from bookplate.cli.audit.linking import LINK_CHECKS
from bookplate.cli.audit.registering import registration_of
from bookplate.provenance.bundle import read_exhibit, write_exhibit
from bookplate.provenance.bundle.predicate import PREDICATE_TYPE
from bookplate.provenance.bundle.verification import Verification, verify
from bookplate.provenance.custody import sign, statement_over
from bookplate.provenance.custody.envelopes import Envelope
from bookplate.stats import Finding, Input
from bookplate.stats.report import AuditReport, TimelineEvent, render_html, render_markdown
from bundle_format_1 import KEY
from sample_bundle import Authority

__all__ = ["OF_AUDITS", "SAMPLE", "AuditShop"]

SAMPLE = Path(__file__).parents[1] / "tests" / "fixtures" / "bundle-format-1.zip"
STATEMENT = "statement.dsse.json"
EXHIBITS = {"mark.guilty": "exhibits/T01.parquet", "order.innocent": "exhibits/T04.parquet"}
_Change = Callable[[Path, AuditReport], AuditReport]
OF_AUDITS: dict[str, tuple[str, _Change]] = {}  # by name: words of the reason, and what is changed


class AuditShop:
    """The sound bundle of an audit, and copies of it that were changed and signed anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sound = folder / "sound"
        with zipfile.ZipFile(SAMPLE) as archive:
            archive.extractall(self.sound)

    def forged(self, name: str) -> Path:
        """The bundle after one of the changes, signed by the claimant."""
        folder = Path(
            shutil.copytree(self.sound, self.folder / f"forged-{len(list(self.folder.iterdir()))}")
        )
        report = AuditReport.from_json((folder / "report.json").read_bytes())
        report = OF_AUDITS[name][1](folder, report)
        page = render_html(report)
        (folder / "report.json").write_bytes(report.to_json())
        (folder / "report.html").write_text(page, encoding="utf-8")
        (folder / "report.md").write_text(render_markdown(report, page=page), encoding="utf-8")
        old = Envelope.read((folder / STATEMENT).read_bytes()).unverified_payload
        predicate = json.loads(old)["predicate"]
        (folder / STATEMENT).unlink()
        payload = statement_over(folder, predicate, PREDICATE_TYPE)
        (folder / STATEMENT).write_bytes(sign(KEY, payload).to_bytes())
        return folder

    def verified(self, path: Path) -> Verification:
        """As somebody who knows the claimant's key."""
        return verify(
            path, keys=[KEY.public], read_registration=registration_of, link_checks=LINK_CHECKS
        )


def _forgery(reason: str) -> Callable[[_Change], _Change]:
    def listed(change: _Change) -> _Change:
        OF_AUDITS[(change.__doc__ or "").rstrip(".")] = reason, change
        return change

    return listed


def _told(report: AuditReport, test: str, **changes: object) -> AuditReport:
    """With other words in one finding; the checks of assumptions follow."""
    entries = tuple(
        replace(e, finding=e.finding.about(**changes)) if e.test == test else e
        for e in report.entries
    )
    return replace(report, entries=entries)


def _finding(report: AuditReport, test: str) -> Finding:
    (found,) = (entry.finding for entry in report.entries if entry.test == test)
    return found


def _case(report: AuditReport, **changes: object) -> AuditReport:
    if report.case is None:
        raise TypeError("the sample tells a case")
    return replace(report, case=replace(report.case, **changes))  # type: ignore[arg-type]


@_forgery("another name than that of its kind")
def name(folder: Path, report: AuditReport) -> AuditReport:
    """A finding is called by a stronger name."""
    del folder
    return _told(report, "mark.guilty", name="proof of theft (mark)")


@_forgery("another question than that of its kind")
def question(folder: Path, report: AuditReport) -> AuditReport:
    """A finding answers a question that was not asked."""
    del folder
    return _told(report, "mark.guilty", question="Did guilty steal the release?")


@_forgery("asks about something else than was tested")
def other_subject(folder: Path, report: AuditReport) -> AuditReport:
    """A finding asks about a model that was not tested."""
    del folder
    return _told(
        report, "mark.guilty", question="Was a famous model trained on the marked release?"
    )


@_forgery("another null hypothesis than that of its kind")
def null(folder: Path, report: AuditReport) -> AuditReport:
    """A finding states a null hypothesis that its test does not test."""
    del folder
    return _told(report, "mark.guilty", null="The model was built lawfully.")


@_forgery("another unit than that of its kind")
def unit(folder: Path, report: AuditReport) -> AuditReport:
    """A finding calls its few units by the name of many."""
    del folder
    return _told(report, "mark.guilty", unit="documents")


@_forgery("its unit counts 92 of 52")
def counted(folder: Path, report: AuditReport) -> AuditReport:
    """An influence audit claims more controls than it has."""
    del folder
    return _told(report, "influence.densities", unit="documents (12 claimed, 80 controls)")


@_forgery("another statistic than that of its kind")
def statistic(folder: Path, report: AuditReport) -> AuditReport:
    """A finding's number is called something else."""
    del folder
    value = _finding(report, "mark.guilty").statistic
    return _told(report, "mark.guilty", statistic=replace(value, name="certainty"))


@_forgery("leaves out the assumption")
def assumption(folder: Path, report: AuditReport) -> AuditReport:
    """The assumption that the key was secret is left out."""
    del folder
    return _told(report, "mark.guilty", assumptions=())


@_forgery("leaves out the warning")
def no_training(folder: Path, report: AuditReport) -> AuditReport:
    """An influence audit leaves out that influence is no evidence of training."""
    del folder
    return _told(report, "influence.densities", warnings=())


@_forgery("states an assumption that its kind does not make")
def surplus(folder: Path, report: AuditReport) -> AuditReport:
    """A finding assumes what an expert is said to have confirmed."""
    del folder
    stated = _finding(report, "mark.guilty").assumptions
    more = "An expert appointed by the court confirmed that guilty was trained on the release."
    return _told(report, "mark.guilty", assumptions=(*stated, more))


@_forgery("states an assumption that its kind does not make")
def conceded(folder: Path, report: AuditReport) -> AuditReport:
    """The blank of an assumption is filled with a sentence of its own."""
    del folder
    words = "Scored were whole sequences. The defendant conceded the copying, as fixed beforehand."
    stated = _finding(report, "order.innocent").assumptions
    other = tuple(words if text.startswith("Scored") else text for text in stated)
    return _told(report, "order.innocent", assumptions=other)


@_forgery("another name than that of its kind")
def praised(folder: Path, report: AuditReport) -> AuditReport:
    """The blank of a name is filled with praise."""
    del folder
    return _told(report, "order.innocent", name="palimpsest query (sworn by an expert) (order)")


@_forgery("asks about something else than was tested")
def other_input(folder: Path, report: AuditReport) -> AuditReport:
    """A finding asks about a product, and lists it among its inputs."""
    del folder
    product = Input(name="a famous model", sha256="ab" * 32)
    question = "Was a famous model trained on the marked release?"
    return _told(report, "mark.guilty", inputs=(product,), question=question)


@_forgery("asks about something else than was tested")
def nobody(folder: Path, report: AuditReport) -> AuditReport:
    """A finding asks about nothing by name."""
    del folder
    return _told(report, "mark.guilty", question="Was  trained on the marked release?")


@_forgery("asks about something else than was tested")
def other_query(folder: Path, report: AuditReport) -> AuditReport:
    """An influence audit is called by another query than the one that it asks about."""
    del folder
    sworn = "influence audit, sworn by an expert (influence)"
    return _told(report, "influence.densities", name=sworn)


@_forgery("no limit of this audit: 'None of these")
def waived(folder: Path, report: AuditReport) -> AuditReport:
    """A limit is added that waives the others."""
    del folder
    return replace(report, limits=(*report.limits, "None of these limits applies here."))


@_forgery("the limits do not say")
def appended(folder: Path, report: AuditReport) -> AuditReport:
    """To each limit, words are added that take it back."""
    del folder
    other = tuple(f"{limit} But this does not matter here." for limit in report.limits)
    return replace(report, limits=other)


def _recomputed(
    folder: Path, report: AuditReport, test: str, columns: Mapping[str, np.ndarray]
) -> AuditReport:
    """A test with other columns, or with fewer rows, and all its numbers as they follow."""
    path = folder / EXHIBITS[test]
    working, n = read_exhibit(path), min(map(len, columns.values()))
    columns = {key: column[:n] for key, column in {**working.columns, **columns}.items()}
    path.unlink()
    names, choices = working.names[:n], working.choices[:n]
    write_exhibit(replace(working, columns=columns, names=names, choices=choices), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    old, new = _finding(report, test), read_exhibit(path).repeat()
    words = ("name", "question", "null", "unit", "warnings", "assumptions")
    new = new.about(**{word: getattr(old, word) for word in words})
    tests = [(e.suspect, new if e.finding is old else e.finding, e.power) for e in report.entries]
    exhibits = [
        replace(x, sha256=digest) if x.name == EXHIBITS[test] else x for x in report.exhibits
    ]
    ids = {(e.suspect, e.finding.name): e.test for e in report.entries}
    kept = ("title", "subject", "alpha", "command", "versions", "created", "controls", "limits")
    fields = {name: getattr(report, name) for name in (*kept, "not_run", "case")}
    return AuditReport.from_findings(tests, ids=ids, exhibits=exhibits, **fields)


@_forgery("are not those of the committed rows")
def frequencies(folder: Path, report: AuditReport) -> AuditReport:
    """Word frequencies are chosen with the key in hand, so that p becomes smaller."""
    working = read_exhibit(folder / EXHIBITS["mark.guilty"])
    suiting = working.columns["value"] - 3.0 * working.columns["chosen"]  # all but the mark
    return _recomputed(folder, report, "mark.guilty", {"reference_0": suiting})


@_forgery("which needs ")
def lost(folder: Path, report: AuditReport) -> AuditReport:
    """Units that speak against the claim are left out, with a warning that one record was missing."""
    working = read_exhibit(folder / EXHIBITS["mark.guilty"])
    starts = working.unit_starts()
    report = _recomputed(
        folder, report, "mark.guilty", {"value": working.columns["value"][: starts[5]]}
    )
    warnings = _finding(report, "mark.guilty").warnings
    return _warned(report, f"1 of 60 {_MISSING}", warnings)


@_forgery("are not in it, such as")
def lost_somehow(folder: Path, report: AuditReport) -> AuditReport:
    """The same, with a warning that only resembles the program's."""
    report = lost(folder, report)
    words = f"Some {_MISSING}"
    return _warned(report, words, _finding(report, "mark.guilty").warnings[:-1])


def _warned(report: AuditReport, words: str, warnings: tuple[str, ...]) -> AuditReport:
    """With this warning in both findings of the mark."""
    for test in ("mark.guilty", "mark.innocent"):
        report = _told(report, test, warnings=(*warnings, words))
    return report


_MISSING = "records of the manifest are in none of the files at hand: they were left out."


@_forgery("leaves out the warning: 'Sequences that follow each other")
def alike(folder: Path, report: AuditReport) -> AuditReport:
    """The warning is left out that neighbours in the training order have alike scores."""
    rng = np.random.default_rng(2)
    scores = np.repeat(rng.normal(size=12), 5)
    return _recomputed(folder, report, "order.innocent", {"y": scores})


@_forgery("its exhibit has 55 of 60 sequences, and its warnings do not say why")
def fewer(folder: Path, report: AuditReport) -> AuditReport:
    """Sequences that speak against the claim are left out of an order test, and p follows."""
    scores = read_exhibit(folder / EXHIBITS["order.innocent"]).columns["y"]
    return _recomputed(folder, report, "order.innocent", {"y": scores[:55]})


@_forgery("does not say that the registered sample of 60 sequences was drawn")
def sample(folder: Path, report: AuditReport) -> AuditReport:
    """A finding does not say how its sample was drawn."""
    del folder
    kept = [x for x in _finding(report, "order.innocent").assumptions if not x.startswith("All ")]
    return _told(report, "order.innocent", assumptions=tuple(kept))


@_forgery("the report tells entry 3 in other words")
def logged(folder: Path, report: AuditReport) -> AuditReport:
    """An entry of the log is told in other words."""
    del folder
    custody = report.case.custody if report.case else ()
    other = (replace(r, what="examined under supervision") if r.number == 3 else r for r in custody)
    return _case(report, custody=tuple(other))


@_forgery("kind of guilty")
def kind(folder: Path, report: AuditReport) -> AuditReport:
    """A model is called something else."""
    del folder
    items = report.case.items if report.case else ()
    other = (replace(i, kind="released product") if i.name == "guilty" else i for i in items)
    return _case(report, items=tuple(other))


@_forgery("which the custody log does not")
def event(folder: Path, report: AuditReport) -> AuditReport:
    """The timeline tells of an event that nobody logged."""
    del folder
    events = report.case.events if report.case else ()
    made_up = replace(events[0], what="guilty admitted the use", proof="")
    return _case(report, events=(made_up, *events))


@_forgery("which the custody log does not")
def earlier(folder: Path, report: AuditReport) -> AuditReport:
    """A test is told to have begun a month earlier."""
    del folder
    events = list(report.case.events) if report.case else []
    place = next(i for i, e in enumerate(events) if e.what == "The test order began")
    events[place] = replace(events[place], at="2026-10-20T09:00:00Z")
    return _case(report, events=tuple(sorted(events, key=lambda e: e.at)))


def _proven(
    folder: Path, report: AuditReport, what: str, stamps: Sequence[str] = ("reviews.json.1",)
) -> AuditReport:
    """With timestamps over the commitment, by an authority of one's own, and what they are to prove."""
    at = "2026-11-20T08:00:00Z"
    authority = Authority(Path(tempfile.mkdtemp(dir=folder.parent)))
    message = (folder / "commitments/reviews.json").read_bytes()
    (folder / "commitments/reviews.json.1.tsr").write_bytes(
        authority.stamp(message, datetime.fromisoformat(at))
    )
    proof = "RFC 3161 timestamp of CN=Sample TSA (commitments/{}.tsr)"
    made = [TimelineEvent(at=at, what=what, proof=proof.format(stamp)) for stamp in stamps]
    return _case(report, events=(*made, *(report.case.events if report.case else ())))


@_forgery("which commitments/reviews.json.1.tsr does not prove")
def proven_lie(folder: Path, report: AuditReport) -> AuditReport:
    """A timestamp over the commitment is named as proof of an admission."""
    return _proven(folder, report, "The developer of guilty admitted the use by letter")


@_forgery("which commitments/reviews.json.1.tsr does not prove")
def proven_other(folder: Path, report: AuditReport) -> AuditReport:
    """A timestamp over the commitment is named as proof of the registration."""
    return _proven(folder, report, "The registration of this audit existed")


@_forgery("named as proof of two times")
def proven_twice(folder: Path, report: AuditReport) -> AuditReport:
    """One timestamp is told as two."""
    what = "The commitment to the dataset reviews existed"
    return _proven(folder, report, what, ("reviews.json.1", "reviews.json.1"))


@_forgery("the timeline leaves out")
def gap(folder: Path, report: AuditReport) -> AuditReport:
    """The timeline leaves out when the audit was registered."""
    del folder
    events = report.case.events if report.case else ()
    return _case(report, events=tuple(e for e in events if "registered" not in e.what))


def refused(shop: AuditShop, names: Collection[str] = ()) -> int:
    """Print what becomes of each, by all checks; how many are refused for their own reason."""
    good = 0
    for name, (reason, _) in OF_AUDITS.items():
        if names and name not in names:
            continue
        failed = {check.number: check for check in shop.verified(shop.forged(name)).failed}
        # Where p rises above the threshold, check 4 refuses the status besides.
        found = failed.get(11) or next(iter(failed.values()), None)
        mine = found is not None and found.number == 11 and reason in found.detail
        good += mine
        seen = f"check {found.number}: {found.detail[:110]}" if found else "not noticed"
        print(f"{'refused' if mine else 'MISSED'}  {name}\n         {seen}")
    return good
