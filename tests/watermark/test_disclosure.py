"""Disclosed rows: accepted as they were committed to, refused in any other form."""

import gzip
import hashlib
import json
import re
from dataclasses import replace

import pytest
from bookplate.errors import BookplateError, InvalidInput, VerificationError
from bookplate.files import canonical_json
from bookplate.provenance.custody import MerkleCommitment, commit
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.disclosure import (
    UnitChoice,
    check_disclosure,
    check_rows,
    disclose,
    write_rows_exhibit,
)
from bookplate.watermark.embed import mark_texts
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.manifest import leaf_data
from bookplate.watermark.marking import Marking, Unit
from bookplate.watermark.release import Release

BROAD = LexiconSource(Lexicon.shipped(Tier.BROAD))
KEY = MarkingKey(bytes(range(32)), b"s" * 32)
TEXTS = [
    "They worked profitably, and the couple were prospering.",
    "A slogan is profitably remembered. Profitably!",
    "12 34",
    *(f"Number {i} often remembered the couple." for i in range(4)),
]
MARKINGS = {
    "type": Marking(),
    "shard": Marking(unit=Unit.SHARD, shards=2),
    "record": Marking(unit=Unit.RECORD, ghosts=3),
}


def of_marking(marking):
    ids = ["a", "b", "c", *(f"n{i}" for i in range(4))]
    manifest = mark_texts(TEXTS, KEY, marking, ids=ids, candidates=BROAD)
    release = Release(
        marking=manifest.marking,
        candidates=manifest.candidates,
        key_commitment=manifest.key_commitment,
        manifest=manifest.commitment(),
        files={"data.jsonl": "00" * 32},
    )
    return manifest, release


@pytest.fixture(scope="module", params=MARKINGS.values(), ids=MARKINGS)
def marked(request):
    return of_marking(request.param)


@pytest.fixture(scope="module")
def by_type():
    return of_marking(MARKINGS["type"])


# A few rows.


def test_disclosed_rows_are_found_under_the_root(marked):
    manifest, release = marked
    digest = hashlib.sha256(TEXTS[0].encode()).hexdigest()
    found = check_disclosure(disclose(manifest, ["b", digest, "n3", digest[:8]]), release)
    assert {record.ids for record in found.records} == {("a",), ("b",), ("n3",)}
    assert found.commitment == release.manifest
    for index, record in zip(found.indices, found.records, strict=True):
        assert record == replace(manifest.records[index], rows=())


def test_nothing_is_told_of_other_rows(marked):
    manifest, _ = marked
    (index,) = [i for i, record in enumerate(manifest.records) if "b" in record.ids]
    text = disclose(manifest, ["b"]).decode()
    for other, (record, salt) in enumerate(zip(manifest.records, manifest.salts, strict=True)):
        shown = other == index
        assert (salt in text) == (record.record in text) == (record.released in text) == shown
    assert KEY.secret.hex() not in text
    assert KEY.salt.hex() not in text


@pytest.mark.parametrize("names", [[], ["none"], ["a", "none"], [""], ["0" * 64], ["a" * 7]])
def test_what_is_not_there_cannot_be_disclosed(by_type, names):
    with pytest.raises(InvalidInput, match="record"):
        disclose(by_type[0], names)


def test_one_id_of_two_texts_is_not_guessed():
    manifest = mark_texts(TEXTS[:2], KEY, Marking(), ids=["a", "a"], candidates=BROAD)
    with pytest.raises(InvalidInput, match="2 records are called so"):
        disclose(manifest, ["a"])


def _row(data):
    return data["rows"][0]


def _slot(data):
    return _row(data)["row"]["slots"][0]


CHANGES = {
    "another choice": lambda d: _slot(d).update(choice=1 - min(_slot(d)["choice"], 1)),
    "choices swapped": lambda d: _slot(d)["choices"].reverse(),
    "a free unit": lambda d: _slot(d).update(unit="often"),
    "moved": lambda d: _slot(d).update(start=_slot(d)["start"] + 1, end=_slot(d)["end"] + 1),
    "a slot dropped": lambda d: _row(d)["row"]["slots"].pop(),
    "another text": lambda d: _row(d)["row"].update(record="0" * 64),
    "another release": lambda d: _row(d)["row"].update(released="0" * 64),
    "another id": lambda d: _row(d)["row"].update(ids=["z"]),
    "an id of another type": lambda d: _row(d)["row"].update(ids=[1]),
    "another salt": lambda d: _row(d).update(salt="0" * 32),
    "a short salt": lambda d: _row(d).update(salt="00"),
    "another place": lambda d: _row(d).update(index=_row(d)["index"] ^ 1),
    "a place beyond": lambda d: _row(d).update(index=99),
    "a place before": lambda d: _row(d).update(index=-1),
    "no number as place": lambda d: _row(d).update(index=True),
    "a longer proof": lambda d: _row(d)["proof"].append("0" * 64),
    "a shorter proof": lambda d: _row(d)["proof"].pop(),
    "no text as proof": lambda d: _row(d).update(proof=[7]),
    "proofs of two rows": lambda d: _row(d).update(proof=d["rows"][1]["proof"]),
    "a row twice": lambda d: d["rows"].append(_row(d)),
    "no rows": lambda d: d["rows"].clear(),
    "rows of another type": lambda d: d.update(rows=[7]),
    "slots of another type": lambda d: _row(d)["row"].update(slots=[7]),
    "choices of another type": lambda d: _slot(d).update(choices=[1, 2]),
    "ghosts too many": lambda d: _slot(d).update(ghosts=[0] * 9),
    "surprisals as text": lambda d: _slot(d).update(surprisals=["1", "2"]),
    "another root": lambda d: d.update(root="0" * 64),
    "another count": lambda d: d.update(leafCount=d["leafCount"] + 1),
    "another format": lambda d: d.update(format="bookplate-disclosure/2"),
    "more": lambda d: d.update(more=1),
    "less": lambda d: d.pop("leafCount"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_altered_disclosure_is_refused(by_type, change):
    manifest, release = by_type
    data = json.loads(disclose(manifest, ["a", "b"]))
    change(data)
    with pytest.raises(VerificationError):
        check_disclosure(json.dumps(data).encode(), release)


def test_a_flipped_bit_is_refused_wherever_it_is(by_type):
    """White space may change; whatever is read may not."""
    manifest, release = by_type
    data = json.dumps(json.loads(disclose(manifest, ["n1"])), separators=(",", ":")).encode()
    for place in range(0, len(data), 3):
        altered = bytearray(data)
        altered[place] ^= 1 << (place % 7)
        try:
            found = check_disclosure(bytes(altered), release)
        except BookplateError:
            continue
        pytest.fail(f"byte {place} altered: {found}")


def test_a_disclosure_of_another_release_is_refused(by_type):
    other = replace(by_type[1], manifest=MerkleCommitment("0" * 64, len(TEXTS)))
    with pytest.raises(VerificationError, match="another manifest"):
        check_disclosure(disclose(by_type[0], ["a"]), other)


# All rows.


@pytest.fixture
def exhibit(tmp_path, marked):
    marked[0].write(tmp_path / "manifest.parquet")
    write_rows_exhibit(tmp_path / "manifest.parquet", tmp_path / "rows.jsonl.gz")
    return tmp_path / "rows.jsonl.gz"


def test_all_rows_give_the_choice_of_every_unit(marked, exhibit):
    manifest, release = marked
    places = [
        (manifest.marking.unit_name(record.record, index, slot.unit), index, slot)
        for record in manifest.records
        for index, slot in enumerate(record.slots)
    ]
    expected = {
        name: UnitChoice(
            tuple(choice.lower() for choice in slot.choices),
            slot.choice,
            n_slots=sum(other == name for other, _, _ in places),
            n_first=sum(other == name and index == 0 for other, index, _ in places),
            least=tuple(
                min(s.surprisals[i] for other, _, s in places if other == name) for i in which
            ),
            most=tuple(
                max(s.surprisals[i] for other, _, s in places if other == name) for i in which
            ),
        )
        for name, _, slot in places
        for which in [range(len(slot.choices))]
    }
    assert len(expected) > 1
    assert check_rows(exhibit, release) == expected
    assert check_rows(exhibit.read_bytes(), release) == expected


def test_each_line_is_what_the_root_is_over(marked, exhibit):
    lines = gzip.decompress(exhibit.read_bytes()).splitlines()
    assert commit(lines) == marked[1].manifest


def test_the_exhibit_names_neither_files_nor_recipient(tmp_path):
    manifest = mark_texts(
        TEXTS, KEY, Marking(), candidates=BROAD, dataset="private-set", recipient="Alice Example"
    )
    replace(manifest, files=(("hidden-name.csv", 7),)).write(tmp_path / "manifest.parquet")
    write_rows_exhibit(tmp_path / "manifest.parquet", tmp_path / "rows.jsonl.gz")
    content = gzip.decompress((tmp_path / "rows.jsonl.gz").read_bytes())
    assert content.count(b"\n") == len(manifest.records)
    for name in (b"private-set", b"Alice", b"hidden-name", manifest.key_commitment.encode()):
        assert name not in content


def packed(lines):
    return gzip.compress(b"".join(line + b"\n" for line in lines))


def edited(lines, change):
    """The lines, one row with slots changed and written in canonical form again."""
    rows = [json.loads(line) for line in lines]
    change(next(row["row"] for row in rows if row["row"]["slots"]))
    return [canonical_json(row) for row in rows]


LINE_CHANGES = {
    "a row dropped": lambda rows: rows[1:],
    "a row twice": lambda rows: [rows[0], *rows[:-1]],
    "one too many": lambda rows: [*rows, rows[-1].replace(b'"record":"', b'"record":"f', 1)],
    "another order": lambda rows: rows[::-1],
    "another salt": lambda rows: [rows[0][:-4] + b'00"}', *rows[1:]],
    "an empty line": lambda rows: [*rows, b""],
    "white space": lambda rows: [rows[0] + b" ", *rows[1:]],
    "a key twice": lambda rows: [rows[0][:-1] + rows[0][rows[0].index(b',"salt"') :], *rows[1:]],
    "an escape": lambda rows: [rows[0].replace(b"s", b"\\u0073", 1), *rows[1:]],
    "nested": lambda rows: [b"[" * 100_000, *rows[1:]],
    "no object": lambda rows: [b"7", *rows[1:]],
    "no text": lambda rows: [b"\xff", *rows[1:]],
    "nothing": lambda rows: [],
    "another choice": lambda rows: edited(
        rows, lambda row: row["slots"][0].update(choice=1 - min(row["slots"][0]["choice"], 1))
    ),
    "a choice beyond": lambda rows: edited(rows, lambda row: row["slots"][0].update(choice=9)),
    "a choice as truth": lambda rows: edited(rows, lambda row: row["slots"][0].update(choice=True)),
    "a slot dropped": lambda rows: edited(rows, lambda row: row["slots"].pop()),
    "another release": lambda rows: edited(rows, lambda row: row.update(released="0" * 64)),
    "not a number": lambda rows: [
        re.sub(rb'"surprisals":\[[^,]*', b'"surprisals":[NaN', r) for r in rows
    ],
    "endless": lambda rows: [
        re.sub(rb'"surprisals":\[[^,]*', b'"surprisals":[1e999', r) for r in rows
    ],
}


@pytest.mark.parametrize("change", LINE_CHANGES.values(), ids=LINE_CHANGES)
def test_altered_rows_are_refused(tmp_path, by_type, change):
    manifest, release = by_type
    manifest.write(tmp_path / "manifest.parquet")
    write_rows_exhibit(tmp_path / "manifest.parquet", tmp_path / "rows.jsonl.gz")
    lines = gzip.decompress((tmp_path / "rows.jsonl.gz").read_bytes()).splitlines()
    assert check_rows(packed(lines), release)
    with pytest.raises(VerificationError):
        check_rows(packed(change(lines)), release)


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"{}", gzip.compress(b"{}", mtime=0), gzip.compress(b"", mtime=0)]
)
def test_what_are_no_rows_is_refused(by_type, content):
    with pytest.raises(VerificationError):
        check_rows(content, by_type[1])


def test_every_cut_and_flipped_bit_of_the_exhibit_is_refused_or_changes_nothing(tmp_path, by_type):
    """gzip's own header, and the last byte of its data, have bits that mean nothing."""
    manifest, release = by_type
    manifest.write(tmp_path / "manifest.parquet")
    write_rows_exhibit(tmp_path / "manifest.parquet", tmp_path / "rows.jsonl.gz")
    data = (tmp_path / "rows.jsonl.gz").read_bytes()
    units, harmless = check_rows(data, release), 0
    for place in range(len(data)):
        flipped = data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]
        try:
            assert check_rows(flipped, release) == units
            harmless += 1
        except VerificationError:
            pass
    assert harmless < 12
    for altered in (*(data[:n] for n in range(0, len(data), 7)), data + b"\0", data + data):
        with pytest.raises(VerificationError):
            check_rows(altered, release)


def test_a_gzip_bomb_is_refused_before_it_is_unpacked(by_type):
    many = replace(by_type[1], manifest=MerkleCommitment("0" * 64, 1 << 40))
    bomb = gzip.compress(b" " * (1 << 24))
    assert len(bomb) < 1 << 15
    with pytest.raises(VerificationError, match="unpack to more"):
        check_rows(bomb, many)


@pytest.mark.parametrize("name", ["white space", "a key twice", "an escape"])
def test_rows_that_two_readers_may_read_differently_are_refused_even_under_their_own_root(
    by_type, name
):
    manifest, release = by_type
    lines = LINE_CHANGES[name](list(map(leaf_data, manifest.records, manifest.salts)))
    with pytest.raises(VerificationError, match="canonical form"):
        check_rows(packed(lines), replace(release, manifest=commit(lines)))


def test_the_most_repetitive_release_is_far_from_a_bomb(tmp_path):
    texts = [
        f"{i} " + "They often worked, and the couple usually prospered. " * 200 for i in (1, 2)
    ]
    mark_texts(texts, KEY, Marking(), candidates=BROAD).write(tmp_path / "manifest.parquet")
    write_rows_exhibit(tmp_path / "manifest.parquet", tmp_path / "rows.jsonl.gz")
    data = (tmp_path / "rows.jsonl.gz").read_bytes()
    assert len(gzip.decompress(data)) < 100 * len(data)


def test_two_choices_of_one_unit_are_refused(by_type):
    """A root over contradicting rows is no excuse: the key draws each unit once."""
    manifest, release = by_type
    twice = [r for r in manifest.records if any(s.unit.startswith("often|") for s in r.slots)]
    first = twice[0]
    other = replace(
        first, slots=tuple(replace(s, choice=1 - min(s.choice, 1)) for s in first.slots)
    )
    records = tuple(other if record is first else record for record in manifest.records)
    changed = replace(manifest, records=records)
    bad = replace(release, manifest=changed.commitment())
    rows = packed(map(leaf_data, changed.records, changed.salts))
    with pytest.raises(VerificationError, match="two different choices"):
        check_rows(rows, bad)


def test_an_exhibit_of_no_manifest_is_bad_input_and_leaves_nothing(tmp_path):
    (tmp_path / "manifest.parquet").write_bytes(b"PAR1")
    with pytest.raises(InvalidInput, match=r"manifest\.parquet"):
        write_rows_exhibit(tmp_path / "manifest.parquet", tmp_path / "rows.jsonl.gz")
    with pytest.raises(InvalidInput, match="cannot be read"):
        write_rows_exhibit(tmp_path / "none.parquet", tmp_path / "rows.jsonl.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.parquet"]
