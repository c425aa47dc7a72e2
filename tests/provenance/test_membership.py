"""Each score against a few lines of its own on the same logits, by hand, and at its edges."""

import math
import zlib
from collections import Counter

import numpy as np
import pytest
import torch
from bookplate.errors import InvalidInput
from bookplate.provenance.membership import METHODS, Score, TokenFrequencies, score_texts, scores
from bookplate.provenance.suspect import TokenReader, TokenTable, open_suspect
from bookplate.provenance.suspect.local.loading import Loading
from transformers import AutoModelForCausalLM, AutoTokenizer


def table_of(logprobs, tokens=None, mean=None, sd=None):
    n = len(logprobs)
    return TokenTable(
        tokens=tuple(tokens or map(str, range(n))),
        logprobs=np.array(logprobs, dtype=float),
        mean=None if mean is None else np.array(mean, dtype=float),
        sd=None if sd is None else np.array(sd, dtype=float),
    )


# ---- the same logits, another implementation ------------------------------------------------------

PREFIX = "Return the number of rows.\n\nParameters are given as a list."


@pytest.fixture(scope="module")
def texts(english):
    return [text[:n] for text, n in zip(english[60:66], (250, 200, 150, 100, 60, 30), strict=True)]


@pytest.fixture(scope="module")
def near(texts):
    """Neighbours; the last text has none."""
    return [[text.replace("e", "a", 1), text[:-3]] for text in texts[:-1]] + [[]]


@pytest.fixture(scope="module")
def table(tiny_model, other_model, texts, near, english):
    return score_texts(
        texts,
        open_suspect(str(tiny_model), loading=Loading(device="cpu")),
        references=[open_suspect(str(other_model), loading=Loading(device="cpu"))],
        prefix=PREFIX,
        frequency_texts=english[200:220],
        neighbours=near,
        share=0.3,
    )


class Plain:
    """A model asked by a plain forward pass, text by text."""

    def __init__(self, folder):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()

    @torch.no_grad()
    def __call__(self, text):
        """Token ids, log p over the vocabulary at each, log p of each."""
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        given = torch.tensor([[self.tokenizer.bos_token_id, *ids]])
        logp = self.model(given).logits[0, :-1].double().log_softmax(-1)
        return ids, logp, logp[torch.arange(len(ids)), ids].numpy()


@pytest.fixture(scope="module")
def ask(tiny_model):
    return Plain(tiny_model)


def check(table, score, expected):
    found = table.frame[score].to_list()
    assert found == [None if e is None else pytest.approx(e, rel=1e-4, abs=1e-5) for e in expected]


def test_loss_and_perplexity(table, ask, texts):
    losses = [-ask(text)[2].mean() for text in texts]
    check(table, "loss", [-loss for loss in losses])
    check(table, "perplexity", [-math.exp(loss) for loss in losses])


def test_lower_case_ratio(table, ask, texts):
    check(
        table,
        "lower_case_ratio",
        [ask(text.lower())[2].mean() / ask(text)[2].mean() for text in texts],
    )


def test_zlib_ratio_ranks_as_published(table, ask, texts):
    published = [len(zlib.compress(text.encode())) / -ask(text)[2].mean() for text in texts]
    check(table, "zlib_ratio", [-1 / value for value in published])


def test_min_k_and_max_k(table, ask, texts):
    ordered = [sorted(ask(text)[2]) for text in texts]
    check(table, "min_k", [np.mean(x[: int(0.3 * len(x))]) for x in ordered])
    check(table, "max_k", [np.mean(x[-int(0.3 * len(x)) :]) for x in ordered])


def test_min_k_plus_plus(table, ask, texts):
    expected = []
    for text in texts:
        ids, logp, own = ask(text)
        mu = (logp.exp() * logp).sum(-1)
        sigma = ((logp.exp() * logp**2).sum(-1) - mu**2).sqrt()
        z = sorted(((torch.tensor(own) - mu) / sigma).tolist())
        expected.append(np.mean(z[: int(0.3 * len(ids))]))
    check(table, "min_k_plus_plus", expected)


def test_recall(table, ask, texts):
    """Here the tokenizer joins nothing across the empty line: all tokens of the text count."""
    expected = []
    for text in texts:
        own = ask(text)[2]
        expected.append(ask(f"{PREFIX}\n\n{text}")[2][-own.size :].mean() / own.mean())
    check(table, "recall", expected)


def test_dc_pdd(table, ask, texts, english):
    counts = Counter(i for t in english[200:220] for i in ask.tokenizer(t)["input_ids"])
    expected = []
    for text in texts:
        ids, _, own = ask(text)
        parts, seen = [], set()
        for i, logprob in zip(ids, own, strict=True):
            if i not in seen:
                q = (counts[i] + 1) / (counts.total() + len(counts) + 1)
                parts.append(min(-math.exp(logprob) * math.log(q), 0.01))
                seen.add(i)
        expected.append(np.mean(parts))
    check(table, "dc_pdd", expected)


def test_reference_ratio(table, ask, texts, other_model):
    other = Plain(other_model)
    check(table, "reference_ratio", [other(text)[2].mean() / ask(text)[2].mean() for text in texts])


def test_neighbourhood(table, ask, texts, near):
    expected = [
        np.mean([-ask(n)[2].mean() for n in ns]) + ask(text)[2].mean() if ns else None
        for text, ns in zip(texts, near, strict=True)
    ]
    assert expected[-1] is None
    check(table, "neighbourhood", expected)


def test_every_score_has_its_column_and_its_source(table):
    assert table.names == tuple(Score)
    assert set(METHODS) == set(Score)
    assert not table.left_out
    assert [i.name for i in table.inputs] == ["tiny", "other"]
    assert all("arXiv" in method.source and method.unit for method in METHODS.values())


# ---- by hand --------------------------------------------------------------------------------------


def test_min_k_plus_plus_by_hand():
    """p = (1/2, 1/4, 1/4): log p is -ln 2 or -2 ln 2, each half the time; mean -1.5 ln 2, sd 0.5 ln 2."""
    ln2 = math.log(2)
    table = table_of([-ln2, -2 * ln2], mean=[-1.5 * ln2] * 2, sd=[0.5 * ln2] * 2)
    assert scores.min_k_plus_plus(table, 0.5) == pytest.approx(-1)
    assert scores.min_k_plus_plus(table, 1) == pytest.approx(0)


def test_dc_pdd_by_hand():
    """Corpus a a b, |V| = 3: q(a) = 3/6, q(b) = 2/6, q(c) = 1/6. The second a does not count."""
    frequencies = TokenFrequencies.of([("a", "a"), ("b",)])
    table = table_of(np.log([0.001, 0.5, 0.002]), tokens=["a", "a", "c"])
    expected = (0.001 * math.log(2) + 0.002 * math.log(6)) / 2
    assert scores.dc_pdd(table, frequencies) == pytest.approx(expected)
    assert scores.dc_pdd(table, frequencies, cap=0.001) == pytest.approx(
        (0.001 * math.log(2) + 0.001) / 2
    )


def test_recall_compares_the_same_tokens_only():
    """The tokenizer joined the prefix with the first token: only b and c are common to both."""
    alone = table_of([-9, -1, -3], tokens=["a", "b", "c"])
    behind = table_of([-5, -7, -4, -6], tokens=["p", "pa", "b", "c"])
    assert scores.recall(alone, behind) == pytest.approx(5 / 2)
    assert math.isnan(scores.recall(alone, table_of([-1], tokens=["x"])))


def test_reference_ratio_is_of_whole_texts():
    assert scores.reference_ratio(table_of([-1, -3]), np.array([-2.0, -2, -4])) == 2


# ---- direction ------------------------------------------------------------------------------------


def test_a_text_known_better_scores_higher():
    rng = np.random.default_rng(1)
    logprobs, others = -rng.exponential(2, 50), -rng.exponential(2, 60)
    mean, sd = np.full(50, -3.0), np.full(50, 1.5)
    known, unknown = (table_of(scale * logprobs, mean=mean, sd=sd) for scale in (0.5, 1.5))
    frequencies = TokenFrequencies.of([known.tokens])
    behind = table_of(logprobs)  # as likely behind the prefix, whoever it was
    for score in (
        scores.loss,
        scores.perplexity,
        scores.min_k,
        scores.max_k,
        scores.min_k_plus_plus,
        lambda t: scores.zlib_ratio(t, "a text"),
        lambda t: scores.lower_case_ratio(t, others),
        lambda t: scores.reference_ratio(t, others),
        lambda t: scores.neighbourhood(t, [others]),
        lambda t: scores.dc_pdd(t, frequencies, cap=1.0),
        lambda t: scores.recall(t, behind),
    ):
        assert score(known) > score(unknown)


# ---- edges ----------------------------------------------------------------------------------------


def all_scores(table, text):
    return [
        scores.loss(table),
        scores.perplexity(table),
        scores.lower_case_ratio(table, table.logprobs),
        scores.zlib_ratio(table, text),
        scores.min_k(table),
        scores.max_k(table),
        scores.min_k_plus_plus(table),
        scores.recall(table, table),
        scores.dc_pdd(table, TokenFrequencies.of([("0",)])),
        scores.reference_ratio(table, table.logprobs),
        scores.neighbourhood(table, [table.logprobs]),
    ]


def test_an_empty_text_has_no_score():
    assert all(math.isnan(x) for x in all_scores(table_of([], mean=[], sd=[]), ""))


def test_one_token_has_every_score():
    found = all_scores(table_of([-2], mean=[-1], sd=[0.5]), "a")
    expected = [-2, -math.exp(2), 1, -2 / len(zlib.compress(b"a")), -2, -2, -2, 1]
    assert found == pytest.approx([*expected, 0.01, 1, 0])  # p log q is above DC-PDD's cap


def test_certainty_gives_numbers():
    """p = 1 leaves no spread and no loss."""
    table = table_of([0, 0], mean=[0, 0], sd=[0, 0])
    assert scores.min_k_plus_plus(table) == 0
    assert scores.lower_case_ratio(table, np.array([-1.0])) == pytest.approx(1e6)
    assert np.isfinite(all_scores(table, "a")).all()


def test_no_spread_does_not_blow_up_rounding():
    table = table_of([-1e-8], mean=[-3e-8], sd=[1e-9])
    assert abs(scores.min_k_plus_plus(table)) < 1e-3


def test_hopeless_texts_keep_their_perplexity_finite():
    assert -1e131 < scores.perplexity(table_of([-1e4])) < -1e129


@pytest.mark.parametrize("share", [0, -0.1, 1.1, math.nan])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(InvalidInput, match="share of tokens"):
        scores.min_k(table_of([-1]), share)


def test_frequencies_refuse_nothing_to_count():
    with pytest.raises(InvalidInput, match="has no token"):
        TokenFrequencies.of([()])
    with pytest.raises(InvalidInput, match="at least the 2 distinct tokens"):
        TokenFrequencies.of([("a", "b")], vocabulary=1)
    assert TokenFrequencies.of([("a",)], vocabulary=9).log_share("b") == math.log(1 / 10)


def test_min_k_plus_plus_needs_the_vocabulary():
    with pytest.raises(InvalidInput, match="mean and sd"):
        scores.min_k_plus_plus(table_of([-1]))


def test_the_suspect_is_a_token_reader(tiny_model):
    assert isinstance(open_suspect(str(tiny_model), loading=Loading(device="cpu")), TokenReader)
