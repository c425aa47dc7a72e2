"""Bundles as they come: what a folder or a .zip may be, and that no two programs see two archives."""

import io
import os
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path

import pytest
from bookplate.errors import BookplateError, InvalidInput, VerificationError
from bookplate.provenance.bundle import reading, zip_layout
from bookplate.provenance.bundle.reading import open_bundle
from bookplate.provenance.bundle.sealing import pack
from hypothesis import example, given, settings
from hypothesis import strategies as st

FILES = {
    "report.json": b'{"alpha": 0.01}' * 40,
    "exhibits/T01.parquet": bytes(range(256)) * 8,
    "größe.txt": b"",
}
LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


@pytest.fixture
def folder(tmp_path):
    for name, data in FILES.items():
        path = tmp_path / "bundle" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "bundle"


def contents(path):
    """Every file by its name, as `open_bundle` reads it."""
    with open_bundle(path) as bundle:
        return {name: bundle.read(name, 1 << 20) for name in bundle.names}


def refusal(path):
    """Why a bundle is refused, in words."""
    with pytest.raises(VerificationError) as found, open_bundle(path) as bundle:
        bundle.digests()
    return str(found.value)


def written(path, *entries, **options):
    """A .zip with these (name or ZipInfo, data)."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        for entry, data in entries:
            archive.writestr(entry, data)
    return path


def test_folder_and_zip_hold_the_same(folder, tmp_path):
    pack(folder, tmp_path / "b.zip")
    assert contents(folder) == contents(tmp_path / "b.zip") == FILES
    with open_bundle(folder) as one, open_bundle(tmp_path / "b.zip") as other:
        assert one.digests() == other.digests()
        assert one.names == other.names == tuple(sorted(FILES))


def test_packing_is_repeatable_and_ordinary(folder, tmp_path):
    pack(folder, tmp_path / "a.zip")
    os.utime(folder / "report.json", (1, 1))
    (folder / "report.json").chmod(0o600)
    pack(folder, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        assert {i.filename: i.compress_type for i in archive.infolist()} == {
            "report.json": zipfile.ZIP_DEFLATED,
            "exhibits/T01.parquet": zipfile.ZIP_STORED,
            "größe.txt": zipfile.ZIP_STORED,
        }


def test_what_shrinks_like_a_bomb_is_stored(folder, tmp_path):
    (folder / "zeros.json").write_bytes(bytes(3_000_000))
    pack(folder, tmp_path / "a.zip")
    with open_bundle(tmp_path / "a.zip") as bundle:
        assert bundle.read("zeros.json", 3_000_000) == bytes(3_000_000)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.getinfo("zeros.json").compress_type == zipfile.ZIP_STORED


def test_nothing_is_overwritten_or_left_half_packed(folder, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"mine")
    with pytest.raises(InvalidInput, match="already exists"):
        pack(folder, tmp_path / "a.zip")
    (folder / "link").symlink_to("report.json")
    with pytest.raises(InvalidInput, match="link: a symbolic link"):
        pack(folder, tmp_path / "b.zip")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "bundle"]


@pytest.mark.skipif(not Path("/usr/bin/zip").exists(), reason="needs the zip command")
@pytest.mark.parametrize("options", [["-r"], ["-r", "-D"], ["-r", "-0"], ["-r", "-X"]])
def test_a_zip_by_others_is_read(folder, tmp_path, options):
    (folder / "größe.txt").unlink()  # whose name this program writes in a way that may mean another
    subprocess.run(
        ["/usr/bin/zip", "-q", *options, tmp_path / "o.zip", "."], cwd=folder, check=True
    )
    assert contents(tmp_path / "o.zip") == {n: d for n, d in FILES.items() if n.isascii()}


def test_a_zip_written_as_a_stream_is_read(tmp_path):
    class Stream(io.RawIOBase):
        def __init__(self):
            self.data = b""

        def writable(self):
            return True

        def write(self, data):
            self.data += bytes(data)
            return len(data)

    stream = Stream()
    written(stream, *FILES.items(), compression=zipfile.ZIP_DEFLATED)
    (tmp_path / "s.zip").write_bytes(stream.data)
    assert b"PK\x07\x08" in stream.data
    assert contents(tmp_path / "s.zip") == FILES
    at = stream.data.index(b"PK\x07\x08") + 4
    broken = stream.data[:at] + b"\x00\x00\x00\x00" + stream.data[at + 4 :]
    (tmp_path / "t.zip").write_bytes(broken)
    assert "described otherwise behind its data" in refusal(tmp_path / "t.zip")


def test_there_must_be_something(tmp_path):
    for path in (tmp_path / "none", Path("/dev/null"), tmp_path / "a\0b"):
        with pytest.raises((InvalidInput, ValueError)), open_bundle(path):
            pass
    (tmp_path / "empty.zip").write_bytes(END + bytes(18))
    assert "holds no file" in refusal(tmp_path / "empty.zip")


def test_a_file_is_read_up_to_a_limit(folder, tmp_path):
    pack(folder, tmp_path / "b.zip")
    for path in (folder, tmp_path / "b.zip"):
        with open_bundle(path) as bundle:
            assert len(bundle.read("report.json", 600)) == 600
            with pytest.raises(VerificationError, match="more than the 599 bytes"):
                bundle.read("report.json", 599)
            with pytest.raises(VerificationError, match="x"):
                bundle.read("x", 599)


def test_a_file_that_changes_meanwhile_is_not_read(folder, tmp_path):
    (folder / "exhibits/T01.parquet").write_bytes(bytes(range(256)) * 4_000)
    pack(folder, tmp_path / "b.zip")
    with open_bundle(folder) as bundle:
        (folder / "report.json").write_bytes(b"{}")
        with pytest.raises(VerificationError, match="was altered"):
            bundle.read("report.json", 599)
    with open_bundle(tmp_path / "b.zip") as bundle:
        bundle.digests()
        data = (tmp_path / "b.zip").read_bytes()
        changed = data[:900_000].replace(bytes(range(100)), bytes(100))
        (tmp_path / "b.zip").write_bytes(changed + data[900_000:])
        with pytest.raises(VerificationError, match="CRC-32"):
            bundle.read("exhibits/T01.parquet", 1 << 20)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda f: (f / "l").symlink_to("report.json"), "a symbolic link"),
        (lambda f: (f / "l").symlink_to("exhibits"), "a symbolic link"),
        (lambda f: os.mkfifo(f / "l"), "neither file nor folder"),
        (lambda f: (f / "a:b").write_bytes(b""), "meaning of its own"),
        (lambda f: (f / "REPORT.json").write_bytes(b""), "one file where case is not told apart"),
        (lambda f: (f / "x\u202ey").write_bytes(b""), "characters that show nothing"),
    ],
    ids=["link", "link to a folder", "pipe", "stream", "case", "bidi"],
)
def test_a_folder_holds_files_with_plain_names(folder, make, reason):
    make(folder)
    assert reason in refusal(folder)


def test_a_file_of_holes_is_not_hashed_for_ever(folder):
    with (folder / "holes").open("wb") as file:
        file.truncate(reading.LARGEST_BUNDLE)
    assert "more than 4294967296 bytes" in refusal(folder)


def info(name, **options):
    made = zipfile.ZipInfo(name)
    made.compress_type = zipfile.ZIP_DEFLATED
    for option, value in options.items():
        setattr(made, option, value)
    return made


@pytest.mark.parametrize(
    ("entry", "data", "reason"),
    [
        (info("../x"), b"", "leads out of its folder"),
        (info("a/../../x"), b"", "leads out of its folder"),
        (info("/x"), b"", "not a relative path"),
        (info("C:/x"), b"", "meaning of its own"),
        (info("a\\x"), b"", "meaning of its own"),
        (info("a//x"), b"", "not a relative path"),
        (info("con.txt"), b"", "the name of a device"),
        (info("../x/", compress_type=0), b"", "leads out of its folder"),
        (info("x\x1b[2J"), b"", "characters that show nothing"),
        (info("report.json/", compress_type=0), b"", "named twice"),
        (info("report.json/x"), b"", "both a file and a folder"),
        (info("Report.json/", compress_type=0), b"", "one file where case is not told apart"),
        (info("x", create_system=3, external_attr=0o120777 << 16), b"y", "a symbolic link"),
        (info("x", create_system=0, external_attr=0x400), b"y", "a symbolic link"),
        (info("x", external_attr=0o010644 << 16), b"", "neither file nor folder"),
        (info("x", external_attr=0x10), b"", "a folder by its attributes"),
        (info("x", comment=b"read me"), b"", "with a comment"),
        (info("x", extra=struct.pack("<2HB", 0x7075, 1, 1)), b"", "an extra field 0x7075"),
        (info("x", extra=struct.pack("<2H", 0x5455, 9)), b"", "a malformed extra field"),
        (info("x", compress_type=zipfile.ZIP_BZIP2), b"y", "packed by method 12"),
        (info("x"), bytes(2_000_000), "more than a bundle's files shrink"),
    ],
)
def test_a_zip_holds_plain_files(tmp_path, entry, data, reason):
    path = written(tmp_path / "b.zip", ("report.json", b"{}"), (entry, data))
    assert reason in refusal(path)


def test_a_folder_may_be_named_and_be_empty(tmp_path):
    path = written(tmp_path / "b.zip", ("exhibits/", b""), ("a/", b""), *FILES.items())
    assert contents(path) == FILES
    path = written(tmp_path / "c.zip", ("a/", b"full"), *FILES.items())
    assert "a folder with contents" in refusal(path)


def test_limits_hold(tmp_path, monkeypatch):
    path = written(tmp_path / "b.zip", *FILES.items())
    monkeypatch.setattr(reading, "LARGEST_BUNDLE", 100)
    assert "unpacked, more than 100 bytes" in refusal(path)
    monkeypatch.setattr(zip_layout, "MOST_ENTRIES", 2)
    assert "3 entries, more than the 2 allowed" in refusal(path)


def patched(data, mark, offset, code, value, *, last=False):
    """With a field of a record changed; `offset` from the record's mark."""
    at = (data.rindex if last else data.index)(mark) + offset
    return data[:at] + struct.pack(code, value) + data[at + struct.calcsize(code) :]


@pytest.mark.parametrize(
    ("mark", "offset", "code", "value", "reason"),
    [
        (END, 4, "<H", 1, "several parts"),
        (END, 8, "<H", 1, "several parts"),
        (END, 8, "<L", 0x00020002, "longer than its number of entries says"),
        (END, 8, "<L", 0x00040004, "cut short"),
        (END, 10, "<H", 0xFFFF, "zip64"),
        (END, 16, "<L", 0xFFFFFFFF, "zip64"),
        (END, 16, "<L", 1, "does not lie where"),
        (END, 20, "<H", 5, "something follows its end"),
        (CENTRAL, 0, "<L", 0, "its directory is malformed"),
        (CENTRAL, 6, "<H", 64, "needs a program of zip version 6.4"),
        (LOCAL, 4, "<H", 64, "needs a program of zip version 6.4"),
        (CENTRAL, 8, "<H", 1, "encrypted"),
        (CENTRAL, 8, "<H", 1 << 13, "flags 0x2000"),
        (CENTRAL, 10, "<H", 9, "packed by method 9"),
        (CENTRAL, 16, "<L", 1, "described otherwise in its own header"),
        (CENTRAL, 24, "<L", 5, "described otherwise in its own header"),
        (CENTRAL, 24, "<L", 0xFFFFFFFF, "beyond 4 GiB"),
        (CENTRAL, 34, "<H", 1, "in another part"),
        (CENTRAL, 42, "<L", 7, "bytes before the first file"),
        (LOCAL, 0, "<L", 0, "no entry where the directory says"),
        (LOCAL, 6, "<H", 1, "described otherwise in its own header"),
        (LOCAL, 8, "<H", 0, "described otherwise in its own header"),
        (LOCAL, 14, "<L", 1, "described otherwise in its own header"),
        (LOCAL, 30, "<B", 90, "called otherwise in its own header"),
    ],
)
def test_both_accounts_of_a_file_must_agree(tmp_path, mark, offset, code, value, reason):
    path = written(tmp_path / "b.zip", *FILES.items(), compression=zipfile.ZIP_DEFLATED)
    path.write_bytes(patched(path.read_bytes(), mark, offset, code, value))
    assert reason in refusal(path)


def both(data, old, new):
    """With a number changed in both accounts of a file."""
    assert data.count(struct.pack("<L", old)) == 2
    return data.replace(struct.pack("<L", old), struct.pack("<L", new))


@pytest.mark.parametrize(("stated", "reason"), [(5_000, "larger than"), (50_000, "not the 50000")])
def test_sizes_are_counted_and_not_believed(tmp_path, stated, reason):
    path = written(tmp_path / "b.zip", ("x", b"ab" * 5_003), compression=zipfile.ZIP_DEFLATED)
    path.write_bytes(both(path.read_bytes(), 10_006, stated))
    assert reason in refusal(path)


def test_contents_are_held_against_their_sum(tmp_path):
    path = written(tmp_path / "b.zip", ("x", b"abc"))
    path.write_bytes(path.read_bytes().replace(b"abc", b"abd"))
    assert "its CRC-32" in refusal(path)
    path = written(tmp_path / "c.zip", ("x", b"abc"), compression=zipfile.ZIP_DEFLATED)
    data = path.read_bytes()
    path.write_bytes(data[:31] + b"\xff" + data[32:])
    assert "cannot be unpacked" in refusal(path)


def test_nothing_hides_behind_packed_data(tmp_path):
    """A deflate stream that ends early leaves room within its entry."""
    path = written(tmp_path / "b.zip", ("x", b"abc" * 9), compression=zipfile.ZIP_DEFLATED)
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(b"abc" * 9) + packer.flush()
    data = path.read_bytes().replace(packed, packed + b"hidden")
    old, new = struct.pack("<L", len(packed)), struct.pack("<L", len(packed) + 6)
    data = data.replace(old + struct.pack("<L", 27), new + struct.pack("<L", 27))
    begin = struct.unpack("<L", data[-6:-2])[0]
    path.write_bytes(data[:-6] + struct.pack("<L", begin + 6) + data[-2:])
    assert "something follows its packed data" in refusal(path)


def test_entries_may_not_overlap(tmp_path):
    """As in archives of a few kilobytes that unpack to petabytes."""
    path = written(tmp_path / "b.zip", ("a", b"one"), ("b", b"one"))
    data = path.read_bytes()
    second = data.rindex(CENTRAL)
    path.write_bytes(data[: second + 42] + struct.pack("<L", 0) + data[second + 46 :])
    assert "does not begin where the entry before it ends" in refusal(path)


SAMPLE = io.BytesIO()
written(SAMPLE, *FILES.items(), compression=zipfile.ZIP_DEFLATED)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_is_accepted_another_program_reads_alike(tmp_path_factory, data):
    """Bytes changed anywhere: refused in our words, or the same files to Python's own reader."""
    raw = bytearray(SAMPLE.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "fuzzed.zip"
    path.write_bytes(raw)
    try:
        found = contents(path)
    except BookplateError:
        return
    with zipfile.ZipFile(path) as archive:
        assert found == {n: archive.read(n) for n in archive.namelist() if not n.endswith("/")}


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=300))
@example(END + bytes(18))
def test_rubbish_is_refused_in_our_words(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "rubbish.zip"
    path.write_bytes(raw)
    with pytest.raises(VerificationError):
        contents(path)
