"""Rows to domain and back: the one place that knows how a message lies in its tables."""

import json
from dataclasses import asdict
from typing import Any

from queue_service.delivery_state import DeliveryState, Rank
from queue_service.lease_id import message_id_bytes, message_id_text
from queue_service.message import AttemptFailure, DeadLetter, DeadLetterReason, Message
from queue_service.queue_definition import Pause, Queue, from_settable, settable

Row = Any  # a SQLAlchemy row, whose columns are attributes
Values = tuple[Any, ...]  # a row as the driver has it, in the order of the columns

_RANKS = tuple(Rank)


def queue_values(queue: Queue) -> dict[str, Any]:
    """A queue as its row, without the number."""
    definition = json.dumps(settable(queue), sort_keys=True)
    times = {"create_time": queue.create_time, "update_time": queue.update_time}
    pause = json.dumps(asdict(queue.pause)) if queue.pause else None
    return {"name": queue.name, "definition": definition, "pause": pause, **times}


def queue_of(row: Row) -> Queue:
    """The queue in a row."""
    plain = json.loads(row.definition)
    pause = Pause(**json.loads(row.pause)) if row.pause else None
    times = {"create_time": row.create_time, "update_time": row.update_time}
    return from_settable(plain, **times, number=row.number, pause=pause)


def message_row(queue_number: int, message: Message) -> Values:
    """A message as its row."""
    return (
        queue_number,
        message_id_bytes(message.message_id),
        message.content,
        message.deduplication_id,
        message.send_time,
        message.deliver_time,
        dead_letter_text(message.dead_letter),
    )


def message_of(row: Values, state: DeliveryState) -> Message:
    """The message in a row; what its delivery state says too is not in there."""
    _, _, content, deduplication_id, send_time, deliver_time, dead_letter = row
    return Message(
        state.message_id,
        content,
        state.size,
        send_time,
        deliver_time,
        state.expire_time,
        deduplication_id,
        b"",
        state.ordering_key,
        _dead_letter_of(dead_letter) if dead_letter else None,
    )


def new_row(queue_number: int, state: DeliveryState) -> Values:
    """What the row of a message that nobody in its queue has had yet says beside `schema.UNTOUCHED`."""
    return (
        queue_number,
        message_id_bytes(state.message_id),
        state.rank,
        state.due_at,
        state.expire_time,
        state.size,
        state.wire,
        state.serial,
        state.ordering_key or None,
        state.code,
    )


def changed_row(queue_number: int, state: DeliveryState) -> Values:
    """What a settlement changes in a row, and which row that is; in the order of `schema.CHANGED`."""
    failures = json.dumps([asdict(failure) for failure in state.failures]) if state.failures else None
    changed = (
        state.rank,
        state.due_at,
        int(state.lapsed),
        state.failed,
        state.request_id or None,
        failures,
        state.code,
    )
    return (*changed, queue_number, message_id_bytes(state.message_id))


def state_of(row: Values) -> DeliveryState:
    """The delivery state in a row of all its columns."""
    _, raw, rank, due_at, expire_time, size, wire, serial, key, lapsed, attached, failed, deliveries, *rest = row
    consumer_instance, request_id, failures, code = rest
    return DeliveryState(
        message_id_text(raw),
        due_at,
        expire_time,
        size,
        wire,
        serial,
        key or "",
        _RANKS[rank],
        bool(lapsed),
        bool(attached),
        failed,
        deliveries,
        consumer_instance,
        request_id or "",
        _failures_of(json.loads(failures)) if failures else (),
        code,
    )


def dead_letter_text(dead_letter: DeadLetter | None) -> str | None:
    """A dead letter's record as stored."""
    return None if dead_letter is None else json.dumps(asdict(dead_letter))


def _dead_letter_of(text: str | None) -> DeadLetter | None:
    if text is None:
        return None
    plain = json.loads(text)
    plain["reason"] = DeadLetterReason(plain["reason"])
    plain["failures"] = _failures_of(plain["failures"])
    return DeadLetter(**plain)


def _failures_of(plain: list[dict[str, Any]]) -> tuple[AttemptFailure, ...]:
    return tuple(AttemptFailure(**failure) for failure in plain)
