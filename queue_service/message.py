"""Messages, and what a consumer is handed: the nouns of the contract, frozen.

Instants and durations are microseconds (`mesh.clock`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

# On the wire a delivery's ids, times, counts and framing come to some 300 bytes, the source queue's name included.
ENVELOPE_BYTES = 512


class DeadLetterReason(IntEnum):
    """Why a message was given up; the contract's numbers, which are stored."""

    MAX_RETRIES = 1
    REJECTED = 2
    EXPIRED = 3


@dataclass(frozen=True, slots=True)
class AttemptFailure:
    """One failed attempt."""

    attempt: int
    failure_time: int
    consumer_instance: str
    code: str
    description: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Where a dead letter comes from and what happened to it there; failures newest first."""

    reason: DeadLetterReason
    source_queue: str
    attempts: int
    source_send_time: int
    dead_letter_time: int
    failures: tuple[AttemptFailure, ...]
    redrive_count: int = 0


# What the broker makes for every message are tuples: a frozen dataclass takes five times as long to make, or to change.


class NewMessage(NamedTuple):
    """A message as its producer states it. None in a time means that the producer did not say.

    Attributes:
        content: what the consumer gets as it came, body and attributes among it; to the broker these are bytes.
        size: bytes of body and attributes, which is what the limits count.
        digest: of the body; only of a message with a deduplication id.
    """

    content: bytes
    size: int
    digest: bytes = b""
    deduplication_id: str = ""
    ordering_key: str = ""
    delay: int | None = None
    deliver_time: int | None = None
    ttl: int | None = None
    expire_time: int | None = None


class Message(NamedTuple):
    """A message as the broker keeps it; it never changes until it is dead-lettered.

    ``digest`` is known while it is being sent: a store keeps it with the deduplication id, not with the message.
    """

    message_id: str
    content: bytes
    size: int
    send_time: int
    deliver_time: int | None
    expire_time: int
    deduplication_id: str = ""
    digest: bytes = b""
    ordering_key: str = ""
    dead_letter: DeadLetter | None = None

    @property
    def wire_size(self) -> int:
        """Bytes of a delivery of it at most: everything it carries, and room for ids, times and framing."""
        size = len(self.content) + ENVELOPE_BYTES
        if names := self.deduplication_id + self.ordering_key:
            size += len(names.encode())
        return size + (failures_bytes(self.dead_letter.failures) if self.dead_letter else 0)


def failures_bytes(failures: Sequence[AttemptFailure]) -> int:
    """Bytes of failures on the wire at most."""
    texts = (text for failure in failures for text in (failure.consumer_instance, failure.code, failure.description))
    return sum(len(text.encode()) for text in texts) + 64 * len(failures)


class Lease(NamedTuple):
    """One delivery of one message, as far as a settlement must name it.

    ``delivery`` counts every lease that the message ever had, in whichever queue.
    """

    message_id: str
    delivery: int


class Delivery(NamedTuple):
    """A message in a consumer's hands, with everything to decide what to do about a failure."""

    lease: Lease
    message: Message
    delivery_count: int
    attempt: int
    last_attempt: bool
    lease_expire_time: int
