"""`bookplate key promise`, `draw`, `check-draw`: marking keys that nobody can have chosen."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput, VerificationError
from ..files import new_file, sha256_of_file
from .options import AsJson
from .output import print_json, print_note, print_rows
from .verdicts import may_not_hold

if TYPE_CHECKING:
    from ..provenance.custody import Beacon, BeaconedSecret
    from ..provenance.custody.promises import KeyPromise

__all__ = ["promise_rows", "register"]

_PROMISE_NAME, _DRAW_NAME = "key-promise.json", "key-draw.json"
_LARGEST = 1 << 16
_ROUND_URL = "https://api.drand.sh/{chain}/public/{round}"


def register(app: typer.Typer) -> None:
    """Add the commands to a group."""
    for name, command in (("promise", promise), ("draw", draw), ("check-draw", check_draw)):
        app.command(name)(command)


def promise_rows(promise: "KeyPromise") -> list[tuple[str, str]]:
    """What a promise says, for people."""
    return [
        ("promise", promise.commitment),
        ("beacon", promise.source),
        ("round", str(promise.round)),
        ("known at", _known_at(promise)),
        ("also fixed", promise.fixed or "nothing"),
    ]


def _known_at(promise: "KeyPromise") -> str:
    time = promise.known_at
    return "its schedule is not known here" if time is None else time.isoformat()


def promise(
    secretfile: Annotated[
        Path, typer.Argument(help="File to write the secret to; readable by its owner only.")
    ],
    source: Annotated[
        str,
        typer.Option(
            help="drand-quicknet (every 3 s), drand-default (every 30 s), or the name of any public beacon, "
            "such as nist:2.0:chain-2."
        ),
    ] = "drand-quicknet",
    round_: Annotated[
        int | None,
        typer.Option("--round", help="Round (or pulse) of the beacon that will make the key."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", help="Instead: the first round from this time on, as 2030-01-31T12:00:00Z."
        ),
    ] = None,
    fixed: Annotated[
        Path | None,
        typer.Option(
            help="File whose SHA-256 is promised too: what you could otherwise choose once you know the "
            "key, such as the data, or a list that sha256sum wrote of several files."
        ),
    ] = None,
    public: Annotated[
        Path | None,
        typer.Option(help=f"The promise to publish; default: {_PROMISE_NAME} beside SECRETFILE."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Promise a marking key that a public beacon will make: nobody can have chosen it.

    Have the promise timestamped before the round, and make the key afterwards with 'key draw'.
    """
    from ..provenance.custody import BeaconedSecret
    from ..provenance.custody.promises import KeyPromise

    chain = _chain(source)
    secret = BeaconedSecret.generate(
        chain, _round(chain, round_, at), fixed="" if fixed is None else sha256_of_file(fixed)
    )
    made = KeyPromise.of(secret)
    known = made.known_at
    if known is not None and known <= datetime.now(UTC):
        raise InvalidInput(
            f"round {made.round} of {source} was published at {known.isoformat()}: its value is known",
            "choose a later one, so late that the promise can be timestamped before",
        )
    target = public or secretfile.with_name(_PROMISE_NAME)
    with new_file(target) as staged:
        staged.write_bytes(made.to_bytes())
        secret.save(secretfile)
    if as_json:
        print_json({
            "secretfile": str(secretfile),
            "public": str(target),
            **_without_format(made.as_dict()),
            "known_at": None if known is None else known.isoformat(),
        })
        return
    print_rows([
        ("wrote, secret", str(secretfile)),
        ("wrote, public", str(target)),
        *promise_rows(made),
    ])
    print_note(f"Before the round, have it timestamped: bookplate timestamp request {target}")
    if chain.startswith("drand:"):
        print_note(f"After it, fetch {_url(made)} into BEACON.json for 'bookplate key draw'.")


def draw(
    secretfile: Annotated[Path, typer.Argument(help="The secret that 'key promise' wrote.")],
    beacon: Annotated[
        Path,
        typer.Argument(help="The round as the beacon gives it: JSON of drand or of NIST."),
    ],
    keyfile: Annotated[
        Path, typer.Argument(help="Marking key to write; readable by its owner only.")
    ],
    public: Annotated[
        Path | None,
        typer.Option(help=f"The record to publish; default: {_DRAW_NAME} beside KEYFILE."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the marking key from a promised secret and the beacon's value."""
    from ..provenance.custody import BeaconedSecret
    from ..watermark.drawn_keys import draw_key

    secret = BeaconedSecret.read(secretfile)
    key, record = draw_key(secret, _beacon(beacon, secret))
    target = public or keyfile.with_name(_DRAW_NAME)
    with new_file(target) as staged:
        staged.write_bytes(record.to_bytes())
        key.save(keyfile)
    if as_json:
        print_json({
            "keyfile": str(keyfile),
            "public": str(target),
            "commitment": key.commitment,
            "promise": secret.commitment,
        })
        return
    print_rows([
        ("wrote, secret", str(keyfile)),
        ("wrote, public", str(target)),
        ("public commitment", key.commitment),
        ("promise", secret.commitment),
    ])
    print_note(
        f"Keep {secretfile}: opened in court, it shows that the key follows from the promise. It opens this "
        "key with all that it marks."
    )


def check_draw(
    record: Annotated[Path, typer.Argument(help=f"{_DRAW_NAME}, as it was published.")],
    promised: Annotated[
        Path, typer.Option("--promise", help=f"{_PROMISE_NAME}, as it was published.")
    ],
    timestamp: Annotated[
        Path, typer.Option(help="An authority's answer (.tsr) over the file of --promise.")
    ],
    roots: Annotated[
        Path, typer.Option(help="Root certificate of that authority, PEM, from the authority.")
    ],
    beacon: Annotated[
        Path, typer.Option(help="The round, looked up by you: JSON of drand or of NIST.")
    ],
    opened: Annotated[
        Path | None, typer.Option(help="The promise's secret, if its owner has opened it.")
    ] = None,
    release: Annotated[
        Path | None, typer.Option(help="A release.json that is to have been marked with this key.")
    ] = None,
    dataset: Annotated[
        str, typer.Option("--dataset", help="Name of the dataset, if the key marked several.")
    ] = "",
    recipient: Annotated[
        str, typer.Option("--recipient", help="Whose copy --release describes, if anybody's.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Check that a marking key was promised before the beacon made it. Exit 1 if it was not.

    Without --opened, that the key follows from the promise stands as its owner claims it.
    """
    from ..provenance.custody import AuthorityChain, BeaconedSecret
    from ..provenance.custody.promises import KeyDraw, KeyPromise, verify_draw
    from ..watermark.drawn_keys import verify_opened

    if (dataset or recipient) and (opened is None or release is None):
        raise InvalidInput(
            "--dataset and --recipient go with --release and --opened: sub-keys follow from the opened key"
        )
    trusted = AuthorityChain.read(roots)
    secret = None if opened is None else BeaconedSecret.read(opened)
    with may_not_hold(as_json=as_json):
        data = _bytes_of(promised)
        promise = KeyPromise.parse(data, str(promised))
        found = KeyDraw.read(record)
        stamped = trusted.verify(_bytes_of(timestamp, 1 << 20), data)
        value = _beacon(beacon, promise)
        if secret is None:
            verify_draw(found, promise, committed_at=stamped.latest, beacon=value)
            commitment = found.key_commitment
        else:
            key = verify_opened(found, promise, secret, committed_at=stamped.latest, beacon=value)
            commitment = key.for_copy(dataset, recipient).commitment
        if release is not None:
            _check_release(release, commitment, opened=secret is not None)
    shown = "claimed; the secret was not opened" if secret is None else "shown"
    if as_json:
        print_json({
            "holds": True,
            "promised_at": stamped.latest.isoformat(),
            "beacon_published_at": value.published_at.isoformat(),
            "key_commitment": found.key_commitment,
            "follows_from_the_promise": secret is not None,
            "release_checked": release is not None,
        })
        return
    print_rows([
        ("promised by", f"{stamped.latest.isoformat()}, says {stamped.authority}"),
        ("beacon's value of", f"{value.published_at.isoformat()}, as you looked it up"),
        ("also fixed then", promise.fixed or "nothing: data and settings could be chosen later"),
        ("key commitment", found.key_commitment),
        ("follows from both", shown),
        *([("marked with it", str(release))] if release else []),
    ])
    print_note(
        "Not checked: how many other promises its owner made, and the beacon's own signature."
    )


def _chain(source: str) -> str:
    from ..provenance.custody.beacons import DRAND_DEFAULT, DRAND_QUICKNET

    return {"drand-quicknet": DRAND_QUICKNET, "drand-default": DRAND_DEFAULT}.get(source, source)


def _round(chain: str, round_: int | None, at: str | None) -> int:
    from ..provenance.custody.beacons import first_round_at

    if (round_ is None) == (at is None):
        raise InvalidInput("give either --round or --at")
    if round_ is not None:
        return round_
    try:
        time = datetime.fromisoformat(at or "")
    except ValueError:
        time = datetime.min
    if time.tzinfo is None:
        raise InvalidInput(f"--at {at}: expected a time with its zone, as 2030-01-31T12:00:00Z")
    return first_round_at(chain, time)


def _beacon(path: Path, promised: "BeaconedSecret | KeyPromise") -> "Beacon":
    from ..provenance.custody.promises import parse_beacon

    return parse_beacon(_bytes_of(path), promised.source, str(path))


def _check_release(path: Path, commitment: str, *, opened: bool) -> None:
    from ..watermark.release import Release

    if Release.read(path).key_commitment != commitment:
        raise VerificationError(
            f"{path}: was marked with another key",
            "name its --dataset and --recipient"
            if opened
            else "if with a sub-key of this one, for a dataset or a recipient, --opened can show it",
        )


def _url(promise: "KeyPromise") -> str:
    return _ROUND_URL.format(chain=promise.source.removeprefix("drand:"), round=promise.round)


def _without_format(data: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in data.items() if name != "format"}


def _bytes_of(path: Path, most: int = _LARGEST) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from None
