"""Lease ids: opaque to the caller; a queue's number, a message and a delivery to us.

They carry all that a settlement needs, so nothing about ended leases has to be kept. A keyed digest (BLAKE2b, cut to
64 bits) tells an id of ours from a guess, so no consumer can settle what it was never given.
"""

import base64
import binascii
import hashlib
import struct

from queue_service.message import Lease

_FIELDS = struct.Struct(">I16sI")
_DIGEST_BYTES = 8


class LeaseIds:
    """Writes and reads the lease ids of one store.

    Args:
        secret: the store's own, kept with it, so that leases survive a restart.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def encode(self, queue_number: int, lease: Lease) -> str:
        """The id of one delivery."""
        fields = _FIELDS.pack(queue_number, bytes.fromhex(lease.message_id.replace("-", "")), lease.delivery)
        return base64.urlsafe_b64encode(fields + self._digest(fields)).decode()

    def decode(self, lease_id: str, queue_number: int) -> Lease | None:
        """The lease of that queue, or None when the id is malformed, made up, or of another queue."""
        try:
            raw = base64.b64decode(lease_id, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        fields, digest = raw[: _FIELDS.size], raw[_FIELDS.size :]
        if len(fields) != _FIELDS.size or digest != self._digest(fields):
            return None
        number, message_id, delivery = _FIELDS.unpack(fields)
        return Lease(message_id_text(message_id), delivery) if number == queue_number else None

    def _digest(self, fields: bytes) -> bytes:
        return hashlib.blake2b(fields, key=self._secret, digest_size=_DIGEST_BYTES).digest()


def message_id_text(raw: bytes) -> str:
    """The 16 bytes of a message id as its text (RFC 9562, section 4)."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
