"""The k-gram index: equal to brute force, to infini-gram, and to itself after a kill; nothing forged."""

import importlib.util
import json
import subprocess
from collections import defaultdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput, VerificationError
from bookplate.files import canonical_json, sha256_of_file
from bookplate.provenance.palimpsest import Covariate, Transcript, TranscriptSource
from bookplate.provenance.palimpsest.covariates import covariate_values
from bookplate.provenance.palimpsest.ngrams import (
    Engine,
    MatchRule,
    ModelTokenizer,
    WordTokenizer,
    blocks_of,
    build_index,
    joined,
    open_index,
    refuse_other_tokenizer,
    suffixes,
)
from bookplate.stats import Input
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SOURCE = Input(name="transcript.parquet", sha256="0" * 64)
IDS = Input(name="ids", sha256="1" * 64)
HAS_INFINI_GRAM = importlib.util.find_spec("infini_gram") is not None
needs_infini_gram = pytest.mark.skipif(not HAS_INFINI_GRAM, reason="infini-gram is not installed")


def built(folder, rows, steps=None, **options):
    steps = np.arange(len(rows)) if steps is None else steps
    build_index(folder, [(steps, rows)], source=SOURCE, tokenizer=IDS, **options)
    return open_index(folder)


def brute_force(sequences, texts, rule):
    """Scores, places by length, places too common: by the definition."""
    where = defaultdict(list)
    for number, ids in enumerate(sequences):
        for k in range(1, rule.longest + 1):
            for start in range(len(ids) - k + 1):
                where[tuple(ids[start : start + k])].append(number)
    scores = np.zeros(len(sequences))
    by_length = np.zeros(rule.longest + 1, dtype=int)
    too_common = 0
    for text in texts:
        for place in range(len(text)):
            for k in range(min(rule.longest, len(text) - place), rule.shortest - 1, -1):
                found = where.get(tuple(text[place : place + k]))
                if not found:
                    continue
                if len(found) > rule.most_occurrences:
                    too_common += 1
                else:
                    by_length[k] += 1
                    for number in found:
                        scores[number] += 1 / len(found)
                break
    return scores, by_length, too_common


def equals_brute_force(index, rows, texts, rule):
    sequences = list(dict.fromkeys(map(tuple, rows)))
    scores, by_length, too_common = brute_force(sequences, texts, rule)
    matches = index.match(joined([np.array(text, dtype=np.int64) for text in texts]), rule)
    assert matches.scores.tolist() == scores.tolist()
    assert matches.by_length.tolist() == by_length.tolist()
    assert matches.n_too_common == too_common
    assert matches.n_places == sum(map(len, texts))
    assert [tuple(index.sequence(i)) for i in range(len(sequences))] == sequences


@st.composite
def cases(draw):
    token = st.sampled_from(
        draw(st.sampled_from([(0, 1), (0, 1, 2, 3), (5, 65_533, 65_534, 90_000)]))
    )
    rows = draw(st.lists(st.lists(token, min_size=1, max_size=12), min_size=1, max_size=25))
    texts = draw(
        st.lists(st.lists(token | st.just(4_000_000_000), max_size=25), min_size=1, max_size=3)
    )
    shortest = draw(st.integers(1, 3))
    rule = MatchRule(
        shortest=shortest,
        longest=shortest + draw(st.integers(0, 4)),
        most_occurrences=draw(st.sampled_from([1, 3, 1_000])),
    )
    return rows, texts, rule, draw(st.sampled_from([9, 40, 10_000]))


slow_start = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@slow_start
@given(case=cases())
def test_matches_are_those_of_brute_force(tmp_path_factory, case):
    rows, texts, rule, shard_tokens = case
    folder = tmp_path_factory.mktemp("brute") / "index"
    equals_brute_force(built(folder, rows, shard_tokens=shard_tokens), rows, texts, rule)


@needs_infini_gram
@settings(slow_start, max_examples=12)
@given(case=cases())
def test_infini_gram_gives_the_same_numbers(tmp_path_factory, case):
    rows, texts, rule, shard_tokens = case
    folder = tmp_path_factory.mktemp("infini")
    options = {"shard_tokens": shard_tokens}
    other = built(folder / "infini", rows, engine=Engine.INFINI_GRAM, **options)
    equals_brute_force(other, rows, texts, rule)
    own = built(folder / "own", rows, **options)
    assert other.rarity().tolist() == own.rarity().tolist()
    query = joined([np.array(text, dtype=np.int64) for text in texts])
    assert other.n_matched(query, 2) == own.n_matched(query, 2)


@needs_infini_gram
def test_our_files_are_those_that_infini_gram_writes(tmp_path):
    """Its own indexing program, on the tokens we wrote, makes the same table, byte for byte."""
    import infini_gram

    rng = np.random.default_rng(1)
    rows = [rng.integers(0, 5, size=rng.integers(1, 30)).tolist() for _ in range(200)]
    built(tmp_path / "index", rows, engine=Engine.INFINI_GRAM)
    shard = tmp_path / "index" / "shard-00000"
    program = Path(infini_gram.__file__).with_name("rust_indexing")
    size = (shard / "tokenized.0").stat().st_size
    for name in ("parts", "merged"):
        (tmp_path / name).mkdir()
    common = f"--data-file {shard / 'tokenized.0'} --ratio {-(-(size - 1).bit_length() // 8)} --token-width 2"
    parts, merged = f"--parts-dir {tmp_path}/parts", f"--merged-dir {tmp_path}/merged"
    for command in (
        f"make-part {common} {parts} --start-byte 0 --end-byte {size}",
        f"merge {common} {parts} {merged} --num-threads 1 --hacksize 100000",
        f"concat {common} {merged} --merged-file {tmp_path}/table --num-threads 1",
    ):
        subprocess.run([program, *command.split()], check=True, capture_output=True)
    assert (tmp_path / "table").read_bytes() == (shard / "table.0").read_bytes()


def test_no_kgram_runs_from_one_sequence_or_text_into_the_next(tmp_path):
    index = built(tmp_path / "index", [[1, 2], [3, 4]])
    rule = MatchRule(shortest=2)
    assert index.match(joined([np.array([2, 3])]), rule).n_counted == 0
    assert index.match(joined([np.array([1]), np.array([2])]), rule).n_counted == 0
    assert index.match(joined([np.array([1, 2])]), rule).n_counted == 1


def test_a_long_text_is_matched_piece_by_piece_with_the_same_result(tmp_path, monkeypatch):
    rng = np.random.default_rng(2)
    index = built(tmp_path / "index", rng.integers(0, 4, size=(40, 20)).tolist(), shard_tokens=100)
    query = joined([rng.integers(0, 4, size=500), rng.integers(0, 4, size=300)])
    whole = index.match(query, MatchRule())
    monkeypatch.setattr(suffixes, "_BLOCK", 7)
    monkeypatch.setattr(suffixes, "_MANY", 5)  # on all cores, but for the rest at the end
    pieces = index.match(query, MatchRule())
    assert pieces.scores.tolist() == whole.scores.tolist()
    assert pieces.by_length.tolist() == whole.by_length.tolist()


def test_repeated_sequences_are_indexed_once(tmp_path):
    rows = [[1, 2, 3], [4, 5], [1, 2, 3], [4, 5], [1, 2, 3]]
    index = built(tmp_path / "index", rows, steps=[10, 20, 30, 40, 50])
    assert index.table.contents.tolist() == [0, 1, 0, 1, 0]
    assert index.table.lengths.tolist() == [3, 2]
    assert index.match(joined([np.array([1, 2, 3])]), MatchRule()).scores.tolist() == [2, 0]


def test_blocks_of_any_size_give_the_same_files(tmp_path):
    rng = np.random.default_rng(3)
    rows = [rng.integers(0, 9, size=rng.integers(1, 9)) for _ in range(50)]
    built(tmp_path / "one", rows, shard_tokens=60)
    blocks = [([i], [rows[i]]) for i in range(50)]
    build_index(tmp_path / "many", blocks, source=SOURCE, tokenizer=IDS, shard_tokens=60)
    assert (tmp_path / "one/index.json").read_bytes() == (tmp_path / "many/index.json").read_bytes()
    assert json.loads((tmp_path / "one/index.json").read_bytes())["rows"] == 50


def test_rarity_is_the_covariate_of_the_query_test_whatever_the_shards(tmp_path):
    rng = np.random.default_rng(4)
    rows = [tuple(rng.integers(0, 6, size=rng.integers(1, 9)).tolist()) for _ in range(60)]
    distinct = list(dict.fromkeys(rows))
    expected = covariate_values(Covariate.RARITY, distinct)
    for tokens in (10, 1_000):
        index = built(tmp_path / str(tokens), rows, shard_tokens=tokens)
        assert index.rarity() == pytest.approx(expected, rel=1e-12)


# --- building: whole or not at all


def test_a_run_that_was_cut_off_goes_on_with_the_next_shard(tmp_path, monkeypatch):
    rng = np.random.default_rng(5)
    rows = rng.integers(0, 9, size=(30, 9)).tolist()
    blocks = [([i], [rows[i]]) for i in range(30)]
    options = {"source": SOURCE, "tokenizer": IDS, "shard_tokens": 50}

    def cut_off():
        yield from blocks[:17]
        raise KeyboardInterrupt

    written = []
    write = suffixes.write_shard
    monkeypatch.setattr(suffixes, "write_shard", lambda *a: (written.append(a[0].name), write(*a)))
    with pytest.raises(KeyboardInterrupt):
        build_index(tmp_path / "index", cut_off(), **options)
    assert not (tmp_path / "index").exists()
    before = list(written)
    build_index(tmp_path / "index", blocks, **options)
    assert len(before) == 3
    assert written[3:] == ["shard-00003.new", "shard-00004.new", "shard-00005.new"]
    build_index(tmp_path / "straight", blocks, **options)
    header = (tmp_path / "straight/index.json").read_bytes()
    assert (tmp_path / "index/index.json").read_bytes() == header
    assert sorted(p.name for p in tmp_path.iterdir()) == ["index", "straight"]


def test_a_shard_of_other_rows_is_not_taken_for_ours(tmp_path):
    """The transcript changed under an unfinished run, and says it is the same."""

    def cut_off(value):
        yield [1], [[value, 2, 3]]
        yield [2], [[4, 5, 6]]
        raise KeyboardInterrupt

    options = {"source": SOURCE, "tokenizer": IDS, "shard_tokens": 4}
    with pytest.raises(KeyboardInterrupt):
        build_index(tmp_path / "index", cut_off(1), **options)
    blocks = [([1], [[7, 2, 3]]), ([2], [[4, 5, 6]])]
    build_index(tmp_path / "index", blocks, **options)
    assert open_index(tmp_path / "index").sequence(0).tolist() == [7, 2, 3]


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([([1], [[1, -2]])], "row 1: expected token ids from 0"),
        ([([1], [[1, 2]]), ([2], [[2**33]])], "row 2: expected token ids from 0"),
        ([([1], [[0.5]])], "row 1: expected a list of at least one integer"),
        ([([1], [[]])], "row 1: expected a list of at least one integer"),
        ([([1, 2], [[1, 2]])], "one integer step for each of 1 sequences"),
        ([([0.5], [[1, 2]])], "one integer step for each of 1 sequences"),
    ],
)
def test_malformed_blocks_are_refused_and_leave_nothing(tmp_path, blocks, message):
    with pytest.raises(InvalidInput, match=message):
        build_index(tmp_path / "index", blocks, source=SOURCE, tokenizer=IDS)
    assert not list(tmp_path.iterdir())


def test_nothing_to_index_is_refused(tmp_path):
    with pytest.raises(InsufficientEvidence, match="no sequences"):
        build_index(tmp_path / "index", [], source=SOURCE, tokenizer=IDS)


@pytest.mark.parametrize(
    "bad", [{"shortest": 0}, {"longest": 1}, {"longest": 65}, {"most_occurrences": 0}]
)
def test_a_rule_that_makes_no_sense_is_refused(bad):
    with pytest.raises(InvalidInput, match="expected"):
        MatchRule(**bad)


# --- opening: nothing is believed


@pytest.fixture
def index_folder(tmp_path):
    rows = np.random.default_rng(6).integers(0, 4, size=(12, 6)).tolist()
    built(tmp_path / "index", rows, shard_tokens=40)
    return tmp_path / "index"


FILES = ["steps.bin", "contents.bin"] + [
    f"shard-00001/{name}" for name in ("tokens.bin", "suffixes.bin", "digests.bin", "lengths.bin")
]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flipped", "cut off", "gone"])
def test_a_damaged_file_is_noticed(index_folder, name, damage):
    path = index_folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flipped" else content[:-1])
    with pytest.raises(VerificationError, match="is not the file that was written"):
        open_index(index_folder)


def forged(folder, name, content):
    """Replace a file, and its digest in the header."""
    (folder / name).write_bytes(content)
    header = json.loads((folder / "index.json").read_bytes())
    header["files"][name] = sha256_of_file(folder / name)
    (folder / "index.json").write_bytes(canonical_json(header))


@pytest.mark.parametrize("outside", [2**31 - 1, -(2**31), -1])
def test_a_forged_suffix_array_cannot_point_outside(index_folder, outside):
    name = "shard-00000/suffixes.bin"
    size = (index_folder / name).stat().st_size // 4
    forged(index_folder, name, np.full(size, outside, dtype="<i4").tobytes())
    index = open_index(index_folder)
    with pytest.raises(VerificationError, match="points outside"):
        index.match(joined([np.array([0, 1, 2, 3])]), MatchRule())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("contents.bin", np.full(12, 99), "names sequences that are not there"),
        ("contents.bin", np.zeros(12), "a sequence is in no row"),
        ("steps.bin", np.zeros(3), "expected 12 numbers"),
        ("shard-00000/lengths.bin", np.full(5, -7), "has no tokens, or too many"),
        ("shard-00000/lengths.bin", np.full(5, 9), "expected 50 tokens"),
        ("shard-00000/suffixes.bin", np.zeros(2), "expected 30 suffixes"),
        ("shard-00000/digests.bin", np.zeros(10), "is there twice"),
    ],
)
def test_files_that_contradict_each_other_are_noticed(index_folder, name, content, message):
    forged(index_folder, name, content.astype("<i8").tobytes())
    with pytest.raises(VerificationError, match=message):
        open_index(index_folder)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"version": 2}, InvalidInput, "no n-gram index of this version"),
        ({"format": "x"}, InvalidInput, "no n-gram index of this version"),
        ({"engine": "x"}, VerificationError, "is damaged"),
        ({"rows": True}, VerificationError, "is damaged"),
        ({"rows": 10**30}, VerificationError, "is damaged"),
        ({"shards": []}, VerificationError, "has no shards"),
        ({"shards": 3}, VerificationError, "is damaged"),
        ({"source": {"name": "x", "sha256": "y"}}, VerificationError, "is damaged"),
        ({"files": {"../../etc/passwd": "0"}}, VerificationError, "does not name the files"),
        ({"largest_id": None}, VerificationError, "is damaged"),
    ],
)
def test_a_forged_header_is_refused(index_folder, change, error, message):
    path = index_folder / "index.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **change}))
    with pytest.raises(error, match=message):
        open_index(index_folder)


def test_a_folder_that_is_no_index_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="cannot be read as the header"):
        open_index(tmp_path)


# --- from a transcript


def test_a_transcript_streams_from_disk_as_it_does_from_memory(tmp_path):
    rng = np.random.default_rng(7)
    rows = [rng.integers(0, 50, size=rng.integers(2, 9)).tolist() for _ in range(90)]
    Transcript.write(tmp_path / "t.parquet", list(range(90)), rows)
    words = WordTokenizer()
    source = TranscriptSource.open(tmp_path / "t.parquet")
    from_disk = [ids for _, block in blocks_of(source, words) for ids in block]
    in_memory = Transcript.read(tmp_path / "t.parquet")
    of_memory = [ids for _, block in blocks_of(in_memory, words) for ids in block]
    assert [list(ids) for ids in from_disk] == rows == [list(ids) for ids in of_memory]


@pytest.mark.parametrize(
    "bad", [[[1, 2], [3]], [[1, 2], None], [[1, 2], [3, None]], [[1, 2], [-3, 4]]]
)
def test_a_malformed_row_is_named(tmp_path, bad):
    frame = pl.DataFrame(
        {"step": [1, 2], "tokens": bad}, schema_overrides={"tokens": pl.List(pl.Int64)}
    )
    frame.write_parquet(tmp_path / "t.parquet")
    source = TranscriptSource.open(tmp_path / "t.parquet")
    with pytest.raises(InvalidInput, match="row 2"):
        build_index(
            tmp_path / "index", blocks_of(source, WordTokenizer()), source=SOURCE, tokenizer=IDS
        )


def test_digests_cannot_be_indexed(tmp_path):
    pl.DataFrame({"step": [1], "digest": ["0" * 64]}).write_parquet(tmp_path / "t.parquet")
    source = TranscriptSource.open(tmp_path / "t.parquet")
    with pytest.raises(InvalidInput, match="holds digests"):
        next(blocks_of(source, WordTokenizer()))


# --- tokenizers


def test_words_have_the_same_ids_everywhere():
    first, second = WordTokenizer(), WordTokenizer()
    (ids,) = first.encode(["A bird, a bird!"])
    assert ids.size == 6
    assert ids[1] == ids[4] != ids[0]
    assert second.encode(["x", "A bird, a bird!"])[1].tolist() == ids.tolist()
    assert ids.max() < 2**31


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory, english):
    """Two tokenizers of one size, from different text."""
    from bookplate.cli.demo.training import tokenizer_of

    folder = tmp_path_factory.mktemp("tokenizers")
    for name, texts in (
        ("own", english[:300]),
        ("other", [t.swapcase() for t in english[300:600]]),
    ):
        tokenizer_of(texts, 1_000).save_pretrained(folder / name)
    return ModelTokenizer(str(folder / "own")), ModelTokenizer(str(folder / "other"))


def indexed(folder, rows, tokenizer):
    block = (np.arange(len(rows)), rows)
    build_index(folder, [block], source=SOURCE, tokenizer=tokenizer.identity)
    return open_index(folder)


def test_the_right_tokenizer_passes(tmp_path, english, tokenizers):
    own, _ = tokenizers
    rows = [ids[:60] for ids in own.encode(english[:200])]
    refuse_other_tokenizer(indexed(tmp_path / "i", rows, own), own, own.encode(english[700:760]))


def test_a_transcript_of_another_tokenizer_is_noticed(tmp_path, english, tokenizers):
    """By decoding and encoding again: whoever built the index named the wrong tokenizer."""
    own, other = tokenizers
    rows = [ids[:60] for ids in other.encode(english[:200])]
    index = indexed(tmp_path / "i", rows, own)
    with pytest.raises(InvalidInput, match="come back when they are decoded"):
        refuse_other_tokenizer(index, own, own.encode(english[700:760]))


def test_ids_that_decode_and_encode_well_but_share_nothing_are_noticed(
    tmp_path, english, tokenizers
):
    """Another vocabulary of whole words passes the round trip; the text then matches by chance only."""
    own, _ = tokenizers

    class Renamed:
        identity = own.identity

        def encode(self, texts):
            return [(ids * 7 + 3) % 1_000 for ids in own.encode(texts)]

    index = indexed(tmp_path / "i", own.encode(english[:200]), own)
    refuse_other_tokenizer(index, own, own.encode(english[700:760]))
    with pytest.raises(InvalidInput, match="the same tokens shuffled"):
        refuse_other_tokenizer(index, Renamed(), Renamed().encode(english[700:760]))


def test_ids_beyond_the_vocabulary_are_noticed(tmp_path, tokenizers):
    own, _ = tokenizers
    index = indexed(tmp_path / "i", [[1, 2, own.n_ids]], own)
    with pytest.raises(InvalidInput, match="holds the id 1,000, and there are 1,000"):
        refuse_other_tokenizer(index, own, [])


def test_an_index_for_another_tokenizer_is_refused(tmp_path, tokenizers):
    own, other = tokenizers
    with pytest.raises(
        InvalidInput, match="the index is of ids of the tokenizer own, not of other"
    ):
        refuse_other_tokenizer(indexed(tmp_path / "i", [[1, 2, 3]], own), other, [])


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="no tokenizer can be loaded"):
        ModelTokenizer(str(tmp_path))
