"""Lease ids: opaque to the caller; a queue's number, a message and a delivery to us.

They carry all that a settlement needs, so nothing about ended leases has to be kept. A keyed digest (BLAKE2b, cut to
64 bits) tells an id of ours from a guess, so no consumer can settle what it was never given.
"""

import binascii
import hashlib
import struct
from functools import lru_cache

from queue_service.message import Lease

_FIELDS = struct.Struct(">I16sI")
_DIGEST_BYTES = 8
# Message ids; together some 4 MB.
_REMEMBERED = 16_384
# Base64 with the URL's alphabet (RFC 4648, section 5); `base64.urlsafe_b64encode` does the same in twice the time.
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/", b"+/!!")


class LeaseIds:
    """Writes and reads the lease ids of one store.

    Args:
        secret: the store's own, kept with it, so that leases survive a restart.
    """

    def __init__(self, secret: bytes) -> None:
        self._keyed = hashlib.blake2b(key=secret, digest_size=_DIGEST_BYTES)

    def encode(self, queue_number: int, lease: Lease) -> str:
        """The id of one delivery."""
        fields = _FIELDS.pack(queue_number, message_id_bytes(lease.message_id), lease.delivery)
        raw = fields + self._digest(fields)
        return binascii.b2a_base64(raw, newline=False).translate(_TO_URL).decode()

    def decode(self, lease_id: str, queue_number: int) -> Lease | None:
        """The lease of that queue, or None when the id is malformed, made up, or of another queue."""
        try:
            raw = binascii.a2b_base64(lease_id.encode().translate(_FROM_URL), strict_mode=True)
        except ValueError:
            return None
        fields, digest = raw[: _FIELDS.size], raw[_FIELDS.size :]
        if len(fields) != _FIELDS.size or digest != self._digest(fields):
            return None
        number, message_id, delivery = _FIELDS.unpack(fields)
        return Lease(message_id_text(message_id), delivery) if number == queue_number else None

    def _digest(self, fields: bytes) -> bytes:
        digest = self._keyed.copy()
        digest.update(fields)
        return digest.digest()


# An id goes through both some eight times on its way from a send to an ack, mostly within a second.
@lru_cache(maxsize=_REMEMBERED)
def message_id_bytes(message_id: str) -> bytes:
    """The 16 bytes of a message id."""
    return bytes.fromhex(message_id.replace("-", ""))


@lru_cache(maxsize=_REMEMBERED)
def message_id_text(raw: bytes) -> str:
    """The 16 bytes of a message id as its text (RFC 9562, section 4)."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
