"""Where an endpoint is, and which token opens it: what must never be sent or shown is refused here."""

import ipaddress
import os
from urllib.parse import urlsplit

from ....errors import InvalidInput

__all__ = ["checked_url", "is_loopback", "token_in"]


def checked_url(url: str, *, with_token: bool) -> str:
    """The address of an API without a slash at its end.

    Raises:
        InvalidInput: If it is none, holds a password or parameters, or would send a token in the clear.
    """
    try:
        parts = urlsplit(url)
        host, has_login, _ = parts.hostname, "@" in parts.netloc, parts.port
    except ValueError:
        host, has_login, parts = None, "@" in url, urlsplit("")
    if has_login:
        raise InvalidInput(
            "the address of the endpoint holds a user name or password",
            "put the API token into an environment variable",
        )
    if parts.query or "?" in url:
        raise InvalidInput(
            "the address of the endpoint holds parameters, which may be secret",
            "expected one such as https://api.example.org/v1",
        )
    if parts.scheme not in {"http", "https"} or not host or parts.fragment:
        raise InvalidInput(
            f"{url!r} is no address of an API", "expected one such as https://api.example.org/v1"
        )
    if with_token and parts.scheme == "http" and not is_loopback(host):
        raise InvalidInput(
            f"{url}: would send the API token over the network unencrypted", "use https"
        )
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, so that what is sent to it crosses no network."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def token_in(variable: str | None) -> str:
    """The API token in an environment variable; empty if no variable is named.

    Raises:
        InvalidInput: If it is empty, or holds what no header may.
    """
    if variable is None:
        return ""
    token = os.environ.get(variable, "").strip()
    if not token or not token.isascii() or not token.isprintable() or set(' "\\') & set(token):
        raise InvalidInput(
            f"the environment variable {variable} holds no API token",
            f"export {variable}=... in the shell that runs this",
        )
    return token
