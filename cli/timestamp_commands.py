"""`bookplate timestamp`: have outside authorities testify when a file existed (RFC 3161)."""

import hashlib
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from ..errors import InvalidInput
from ..files import new_file
from .options import AsJson
from .output import print_json, print_note, print_rows, working
from .verdicts import may_not_hold

if TYPE_CHECKING:
    from ..provenance.custody import Timestamp

app = typer.Typer(
    help="Have outside authorities testify when a file existed (RFC 3161).", no_args_is_help=True
)

_LARGEST_FILE = 1 << 28
_LARGEST_ANSWER = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9])){0,99}", re.ASCII)

_File = Annotated[Path, typer.Argument(help="The file that is timestamped.")]
_Answer = Annotated[Path, typer.Argument(help="The authority's answer.")]


@app.callback()
def group() -> None:
    """Have outside authorities testify when a file existed (RFC 3161)."""


@app.command("request")
def request(
    file: _File,
    authority: Annotated[
        str | None,
        typer.Option(
            help="Address to send the request to; without it, the request is written for you to send."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; default: FILE.tsq, or FILE.HOST.tsr if it is sent."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask for a timestamp. The authority learns the file's SHA-256 and nothing else of it.

    Ask two authorities: neither can then be suspected alone.
    """
    from ..provenance.custody import TimestampRequest

    asked = TimestampRequest.of(_content(file))
    if authority is None:
        _written(file, asked.to_bytes(), out or file.with_name(f"{file.name}.tsq"), as_json)
        return
    name = _name_of(authority)
    target = out or _beside(file, name)
    from ..provenance.custody.timestamps import check_answer, send

    with may_not_hold(as_json=as_json), new_file(target) as staged:
        with working(f"asking {authority}"):
            answer = send(asked, authority)
        time = check_answer(answer, asked.message_sha256, nonce=asked.nonce)
        staged.write_bytes(answer)
    if as_json:
        print_json({"out": str(target), "claimed_time": time.isoformat()})
        return
    print_rows([("wrote", str(target)), ("claims", time.isoformat())])
    _tell_how_to_verify(file, target)


def _written(file: Path, query: bytes, target: Path, as_json: bool) -> None:
    with new_file(target) as staged:
        staged.write_bytes(query)
    send, then = how_to_send(file, target)
    if as_json:
        print_json({"out": str(target), "send": send, "then": then})
        return
    print_rows([("wrote", str(target)), ("send it", send), ("then", then)])


def how_to_send(file: Path, query: Path) -> tuple[str, str]:
    """The command that sends a written request to an authority, and the one that takes its answer.

    Args:
        file: The file that is timestamped.
        query: The request (.tsq).
    """
    answer = query.with_suffix(".tsr")
    send = [
        *("curl", "--fail", "-sS", "-H", "Content-Type: application/timestamp-query"),
        *("--data-binary", f"@{query}", "-o", str(answer), "URL"),
    ]
    then = ["bookplate", "timestamp", "attach", *map(str, (file, answer))]
    then += ["--request", str(query), "--name", "AUTHORITY"]
    return shlex.join(send), shlex.join(then)


@app.command("attach")
def attach(
    file: _File,
    answer: _Answer,
    name: Annotated[
        str, typer.Option(help="Short name of the authority, such as freetsa: FILE.NAME.tsr.")
    ],
    query: Annotated[
        Path | None,
        typer.Option("--request", help="The request (.tsq), whose nonce the answer must repeat."),
    ] = None,
    roots: Annotated[
        Path | None, typer.Option(help="Root certificate of the authority: check fully.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that an answer is one to this file, and put it beside it as audit bundles expect it.

    Without --roots, who gave the answer is not checked.
    """
    from ..provenance.custody import AuthorityChain
    from ..provenance.custody.timestamps import check_answer

    if not _NAME.fullmatch(name):
        raise InvalidInput(f"--name {name!r}: expected letters, digits, dots, '-' and '_'")
    content, data = _content(file), _answer_in(answer)
    trusted = None if roots is None else AuthorityChain.read(roots)
    nonce = None if query is None else _nonce_in(query)
    target = _beside(file, name)
    with may_not_hold(as_json=as_json):
        time = check_answer(data, hashlib.sha256(content).digest(), nonce=nonce)
        if trusted is not None:
            time = trusted.verify(data, content, nonce=nonce).time
    with new_file(target) as staged:
        staged.write_bytes(data)
    if as_json:
        print_json({
            "out": str(target),
            "claimed_time": time.isoformat(),
            "verified": trusted is not None,
        })
        return
    shown = "says a trusted authority" if trusted else "claims"
    print_rows([("wrote", str(target)), (shown, time.isoformat())])
    if trusted is None:
        _tell_how_to_verify(file, target)


@app.command("verify")
def verify(
    file: _File,
    answer: _Answer,
    roots: Annotated[
        Path,
        typer.Option(
            help="Root certificates that you trust, PEM, obtained from the authority itself."
        ),
    ],
    query: Annotated[
        Path | None,
        typer.Option("--request", help="The request (.tsq), whose nonce the answer must repeat."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a timestamp, offline: when did this file exist, and who says so? Exit 1 if it does not hold."""
    from ..provenance.custody import AuthorityChain

    trusted = AuthorityChain.read(roots)
    nonce = None if query is None else _nonce_in(query)
    content, data = _content(file), _answer_in(answer)
    with may_not_hold(as_json=as_json):
        found = trusted.verify(data, content, nonce=nonce)
    if as_json:
        print_json({
            "holds": True,
            "time": found.time.isoformat(),
            "accuracy_seconds": None if found.accuracy is None else found.accuracy.total_seconds(),
            "existed_before": found.latest.isoformat(),
            "policy": found.policy,
            "authority": found.authority,
            "certificate_sha256": found.certificate_sha256,
            "serial_number": str(found.serial_number),
        })
    else:
        print_rows(_rows(found))


def _rows(found: "Timestamp") -> list[tuple[str, str]]:
    accuracy = "not stated"
    if found.accuracy is not None:
        accuracy = f"within {found.accuracy.total_seconds():g} s"
    return [
        ("existed at", found.time.isoformat()),
        ("accuracy", accuracy),
        ("policy", found.policy),
        ("authority", found.authority),
        ("certificate", found.certificate_sha256),
        ("serial number", str(found.serial_number)),
    ]


def _tell_how_to_verify(file: Path, answer: Path) -> None:
    words = ["bookplate", "timestamp", "verify", str(file), str(answer), "--roots", "ROOT.pem"]
    print_note(f"Who gave it is not checked yet: {shlex.join(words)}")


def _beside(file: Path, name: str) -> Path:
    return file.with_name(f"{file.name}.{name}.tsr")


def _name_of(address: str) -> str:
    """The authority's host, as part of a file name."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in {"http", "https"} or not host:
        raise InvalidInput(f"--authority {address}: expected an http or https address")
    if not _NAME.fullmatch(host):
        raise InvalidInput(f"--authority {address}: its host gives no file name", "name an --out")
    return host


def _nonce_in(query: Path) -> int:
    from ..provenance.custody import TimestampRequest

    try:
        return TimestampRequest.from_bytes(_answer_in(query)).nonce
    except InvalidInput as error:
        raise InvalidInput(f"{query}: {error}", error.hint) from None


def _content(file: Path) -> bytes:
    return _read(file, _LARGEST_FILE, "timestamp a list of digests, as sha256sum writes it")


def _answer_in(file: Path) -> bytes:
    return _read(file, _LARGEST_ANSWER, "expected what a timestamp authority sent")


def _read(file: Path, most: int, hint: str) -> bytes:
    try:
        with file.open("rb") as opened:
            data = opened.read(most + 1)
    except OSError as error:
        raise InvalidInput(f"{file}: cannot be read: {error.strerror}") from None
    if len(data) > most:
        raise InvalidInput(f"{file}: more than {most:,} bytes", hint)
    return data
