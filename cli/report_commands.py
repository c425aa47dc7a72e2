"""`bookplate report`: check a bundle that somebody else wrote."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput
from .options import AsJson
from .output import print_json, print_rows
from .verdicts import EXIT_DOES_NOT_HOLD

if TYPE_CHECKING:
    from ..provenance.bundle.verification import Verification

_FINGERPRINT = re.compile(r"[0-9a-fA-F]{64}")

app = typer.Typer(help="Check a report and what it rests on.", no_args_is_help=True)

# DSSE signs the envelope's payload with its type and their lengths; this lays those bytes out.
_BY_HAND = (
    """python3 -c 'import base64, json; e = json.load(open("statement.dsse.json")); """
    """t, p = e["payloadType"].encode(), base64.b64decode(e["payload"]); """
    """open("statement.pae", "wb").write(b"DSSEv1 %d %b %d %b" % (len(t), t, len(p), p)); """
    """open("statement.sig", "wb").write(base64.b64decode(e["signatures"][0]["sig"]))'""",
    "openssl pkeyutl -verify -pubin -inkey SIGNER.pem -rawin -in statement.pae -sigfile statement.sig",
)


@app.callback()
def group() -> None:
    """Check a report and what it rests on."""


@app.command("verify")
def verify(
    bundle: Annotated[Path, typer.Argument(help="A folder or a .zip, as it was handed over.")],
    key: Annotated[
        list[Path] | None,
        typer.Option(help="Public key (PEM) that you have from the signer; may be repeated."),
    ] = None,
    fingerprint: Annotated[
        list[str] | None,
        typer.Option(help="Or the fingerprint of that key, 64 hexadecimal digits."),
    ] = None,
    tsa_roots: Annotated[
        list[Path] | None,
        typer.Option(help="Certificates (PEM) of a time authority that you trust."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a bundle with nothing but the bundle: every signature, digest, time, p-value and word.

    Exit code 0: nothing speaks against it. 1: a check failed, or one that is needed could not be
    made. A bundle whose signer's key you did not give is "intact, signer unknown", never "verified",
    although the exit code is 0: a script must give a key or look at the result.
    """
    from ..provenance.bundle.verification import Result
    from ..provenance.bundle.verification import verify as verified
    from ..provenance.custody import AuthorityChain, PublicKey
    from .audit.linking import LINK_CHECKS
    from .audit.registering import registration_of

    for path in key or ():
        if _FINGERPRINT.fullmatch(str(path)) and not path.exists():
            raise InvalidInput(
                f"--key {path}: is a fingerprint, no file", "give it with --fingerprint"
            )
    found = verified(
        bundle,
        keys=[PublicKey.read(path) for path in key or ()],
        fingerprints=fingerprint or (),
        authorities=[AuthorityChain.read(path) for path in tsa_roots or ()],
        read_registration=registration_of,
        link_checks=LINK_CHECKS,
    )
    if as_json:
        print_json({**found.to_dict(), "signature_by_hand": list(_BY_HAND)})
    else:
        _print(found)
    if found.result not in {Result.VERIFIED, Result.SIGNER_UNKNOWN}:
        raise typer.Exit(EXIT_DOES_NOT_HOLD)


def _print(found: "Verification") -> None:
    print_rows([
        (f"{check.number:2} {check.title}", f"{check.outcome.value}: {check.detail}")
        for check in found.checks
    ])
    if found.statement_sha256:
        print_rows([("statement", f"SHA-256 {found.statement_sha256}")])
    if found.signer:
        print_rows([("by hand", line) for line in _BY_HAND])
    print_rows([("result", _result(found))])


def _result(found: "Verification") -> str:
    """The last line: what was shown, and which checks that leaves open or decide it."""
    from ..provenance.bundle.verification import Result

    left = ", ".join(f"check {c.number} ({c.title.lower()})" for c in found.not_checked)
    if found.result is Result.FAILED:
        return "failed: " + ", ".join(f"check {c.number} ({c.title.lower()})" for c in found.failed)
    if found.result is Result.SIGNER_UNKNOWN:
        return (
            "intact; signer unknown: nothing was changed since it was signed, but no key was given to "
            "tell by whom; give the signer's with --key or --fingerprint"
        )
    return f"{found.result.value}; left open: {left}" if left else found.result.value
