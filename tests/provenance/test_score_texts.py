"""The table of scores: what is read, what is named as missing, and how labels are used."""

import hashlib

import numpy as np
import pytest
from bookplate.errors import InvalidInput
from bookplate.provenance.membership import SHIFT_WARNING, Score, score_texts, separation
from bookplate.provenance.membership import table as table_module
from bookplate.provenance.suspect import TokenTable
from bookplate.stats import Input, roc


class Reader:
    """A suspect whose tokens are words, with made-up likelihoods; it notes what it reads."""

    def __init__(self, name="reader", *, spread=True, tokens=True):
        self.identity = Input(name=name, sha256=hashlib.sha256(name.encode()).hexdigest())
        self.spread, self.knows_tokens, self.read = spread, tokens, []

    def token_tables(self, texts):
        self.read += texts
        return [self._table(text) for text in texts]

    def tokens(self, texts):
        if not self.knows_tokens:
            raise InvalidInput("its tokenizer is not known")
        return [tuple(text.split()) for text in texts]

    def _table(self, text):
        words = tuple(text.split())
        logprobs = np.array([-1 - hashlib.sha256(w.encode()).digest()[0] / 64 for w in words])
        some = np.full(len(words), 2.0) if self.spread else None
        return TokenTable(
            tokens=words if self.knows_tokens else (),
            logprobs=logprobs,
            mean=None if some is None else -some,
            sd=some,
        )


class Cheaper(Reader):
    """One that can tell log-probabilities alone."""

    def token_logprobs(self, texts):
        self.read += [("alone", text) for text in texts]
        return [self._table(text).logprobs for text in texts]


TEXTS = ["A small Text", "another one here", "A small Text", "x y z"]


def test_each_text_is_read_once_per_variant():
    """The third repeats the first; the second and the fourth are lower-case already."""
    reader, reference = Reader(), Cheaper("reference")
    near = [["A tiny Text"], [], ["A tiny Text", "x y z"], ["x y"]]
    score_texts(TEXTS, reader, references=[reference], prefix="pre", neighbours=near)
    assert sorted(reader.read) == sorted([
        "A small Text", "another one here", "x y z",
        "pre\n\nA small Text", "pre\n\nanother one here", "pre\n\nx y z",
        "a small text", "A tiny Text", "x y",
    ])  # fmt: skip
    assert sorted(reference.read) == sorted({("alone", text) for text in TEXTS})


def test_the_cheaper_way_is_taken_where_no_more_is_needed():
    suspect = Cheaper()
    score_texts(TEXTS[:2], suspect)
    assert suspect.read == ["A small Text", "another one here", ("alone", "a small text")]
    only_loss = Cheaper()
    score_texts(TEXTS[:2], only_loss, scores=[Score.LOSS])
    assert only_loss.read == TEXTS[:2]


def test_parts_of_any_size_give_the_same_table(monkeypatch):
    options = dict(prefix="pre", frequency_texts=["one x"], neighbours=[["x"], [], ["y"], ["x y"]])
    whole = score_texts(TEXTS, Reader(), references=[Cheaper("reference")], **options)
    monkeypatch.setattr(table_module, "_TEXTS_AT_ONCE", 3)
    done = []
    parts = score_texts(
        TEXTS, Reader(), references=[Cheaper("reference")], progress=done.append, **options
    )
    assert parts.frame.equals(whole.frame)
    assert done == [3, 4]


def test_what_was_not_provided_for_is_not_missed_but_what_was_asked_for_is():
    assert not {Score.RECALL, Score.REFERENCE_RATIO} & set(score_texts(TEXTS, Reader()).names)
    table = score_texts(TEXTS, Reader(), scores=[Score.LOSS, Score.RECALL, Score.REFERENCE_RATIO])
    assert table.names == ("loss",)
    assert table.left_out[Score.REFERENCE_RATIO] == "needs a reference model"
    assert "prefix" in table.left_out[Score.RECALL]


def test_what_the_suspect_cannot_tell_is_named():
    table = score_texts(
        TEXTS, Reader(spread=False, tokens=False), prefix="pre", frequency_texts=["a"]
    )
    assert set(table.left_out) == {Score.MIN_K_PLUS_PLUS, Score.RECALL, Score.DC_PDD}
    assert "tokenizer is not known" in table.left_out[Score.DC_PDD]
    assert "vocabulary, which this suspect does not tell" in table.left_out[Score.MIN_K_PLUS_PLUS]
    assert "loss" in table.names


class Recorded(Cheaper):
    """One that answers for some texts only, and never with tokens."""

    def __init__(self):
        super().__init__(spread=False, tokens=False)

    def _known(self, texts):
        if unknown := [text for text in texts if text not in TEXTS]:
            raise InvalidInput(f"{len(unknown)} questions have no answer")
        return texts

    def token_tables(self, texts):
        return super().token_tables(self._known(texts))

    def token_logprobs(self, texts):
        return super().token_logprobs(self._known(texts))


def test_what_nobody_recorded_is_named_and_the_rest_is_scored():
    table = score_texts(TEXTS, Recorded(), neighbours=[["x y z"]] * 4, prefix="pre")
    assert table.left_out[Score.LOWER_CASE_RATIO] == "cannot be had: 1 questions have no answer"
    assert set(table.left_out) == {Score.LOWER_CASE_RATIO, Score.RECALL, Score.MIN_K_PLUS_PLUS}
    assert {"loss", "min_k", "neighbourhood"} < set(table.names)
    with pytest.raises(InvalidInput, match="1 questions have no answer"):
        score_texts(["never asked"], Recorded())


def test_nothing_to_show_is_an_error_that_says_why():
    with pytest.raises(InvalidInput, match=r"min_k_plus_plus needs mean and sd"):
        score_texts(TEXTS, Reader(spread=False), scores=[Score.MIN_K_PLUS_PLUS])


def test_an_empty_text_is_a_row_of_nulls():
    table = score_texts(["", "a b"], Reader(), references=[Cheaper("reference")], prefix="pre")
    assert table.frame["tokens"].to_list() == [0, 2]
    assert all(table.frame[name].is_null().to_list() == [True, False] for name in table.names)
    assert np.isnan(table.values()[0]).all()


def test_several_references_have_a_column_each():
    table = score_texts(TEXTS, Reader(), references=[Cheaper("one"), Cheaper("two")])
    assert table.names[-2:] == ("reference_ratio_1", "reference_ratio_2")


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ([], {}, "at least one text"),
        (TEXTS, {"neighbours": [[]]}, "neighbours for each of 4 texts, got 1"),
        (TEXTS, {"share": 0}, "share of tokens"),
        (TEXTS, {"scores": ["min-k"]}, "expected one of 'loss'"),
        (TEXTS, {"references": [Cheaper("reader")]}, "the same model"),
    ],
)
def test_what_does_not_fit_is_refused(texts, options, message):
    with pytest.raises(InvalidInput, match=message):
        score_texts(texts, Reader(), **options)


def test_separation_is_roc_with_a_warning():
    rng = np.random.default_rng(2)
    texts = [" ".join(map(str, rng.integers(0, 99, 9))) for _ in range(60)] + ["a b"]
    labels = rng.integers(0, 2, 61)
    near = [["x"]] * 60 + [[]]
    table = score_texts(texts, Reader(), neighbours=near)
    found = separation(table, labels)
    assert tuple(found) == table.names
    expected = roc(labels, table.frame["loss"].to_numpy(), higher_means=1)
    assert found["loss"].auroc == expected.auroc
    assert [p.target_fpr for p in found["loss"].at_fpr] == [0.001, 0.01, 0.05]
    assert all(SHIFT_WARNING in result.warnings for result in found.values())
    assert any("1 texts that cannot" in w for w in found["neighbourhood"].warnings)


@pytest.mark.parametrize(
    ("labels", "message"),
    [([1, 0], "one label for each of 4"), ([1, 1, 1, 0], "fewer than two texts with label 0")],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(InvalidInput, match=message):
        separation(score_texts(TEXTS, Reader()), labels)
