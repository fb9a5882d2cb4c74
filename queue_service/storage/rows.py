"""Rows to domain and back: the one place that knows how a message lies in its tables."""

import json
from dataclasses import asdict
from typing import Any

from queue_service.delivery_state import DeliveryState, Rank
from queue_service.lease_id import message_id_text
from queue_service.message import AttemptFailure, Body, BodyKind, DeadLetter, DeadLetterReason, Message
from queue_service.queue_definition import Pause, Queue, from_settable, settable

Row = Any  # a SQLAlchemy row, whose columns are attributes
Values = dict[str, Any]


def raw_id(message_id: str) -> bytes:
    """A message id as stored."""
    return bytes.fromhex(message_id.replace("-", ""))


def queue_values(queue: Queue) -> Values:
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


def message_values(queue_number: int, message: Message) -> Values:
    """A message as its row."""
    return {
        "queue_number": queue_number,
        "message_id": raw_id(message.message_id),
        "body_kind": int(message.body.kind),
        "type_name": message.body.type_name,
        "body": message.body.value,
        "attributes": json.dumps(dict(message.attributes)) if message.attributes else "",
        "content_type": message.content_type,
        "deduplication_id": message.deduplication_id,
        "ordering_key": message.ordering_key,
        "send_time": message.send_time,
        "deliver_time": message.deliver_time,
        "expire_time": message.expire_time,
        "producer": message.producer,
        "dead_letter": dead_letter_text(message.dead_letter),
    }


def message_of(row: Row) -> Message:
    """The message in a row."""
    return Message(
        message_id=message_id_text(row.message_id),
        body=Body(BodyKind(row.body_kind), row.body, row.type_name),
        attributes=json.loads(row.attributes) if row.attributes else {},
        content_type=row.content_type,
        deduplication_id=row.deduplication_id,
        ordering_key=row.ordering_key,
        send_time=row.send_time,
        deliver_time=row.deliver_time,
        expire_time=row.expire_time,
        producer=row.producer,
        dead_letter=_dead_letter_of(row.dead_letter),
    )


def state_values(queue_number: int, state: DeliveryState) -> Values:
    """A delivery state as its row."""
    return {
        "queue_number": queue_number,
        "message_id": raw_id(state.message_id),
        "rank": int(state.rank),
        "due_at": state.due_at,
        "expire_time": state.expire_time,
        "size": state.size,
        "wire": state.wire,
        "serial": state.serial,
        "ordering_key": state.ordering_key or None,
        "lapsed": int(state.lapsed),
        "attached": int(state.attached),
        "failed": state.failed,
        "deliveries": state.deliveries,
        "consumer_instance": state.consumer_instance,
        "request_id": state.request_id or None,
        "failures": json.dumps([asdict(failure) for failure in state.failures]) if state.failures else None,
        "code": state.code,
    }


def state_of(row: Row) -> DeliveryState:
    """The delivery state in a row."""
    return DeliveryState(
        message_id=message_id_text(row.message_id),
        due_at=row.due_at,
        expire_time=row.expire_time,
        size=row.size,
        wire=row.wire,
        serial=row.serial,
        ordering_key=row.ordering_key or "",
        rank=Rank(row.rank),
        lapsed=bool(row.lapsed),
        attached=bool(row.attached),
        failed=row.failed,
        deliveries=row.deliveries,
        consumer_instance=row.consumer_instance,
        request_id=row.request_id or "",
        failures=_failures_of(json.loads(row.failures)) if row.failures else (),
        code=row.code,
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
