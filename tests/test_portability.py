"""What would differ between machines: encodings, POSIX-only names, syntax that newer Pythons warn of."""

import ast
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("stats", "provenance", "watermark", "cli")
MODULES = sorted([
    *ROOT.glob("*.py"),
    *(path for part in PARTS for path in (ROOT / part).rglob("*.py")),
])
POSIX_MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "pty", "tty", "syslog", "posix"}
POSIX_NAMES = {
    "os": {
        *("fork", "geteuid", "getuid", "getgid", "setsid", "killpg", "mkfifo", "chown", "fchown"),
        *("sysconf", "getloadavg", "sched_getaffinity", "statvfs", "nice", "O_CLOEXEC"),
        *("O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK", "WNOHANG"),
    },
    "signal": {
        *("SIGKILL", "SIGALRM", "alarm", "setitimer", "SIGHUP", "SIGUSR1", "SIGCHLD"),
        *("pthread_sigmask", "SIGXFSZ", "SIGPIPE"),
    },
}
# Where such names may stand: all of it runs only after `files.file_locks` has refused Windows.
GUARDED = {
    "files.py",
    "cli/audit/keeping.py",
    "provenance/custody/log.py",
    "provenance/suspect/endpoint/answers.py",
    "provenance/suspect/recorded/recording.py",
    "watermark/piecework.py",
}


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def without_encoding(tree):
    """Lines that read or write text in whatever encoding the machine prefers."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = getattr(called, "id", getattr(called, "attr", ""))
        named = {keyword.arg for keyword in node.keywords}
        owner = getattr(getattr(called, "value", None), "id", "")
        if name in {"read_text", "write_text"} and "encoding" not in named:
            yield node.lineno
        elif name == "open" and owner != "os" and "encoding" not in named:
            texts = [a.value for a in node.args if isinstance(a, ast.Constant)]
            modes = [
                text for text in texts if isinstance(text, str) and set(text) <= set("rwxabt+")
            ]
            is_file = isinstance(called, ast.Name) or modes or not (node.args or node.keywords)
            if is_file and not any("b" in mode for mode in modes):
                yield node.lineno


def posix_only(tree):
    """(line, name) of what Windows does not have; modules in a `try` are guarded."""
    tried = {id(n) for t in ast.walk(tree) if isinstance(t, ast.Try) for n in ast.walk(t)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in tried:
            modules = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            yield from ((node.lineno, module) for module in modules & POSIX_MODULES)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = node.value.id
            if node.attr in POSIX_NAMES.get(owner, ()):
                yield node.lineno, f"{owner}.{node.attr}"


# An entry of an archive is opened in binary, whatever its mode says.
NO_FILES = {"provenance/bundle/sealing.py": 1}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_text_has_an_encoding_and_posix_is_guarded(path):
    tree = ast.parse(path.read_bytes())
    assert len(list(without_encoding(tree))) == NO_FILES.get(name_of(path), 0)
    found = list(posix_only(tree))
    if name_of(path) in GUARDED:
        assert all(name.partition(".")[0] in POSIX_NAMES for _, name in found)
    else:
        assert found == []


def test_the_rules_would_notice():
    bad = (
        "import fcntl\ndef f(p):\n    p.read_text()\n    open('x')\n    p.open()\n    p.open('w')\n"
    )
    bad += "    os.fork()"
    assert sorted(without_encoding(ast.parse(bad))) == [3, 4, 5, 6]
    assert sorted(posix_only(ast.parse(bad))) == [(1, "fcntl"), (7, "os.fork")]
    good = "p.read_text(encoding='utf-8')\nopen('x', 'rb')\np.open('wb')\nos.open(p, 1)\n"
    good += "try:\n    import fcntl\nexcept ImportError:\n    pass"
    assert list(without_encoding(ast.parse(good))) == []
    assert list(posix_only(ast.parse(good))) == []


def test_nothing_is_compiled_with_a_warning():
    """Newer Pythons turn some of these into errors, such as unknown escapes in strings."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in MODULES:
            compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        with pytest.raises(SyntaxError):
            compile("'\\d'", "bad", "exec")


def test_a_system_without_locks_is_told_so(monkeypatch):
    import sys

    from bookplate.errors import InvalidInput
    from bookplate.files import file_locks

    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(InvalidInput, match="locks of files"):
        file_locks()
