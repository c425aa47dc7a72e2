"""Dataset inference: its false alarms, its power, its refusals, and the check of its assumption."""

import math
import random
from collections import Counter

import numpy as np
import pytest
from bookplate.cli.demo.training import Recipe, packed, train
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.provenance.membership import (
    Mix,
    Score,
    dataset_inference,
    inference_test,
    near_duplicates,
    same_distribution,
    score_texts,
    without_near_duplicates,
)
from bookplate.provenance.membership.bag_of_words import _Classifier
from bookplate.provenance.suspect import TokenTable, open_suspect
from bookplate.provenance.suspect.local.loading import Loading
from bookplate.stats import Finding, Input
from scipy import sparse
from scipy.optimize import minimize
from scipy.stats import binom

RARE = 1e-6  # how often a test of rates fails by chance
N_MEMBERS = 60


@pytest.fixture(scope="module")
def distinct(english):
    """Real texts, no two of them nearly the same, in random order."""
    texts = [text[:300] for text in english[:400]]
    kept = [texts[i] for i in without_near_duplicates(texts)]
    random.Random(4).shuffle(kept)
    return kept[:200]


@pytest.fixture(scope="module")
def member_model(tmp_path_factory, tokenizer, distinct, tiny_size):
    """A model trained on the first texts and on nothing else."""
    folder = tmp_path_factory.mktemp("models") / "member"
    data = packed(tokenizer, distinct[:N_MEMBERS], 128) * 4
    train(folder, tokenizer, data, size=tiny_size, recipe=Recipe(seed=7))
    return open_suspect(str(folder), loading=Loading(device="cpu"))


@pytest.fixture(scope="module")
def scored(member_model, distinct):
    """Scores of the members and of as many texts as are left, which the model never saw."""
    table = score_texts(distinct, member_model)
    return table.names, table.values()[:N_MEMBERS], table.values()[N_MEMBERS:]


# ---- the test -------------------------------------------------------------------------------------


def test_a_model_that_was_trained_on_the_texts_is_found(member_model, distinct):
    outcome = dataset_inference(
        distinct[:N_MEMBERS], distinct[N_MEMBERS : 2 * N_MEMBERS], member_model, seed=1
    )
    assert outcome.finding.log10_p < -4
    assert outcome.auroc.low > 0.7
    assert outcome.check.accepts
    assert outcome.finding.n == N_MEMBERS
    assert (outcome.finding.seed, outcome.finding.valid) == (1, "finite-sample")
    assert outcome.finding.inputs == (member_model.identity,)
    assert Finding.from_dict(outcome.finding.to_dict()) == outcome.finding


def test_few_texts_suffice_most_of_the_time(scored):
    names, members, others = scored
    rng = np.random.default_rng(3)
    found = 0
    for seed in range(10):
        ours, theirs = (x[rng.permutation(len(x))[:30]] for x in (members, others))
        test = inference_test(ours, theirs, names=names, seed=seed, n_resamples=999)
        found += test.finding.rejects(0.01)
    assert found >= 8


def test_halves_of_texts_that_the_model_never_saw_raise_no_more_alarms_than_allowed(scored):
    """An innocent model, 200 random splits; rates within their binomial bounds."""
    names, _, others = scored
    rng = np.random.default_rng(5)
    p_values = []
    for seed in range(200):
        order = rng.permutation(len(others))
        one, two = others[order[:60]], others[order[60:]]
        test = inference_test(one, two, names=names, seed=seed, n_resamples=199)
        p_values.append(test.finding.p_value)
    for alpha in (0.05, 0.2):
        assert sum(p <= alpha for p in p_values) <= binom.isf(RARE, 200, alpha)


def test_members_held_out_are_no_evidence(scored):
    """The direction is fixed: a set that the model knows less well is not accused."""
    names, members, others = scored
    test = inference_test(others[:N_MEMBERS], members, names=names, seed=1)
    assert test.finding.p_value > 0.5


def test_nothing_in_favour_means_p_is_one():
    rng = np.random.default_rng(1)
    ours, theirs = rng.normal(-5, 1, (30, 2)), rng.normal(5, 1, (30, 2))
    test = inference_test(ours, theirs, names=("loss", "min_k"), seed=1)
    assert test.finding.p_value == 1
    assert "no score spoke for membership" in test.finding.warnings[0]


def test_the_second_halves_alone_decide(scored):
    """What stands in the first halves can change the mix, but a mix is scored on other texts."""
    rng = np.random.default_rng(9)
    first_only = [rng.normal(size=(40, 1)) for _ in range(2)]
    order = np.random.default_rng([6, 2])
    halves = [order.permutation(40)[:20] for _ in range(2)]
    first_only[0][halves[0]] += 9  # the suspect set's first half stands out, and nothing else
    test = inference_test(*first_only, names=("loss",), seed=6, n_resamples=999)
    assert test.mix.weights[0] > 0.3
    assert test.finding.p_value > 0.001


def test_the_same_seed_gives_the_same_finding_and_another_seed_another(scored):
    names, members, others = scored
    one, two, three = (
        inference_test(members, others, names=names, seed=seed, n_resamples=99).finding
        for seed in (1, 1, 2)
    )
    assert one == two
    assert one.effect != three.effect


# ---- the mix --------------------------------------------------------------------------------------


def test_the_mix_is_non_negative_ridge_regression():
    """Against a general optimiser, without clipping to speak of and with sets of unequal size."""
    rng = np.random.default_rng(8)
    ours, theirs = rng.normal(0.3, 1, (400, 3)), rng.normal(0, 1, (200, 3))
    ours[:, 2] -= 1  # speaks against membership: weight 0
    mix = Mix.fit(("a", "b", "c"), ours, theirs)
    x, y = mix.standardised(ours), mix.standardised(theirs)

    def objective(parameters):
        w, b = parameters[:-1], parameters[-1]
        loss = 0.5 * np.mean((1 - b - x @ w) ** 2) + 0.5 * np.mean((-1 - b - y @ w) ** 2)
        return loss + 0.1 * w @ w

    bounds = [(0, None)] * 3 + [(None, None)]
    best = minimize(objective, np.zeros(4), bounds=bounds, tol=1e-12).x
    assert mix.weights == pytest.approx(best[:3], abs=1e-4)
    assert mix.weights[2] == 0
    assert (mix.weights[:2] > 0).all()


def test_the_mix_bears_missing_constant_and_wild_values():
    rng = np.random.default_rng(8)
    values = rng.normal(size=(60, 4))
    values[:, 1] = np.nan
    values[:, 2] = 3
    values[3, 0] = np.nan
    values[5, 3] = -1e130
    values[:30, 0] += 1
    mix = Mix.fit("abcd", values[:30], values[30:])
    assert np.isfinite(mix.of(values)).all()
    assert mix.weights[1] == mix.weights[2] == 0
    assert mix.of(np.array([[np.nan] * 4])) == 0


# ---- the check ------------------------------------------------------------------------------------


def test_the_check_accepts_random_halves_at_its_nominal_rate(distinct):
    texts = list(distinct[:60])
    refused = 0
    for seed in range(100):
        random.Random(seed).shuffle(texts)
        refused += not same_distribution(texts[:30], texts[30:], seed=seed).accepts
    assert refused <= binom.isf(RARE, 100, 0.05)


def test_the_check_refuses_another_corpus(distinct):
    rng = random.Random(1)
    words = (
        "the a of river mountain child summer letter quiet garden door evening said went".split()
    )
    tales = [" ".join(rng.choices(words, k=60)).capitalize() + "." for _ in range(20)]
    check = same_distribution(distinct[:20], tales, seed=1)
    assert not check.accepts
    assert check.auroc > 0.95
    assert check.finding.p_value == pytest.approx(1 / 200)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text[:200],
        lambda text: text.lower(),
        lambda text: text + " ",
    ],
    ids=["line ends", "length", "capitals", "space at the end"],
)
def test_the_check_sees_differences_of_form(distinct, change):
    changed = [change(text) for text in distinct[100:200]]
    assert not same_distribution(distinct[:100], changed, seed=1).accepts


def test_the_checks_auroc_is_naive_bayes():
    """Against loops over words and pairs, on the same folds."""
    rng = random.Random(2)
    sets = [set(rng.choices("abcdefgh", k=rng.randint(2, 6))) for _ in range(50)]
    labels = np.array(["a" in one or rng.random() < 0.3 for one in sets])
    folds, aurocs = np.arange(50) % 5, []
    for fold in range(5):
        count = {True: Counter(), False: Counter()}
        for one, label, f in zip(sets, labels, folds, strict=True):
            if f != fold:
                count[bool(label)].update(one)
        odds = {}
        for word in "abcdefgh":
            ours, theirs = ((count[c][word] + 1) / (count[c].total() + 8) for c in (True, False))
            odds[word] = math.log(ours / theirs)
        judged = [(np.mean([odds[w] for w in sets[i]]), labels[i]) for i in range(fold, 50, 5)]
        pairs = [(x, y) for x, a in judged for y, b in judged if a and not b]
        aurocs.append(np.mean([(x > y) + (x == y) / 2 for x, y in pairs]))
    occurs = sparse.csr_array([[float(w in one) for w in "abcdefgh"] for one in sets])
    assert _Classifier(occurs, folds).auroc(labels) == pytest.approx(np.mean(aurocs))


def test_the_check_refuses_too_few_texts():
    with pytest.raises(
        InsufficientEvidence, match=r"at least 10 texts in each set .* got 9 and 20"
    ):
        same_distribution(["a b"] * 9, ["a b"] * 20, seed=1)


# ---- refusals -------------------------------------------------------------------------------------


class Words:
    """A suspect of made-up likelihoods."""

    identity = Input(name="words", sha256="0" * 64)

    def token_tables(self, texts):
        tables = []
        for text in texts:
            words = tuple(text.split())
            logprobs = -np.array([1 + len(word) / 9 for word in words])
            tables.append(TokenTable(tokens=words, logprobs=logprobs))
        return tables

    def tokens(self, texts):
        return [tuple(text.split()) for text in texts]


def test_different_sets_are_refused_without_force(distinct):
    upper = [text.upper() for text in distinct[30:60]]
    with pytest.raises(InsufficientEvidence, match=r"not like the texts under test.*can tell") as e:
        dataset_inference(distinct[:30], upper, Words(), seed=1)
    assert "random split" in e.value.hint
    forced = dataset_inference(distinct[:30], upper, Words(), seed=1, force=True)
    assert forced.finding.warnings[0].startswith("FORCED: ")
    assert "no evidence of training" in forced.finding.warnings[0]
    assert "FORCED" in forced.finding.name


def test_the_finding_says_what_it_rests_on(distinct):
    finding = dataset_inference(
        distinct[:30], distinct[30:60], Words(), seed=1, scores=[Score.LOSS, Score.MIN_K_PLUS_PLUS]
    ).finding
    assert "same distribution" in finding.assumptions[0]
    assert "an innocent model will be accused" in finding.assumptions[0]
    assert finding.unit == "texts of the second halves (15 under test, 15 held out)"
    assert any("min_k_plus_plus was left out" in w for w in finding.warnings)
    assert finding.alternative == "greater"


@pytest.mark.parametrize(
    ("copy", "place"),
    [
        (lambda own, other: (own, [*other, own[3]]), "text 4 under test and held-out text 31"),
        (lambda own, other: ([*own, own[0].upper()], other), "text 1 under test and text 31 under"),
        (
            lambda own, other: (own, [*other, own[2][:-20]]),
            "text 3 under test and held-out text 31",
        ),
        (lambda own, other: ([*own, "", " "], other), "text 31 under test and text 32 under test"),
    ],
    ids=["across", "within", "nearly", "empty"],
)
def test_shared_texts_are_refused(distinct, copy, place):
    own, other = copy(distinct[:30], distinct[30:60])
    with pytest.raises(InvalidInput, match=f"{place}.* are the same, or nearly"):
        dataset_inference(own, other, Words(), seed=1, force=True)


def test_what_the_scores_are_measured_against_must_be_in_neither_set(distinct):
    own, other = distinct[:30], distinct[30:60]
    with pytest.raises(InvalidInput, match="the prefix holds"):
        dataset_inference(own, other, Words(), seed=1, prefix=f"a\n\n{other[4]}")
    with pytest.raises(InvalidInput, match="token frequencies holds"):
        dataset_inference(own, other, Words(), seed=1, frequency_texts=[own[2]])


def test_too_few_texts_and_texts_without_a_token_are_refused(distinct):
    with pytest.raises(
        InsufficientEvidence, match=r"at least 20 texts under test .* got 19 and 30"
    ):
        dataset_inference(distinct[:19], distinct[30:60], Words(), seed=1)
    with pytest.raises(InsufficientEvidence, match="held-out text 31 has no token"):
        dataset_inference(distinct[:30], [*distinct[30:60], " \n"], Words(), seed=1, force=True)
    with pytest.raises(InsufficientEvidence, match="at least 20"):
        inference_test(np.zeros((5, 1)), np.zeros((50, 1)), names=("a",), seed=1)


@pytest.mark.parametrize("seed", [-1, 1.5, 2**64])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(InvalidInput, match="seed"):
        inference_test(np.zeros((30, 1)), np.zeros((30, 1)), names=("a",), seed=seed)


@pytest.mark.parametrize("shape", [(30,), (30, 2)])
def test_scores_of_another_shape_are_refused(shape):
    with pytest.raises(InvalidInput, match="expected scores of shape"):
        inference_test(np.zeros(shape), np.zeros((30, 1)), names=("a",), seed=1)


# ---- near duplicates ------------------------------------------------------------------------------


def test_near_duplicates_are_those_that_share_most_of_their_words():
    rng = random.Random(3)
    texts = [" ".join(f"w{rng.randrange(5000)}" for _ in range(200)) for _ in range(40)]
    half = texts[7].split()
    edited = half.copy()
    for i in range(0, 200, 50):
        edited[i] = "other"
    texts += [" ".join(edited), " ".join(half[:40] + texts[8].split()[:160]), "a b", "A  b!", "a b"]
    pairs = near_duplicates(texts)
    assert (7, 40) in pairs  # four words changed
    assert (8, 41) in pairs  # most of another
    assert (7, 41) not in pairs  # a fifth of one
    assert (42, 44) in pairs
    assert (42, 43) not in pairs
    assert all(first >= 7 for first, _ in pairs)
    assert without_near_duplicates(texts) == [*range(40), 42, 43]


def test_boilerplate_is_no_duplicate():
    rng = random.Random(3)
    licence = " ".join(f"l{i}" for i in range(50))
    texts = [
        licence + " " + " ".join(f"w{rng.randrange(5000)}" for _ in range(150)) for _ in range(30)
    ]
    assert near_duplicates(texts) == []


def test_infinite_scores_count_as_missing():
    rng = np.random.default_rng(4)
    ours, theirs = rng.normal(size=(80, 2)), rng.normal(size=(80, 2))
    for scores in (ours, theirs):
        scores[::9, 0], scores[1::9, 0] = np.inf, -np.inf
    found = inference_test(ours, theirs, names=("loss", "min_k"), seed=1, n_resamples=199)
    assert 0 < found.finding.p_value <= 1
    assert np.isfinite(found.finding.statistic.value)
