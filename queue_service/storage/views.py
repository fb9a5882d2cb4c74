"""What a look at a queue shows: where a message is, how the queue stands, and which messages are meant."""

from dataclasses import dataclass
from enum import IntEnum

from queue_service.delivery_state import DeliveryState
from queue_service.message import Message


@dataclass(frozen=True, slots=True)
class Totals:
    """What happened in a queue since it was created."""

    sent: int = 0
    deduplicated: int = 0
    delivered: int = 0
    acked: int = 0
    retried: int = 0
    released: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    expired: int = 0
    purged: int = 0
    cancelled: int = 0
    redriven: int = 0


@dataclass(frozen=True, slots=True)
class QueueStats:
    """How a queue stands at an instant; ``oldest_ready_at`` is None when nothing is ready."""

    ready_count: int
    delayed_count: int
    leased_count: int
    backlog_bytes: int
    oldest_ready_at: int | None
    totals: Totals


class Place(IntEnum):
    """Where in its queue a message is; the contract's numbers."""

    READY = 1
    DELAYED = 2
    LEASED = 3


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages of a queue are meant: those that every given criterion fits; empty ones fit all.

    Attributes:
        places: where they are at this instant.
        codes: of their newest failure.
        message_ids: only these.
        sent_before: an instant; None for any.
    """

    places: frozenset[Place] = frozenset()
    codes: frozenset[str] = frozenset()
    message_ids: frozenset[str] = frozenset()
    sent_before: int | None = None


#: The filter that fits all.
EVERYTHING = Filter()


@dataclass(frozen=True, slots=True)
class Peeked:
    """A message as it lies in its queue, and where."""

    message: Message
    state: DeliveryState
    place: Place


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ended, in the order of `Peek`."""

    rank: int
    due_at: int
    message_id: str
