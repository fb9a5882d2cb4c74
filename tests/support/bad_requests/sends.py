"""ProducerService: what cannot be sent."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from baton.queue.v1 import producer_service_pb2 as pb
from baton.queue.v1.message_pb2 import QueueMessage, TypedBody
from tests.support.bad_requests.row import MIB, Bad, attributes, durations, each, inside, texts, times

DEEP = "[" * 100_000 + "]" * 100_000
NO_JSON = (
    "",
    " ",
    "{",
    "nul",
    "NaN",
    "[Infinity]",
    "-Infinity",
    "{'a': 1}",
    '{"a": 1,}',
    "[1] 2",
    '"\n"',
    "\ufeff1",
    "01",
)
NO_TYPE_NAMES = ("a b", ".a", "a.", "a..b", "9a", "type.googleapis.com/a.B", "ä", "a\0", "a\n")
FAR_TIME = Timestamp(seconds=253_402_300_799)
LONG_PAST = Timestamp(seconds=-62_135_596_800)


def _message(**fields: Any) -> QueueMessage:
    return QueueMessage(**{"text": "a", **fields})


def _typed(type_name: str) -> QueueMessage:
    return QueueMessage(typed=TypedBody(type_name=type_name))


def _message_rows() -> Iterator[Bad]:
    yield from each(lambda v: QueueMessage(json=v), "json", ((text, ("no valid JSON",)) for text in NO_JSON))
    yield Bad(QueueMessage(json=DEEP), "json", ("nested too deep",))
    for size, extra in ((MIB + 1, attributes(0, 0)), (MIB - 4_095, attributes(32, 128))):
        too_large = (f"at most {MIB} bytes with its attributes", f"has {MIB + 1}")
        yield Bad(QueueMessage(data=b"x" * size, attributes=extra), "body", too_large)
        yield Bad(QueueMessage(text="x" * size, attributes=extra), "body", too_large)
    yield Bad(QueueMessage(text="ü" * (MIB // 2 + 1)), "body", (f"at most {MIB} bytes", f"has {MIB + 2}"))
    yield from each(_typed, "typed.type_name", texts(512, required=True))
    yield from each(_typed, "typed.type_name", ((name, ("must match", "full name")) for name in NO_TYPE_NAMES))
    yield Bad(_message(attributes=attributes(65, 2)), "attributes", ("at most 64 items", "has 65"))
    yield Bad(_message(attributes=attributes(64, 2, 63)), "attributes", ("at most 4096 bytes", "has 4160"))
    yield Bad(_message(attributes={"a": "ü" * 2048}), "attributes", ("at most 4096 bytes", "has 4097"))
    for key in ("", "A", "-a", ".a", "ä", "a b", "a\0", "a\n", "_a"):
        said = ("key must match [a-z0-9][a-z0-9_.-]{0,127}",)
        yield Bad(_message(attributes={key: "v"}), f"attributes[{key!r}]", said)
    yield Bad(_message(attributes={"k" * 129: ""}), f"attributes['{'k' * 63}... (131 characters)]", ("key must match",))
    yield from each(lambda v: _message(deduplication_id=v), "deduplication_id", texts(128))
    yield from each(lambda v: _message(ordering_key=v), "ordering_key", texts(128))
    yield from each(lambda v: _message(content_type=v), "content_type", texts(255))
    yield from each(lambda v: _message(delay=v), "delay", durations("0s", "7d"))
    yield from each(lambda v: _message(ttl=v), "ttl", durations("60s", "30d"))
    yield from each(lambda v: _message(deliver_time=v), "deliver_time", times())
    yield from each(lambda v: _message(expire_time=v), "expire_time", times())
    yield from _contradictions()


def _contradictions() -> Iterator[Bad]:
    soon = Timestamp()
    soon.GetCurrentTime()
    late = Timestamp(seconds=soon.seconds + 8 * 86_400)
    yield Bad(_message(deliver_time=late), "deliver_time", ("at most 7 d ahead", "is 8.00 d ahead"))
    yield Bad(_message(deliver_time=FAR_TIME), "deliver_time", ("at most 7 d ahead", "d ahead"))
    yield Bad(_message(expire_time=FAR_TIME), "expire_time", ("within 30 d", "s after it"))
    yield Bad(_message(expire_time=LONG_PAST), "expire_time", ("within 30 d", "is -"))
    yield Bad(_message(expire_time=Timestamp(seconds=soon.seconds - 1)), "expire_time", ("within 30 d", "is -"))
    delayed = _message(delay=Duration(seconds=600), expire_time=Timestamp(seconds=soon.seconds + 300))
    yield Bad(delayed, "expire_time", ("within 30 d after the delivery may begin", "is -"))
    before = Timestamp(seconds=soon.seconds + 3_600), Timestamp(seconds=soon.seconds + 3_599)
    yield Bad(_message(deliver_time=before[0], expire_time=before[1]), "expire_time", ("within 30 d", "is -1.000 s"))
    ordered = _message(ordering_key="k", delay=Duration(seconds=1))
    yield Bad(ordered, "delay", ("may not be set on a message with an ordering_key",))
    for instant in (soon, LONG_PAST):
        ordered = _message(ordering_key="k", deliver_time=instant)
        yield Bad(ordered, "deliver_time", ("may not be set on a message with an ordering_key",))


MESSAGE = tuple(_message_rows())


def _one(**fields: Any) -> pb.SendMessageRequest:
    return pb.SendMessageRequest(**{"queue": "work", "message": _message(), **fields})


def _many(**fields: Any) -> pb.SendMessagesRequest:
    return pb.SendMessagesRequest(**{"queue": "work", "messages": [_message()], **fields})


def _send_rows() -> Iterator[Bad]:
    yield from each(lambda v: _one(queue=v), "queue", texts(63, required=True))
    yield Bad(_one(queue="nowhere"), "queue", code="NOT_FOUND", reason="QUEUE_NOT_FOUND")
    yield Bad(pb.SendMessageRequest(queue="work"), "message", ("is required",))
    yield from each(lambda v: _one(request_id=v), "request_id", texts(128))
    yield from inside(lambda v: _one(message=v), "message", MESSAGE)


def _batch_rows() -> Iterator[Bad]:
    yield from each(lambda v: _many(queue=v), "queue", texts(63, required=True))
    yield Bad(_many(queue="nowhere"), "queue", code="NOT_FOUND", reason="QUEUE_NOT_FOUND")
    yield Bad(_many(messages=[]), "messages", ("is required",))
    yield Bad(_many(messages=[_message()] * 1_001), "messages", ("at most 1000 items", "has 1001"))
    heavy = [QueueMessage(data=b"x" * (768 * 1024))] * 4 + [_message()]
    yield Bad(_many(messages=heavy), "messages", (f"at most {3 * MIB} bytes in all", f"has {3 * MIB + 1}"))
    yield from each(lambda v: _many(request_id=v), "request_id", texts(128))
    yield from inside(lambda v: _many(messages=[_message(), v]), "messages[1]", MESSAGE)


def _cancel_rows() -> Iterator[Bad]:
    def cancel(**fields: Any) -> pb.CancelMessageRequest:
        return pb.CancelMessageRequest(**{"queue": "work", "message_id": "an id", **fields})

    yield from each(lambda v: cancel(queue=v), "queue", texts(63, required=True))
    yield Bad(cancel(queue="nowhere"), "queue", code="NOT_FOUND", reason="QUEUE_NOT_FOUND")
    yield from each(lambda v: cancel(message_id=v), "message_id", texts(128, required=True))
    for message_id in ("an id", "\0", "ü", "0" * 32, "00000000-0000-0000-0000-000000000000"):
        gone = cancel(message_id=message_id)
        yield Bad(gone, "message_id", code="NOT_FOUND", reason="MESSAGE_NOT_FOUND")


BATCH = tuple(_batch_rows())
ROWS = {
    "ProducerService/SendMessage": tuple(_send_rows()),
    "ProducerService/SendMessages": BATCH,
    "ProducerService/CancelMessage": tuple(_cancel_rows()),
}
STREAM_SENDS = tuple(
    Bad(
        pb.StreamSendMessagesRequest(
            queue=row.request.queue,
            messages=row.request.messages,
            request_id=row.request.request_id,
        ),
        row.field,
        row.says,
        row.code,
        row.reason,
    )
    for row in BATCH
)
