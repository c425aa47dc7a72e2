"""A regression that guesses influence from text, and what is scored next."""

import numpy as np
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.provenance.influence.choosing import choose_next
from bookplate.provenance.influence.features import FeatureMap, batched, read_documents
from bookplate.provenance.influence.surrogate import (
    _normal_scores,
    _penalties,
    _ridge,
    fit_surrogate,
)
from scipy import sparse
from scipy.stats import binom, spearmanr

WORDS = [f"word{i}" for i in range(300)]


def texts(n, seed=0):
    rng = np.random.default_rng(seed)
    p = 1 / np.arange(1, 301)
    return [" ".join(rng.choice(WORDS, size=rng.integers(10, 60), p=p / p.sum())) for _ in range(n)]


def planted(documents, seed=0):
    """Influence that word 9 makes, heavy-tailed, and influence that nothing makes; shape (2, n)."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_t(2, (2, len(documents)))
    noise[0] += [4.0 * (" word9 " in text) for text in documents]
    return noise


@pytest.fixture(scope="module")
def learnt():
    documents = texts(500)
    return fit_surrogate(
        documents, planted(documents), seed=1, queries=["nine", "noise"], buckets=2**10
    )


def test_ridge_and_its_penalty_are_those_of_the_definition():
    """Both sides, against normal equations and cross-validation written out."""
    rng = np.random.default_rng(1)
    for n, p in ((30, 12), (30, 50)):
        x = rng.normal(size=(n, p)) + 3
        y = np.stack([x[:, 0] + rng.normal(size=n), rng.normal(size=n)])
        weights, intercepts, penalties = _ridge(sparse.csr_array(x), y)
        centred = x - x.mean(axis=0)
        s = np.linalg.svd(centred, compute_uv=False) ** 2
        typical = s.sum() / n
        grid = np.geomspace(1e-3 * typical, 10 * s.sum(), 33)
        for q in range(2):
            errors = []
            for lam in grid:
                inverse = np.linalg.inv(centred.T @ centred + lam * np.eye(p))
                hat = centred @ inverse @ centred.T + 1 / n
                rest = y[q] - hat @ y[q]
                errors.append((rest @ rest) / (1 - np.trace(hat) / n) ** 2)
            assert penalties[q] == pytest.approx(grid[int(np.argmin(errors))])
            inverse = np.linalg.inv(centred.T @ centred + penalties[q] * np.eye(p))
            w = inverse @ centred.T @ (y[q] - y[q].mean())
            assert weights[:, q] == pytest.approx(w, abs=1e-9)
            assert intercepts[q] == pytest.approx(y[q].mean() - x.mean(axis=0) @ w)


def test_features_that_do_not_vary_teach_nothing():
    weights, intercepts, _ = _ridge(sparse.csr_array(np.ones((9, 20))), np.arange(9.0)[None])
    assert np.abs(weights).max() < 1e-12
    assert intercepts[0] == pytest.approx(4)
    assert _penalties(np.empty(0), np.empty((0, 1)), np.ones((9, 1))).tolist() == [1]


def test_it_learns_what_can_be_learnt_and_says_what_cannot(learnt):
    nine, noise = learnt.held_out
    assert nine.low > 0.2
    assert noise.low <= 0 <= noise.high
    assert any("For 1 of 2 queries, e.g. 'noise'" in text for text in learnt.warnings)
    fresh = texts(300, seed=9)
    has = np.array([" word9 " in text for text in fresh])
    predicted = learnt.predict(fresh)
    assert predicted.shape == (2, 300)
    assert predicted[0, has].mean() > predicted[0, ~has].mean() + 0.25


def test_the_measure_seldom_flatters_noise():
    """At most 2.5 % of intervals may lie above 0; 100 of them, fails by chance once in 1,000."""
    documents = texts(100)
    noise = np.random.default_rng(5).standard_t(2, (100, 100))
    found = fit_surrogate(documents, noise, seed=1, buckets=256)
    assert sum(effect.low > 0 for effect in found.held_out) <= binom.isf(0.001, 100, 0.025)


def test_the_measure_is_what_fresh_documents_show(learnt):
    fresh = texts(2_000, seed=11)
    rho = spearmanr(learnt.predict(fresh)[0], planted(fresh, seed=12)[0]).statistic
    assert learnt.held_out[0].low < rho < learnt.held_out[0].high


def test_only_the_order_of_influence_matters():
    documents = texts(80)
    x = planted(documents)
    one, other = (fit_surrogate(documents, y, seed=1, buckets=256) for y in (x, np.sinh(x / 9)))
    assert one.weights == pytest.approx(other.weights)
    assert _normal_scores(np.array([3.0, 1, 2])).tolist() == pytest.approx(
        [0.967, -0.967, 0], abs=1e-3
    )


def test_copies_of_a_text_do_not_flatter():
    """Each text thrice, influence drawn per text: with copies in other folds it could be looked up."""
    distinct = texts(60)
    influence = np.random.default_rng(3).normal(size=60)
    found = fit_surrogate(distinct * 3, np.tile(influence, 3), seed=1, buckets=2**12)
    assert found.held_out[0].value < 0.5


def test_streams_and_token_ids(learnt):
    fresh = texts(25, seed=4)
    parts = list(learnt.stream(iter(fresh), batch=10))
    assert [part.shape for part in parts] == [(2, 10), (2, 10), (2, 5)]
    assert np.concatenate(parts, axis=1) == pytest.approx(learnt.predict(fresh))
    rng = np.random.default_rng(1)
    tokens = [rng.integers(0, 20, 15).tolist() for _ in range(200)]
    influence = np.array([50.0 * t.count(7) for t in tokens]) + rng.normal(size=200)
    assert fit_surrogate(tokens, influence, seed=1, buckets=512).held_out[0].low > 0.2


def test_embeddings_take_part():
    rng = np.random.default_rng(2)
    documents = texts(200)
    vectors = {text: rng.normal(size=3) for text in documents}

    def embed(some):
        return 1e3 * np.array([vectors[text] for text in some])

    influence = np.array([vectors[text][1] for text in documents])
    without = fit_surrogate(documents, influence, seed=1, buckets=256)
    found = fit_surrogate(documents, influence, seed=1, buckets=256, embed=embed)
    assert found.held_out[0].low > 0.8 > without.held_out[0].high
    assert found.predict(documents[:4]).shape == (1, 4)


def test_only_random_documents_are_measured():
    documents = texts(300)
    influence = planted(documents)[1]
    chosen = np.arange(300) >= 150
    influence[chosen] += [40.0 * (" word9 " in text) for text in documents[150:]]
    all_of_them = fit_surrogate(documents, influence, seed=1, buckets=512)
    random_ones = fit_surrogate(documents, influence, seed=1, buckets=512, at_random=~chosen)
    assert random_ones.held_out[0].value < all_of_them.held_out[0].value
    assert not any("at_random" in text for text in random_ones.warnings)


def test_hashing_counts_words_and_pairs():
    raw = read_documents(["A b, a", "", "b"], buckets=2**20)
    counts = raw.counts.toarray()
    # a (twice), b, the comma, and the pairs a-b, b-comma, comma-a
    assert (counts != 0).sum(axis=1).tolist() == [6, 0, 1]
    assert sorted(np.abs(counts[0][counts[0] != 0]).tolist()) == pytest.approx(
        [1] * 5 + [1 + np.log(2)]
    )
    assert raw.log_lengths.tolist() == pytest.approx(np.log([5, 1, 2]))
    features = FeatureMap.fit(raw).of(raw).toarray()
    assert (features[:, :-1] ** 2).sum(axis=1).tolist() == pytest.approx([1, 0, 1])
    assert features[:, -1].std() == pytest.approx(1)


def test_hashed_inner_products_are_unbiased():
    a, b = texts(2, seed=8)
    exact = read_documents([a, b], buckets=2**17).counts
    product = (exact[[0]] @ exact[[1]].T).toarray()[0, 0]
    small = [
        (rows[[0]] @ rows[[1]].T).toarray()[0, 0]
        for rows in (read_documents([a, b], buckets=n).counts for n in range(40, 140))
    ]
    assert np.mean(small) == pytest.approx(product, abs=4 * np.std(small) / 10)


# ---- choosing -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus():
    return [(f"id{i}", text) for i, text in enumerate(texts(400, seed=21))]


def test_the_choice_does_not_depend_on_order_or_batch(learnt, corpus):
    one = choose_next(learnt, corpus, 30, seed=1)
    other = choose_next(learnt, corpus[::-1], 30, seed=1, batch=7)
    assert one == other
    assert (len(one.greedy), len(one.explored), one.n_seen) == (24, 6, 400)
    assert not set(one.greedy) & set(one.explored)
    assert choose_next(learnt, corpus, 30, seed=2).explored != one.explored
    assert choose_next(learnt, corpus, 30, seed=2).greedy == one.greedy


def test_queries_take_turns(learnt, corpus):
    ids = [id for id, _ in corpus]
    best = [[ids[i] for i in np.argsort(-row)] for row in learnt.predict([t for _, t in corpus])]
    chosen = choose_next(learnt, corpus, 10, seed=1, explore=0).greedy
    expected = dict.fromkeys(id for pair in zip(*best, strict=True) for id in pair)
    assert chosen == tuple(expected)[:10]


def test_exploration_is_uniform(learnt, corpus):
    """Each of 40 candidates 10 times in 40 draws of 10 on average; chi-square at 1e-3, 39 degrees."""
    some = corpus[:40]
    counts = dict.fromkeys((id for id, _ in some), 0)
    for seed in range(200):
        for id in choose_next(learnt, some, 10, seed=seed, explore=1).explored:
            counts[id] += 1
    observed = np.array(list(counts.values()))
    assert ((observed - 50) ** 2).sum() / 50 < 73


def test_what_was_scored_is_skipped_and_a_small_corpus_is_used_up(learnt, corpus):
    skip = {id for id, _ in corpus[:390]}
    chosen = choose_next(learnt, corpus, 20, seed=1, skip=skip)
    assert chosen.n_seen == 10
    assert sorted(chosen.greedy + chosen.explored) == sorted(id for id, _ in corpus[390:])
    with pytest.raises(InsufficientEvidence, match="no candidate"):
        choose_next(learnt, corpus[:5], 3, seed=1, skip=skip)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 0}, "n: expected"),
        ({"explore": 1.5}, "explore"),
        ({"explore": float("nan")}, "explore"),
        ({"batch": 0}, "batch"),
        ({"seed": -1}, "seed"),
        ({"candidates": [("a", "x"), ("a", "y")]}, "'a' occurs twice"),
    ],
)
def test_malformed_choices_are_refused(learnt, corpus, changes, message):
    arguments = {"candidates": corpus, "n": 5, "seed": 1, **changes}
    with pytest.raises(InvalidInput, match=message):
        choose_next(learnt, **arguments)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"influence": np.zeros((1, 59))}, InvalidInput, r"expected shape \(Q, 60\)"),
        ({"influence": [np.nan] * 60}, InvalidInput, "not finite"),
        ({"influence": ["a"] * 60}, InvalidInput, "numbers"),
        ({"queries": ["a", "b"]}, InvalidInput, "1 names"),
        ({"at_random": [1] * 60}, InvalidInput, "truth values"),
        ({"at_random": np.arange(60) < 20}, InsufficientEvidence, "10 different random"),
        ({"folds": 1}, InsufficientEvidence, "two folds"),
        ({"folds": 0}, InvalidInput, "folds"),
        ({"buckets": 0}, InvalidInput, "buckets"),
        ({"documents": texts(10), "influence": np.zeros(10)}, InsufficientEvidence, "50 scored"),
        ({"documents": [3.5] * 60}, InvalidInput, r"documents\[0\]"),
        ({"documents": [[1.5]] * 60}, InvalidInput, r"documents\[0\]"),
        ({"embed": lambda d: np.zeros(3)}, InvalidInput, "embed"),
        ({"documents": texts(1) * 60}, InsufficientEvidence, "different"),
    ],
)
def test_malformed_samples_are_refused(changes, error, message):
    arguments = {"documents": texts(60), "influence": np.arange(60.0), "seed": 1, **changes}
    with pytest.raises(error, match=message):
        fit_surrogate(**arguments)


def test_batches():
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batched([], 2)) == []
