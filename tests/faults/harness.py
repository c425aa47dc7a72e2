"""Starting commands in which something goes wrong, and what must hold afterwards, whatever it was."""

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

SEED = "FAULTS_SEED"
CHILD = Path(__file__).with_name("child.py")
PATIENCE = 120  # seconds


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def errors(self):
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


class Ground:
    """A folder to work in, with a copy of the inputs of a case, and a place beside it for all else.

    Attributes:
        case: The case; see `cases`.
        folder: Where its commands run.
    """

    def __init__(self, case, folder, nursery):
        self.case, self.folder, self.nursery = case, folder, nursery
        folder.mkdir(exist_ok=True)
        shutil.copytree(case.template, folder, dirs_exist_ok=True)

    def start(self, *words, user=None, **plan):
        """A command, the case's own if none is named; gives the number of its process."""
        return self.nursery.start(self.folder, words or self.case.command, plan, user)

    def run(self, *words, user=None, **plan):
        return self.ended(self.start(*words, user=user, **plan))

    def ended(self, process, **patience):
        """Wait for a command; nobody of its session outlives it for long."""
        ended = self.nursery.ended(process, **patience)
        note(f"{self.case.name}: exit code {ended.code}: {ended.err.strip()[-300:]}")
        return ended

    def refuse_partial(self):
        """Nothing under a final name that is not whole."""
        if any(os.path.lexists(self.folder / name) for name in self.case.finals):
            assert self.case.product(self.folder) == self.case.reference

    def complete(self, **plan):
        """Run the same command to its end: what an undisturbed run makes comes out, and no leftovers."""
        ended = self.run(**plan)
        if ended.code:
            # It was stopped after its end. What it needed no longer may be left, marked as such, or empty.
            assert "already" in one_clear_line(ended, 2)
            for left in map(Path, leftovers(self.folder)):
                assert (left / "finished").exists() or not any(left.iterdir())
        self.finish()
        assert self.case.product(self.folder) == self.case.reference
        if ended.code == 0:
            assert not leftovers(self.folder), "unfinished work was left behind"

    def finish(self):
        for command in self.case.finish:
            ended = self.run(*command)
            assert ended.code == 0, ended.err


class Nursery:
    """Where processes come from; see `child`.

    Attributes:
        aside: Home of every process, where other libraries keep things, and of what processes say.
    """

    def __init__(self, aside):
        self.aside = aside
        self._names = itertools.count()
        self._said = {}
        self._server = subprocess.Popen(
            [sys.executable, CHILD], env=environment(aside), text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._answer() == "ready"

    def start(self, folder, words, plan, user=None):
        stem = self.aside / f"said-{next(self._names)}"
        said = [stem.with_suffix(ending) for ending in (".out", ".err")]
        for path in said:  # it may be killed before it makes them
            path.touch()
            path.chmod(0o666)
        process = int(
            self._ask(
                plan=plan,
                words=words,
                folder=str(folder),
                user=user,
                out=str(said[0]),
                err=str(said[1]),
            )
        )
        self._said[process] = said
        return process

    def ended(self, process, seconds=PATIENCE, *, may_hang=False):
        late = []
        killer = threading.Timer(seconds, give_up, [process, late])
        killer.start()
        code = int(self._ask(wait=process))
        killer.cancel()
        out, err = (path.read_text(errors="replace") for path in self._said.pop(process))
        assert may_hang or not late, f"did not end: {out[-500:]} {err[-2000:]}"
        refuse_orphans(process)
        return Ended(code, out, err)

    def close(self):
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()

    def _ask(self, **request):
        self._server.stdin.write(json.dumps(request) + "\n")
        return self._answer()

    def _answer(self):
        return self._server.stdout.readline().strip()


def give_up(process, late):
    late.append(process)
    os.kill(process, signal.SIGUSR1)  # to say where it hangs
    time.sleep(1)
    os.killpg(process, signal.SIGKILL)


def refuse_orphans(session):
    until = time.monotonic() + 20
    while left := in_session(session):
        if time.monotonic() > until:
            for orphan in left:
                os.kill(orphan, signal.SIGKILL)
            raise AssertionError(f"orphans: {left}")
        time.sleep(0.01)


def environment(aside):
    """Nothing of the user's is read or written, and every run computes alike."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
    home = {name: str(aside) for name in ("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", "HF_HOME")}
    one = ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {**kept, **home, **dict.fromkeys(one, "1"), "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}


def in_session(number):
    """Processes of a session that are alive."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == number and state not in "ZX":
            found.append(int(entry.name))
    return found


def state(process):
    """Its letter in /proc: T if it stands still, Z if it has ended."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def leftovers(folder):
    return [str(path) for path in folder.rglob(".bookplate-unfinished-*")]


def staged(folder):
    """Temporary names of ours, other than work that can be taken up."""
    return [p for p in map(str, folder.rglob(".bookplate-*")) if ".bookplate-unfinished-" not in p]


def draws(*what):
    """Random numbers of a test, the same for the same seed."""
    seed = os.environ[SEED]
    note(f"{SEED}={seed}, {', '.join(map(str, what))}")
    return random.Random("/".join([seed, *map(str, what)]))


def note(text):
    """What pytest shows of a test that failed."""
    sys.stdout.write(f"{text}\n")


def one_clear_line(ended, *codes):
    assert ended.code in codes, ended.err[-3000:]
    assert "Traceback" not in ended.err, ended.err[-3000:]
    assert "this is a bug" not in ended.err, ended.err[-3000:]
    assert len(ended.errors) == 1, ended.err[-3000:]
    return ended.errors[0]
