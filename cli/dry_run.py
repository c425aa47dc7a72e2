"""--dry-run where models behind endpoints are asked: how many requests, before the first of them is sent."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..display import counted
from ..errors import InsufficientEvidence
from .output import print_json, print_note, print_rows

if TYPE_CHECKING:
    from ..provenance.suspect import Suspect
    from ..provenance.suspect.endpoint import Reaching, Rehearsal

__all__ = ["all_asked", "is_rehearsing", "rehearse", "rehearsed_model", "tell"]


def _rehearsal() -> "Rehearsal":
    from ..provenance.suspect.endpoint import Rehearsal

    return Rehearsal()


@dataclass
class _Counts:
    """What would be asked of endpoints, and of models whose weights are here."""

    sent: "Rehearsal" = field(default_factory=_rehearsal)
    here: "Rehearsal" = field(default_factory=_rehearsal)
    names: list[str] = field(default_factory=list)  # of the models that are here


_counts: ContextVar[_Counts | None] = ContextVar("counts", default=None)


class _AllAskedError(Exception):
    """Ends a rehearsal."""


def is_rehearsing() -> bool:
    """Whether this is a dry run."""
    return _counts.get() is not None


def all_asked() -> None:
    """Say that every model was asked what it is asked: a dry run ends here, before anything is written."""
    if is_rehearsing():
        raise _AllAskedError


def rehearse(
    work: Callable[[], object], *, max_queries: int | None, max_tokens: int | None, as_json: bool
) -> None:
    """Do some work on made-up answers until `all_asked`, and print what would have been sent.

    Args:
        work: Opens its models by `rehearsed_model`.
        max_queries: Limit of the real run, to be compared with.
        max_tokens: Likewise.
        as_json: Print JSON.
    """
    counts = _Counts()
    token = _counts.set(counts)
    try:
        work()
    except _AllAskedError:
        pass
    except InsufficientEvidence:  # made-up answers are none; but before any was wanted it is meant
        if not counts.sent.foreseen and not counts.here.foreseen:
            raise
    finally:
        _counts.reset(token)
    tell(
        counts.sent,
        counts.names,
        max_queries=max_queries,
        max_tokens=max_tokens,
        as_json=as_json,
    )


def rehearsed_model(name: str, endpoint: "Reaching") -> "Suspect":
    """A model of which nothing is asked, by the name that the user gave it.

    Weights are not loaded either: whatever has a name answers like an endpoint, and is counted apart.

    Raises:
        InvalidInput: If there can be no such model.
    """
    from ..provenance.suspect import open_suspect
    from ..provenance.suspect.endpoint import EndpointSuspect
    from ..provenance.suspect.naming import hub_options

    counts = _counts.get()
    if counts is None:
        raise AssertionError("no dry run")
    if name.lower().startswith(("http://", "https://")):
        return EndpointSuspect.open(name, replace(endpoint, rehearsal=counts.sent))
    if name.endswith(".parquet") or ".parquet#" in name:
        return open_suspect(name)
    hub_options(name)
    counts.names.append(name)
    apart = replace(endpoint, token_variable=None, rehearsal=counts.here)
    return EndpointSuspect(f"http://localhost/{quote(name, safe='')}", "weights", apart)


def tell(
    sent: "Rehearsal",
    here: Sequence[str] = (),
    *,
    max_queries: int | None = None,
    max_tokens: int | None = None,
    as_json: bool,
) -> None:
    """Print what would have been sent.

    Args:
        sent: To endpoints.
        here: Names of models that no request goes to.
        max_queries: Limit of the real run, to be compared with.
        max_tokens: Likewise.
        as_json: Print JSON.
    """
    total = sent.total
    if as_json:
        print_json({
            "dry_run": True,
            "requests": total.requests,
            "tokens": total.tokens,
            "endpoints": [
                {
                    "name": name,
                    "requests": found.requests,
                    "kept": found.kept,
                    "characters": found.characters,
                    "generated": found.generated,
                    "tokens": found.tokens,
                }
                for name, found in sent.foreseen.items()
            ],
            "scored_here": list(here),
        })
        return
    rows = [
        (
            name,
            f"{counted(found.requests, 'request')}, about {counted(found.tokens, 'token')}"
            + (f"; {counted(found.kept, 'answer')} kept already" if found.kept else ""),
        )
        for name, found in sent.foreseen.items()
    ]
    if len(rows) != 1:
        rows.append(("endpoints in all", counted(total.requests, "request")))
    print_rows([*rows, *((name, "scored here: no requests") for name in here)])
    if max_queries is not None and total.requests > max_queries:
        print_note(f"--max-queries {max_queries:,} would stop it before the end.")
    if max_tokens is not None and total.tokens > max_tokens:
        print_note(f"--max-tokens {max_tokens:,} would probably stop it before the end.")
    print_note(
        "Nothing was sent. Tokens are guessed from the length, as for English. Failed requests that are "
        "sent again count too; a test that stops early may need fewer."
    )
