"""Cards of a release: what they say, what they keep to themselves, and hostile text in them."""

import gzip
import hashlib
import html
import json
import logging
import re
from datetime import UTC, datetime

import polars as pl
import pytest
import yaml
from bookplate.errors import InvalidInput, VerificationError
from bookplate.watermark.cards import Described, write_card
from bookplate.watermark.cards.readme import escaped_markdown, size_category
from bookplate.watermark.embed import embed
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.marking import Marking
from bookplate.watermark.release import Release
from markdown_it import MarkdownIt

KEY = MarkingKey(bytes(range(32)), b"s" * 32)
TEXTS = [f"They often worked, and the couple of {i} usually prospered." for i in range(12)]
WORDS = {
    "name": "Harbour tales",
    "description": "Stories of harbours.\n\nTold twice.",
    "license": "CC-BY-4.0",
    "url": "https://example.org/tales",
    "creator": "Harbour & Sons",
    "published": "2026-11-22",
}
REQUIRED = {  # docs/croissant-spec-1.1.md; dct:conformsTo is `conformsTo` in its own context
    *("@context", "@type", "conformsTo", "name", "description", "license", "url", "creator"),
    "datePublished",
}


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A release of one file of each kind."""
    folder = tmp_path_factory.mktemp("card")
    (folder / "data").mkdir()
    frame = pl.DataFrame({
        "text": TEXTS,
        "year": range(12),
        "score": [0.5] * 12,
        "tags": [["a"]] * 12,
    })
    frame.write_parquet(folder / "data" / "a.parquet")
    frame.drop("tags").write_csv(folder / "data" / "b.csv", quote_style="always")
    frame.write_ndjson(folder / "data" / "c.jsonl")
    embed(folder / "data", folder / "out", KEY, Marking())
    return folder / "out" / "release"


def card_of(released, out, words=WORDS, **options):
    """croissant.json, the YAML and the text of README.md."""
    write_card(released, out, Described(**words), **options)
    content = (out / "README.md").read_text(encoding="utf-8")
    _, front, text = re.split(r"^---$\n?", content, maxsplit=2, flags=re.MULTILINE)
    return (
        json.loads((out / "croissant.json").read_text(encoding="utf-8")),
        yaml.safe_load(front),
        text,
    )


def test_it_says_what_its_owner_and_its_files_say(released, tmp_path):
    croissant, front, text = card_of(released, tmp_path / "card")
    assert croissant.keys() >= REQUIRED
    assert croissant["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert croissant["name"] == front["pretty_name"] == WORDS["name"]
    assert croissant["description"] == WORDS["description"]
    assert croissant["license"] == "https://spdx.org/licenses/CC-BY-4.0.html"
    assert croissant["isLiveDataset"] is False
    assert front["license"] == "cc-by-4.0"
    assert front["size_categories"] == ["n<1K"]
    (split,) = front["configs"][0]["data_files"]
    assert split == {"split": "train", "path": ["a.parquet", "b.csv", "c.jsonl"]}
    assert "# Harbour tales\n\nStories of harbours\\.\n\nTold twice\\.\n\n## Provenance" in text


def test_every_digest_is_that_of_the_file(released, tmp_path):
    croissant, _, text = card_of(released, tmp_path / "card")
    files = {item["contentUrl"]: item for item in croissant["distribution"]}
    assert files.keys() == {"a.parquet", "b.csv", "c.jsonl", "commitment.json"}
    for name, item in files.items():
        where = released if (released / name).exists() else tmp_path / "card"
        content = (where / name).read_bytes()
        assert item["sha256"] == hashlib.sha256(content).hexdigest()
        assert item["contentSize"] == f"{len(content)} B"
        assert item["sha256"] in text


def test_columns_of_simple_types_are_described(released, tmp_path):
    croissant, _, _ = card_of(released, tmp_path / "card")
    described = {
        record_set["name"]: {
            field["source"]["extract"]["column"]: field["dataType"] for field in record_set["field"]
        }
        for record_set in croissant["recordSet"]
    }
    typed = {"text": "sc:Text", "year": "sc:Integer", "score": "sc:Float"}
    assert described == {
        "a.parquet": typed,
        "b.csv": dict.fromkeys(typed, "sc:Text"),
        "c.jsonl": typed,
    }


def test_a_compressed_file_is_listed_without_its_columns(tmp_path):
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    embed(tmp_path / "a.jsonl.gz", tmp_path / "out", KEY, Marking())
    croissant, _, _ = card_of(tmp_path / "out" / "release", tmp_path / "card")
    assert croissant["distribution"][0]["encodingFormat"] == "application/gzip"
    assert "recordSet" not in croissant


@pytest.mark.parametrize(
    ("rows", "size"),
    [
        *((0, "n<1K"), (999, "n<1K"), (1_000, "1K<n<10K"), (99_999, "10K<n<100K")),
        *((10**6, "1M<n<10M"), (10**9, "1B<n<10B"), (10**12, "n>1T"), (10**15, "n>1T")),
    ],
)
def test_the_size_of_a_dataset_is_named_as_the_hub_does(rows, size):
    assert size_category(rows) == size


def test_by_default_nothing_says_that_the_data_are_marked(released, tmp_path):
    release = Release.read(released / "release.json")
    croissant, front, text = card_of(released, tmp_path / "card")
    assert croissant["bp:commitmentRoot"] == release.manifest.root
    assert croissant["bp:leafCount"] == release.manifest.leaf_count == 12
    assert croissant["bp:hashAlgorithm"].startswith("SHA-256")
    digest = hashlib.sha256((released / "release.json").read_bytes()).hexdigest()
    assert croissant["bp:descriptionSha256"] == digest
    assert release.manifest.root in text
    assert (tmp_path / "card" / "commitment.json").read_bytes() == release.manifest.to_bytes()
    everything = json.dumps([croissant, front, text]).lower()
    for word in ("mark", "synonym", "secret", "release.json", release.key_commitment, "lexi"):
        assert word not in everything
    assert not (tmp_path / "card" / "release.json").exists()


def test_its_owner_may_say_that_the_data_are_marked(released, tmp_path):
    croissant, _, text = card_of(released, tmp_path / "card", say_marked=True)
    assert "synonyms" in croissant["bp:note"]
    assert "synonyms" in text
    assert "release.json" in {item["contentUrl"] for item in croissant["distribution"]}
    copied = (tmp_path / "card" / "release.json").read_bytes()
    assert copied == (released / "release.json").read_bytes()


def test_the_time_is_an_outside_authoritys_or_is_not_stated(released, tmp_path):
    croissant, _, text = card_of(released, tmp_path / "card")
    assert "bp:committedAt" not in croissant
    assert "existed by" not in text

    class Trusted:
        """An authority over one message, whose timestamps are tested elsewhere."""

        def __init__(self, message):
            self.message = message

        def verify(self, answer, message):
            if message != self.message:
                raise VerificationError("of another message")
            return type("Timestamp", (), {"latest": datetime(2026, 1, 2, tzinfo=UTC)})

    (tmp_path / "t.tsr").write_bytes(b"an answer")
    content = (released / "release.json").read_bytes()
    stamped = {"timestamp": tmp_path / "t.tsr", "trusted": Trusted(content)}
    croissant, _, text = card_of(released, tmp_path / "kept", **stamped)
    assert croissant["bp:committedAt"] == "2026-01-02T00:00:00Z"
    assert "2026-01-02T00:00:00Z" in text
    assert not (tmp_path / "kept" / "release.json.timestamp.tsr").exists()
    card_of(released, tmp_path / "told", say_marked=True, **stamped)
    assert (tmp_path / "told" / "release.json.timestamp.tsr").read_bytes() == b"an answer"
    of_root = Trusted(Release.read(released / "release.json").manifest.to_bytes())
    card_of(released, tmp_path / "root", timestamp=tmp_path / "t.tsr", trusted=of_root)
    assert (tmp_path / "root" / "commitment.json.timestamp.tsr").exists()
    with pytest.raises(VerificationError, match="holds for none"):
        card_of(released, tmp_path / "not", timestamp=tmp_path / "t.tsr", trusted=Trusted(b"other"))
    assert not (tmp_path / "not").exists()


HOSTILE = [
    "<script>alert(1)</script>",
    "a\n---\nlicense: mit\n---\n# b",
    "[click](javascript:alert(1)) ![x](http://evil.example/x.png) <http://evil.example>",
    "| a | b |",
    "\u202egnp.exe \x1b[31m \u200b",
    "*a* _b_ `c` ~~d~~ @somebody #1 https://evil.example www.evil.example",
    "!!python/object:os.system {a: b} & * ? : yes",
    "$x$ \\[y\\] &lt;b&gt;",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text(released, tmp_path, text):
    words = WORDS | {"name": text, "description": text, "creator": text}
    croissant, front, body = card_of(released, tmp_path / "card", words | {"tags": (text,)})
    assert set(front) == {
        "license",
        "pretty_name",
        "language",
        "tags",
        "size_categories",
        "configs",
    }
    assert front["license"] == "cc-by-4.0"
    assert front["pretty_name"] == front["tags"][0] == croissant["name"]
    foreign = body.split("## Provenance")[0]
    assert not re.search(r"(?<!\\)[<>\[\]`*_|$~]", foreign.replace("\\\\", ""))
    assert not re.search(r"https?:|www\.|^#{2,}|^---", foreign, flags=re.MULTILINE)
    assert not re.search(r"[\u202e\x1b\u200b]", json.dumps(croissant, ensure_ascii=False) + body)


@pytest.mark.parametrize(
    "text", [*HOSTILE, "1. one", "- one", "# one", "    one", "a  \n\nb", "+ one"]
)
def test_escaped_markdown_is_shown_as_it_was(text):
    """Another reader of Markdown (that of `rich`) finds one paragraph of plain text."""
    shown = MarkdownIt("commonmark").enable("table").render(escaped_markdown(text))
    plain = "".join(
        f"<U+{ord(letter):04X}>" if letter in "\u202e\x1b\u200b" else letter
        for letter in " ".join(text.split())
    )
    assert shown == f"<p>{html.escape(plain)}</p>\n"


@pytest.mark.parametrize(
    "change",
    [
        {"name": " "},
        {"description": ""},
        {"creator": "x" * 100_001},
        {"license": "no such licence"},
        {"license": "javascript:alert(1)"},
        {"license": "https://exa mple.org"},
        {"url": "example.org"},
        {"url": "javascript:alert(1)"},
        {"url": "https://example.org/\u202e"},
        {"url": 'https://example.org/"'},
        {"published": "yesterday"},
        {"published": "2026-02-30"},
        {"published": "20261122"},
        {"languages": ("English!",)},
        {"tags": ("",)},
        {"version": ""},
    ],
)
def test_what_cannot_be_said_is_refused(change):
    with pytest.raises(InvalidInput):
        Described(**(WORDS | change))


def test_a_licence_may_be_an_address(released, tmp_path):
    address = "https://example.org/terms"
    croissant, front, _ = card_of(released, tmp_path / "card", WORDS | {"license": address})
    assert croissant["license"] == front["license_link"] == address
    assert front["license"] == "other"


def test_a_file_that_was_changed_or_is_missing_is_refused(released, tmp_path):
    copied = tmp_path / "release"
    copied.mkdir()
    for path in released.iterdir():
        (copied / path.name).write_bytes(path.read_bytes())
    (copied / "b.csv").write_bytes((copied / "b.csv").read_bytes() + b"\n")
    with pytest.raises(VerificationError, match=r"b\.csv: is not the released file"):
        write_card(copied, tmp_path / "card", Described(**WORDS))
    (copied / "b.csv").unlink()
    with pytest.raises(InvalidInput, match=r"b\.csv: no such file"):
        write_card(copied, tmp_path / "card", Described(**WORDS))
    assert not (tmp_path / "card").exists()


def test_nothing_is_overwritten(released, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(InvalidInput, match="already exists"):
        write_card(released, tmp_path, Described(**WORDS))
    assert (tmp_path / "README.md").read_text() == "mine"


def test_mlcroissant_reads_it(released, tmp_path):
    mlcroissant = pytest.importorskip("mlcroissant")
    logging.disable(logging.WARNING)
    try:
        write_card(released, tmp_path / "card", Described(**WORDS))
        for path in released.glob("*.*"):
            (tmp_path / "card" / path.name).write_bytes(path.read_bytes())
        dataset = mlcroissant.Dataset(str(tmp_path / "card" / "croissant.json"))
        assert not dataset.metadata.ctx.issues.errors
        for record_set in dataset.metadata.record_sets:
            rows = [list(row.values()) for row in dataset.records(record_set.uuid)]
            assert len(rows) == 12
    finally:
        logging.disable(logging.NOTSET)
