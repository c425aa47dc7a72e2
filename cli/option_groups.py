"""Options that belong together, said once as the fields of a dataclass and given to many commands."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_type_hints

__all__ = ["takes"]

_Command = Callable[..., Any]


def takes(group: type, name: str) -> Callable[[_Command], _Command]:
    """Give a command the fields of a dataclass as options, in place of one of its parameters.

    Args:
        group: A dataclass; each field is annotated with its `typer.Option` and has a default.
        name: The parameter that takes an instance of it.

    Returns:
        The decorator.
    """
    hints = get_type_hints(group, include_extras=True)
    options = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]

    def decorate(command: _Command) -> _Command:
        own = inspect.signature(command)
        kept = [p.replace(kind=p.KEYWORD_ONLY) for n, p in own.parameters.items() if n != name]
        signature = own.replace(parameters=[*kept, *options])

        @functools.wraps(command)
        def with_options(**given: Any) -> Any:
            values = group(**{option.name: given.pop(option.name) for option in options})
            return command(**given, **{name: values})

        with_options.__signature__ = signature  # type: ignore[attr-defined]
        with_options.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        del with_options.__wrapped__  # its signature is not ours
        return with_options

    return decorate
