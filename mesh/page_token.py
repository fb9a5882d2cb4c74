"""Page tokens: opaque to the caller, a position in a sorted list to us; never an offset, so pages stay put.

A digest in front tells a token of this very list from one of another method or queue, and from what is left of one.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import TypeVar

from google.protobuf.message import Message

from mesh.errors import InvalidArgument, Violation

M = TypeVar("M", bound=Message)

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
#: Bytes of one page at most, as the contracts promise; gRPC's default limit of a message received is 4 MiB.
MAX_PAGE_BYTES = 3 * 1024 * 1024
# What an item takes beside its own bytes: a tag and a length.
_FRAMING = 8
_DIGEST_BYTES = 6


def page_size(requested: int) -> int:
    """The size of a page: the default for 0, cut to the most there is."""
    return min(requested or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def fitting(items: Sequence[Message]) -> int:
    """How many of the items, from the first on and one at least, fit into one page."""
    room = MAX_PAGE_BYTES
    for count, item in enumerate(items):
        room -= item.ByteSize() + _FRAMING
        if count and room < 0:
            return count
    return len(items)


def cut(items: Sequence[M], positions: Sequence[str], last: str, scope: str) -> tuple[Sequence[M], str]:
    """What of a page fits into one answer, and the token of the next page.

    Args:
        items: the page as it is encoded.
        positions: where each of them stands in the list.
        last: the position to go on from when all of them fit; empty at the end of the list.
        scope: see `encode`.
    """
    count = fitting(items)
    return items[:count], encode(last if count == len(items) else positions[count - 1], scope)


def encode(position: str, scope: str = "") -> str:
    """The token of the page after ``position``, empty at the end, where that is empty.

    ``scope`` names the list, where a service has several.
    """
    if not position:
        return ""
    raw = position.encode()
    return base64.urlsafe_b64encode(_digest(raw, scope) + raw).decode().rstrip("=")


def decode(token: str, scope: str = "") -> str:
    """The position in a token of that list, empty for the first page.

    Raises:
        InvalidArgument: we did not make the token, or not for that list.
    """
    if not token:
        return ""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        position = raw[_DIGEST_BYTES:].decode()
        if encode(position, scope) != token:
            raise ValueError(token)
        return position
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        said = f"is not a token of an earlier page of this list: {token[:64]!r}"
        raise InvalidArgument([Violation("page_token", said)]) from error


def _digest(position: bytes, scope: str) -> bytes:
    return hashlib.blake2b(scope.encode() + b"\0" + position, digest_size=_DIGEST_BYTES).digest()
