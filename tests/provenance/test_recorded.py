"""Recorded answers: the same findings as from the weights; what is missing, forged or torn is named."""

import random
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from bookplate.errors import InsufficientEvidence, InvalidInput
from bookplate.provenance.palimpsest import Transcript, query_test
from bookplate.provenance.suspect import ChoiceSlot, TokenReader, open_suspect, refuse_same_model
from bookplate.provenance.suspect.local.loading import Loading
from bookplate.provenance.suspect.recorded.losses import RecordedLosses
from bookplate.provenance.suspect.recorded.questions import Place, Questions, collect, digest_of
from bookplate.provenance.suspect.recorded.recording import record_answers
from bookplate.provenance.suspect.recorded.suspect import ANSWERS_SCHEMA, RecordedSuspect
from bookplate.stats import Input
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.detect import detect
from bookplate.watermark.embed import mark_texts
from bookplate.watermark.evidence import Evidence
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.manifest import digest_of as record_digest
from bookplate.watermark.marking import Marking, Unit
from bookplate.watermark.tables import apply_edits

KEY = MarkingKey(b"k" * 32, b"s" * 32)
BY_RECORD = Marking(unit=Unit.RECORD, ghosts=3)


@pytest.fixture(scope="module")
def local(tiny_model):
    return open_suspect(str(tiny_model), loading=Loading(device="cpu"))


@pytest.fixture(scope="module")
def short(english):
    return [text[:160] for text in english[:12]]


def evidence_of(texts, marking=None, key=KEY):
    candidates = LexiconSource(Lexicon.shipped(Tier.BROAD))
    manifest = mark_texts(texts, key, marking or Marking(), candidates=candidates)
    return Evidence(manifest=manifest, originals={record_digest(text): text for text in texts})


def recorded(questions, suspect, folder, **options):
    """Through both files, as between two parties."""
    questions.write(folder / "questions.parquet")
    asked = Questions.read(folder / "questions.parquet")
    assert asked == questions
    record_answers(asked, suspect, folder / "answers.parquet", **options)
    return RecordedSuspect.read(folder / "answers.parquet")


def same_finding(one, other):
    assert one.statistic.value == pytest.approx(other.statistic.value, abs=1e-4)
    assert one.log10_p == pytest.approx(other.log10_p, abs=1e-4)
    assert one.effect.value == pytest.approx(other.effect.value, abs=1e-4)


# ---- the same numbers as from the weights ----------------------------------------------------------


@pytest.mark.parametrize("marking", [Marking(), BY_RECORD], ids=["type", "record"])
def test_detection_finds_the_same(local, short, marking, tmp_path):
    evidence = evidence_of(short, marking)
    questions = collect(lambda suspect: detect(evidence, suspect, seed=1))
    suspect = recorded(questions, local, tmp_path, per_shard=7)
    same_finding(detect(evidence, suspect, seed=1), detect(evidence, local, seed=1))
    assert suspect.identity == local.identity
    assert open_suspect(str(tmp_path / "answers.parquet")).source.name == "answers.parquet"
    assert not (tmp_path / "answers.parquet.parts").exists()
    with pytest.raises(InvalidInput, match="the same model"):
        refuse_same_model(suspect, [local])


def test_the_order_of_training_is_found_the_same(local, tmp_path):
    rng = random.Random(1)
    ids = tuple(tuple(rng.randrange(900) for _ in range(9)) for _ in range(32))
    order = Transcript(steps=np.arange(32), sequences=ids, source=Input(name="t", sha256="0" * 64))
    questions = collect(lambda suspect: query_test(order, suspect, seed=1))
    suspect = recorded(questions, local, tmp_path)
    same_finding(query_test(order, suspect, seed=1), query_test(order, local, seed=1))


def test_tokens_and_their_moments_are_recorded(local, short, tmp_path):
    suspect = recorded(collect(lambda s: s.token_tables(["", *short[:3]])), local, tmp_path)
    assert isinstance(suspect, TokenReader)
    for one, two in zip(
        suspect.token_tables(short[:3]), local.token_tables(short[:3]), strict=True
    ):
        assert one.tokens == two.tokens
        for name in ("logprobs", "mean", "sd"):
            np.testing.assert_allclose(getattr(one, name), getattr(two, name), atol=1e-4)
    assert suspect.tokens(short[:2]) == local.tokens(short[:2])
    assert suspect.token_logprobs(["", short[0]])[0].size == 0


def test_without_tokens_only_those_who_need_them_are_refused(local, short, tmp_path):
    suspect = recorded(Questions.of(short[:2]), local, tmp_path, with_tokens=False)
    (table,) = suspect.token_tables(short[:1])
    assert table.tokens == ()
    np.testing.assert_array_equal(table.logprobs, suspect.token_logprobs(short[:1])[0])
    with pytest.raises(InvalidInput, match=r"row \d+: was recorded without its tokens"):
        suspect.tokens(short[:1])


def test_a_place_with_nothing_before_it_stays_unscored(local, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "_start", None)
    slots = [[ChoiceSlot(0, 4, ("word", "term"))]]
    suspect = recorded(collect(lambda s: s.choice_logprobs(["word"], slots)), local, tmp_path)
    assert np.isnan(suspect.choice_logprobs(["word"], slots)[0][0]).all()


def test_places_cannot_be_left_out_at_will(local, short, tmp_path):
    """Who holds the release could null the slots that speak for innocence, or against it."""
    evidence = evidence_of(short)
    recorded(collect(lambda s: detect(evidence, s, seed=1)), local, tmp_path)
    frame = pl.read_parquet(tmp_path / "answers.parquet")
    some = pl.int_range(pl.len()) % 2 == 0
    frame.with_columns(logprobs=pl.when(some).then("logprobs")).write_parquet(
        tmp_path / "b.parquet"
    )
    with pytest.raises(InvalidInput, match="no log-probabilities of a place within a text"):
        detect(evidence, RecordedSuspect.read(tmp_path / "b.parquet"), seed=1)


def test_words_cannot_share_more_than_all_probability(tmp_path):
    slot = ChoiceSlot(2, 3, ("b", "c"))
    row = {**GOOD, "question": digest_of(Place.of("a b", slot)), "logprobs": [0.0, 0.0]}
    frame = pl.DataFrame([{**row, "tokens": None, "mean": None, "sd": None}], schema=ANSWERS_SCHEMA)
    frame.write_parquet(tmp_path / "answers.parquet")
    with pytest.raises(InvalidInput, match="row 1: gives choices that exclude each other"):
        open_suspect(str(tmp_path / "answers.parquet")).choice_logprobs(["a b"], [[slot]])


def test_findings_say_that_answers_are_hearsay(local, short, tmp_path):
    evidence = evidence_of(short)
    suspect = recorded(collect(lambda s: detect(evidence, s, seed=1)), local, tmp_path)
    finding = detect(evidence, suspect, seed=1)
    assert suspect.source in finding.inputs
    assert suspect.identity in finding.inputs
    assert any("nobody opened the weights here" in warning for warning in finding.warnings)
    assert not any("nobody opened" in w for w in detect(evidence, local, seed=1).warnings)


# ---- what the questions tell ------------------------------------------------------------------------


@pytest.mark.parametrize("marking", [Marking(), BY_RECORD], ids=["type", "record"])
def test_questions_tell_nothing_of_the_draw(short, marking, tmp_path):
    """By type, two keys ask byte for byte the same; by record, the released text has no place of its own."""
    files, places = [], []
    for number in range(2 if marking is not BY_RECORD else 12):
        key = MarkingKey(bytes([number]) * 32, b"s" * 32)
        evidence = evidence_of(short, marking, key)
        path = tmp_path / f"{number}.parquet"
        collect(lambda s, e=evidence: detect(e, s, seed=1)).write(path)
        files.append(path.read_bytes())
        frame = pl.read_parquet(path)
        assert frame["question"].is_sorted()
        for choices in frame["choices"].drop_nulls().to_list():
            assert choices == sorted(choices)
        if marking is BY_RECORD:
            released = evidence.marked()[0]
            original = evidence.originals[released.record]
            texts = [
                apply_edits(original, released.release_edits()),
                *released.ghost_texts(original),
            ]
            order = sorted(dict.fromkeys(texts), key=digest_of)
            places.append(order.index(texts[0]))
    if marking is BY_RECORD:
        assert len(set(places)) > 1
    else:
        assert files[0] == files[1]


def test_a_test_that_asks_nothing_has_no_questions(short):
    nothing = replace(evidence_of(short), originals={})
    with pytest.raises(InsufficientEvidence, match="asks nothing"):
        collect(lambda suspect: None)
    with pytest.raises(InsufficientEvidence, match="no marked word"):
        collect(lambda suspect: detect(nothing, suspect, seed=1))


def test_equal_questions_are_asked_once():
    slot = ChoiceSlot(0, 1, ("b", "a"))
    other = ChoiceSlot(0, 1, ("a", "b", "a"))
    asked = Questions.of(["a", "a", (1, 2), (1, 2), Place.of("x", slot), Place.of("x", other)])
    assert len(asked.asked) == 3


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("text", "another", "not what its digest says"),
        ("format", "bookplate-questions-9", "has the format 'bookplate-questions-9'"),
        ("end", 99, "neither a text"),
        ("choices", [], "neither a text"),
        ("start", None, "neither a text"),
        ("tokens", [1], "neither a text"),
    ],
)
def test_forged_questions_are_refused_by_their_row(column, value, said, tmp_path):
    path = tmp_path / "questions.parquet"
    Questions.of([Place.of("a word", ChoiceSlot(2, 6, ("word", "term")))]).write(path)
    frame = pl.read_parquet(path)
    dtype = frame.schema[column]
    frame.with_columns(pl.Series(column, [value], dtype=dtype)).write_parquet(path)
    with pytest.raises(InvalidInput, match=rf"questions.parquet: row 1: .*{said}"):
        Questions.read(path)


# ---- interrupted, missing, forged -------------------------------------------------------------------


class Stops:
    """A suspect whose process dies in its third shard."""

    def __init__(self, model):
        self.identity, self.model, self.asked = model.identity, model, []

    def token_logprobs(self, sequences):
        self.asked += sequences
        if len(self.asked) > 4:
            raise KeyboardInterrupt
        return self.model.token_logprobs(sequences)

    def choice_logprobs(self, texts, slots):
        raise AssertionError("not among these questions")


def test_a_killed_run_goes_on_with_the_next_shard(local, short, tmp_path):
    questions, out = Questions.of(short[:8]), tmp_path / "answers.parquet"
    with pytest.raises(KeyboardInterrupt):
        record_answers(questions, Stops(local), out, per_shard=2)
    assert not out.exists()
    second = Stops(local)
    second.asked = second.asked[:0]
    seen = []
    with pytest.raises(InvalidInput, match="another job"):
        record_answers(Questions.of(short[:7]), Stops(local), out, per_shard=2)
    record_answers(
        questions, second, out, per_shard=2, on_progress=lambda *counts: seen.append(counts)
    )
    assert len(second.asked) == 4
    assert seen == [(2, 8), (4, 8), (6, 8), (8, 8)]
    for one, two in zip(
        RecordedSuspect.read(out).token_logprobs(short[:8]),
        local.token_logprobs(short[:8]),
        strict=True,
    ):
        np.testing.assert_allclose(one, two, atol=1e-4)
    with pytest.raises(InvalidInput, match="already exists"):
        record_answers(questions, local, out)


def test_what_is_missing_is_named(local, short, tmp_path):
    suspect = recorded(Questions.of(short[:2]), local, tmp_path)
    for ask, said in (
        (
            lambda: suspect.token_logprobs(short[:3]),
            f"1 of 3 .* the text '{re.escape(short[2][:9])}",
        ),
        (lambda: suspect.token_logprobs([(7, 8, 9)]), "the 3 token ids 7, 8, 9"),
        (
            lambda: suspect.choice_logprobs(["a word"], [[ChoiceSlot(2, 6, ("word", "term"))]]),
            "'term, word' at character 2 of the text 'a word'",
        ),
    ):
        with pytest.raises(InvalidInput, match=said) as caught:
            ask()
        assert caught.value.hint


GOOD = {
    "format": "bookplate-answers-1", "question": digest_of("a"), "logprobs": [-1.0, -2.0],
    "tokens": ["a", "b"], "mean": [-1.0, -1.0], "sd": [1.0, 1.0], "model": "m", "model_sha256": "a" * 64,
}  # fmt: skip
FORGED = {
    "NaN": ({"logprobs": [-1.0, float("nan")]}, "'logprobs' holds something that is no number"),
    "infinite": ({"logprobs": [-1.0, float("-inf")]}, "'logprobs' holds something"),
    "a hole": ({"logprobs": [-1.0, None]}, "'logprobs' holds something"),
    "positive": ({"logprobs": [-1.0, 0.5]}, "above 0"),
    "no number in sd": ({"sd": [1.0, float("nan")]}, "'sd' holds something"),
    "negative sd": ({"sd": [1.0, -1.0]}, "negative"),
    "mean above 0": ({"mean": [1.0, -1.0]}, "above 0"),
    "tokens too short": ({"tokens": ["a"]}, "not equally long"),
    "means too many": ({"mean": [-1.0] * 3}, "not equally long"),
    "mean alone": ({"sd": None}, "one of 'mean' and 'sd'"),
    "a token missing": ({"tokens": ["a", None]}, "a token is missing"),
    "no digest": ({"question": "a"}, "'question' is no SHA-256"),
    "no question": ({"question": None}, "'question' is missing"),
    "another model": ({"model": "n"}, "'model' is not that of the first row"),
    "a name without end": ({"model": "m" * 201}, "'model' is no"),
    "far too unlikely": ({"logprobs": [-1.0, -1e300]}, "holds one below"),
    "another format": ({"format": "x\u202e"}, "has the format 'x<U[+]202E>'"),
    "contradiction": ({"question": digest_of("a"), "logprobs": [-1.0, -3.0]}, "row 1 in another way"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "said"), FORGED.values(), ids=FORGED)
def test_forged_answers_are_refused_by_their_row(change, said, tmp_path):
    path = tmp_path / "answers.parquet"
    rows = [GOOD, GOOD, {**GOOD, "question": digest_of("b"), **change}]
    pl.DataFrame(rows, schema=ANSWERS_SCHEMA).write_parquet(path)
    with pytest.raises(InvalidInput, match=rf"answers\.parquet: row 3: .*{said}"):
        open_suspect(str(path))
    pl.DataFrame(rows[:2], schema=ANSWERS_SCHEMA).write_parquet(path)
    assert open_suspect(str(path)).token_logprobs(["a"])[0].tolist() == [-1.0, -2.0]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ((1, 2, 3, 4), "holds 2 log-probabilities, expected 3 for its token ids"),
        (Place.of("a b", ChoiceSlot(2, 3, ("b", "c", "d"))), "expected 3 for its choices"),
    ],
)
def test_answers_of_wrong_length_are_refused_by_their_row(question, said, tmp_path):
    path = tmp_path / "answers.parquet"
    row = {**GOOD, "question": digest_of(question)}
    pl.DataFrame([GOOD, row], schema=ANSWERS_SCHEMA).write_parquet(path)
    suspect = open_suspect(str(path))

    def ask():
        if isinstance(question, Place):
            return suspect.choice_logprobs([question.text], [[question.slot]])
        return suspect.token_logprobs([question])

    with pytest.raises(InvalidInput, match=rf"row 2: .*{said}"):
        ask()


def test_files_that_are_none_are_refused(tmp_path):
    path = tmp_path / "answers.parquet"
    with pytest.raises(InvalidInput, match="no such file"):
        open_suspect(str(path))
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(InvalidInput, match="cannot be read as"):
        open_suspect(str(path))
    pl.DataFrame({"a": [1]}).write_parquet(path)
    with pytest.raises(InvalidInput, match="expected a column 'format'"):
        open_suspect(str(path))
    pl.DataFrame([GOOD]).with_columns(logprobs=pl.lit("x")).write_parquet(path)
    with pytest.raises(InvalidInput, match=r"'logprobs' of List.Float64., but it holds String"):
        open_suspect(str(path))


# ---- published transcripts --------------------------------------------------------------------------


@pytest.fixture
def published(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "transcript.parquet"
    pl.DataFrame({
        "index": range(40),
        "tokens": rng.integers(0, 900, (40, 9)).tolist(),
        "loss_one": 3.0 - 0.02 * np.arange(40) + 0.1 * rng.normal(size=40),
        "loss_two": np.float32(3.0 + 0.1 * rng.normal(size=40)),
    }).write_parquet(path)
    return path


def test_losses_of_a_published_transcript_serve_the_query(published):
    frame = pl.read_parquet(published)
    order = Transcript(
        steps=frame["index"].to_numpy(),
        sequences=tuple(map(tuple, frame["tokens"].to_list())),
        source=Input(name="t", sha256="0" * 64),
    )
    one, two = (open_suspect(f"{published}#loss_{name}") for name in ("one", "two"))
    assert one.identity.name == "loss_one of transcript.parquet"
    assert one.identity.sha256 != two.identity.sha256
    assert query_test(order, one, seed=1).log10_p < -3
    assert query_test(order, two, seed=1).log10_p > -2
    assert query_test(order, one, references=[two], seed=1).log10_p < -3
    scores = one.token_logprobs(order.sequences[:1])[0]
    assert (scores.size, scores.mean()) == (8, pytest.approx(-frame["loss_one"][0]))
    with pytest.raises(InvalidInput, match="holds no scores of texts") as caught:
        one.token_logprobs(["a text"])
    assert "palimpsest query alone" in caught.value.hint
    with pytest.raises(InvalidInput, match="holds no scores of words"):
        one.choice_logprobs(["a"], [[]])
    with pytest.raises(InvalidInput, match="sequence 2 of 2 is not in it"):
        one.token_logprobs([order.sequences[0], (1, 2)])


def test_which_losses_must_be_said(published):
    with pytest.raises(InvalidInput, match="losses of 2 models") as caught:
        open_suspect(str(published))
    assert "transcript.parquet#loss_one" in caught.value.hint
    with pytest.raises(InvalidInput, match="no column of losses 'loss_three'") as caught:
        open_suspect(f"{published}#loss_three")
    assert "loss_one, loss_two" in caught.value.hint
    pl.read_parquet(published).drop("loss_two").write_parquet(published)
    assert open_suspect(str(published)).identity.name.startswith("loss_one")


@pytest.mark.parametrize(
    ("loss", "tokens", "said"),
    [
        (float("nan"), [1, 2], "row 2: 'loss_m' is no number"),
        (None, [1, 2], "row 2: 'loss_m' is no number"),
        (-1.0, [1, 2], "row 2: 'loss_m' is below 0"),
        (2.0, [5, 6], "row 2: has the tokens of row 1 and another loss"),
        (2.0, [5], "row 2: expected at least two token ids"),
        (2.0, None, "row 2: expected at least two token ids"),
    ],
)
def test_forged_losses_are_refused_by_their_row(loss, tokens, said, tmp_path):
    path = tmp_path / "t.parquet"
    pl.DataFrame({"tokens": [[5, 6], tokens], "loss_m": [1.0, loss]}).write_parquet(path)
    with pytest.raises(InvalidInput, match=said):
        RecordedLosses.read(path, "loss_m")


@pytest.mark.parametrize("tokens", [["a b"], [1]])
def test_losses_without_lists_of_ids_are_refused(tokens, tmp_path):
    path = tmp_path / "t.parquet"
    pl.DataFrame({"tokens": tokens, "loss_m": [1.0]}).write_parquet(path)
    with pytest.raises(InvalidInput, match="'tokens' of lists of integers"):
        RecordedLosses.read(path, "loss_m")
