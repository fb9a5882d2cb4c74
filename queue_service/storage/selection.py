"""Which messages a delivery takes and what becomes of those that end: decisions that every store shares."""

from collections.abc import Iterable

from queue_service.delivery_state import DeliveryState, Rank
from queue_service.errors import BacklogFull, RequestIdReused
from queue_service.message import DeadLetter, DeadLetterReason, Delivery, Message, failures_bytes
from queue_service.message import Lease as LeaseNumber
from queue_service.queue_definition import Queue
from queue_service.redrive import RedriveTask
from queue_service.retry_policy import is_final
from queue_service.settlement import LeaseOutcome
from queue_service.storage.verbs import GivenUp, Lease, Peek, Send, SendResult, Settled
from queue_service.storage.views import Filter, Peeked, Place, Position

#: Bytes on the wire of one batch or page at most; gRPC's default limit of a message received is 4 MiB.
MAX_WIRE_BYTES = 3 * 1024 * 1024
#: Ready messages that are counted at most: the count is a hint, and a long line must not be walked for it.
COUNT_LIMIT = 1000


def chosen(ready: Iterable[DeliveryState], verb: Lease) -> list[DeliveryState]:
    """The messages, of those ready in order, that fit the bounds of one delivery."""
    taken: list[DeliveryState] = []
    room, wire_room = verb.max_bytes, MAX_WIRE_BYTES
    for state in ready:
        room -= state.size
        wire_room -= state.wire
        if len(taken) == verb.limit or (taken and (room < 0 or wire_room < 0)):
            break
        taken.append(state)
    return taken


def lingers_until(first_ready_at: int, ready_count: int, verb: Lease) -> int | None:
    """Until when a delivery waits to be fuller; None when it goes out now."""
    end = first_ready_at + verb.linger
    return end if ready_count < verb.limit and verb.now < end else None


def new_state(message: Message, serial: int = 0) -> DeliveryState:
    """The state of a message that nobody in its queue has had yet, after ``serial`` leases in others."""
    due_at = message.send_time if message.deliver_time is None else message.deliver_time
    failures = message.dead_letter.failures if message.dead_letter else ()
    return DeliveryState(
        message.message_id,
        due_at,
        message.expire_time,
        message.size,
        message.wire_size,
        serial,
        ordering_key=message.ordering_key,
        code=failures[0].code if failures else "",
    )


def delivery(state: DeliveryState, message: Message, queue: Queue) -> Delivery:
    """What the consumer of a leased message is handed."""
    policy = queue.consumer.retry_policy
    return Delivery(
        lease=LeaseNumber(state.message_id, state.serial),
        delivery_count=state.deliveries,
        message=message,
        attempt=state.failed + 1,
        last_attempt=is_final(policy, state.failed + 1),
        lease_expire_time=state.due_at,
    )


def dead_letter(state: DeliveryState, message: Message, queue: Queue, reason: DeadLetterReason, now: int) -> DeadLetter:
    """The record that travels with a dead letter."""
    return DeadLetter(
        reason=reason,
        source_queue=queue.name,
        attempts=state.failed,
        source_send_time=message.send_time,
        dead_letter_time=now,
        failures=state.failures,
        redrive_count=message.dead_letter.redrive_count if message.dead_letter else 0,
    )


def as_dead_letter(message: Message, record: DeadLetter, destination: Queue, now: int) -> Message:
    """The message as the dead letter queue keeps it: the same, but for its times and its deduplication id."""
    return message._replace(
        deduplication_id="",
        send_time=now,
        deliver_time=None,
        expire_time=now + destination.message_retention,
        dead_letter=record,
    )


def repeated(verb: Send, answer: tuple[SendResult, ...]) -> tuple[SendResult, ...]:
    """The first answer to a send; raises RequestIdReused when this one is no repeat of it."""
    if len(answer) != len(verb.messages):
        raise RequestIdReused(verb.request_id)
    return answer


def check_backlog(queue: Queue, count: int, size: int) -> None:
    """Raise BacklogFull when a queue would hold more messages, or bytes, than it may."""
    if queue.max_backlog_messages and count > queue.max_backlog_messages:
        raise BacklogFull(queue.name, f"max_backlog_messages is {queue.max_backlog_messages}")
    if queue.max_backlog_bytes and size > queue.max_backlog_bytes:
        raise BacklogFull(queue.name, f"max_backlog_bytes is {queue.max_backlog_bytes}")


def blocked(state: DeliveryState) -> DeliveryState:
    """The state of a new message behind others of its ordering key."""
    return state._replace(rank=Rank.BLOCKED)


def fits(state: DeliveryState, message: Message, wanted: Filter, now: int) -> bool:
    """Whether a filter means a message."""
    return (
        (not wanted.places or place(state, now) in wanted.places)
        and (not wanted.codes or state.code in wanted.codes)
        and (not wanted.message_ids or state.message_id in wanted.message_ids)
        and (wanted.sent_before is None or message.send_time < wanted.sent_before)
    )


def redrive_filter(task: RedriveTask) -> Filter:
    """The messages that a task moves: those there when it was made."""
    return Filter(codes=task.codes, message_ids=task.message_ids, sent_before=task.create_time + 1)


def peeked(state: DeliveryState, message: Message, now: int) -> Peeked:
    """A message as a peek shows it."""
    return Peeked(message, state, place(state, now))


def place(state: DeliveryState, now: int) -> Place:
    """Where a message is at an instant."""
    if state.leased:
        return Place.LEASED
    return Place.DELAYED if state.blocked or state.due_at > now else Place.READY


def wire_bytes(state: DeliveryState) -> int:
    """Bytes of a message in a peek at most: a delivery's, and the failures of its attempts so far."""
    return state.wire + failures_bytes(state.failures)


def position(state: DeliveryState) -> Position:
    """Where a message stands in the order of a `Peek`."""
    return Position(state.rank, state.due_at, state.message_id)


def fitting(found: Iterable[DeliveryState], verb: Peek) -> list[DeliveryState]:
    """As many states, in order, as one page takes."""
    page: list[DeliveryState] = []
    room = verb.max_bytes
    for state in found:
        room -= wire_bytes(state)
        if len(page) == verb.limit or (page and room < 0):
            break
        page.append(state)
    return page


class Effects:
    """What a verb did beside its outcomes, gathered while it runs."""

    def __init__(self) -> None:
        self._ready_at: dict[str, int] = {}
        self._given_up: list[GivenUp] = []
        self.outcomes: list[LeaseOutcome] = []

    def ready(self, queue: str, at: int) -> None:
        """A message of ``queue`` can be delivered at that instant."""
        self._ready_at[queue] = min(at, self._ready_at.get(queue, at))

    def gave_up(self, message_id: str, reason: DeadLetterReason, dead_letter_queue: str, now: int) -> None:
        """A message left its queue, for a dead letter queue or for good."""
        self._given_up.append(GivenUp(message_id, reason, dead_letter_queue))
        if dead_letter_queue:
            self.ready(dead_letter_queue, now)

    def settled(self, next_at: int | None = None, count: int = 0) -> Settled:
        """All of it, as the verb's result."""
        return Settled(tuple(self.outcomes), self._ready_at, tuple(self._given_up), next_at, count)
