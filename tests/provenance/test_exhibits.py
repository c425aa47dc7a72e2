"""Exhibits: what is written comes back to the last bit, and no other bytes are taken for one."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from bookplate.errors import InvalidInput, VerificationError
from bookplate.files import canonical_json
from bookplate.provenance.bundle import exhibits, read_exhibit, write_exhibit
from bookplate.provenance.bundle.plain_parquet import PlainColumn, plain_parquet
from bookplate.provenance.influence.audit import influence_audit
from bookplate.provenance.influence.results import InfluenceScores
from bookplate.provenance.membership import inference_test
from bookplate.provenance.palimpsest import (
    Transcript,
    query_sequentially,
    query_test,
    reshuffle_test,
)
from bookplate.provenance.palimpsest.ngrams import build_index, open_index
from bookplate.provenance.palimpsest.partition import partition_test_of_tokens
from bookplate.provenance.palimpsest.repeats import content_digest
from bookplate.stats import (
    Input,
    RankEProcess,
    SignEProcess,
    choice_test,
    disagreements,
    ghost_test,
    paired_test,
    rank_test,
    spearman_test,
    stratified_test,
    two_sample_test,
    welch_test,
)
from hypothesis import example, given
from hypothesis import strategies as st

RNG = np.random.default_rng(1)
VALUES = [RNG.normal(size=2 + i % 3) for i in range(20)]
CHOSEN = np.arange(20) % 2
X, Y, Z = RNG.normal(size=(3, 40))
DRAWN = {"seed": 2**64 - 1, "n_resamples": 99}
SOURCE = Input(name="transcript.parquet", sha256="0" * 64)


def signs():
    process = SignEProcess(alternative="two-sided", alpha=0.1)
    process.extend(X)
    return process.finding()


def ranks():
    process = RankEProcess(alternative="less", alpha=1e-3)
    process.extend(VALUES)
    return process.finding()


FINDINGS = {
    "choice": choice_test(VALUES, CHOSEN, references=[VALUES], **DRAWN).named(
        [f"unit {u}" for u in range(20)], [["a", "b", "ç\n\u202e", "d"][: v.size] for v in VALUES]
    ),
    "ghost": ghost_test(RNG.normal(size=(9, 3)), bet=np.pi, stop_after=7, **DRAWN),
    "spearman": spearman_test(X, Y, covariates=[Z, X * Y], alternative="less", **DRAWN),
    "paired": paired_test(X, alternative="less", **DRAWN).named([str(i) for i in range(40)]),
    "two-sample": two_sample_test(X[:9], Y, alternative="greater", **DRAWN),
    "stratified": stratified_test(
        X, Y, CHOSEN.repeat(2), CHOSEN.repeat(2), alternative="less", **DRAWN
    ),
    "welch": welch_test(X[:9], Y, alternative="two-sided"),
    "rank": rank_test(-0.0, Y, alternative="two-sided"),
    "sign e-process": signs(),
    "rank e-process": ranks(),
}
EVERY = pytest.mark.parametrize("finding", FINDINGS.values(), ids=FINDINGS.keys())


def written(working, folder, name="T01.parquet"):
    write_exhibit(working, folder / name)
    return (folder / name).read_bytes()


@pytest.fixture(scope="module")
def choice_bytes(tmp_path_factory):
    return written(FINDINGS["choice"].working, tmp_path_factory.mktemp("exhibit"))


@EVERY
def test_an_exhibit_gives_the_finding_to_the_last_bit(finding, tmp_path):
    data = written(finding.working, tmp_path)
    for source in (data, tmp_path / "T01.parquet"):
        working = read_exhibit(source)
        assert working.repeat() == finding
        assert (working.names, working.choices) == (finding.working.names, finding.working.choices)
        assert working.settings == finding.working.settings


@EVERY
def test_any_reader_of_parquet_opens_it(finding, tmp_path):
    data = written(finding.working, tmp_path)
    frame = pl.read_parquet(data)
    for name, column in finding.working.columns.items():
        np.testing.assert_array_equal(frame[name].to_numpy(), column, strict=True)
    if finding.working.names:
        assert tuple(frame["name"]) == finding.working.names
    header = json.loads(pl.read_parquet_metadata(tmp_path / "T01.parquet")["bookplate"])
    assert header["format"] == "bookplate-exhibit/1"
    assert header["test"] == finding.working.test


def test_the_same_working_gives_the_same_bytes(tmp_path):
    """The digest was taken when the format was made; it is the same on every machine, and must stay."""
    finding = paired_test(np.arange(-3.0, 5.0), alternative="greater", seed=5)
    data = written(finding.named([f"pair {i}" for i in range(8)]).working, tmp_path)
    digest = "0fc593fa9f9cb456d92dcc7af405db26e2b0c48dcdfe6f451a64c41bf2d7017a"
    assert hashlib.sha256(data).hexdigest() == digest


# ---- refusals -------------------------------------------------------------------------------------


def refused(data, match):
    with pytest.raises(VerificationError, match=match):
        read_exhibit(data, "T01")


def test_what_is_no_exhibit_is_refused(tmp_path, choice_bytes):
    for data in (b"", b"PAR1", b"PAR1PAR1", b"{}", b"PAR1" + b"\xff" * 8 + b"PAR1"):
        refused(data, "T01: (no parquet file|its metadata)")
    for cut in (1, 100, len(choice_bytes) // 2, len(choice_bytes) - 1):
        refused(choice_bytes[:cut], "T01: ")
        refused(choice_bytes[cut:], "T01: ")
    refused(tmp_path / "none.parquet", "T01: cannot be read: No such file")
    refused(tmp_path, "T01: cannot be read: Is a directory")
    with pytest.raises(VerificationError, match=r"<U\+001B>"):
        read_exhibit(b"", "\x1b[31m")


def test_a_parquet_file_of_somebody_else_is_refused(tmp_path, choice_bytes):
    """Even one of the same numbers: what has two forms can be read in two ways."""
    metadata = pl.read_parquet_metadata(choice_bytes)
    pl.read_parquet(choice_bytes).write_parquet(
        tmp_path / "x.parquet", metadata={"bookplate": metadata["bookplate"]}
    )
    refused(tmp_path / "x.parquet", "T01: ")
    refused(choice_bytes[:4] + b"\0" + choice_bytes[4:], "T01: ")


HEADER = {
    "columns": [["difference", "float64", 16]],
    "format": "bookplate-exhibit/1",
    "rows": 2,
    "settings": {
        "alternative": "less",
        "method": "auto",
        "n_resamples": 99,
        "seed": "0000000000000001",
        "stop_after": None,
    },
    "test": "paired",
}


TWO = np.array([1.0, 2.0]).tobytes()


def forged(body=TWO, kind="float64", name="difference", **header):
    """An exhibit of one column whose header says something else."""
    header = {**HEADER, "columns": [[name, kind, len(body)]], **header}
    rows = header["rows"] if isinstance(header["rows"], int) else 2
    column = PlainColumn(name, kind if kind in {"bool", "int64", "string"} else "float64", body)
    return plain_parquet([column], max(rows, 1), ("bookplate", canonical_json(header)))


def test_a_forged_one_without_a_fault_is_read():
    assert read_exhibit(forged()).columns["difference"].tolist() == [1.0, 2.0]


SETTINGS = HEADER["settings"]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"format": "bookplate-exhibit/2"}, "expected format 'bookplate-exhibit/1', got"),
        ({"format": 1}, "expected format"),
        ({"test": "t-test"}, "test: expected one of"),
        ({"test": "paired\x1b"}, r"test: expected one of"),
        ({"test": 5}, "field 'test' is of type int"),
        ({"extra": 1}, "unknown field 'extra'"),
        ({"rows": "2"}, "field 'rows' is of type str"),
        ({"rows": 0}, "0 rows"),
        ({"rows": -1}, "-1 rows"),
        ({"rows": 3}, "size is not that of its rows"),
        ({"rows": 10**9}, "1,000,000,000 rows of 1 columns are more"),
        ({"columns": [["difference", "float64", 16], 1]}, "without name, kind and size"),
        ({"columns": [["difference", "float64", True]]}, "without name, kind and size"),
        ({"columns": [["difference", "float64", -16]]}, "size is not that"),
        ({"columns": [["difference", "float32", 16]]}, "size is not that"),
        ({"columns": [["difference", "float64", 16]] * 2}, "twice"),
        ({"columns": [["difference", "string", 16]]}, "do not have"),
        ({"columns": [["name", "float64", 16]]}, "do not have"),
        ({"columns": [["x", "float64", 16]]}, "columns: missing or unknown"),
        ({"columns": [[f"c{i}", "bool", 1] for i in range(1001)]}, "2 rows of 1001 columns"),
        ({"settings": {}}, "settings: expected exactly"),
        ({"settings": {**SETTINGS, "seed": 1}}, "16 hexadecimal digits"),
        ({"settings": {**SETTINGS, "seed": "1"}}, "16 hexadecimal digits"),
        ({"settings": {**SETTINGS, "seed": "000000000000000A"}}, "16 hexadecimal digits"),
        ({"settings": {**SETTINGS, "method": []}}, "method is a list"),
        ({"settings": {**SETTINGS, "n_resamples": 10**8}}, "100,000,000 draws"),
        ({"body": np.array([np.nan, 1.0]).tobytes()}, "difference: expected finite numbers"),
        ({"body": np.array([np.inf, 1.0]).tobytes()}, "difference: expected finite numbers"),
        ({"body": b"\0\0", "kind": "bool", "columns": [["difference", "bool", 1]]}, "vector of"),
    ],
)
def test_headers_and_numbers_that_are_none_are_refused(changes, match):
    refused(forged(**changes), f"T01: .*{match}")


@pytest.mark.parametrize(
    "body",
    [
        b"\x01\0\0\0a\x01\0\0\0",  # cut short
        b"\xff\xff\xff\xffa",  # longer than the file
        b"\x01\0\0\0\xff\x01\0\0\0a",  # no UTF-8
        (2001).to_bytes(4, "little") + b"a" * 2001 + b"\0\0\0\0",  # too long
        b"\x01\0\0\0a\x01\0\0\0a\0",  # a byte too many
    ],
)
def test_strings_that_are_none_are_refused(body):
    columns = [PlainColumn("difference", "float64", TWO), PlainColumn("name", "string", body)]
    layout = [[c.name, c.kind, len(c.body)] for c in columns]
    header = canonical_json({**HEADER, "columns": layout})
    refused(plain_parquet(columns, 2, ("bookplate", header)), "T01: ")


def test_spare_bits_cannot_hold_a_message(tmp_path):
    """The last byte of 20 bools has four bits that no row owns."""
    working = FINDINGS["welch"].working
    data = bytearray(written(working, tmp_path))
    place = data.find(np.packbits(working.columns["from_a"], bitorder="little").tobytes())
    data[place + 6] |= 0x80
    refused(bytes(data), "not in the one form")


def test_an_exhibit_that_nobody_could_repeat_is_neither_written_nor_read(tmp_path, monkeypatch):
    working = FINDINGS["paired"].working
    many = replace(working, settings={**working.settings, "n_resamples": 10**8})
    with pytest.raises(InvalidInput, match="100,000,000 draws for 40 rows"):
        write_exhibit(many, tmp_path / "a.parquet")
    data = written(working, tmp_path)
    monkeypatch.setattr(exhibits, "_MOST_ROWS", 39)
    refused(data, "40 rows of 2 columns are more")
    with pytest.raises(InvalidInput, match="40 rows of 1 columns"):
        write_exhibit(working, tmp_path / "b.parquet")
    monkeypatch.setattr(exhibits, "LARGEST_EXHIBIT", 100)
    refused(data, "more than 100 bytes")
    refused(tmp_path / "T01.parquet", "more than 100 bytes")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["T01.parquet"]


def test_nothing_is_overwritten(tmp_path):
    written(FINDINGS["rank"].working, tmp_path)
    with pytest.raises(InvalidInput, match="exists"):
        written(FINDINGS["rank"].working, tmp_path)


@given(st.data())
def test_mutated_bytes_are_refused_or_another_whole_exhibit(choice_bytes, data):
    """No crash, and nothing is read that would be written in another way."""
    mutant = bytearray(choice_bytes)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(mutant) - 1) | st.integers(-700, -1))
        kind = data.draw(st.sampled_from(["set", "insert", "delete"]))
        new = data.draw(st.binary(min_size=1, max_size=8))
        if kind == "set":
            mutant[place] = new[0]
        elif kind == "insert":
            mutant[place:place] = new
        else:
            del mutant[place]
    try:
        working = read_exhibit(bytes(mutant))
    except VerificationError:
        return
    assert exhibits._encoded(working) == bytes(mutant)


@given(st.binary(max_size=300))
@example(b"PAR1" + b'{"columns":[[' + b"}" + (20).to_bytes(4, "little") + b"PAR1")
def test_any_bytes_are_refused(data):
    with pytest.raises(VerificationError):
        read_exhibit(data)


# ---- findings of this floor -----------------------------------------------------------------------


class Speaker:
    """A model that finds late sequences a little likelier."""

    def __init__(self, name, memory):
        self.identity = Input(name=name, sha256=name.encode().hex().ljust(64, "0")[:64])
        self.memory = memory

    def token_logprobs(self, sequences):
        return [
            -np.log1p(np.abs(np.diff(np.asarray(s, float)))) + self.memory * s[0] for s in sequences
        ]


def walks(n):
    rng = np.random.default_rng(0)
    return [(i, *(int(t) for t in 500 + rng.integers(0, 9, 20))) for i in range(n)]


TRANSCRIPT = Transcript(steps=np.arange(80), sequences=tuple(walks(80)), source=SOURCE)
GUILTY, OTHER = Speaker("guilty", 1e-3), Speaker("other", 0.0)


def queried(**options):
    return query_test(TRANSCRIPT, GUILTY, seed=1, **options)


def queried_step_by_step():
    return query_sequentially(TRANSCRIPT, GUILTY, alpha=0.5, seed=1, references=[OTHER]).finding


def partitioned(folder):
    rng = np.random.default_rng(2)
    rows = [rng.integers(0, 40, 30) for _ in range(60)]
    build_index(folder / "i", [(np.arange(60), rows)], source=SOURCE, tokenizer=SOURCE)
    return partition_test_of_tokens(open_index(folder / "i"), rows[40:], seed=1).finding


def reshuffled():
    runs = [Speaker(f"run {i}", 1e-3 * (i == 0) + 1e-4 * i) for i in range(6)]
    return reshuffle_test(walks(3), runs[0], runs[1:], controls=walks(5)[3:]).finding


def audited():
    ids = tuple(f"document {i}" for i in range(60))
    claimed = set(ids[::4])
    scores = InfluenceScores(
        queries=("q", "r"),
        candidates=ids,
        pairwise=RNG.normal(size=(2, 60)),
        training_size=100,
        modules=("mlp",),
    )
    lengths = {id: 20.0 + i % 7 for i, id in enumerate(ids)}
    return influence_audit(
        scores, claimed, lengths, dict.fromkeys(ids, "web"), seed=1, n_resamples=99
    )


def inferred(n):
    scores = RNG.normal(size=(2 * n, 2))
    scores[:n] += 1
    return inference_test(scores[:n], scores[n:], names=["a", "b"], seed=5, n_resamples=99).finding


def check(finding, folder, *, beside=()):
    working = read_exhibit(written(finding.working, folder))
    found = disagreements(finding, working.repeat())
    assert (found.core, found.beside) == ((), beside)
    return working


def test_order_tests_repeat_and_name_sequences_by_digest(tmp_path):
    finding = queried(references=[OTHER])
    working = check(finding, tmp_path)
    row = int(working.columns["x"].tolist().index(7.0))
    assert working.names[row] == content_digest(np.array(walks(80)[7])).hex()
    assert set(working.columns) == {"x", "y", "covariate_0"}
    (tmp_path / "alone").mkdir()
    check(queried(), tmp_path / "alone")


def test_order_tests_step_by_step_repeat(tmp_path):
    working = check(queried_step_by_step(), tmp_path)
    digests = {content_digest(np.array(walk)).hex() for walk in walks(80)}
    assert {part for name in working.names for part in name.split()} <= digests
    assert len(working.names) == working.n_rows


def test_partition_tests_repeat(tmp_path):
    working = check(partitioned(tmp_path), tmp_path)
    assert len(set(working.names)) == 60


def test_reshuffle_tests_repeat(tmp_path):
    working = check(reshuffled(), tmp_path)
    assert working.names[:2] == ("run 0", "run 1")
    assert working.columns["observed"].tolist() == [True] + [False] * 5


def test_influence_audits_repeat_and_name_documents(tmp_path):
    done = audited()
    for number, finding in enumerate([*done.findings, done.pooled]):
        (tmp_path / str(number)).mkdir()
        working = check(finding, tmp_path / str(number))
        claimed = np.array(working.names)[working.columns["from_a"]]
        assert set(claimed) == {f"document {i}" for i in range(0, 60, 4)}


@pytest.mark.parametrize("n", [20, 60])
def test_dataset_inference_repeats_though_the_seed_is_that_of_the_split(tmp_path, n):
    """With 20 texts of each kind the test enumerates, and has no seed of its own."""
    finding = inferred(n)
    working = check(finding, tmp_path)
    assert (working.repeat().seed is None) == (n == 20)
    assert finding.seed == 5
    assert working.names[0].endswith("under test")
    assert working.names[-1].startswith("held-out text")
