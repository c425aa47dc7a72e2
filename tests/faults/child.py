"""Runs commands of Bookplate in which one thing goes wrong at one moment.

It imports everything once, reads requests from standard input, a line of JSON each, and answers with lines:
`{"plan", "words", "folder", "user", "out", "err"}` forks a process that runs the command, and is answered by
its number; `{"wait"}` waits for a process, and is answered by how it ended.

A plan says what goes wrong when. A moment is a number: so many files of the working folder were opened,
made, renamed or removed before. It is the same in every run, so that a failure can be repeated.
"""

import atexit
import datetime
import faulthandler
import gc
import importlib
import json
import os
import pkgutil
import resource
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path

_EVENTS = {
    "open", "os.chmod", "os.link", "os.listdir", "os.mkdir", "os.remove", "os.rename", "os.rmdir",
    "os.scandir", "os.truncate", "sqlite3.connect",
}  # fmt: skip


class Moments:
    """Counts what happens to files below a folder, and does one thing at one of these moments."""

    def __init__(self, plan):
        self.plan, self.count, self.below = plan, 0, f"{Path.cwd()}/"
        if "tell" in plan:
            atexit.register(lambda: Path(plan["tell"]).write_text(str(self.count)))
        sys.addaudithook(self.see)

    def see(self, event, arguments):
        if event in _EVENTS and self.is_here(arguments[0]):
            self.count += 1
            if self.count == self.plan.get("at"):
                happen(self.plan)

    def is_here(self, path):
        return isinstance(path, str | bytes | os.PathLike) and os.path.abspath(
            os.fsdecode(path)
        ).startswith(self.below)


def happen(plan):
    """What the plan says."""
    do = plan["do"]
    if do in {"kill", "stop", "term"}:
        # The parent alone, as a supervisor does.
        os.kill(os.getpid(), getattr(signal, f"SIG{do.upper()}"))
    elif do == "int":
        os.killpg(0, signal.SIGINT)  # the whole group, as a terminal does
    elif do == "memory":
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + plan["spare"], resource.RLIM_INFINITY))
    elif do == "unlink":
        os.unlink(plan["path"])
    elif do == "truncate":
        os.truncate(plan["path"], os.path.getsize(plan["path"]) // 2)
    elif do == "replace":
        os.replace(plan["by"], plan["path"])
    else:
        raise AssertionError(do)


def set_clock(seconds, moments):
    """A wall clock that is set forward or back once, at the moment of the plan."""
    true_time, true = time.time, datetime.datetime

    def offset():
        return seconds if moments.count >= moments.plan["set_at"] else 0

    class Jumping(true):
        @classmethod
        def now(cls, tz=None):
            return true.now(tz) + datetime.timedelta(seconds=offset())

    for module in list(sys.modules.values()):
        if module.__name__.startswith("bookplate") and vars(module).get("datetime") is true:
            module.datetime = Jumping
    time.time = lambda: true_time() + offset()
    time.time_ns = lambda: int(time.time() * 1e9)


STEPS = 20


def batch(step):
    """What the model gets in a step: sequences of their own, so that a transcript shows what is missing."""
    import torch

    return torch.tensor([[step, row, 7 * step % 50, row + 1] for row in range(3)])


def train(folder):
    """A training loop with checkpoints, taken up where the last one left it; its order is that of `batch`."""
    import torch
    from bookplate.provenance.palimpsest.recording import Recorder

    checkpoint = Path("checkpoint.json")
    held = json.loads(checkpoint.read_text()) if checkpoint.exists() else {"step": 0, "of": None}
    model = torch.nn.Embedding(64, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Recorder(folder, seed=5) as recorder:
        recorder.start(held["step"], checkpoint=held["of"])
        recorder.follow(optimizer)
        for step in range(held["step"], STEPS):
            for ids in recorder.wrap([batch(step)]):
                model(ids).sum().backward()
            optimizer.step()
            if step % 4 == 3:
                recorder.flush()
                staged = Path("checkpoint.new")
                staged.write_text(json.dumps({"step": step + 1, "of": recorder.state_dict()}))
                staged.replace(checkpoint)
        recorder.end()


def train_and_tell(folder):
    """As a careful user's program would: an error is one line, and the exit code says so."""
    from bookplate.errors import BookplateError, ran_out_of

    try:
        train(folder)
    except Exception as error:
        if not isinstance(error, BookplateError | OSError) and not ran_out_of(error):
            raise
        sys.stderr.write(f"error: {error}; {getattr(error, 'hint', '')}\n")
        sys.exit(2)


def run(plan, words):
    """One command, in a process of its own."""
    from bookplate.cli import main

    sys.argv = ["bookplate", *words]
    faulthandler.register(signal.SIGUSR1)  # where a process hangs
    moments = Moments(plan)
    if "clock" in plan:
        set_clock(plan["clock"], moments)
    if words[0] == "train":
        train_and_tell(Path(words[1]))
    else:
        main()


def become(request):
    """What a process has that is started anew: a session, a folder, a user, streams of its own."""
    os.setsid()
    os.chdir(request["folder"])
    for stream, name in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(handle, stream)
        os.close(handle)
    sys.stdin = open(0)
    if (user := request["user"]) is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)


def warm():
    """Import what commands import, so that each of them need not."""
    import transformers

    for part in ("stats", "provenance", "watermark", "cli"):
        package = importlib.import_module(f"bookplate.{part}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            with suppress(ImportError):  # of extras
                importlib.import_module(module.name)
    for name in ("AutoModelForCausalLM", "AutoTokenizer", "GPTNeoXForCausalLM"):
        getattr(transformers, name)
    "".encode("utf-16be")  # another user may not be let into the folders of this Python


def say(answer):
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()


def serve():
    """Answer requests until there are no more; in a process that was forked, the request."""
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                become(request)
                return request
        say(answer)
    return None


def ended(work):
    """Run something as the whole of a process, without the seconds that taking everything apart costs."""
    code = 0
    try:
        work()
    except SystemExit as done:
        code = done.code or 0
    except BaseException as error:  # ruff: ignore[blind-except] - as the interpreter itself would
        traceback.print_exc()
        code = 130 if isinstance(error, KeyboardInterrupt) else 1
    with suppress(BaseException):
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    warm()
    gc.freeze()
    say("ready")
    if (asked := serve()) is not None:
        ended(lambda: run(asked["plan"], asked["words"]))
