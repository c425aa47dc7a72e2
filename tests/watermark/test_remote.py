"""Parquet in an object store: a small server that speaks S3; hf:// cannot be reached from a test."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import polars as pl
import pytest
from bookplate.errors import InvalidInput
from bookplate.files import Interrupted, unfinished_path
from bookplate.watermark import remote
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.embed import embed, restore
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.marking import Marking
from bookplate.watermark.remote import RemoteFiles

BROAD = LexiconSource(Lexicon.shipped(Tier.BROAD))
KEY = MarkingKey(b"k" * 32, b"s" * 32)


ACCESS, SECRET = "ACCESSKEY1234567", "SECRETKEY7654321"


class Bucket(BaseHTTPRequestHandler):
    """Answers signed requests for http://server/BUCKET/KEY; signatures are not checked."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        at = urlsplit(self.path)
        _, _, key = unquote(at.path).lstrip("/").partition("/")
        if f"Credential={ACCESS}/" not in self.headers.get("Authorization", ""):
            self.answer(403, f"<Error><Code>AccessDenied</Code><M>{SECRET}</M></Error>".encode())
        elif not key:
            self.answer(200, self.listing(parse_qs(at.query).get("prefix", [""])[0]).encode())
        elif self.server.broken is not None and self.server.broken in key:
            self.answer(400, b"<Error><Code>Broken</Code></Error>")
        elif (path := self.server.folder / key).is_file():
            self.content(path.read_bytes())
        else:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def listing(self, prefix):
        files = sorted(p for p in self.server.folder.rglob("*") if p.is_file())
        found = [(p.relative_to(self.server.folder).as_posix(), p.stat().st_size) for p in files]
        rows = "".join(
            f"<Contents><Key>{key}</Key><Size>{size}</Size><ETag>e</ETag>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for key, size in found
            if key.startswith(prefix)
        )
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"

    def content(self, whole):
        span = self.headers.get("Range", "").removeprefix("bytes=")
        if not span:
            self.answer(200, whole)
            return
        first, _, last = span.partition("-")
        start = int(first) if first else max(len(whole) - int(last), 0)
        end = min(int(last) + 1 if first and last else len(whole), len(whole))
        self.answer(
            206, whole[start:end], {"Content-Range": f"bytes {start}-{end - 1}/{len(whole)}"}
        )

    def answer(self, status, content, headers=None):
        self.send_response(status)
        more = {"ETag": '"e"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", **(headers or {})}
        for name, value in {**more, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@contextmanager
def serving(folder):
    """A server of a folder as a bucket; `broken` names what it refuses."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    server.folder, server.broken = folder, None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def environment(server):
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }


def mark(source, out, **options):
    return embed(source, out, KEY, Marking(), candidates=BROAD, **options)


@pytest.fixture
def store(tmp_path, english, monkeypatch):
    """A bucket of two files that have other columns beside the text."""
    folder = tmp_path / "bucket"
    (folder / "data" / "sub").mkdir(parents=True)
    one = pl.DataFrame({"text": english[:40], "n": range(40)})
    two = pl.DataFrame({"text": english[40:70], "day": pl.Series(range(30)).cast(pl.Date)})
    one.write_parquet(folder / "data" / "b.parquet", metadata={"huggingface": "{}"})
    two.write_parquet(folder / "data" / "sub" / "a [1].parquet", row_group_size=7)
    with serving(folder) as server:
        for name, value in environment(server).items():
            monkeypatch.setenv(name, value)
        # polars keeps a connection for each bucket, so each test has its own
        server.bucket = f"s3://{tmp_path.name.replace('_', '-')}"
        server.all = f"{server.bucket}/data/**/*.parquet"
        yield server


def test_a_pattern_becomes_a_release_that_comes_back(tmp_path, store):
    summary = mark(store.all, tmp_path / "out")
    assert (summary.rows, summary.records) == (70, 70)
    release, manifest = tmp_path / "out" / "release", tmp_path / "out/private/manifest.parquet"
    restore(release, manifest, tmp_path / "back")
    for name in ("b.parquet", "sub/a [1].parquet"):
        source = pl.read_parquet(store.folder / "data" / name, glob=False)
        assert pl.read_parquet(tmp_path / "back" / name, glob=False).equals(source)
        assert not pl.read_parquet(release / name, glob=False).equals(source)
    assert pl.read_parquet_metadata(release / "b.parquet")["huggingface"] == "{}"


def test_one_file_goes_by_its_name_and_gives_the_rows_of_a_local_one(tmp_path, store):
    mark(f"{store.bucket}/data/b.parquet", tmp_path / "out")
    mark(store.folder / "data" / "b.parquet", tmp_path / "local")
    names = ("out", "local")
    there, here = (pl.read_parquet(tmp_path / n / "release" / "b.parquet") for n in names)
    assert there.equals(here)
    there, here = ((tmp_path / n / "private" / "manifest.parquet").read_bytes() for n in names)
    assert there == here


def test_a_copy_that_broke_off_goes_on_with_the_next_file(tmp_path, store, monkeypatch):
    remote_files = RemoteFiles(store.all)
    store.broken = "sub/"
    with pytest.raises(Interrupted, match=r"sub/a \[1\]\.parquet: cannot be read"):
        mark(remote_files, tmp_path / "out")
    work = unfinished_path(tmp_path / "out")
    assert (work / "parts" / "source" / "b.parquet").exists()
    store.broken = None
    copied, copy = [], remote_files._copy
    monkeypatch.setattr(remote_files, "_copy", lambda *to: (copied.append(to[0]), copy(*to)))
    mark(remote_files, tmp_path / "out")
    assert copied == ["sub/a [1].parquet"]
    assert not work.exists()


def test_a_file_that_has_changed_meanwhile_is_refused(tmp_path, store):
    source = RemoteFiles(store.all)
    pl.DataFrame({"text": ["a"]}).write_parquet(store.folder / "data" / "b.parquet")
    with pytest.raises(InvalidInput, match=r"b\.parquet: expected 40 rows, got 1"):
        mark(source, tmp_path / "out")


def test_errors_name_the_address_and_the_row(tmp_path, store):
    pl.DataFrame({"text": ["a", None]}).write_parquet(store.folder / "data" / "b.parquet")
    with pytest.raises(InvalidInput, match=r"^s3://\S+/data/b\.parquet: row 2: 'text' is"):
        mark(store.all, tmp_path / "out")
    with pytest.raises(InvalidInput, match=r"no column 'nope'"):
        mark(store.all, tmp_path / "out", text_column="nope")
    assert [path.name for path in tmp_path.iterdir()] == ["bucket"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("s3://bucket/data/none.parquet", "404"),
        ("s3://bucket/none/*.parquet", "cannot be read"),
        ("s3://bucket/data/", "only parquet can be read"),
        ("s3://bucket/data/a.jsonl", "only parquet can be read"),
        ("ftp://bucket/a.parquet", "cannot read from ftp://"),
    ],
)
def test_what_is_not_there_is_one_line(store, tmp_path, address, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        mark(address.replace("s3://bucket", store.bucket), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["bucket"]


def test_an_empty_dataset_is_refused(store):
    empty = pl.DataFrame(schema={"text": pl.String})
    empty.write_parquet(store.folder / "data" / "empty.parquet")
    with pytest.raises(InvalidInput, match=r"empty\.parquet: the dataset is empty"):
        RemoteFiles(f"{store.bucket}/data/empty.parquet")


@pytest.mark.parametrize(
    "address", ["s3://me:password@bucket/a.parquet", "az://bucket/a.parquet?sig=password"]
)
def test_addresses_with_credentials_are_refused_without_telling_them(address):
    with pytest.raises(InvalidInput, match="must hold no credentials") as caught:
        RemoteFiles(address)
    assert "password" not in str(caught.value)


def test_no_message_tells_a_credential(store, monkeypatch):
    """The server's answer quotes the secret; a traceback would show the chain of errors."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another-one")
    with pytest.raises(InvalidInput, match="403") as caught:
        RemoteFiles(store.all)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert not any(word in str(caught.value) for word in (SECRET, ACCESS, "another-one"))


@pytest.mark.parametrize(
    ("folder", "path", "name"),
    [
        ("s3://b/x/", "s3://b/x/sub/a.parquet", "sub/a.parquet"),
        ("hf://datasets/u/n/", "hf://datasets/u/n/a.parquet", "a.parquet"),
        (
            "hf://datasets/u/n@r/x/",
            "https://huggingface.co/datasets/u/n/resolve/r/x/s/a%201.parquet",
            "s/a 1.parquet",
        ),
        ("hf://datasets/u/n/", "https://huggingface.co/datasets/u/n/resolve/main/a", "a"),
    ],
)
def test_names_below_a_folder(folder, path, name):
    assert remote._below(folder, path) == name


def test_a_file_elsewhere_is_refused():
    with pytest.raises(InvalidInput, match="does not lie in"):
        remote._below("hf://datasets/u/n/x/", "https://h/datasets/u/n/resolve/main/y/a.parquet")
