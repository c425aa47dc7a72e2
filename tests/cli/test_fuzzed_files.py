"""Files of others, damaged at random: each is read or refused, in one short line and without a traceback.

The long search is `benchmarks/fuzz.py`; here stand a short one, and what the long one found.
"""

import copy
import io
import json
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from bookplate.cli.audit.registering import registered_in
from bookplate.errors import BookplateError, InvalidInput
from bookplate.files import canonical_json
from bookplate.provenance.bundle.predicate import PREDICATE_TYPE, Predicate
from bookplate.provenance.bundle.reading import open_bundle
from bookplate.provenance.bundle.verification import verify
from bookplate.provenance.custody import SigningKey, sign
from bookplate.provenance.custody.envelopes import Envelope
from bookplate.provenance.custody.statements import Statement
from bookplate.stats.report import AuditReport, render_html
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.embed import mark_texts
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.manifest import Manifest, ManifestHeader
from bookplate.watermark.marking import Marking
from bookplate.watermark.release import Release
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.extend(str(Path(__file__).parents[1] / part) for part in ("cli", "stats", "provenance"))
from audit_case import AUDIT
from sample_bundle import Authority, Draft
from sample_case import sample_report

FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
KEY = SigningKey.generate()
LONGEST = 2_000  # characters of a message: a screen

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["a" * 5_000, "\ud800", "../x", "9999-12-31T23:59:59Z", 2**70, "https://[", "http://a]b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
DAMAGES = st.lists(
    st.tuples(st.integers(0, 2**20), st.sampled_from(["set", "drop", "twice"]), VALUES),
    min_size=1, max_size=3,
)  # fmt: skip


def damaged(value, damages):
    """JSON with some of its values set, dropped or moved."""
    value = copy.deepcopy(value)
    for where, how, new in damages:
        places, pending = [], [value]
        while pending:
            holder = pending.pop()
            keys = (
                holder
                if isinstance(holder, dict)
                else range(len(holder) if isinstance(holder, list) else 0)
            )
            places += [(holder, key) for key in keys]
            pending += [holder[key] for key in keys]
        if not places:
            return new
        holder, key = places[where % len(places)]
        if how == "set":
            holder[key] = new
        elif how == "drop":
            del holder[key]
        else:
            holder[key] = [holder[key], holder[key]]
    return value


def read_or_refused(read, *arguments):
    try:
        read(*arguments)
    except BookplateError as error:
        assert 0 < len(str(error)) < LONGEST  # ruff: ignore[pytest-assert-in-except]


def manifest_and_release(folder):
    texts = [
        "They worked profitably, and the couple were prospering.",
        "A slogan is remembered.",
        "12",
    ]
    key, source = MarkingKey(bytes(32), b"s" * 32), LexiconSource(Lexicon.shipped(Tier.BROAD))
    manifest = mark_texts(texts, key, Marking(), ids=["a", "b", "c"], candidates=source)
    manifest.write(folder / "manifest.parquet")
    release = Release(
        marking=manifest.marking,
        candidates=manifest.candidates,
        key_commitment=manifest.key_commitment,
        manifest=manifest.commitment(),
        files={"a/b.parquet": "0" * 64},
    )
    release.write(folder / "release.json")
    return folder


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    return manifest_and_release(tmp_path_factory.mktemp("marked"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    return Draft(Authority(folder / "authority"), folder / "bundle").write(KEY)


# Damaged at random.


@FEW
@given(DAMAGES)
def test_releases(marked, damages):
    data = json.loads((marked / "release.json").read_bytes())
    path = marked / "damaged.json"
    path.write_text(json.dumps(damaged(data, damages)))
    read_or_refused(Release.read, path)


@FEW
@given(DAMAGES)
def test_headers_of_manifests(marked, damages):
    """`Manifest.read` turns a `ValueError` of the header into a refusal."""
    data = json.loads(pl.read_parquet_metadata(marked / "manifest.parquet")["bookplate"])
    try:
        ManifestHeader.parse(json.dumps(damaged(data, damages)))
    except ValueError as error:
        assert len(str(error)) < LONGEST  # ruff: ignore[pytest-assert-in-except]


@settings(FEW, derandomize=True)  # polars ends the process over one damaged file in 300,000
@given(st.binary(max_size=8), st.integers(0, 2**20), st.integers(0, 8))
def test_bytes_of_manifests(marked, new, where, length):
    data = bytearray((marked / "manifest.parquet").read_bytes())
    at = where % len(data)
    data[at : at + length] = new
    path = marked / "damaged.parquet"
    path.write_bytes(data)
    read_or_refused(Manifest.read, path)


@FEW
@given(DAMAGES, st.booleans())
def test_statements(bundle, damages, of_payload):
    def read(data):
        payload = Envelope.read(data).verify(KEY.public)
        Predicate.from_dict(Statement.read(payload, [PREDICATE_TYPE]).predicate)

    data = (bundle / "statement.dsse.json").read_bytes()
    if not of_payload:
        return read_or_refused(read, json.dumps(damaged(json.loads(data), damages)).encode())
    statement = damaged(json.loads(Envelope.read(data).unverified_payload), damages)
    try:
        payload = canonical_json(statement)
    except Exception:  # ruff: ignore[blind-except]  (what has no canonical form is signed as it is)
        payload = json.dumps(statement).encode()
    read_or_refused(read, sign(KEY, payload).to_bytes())


@FEW
@given(DAMAGES)
def test_audit_files_of_other_values(damages):
    import yaml

    def read(data):
        registered = registered_in(data)
        registered.registered_tests()
        list(registered.files())

    read_or_refused(read, json.dumps(damaged(yaml.safe_load(AUDIT), damages)).encode())


@FEW
@given(st.text(max_size=12), st.integers(0, 2**20), st.integers(0, 12))
def test_audit_files_of_other_characters(new, where, length):
    at = where % len(AUDIT)
    text = AUDIT[:at] + new + AUDIT[at + length :]
    read_or_refused(registered_in, text.encode("utf-8", "surrogatepass"))


@FEW
@given(st.binary(max_size=12), st.integers(0, 2**20), st.integers(0, 12))
def test_archives(marked, new, where, length):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b.json", b"{}" * 50)
        archive.writestr("c", b"c")
    data = bytearray(packed.getvalue())
    at = where % len(data)
    data[at : at + length] = new
    path = marked / "damaged.zip"
    path.write_bytes(data)

    def read():
        with open_bundle(path) as opened:
            for name in opened.names:
                opened.read(name, 1_000)

    read_or_refused(read)


@settings(FEW, max_examples=15)
@given(DAMAGES)
def test_reports(damages):
    data = json.loads(sample_report().to_json())
    for entry in data["entries"]:
        entry["finding"]["figure"] = None  # slow to draw

    def read():
        render_html(AuditReport.from_json(json.dumps(damaged(data, damages)).encode()))

    read_or_refused(read)


# What the long search found.


@pytest.mark.parametrize("field", ["key_commitment", "candidates", "files", "manifest", "marking"])
def test_a_release_is_refused_in_a_short_line(marked, field):
    data = json.loads((marked / "release.json").read_bytes())
    for value in ("a" * 100_000, {"a" * 100_000: 1}, [[]] * 50_000):
        path = marked / "long.json"
        path.write_text(json.dumps(data | {field: value}))
        with pytest.raises(InvalidInput) as caught:
            Release.read(path)
        assert len(str(caught.value)) < LONGEST


def test_a_manifest_of_other_columns_is_refused_in_a_short_line(marked):
    path = marked / "other.parquet"
    frame = pl.read_parquet(marked / "manifest.parquet").with_columns(
        pl.lit(1).alias("a" * 100_000)
    )
    frame.write_parquet(path, metadata=pl.read_parquet_metadata(marked / "manifest.parquet"))
    with pytest.raises(InvalidInput) as caught:
        Manifest.read(path)
    assert len(str(caught.value)) < LONGEST


def test_a_case_without_items_is_shown(tmp_path):
    """Its answers to questions pointed to a table of items that was not there."""
    draft = Draft(Authority(tmp_path / "authority"), tmp_path / "bundle")
    draft.changes = {"items": (), "repetition": ()}
    found = verify(draft.write(KEY), keys=[KEY.public])
    assert not found.failed


@pytest.mark.parametrize(
    "field", ["items", "events", "checks", "custody", "repetition", "opinions", "positive_controls"]
)
def test_a_case_may_lack_anything(bundle, field):
    report = AuditReport.from_json((bundle / "report.json").read_bytes())
    assert "</html>" in render_html(replace(report, case=replace(report.case, **{field: ()})))


@pytest.mark.parametrize("place", ["finding", "entry"])
def test_a_report_is_refused_in_a_short_line(place):
    data = json.loads(sample_report().to_json())
    entry = data["entries"][0]
    (entry if place == "entry" else entry["finding"]["effect"])["a" * 100_000] = 1
    with pytest.raises(InvalidInput) as caught:
        AuditReport.from_json(json.dumps(data).encode())
    assert len(str(caught.value)) < LONGEST


def test_many_keys_of_which_one_occurs_twice_take_no_hours():
    """Each was counted among all others: 16 seconds for 20,000, days for a report of 64 MB."""
    keys = json.dumps(dict.fromkeys(map(str, range(40_000)), 1))
    start = time.monotonic()
    with pytest.raises(InvalidInput, match="'39999' appears twice"):
        AuditReport.from_json(f'{keys[:-1]},"39999":1}}'.encode())
    assert time.monotonic() - start < 10
