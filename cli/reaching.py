"""How models are reached: options that every command which opens one takes, said once."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from .dry_run import is_rehearsing, rehearse, rehearsed_model
from .option_groups import takes
from .output import print_note, quiet_libraries, show_progress

if TYPE_CHECKING:
    from ..provenance.suspect import Suspect
    from ..provenance.suspect.endpoint import Budget, Reaching

__all__ = ["DtypeName", "Reached", "endpoint_of", "open_model", "reach", "reaches_models"]

_WEIGHTS, _ENDPOINT = "Models by their weights", "Models behind an endpoint"


class DtypeName(StrEnum):
    """The values of --dtype; the library's own enumeration would cost its import at start-up."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    INT8 = "int8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How models are reached. The fields are options of the command line."""

    device: Annotated[str, typer.Option(help="cpu, cuda or auto.", rich_help_panel=_WEIGHTS)] = (
        "auto"
    )
    dtype: Annotated[
        DtypeName,
        typer.Option(help="Precision; int8 needs bitsandbytes.", rich_help_panel=_WEIGHTS),
    ] = DtypeName.FLOAT32
    adapter: Annotated[
        Path | None,
        typer.Option(
            help="LoRA adapter (peft folder) to merge into the suspect.", rich_help_panel=_WEIGHTS
        ),
    ] = None
    context: Annotated[
        int | None,
        typer.Option(
            help="Tokens scored at once at most; default: what the model takes.",
            rich_help_panel=_WEIGHTS,
        ),
    ] = None
    token_variable: Annotated[
        str | None,
        typer.Option(
            help="Environment variable that holds the API token of the suspect's endpoint, the first that is "
            "named; an endpoint at another host gets none.",
            rich_help_panel=_ENDPOINT,
        ),
    ] = None
    answers: Annotated[
        Path | None,
        typer.Option(
            help="File that keeps the endpoint's answers, so that none is paid for twice; default: in the "
            "user's cache folder.",
            rich_help_panel=_ENDPOINT,
        ),
    ] = None
    max_queries: Annotated[
        int | None, typer.Option(help="Stop after so many requests.", rich_help_panel=_ENDPOINT)
    ] = None
    max_tokens: Annotated[
        int | None,
        typer.Option(help="Stop after about so many tokens.", rich_help_panel=_ENDPOINT),
    ] = None
    timeout: Annotated[
        float,
        typer.Option(help="Seconds one request may take.", rich_help_panel=_ENDPOINT),
    ] = 60.0
    at_once: Annotated[
        int, typer.Option(help="Requests under way at one time.", rich_help_panel=_ENDPOINT)
    ] = 4
    start: Annotated[
        str,
        typer.Option(
            help="Text sent before every text, such as '<|endoftext|>'; it is not scored.",
            rich_help_panel=_ENDPOINT,
        ),
    ] = ""
    longest: Annotated[
        int | None,
        typer.Option(
            help="Characters sent at once at most; longer texts go in overlapping pieces.",
            rich_help_panel=_ENDPOINT,
        ),
    ] = None
    chat: Annotated[
        bool,
        typer.Option(
            "--chat",
            help="Continue texts by /chat/completions, for models that know no other way.",
            rich_help_panel=_ENDPOINT,
        ),
    ] = False
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only count the requests and tokens; nothing is sent, scored or written.",
            rich_help_panel=_ENDPOINT,
        ),
    ] = False


def reaches_models(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `Reached`; with --dry-run it runs until `all_asked`."""

    @functools.wraps(command)
    def run(*given: Any, how: Reached, **named: Any) -> Any:
        if not how.dry_run:
            return command(*given, how=how, **named)
        rehearse(
            lambda: command(*given, how=how, **named),
            max_queries=how.max_queries,
            max_tokens=how.max_tokens,
            as_json=bool(named.get("as_json")),
        )
        return None

    return takes(Reached, "how")(run)


def reach(
    suspect: str, references: Sequence[str], how: Reached, *, named: Sequence[str] = ()
) -> "tuple[Suspect, list[Suspect]]":
    """Open a suspect and its references.

    The API token goes to one host alone, that of the first endpoint: another's would be a stranger to it.

    Args:
        suspect: What the user called the suspect.
        references: What the user called the references; they get no adapter.
        how: How to reach them.
        named: Every model of the command in its order, if there are more than these.

    Returns:
        The suspect, and the references in their order. They show their progress on standard error.
    """
    if not is_rehearsing():
        quiet_libraries()
    endpoint = endpoint_of(how)
    names = (suspect, *references)
    adapters = [how.adapter, *(None for _ in references)]
    home = next(filter(None, map(_host_of, named or names)), None)
    opened = [
        open_model(name, how, _with_token_at(home, name, endpoint), adapter=adapter)
        for name, adapter in zip(names, adapters, strict=True)
    ]
    return opened[0], opened[1:]


def _with_token_at(home: str | None, name: str, endpoint: "Reaching") -> "Reaching":
    """The same, without the token if the model is at another host than the token's."""
    host = _host_of(name)
    if endpoint.token_variable is None or host is None or host == home:
        return endpoint
    print_note(f"{host} gets no token: {endpoint.token_variable} goes to {home} alone")
    return replace(endpoint, token_variable=None)


def _host_of(name: str) -> str | None:
    """Scheme, host and port of an endpoint's address; None of what is none."""
    if not name.lower().startswith(("http://", "https://")):
        return None
    try:
        parts = urlsplit(name)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except ValueError:
        return "an unfit address"  # refused where it is opened
    return f"{parts.scheme}://{parts.hostname}:{port}"


def endpoint_of(how: Reached, budget: "Budget | None" = None) -> "Reaching":
    """How endpoints are reached.

    Args:
        how: The options.
        budget: One that several models share; default: a new one with the limits of the options.
    """
    from ..provenance.suspect.endpoint import Budget, Patience, Reaching

    own = Budget(max_queries=how.max_queries, max_tokens=how.max_tokens)
    return Reaching(
        token_variable=how.token_variable,
        answers=how.answers,
        start=how.start,
        longest=how.longest,
        chat=how.chat,
        budget=own if budget is None else budget,
        patience=Patience(timeout=how.timeout, at_once=how.at_once),
    )


def open_model(
    name: str, how: Reached, endpoint: "Reaching", *, adapter: Path | None = None
) -> "Suspect":
    """Open one model; it shows its progress on standard error.

    Args:
        name: What the user called it.
        how: How weights are loaded.
        endpoint: How endpoints are reached.
        adapter: Adapter to merge into its weights.
    """
    if is_rehearsing():
        return rehearsed_model(name, endpoint)
    from ..provenance.suspect import open_suspect
    from ..provenance.suspect.local import Dtype, Loading

    loading = Loading(device=how.device, dtype=Dtype(how.dtype.value), adapter=adapter)
    model = open_suspect(name, loading=loading, context=how.context, endpoint=endpoint)
    if hasattr(model, "on_progress"):  # recorded answers are at hand at once
        unit = "questions" if hasattr(model, "record") else "tokens"
        model.on_progress = partial(show_progress, unit=unit)
    return model
