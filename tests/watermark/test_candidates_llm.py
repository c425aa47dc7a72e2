"""The chat endpoint as a source: a hostile server, answers that are kept, a token told to nobody."""

import asyncio
import json
import logging
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest
from bookplate.errors import InvalidInput
from bookplate.provenance.suspect.endpoint import http_client
from bookplate.provenance.suspect.endpoint.answers import AnswerStore
from bookplate.watermark.candidates.llm import LlmSource
from bookplate.watermark.selection import Budget

# Groups of like inflection; every word may stand for every other of its group.
GROUPS = [
    ["rapid", "quick", "swift"],
    ["rapidly", "quickly", "swiftly"],
    ["garden", "meadow", "orchard"],
    ["valiant", "brave"],
    ["murmured", "whispered", "muttered"],
]
WORDS = [word for group in GROUPS for word in group]
TEXTS = [
    "The quick fox and the brave hound murmured in the garden. They were swift.",
    "She whispered quickly. A brave man has a rapid horse in the meadow.",
    "Quick steps are brave steps, he murmured swiftly in the orchard!\n\nBrave, quick, rapid.",
    "",
    "Nothing of it is here.",
]


@pytest.fixture
def answers(tmp_path):
    return tmp_path / "answers.sqlite"


TOKEN = "sk-very-secret-0123456789"  # gitleaks:allow


class FakeEndpoint:
    """Answers with what the test put into `replies`, the last one for ever."""

    def __init__(self):
        self.requests = []
        self.replies = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.requests.append((self.path, dict(self.headers), body))
                reply = (
                    endpoint.replies.pop(0) if len(endpoint.replies) > 1 else endpoint.replies[0]
                )
                status, headers, data = reply(body) if callable(reply) else reply
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


@pytest.fixture
def endpoint(monkeypatch):
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    waits = []

    async def note(stop, seconds):
        waits.extend([seconds] if seconds > 0 else [])
        await asyncio.sleep(0)
        return stop.is_set()

    monkeypatch.setattr(http_client, "_stopped_within", note)
    fake = FakeEndpoint()
    fake.waits = waits
    yield fake
    fake.server.shutdown()
    fake.server.server_close()


def chat(content):
    return 200, {}, json.dumps({"choices": [{"message": {"content": content}}]}).encode()


def helpful(body):
    """Answers as asked: for each marked word its group, and much that must be filtered."""
    prompt = body["messages"][0]["content"].split("\n\n", 1)[1]
    lists = {}
    for line in prompt.splitlines():
        number, sentence = line.split(". ", 1)
        word = sentence.split("⟦")[1].split("⟧")[0].lower()
        group = next((g for g in GROUPS if word in g), [word])
        lists[number] = [*(w for w in group if w != word), word, "the", "two words", "<b>", 7, None]
    return chat(f"Here you are:\n```json\n{json.dumps(lists)}\n```")


def test_the_chat_model_proposes_and_the_filters_decide(endpoint, answers):
    endpoint.replies = [helpful]
    source = LlmSource(endpoint.url, "m", budget=Budget(per_sentence=None), answers=answers)
    found = source.slots(TEXTS)
    words = {s.word: {c.lower() for c in s.choices} for text in found for s in text}
    assert words["quick"] == {"quick", "rapid", "swift"}
    assert words["murmured"] == {"murmured", "whispered", "muttered"}
    assert all(choices <= {*WORDS} for choices in words.values())
    path, headers, body = endpoint.requests[0]
    assert path == "/v1/chat/completions"
    assert "Authorization" not in headers
    assert body["temperature"] == 0
    assert source.identity.settings["model"] == "m"
    assert source.slots([]) == []


def test_many_places_are_asked_about_in_few_requests_and_equal_ones_once(endpoint, answers):
    endpoint.replies = [helpful]
    texts = [f"Number {'i' * n} is quick." for n in range(1, 51)] * 2
    found = LlmSource(endpoint.url, "m", answers=answers).slots(texts)
    assert 3 <= len(endpoint.requests) <= 8
    assert [len(slots) for slots in found] == [1] * 100


def test_an_endpoint_that_is_busy_or_answers_badly_is_asked_again(endpoint, answers):
    bad = [
        (429, {"Retry-After": "7"}, b""),
        (503, {}, b"busy"),
        chat("I'd rather not."),
        chat('{"1": "rapid"}'),
        chat("[" * 100_000 + "{}"),
        (200, {}, b"not json"),
        (200, {}, b'{"choices": []}'),
        (200, {}, b'{"choices": [{"message": {"content": null}}]}'),
        (200, {}, b"x" * (2 << 20)),
    ]
    endpoint.replies = [*bad, helpful]
    source = LlmSource(endpoint.url, "m", retries=len(bad), answers=answers)
    assert [s.word for s in source.slots(["He is quick."])[0]] == ["quick"]
    assert len(endpoint.requests) == len(bad) + 1
    assert endpoint.waits[0] >= 7
    assert all(
        b >= a for a, b in pairwise(endpoint.waits[4:])
    )  # by then longer than what was asked for
    assert max(endpoint.waits) <= 60


def test_an_endpoint_that_never_answers_well_is_refused(endpoint, answers):
    endpoint.replies = [chat("no")]
    with pytest.raises(InvalidInput, match="no usable answer after 3 tries") as caught:
        LlmSource(endpoint.url, "m", retries=2, answers=answers).slots(["He is quick."])
    assert caught.value.hint


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "token"), (403, "token"), (404, "model's name"), (302, "address")]
)
def test_a_refusal_is_not_tried_again(status, hint, endpoint, answers):
    endpoint.replies = [(status, {"Location": "http://127.0.0.1:1/"}, b"{}")]
    with pytest.raises(InvalidInput, match=str(status)) as caught:
        LlmSource(endpoint.url, "m", answers=answers).slots(["He is quick."])
    assert hint in caught.value.hint
    assert len(endpoint.requests) == 1


def test_an_endpoint_that_is_down_or_slow_is_refused(endpoint, answers):
    def slowly(body):
        threading.Event().wait(1.0)
        return helpful(body)

    endpoint.replies = [slowly]
    with pytest.raises(InvalidInput, match="no whole answer within"):
        LlmSource(endpoint.url, "m", timeout=0.1, retries=1, answers=answers).slots([
            "He is quick."
        ])
    with pytest.raises(InvalidInput, match="ConnectError"):
        LlmSource("http://127.0.0.1:1/v1", "m", retries=1, answers=answers).slots(["He is quick."])


@pytest.mark.parametrize(
    "reply", [(401, {}, TOKEN.encode()), (500, {}, TOKEN.encode()), chat(TOKEN), None]
)
def test_the_token_is_sent_and_told_to_nobody(reply, endpoint, monkeypatch, caplog, capfd, answers):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("CHAT_TOKEN", TOKEN)
    endpoint.replies = [reply]
    url = endpoint.url if reply else "http://127.0.0.1:1/v1"
    source = LlmSource(url, "m", token_variable="CHAT_TOKEN", retries=1, answers=answers)
    with pytest.raises(InvalidInput) as caught:
        source.slots(["He is quick."])
    if reply:
        assert endpoint.requests[0][1]["Authorization"] == f"Bearer {TOKEN}"
    told = "".join(traceback.format_exception(caught.value)) + caught.value.hint + caplog.text
    told += str(source.identity.as_dict()) + repr(vars(source)) + "".join(capfd.readouterr())
    assert TOKEN not in told


@pytest.mark.parametrize("token", [None, "", "  ", "a\nb", "sécret"])
def test_a_missing_or_malformed_token_is_refused_by_the_variables_name(
    token, endpoint, monkeypatch, answers
):
    monkeypatch.delenv("CHAT_TOKEN", raising=False)
    if token is not None:
        monkeypatch.setenv("CHAT_TOKEN", token)
    endpoint.replies = [helpful]
    with pytest.raises(InvalidInput, match="CHAT_TOKEN") as caught:
        LlmSource(endpoint.url, "m", token_variable="CHAT_TOKEN", answers=answers).slots([
            "He is quick."
        ])
    assert not token or token not in str(caught.value)
    assert not endpoint.requests


@pytest.mark.parametrize(
    "url",
    [
        "", "example.org", "ftp://example.org", "https://", "https://user:pass@example.org/v1", "https://[",
        "https://example.org:99999/v1", "https://example.org/v1?key=1",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(url, answers):
    with pytest.raises(InvalidInput) as caught:
        LlmSource(url, "m", answers=answers)
    assert "pass" not in str(caught.value).replace("password", "")


def test_a_token_is_not_sent_unencrypted_over_a_network(answers):
    with pytest.raises(InvalidInput, match="unencrypted"):
        LlmSource("http://example.org/v1", "m", token_variable="CHAT_TOKEN", answers=answers)
    LlmSource("https://example.org/v1", "m", token_variable="CHAT_TOKEN", answers=answers)


@pytest.mark.parametrize("limits", [{"most": 0}, {"retries": -1}, {"timeout": 0}])
def test_chat_limits_that_make_no_sense_are_refused(limits, answers):
    with pytest.raises(InvalidInput, match="expected"):
        LlmSource("https://example.org/v1", "m", **limits, answers=answers)


def test_answers_are_kept_for_equal_texts_later_runs_and_other_processes(endpoint, answers):
    """The endpoint names one word the first time and another ever after."""
    endpoint.replies = [chat('{"1": ["rapid"]}'), chat('{"1": ["swift"]}')]
    text = "He is quick."
    first = LlmSource(endpoint.url, "m", answers=answers).slots([text])
    again = LlmSource(endpoint.url, "m", answers=answers).slots([text])
    assert first == again
    assert {c for slots in first for s in slots for c in s.choices} == {"quick", "rapid"}
    assert len(endpoint.requests) == 1
    assert answers.stat().st_mode & 0o077 == 0
    LlmSource(endpoint.url, "other", answers=answers).slots([text])
    assert len(endpoint.requests) == 2


def test_of_two_answers_the_first_stays(answers):
    kept = AnswerStore(answers)
    assert kept.read(["a"]) == {}
    kept.add([("a", ["one"])])
    AnswerStore(answers).add([("a", ["two"]), ("b", [])])
    assert kept.read(["a", "b", "c"]) == {"a": ["one"], "b": []}


@pytest.mark.parametrize("broken", ["folder", "text", "nowhere"])
def test_a_file_that_cannot_keep_answers_is_refused(broken, endpoint, tmp_path):
    path = tmp_path / "answers.sqlite"
    if broken == "folder":
        path.mkdir()
    elif broken == "text":
        path.write_text("not a data base, but long enough to be looked at as one" * 40)
    else:
        path = tmp_path / "nowhere" / "answers.sqlite"
    endpoint.replies = [helpful]
    with pytest.raises(InvalidInput, match="answers"):
        LlmSource(endpoint.url, "m", answers=path).slots(["He is quick."])
