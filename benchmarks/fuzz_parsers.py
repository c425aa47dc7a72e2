"""What is fuzzed: for each kind of file its seeds, its parser, and a change that keeps its form."""

import hashlib
import io
import json
import random
import sys
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.extend(
    str(Path(__file__).parents[1] / "tests" / part) for part in ("cli", "provenance", "stats")
)
import polars as pl
import yaml
from bookplate.cli.audit.reading import read_audit
from bookplate.cli.audit.registering import registered_in, registration_of
from bookplate.cli.audit.rows import choices_as_committed
from bookplate.cli.audit.settings import carried_out_as_registered
from bookplate.errors import BookplateError
from bookplate.files import canonical_json
from bookplate.provenance.bundle.predicate import PREDICATE_TYPE, Predicate
from bookplate.provenance.bundle.reading import open_bundle
from bookplate.provenance.bundle.verification import verify
from bookplate.provenance.custody import AuthorityChain, SigningKey, sign
from bookplate.provenance.custody.envelopes import Envelope
from bookplate.provenance.custody.statements import Statement
from bookplate.stats.report import AuditReport, render_html, render_markdown
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.embed import mark_texts
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.manifest import ROW_SCHEMA, Manifest
from bookplate.watermark.marking import Marking, Unit
from bookplate.watermark.release import Release
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fuzz_mutations import depth, mutated_json, mutated_value, mutated_zip

__all__ = ["PARSERS", "Parser"]

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(b"fuzz" * 8))  # the corpus outlives a process
ENVELOPE, PUBLIC = "statement.dsse.json", "signer.pem"


class Parser(ABC):
    """A kind of file.

    Attributes:
        folder: For files of its own; it lasts as long as the fuzzing.
        largest: Most bytes of an input.
    """

    largest = 1 << 16

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def seeds(self) -> list[bytes]:
        """Inputs that are sound."""

    @abstractmethod
    def parse(self, data: bytes) -> None:
        """Read an input as the package does; a `BookplateError` is a refusal, all else a finding."""

    def change(self, data: bytes, rng: random.Random) -> bytes:
        """An input changed so that it keeps its form."""
        return mutated_json(data, rng)

    def file(self, data: bytes) -> Path:
        """The input as a file."""
        path = self.folder / "input"
        path.write_bytes(data)
        return path


class ManifestRows(Parser):
    """A manifest whose parquet is sound: its header, and its rows."""

    def seeds(self) -> list[bytes]:
        found = []
        for marking in (
            Marking(),
            Marking(unit=Unit.RECORD, ghosts=2),
            Marking(unit=Unit.SHARD, shards=3),
        ):
            path = self.folder / "seed.parquet"
            _manifest(marking).write(path)
            header = pl.read_parquet_metadata(path)["bookplate"]
            data = {"header": json.loads(header), "rows": pl.read_parquet(path).to_dicts()}
            found.append(json.dumps(data).encode())
        return found

    def parse(self, data: bytes) -> None:
        try:
            given = json.loads(data)
            rows = given["rows"]
            if depth(rows) > 8:  # polars takes for ever to make a table of it
                return
            try:
                frame = pl.DataFrame(rows, schema=ROW_SCHEMA, orient="row")
            except Exception:  # ruff: ignore[blind-except]  (other columns: as polars sees them)
                frame = pl.DataFrame(rows)
            packed = io.BytesIO()
            frame.write_parquet(packed, metadata={"bookplate": json.dumps(given["header"])})
        except BaseException as error:  # no input that polars could write
            if isinstance(error, KeyboardInterrupt):
                raise
            return
        found = Manifest.read(self.file(packed.getvalue()))
        found.commitment()
        found.first_row_of(Path("a/b.parquet"))
        for record in found.records:
            record.restore_edits()


class ManifestBytes(Parser):
    """A manifest as bytes; polars ends the process over a few of them."""

    def seeds(self) -> list[bytes]:
        path = self.folder / "seed.parquet"
        _manifest(Marking()).write(path)
        return [path.read_bytes()]

    def parse(self, data: bytes) -> None:
        Manifest.read(self.file(data))

    def change(self, data: bytes, rng: random.Random) -> bytes:
        return _damaged(data, rng)


class ReleaseFile(Parser):
    """release.json."""

    def seeds(self) -> list[bytes]:
        found = []
        for marking in (
            Marking(),
            Marking(unit=Unit.RECORD, ghosts=2),
            Marking(unit=Unit.SHARD, shards=3),
        ):
            manifest = _manifest(marking)
            path = self.folder / "release.json"
            Release(
                marking=marking,
                candidates=manifest.candidates,
                key_commitment=manifest.key_commitment,
                manifest=manifest.commitment(),
                files={"a/b.parquet": "0" * 64},
            ).write(path)
            found.append(path.read_bytes())
        return found

    def parse(self, data: bytes) -> None:
        Release.read(self.file(data))


class StatementFile(Parser):
    """statement.dsse.json: envelope, statement and predicate."""

    def seeds(self) -> list[bytes]:
        return [(_bundle(self.folder) / ENVELOPE).read_bytes()]

    def parse(self, data: bytes) -> None:
        envelope = Envelope.read(data)
        envelope.to_bytes()
        for payload in (envelope.unverified_payload, envelope.verify(KEY.public)):
            Predicate.from_dict(Statement.read(payload, [PREDICATE_TYPE]).predicate)

    def change(self, data: bytes, rng: random.Random) -> bytes:
        return mutated_json(data, rng) if rng.random() < 0.2 else _resigned_envelope(data, rng)


class AuditFile(Parser):
    """audit.yaml."""

    def seeds(self) -> list[bytes]:
        from audit_case import AUDIT

        example = Path(registered_in.__code__.co_filename).with_name("example.yaml").read_bytes()
        every = json.dumps(yaml.safe_load(example)).encode()
        return [AUDIT.encode(), example, every]

    def parse(self, data: bytes) -> None:
        read_audit(data, "audit.yaml")
        registration_of(data)
        registered = registered_in(data)
        registered.registered_tests()
        list(registered.files())
        registered.audit.normalised()

    def change(self, data: bytes, rng: random.Random) -> bytes:
        try:
            value = yaml.safe_load(data)
        except Exception:  # ruff: ignore[blind-except]  (a mutated file may be no YAML)
            return _damaged(data, rng)
        value = mutated_value(value, rng)
        if rng.random() < 0.5:
            return json.dumps(value, default=str).encode("utf-8", "surrogatepass")
        try:
            return yaml.safe_dump(value, sort_keys=False).encode("utf-8", "surrogatepass")
        except Exception:  # ruff: ignore[blind-except]
            return data


class Bundle(Parser):
    """A bundle as a .zip: first the container, then every check of what is in it."""

    largest = 1 << 20

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._chains = [
            AuthorityChain.from_pem(pem.read_bytes()) for pem in folder.glob("*.root.pem")
        ]

    def seeds(self) -> list[bytes]:
        return [_zipped(_bundle(self.folder)), _zipped(_case(self.folder))]

    def parse(self, data: bytes) -> None:
        path = self.file(data)
        found = verify(
            path,
            keys=[KEY.public],
            authorities=self._chains,
            read_registration=registration_of,
            link_checks=[choices_as_committed, carried_out_as_registered],
        )
        for check in found.checks:
            if "broke off" in check.detail:
                raise AssertionError(f"check {check.number} {check.detail}")
        with open_bundle(path) as opened:
            for name in opened.names:
                opened.read(name, 1 << 24)

    def change(self, data: bytes, rng: random.Random) -> bytes:
        return mutated_zip(data, rng, _changed_member, _sealed)


class ReportFile(Parser):
    """report.json, and the pages that are made of it."""

    def seeds(self) -> list[bytes]:
        from sample_case import sample_report

        return [sample_report().to_json(), (_bundle(self.folder) / "report.json").read_bytes()]

    def parse(self, data: bytes) -> None:
        report = AuditReport.from_json(data)
        render_markdown(report, page=render_html(report))


PARSERS: Mapping[str, Callable[[Path], Parser]] = {
    "manifest": ManifestRows,
    "manifest-bytes": ManifestBytes,
    "release": ReleaseFile,
    "statement": StatementFile,
    "audit": AuditFile,
    "zip": Bundle,
    "report": ReportFile,
}


# ---- seeds -----------------------------------------------------------------------------------------


def _manifest(marking: Marking) -> Manifest:
    texts = [
        "They worked profitably, and the couple were prospering.",
        "A slogan is remembered.",
        "12 34",
    ]
    key = MarkingKey(bytes(range(32)), b"s" * 32)
    candidates = LexiconSource(Lexicon.shipped(Tier.BROAD))
    return mark_texts(texts, key, marking, ids=["a", "b", "c"], candidates=candidates)


def _bundle(folder: Path) -> Path:
    """The sample of the tests, with timestamps of an authority of its own."""
    from sample_bundle import Authority, Draft

    authority = Authority(folder / "authority")
    (folder / "sample.root.pem").write_bytes(authority.root.pem)
    return Draft(authority, folder / "bundle").write(KEY)


def _case(folder: Path) -> Path:
    """What `bookplate audit` writes, but for its print: rows, log, several kinds of tests."""
    from audit_case import laid_out, outcomes_of
    from bookplate.cli.audit.assembly import assemble
    from bookplate.provenance.custody import log

    place, out = folder / "case", folder / "case-bundle"
    place.mkdir()
    registered = laid_out(place)
    digest = {"sha256": registered.pre_registration}
    log.append(place / "log.jsonl", "registration", who="x", details=digest)
    assemble(
        registered, outcomes_of(registered, place), out, signing_key=KEY, log=place / "log.jsonl",
        chains=(), created="2026-03-01T00:00:00Z", who="x", command="bookplate audit AUDIT.yaml",
    )  # fmt: skip
    return out


def _zipped(folder: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            # Its print takes a second to make again, which the comparison of words does.
            if path.is_file() and path.suffix != ".pdf":
                archive.writestr(
                    zipfile.ZipInfo(path.relative_to(folder).as_posix()), path.read_bytes()
                )
    return _sealed(packed.getvalue(), random.Random(1))


# ---- changes ---------------------------------------------------------------------------------------


def _changed_member(name: str, data: bytes, rng: random.Random) -> bytes:
    if name == ENVELOPE:
        return _resigned_envelope(data, rng)
    if name.endswith(".jsonl"):
        lines = data.split(b"\n")
        at = rng.randrange(len(lines))
        return b"\n".join([*lines[:at], mutated_json(lines[at], rng), *lines[at + 1 :]])
    if name.endswith((".json", ".yaml")) and rng.random() < 0.9:
        return mutated_json(data, rng)
    return _damaged(data, rng)


def _damaged(data: bytes, rng: random.Random) -> bytes:
    return mutated_json(b"\xff" + data, rng)[1:]  # no JSON, so its bytes are changed


def _resigned_envelope(data: bytes, rng: random.Random) -> bytes:
    """The statement in an envelope, changed and signed; in its canonical form where it has one."""
    try:
        payload = mutated_json(Envelope.read(data).unverified_payload, rng)
    except BookplateError:
        return mutated_json(data, rng)
    try:
        payload = canonical_json(json.loads(payload))
    except Exception:  # ruff: ignore[blind-except]  (no canonical form: signed as it is)
        return sign(KEY, payload).to_bytes()
    return sign(KEY, payload).to_bytes()


def _sealed(data: bytes, rng: random.Random) -> bytes:
    """The archive's files signed for as they are now; mostly with a predicate that follows."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {info.filename: archive.read(info) for info in archive.infolist()}
        old = json.loads(Envelope.read(members[ENVELOPE]).unverified_payload)
        outside = (ENVELOPE, "timestamps/")
        digests = {
            name: hashlib.sha256(content).hexdigest()
            for name, content in members.items()
            if not name.startswith(outside)
        }
        _follow(old["predicate"], members, digests)
        subject = [{"digest": {"sha256": digests[name]}, "name": name} for name in sorted(digests)]
        payload = canonical_json(old | {"subject": subject})
        members[ENVELOPE] = sign(KEY, payload).to_bytes()
    except Exception:  # ruff: ignore[blind-except]  (nothing left to sign)
        return data
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _follow(
    predicate: dict[str, object], members: Mapping[str, bytes], digests: Mapping[str, str]
) -> None:
    """What a claimant who forges one file would change elsewhere, so that later checks are reached."""
    if "audit.yaml" in digests:
        predicate["preRegistrationSha256"] = digests["audit.yaml"]
    commitments = predicate.get("commitments")
    for commitment in commitments if isinstance(commitments, list) else ():
        if isinstance(commitment, dict) and commitment.get("name") in digests:
            commitment["sha256"] = digests[str(commitment["name"])]
