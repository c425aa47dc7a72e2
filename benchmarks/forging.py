"""A workshop for forgers of bundles: a sound bundle, copies of it, and the tools to change them."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "provenance"))
from bookplate.provenance.bundle import read_exhibit, write_exhibit
from bookplate.provenance.bundle.predicate import PREDICATE_TYPE
from bookplate.provenance.bundle.sealing import pack
from bookplate.provenance.bundle.verification import Verification, verify
from bookplate.provenance.custody import AuthorityChain, SigningKey, sign, statement_over
from bookplate.provenance.custody.envelopes import Envelope
from bookplate.stats.report import AuditReport, render_html
from sample_bundle import Draft, registration, sound_bundle

STATEMENT, SIGNER = "statement.dsse.json", "signer.pem"


class Workshop:
    """A sound bundle, and what forgers do to copies of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sound, self.key, self.authority = sound_bundle(folder)
        self.stranger = SigningKey.generate()
        self._made = 0

    def place(self) -> Path:
        """A path that is not taken."""
        self._made += 1
        return self.folder / f"forged-{self._made}"

    def copy(self) -> Path:
        """The sound bundle, to be changed."""
        return Path(shutil.copytree(self.sound, self.place()))

    def draft(self) -> Draft:
        """A bundle to be written otherwise."""
        return Draft(self.authority, self.place())

    def zipped(self, folder: Path | None = None) -> Path:
        """A .zip of a bundle."""
        path = self.place()
        pack(folder or self.sound, path)
        return path

    def resigned(self, folder: Path, key: SigningKey | None = None, **changes: object) -> Path:
        """Signed anew: by the claimant if no key is given; `changes` go into the predicate."""
        old = Envelope.read((folder / STATEMENT).read_bytes()).unverified_payload
        predicate = json.loads(old)["predicate"] | changes
        shutil.rmtree(folder / "timestamps", ignore_errors=True)
        key = key or self.key
        (folder / STATEMENT).unlink()
        (folder / SIGNER).write_bytes(key.public.to_pem())
        payload = statement_over(folder, predicate, PREDICATE_TYPE)
        (folder / STATEMENT).write_bytes(sign(key, payload).to_bytes())
        return folder

    def verified(self, path: Path) -> Verification:
        """As somebody who knows the claimant's key and trusts the authority."""
        return verify(
            path,
            keys=[self.key.public],
            authorities=[AuthorityChain.from_pem(self.authority.root.pem)],
            read_registration=registration,
        )


@dataclass(frozen=True)
class Forgery:
    """One way to forge.

    Attributes:
        name: In words.
        check: Number of the first check that fails.
        reason: Words of its reason.
        make: Makes it; gives its path.
    """

    name: str
    check: int
    reason: str
    make: Callable[[Workshop], Path]


FORGERIES: list[Forgery] = []


def forgery(check: int, reason: str) -> Callable[[Callable[[Workshop], Path]], object]:
    """Put a function on the list, under its docstring."""

    def listed(make: Callable[[Workshop], Path]) -> object:
        FORGERIES.append(Forgery((make.__doc__ or "").rstrip("."), check, reason, make))
        return make

    return listed


def flipped(data: bytes, at: int) -> bytes:
    """With one bit changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def edited_json(folder: Path, change: Callable[[dict], object]) -> None:
    """Change report.json, and render the page from it as far as it still is a report."""
    path = folder / "report.json"
    data = json.loads(path.read_bytes())
    change(data)
    text = json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    path.write_bytes(text.encode() + b"\n")


def rewritten(folder: Path, change: Callable[[AuditReport], AuditReport]) -> None:
    """Another report, whole and consistent, with its page."""
    report = change(AuditReport.from_json((folder / "report.json").read_bytes()))
    (folder / "report.json").write_bytes(report.to_json())
    (folder / "report.html").write_text(render_html(report), encoding="utf-8")


def judged_anew(report: AuditReport, **changes: object) -> AuditReport:
    """A report with other findings, threshold, tests or case, its answers computed as they should be."""
    fields = {
        name: getattr(report, name)
        for name in ("title", "subject", "alpha", "command", "versions", "created", "controls")
    }
    fields |= {name: getattr(report, name) for name in ("exhibits", "limits", "not_run", "case")}
    tests = changes.pop("tests", [(e.suspect, e.finding, e.power) for e in report.entries])
    ids = {(e.suspect, e.finding.name): e.test for e in report.entries}
    kept = {(suspect, finding.name) for suspect, finding, _ in tests}
    ids = {pair: test for pair, test in ids.items() if pair in kept}
    return AuditReport.from_findings(tests, ids=ids, **{**fields, **changes})


def edited_exhibit(folder: Path, name: str, change: Callable) -> None:
    """Change the columns of an exhibit, and its digest in the report."""
    path = folder / name
    working = read_exhibit(path)
    columns = {key: change(column) for key, column in working.columns.items()}
    path.unlink()
    write_exhibit(replace(working, columns=columns), path)
