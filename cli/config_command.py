"""`bookplate config`: which options have another default here, and where that stands."""

from .configuration import FILE, current
from .options import AsJson
from .output import print_json, print_note, print_table

__all__ = ["config"]


def config(as_json: AsJson = False) -> None:
    """Show which options are set by bookplate.toml or by environment variables.

    A command line is stronger than a variable, and a variable stronger than the file. Commands that check
    others' evidence read none of them.
    """
    settings = current()
    if as_json:
        print_json({
            "file": None if settings.file is None else str(settings.file),
            "settings": [
                {
                    "command": " ".join(setting.command),
                    "option": setting.option,
                    "value": setting.value,
                    "source": setting.source,
                }
                for setting in settings.found
            ],
        })
        return
    if not settings.found:
        print_note(f"Nothing is set: there is no {FILE} here, and no variable BOOKPLATE_...")
        return
    print_table(
        ("command", "option", "value", "from"),
        [(" ".join(s.command), f"--{s.option}", _shown(s.value), s.source) for s in settings.found],
    )


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
