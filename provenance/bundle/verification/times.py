"""Check 6: what was committed to, and who else saw it when.

An outside time shows that something existed *before* it. So of several timestamps over one file the
earliest counts, and one that is later than what the report claims shows nothing of the claim.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ....display import counted, visible
from ....errors import VerificationError
from ...custody import AuthorityChain
from ...custody.strict_json import strict_object
from ...custody.timestamps import check_answer
from ..layout import AUDIT, STATEMENT, commitment_names, stamped_name, stamps_of_statement
from ..predicate import Commitment
from .matter import LARGEST_TEXT, Matter, listed
from .outcomes import NotChecked

__all__ = ["commitments"]

_SKEW = timedelta(minutes=5)  # by which honest clocks may differ
_LARGEST_STAMP = 1 << 20
_MOST_STAMPS = 1_000  # and commitments; each costs a look at all others
_PROOF = (
    "RFC 3161 timestamp of {authority} ({name})"  # how a report names a proof, and not otherwise
)
_OF = _PROOF.partition("{")[0]
_BETWEEN_NAMES = re.compile(r"[\s,;()\"']+")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stamp:
    """A timestamp over a file of the bundle.

    Attributes:
        name: Its path.
        about: Path of the file that it is over.
        time: When the file existed; what the timestamp says of itself as long as `authority` is empty.
        authority: Who testifies, if somebody does whom the verifier trusts.
        doubt: Why nobody does.
    """

    name: str
    about: str
    time: datetime
    authority: str = ""
    doubt: str = ""


def commitments(
    matter: Matter, authorities: Collection[AuthorityChain], now: datetime
) -> Sequence[str]:
    """6. Commitments are as listed; outside times hold, and lie in the order that the report claims.

    1. The commitments in the bundle are those signed for, with their roots.
    2. Every timestamp is over a file of the bundle, and every one that the report relies on is there.
    3. The times that the report claims lie in order, and none is to come.
    4. No timestamp belies a claim: a commitment is older than the registration, the registration than the
       tests, nothing is later than claimed.
    5. For every file with timestamps, one holds against an authority that the verifier trusts, and
       those that hold bear out the claims by themselves.

    Raises:
        NotChecked: If times are unproven, as there are no timestamps, or no authority is trusted.
    """
    _check_listed(matter)  # 1
    stamps = [_read(matter, name, about) for name, about in _stamp_names(matter)]  # 2
    claimed = _relied_on(matter)
    _check_claims(matter, now)  # 3
    _check_order(matter, stamps, claimed, now)  # 4
    said = [f"{counted(len(matter.predicate.commitments), 'commitment')} as listed"]
    if not stamps:
        raise NotChecked("; ".join([*said, "time unproven: no timestamp in the bundle"]))
    if not authorities:
        raise NotChecked("; ".join([*said, "time unproven: no authority's root certificate given"]))
    checked = [_proven(matter, stamp, authorities) for stamp in stamps]  # 5
    held = [stamp for stamp in checked if stamp.authority]
    _refuse_unproven(checked, {stamp.about for stamp in held})
    _check_order(matter, held, claimed, now)
    _check_authorities(matter, held)
    said += [
        f"{stamp.about} existed by {_utc(stamp.time)} ({stamp.authority})"
        for stamp in _earliest(held).values()
    ]
    said += [f"not proven by {stamp.name}: {stamp.doubt}" for stamp in checked if stamp.doubt]
    needed = [*(item.name for item in matter.predicate.commitments), AUDIT]
    if unseen := [name for name in needed if name not in _earliest(held)]:
        raise NotChecked("; ".join([*said, f"time unproven of {listed(unseen)}"]))
    return said


def _check_listed(matter: Matter) -> None:
    signed = {item.name: item for item in matter.predicate.commitments}
    there = set(commitment_names(matter.digests))
    for name in sorted(there ^ signed.keys()):
        how = "not listed as a commitment" if name in there else "listed, but no commitment there"
        raise VerificationError(f"{visible(name[:200])}: {how}")
    for name, item in signed.items():
        if matter.digests[name] != item.sha256:
            raise VerificationError(f"{name}: is not the commitment listed, SHA-256 {item.sha256}")
        _check_root(item, strict_object(matter.read(name), name, limit=LARGEST_TEXT))


def _check_root(item: Commitment, data: dict[str, Any]) -> None:
    """The listed root and leaf count are those of a tree in the file; or neither has one."""
    trees = set(_trees(data))
    if ((item.root, item.leaf_count) in trees) if item.root else not trees:
        return
    raise VerificationError(
        f"{item.name}: does not commit to root {item.root or 'none'} of {item.leaf_count} leaves"
    )


def _trees(data: Any) -> Iterator[tuple[str, int]]:
    """Root and leaf count of every Merkle commitment in some JSON."""
    pending = [data]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            root, count = value.get("root"), value.get("leaf_count", value.get("leafCount"))
            if isinstance(root, str) and type(count) is int:
                yield root, count
            pending += value.values()
        elif isinstance(value, list):
            pending += value


def _stamp_names(matter: Matter) -> Iterator[tuple[str, str]]:
    """Every timestamp, with the file that it is to be over."""
    among = commitment_names(matter.digests)
    signed = [name for name in matter.digests if name.endswith(".tsr")]
    unsigned = stamps_of_statement(matter.bundle.names)
    if max(len(among), len(signed) + len(unsigned)) > _MOST_STAMPS:
        raise VerificationError(f"more than {_MOST_STAMPS} commitments or timestamps")
    for name in signed:
        about = stamped_name(name, among) if name.startswith("commitments/") else ""
        if not about:
            raise VerificationError(f"{visible(name)}: a timestamp over no file of this bundle")
        yield name, about
    for name in unsigned:
        yield name, STATEMENT


def _read(matter: Matter, name: str, about: str) -> _Stamp:
    """A timestamp that is of the file it is to be over, by whomever."""
    digest = matter.digests.get(about, matter.statement_sha256)
    try:
        time = check_answer(_bytes(matter, name, _LARGEST_STAMP), bytes.fromhex(digest))
    except VerificationError as error:
        raise VerificationError(f"{visible(name)}: {error}") from None
    return _Stamp(name=name, about=about, time=time)


def _bytes(matter: Matter, name: str, limit: int = LARGEST_TEXT) -> bytes:
    """The bytes of a file, signed for or, as the statement and its timestamps, not."""
    return matter.read(name, limit) if matter.has(name) else matter.bundle.read(name, limit)


def _relied_on(matter: Matter) -> Mapping[str, datetime]:
    """The time that the report claims for each timestamp that it names as proof.

    Raises:
        VerificationError: If a time is called proven by something else than a timestamp in the bundle, or
            by one over another file.
    """
    about = dict(_stamp_names(matter))
    claims = [(e.proof, e.at, "") for e in matter.case.events]
    claims.append((matter.case.registered_proof, matter.case.registered_at, AUDIT))
    for test in matter.case.registered:
        # A test's material is called as its commitment; where it is not, any commitment will do.
        name = f"commitments/{test.material}.json"
        among = commitment_names(matter.digests)
        claims.append((test.committed_proof, test.committed_at, name if name in among else "*"))
    found: dict[str, datetime] = {}
    for proof, at, due in claims:
        named = _names_of_stamps(proof)
        if proof and not named:
            raise VerificationError(
                f"{visible(proof[:200])!r} is named as proof of {at or 'a time'}, but is no timestamp "
                "in the bundle"
            )
        for name in named:
            if name not in about:
                raise VerificationError(
                    f"{visible(name[:200])}: named as proof of {at}, but missing"
                )
            if due not in {"", about[name]} and not (due == "*" and about[name] != AUDIT):
                raise VerificationError(
                    f"{visible(name[:200])}: named as proof of another file than {about[name]}"
                )
            if at:
                found[name] = min(_time(at), found.get(name, _time(at)))
    return found


def _proofs(matter: Matter) -> Iterator[str]:
    """Whatever the report calls a proof of a time."""
    yield from (event.proof for event in matter.case.events)
    yield matter.case.registered_proof
    yield from (test.committed_proof for test in matter.case.registered)


def _check_authorities(matter: Matter, held: Sequence[_Stamp]) -> None:
    """What the report says of each timestamp, word for word: its name, and its authority's.

    The name of an authority whom the verifier does not trust cannot be held; it proves nothing either.

    Raises:
        VerificationError: If it is called otherwise.
    """
    called = {stamp.name: visible(stamp.authority) for stamp in held}
    for proof in filter(None, _proofs(matter)):
        name = _names_of_stamps(proof)[-1]
        start, mark = proof.removeprefix(_OF), f" ({name})"
        told = start.removesuffix(mark)
        if proof != _PROOF.format(authority=called.get(name, told), name=name):
            raise VerificationError(
                f"{visible(name[:200])}: of {called.get(name, 'an unknown authority')}, and the report says "
                f"of {visible(told[:200])}"
            )


def _names_of_stamps(proof: str) -> list[str]:
    words = (word.rstrip(".:") for word in _BETWEEN_NAMES.split(proof))
    return [word for word in words if word.endswith(".tsr")]


def _check_claims(matter: Matter, now: datetime) -> None:
    created, registered = matter.report.created, matter.case.registered_at
    if registered and _time(registered) > _time(created):
        raise VerificationError(
            f"registered at {registered}, after the report was made at {created}"
        )
    for test in matter.case.registered:
        if test.committed_at and _time(test.committed_at) > _time(registered or created):
            raise VerificationError(
                f"test {test.test}: registered before what it looks for was committed to at "
                f"{test.committed_at}"
            )
    if _time(created) > now + _SKEW:
        raise VerificationError(
            f"made at {created}, which has not come yet",
            "see whether the clock of this machine is right",
        )


def _check_order(
    matter: Matter, stamps: Sequence[_Stamp], claimed: Mapping[str, datetime], now: datetime
) -> None:
    """Refuse times that lie elsewhere than the report says, or than they can."""
    created = _time(matter.report.created)
    begin = _time(matter.case.registered_at) if matter.case.registered_at else created
    for stamp in stamps:
        if stamp.name in claimed and stamp.time > claimed[stamp.name]:
            raise VerificationError(
                f"{stamp.name}: of {_utc(stamp.time)}, later than the {_utc(claimed[stamp.name])} "
                "for which the report names it as proof"
            )
        if stamp.time > now + _SKEW:
            raise VerificationError(f"{stamp.name}: of {_utc(stamp.time)}, which is to come")
        if stamp.about == STATEMENT and stamp.time < created - _SKEW:
            raise VerificationError(
                f"{stamp.name}: of {_utc(stamp.time)}, before the report was made, {_utc(created)}"
            )
    for about, stamp in _earliest(stamps).items():
        # A machine's own claim may be off by what clocks are off; one that names a timestamp may not.
        if about != STATEMENT and stamp.time > begin + _SKEW:
            what = "the registration" if about == AUDIT else f"the commitment {visible(about)}"
            raise VerificationError(
                f"{stamp.name}: {what} was seen by {_utc(stamp.time)} only, after the tests were "
                f"registered, {_utc(begin)}"
            )


def _earliest(stamps: Sequence[_Stamp]) -> dict[str, _Stamp]:
    """The first timestamp over each file."""
    found: dict[str, _Stamp] = {}
    for stamp in sorted(stamps, key=lambda item: item.time):
        found.setdefault(stamp.about, stamp)
    return found


def _proven(matter: Matter, stamp: _Stamp, authorities: Collection[AuthorityChain]) -> _Stamp:
    """The timestamp with the first authority that stands behind it, or with why none does."""
    answer = _bytes(matter, stamp.name, _LARGEST_STAMP)
    message = _bytes(matter, stamp.about)
    doubt = ""
    for authority in authorities:
        try:
            found = authority.verify(answer, message)
        except VerificationError as error:
            doubt = str(error)
            continue
        # To the second, as reports give times.
        latest = found.latest.replace(microsecond=0)
        return _Stamp(name=stamp.name, about=stamp.about, time=latest, authority=found.authority)
    return _Stamp(name=stamp.name, about=stamp.about, time=stamp.time, doubt=doubt)


def _refuse_unproven(stamps: Sequence[_Stamp], proven: Collection[str]) -> None:
    for stamp in stamps:
        if stamp.about not in proven:
            raise VerificationError(f"{stamp.name}: {stamp.doubt}")


def _time(text: str) -> datetime:
    """A time of a report, whose form was checked when it was read."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
