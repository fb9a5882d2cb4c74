"""A producer's message made the broker's: times resolved against the queue, as one pure function."""

from collections.abc import Callable, Sequence

from mesh.errors import InvalidArgument, Violation
from queue_service.message import Message, NewMessage
from queue_service.queue_definition import DAY, Queue

#: How far ahead a delivery, or an expiry, may be fixed.
MAX_DELAY = 7 * DAY
MAX_TTL = 30 * DAY


def admit_all(
    messages: Sequence[NewMessage], queue: Queue, identifiers: Callable[[], str], now: int, path: str
) -> tuple[Message, ...]:
    """The messages to store; ``path`` has room for the number of a message.

    Raises:
        InvalidArgument: of all of them, the times outside what the contract allows.
    """
    admitted: list[Message] = []
    violations: list[Violation] = []
    for index, message in enumerate(messages):
        try:
            admitted.append(admit(message, queue, identifiers(), now, path, index))
        except InvalidArgument as error:
            violations += error.violations
    if violations:
        raise InvalidArgument(violations)
    return tuple(admitted)


def admit(new: NewMessage, queue: Queue, message_id: str, now: int, path: str, index: int = 0) -> Message:
    """The message to store.

    Raises:
        InvalidArgument: a time lies outside what the contract allows; ``path``, with room for the number of the
            message, leads to it in the request.
    """
    deliver_time: int | None = None
    if new.delay is None and new.deliver_time is None and new.expire_time is None and not queue.delivery_delay:
        expire_time = now + (queue.message_retention if new.ttl is None else new.ttl)
    else:
        deliver_time, expire_time = _times(new, queue, now, path.format(index))
    return Message(
        message_id,
        new.content,
        new.size,
        now,
        deliver_time,
        expire_time,
        new.deduplication_id,
        new.digest,
        new.ordering_key,
    )


def _times(new: NewMessage, queue: Queue, now: int, path: str) -> tuple[int | None, int]:
    deliver_time = _deliver_time(new, queue, now)
    begins = max(now, deliver_time or now)
    violations = []
    if deliver_time is not None and deliver_time > now + MAX_DELAY:
        days = (deliver_time - now) / DAY
        violations.append(Violation(f"{path}.deliver_time", f"must be at most 7 d ahead, is {days:.2f} d ahead"))
    if new.ordering_key and (new.delay or new.deliver_time is not None):
        field = "delay" if new.delay else "deliver_time"
        violations.append(Violation(f"{path}.{field}", "may not be set on a message with an ordering_key"))
    if new.expire_time is not None and not begins < new.expire_time <= begins + MAX_TTL:
        seconds = (new.expire_time - begins) / 1e6
        violations.append(
            Violation(
                f"{path}.expire_time", f"must be within 30 d after the delivery may begin, is {seconds:.3f} s after it"
            )
        )
    if violations:
        raise InvalidArgument(violations)
    if new.expire_time is not None:
        return deliver_time if begins > now else None, new.expire_time
    kept = queue.message_retention if new.ttl is None else new.ttl
    return deliver_time if begins > now else None, begins + kept


def _deliver_time(new: NewMessage, queue: Queue, now: int) -> int | None:
    if new.deliver_time is not None:
        return new.deliver_time
    delay = queue.delivery_delay if new.delay is None else new.delay
    return now + delay if delay else None
