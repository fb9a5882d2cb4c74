"""The headers of bulk mail, by which mailbox providers offer their readers to unsubscribe."""

from collections.abc import Iterator
from email.policy import Policy
from typing import Self

from email_service.content import Newsletter
from email_service.web_address import web_address

# RFC 5322, section 2.1.1: a line has at most 998 octets, its end apart.
_LINE_OCTETS = 998


class WholeHeader(str):
    """A value in ASCII that goes out as it stands.

    The standard library makes encoded words of a long one. These do not belong in such headers (RFC 2047, section 5),
    and mailbox providers do not decode them there: the reader would find no way to unsubscribe.
    """

    name: str

    def __new__(cls, name: str, value: str) -> Self:
        """The header of that name."""
        assert value.isascii(), "a whole header is ASCII"
        assert value.isprintable(), "a whole header is one line"
        header = super().__new__(cls, value)
        header.name = name
        return header

    def fold(self, *, policy: Policy) -> str:
        """The header on one line; more only where the limit of a line leaves no choice.

        White space within the angle brackets of a List- header is ignored (RFC 2369, section 2).
        """
        text, room = f"{self.name}: {self}", _LINE_OCTETS - 1
        return f"{policy.linesep} ".join(text[at : at + room] for at in range(0, len(text), room)) + policy.linesep


def bulk_headers(newsletter: Newsletter, domain: str) -> Iterator[WholeHeader]:
    """The headers of one newsletter (RFC 2369, RFC 2919); a single click unsubscribes over https only (RFC 8058)."""
    address = web_address(newsletter.unsubscribe_url)
    yield WholeHeader("List-Id", f"<{newsletter.kind}.{domain}>")
    yield WholeHeader("List-Unsubscribe", f"<{address}>")
    if address.startswith("https://"):
        yield WholeHeader("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
