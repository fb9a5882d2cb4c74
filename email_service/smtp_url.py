"""The mail server as a URL names it: ``smtp://user:password@host:port`` or ``smtps://``."""

import ipaddress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

_ALLOWED = "must be smtp://user:password@host:port or smtps://..., with user and password both or neither"
_PORTS = {"smtp": 25, "smtps": 465}

#: Whether STARTTLS is taken where it is offered, or a server without it is of no use.
Tls = Literal["offered", "required"]


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed in; ``tls`` from the first byte, else STARTTLS when the server offers it."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine by its very name, so that no network carries what is said."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def parse_smtp_url(text: str) -> SmtpServer:
    """The server a URL names; raises ValueError saying what is allowed, never repeating the URL and its password."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # its text would repeat a part of the URL
        raise ValueError(_ALLOWED) from None
    if parts.scheme not in _PORTS or not parts.hostname or port == 0 or _has_more(parts):
        raise ValueError(_ALLOWED)
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    if (username is None) != (password is None):
        raise ValueError(_ALLOWED)
    return SmtpServer(parts.hostname, port or _PORTS[parts.scheme], parts.scheme == "smtps", username, password)


def _has_more(parts: SplitResult) -> bool:
    return parts.path not in {"", "/"} or bool(parts.query or parts.fragment)
