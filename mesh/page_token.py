"""Page tokens: opaque to the caller, a position in a sorted list to us; never an offset, so pages stay put."""

import base64
import binascii

from mesh.errors import InvalidArgument, Violation

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000


def page_size(requested: int) -> int:
    """The size of a page: the default for 0, cut to the most there is."""
    return min(requested or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def encode(position: str) -> str:
    """The token of the page after ``position``."""
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def decode(token: str) -> str:
    """The position in a token, empty for the first page; raises InvalidArgument for a token we did not make."""
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise InvalidArgument([Violation("page_token", "is not a token of an earlier page")]) from error
