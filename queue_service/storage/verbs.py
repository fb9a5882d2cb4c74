"""What the broker asks of a store, as data.

A verb is one atomic change, or look. It carries everything that decides its result, the instant included, so a list of
verbs could as well be a log that several machines replay.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from queue_service.message import DeadLetterReason, Delivery, Message
from queue_service.queue_definition import Queue
from queue_service.redrive import RedriveTask
from queue_service.settlement import LeaseOutcome, Settlement
from queue_service.storage.views import EVERYTHING, Filter, Peeked, Position, QueueStats

R = TypeVar("R")


class Verb(Generic[R]):
    """One atomic change whose result is an ``R``."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class SaveQueues(Verb[tuple[Queue, ...]]):
    """Create or replace queues, all or none; the queues as stored, numbered."""

    queues: tuple[Queue, ...]


@dataclass(frozen=True, slots=True)
class DeleteQueue(Verb[None]):
    """Delete a queue and, with force, the messages it holds. Raises QueueNotFound, QueueNotEmpty."""

    name: str
    force: bool


class SendResult(NamedTuple):
    """The message that stands for a send: a new one, or the earlier one it repeats."""

    message_id: str
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class Send(Verb[tuple[SendResult, ...]]):
    """Store messages, all or none. Raises QueueNotFound, BacklogFull, DeduplicationIdReused.

    Attributes:
        queue: its name.
        messages: in the order in which they are to be delivered.
        now: this instant.
        request_id: when not empty, a repeat within the queue's window gets the first answer and stores nothing.
    """

    queue: str
    messages: tuple[Message, ...]
    now: int
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Leased:
    """What a `Lease` handed out.

    Attributes:
        deliveries: in order of delivery.
        next_at: the instant at which another `Lease` could hand out more, past when more is ready; None when nothing is
            on its way.
        ready_count: messages left that are ready, roughly: counted up to a thousand, and once a second where there are
            as many; 0 while they wait to be more.
    """

    deliveries: tuple[Delivery, ...]
    next_at: int | None
    ready_count: int


@dataclass(frozen=True, slots=True)
class Lease(Verb[Leased]):
    """Hand out ready messages, each under a lease of its own. Raises QueueNotFound.

    Attributes:
        queue: its name.
        now: this instant.
        until: when the leases end.
        limit: messages at most.
        max_bytes: bytes at most; the first message comes whatever its size.
        linger: microseconds that the first ready message waits for ``limit`` to be full; 0: it does not wait.
        consumer_instance: who asks, for the record.
        request_id: when not empty, a repeat gets the first call's leases that are still live.
        attached: whether a push or a stream of this process holds the leases, so that they cannot outlive it.
    """

    queue: str
    now: int
    until: int
    limit: int
    max_bytes: int
    linger: int = 0
    consumer_instance: str = ""
    request_id: str = ""
    attached: bool = False


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A message that left its queue for good: to ``dead_letter_queue``, or dropped where that is empty."""

    message_id: str
    reason: DeadLetterReason
    dead_letter_queue: str


@dataclass(frozen=True, slots=True)
class Settled:
    """What a `Settle`, an `Expire` or a `Purge` did.

    Attributes:
        outcomes: of each settlement, in order; empty for an `Expire`.
        ready_at: by queue, the earliest instant at which a message that moved can be delivered.
        given_up: messages that were dead-lettered or dropped.
        next_at: for an `Expire`, when the next lease or message of the queue ends; None when there is none.
        count: for a `Purge`, the messages that went, or would have gone.
    """

    outcomes: tuple[LeaseOutcome, ...] = ()
    ready_at: Mapping[str, int] = field(default_factory=dict)
    given_up: tuple[GivenUp, ...] = ()
    next_at: int | None = None
    count: int = 0


@dataclass(frozen=True, slots=True)
class Settle(Verb[Settled]):
    """Apply settlements, each on its own. Raises QueueNotFound."""

    queue: str
    settlements: tuple[Settlement, ...]
    now: int


@dataclass(frozen=True, slots=True)
class Expire(Verb[Settled]):
    """End the leases and messages of a queue whose time is over, ``limit`` of each at most. Raises QueueNotFound.

    Attributes:
        queue: its name.
        now: this instant.
        limit: leases, and messages, at most.
        restarted: nothing of an earlier process lives any more: release, at no cost, the leases attached to it.
    """

    queue: str
    now: int
    limit: int = 1000
    restarted: bool = False


@dataclass(frozen=True, slots=True)
class Stats(Verb[QueueStats]):
    """Count. Raises QueueNotFound."""

    queue: str
    now: int


@dataclass(frozen=True, slots=True)
class Peek(Verb[tuple[Peeked, ...]]):
    """Look at messages without touching them. Raises QueueNotFound.

    They come in the order of delivery as far as one exists: the line, then what waits for its ordering key, then what
    is leased, by the end of the lease.

    Attributes:
        queue: its name.
        now: this instant.
        limit: messages at most.
        max_bytes: bytes at most; the first message comes whatever its size.
        filter: which messages.
        after: the position of the last message of the page before; None for the first page.
    """

    queue: str
    now: int
    limit: int
    max_bytes: int
    filter: Filter = EVERYTHING
    after: Position | None = None


@dataclass(frozen=True, slots=True)
class Purge(Verb[Settled]):
    """Remove messages, leased ones too, or only count them. Raises QueueNotFound.

    Attributes:
        queue: its name.
        now: this instant.
        filter: which messages; places are not looked at.
        force: whether to remove them.
        cancel: leave leased messages alone, and count what goes as cancelled.
    """

    queue: str
    now: int
    filter: Filter = EVERYTHING
    force: bool = True
    cancel: bool = False


@dataclass(frozen=True, slots=True)
class Redriven:
    """A task after a `Redrive`, and what the step did."""

    task: RedriveTask
    settled: Settled


@dataclass(frozen=True, slots=True)
class Redrive(Verb[Redriven]):
    """Keep a task as it is given and, while it is RUNNING, move messages of it; leased ones stay.

    A message is moved and counted in one go, so a crash neither copies nor loses one.

    Attributes:
        task: the task.
        now: this instant.
        limit: messages to move at most; 0 only keeps the task.
    """

    task: RedriveTask
    now: int
    limit: int = 0
