"""`bookplate key`: make, show and open keys."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InvalidInput, VerificationError
from ..files import new_file
from .options import AsJson
from .output import print_json, print_note, print_rows
from .promise_commands import register
from .verdicts import may_not_hold

app = typer.Typer(help="Make, show and open keys.", no_args_is_help=True)

_LARGEST = 1 << 16
_Facts = list[tuple[str, str]]


@app.callback()
def group() -> None:
    """Make, show and open keys."""


@app.command("new")
def new(
    keyfile: Annotated[Path, typer.Argument(help="File to write; readable by its owner only.")],
    signing: Annotated[
        bool,
        typer.Option(
            "--signing",
            help="A key that signs audit bundles (Ed25519, PKCS#8 PEM); its public key goes to KEYFILE.pub.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a secret marking key, or a signing key. Keep it safe: without it a mark proves nothing."""
    if signing:
        _new_signing_key(keyfile, as_json)
        return
    from ..watermark.keys import MarkingKey

    key = MarkingKey.generate()
    key.save(keyfile)
    if as_json:
        print_json({"keyfile": str(keyfile), "commitment": key.commitment})
    else:
        print_rows([("wrote", str(keyfile)), ("public commitment", key.commitment)])


def _new_signing_key(keyfile: Path, as_json: bool) -> None:
    from ..provenance.custody import SigningKey

    key = SigningKey.generate()
    public = keyfile.with_name(f"{keyfile.name}.pub")
    with new_file(public) as staged:  # which goes again if the secret half cannot be written
        staged.write_bytes(key.public.to_pem())
        key.save(keyfile)
    if as_json:
        print_json({
            "keyfile": str(keyfile),
            "public_key": str(public),
            "fingerprint": key.public.keyid,
        })
        return
    print_rows([
        ("wrote", str(keyfile)),
        ("public key", str(public)),
        ("fingerprint", key.public.keyid),
    ])
    print_note(
        "Publish the fingerprint where readers of your reports can find it: a key that comes with a report "
        "says nothing about who signed."
    )


@app.command("show")
def show(
    file: Annotated[Path, typer.Argument(help="Any key file, secret or public.")],
    as_json: AsJson = False,
) -> None:
    """Say what a key file is, and its public facts; secrets are never shown."""
    kind, secret, facts = _facts(file)
    if as_json:
        named = {label.replace(" ", "_"): text for label, text in facts}
        print_json({"file": str(file), "kind": kind, "secret": secret, **named})
    else:
        print_rows([("file", str(file)), ("kind", kind), *facts])
    if secret and file.stat().st_mode & 0o077:
        print_note(f"{file}: is secret, but others can read it; chmod 600 would mend that.")


def _facts(file: Path) -> tuple[str, bool, _Facts]:
    """What a key file is, whether it is secret, and what of it is public.

    Raises:
        InvalidInput: If it is no key file; its contents are not repeated.
    """
    from ..provenance.custody import BeaconedSecret, PublicKey, SigningKey
    from ..provenance.custody.promises import KeyDraw, KeyPromise
    from ..watermark.keys import MarkingKey
    from .promise_commands import promise_rows

    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST)
    except OSError as error:
        raise InvalidInput(f"{file}: cannot be read: {error.strerror}") from None
    try:
        if b"PRIVATE KEY-----" in content:
            signer = SigningKey.read(file).public
            return "signing key", True, [("fingerprint", signer.keyid)]
        if b"PUBLIC KEY-----" in content:
            return (
                "public key of a signing key",
                False,
                [("fingerprint", PublicKey.read(file).keyid)],
            )
        if b'"bookplate-key/1"' in content:
            return "marking key", True, [("public commitment", MarkingKey.read(file).commitment)]
        if b'"bookplate-beaconed-secret/1"' in content:
            promise = KeyPromise.of(BeaconedSecret.read(file))
            return "secret of a key promise", True, promise_rows(promise)
        if b'"bookplate-key-draw/1"' in content:
            draw = KeyDraw.read(file)
            facts = [*promise_rows(draw.promise), ("key commitment", draw.key_commitment)]
            return "key draw", False, facts
        if b'"bookplate-key-promise/1"' in content:
            return "key promise", False, promise_rows(KeyPromise.read(file))
    except VerificationError as error:
        raise InvalidInput(str(error), error.hint) from None
    raise InvalidInput(f"{file}: not a key file of Bookplate, nor one in PEM")


@app.command("open")
def open_(
    keyfile: Annotated[Path, typer.Argument(help="The owner's secret marking key.")],
    out: Annotated[
        Path, typer.Argument(help="File to write: the sub-key, to be handed to the court's expert.")
    ],
    dataset: Annotated[
        str, typer.Option("--dataset", help="The name that 'watermark embed --dataset' was given.")
    ] = "",
    recipient: Annotated[
        str, typer.Option("--recipient", help="Open one recipient's copy only.")
    ] = "",
    release: Annotated[
        Path | None,
        typer.Option(help="The published release.json; the sub-key must be the one committed to."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hand over the key of one dataset, or of one copy, and of nothing else.

    Whoever has it can draw this dataset's choices anew ('watermark detect --key'); the owner's key and
    other datasets stay closed, as sub-keys are derived one way (HKDF).
    """
    from ..watermark.keys import MarkingKey

    if not dataset and not recipient:
        raise InvalidInput(
            "name what to open: --dataset, --recipient or both",
            "a key that marked without a name has no sub-key: to open it is to hand over the key file itself",
        )
    key = MarkingKey.read(keyfile).for_copy(dataset, recipient)
    with may_not_hold(as_json=as_json):
        if release is not None:
            _check_committed(key.commitment, release)
    key.save(out)
    if as_json:
        held = {"commitment_matches": str(release)} if release else {}
        print_json({"keyfile": str(out), "commitment": key.commitment, **held})
        return
    print_rows([
        ("wrote", str(out)),
        ("public commitment", key.commitment),
        *([("is the one in", str(release))] if release else []),
    ])
    if recipient == "":
        print_note("It opens every recipient's copy of this dataset, too.")


def _check_committed(commitment: str, path: Path) -> None:
    from ..watermark.release import Release

    if Release.read(path).key_commitment != commitment:
        raise VerificationError(
            f"{path}: commits to another key than this one of that name",
            "give the --dataset and --recipient that the release was marked with",
        )


register(app)
