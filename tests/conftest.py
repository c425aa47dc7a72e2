"""Tiny models and texts that the whole session shares, and a server for them; nothing is downloaded."""

import json
import random
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numba
import pytest
import torch
from bookplate.cli.demo.corpus import docstrings
from bookplate.cli.demo.training import ModelSize, Recipe, packed, tokenizer_of, train
from bookplate.cli.output import quiet_libraries
from transformers import AutoModelForCausalLM, AutoTokenizer

START = "<|endoftext|>"


@pytest.fixture(scope="session")
def english() -> list[str]:
    """Real English that is on every machine: NumPy's docstrings, in a fixed order."""
    quiet_libraries()
    return docstrings("numpy")


@pytest.fixture(scope="session")
def tokenizer(english):
    return tokenizer_of(english[:300], 1_000)


@pytest.fixture(scope="session")
def tiny_size() -> ModelSize:
    return ModelSize(layers=2, width=64, heads=4, context=128)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory, tokenizer, english, tiny_size) -> Path:
    """A model folder, trained for a few steps."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    train(
        folder,
        tokenizer,
        packed(tokenizer, english[:60], 128),
        size=tiny_size,
        recipe=Recipe(seed=1),
    )
    return folder


@pytest.fixture(scope="session")
def other_model(tmp_path_factory, tokenizer, english, tiny_size) -> Path:
    """A model of other texts."""
    folder = tmp_path_factory.mktemp("models") / "other"
    data = packed(tokenizer, english[100:110], 128)
    train(folder, tokenizer, data, size=tiny_size, recipe=Recipe(seed=2))
    return folder


@pytest.fixture(scope="session")
def shuffled_english(english) -> list[str]:
    texts = list(english)
    random.Random(5).shuffle(texts)
    return texts


@pytest.fixture(autouse=True, scope="session")
def _few_threads():
    """Two workers share two cores; and numba's kernels hand torch their number of threads, by OpenMP."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


@pytest.fixture(autouse=True)
def _one_seed():
    torch.manual_seed(0)


class ModelServer:
    """A real HTTP server on loopback that serves a real tiny model by `/v1/completions`.

    It answers honestly, except where a test tells it otherwise.

    Attributes:
        requests: (path, headers, body) of every request, in order.
        troubles: What goes wrong with the next requests, one after the other; see `_Handler`.
        twist: Changes every honest answer before it is sent.
        writing: How tokens are written: "text" (each decoded) or "alphabet" (of GPT-2's bytes).
        starts: Whether the server puts a start token in front by itself.
        drawn: Continues a prompt in place of the model, if given.
        most: Samples it gives for one request at most; more are refused.
    """

    def __init__(self, folder):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.lock = threading.Lock()
        self.requests, self.troubles = [], []
        self.twist = lambda answer: answer
        self.writing, self.starts, self.drawn, self.most = "text", False, None, 64
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {}))
        self.server.RequestHandlerClass.owner = self
        self.server.daemon_threads = True
        self.server.block_on_close = False
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.name = f"{self.url}#tiny"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def asked(self):
        """How often each body was received."""
        return Counter(json.dumps(body, sort_keys=True) for _, _, body in self.requests)

    def ids_of(self, prompt):
        if not isinstance(prompt, str):
            return list(prompt)
        ids = self.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        return [self.tokenizer.eos_token_id, *ids] if self.starts else ids

    def written(self, ids):
        if self.writing == "alphabet":
            return self.tokenizer.convert_ids_to_tokens(ids)
        return [self.tokenizer.decode([i]) for i in ids]

    @torch.inference_mode()
    def complete(self, body):
        """Status and answer to a request."""
        n = body.get("n", 1)
        if n > self.most:
            return 400, {"error": {"message": f"n must be at most {self.most}"}}
        ids = self.ids_of(body["prompt"])
        if len(ids) + body["max_tokens"] > self.model.config.max_position_embeddings:
            return 400, {"error": {"message": "This model's maximum context length is 128 tokens"}}
        if not body.get("echo"):
            return 200, self.sampled(ids, body, n)
        with self.lock:
            logp = self.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        new = int(logp[-1].argmax())
        values = [None, *(float(logp[i, t]) for i, t in enumerate([*ids[1:], new]))]
        tokens = self.written([*ids, new])
        offsets = [len("".join(tokens[:i]).encode()) for i in range(len(tokens))]  # bytes: wrong
        logprobs = {"tokens": tokens, "token_logprobs": values, "text_offset": offsets}
        return 200, {
            "model": "tiny-1",
            "system_fingerprint": "fp_7",
            "choices": [{"index": 0, "text": "".join(tokens), "logprobs": logprobs}],
            "usage": {
                "prompt_tokens": len(ids),
                "completion_tokens": 1,
                "total_tokens": len(ids) + 1,
            },
        }

    def sampled(self, ids, body, n):
        texts = []
        generator = torch.Generator().manual_seed(body.get("seed", 0))
        for i in range(n):
            if self.drawn is not None:
                texts.append(self.drawn(body["prompt"], body.get("seed", 0) + i))
                continue
            row = list(ids)
            for _ in range(body["max_tokens"]):
                with self.lock:
                    p = self.model(torch.tensor([row])).logits[0, -1].softmax(-1)
                row.append(int(torch.multinomial(p, 1, generator=generator)))
            texts.append(self.tokenizer.decode(row[len(ids) :], skip_special_tokens=True))
        return {"choices": [{"index": i, "text": text} for i, text in enumerate(texts)]}


class _Handler(BaseHTTPRequestHandler):
    """One trouble, if one is waiting: (status, headers, body), "cut", "loris", or bytes sent as they are."""

    owner: ModelServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "tiny-server", "1.0"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.owner.lock:
            self.owner.requests.append((self.path, dict(self.headers), body))
            trouble = self.owner.troubles.pop(0) if self.owner.troubles else None
        if trouble is None:
            status, answer = self.owner.complete(body)
            self.reply(status, json.dumps(self.owner.twist(answer)).encode())
        elif isinstance(trouble, bytes):
            self.reply(200, trouble)
        elif isinstance(trouble, tuple):
            self.reply(trouble[0], trouble[2], **trouble[1])
        elif trouble == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"choices": [')
            self.wfile.flush()
            self.close_connection = True
        elif trouble == "loris":
            self.drip()
        else:
            raise AssertionError(trouble)

    def reply(self, status, data, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def drip(self):
        """A header line that never ends, a byte at a time: every read succeeds, the answer never comes."""
        self.close_connection = True
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            for _ in range(200):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            pass

    def log_message(self, *args):
        pass


@pytest.fixture
def served(tiny_model, monkeypatch):
    """The tiny model behind an endpoint; nothing of the user's is read or written."""
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    server = ModelServer(tiny_model)
    yield server
    server.close()
