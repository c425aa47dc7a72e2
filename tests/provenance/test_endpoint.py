"""Endpoints: the same findings as from the weights, whatever a server does; each question paid for once."""

import asyncio
import json
import logging
import re
import sqlite3
import threading
import traceback
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from bookplate.errors import InvalidInput
from bookplate.files import Interrupted
from bookplate.provenance.palimpsest import Transcript, query_test
from bookplate.provenance.suspect import (
    ChoiceSlot,
    Completer,
    TokenReader,
    open_suspect,
    refuse_same_model,
)
from bookplate.provenance.suspect.endpoint.address import token_in
from bookplate.provenance.suspect.endpoint.answers import AnswerStore, default_store
from bookplate.provenance.suspect.endpoint.budget import Budget
from bookplate.provenance.suspect.endpoint.http_client import Patience, _seconds
from bookplate.provenance.suspect.endpoint.suspect import EndpointSuspect, Reaching
from bookplate.provenance.suspect.local.loading import Loading
from bookplate.stats import Input
from bookplate.watermark.candidates import LexiconSource
from bookplate.watermark.completion import completion_test
from bookplate.watermark.detect import detect
from bookplate.watermark.embed import mark_texts
from bookplate.watermark.evidence import Evidence
from bookplate.watermark.keys import MarkingKey
from bookplate.watermark.lexicon import Lexicon, Tier
from bookplate.watermark.manifest import digest_of
from bookplate.watermark.marking import Marking, Unit

START = "<|endoftext|>"
QUICK = Patience(first_wait=0.0, retries=3, timeout=30.0)
TEXTS = [
    "Return the “inner” product of two arrays — naïve, but exact. 😀 Done",
    "Compute the inverse of a matrix\n\n    >>> np.linalg.inv(a)\n, if there is one.",
    "word",
]
CHOICES = ("slogan", "motto", "extraordinarily", "a", "zq")
TEXT = "The slogan was   profitably used; a\tslogan again, then (slogan) and “slogan”.\r\nslogan!"
SLOTS = [ChoiceSlot(m.start(), m.end(), CHOICES) for m in re.finditer(r"slogan", TEXT)]


@pytest.fixture
def how(tmp_path):
    return Reaching(answers=tmp_path / "answers.sqlite", start=START, patience=QUICK)


@pytest.fixture(scope="module")
def local(tiny_model):
    return open_suspect(str(tiny_model), loading=Loading(device="cpu"))


@pytest.fixture(scope="module")
def short(english):
    return [text[:160] for text in english]


def evidence_of(texts, marking):
    key = MarkingKey(b"k" * 32, b"s" * 32)
    candidates = LexiconSource(Lexicon.shipped(Tier.BROAD))
    manifest = mark_texts(texts, key, marking, candidates=candidates)
    return Evidence(manifest=manifest, originals={digest_of(text): text for text in texts})


def same_finding(one, other):
    assert one.n == other.n
    assert one.statistic.value == pytest.approx(other.statistic.value, abs=1e-4)
    assert one.log10_p == pytest.approx(other.log10_p, abs=1e-4)
    assert one.effect.value == pytest.approx(other.effect.value, abs=1e-4)


# ---- the same numbers as from the weights ----------------------------------------------------------


@pytest.mark.parametrize("writing", ["text", "alphabet"])
@pytest.mark.parametrize("starts", [False, True])
def test_tokens_of_texts_are_scored_as_from_the_weights(served, local, how, writing, starts):
    served.writing, served.starts = writing, starts
    suspect = EndpointSuspect.open(served.name, replace(how, start="" if starts else START))
    assert isinstance(suspect, Completer)
    assert isinstance(suspect, TokenReader)
    texts = ["", *TEXTS]
    expected = local.token_logprobs(texts)
    for scores, want in zip(suspect.token_logprobs(texts), expected, strict=True):
        np.testing.assert_allclose(scores, want, atol=1e-4)
    tables = suspect.token_tables(texts)
    assert [len(table.tokens) for table in tables] == [len(want) for want in expected]
    assert len(served.requests) == len(TEXTS)


def test_without_a_start_the_first_token_is_not_scored(served, local, how):
    suspect = EndpointSuspect.open(served.name, replace(how, start=""))
    ids = local._tokenizer(TEXTS[0], add_special_tokens=False)["input_ids"]
    (scores,) = suspect.token_logprobs([TEXTS[0]])
    np.testing.assert_allclose(scores, local.token_logprobs([ids])[0], atol=1e-4)
    (place,) = suspect.choice_logprobs(["slogan"], [[ChoiceSlot(0, 6, CHOICES)]])
    assert np.isnan(place[0]).all()


@pytest.mark.parametrize("writing", ["text", "alphabet"])
def test_choices_are_scored_as_from_the_weights(served, local, how, writing):
    served.writing = writing
    suspect = EndpointSuspect.open(served.name, how)
    slots = [SLOTS, [ChoiceSlot(0, 4, ("word", "term"))]]
    found = suspect.choice_logprobs([TEXT, "word"], slots)
    expected = local.choice_logprobs([TEXT, "word"], slots)
    for places, wanted in zip(found, expected, strict=True):
        for one, two in zip(places, wanted, strict=True):
            np.testing.assert_allclose(one, two, atol=1e-4)
    assert len(served.requests) == len(SLOTS) * len(CHOICES) + 2


@pytest.mark.parametrize("unit", [Unit.TYPE, Unit.RECORD])
def test_detection_finds_the_same(served, local, how, short, unit):
    marking = Marking(unit=unit, ghosts=3) if unit is Unit.RECORD else Marking()
    evidence = evidence_of(short[:8], marking)
    suspect = EndpointSuspect.open(served.name, how)
    found = detect(evidence, suspect, seed=1)
    same_finding(found, detect(evidence, local, seed=1))
    assert found.inputs[-1] == suspect.identity
    assert max(served.asked().values()) == 1


def test_the_order_of_training_is_found_the_same(served, local, how, short):
    ids = [tuple(local._tokenizer(text)["input_ids"][:20]) for text in short[:32]]
    transcript = Transcript(
        steps=np.arange(32), sequences=tuple(ids), source=Input(name="t", sha256="0" * 64)
    )
    suspect = EndpointSuspect.open(served.name, how)
    found = query_test(transcript, suspect, seed=1)
    same_finding(found, query_test(transcript, local, seed=1))
    assert served.requests[0][2]["prompt"] == list(served.requests[0][2]["prompt"])


class Parrot:
    """What the server draws, without the server."""

    identity = Input(name="parrot", sha256="0" * 64)

    def __init__(self, words):
        self.words = words

    def drawn(self, prompt, seed):
        return f" {self.words[(len(prompt) + seed) % len(self.words)]} and so on"


def test_completions_are_counted_as_they_are_drawn(served, how, short):
    evidence = evidence_of(short[:40], Marking())
    words = sorted({c.lower() for r in evidence.marked() for s in r.slots for c in s.choices})
    parrot = Parrot(words)
    served.drawn = parrot.drawn
    suspect = EndpointSuspect.open(served.name, how)
    found = completion_test(evidence, suspect, seed=1, n_samples=4, per_unit=2)
    sent = {b["prompt"]: (b["seed"], b["n"]) for _, _, b in served.requests}
    parrot.complete = lambda prompts, **_: [
        [parrot.drawn(START + p, sent[START + p][0] + i) for i in range(4)] for p in prompts
    ]
    same_finding(found, completion_test(evidence, parrot, seed=1, n_samples=4, per_unit=2))
    assert len(sent) == len(served.requests)


# ---- servers that fail, and servers that cannot ----------------------------------------------------

PASSING = {
    "busy": (429, {"Retry_After": "0"}, b""),
    "broken": (500, {}, b"oh no"),
    "unavailable": (503, {}, b""),
    "cut": "cut",
    "no JSON": b"<html>",
    "half of it": b'{"choices": [{"logprobs": {"tok',
    "deep": b"[" * 100_000,
    "a list": b"[]",
    "no choices": b'{"choices": []}',
    "huge": b" " * 300_000,
    "never ends": "loris",
}


@pytest.mark.parametrize("trouble", PASSING.values(), ids=PASSING)
def test_a_failure_that_passes_is_tried_again(served, local, how, trouble):
    served.troubles = [trouble] * 2
    patience = replace(QUICK, timeout=0.4 if trouble == "loris" else 30, largest_answer=100_000)
    suspect = EndpointSuspect.open(served.name, replace(how, patience=patience))
    (scores,) = suspect.token_logprobs([TEXTS[0]])
    np.testing.assert_allclose(scores, local.token_logprobs([TEXTS[0]])[0], atol=1e-4)
    assert len(served.requests) == 3


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("busy", "status 429"),
        ("broken", "status 500"),
        ("cut", "RemoteProtocolError"),
        ("no JSON", "no JSON object"),
        ("huge", "longer than 100000 bytes"),
        ("never ends", "no whole answer within 0.2 seconds"),
    ],
)
def test_a_failure_that_stays_ends_in_one_line(served, how, trouble, said):
    served.troubles = [PASSING[trouble]] * 50
    patience = Patience(first_wait=0.0, retries=2, timeout=0.2, largest_answer=100_000, at_once=1)
    if trouble != "never ends":
        patience = replace(patience, timeout=30.0)
    suspect = EndpointSuspect.open(served.name, replace(how, patience=patience))
    with pytest.raises(InvalidInput, match="no usable answer after 3 tries") as caught:
        suspect.token_logprobs(TEXTS)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(served.requests) == 3


def test_a_storm_of_refusals_costs_nothing_and_passes(served, local, how):
    """Each question is turned away three times; only those answered count against the budget."""
    served.troubles = [PASSING["busy"]] * 9
    patience = replace(QUICK, retries=20)
    budget = Budget(max_queries=len(TEXTS))
    suspect = EndpointSuspect.open(served.name, replace(how, patience=patience, budget=budget))
    for scores, want in zip(
        suspect.token_logprobs(TEXTS), local.token_logprobs(TEXTS), strict=True
    ):
        np.testing.assert_allclose(scores, want, atol=1e-4)
    assert len(served.requests) == 9 + len(TEXTS)
    assert budget.queries == len(TEXTS)


def test_waiting_too_long_is_not_begun(served, how):
    """A day is longer than anyone's patience, in seconds or as a date."""
    for asked in ("86400", "Fri, 31 Dec 2100 23:59:59 GMT"):
        served.troubles = [(429, {"Retry_After": asked}, b"")]
        suspect = EndpointSuspect.open(served.name, how)
        with pytest.raises(InvalidInput, match=r"status 429, and .* seconds to wait"):
            suspect.token_logprobs(TEXTS[:1])


def of_logprobs(change):
    def twist(answer):
        change(answer["choices"][0]["logprobs"])
        return answer

    return twist


def without(answer):
    answer["choices"][0]["logprobs"] = None
    return answer


def generated_only(answer):
    logprobs = answer["choices"][0]["logprobs"]
    answer["choices"][0]["logprobs"] = {name: logprobs[name][-1:] for name in logprobs}
    return answer


UNFIT = {
    "none": (without, "no log-probabilities of prompts"),
    "in another form": (
        of_logprobs(lambda p: (p.clear(), p.update(content=[]))), "no log-probabilities of prompts",
    ),
    "of what was generated": (generated_only, "no log-probabilities of prompts"),
    "all null": (
        of_logprobs(lambda p: p.update(token_logprobs=[None] * len(p["tokens"]))),
        "no log-probabilities of prompts",
    ),
    "one too few": (of_logprobs(lambda p: p["token_logprobs"].pop()), "tokens, but"),
    "of another prompt": (of_logprobs(lambda p: p["tokens"].reverse()), "do not spell the prompt"),
    "a token lost": (
        of_logprobs(lambda p: [p[name].pop(2) for name in p]), "do not spell the prompt",
    ),
    "no number": (
        of_logprobs(lambda p: p["token_logprobs"].__setitem__(3, float("nan"))), "token 4 has no",
    ),
    "a hole": (of_logprobs(lambda p: p["token_logprobs"].__setitem__(3, None)), "token 4 has no"),
    "words": (of_logprobs(lambda p: p["token_logprobs"].__setitem__(3, "-1")), "token 4 has no"),
    "a number beyond all floats": (
        of_logprobs(lambda p: p["token_logprobs"].__setitem__(3, -(10**400))), "token 4 has no",
    ),
    "far too much": (
        of_logprobs(lambda p: p["tokens"].__setitem__(-1, "\ufffd" * 100_000)), "far more came back",
    ),
    "positive": (of_logprobs(lambda p: p["token_logprobs"].__setitem__(3, 0.5)), "0.5 > 0"),
    "no strings": (of_logprobs(lambda p: p["tokens"].__setitem__(3, 7)), "no string"),
}  # fmt: skip


@pytest.mark.parametrize(("twist", "said"), UNFIT.values(), ids=UNFIT)
def test_answers_without_usable_logprobs_are_refused_and_say_what_remains(served, how, twist, said):
    served.twist = twist
    patience = replace(QUICK, at_once=1)
    suspect = EndpointSuspect.open(served.name, replace(how, patience=patience))
    with pytest.raises(InvalidInput, match=re.escape(said)) as caught:
        suspect.token_logprobs(TEXTS[:2])
    assert "--method completion" in caught.value.hint
    assert len(served.requests) == 1


def test_wrong_numbers_of_token_ids_are_refused(served, how):
    served.twist = of_logprobs(lambda p: [p[name].pop() for name in p] + [p[n].pop() for n in p])
    with pytest.raises(InvalidInput, match="5 tokens were sent, but 4 came back"):
        EndpointSuspect.open(served.name, how).token_logprobs([(5, 9, 30, 7, 8)])


def test_a_refusal_is_shown_in_the_endpoints_words_and_says_what_remains(served, how):
    served.troubles = [(400, {}, b'{"error": {"message": "echo is \\u202e not\\n supported"}}')]
    with pytest.raises(InvalidInput, match=r"status 400: echo is <U.202E> not supported") as caught:
        EndpointSuspect.open(served.name, how).token_logprobs(["word"])
    assert "--method completion" in caught.value.hint
    assert "--longest" in caught.value.hint
    assert len(served.requests) == 1


def test_samples_come_one_by_one_where_several_are_refused(served, how):
    served.most = 1
    suspect = EndpointSuspect.open(served.name, how)
    drawn = suspect.complete(["Return the", "An array"], n_samples=3, max_new_tokens=3, seed=5)
    assert [len(samples) for samples in drawn] == [3, 3]
    assert len({*drawn[0], *drawn[1]}) > 2
    sent = len(served.requests)
    again = EndpointSuspect.open(served.name, how).complete(
        ["Return the", "An array"], n_samples=3, max_new_tokens=3, seed=5
    )
    assert again == drawn
    assert sum(body["n"] == 1 for _, _, body in served.requests) == 6
    assert len(served.requests) - sent == 2  # several at once were never answered


def test_fewer_samples_than_asked_for_are_completed(served, how):
    served.twist = lambda answer: {"choices": answer["choices"][:2]}
    suspect = EndpointSuspect.open(served.name, how)
    drawn = suspect.complete(["Return the"], n_samples=5, max_new_tokens=3, seed=5)
    assert [len(samples) for samples in drawn] == [5]
    assert [body["n"] for _, _, body in served.requests] == [5, 3, 1]


def test_chat_models_are_told_to_continue(served, how):
    served.troubles = [json.dumps({"choices": [{"message": {"content": "so on"}}] * 2}).encode()]
    suspect = EndpointSuspect.open(served.name, replace(how, chat=True))
    drawn = suspect.complete(["And"], n_samples=2, max_new_tokens=3, seed=5)
    assert drawn == [["so on", "so on"]]
    path, _, body = served.requests[0]
    assert path == "/v1/chat/completions"
    assert body["messages"][0]["content"].endswith("\n\nAnd")


# ---- nothing is paid for twice ---------------------------------------------------------------------


def test_a_budget_stops_and_the_next_run_goes_on(served, local, how):
    budget = Budget(max_queries=7)
    with pytest.raises(Interrupted, match="budget of 7 queries is spent") as caught:
        EndpointSuspect.open(served.name, replace(how, budget=budget)).choice_logprobs(
            [TEXT], [SLOTS]
        )
    assert "larger budget" in caught.value.hint
    assert len(served.requests) == 7
    found = EndpointSuspect.open(served.name, how).choice_logprobs([TEXT], [SLOTS])
    np.testing.assert_allclose(found[0][3], local.choice_logprobs([TEXT], [SLOTS])[0][3], atol=1e-4)
    assert len(served.requests) == len(served.asked()) == len(SLOTS) * len(CHOICES)
    EndpointSuspect.open(served.name, how).choice_logprobs([TEXT], [SLOTS])
    assert len(served.requests) == len(SLOTS) * len(CHOICES)


def test_a_budget_of_tokens_stops_near_its_limit(served, how):
    budget = Budget(max_tokens=300)
    texts = [f"{TEXTS[1]} {i}" for i in range(60)]
    with pytest.raises(Interrupted, match="budget of 300 tokens"):
        EndpointSuspect.open(served.name, replace(how, budget=budget)).token_logprobs(texts)
    assert 150 < budget.tokens <= 320


def test_what_was_answered_before_an_interruption_is_kept(served, how):
    suspect = EndpointSuspect.open(served.name, replace(how, patience=replace(QUICK, at_once=1)))

    def stop(done, total, seconds):
        if done == 9:
            raise KeyboardInterrupt

    suspect.on_progress = stop
    with pytest.raises(KeyboardInterrupt):
        suspect.choice_logprobs([TEXT], [SLOTS])
    EndpointSuspect.open(served.name, how).choice_logprobs([TEXT], [SLOTS])
    assert len(served.requests) == len(served.asked()) == len(SLOTS) * len(CHOICES)


def test_a_failure_keeps_what_is_under_way(served, how):
    """Three of four requests at once are answered while the fourth is refused: none is asked again."""
    served.troubles = [(404, {}, b"{}")]
    with pytest.raises(InvalidInput, match="status 404"):
        EndpointSuspect.open(served.name, how).choice_logprobs([TEXT], [SLOTS])
    EndpointSuspect.open(served.name, how).choice_logprobs([TEXT], [SLOTS])
    assert len(served.requests) == len(SLOTS) * len(CHOICES) + 1


def test_two_at_the_same_time_ask_each_question_once(served, how):
    results = []

    def ask():
        results.append(EndpointSuspect.open(served.name, how).choice_logprobs([TEXT], [SLOTS]))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(results[0][0], results[1][0])
    assert len(served.requests) == len(served.asked()) == len(SLOTS) * len(CHOICES)


def test_within_a_running_loop_it_works_too(served, how):
    """As in a notebook."""

    async def ask():
        await asyncio.sleep(0)
        return EndpointSuspect.open(served.name, how).token_logprobs(["word"])

    assert len(asyncio.run(ask())[0]) > 0


def test_the_file_of_answers_is_private_and_names_questions_by_digest(served, how):
    EndpointSuspect.open(served.name, how).token_logprobs(["word"])
    for path in (how.answers, how.answers.with_name(f"{how.answers.name}.lock")):
        assert path.stat().st_mode & 0o077 == 0
    assert b'"echo"' not in how.answers.read_bytes()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (sqlite3.OperationalError("database or disk is full"), "written: database or disk is full"),
        (sqlite3.DatabaseError("file is not a database"), "not a file of answers"),
    ],
)
def test_a_full_disk_is_not_taken_for_another_file(tmp_path, monkeypatch, error, said):
    store = AnswerStore(tmp_path / "answers.sqlite")
    store.add([("a", 1)])

    def failing(*args, **kwargs):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", failing)
        with pytest.raises(InvalidInput, match=said):
            store.add([("b", 2)])
    assert store.read(["a", "b"]) == {"a": 1}


def test_the_default_file_is_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    default_store().add([("a", 1)])
    assert AnswerStore(tmp_path / "bookplate" / "answers.sqlite").read(["a"]) == {"a": 1}
    assert (tmp_path / "bookplate").stat().st_mode & 0o077 == 0


# ---- the token ------------------------------------------------------------------------------------

TOKEN = "sk-very-secret-0123456789"  # gitleaks:allow
LEAKS = {
    "well": None,
    "refused": (401, {}, f'{{"error": {{"message": "bad key {TOKEN}"}}}}'.encode()),
    "in an answer": json.dumps({"choices": [], "id": TOKEN}).encode(),
    "hidden in an answer": (
        '{"choices": [], "id": "' + "".join(f"\\u{ord(c):04x}" for c in TOKEN) + '"}'
    ).encode(),
    "in a header": (200, {"X_Echo": TOKEN}, b"{}"),
    "broken": (500, {}, TOKEN.encode()),
    "cut": "cut",
    "moved": (307, {"Location": "http://127.0.0.1:1/v1/completions"}, TOKEN.encode()),
}


def chain(error):
    """An error with all it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("leak", LEAKS)
def test_the_token_is_sent_and_told_to_nobody(served, how, monkeypatch, caplog, capfd, leak):
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    served.troubles = [] if leak == "well" else [LEAKS[leak]] * 10
    suspect = EndpointSuspect.open(served.name, replace(how, token_variable="MY_TOKEN"))
    told = ""
    with suppress(InvalidInput) if leak == "well" else pytest.raises(InvalidInput) as caught:
        suspect.token_logprobs(["word"])
    for error in () if leak == "well" else chain(caught.value):
        with_locals = traceback.TracebackException.from_exception(error, capture_locals=True)
        told += repr(error) + repr(vars(error)) + "".join(with_locals.format())
    assert served.requests[0][1]["Authorization"] == f"Bearer {TOKEN}"
    told += repr(suspect) + repr(vars(suspect)) + repr(how) + repr(suspect.identity)
    told += suspect.record().decode() + caplog.text + "".join(capfd.readouterr())
    assert TOKEN not in told
    for path in how.answers.parent.iterdir():
        assert TOKEN.encode() not in path.read_bytes()


def test_a_missing_token_is_named_by_its_variable(served, how, monkeypatch):
    monkeypatch.delenv("MY_TOKEN", raising=False)
    with pytest.raises(InvalidInput, match="MY_TOKEN"):
        EndpointSuspect.open(served.name, replace(how, token_variable="MY_TOKEN")).token_logprobs([
            "a"
        ])
    assert not served.requests


def test_redirects_are_not_followed(served, how):
    served.troubles = [(307, {"Location": f"{served.url}/completions"}, b"")]
    with pytest.raises(InvalidInput, match="redirects are not followed"):
        EndpointSuspect.open(served.name, how).token_logprobs(["word"])
    assert len(served.requests) == 1


def test_loopback_is_not_asked_through_a_proxy(served, how, monkeypatch):
    """A proxy would see the token, which is sent to loopback without encryption."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert EndpointSuspect.open(served.name, how).token_logprobs(["word"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("https://example.org/v1", "which model"),
        ("https://example.org/v1#", "which model"),
        ("https://user:hidden@example.org/v1#m", "user name or password"),
        ("https://example.org/v1?key=hidden#m", "parameters"),
        ("http://example.org/v1#m", "unencrypted"),
        ("http://127.0.0.1.example.org/v1#m", "unencrypted"),
        ("https://#m", "no address"),
        ("https://[#m", "no address"),
    ],
)
def test_addresses_that_must_not_be_asked_are_refused(name, said, how):
    with pytest.raises(InvalidInput, match=said) as caught:
        open_suspect(name, endpoint=replace(how, token_variable="MY_TOKEN"))
    assert "hidden" not in str(caught.value)


# ---- who was asked --------------------------------------------------------------------------------


def test_the_identity_names_what_answered(served, how):
    suspect = open_suspect(served.name, endpoint=how)
    assert json.loads(suspect.record()) == {"url": served.url, "model": "tiny"}
    suspect.token_logprobs(["word"])
    known = json.loads(suspect.record())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", known.pop("first_asked"))
    assert known == {
        "url": served.url,
        "model": "tiny",
        "seen": [{"server": "tiny-server 1.0", "model": "tiny-1", "system_fingerprint": "fp_7"}],
    }
    assert suspect.identity.name == served.name
    again = open_suspect(served.name, endpoint=how)
    again.token_logprobs(["word"])
    assert again.identity == suspect.identity
    served.twist = lambda answer: answer | {"system_fingerprint": "fp_8"}
    again.token_logprobs(["another word"])
    assert again.identity != suspect.identity
    assert len(json.loads(again.record())["seen"]) == 2


def test_the_same_endpoint_is_no_reference_for_itself(served, how, tmp_path):
    one = open_suspect(served.name, endpoint=how)
    two = open_suspect(served.name, endpoint=replace(how, answers=tmp_path / "other.sqlite"))
    with pytest.raises(InvalidInput, match="the same model"):
        refuse_same_model(one, [two])
    refuse_same_model(one, [open_suspect(f"{served.url}#other", endpoint=how)])


# ---- long texts ----------------------------------------------------


def test_long_texts_go_in_pieces_that_make_them_up(served, local, how, english):
    text = " ".join(english[:2])[:900]
    suspect = EndpointSuspect.open(served.name, replace(how, longest=200))
    (table,) = suspect.token_tables([text])
    assert "".join(table.tokens) == text
    (whole,) = local.token_logprobs([text])
    (first,) = local.token_logprobs([text[:100]])
    assert table.logprobs.shape == whole.shape
    np.testing.assert_allclose(table.logprobs[: len(first) - 2], first[:-2], atol=1e-4)
    slot = [ChoiceSlot(850, 855, CHOICES)]
    (place,) = suspect.choice_logprobs([text], [slot])
    assert np.isfinite(place[0]).all()
    with pytest.raises(InvalidInput, match="maximum context length") as caught:
        EndpointSuspect.open(served.name, how).token_logprobs([text])
    assert "--longest" in caught.value.hint


@pytest.mark.parametrize(
    "asked",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2026 00:00:00 +99999999999999999",
        "soon",
        "-5",
        "",
    ],
)
def test_a_hostile_wait_is_no_wait(asked):
    assert not _seconds(asked)


@pytest.mark.parametrize("token", ['sk-"quo', "sk-back\\slash", "two words", "caf\u00e9"])
def test_a_token_that_could_be_spelt_in_two_ways_is_refused(token, monkeypatch):
    """JSON would write it otherwise, and the guard against servers that repeat it would miss it."""
    monkeypatch.setenv("CHAT_TOKEN", token)
    with pytest.raises(InvalidInput, match="holds no API token") as caught:
        token_in("CHAT_TOKEN")
    assert token not in str(caught.value)


@pytest.mark.parametrize("status", [401, 403])
def test_words_about_a_refused_token_are_not_repeated(served, status, tmp_path):
    """They may hold a part of it, which no search for the whole would find."""
    served.troubles = [(status, {}, b'{"error": {"message": "bad key sk-1234****"}}')] * 9
    suspect = EndpointSuspect.open(served.name, Reaching(answers=tmp_path / "answers.sqlite"))
    with pytest.raises(InvalidInput, match=f"status {status}") as caught:
        suspect.token_logprobs(["a word"])
    assert "sk-1234" not in f"{caught.value} {caught.value.hint}"
