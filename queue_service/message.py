"""Messages, and what a consumer is handed: the nouns of the contract, frozen.

Instants and durations are microseconds (`mesh.clock`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

# On the wire a delivery's ids, times, counts and framing come to some 300 bytes, the source queue's name included.
ENVELOPE_BYTES = 512


class BodyKind(IntEnum):
    """Which of the contract's bodies a message has; the numbers are stored."""

    NONE = 0
    TEXT = 1
    JSON = 2
    DATA = 3
    TYPED = 4


@dataclass(frozen=True, slots=True)
class Body:
    """A body as bytes, whatever its kind: text and JSON as UTF-8."""

    kind: BodyKind
    value: bytes
    type_name: str = ""

    def digest(self) -> bytes:
        """16 bytes that two bodies share only when they are the same."""
        head = f"{int(self.kind)}:{self.type_name}:".encode()
        return hashlib.blake2b(head + self.value, digest_size=16).digest()


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


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message as its producer states it. None in a time means that the producer did not say."""

    body: Body
    attributes: Mapping[str, str]
    content_type: str = ""
    deduplication_id: str = ""
    ordering_key: str = ""
    delay: int | None = None
    deliver_time: int | None = None
    ttl: int | None = None
    expire_time: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message as the broker keeps it; it never changes until it is dead-lettered."""

    message_id: str
    body: Body
    attributes: Mapping[str, str]
    content_type: str
    deduplication_id: str
    ordering_key: str
    send_time: int
    deliver_time: int | None
    expire_time: int
    producer: str = ""
    dead_letter: DeadLetter | None = None

    @property
    def size(self) -> int:
        """Bytes of body and attributes, which is what the limits count."""
        size = len(self.body.value)
        for key, value in self.attributes.items():
            size += len(key) + len(value.encode())
        return size

    @property
    def wire_size(self) -> int:
        """Bytes of a delivery of it at most: everything it carries, and room for ids, times and framing."""
        names = (self.body.type_name, self.content_type, self.deduplication_id, self.ordering_key, self.producer)
        size = self.size + sum(len(name.encode()) for name in names) + 16 * len(self.attributes) + ENVELOPE_BYTES
        return size + (failures_bytes(self.dead_letter.failures) if self.dead_letter else 0)


def failures_bytes(failures: Sequence[AttemptFailure]) -> int:
    """Bytes of failures on the wire at most."""
    texts = (text for failure in failures for text in (failure.consumer_instance, failure.code, failure.description))
    return sum(len(text.encode()) for text in texts) + 64 * len(failures)


@dataclass(frozen=True, slots=True)
class Lease:
    """One delivery of one message, as far as a settlement must name it.

    ``delivery`` counts every lease that the message ever had, in whichever queue.
    """

    message_id: str
    delivery: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message in a consumer's hands, with everything to decide what to do about a failure."""

    lease: Lease
    message: Message
    delivery_count: int
    attempt: int
    last_attempt: bool
    lease_expire_time: int
