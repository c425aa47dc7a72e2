"""One's own letterhead on a report: a name, an address, a logo and a colour, and never a program.

It is part of report.json, so that whoever checks a report draws the same page. A template language
would let the letterhead say anything about the findings; this one cannot touch them.
"""

import base64
import binascii
import hashlib
import json
import re
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from ...errors import InvalidInput
from .colours import LEAST_CONTRAST, contrast
from .typed import require_types

__all__ = ["LARGEST_LOGO", "Letterhead"]

LARGEST_LOGO = 200_000  # bytes
_COLOUR = re.compile(r"(#[0-9a-f]{6})?", re.ASCII)
_SIGNATURES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/svg+xml": b"<"}
_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}
_GROUNDS = ("#ffffff", "#f4f4f1")  # of the page, and of its boxes
_MOST_LINES = 8
_LARGEST_FILE = 64_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """Who the report comes from, as printed at its head.

    Attributes:
        name: Of the laboratory or person.
        lines: Address, telephone, accreditation; at most 8.
        accent: Colour of rules and headings as `#rrggbb`, lower case; empty for ours. It must stand out
            from the paper by at least 4.5 to 1.
        footer: A line at the end of the report; may be empty.
        logo: A picture in base64, at most 200 kB before; empty for none.
        logo_type: `image/png` or `image/svg+xml`; empty without a logo.
    """

    name: str
    lines: tuple[str, ...] = ()
    accent: str = ""
    footer: str = ""
    logo: str = ""
    logo_type: str = ""

    def __post_init__(self) -> None:
        require_types(self)
        if not self.name:
            raise InvalidInput("letterhead: has no name")
        if len(self.lines) > _MOST_LINES:
            raise InvalidInput(f"letterhead: expected at most {_MOST_LINES} lines of address")
        if not _COLOUR.fullmatch(self.accent):
            raise InvalidInput(
                f"letterhead, accent: expected a colour like #0b3d66, got {self.accent!r:.40}"
            )
        if self.accent and min(contrast(self.accent, g) for g in _GROUNDS) < LEAST_CONTRAST:
            raise InvalidInput(
                f"letterhead, accent: {self.accent} is too pale to be read on paper",
                f"choose a darker colour: the contrast must be at least {LEAST_CONTRAST} to 1",
            )
        if bool(self.logo) != bool(self.logo_type):
            raise InvalidInput("letterhead: a logo and its type come together")
        if self.logo:
            _check_logo(self.logo, self.logo_type)

    @property
    def sha256(self) -> str:
        """Digest of all it says, in canonical JSON."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a TOML file with the keys `name`, `lines`, `accent`, `footer` and `logo`.

        `logo` is the name of a PNG or SVG file beside the TOML file.

        Args:
            path: The TOML file, or a folder that holds `letterhead.toml`.

        Returns:
            The letterhead.

        Raises:
            InvalidInput: If the file cannot be read, or says something else.
        """
        path = path / "letterhead.toml" if path.is_dir() else path
        try:
            fields = tomllib.loads(_bytes(path, _LARGEST_FILE).decode())
        except ValueError as error:
            raise InvalidInput(f"{path}: not TOML in UTF-8: {error}") from error
        unknown = sorted(fields.keys() - {"name", "lines", "accent", "footer", "logo"})
        if unknown:
            raise InvalidInput(f"{path}: unknown key {unknown[0]!r:.60}")
        logo = fields.pop("logo", "")
        if not isinstance(logo, str) or logo != Path(logo).name:
            raise InvalidInput(f"{path}, logo: expected the name of a file beside it")
        if logo:
            fields["logo_type"] = _TYPES.get(Path(logo).suffix.lower(), "")
            if not fields["logo_type"]:
                raise InvalidInput(f"{path}, logo: expected a PNG or SVG file, got {logo!r:.60}")
            fields["logo"] = base64.b64encode(_bytes(path.parent / logo, LARGEST_LOGO)).decode()
        if isinstance(fields.get("lines"), list):
            fields["lines"] = tuple(fields["lines"])
        if isinstance(fields.get("accent"), str):
            fields["accent"] = fields["accent"].lower()
        return cls(**{"name": "", **fields})


def _bytes(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > limit:
        raise InvalidInput(f"{path}: is larger than {limit:,} bytes")
    return data


def _check_logo(logo: str, logo_type: str) -> None:
    if logo_type not in _SIGNATURES:
        raise InvalidInput(
            f"letterhead, logo_type: expected one of {', '.join(_SIGNATURES)}, got {logo_type!r:.40}"
        )
    try:
        data = base64.b64decode(logo, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"letterhead, logo: not base64: {error}") from error
    if base64.b64encode(data).decode() != logo:
        raise InvalidInput("letterhead, logo: not base64 in its one canonical form")
    if len(data) > LARGEST_LOGO:
        raise InvalidInput(f"letterhead, logo: is larger than {LARGEST_LOGO:,} bytes")
    if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_SIGNATURES[logo_type]):
        raise InvalidInput(f"letterhead, logo: is no {logo_type}")
