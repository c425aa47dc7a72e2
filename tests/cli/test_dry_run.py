"""--dry-run: as many requests as a real run then sends, nothing sent or written before."""

import json
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import polars as pl
import pytest

START = "<|endoftext|>"


@pytest.fixture
def folder(tmp_path, english, key, run):
    """Texts of several kinds, and a marked release."""
    texts = list({text[:25]: text[:100] for text in english}.values())
    pl.DataFrame({"text": texts[:20]}).write_csv(tmp_path / "texts.csv")
    pl.DataFrame({"text": texts[20:40]}).write_csv(tmp_path / "others.csv")
    order = list(range(32))
    random.Random(1).shuffle(order)
    pl.DataFrame({"step": order, "text": texts[40:72]}).write_parquet(tmp_path / "order.parquet")
    pl.DataFrame({"text": [text[:200] for text in english[:12]]}).write_ndjson(
        tmp_path / "docs.jsonl"
    )
    code, _, err = run("watermark", "embed", "docs.jsonl", "marked", "--key", key)
    assert code == 0, err
    return tmp_path


MANIFEST = "marked/private/manifest.parquet"
COMMANDS = {
    "detect": ["watermark", "detect", MANIFEST],
    "completion": ["watermark", "detect", MANIFEST, "--method", "completion", "--samples", "3"],
    "query": ["palimpsest", "query", "order.parquet", "--covariate", "none"],
    "long texts in pieces": ["palimpsest", "query", "order.parquet", "--longest", "80"],
    "score": ["membership", "score", "texts.csv"],
    "neighbours": [
        "membership",
        "score",
        "texts.csv",
        "--score",
        "neighbourhood",
        "--neighbours",
        "2",
    ],
    "inference": ["membership", "score", "texts.csv", "--held-out", "others.csv", "--force"],
    "record": ["membership", "record", "questions.parquet", "answers.parquet"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_the_count_is_what_a_real_run_sends(run, folder, served, command):
    if "questions.parquet" in command:
        assert run("membership", "questions", "texts.csv", "questions.parquet")[0] == 0
    asked = [*command, "--suspect", served.name, "--answers", "a.sqlite", "--start", START]
    before = sorted(folder.rglob("*"))
    code, out, err = run(*asked, "--dry-run", "--json")
    assert code == 0, err
    foreseen = json.loads(out)
    assert served.requests == []
    assert sorted(folder.rglob("*")) == before
    run(*asked)
    assert foreseen["requests"] == len(served.requests) > 0
    (model,) = foreseen["endpoints"]
    sent = [body["prompt"] for _, _, body in served.requests]
    assert model["characters"] == sum(map(len, sent))
    drawn = [body["max_tokens"] * body.get("n", 1) for _, _, body in served.requests]
    assert model["generated"] == sum(drawn)
    # What was answered is kept: nothing is left to be sent.
    again = json.loads(run(*asked, "--dry-run", "--json")[1])
    assert again["requests"] == 0
    assert again["endpoints"][0]["kept"] > 0


@pytest.fixture
def chat(monkeypatch):
    """A chat endpoint that names no words; it keeps what it was sent."""

    class Handler(BaseHTTPRequestHandler):
        sent = []  # ruff: ignore[mutable-class-default]  one for each test, as the class is

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.sent.append(body)
            content = json.dumps({str(i): [] for i in range(1, 21)})
            data = json.dumps({"choices": [{"message": {"content": content}}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", Handler.sent
    server.shutdown()
    server.server_close()


def test_marking_with_a_chat_model_can_be_counted_first(run, folder, chat, key, english):
    url, sent = chat
    pl.DataFrame({"text": [text[:1_500] for text in english[:9]]}).write_ndjson(
        folder / "long.jsonl"
    )
    asked = ["watermark", "embed", "long.jsonl", "out", "--key", key, "--candidates", "llm"]
    asked += ["--url", url, "--model", "m", "--answers", "a.sqlite"]
    before = sorted(folder.rglob("*"))
    code, out, err = run(*asked, "--dry-run", "--json")
    assert code == 0, err
    assert (sent, sorted(folder.rglob("*"))) == ([], before)
    run(*asked)
    assert json.loads(out)["requests"] == len(sent) > 1
    told = sum(len(message["content"]) for body in sent for message in body["messages"])
    assert json.loads(out)["endpoints"][0]["characters"] == told
    code, _, err = run(*asked[:6], "--dry-run")
    assert code == 2
    assert "counts the requests of --candidates llm" in err


def test_people_are_told_too_and_of_limits(run, folder, served):
    asked = ["--suspect", served.name, "--answers", "a.sqlite", "--max-queries", "2", "--dry-run"]
    code, out, err = run("membership", "score", "texts.csv", *asked)
    assert code == 0
    assert f"{served.name}  " in out
    assert " requests, about " in out
    assert "--max-queries 2 would stop it" in err
    assert "Nothing was sent" in err


def test_weights_are_not_loaded(run, folder, served, tiny_model, monkeypatch):
    def load(*args, **options):
        raise AssertionError("weights are loaded")

    monkeypatch.setattr("bookplate.provenance.suspect.local.suspect.load", load)
    asked = ["--suspect", served.name, "--reference", tiny_model, "--answers", "a.sqlite"]
    code, out, err = run(*COMMANDS["detect"], *asked, "--dry-run", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["scored_here"] == [str(tiny_model)]
    assert [model["name"] for model in found["endpoints"]] == [served.name]


def test_what_a_real_run_refuses_a_dry_one_does(run, folder, served):
    for asked in (
        ["--suspect", "nowhere"],
        ["--suspect", served.url],
        ["--reference", "no/thing/x"],
    ):
        suspect = [] if "--suspect" in asked else ["--suspect", served.name]
        code, _, err = run(*COMMANDS["detect"], *asked, *suspect, "--dry-run")
        assert code == 2, err
