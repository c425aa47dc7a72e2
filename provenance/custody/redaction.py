"""Command lines without what must stay secret, to be written where others read."""

import re
from collections.abc import Sequence

__all__ = ["REDACTED", "redact", "redacted_text"]

REDACTED = "<redacted>"

_SECRET_WORDS = {
    *("token", "secret", "password", "passwd", "passphrase", "pass", "pwd", "bearer", "auth"),
    *("authorization", "credential", "credentials", "cookie", "header", "apikey", "pat"),
}
_SECRET_KEYS = {"api", "access", "secret", "auth", "account", "subscription"}  # before "key"
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_COUNT = re.compile(r"[0-9]{1,12}")

# What is a secret by its own look, wherever it stands.
_SHAPES = re.compile(
    r"""
    (?: hf_ | api_org_ | gh[opsur]_ | github_pat_ | glpat- | xox[a-z]- | sk- | pk-lf- | gsk_ | npm_
      | pypi- | dop_v1_ | ya29\. )[A-Za-z0-9_.-]{10,}
    | (?: AKIA | ASIA )[A-Z0-9]{16} | AIza[A-Za-z0-9_-]{30,}
    | eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*          # a JSON web token
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----.*
    """,
    re.VERBOSE | re.DOTALL,
)
_USER_OF_URL = re.compile(r"(?<=://)[^/?#\s]*(?=@)")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]+")
_ASSIGNED = re.compile(
    r"""(?<![\w-])([A-Za-z][\w.-]{0,60})(["']?\s{0,9}[=:]\s{0,9}["']?|%3[Dd])([^\s&;,"']+)"""
)


def redact(arguments: Sequence[str]) -> list[str]:
    """A command line in which `<redacted>` stands for each secret.

    A secret is the value of an option, variable or URL parameter whose name ends in a word such as
    token, password or api-key; the user part of a URL; and whatever looks like the token of a known
    service. Secrets of another look, given under a harmless name, are not seen: pass them by files or
    environment variables. Paths of key files stay, as they are no secrets.

    Args:
        arguments: As in `sys.argv`.

    Returns:
        As many arguments.
    """
    shown: list[str] = []
    before = ""  # the option whose value comes next
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if before and _is_secret(before, argument):
            shown.append(REDACTED)
            before = ""
            continue
        is_option = argument.startswith("-")
        before = argument if is_option and not equals else ""
        if is_option and equals and _is_secret(name, value):
            shown.append(f"{name}={REDACTED}")
        else:
            shown.append(redacted_text(argument))
    return shown


def redacted_text(text: str) -> str:
    """Any text, with secrets of a known look, or assigned to a telling name, replaced."""
    text = _SHAPES.sub(REDACTED, text)
    text = _USER_OF_URL.sub(REDACTED, text)
    text = _BEARER.sub(rf"\1 {REDACTED}", text)
    return _ASSIGNED.sub(_without_value, text)


def is_secret_name(name: str) -> bool:
    """Whether what an option or field of this name holds should not be shown."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words:
        return False
    if name == "-H":  # curl's header
        return True
    if words[-1] == "key":
        return len(words) > 1 and words[-2] in _SECRET_KEYS
    return words[-1] in _SECRET_WORDS


def _is_secret(name: str, value: str) -> bool:
    """A short number after "token" counts tokens; after "password" it may be one."""
    if _COUNT.fullmatch(value) and name.lower().endswith("token"):
        return False
    return is_secret_name(name)


def _without_value(match: re.Match[str]) -> str:
    name, sign, value = match.groups()
    return f"{name}{sign}{REDACTED}" if _is_secret(name, value) else match.group()
