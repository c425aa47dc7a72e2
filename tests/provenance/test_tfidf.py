"""The TF-IDF filter: equal to the formula, one result for any batches; bad input refused."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from bookplate.errors import InvalidInput
from bookplate.provenance.influence.results import InfluenceScores
from bookplate.provenance.influence.sequences import TokenSequence
from bookplate.provenance.influence.tfidf import (
    DocumentBatch,
    DocumentFiles,
    DocumentList,
    Filtered,
    FilterSettings,
    candidates_of,
    document_frequencies,
    influences_of,
    kernels,
    tfidf_filter,
)
from bookplate.provenance.influence.tfidf.leaders import Leaders
from bookplate.provenance.palimpsest.ngrams import WordTokenizer

SMALL = FilterSettings(k=20, n_random=40, n_bottom=6, n_buckets=1 << 10)
UNIT = 2.0**-30
PINNED_BUCKETS = [5, 597, 764, 88, 897]
PINNED_KEYS = [6918933028730322198, 7335200551360481101, 449451193448741734]


def corpus(n=300, vocabulary=200, seed=0):
    """Documents of 0 to 25 tokens, common ones far more often; some of them equal."""
    rng = np.random.default_rng(seed)
    rows = [rng.zipf(1.4, rng.integers(0, 26)) % vocabulary for _ in range(n)]
    rows[n // 2] = rows[3]
    return [TokenSequence(f"d{i}", tuple(row.tolist())) for i, row in enumerate(rows)]


QUERIES = (
    TokenSequence("rare", (150, 7, 7, 163, 1)),
    TokenSequence("common", (1, 2, 3)),
    TokenSequence("absent", (201, 202)),
)


class Shuffled:
    """Batches of odd sizes in another order; the same documents at the same positions."""

    def __init__(self, documents, seed):
        self._list = DocumentList(documents)
        self._batches = []
        rng, first = np.random.default_rng(seed), 0
        while first < len(documents):
            size = int(rng.integers(1, 40))
            part = next(iter(DocumentList(documents[first : first + size], size)))
            self._batches.append(DocumentBatch(first, part.tokens, part.offsets))
            first += len(part)
        rng.shuffle(self._batches)

    def __iter__(self):
        return iter(self._batches)

    def ids(self, positions):
        return self._list.ids(positions)


# ---- slow twins: dictionaries, tuples, the formula as printed ----------------------------------------


def terms(tokens, longest):
    return [
        tuple(tokens[i : i + n]) for n in range(1, longest + 1) for i in range(len(tokens) - n + 1)
    ]


def twin_scores(documents, query, longest=1, k_1=1.5):
    """Scores by sets of terms, without hashing."""
    present = [set(terms(document.tokens, longest)) for document in documents]
    takes_part = [len(document.tokens) >= 2 for document in documents]
    holding = Counter(t for some, yes in zip(present, takes_part, strict=True) if yes for t in some)
    n = sum(takes_part)
    scores = []
    for some in present:
        score = 0.0
        for term in terms(query.tokens, longest):
            idf = math.log((n - holding[term] + 0.5) / (holding[term] + 0.5) + 1)
            score += (k_1 + 1) * (term in some) / (k_1 + (term in some)) * round(idf / UNIT) * UNIT
        scores.append(score)
    return np.array(scores) * takes_part


def twin_top(scores, k):
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    return [i for i in order[:k] if scores[i] > 0]


def twin_bucket(word, bits):
    """Bucket of one token, in Python integers."""

    def mixed(x):
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
        return x ^ (x >> 31)

    if len(word) == 1:
        return (word[0] ^ mixed(word[0] >> bits)) % 2**bits
    return mixed((mixed((word[0] + 0x9E3779B97F4A7C15) % 2**64) + word[1]) % 2**64) % 2**bits


# ---- scores ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("longest", [1, 2])
def test_scores_and_top_are_those_of_the_formula(longest):
    """With so many buckets no two of these terms share one."""
    documents = corpus()
    settings = FilterSettings(k=20, n_random=300, n_bottom=0, n_buckets=1 << 22, longest=longest)
    used = {term for document in (*documents, *QUERIES) for term in terms(document.tokens, longest)}
    assert len({twin_bucket(term, 22) for term in used}) == len(used)
    found = tfidf_filter(DocumentList(documents, 64), QUERIES, seed=1, settings=settings)
    for query, chosen in zip(QUERIES, found.queries, strict=True):
        scores = twin_scores(documents, query, longest)
        assert chosen.top.positions.tolist() == twin_top(scores, 20)
        for members in (chosen.top, chosen.random):
            assert members.scores.tolist() == scores[members.positions].tolist()
        everything = {*chosen.top.positions.tolist(), *chosen.random.positions.tolist()}
        assert everything == {i for i, document in enumerate(documents) if len(document.tokens) > 1}
        assert chosen.n_outside == len(chosen.random)
    assert len(found.queries[2].top) == 0


@pytest.mark.parametrize("bits", [1, 8, 20])
def test_kernels_equal_their_twins(bits):
    """Ids on both sides of the number of buckets, up to the largest."""
    rng = np.random.default_rng(bits)
    rows = [rng.integers(0, 2**high, 30) for high in (3, 9, 21, 40, 63)]
    rows[-1][0] = 2**63 - 1
    tokens = np.concatenate(rows)
    offsets = np.array([0, 30, 30, 60, 90, 120, 150])
    buckets = [
        [twin_bucket(term, bits) for term in terms(tokens[low:high].tolist(), 2)]
        for low, high in pairwise(offsets)
    ]
    table = np.zeros((2**bits, 2), dtype=np.int64)
    assert kernels.count_documents(tokens, offsets, bits, 2, 1, 1, table) == 6
    counts = Counter(bucket for some in buckets for bucket in set(some))
    assert {i: int(table[i, 1]) for i in np.flatnonzero(table[:, 1])} == dict(counts)
    slots = np.full(2**bits, -1, dtype=np.int32)
    wanted = sorted(counts)[::2]
    slots[wanted] = np.arange(len(wanted))
    pointers, columns = kernels.present_slots(tokens, offsets, bits, 2, slots, len(wanted))
    for some, low, high in zip(buckets, pointers[:-1], pointers[1:], strict=True):
        assert sorted(columns[low:high].tolist()) == sorted({int(slots[b]) for b in some} - {-1})
    for row, some in zip([rows[0], rows[0][:0], *rows[1:]], buckets, strict=True):
        assert kernels.buckets_of(row.astype(np.int64), bits, 2).tolist() == some


def test_a_vocabulary_smaller_than_the_buckets_has_no_collisions():
    ids = np.arange(1 << 12)
    assert len(set(kernels.buckets_of(ids, 12, 1).tolist())) == ids.size


def test_hashes_and_draws_are_pinned():
    """They must be the same on every machine and in every version, or kept results are wrong."""
    tokens = np.array([5, 70_000, 2**40 + 3])
    assert kernels.buckets_of(tokens, 10, 2).tolist() == PINNED_BUCKETS
    keys = kernels.random_keys(np.array([0, 1, 2**33]), np.uint64(7), 0)
    assert keys.tolist() == PINNED_KEYS
    others = kernels.random_keys(np.array([0, 1, 2**33]), np.uint64(7), 1)
    assert not set(keys.tolist()) & set(others.tolist())


def test_a_shared_bucket_only_lowers_the_weight_of_a_term():
    documents = corpus()
    few = FilterSettings(k=300, n_random=0, n_bottom=0, n_buckets=16)
    many = FilterSettings(k=300, n_random=0, n_bottom=0)
    term = np.array([150])
    shared = document_frequencies(DocumentList(documents), few)
    alone = document_frequencies(DocumentList(documents), many)
    idf = [
        frequencies.idf(kernels.buckets_of(term, settings.bits, 1))[0]
        for frequencies, settings in ((shared, few), (alone, many))
    ]
    assert 0 < idf[0] < idf[1]
    query = [TokenSequence("q", (150,))]
    hits = [
        set(tfidf_filter(DocumentList(documents), query, seed=0, settings=s).queries[0].top.ids)
        for s in (few, many)
    ]
    assert hits[1] < hits[0]


# ---- one result --------------------------------------------------------------------------------------


def test_batches_and_their_order_change_nothing(monkeypatch):
    documents = corpus()
    whole = tfidf_filter(DocumentList(documents), QUERIES, seed=3, settings=SMALL)
    for source in (DocumentList(documents, 1), DocumentList(documents, 37), Shuffled(documents, 5)):
        found = tfidf_filter(source, QUERIES, seed=3, settings=SMALL)
        assert found.frame().equals(whole.frame())
    monkeypatch.setattr("bookplate.provenance.influence.tfidf.filtering._CELLS", 30)
    monkeypatch.setattr("bookplate.provenance.influence.tfidf.filtering._KEYS", 7)
    found = tfidf_filter(Shuffled(documents, 6), QUERIES, seed=3, settings=SMALL)
    assert found.frame().equals(whole.frame())


def test_ties_go_to_the_first_and_at_the_bottom_to_chance():
    """All documents score the same: the top is the first of them, the bottom is spread."""
    documents = [TokenSequence(f"d{i}", (1, 2)) for i in range(1_000)]
    settings = FilterSettings(k=10, n_random=0, n_bottom=50)
    found = tfidf_filter(
        Shuffled(documents, 1), [TokenSequence("q", (1,))], seed=0, settings=settings
    ).queries[0]
    assert found.top.positions.tolist() == list(range(10))
    assert len(found.bottom) == 50
    assert not set(found.bottom.positions.tolist()) & set(range(10))
    assert 350 < found.bottom.positions.mean() < 650


def test_leaders_equal_a_sort_whatever_the_order(monkeypatch):
    monkeypatch.setattr("bookplate.provenance.influence.tfidf.leaders._FEWEST_PENDING", 3)
    import torch

    rng = np.random.default_rng(0)
    values = rng.integers(-3, 4, (400, 3)).astype(float)
    keys = rng.permutation(400)
    for above in (-np.inf, 0.0):
        for order in (np.arange(400), rng.permutation(400), np.argsort(values[:, 0])):
            leaders = Leaders(7, 3, above=above)
            for rows in np.array_split(order, 23):
                leaders.offer(torch.from_numpy(values[rows]), keys[rows], rows)
            for query in range(3):
                best = sorted(range(400), key=lambda i: (-values[i, query], keys[i]))[:7]
                found, positions = leaders.best(query)
                assert positions.tolist() == [i for i in best if values[i, query] > above]
                assert found.tolist() == values[positions, query].tolist()


def test_strata_are_apart_and_the_bottom_is_the_lowest_of_the_rest():
    documents = corpus()
    found = tfidf_filter(DocumentList(documents), QUERIES, seed=2, settings=SMALL)
    assert found.n_documents == 300
    assert found.n_short == sum(len(document.tokens) < 2 for document in documents) > 0
    for query, chosen in zip(QUERIES, found.queries, strict=True):
        scores = twin_scores(documents, query)
        parts = [set(members.positions.tolist()) for _, members, _ in chosen.strata()]
        assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
        rest = (
            {i for i, document in enumerate(documents) if len(document.tokens) > 1}
            - parts[0]
            - parts[1]
        )
        assert sorted(scores[chosen.bottom.positions]) == sorted(scores[list(rest)])[:6]
        assert chosen.n_outside == 300 - found.n_short - len(chosen.top)
        assert chosen.probability == len(chosen.random) / chosen.n_outside


def test_every_document_outside_is_drawn_equally_often():
    """The random stratum over seeds: each document outside the top with the stated probability."""
    documents = corpus(60)
    settings = FilterSettings(k=10, n_random=12, n_bottom=0)
    drawn, expected = np.zeros(60), 0.0
    frequencies = document_frequencies(DocumentList(documents), settings)
    for seed in range(300):
        chosen = tfidf_filter(
            DocumentList(documents),
            QUERIES[:1],
            seed=seed,
            settings=settings,
            frequencies=frequencies,
        ).queries[0]
        drawn[chosen.random.positions] += 1
        expected += chosen.probability
    outside = np.setdiff1d(np.arange(60), chosen.top.positions)
    outside = outside[[len(documents[i].tokens) > 1 for i in outside]]
    assert outside.size == chosen.n_outside
    assert drawn.sum() == drawn[outside].sum()
    assert expected == pytest.approx(300 * 0.2, rel=0.03)
    spread = math.sqrt(300 * 0.2 * 0.8)
    assert np.abs(drawn[outside] - expected).max() < 4 * spread


def test_the_sample_is_that_of_the_smallest_keys():
    documents = corpus()
    found = tfidf_filter(DocumentList(documents), QUERIES, seed=8, settings=SMALL)
    keys = kernels.random_keys(np.arange(300), np.uint64(8), 0)
    drawn = sorted(sorted(range(300), key=lambda i: keys[i])[:40])
    assert len(found.queries[2].top) == 0
    assert found.queries[2].random.positions.tolist() == [
        i for i in drawn if len(documents[i].tokens) > 1
    ]


def test_known_frequencies_save_the_first_pass():
    documents = corpus()
    frequencies = document_frequencies(DocumentList(documents), SMALL)
    found = [
        tfidf_filter(DocumentList(documents), QUERIES, seed=0, settings=SMALL, frequencies=known)
        for known in (None, frequencies)
    ]
    assert found[0].frame().equals(found[1].frame())
    with pytest.raises(InvalidInput, match="were read, but"):
        tfidf_filter(
            DocumentList(documents[:-1]), QUERIES, seed=0, settings=SMALL, frequencies=frequencies
        )
    with pytest.raises(InvalidInput, match="expected n_buckets"):
        tfidf_filter(DocumentList(documents), QUERIES, seed=0, frequencies=frequencies)


# ---- files -------------------------------------------------------------------------------------------


def test_files_give_what_memory_gives(tmp_path):
    documents = corpus()
    ids = [document.id for document in documents]
    rows = [list(document.tokens) or None for document in documents]
    frame = pl.DataFrame(
        {"id": ids, "tokens": rows}, schema_overrides={"tokens": pl.List(pl.Int32)}
    )
    frame[:120].write_parquet(tmp_path / "a.parquet", row_group_size=50)
    frame[120:].with_columns(pl.col("tokens").fill_null([])).write_ndjson(tmp_path / "b.jsonl")
    source = DocumentFiles([tmp_path / "a.parquet", tmp_path / "b.jsonl"], "tokens", id_column="id")
    whole = tfidf_filter(DocumentList(documents), QUERIES, seed=3, settings=SMALL)
    found = tfidf_filter(source, QUERIES, seed=3, settings=SMALL)
    assert found.frame().equals(whole.frame())
    nameless = DocumentFiles([tmp_path / "a.parquet"], "tokens")
    assert nameless.ids(np.array([3, 50])) == ["3", "50"]
    candidates = candidates_of(source, found)
    assert candidates == [documents[i] for i in found.positions()]


def test_texts_are_read_through_a_tokenizer(tmp_path):
    path = tmp_path / "texts.parquet"
    texts = ["a rare word here", None, "nothing of the kind", ""]
    pl.DataFrame({"text": texts}).write_parquet(path)
    words = WordTokenizer()
    source = DocumentFiles([path], "text", tokenizer=words)
    query = TokenSequence("q", tuple(words.encode(["rare word"])[0].tolist()))
    found = tfidf_filter(source, [query], seed=0, settings=SMALL)
    assert found.n_short == 2
    assert found.queries[0].top.ids == ("0",)


def test_short_documents_take_no_part_unless_they_are_words():
    documents = [TokenSequence(f"d{i}", (i,)) for i in range(9)] + [TokenSequence("x", (3, 4))]
    query = [TokenSequence("q", (3,))]
    for fewest, top in ((1, ("d3", "x")), (2, ("x",))):
        settings = FilterSettings(n_random=10, fewest=fewest)
        found = tfidf_filter(DocumentList(documents), query, seed=0, settings=settings)
        assert found.queries[0].top.ids == top
        assert (
            found.queries[0].n_outside == len(found.queries[0].random) == (8 if fewest == 1 else 0)
        )
        assert found.n_short == 9 * (fewest == 2)
        assert [c.id for c in candidates_of(DocumentList(documents), found)] == ["x"]


def test_documents_of_one_name_are_not_taken_for_each_other():
    documents = [TokenSequence("same", (1, 2)), TokenSequence("same", (1, 3))]
    found = tfidf_filter(DocumentList(documents), QUERIES, seed=0, settings=SMALL)
    with pytest.raises(InvalidInput, match="several documents"):
        candidates_of(DocumentList(documents), found)


def test_influences_are_summed_over_windows():
    scores = InfluenceScores(
        queries=("p", "q"),
        candidates=("a", "b", "a"),
        pairwise=np.array([[0.0, 0.0, 0.0], [1.0, 5.0, -3.0]]),
        training_size=10,
        modules=("m",),
    )
    assert influences_of(scores, "q", ("b", "a")).tolist() == [5.0, -2.0]
    with pytest.raises(InvalidInput, match="1 of 2 documents were not scored"):
        influences_of(scores, "q", ("a", "c"))
    with pytest.raises(InvalidInput, match="query 'r'"):
        influences_of(scores, "r", ())


def test_a_result_comes_back_from_its_file(tmp_path):
    found = tfidf_filter(DocumentList(corpus()), QUERIES, seed=2**63 + 1, settings=SMALL)
    path = tmp_path / "filtered.parquet"
    found.write(path)
    back = Filtered.read(path)
    assert back.frame().equals(found.frame())
    assert (back.seed, back.settings, back.n_short) == (2**63 + 1, SMALL, found.n_short)
    assert [c.n_outside for c in back.queries] == [c.n_outside for c in found.queries]
    assert back.ids() == found.ids()
    with pytest.raises(InvalidInput, match="already exists"):
        found.write(path)
    found.frame().write_parquet(tmp_path / "bare.parquet")
    for bad in ("bare.parquet", "missing.parquet"):
        with pytest.raises(InvalidInput, match="no result of the filter"):
            Filtered.read(tmp_path / bad)


# ---- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("documents", "queries", "message"),
    [
        (corpus(), [], "there are none"),
        (corpus(), [TokenSequence("q", ())], "'q': has no tokens"),
        (corpus(), [TokenSequence("q", (1, -1))], "'q': a token id is negative"),
        (corpus(), [QUERIES[0], QUERIES[0]], "two queries have this id"),
        (corpus(), [TokenSequence("q", (199,) * 1_000_000)], "too many"),
        ([], QUERIES, "none of 0 has at least 2 tokens"),
        ([TokenSequence("d", (1,))], QUERIES, "none of 1 has at least 2 tokens"),
        ([TokenSequence("d", (1, -5))], QUERIES, "a token id is negative"),
    ],
)
def test_bad_corpora_and_queries_are_refused(documents, queries, message):
    with pytest.raises(InvalidInput, match=message):
        tfidf_filter(DocumentList(documents), queries, seed=0, settings=SMALL)


@pytest.mark.parametrize(
    "settings",
    [
        {"k": 0},
        {"fewest": 0},
        {"n_random": -1},
        {"n_bottom": -1},
        {"n_buckets": 1_000},
        {"longest": 3},
    ],
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(InvalidInput, match=next(iter(settings))):
        FilterSettings(**settings)


def test_gaps_and_repeats_are_refused():
    tokens, offsets = np.array([1, 2]), np.array([0, 1, 2])

    def source(*firsts):
        return [DocumentBatch(first, tokens, offsets) for first in firsts]

    with pytest.raises(InvalidInput, match="position 2 is missing"):
        document_frequencies(source(0, 3), SMALL)
    with pytest.raises(InvalidInput, match="position 1 is given twice"):
        document_frequencies(source(0, 1), SMALL)
    with pytest.raises(InvalidInput, match="must rise"):
        DocumentBatch(0, tokens, np.array([0, 2, 1, 2]))
    with pytest.raises(InvalidInput, match="int64"):
        DocumentBatch(0, tokens.astype(np.int32), offsets)


def test_bad_columns_are_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pl.DataFrame({"text": ["a"], "x": [[1, None]]}).write_parquet(path)
    for column, message in (("text", "lists of integers"), ("x", "a null"), ("y", "no column 'y'")):
        with pytest.raises(InvalidInput, match=message):
            list(DocumentFiles([path], column))
    with pytest.raises(InvalidInput, match="expected texts"):
        list(DocumentFiles([path], "x", tokenizer=WordTokenizer()))
