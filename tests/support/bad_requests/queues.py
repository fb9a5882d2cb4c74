"""QueueService: queues that cannot be made, changed or read."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from baton.queue.v1 import queue_pb2
from baton.queue.v1 import queue_service_pb2 as pb
from tests.support.bad_requests.row import (
    Bad,
    below_nought,
    durations,
    each,
    inside,
    names,
    numbers,
    texts,
    whole_numbers,
)

NO_ADDRESSES = ("a\0", "a\n", "\t", "a\x7f")
NO_METHODS = ("a", "a/", "/a", "a/b/c", "a.B/c d", "/a.B/C", "a.B/ä", "a..B/C", "a.B/C\0", "a.B/C\n", "9a/B")
NO_PATHS = (
    "nothing",
    "",
    "*",
    "consumer.",
    "Consumer",
    "consumer.push.address",
    "name.x",
    "a" * 5_000,
    "\0",
    "consumer.*",
)
NOT_FOUND: dict[str, Any] = {"code": "NOT_FOUND", "reason": "QUEUE_NOT_FOUND"}
CYCLE: dict[str, Any] = {"code": "FAILED_PRECONDITION", "reason": "DEAD_LETTER_CYCLE"}
STALE: dict[str, Any] = {"code": "ABORTED", "reason": "ETAG_MISMATCH"}


def _queue(**fields: Any) -> queue_pb2.Queue:
    return queue_pb2.Queue(**{"name": "fresh", **fields})


def _consumer(**fields: Any) -> queue_pb2.Queue:
    return _queue(consumer=queue_pb2.ConsumerSettings(**fields))


def _retries(**fields: Any) -> queue_pb2.Queue:
    return _consumer(retry_policy=queue_pb2.RetryPolicy(**fields))


def _push(**fields: Any) -> queue_pb2.Queue:
    plain: dict[str, Any] = {"address": "127.0.0.1:1", "batch": queue_pb2.BatchCall(), **fields}
    return _consumer(push=queue_pb2.PushTarget(**plain))


def _method(name: str) -> queue_pb2.Queue:
    target = queue_pb2.PushTarget(address="127.0.0.1:1", method=queue_pb2.MethodCall(method=name))
    return _consumer(push=target)


def _queue_rows() -> Iterator[Bad]:
    yield from each(lambda v: _queue(name=v), "name", names())
    yield from each(lambda v: _queue(delivery_delay=v), "delivery_delay", durations("0s", "7d"))
    yield from each(lambda v: _queue(message_retention=v), "message_retention", durations("60s", "30d"))
    yield from each(lambda v: _queue(deduplication_window=v), "deduplication_window", durations("1m", "7d"))
    yield from each(lambda v: _queue(max_backlog_messages=v), "max_backlog_messages", below_nought(64))
    yield from each(lambda v: _queue(max_backlog_bytes=v), "max_backlog_bytes", below_nought(64))
    yield from each(lambda v: _consumer(max_batch_size=v), "consumer.max_batch_size", whole_numbers(1, 1_000))
    yield from each(lambda v: _consumer(max_batch_timeout=v), "consumer.max_batch_timeout", durations("0s", "60s"))
    yield from each(lambda v: _consumer(visibility_timeout=v), "consumer.visibility_timeout", durations("1s", "12h"))
    dead = "consumer.dead_letter_queue"
    yield from each(lambda v: _consumer(dead_letter_queue=v), dead, names(required=False))
    yield Bad(_consumer(dead_letter_queue="fresh"), dead, **CYCLE)
    yield from each(lambda v: _consumer(max_concurrency=v), "consumer.max_concurrency", whole_numbers(1, 1_000))
    rate = "consumer.max_messages_per_second"
    yield from each(lambda v: _consumer(max_messages_per_second=v), rate, numbers(0, 1_000_000))
    yield from _policy_rows()
    yield from _push_rows()


def _policy_rows() -> Iterator[Bad]:
    policy = "consumer.retry_policy"
    yield from each(lambda v: _retries(max_retries=v), f"{policy}.max_retries", whole_numbers(0, 1_000))
    yield from each(lambda v: _retries(initial_delay=v), f"{policy}.initial_delay", durations("0s", "7d"))
    yield from each(lambda v: _retries(max_delay=v), f"{policy}.max_delay", durations("0s", "7d"))
    yield from each(lambda v: _retries(multiplier=v), f"{policy}.multiplier", numbers(1.0, 100.0))
    yield from each(lambda v: _retries(jitter=v), f"{policy}.jitter", numbers(0.0, 1.0))


def _push_rows() -> Iterator[Bad]:
    push = "consumer.push"
    yield from each(lambda v: _push(address=v), f"{push}.address", texts(512, required=True))
    yield from each(
        lambda v: _push(address=v), f"{push}.address", ((text, ("a gRPC target", repr(text))) for text in NO_ADDRESSES)
    )
    yield Bad(_consumer(push=queue_pb2.PushTarget(address="unix:/x")), f"{push}.call", ("is required",))
    yield from each(_method, f"{push}.method.method", texts(512, required=True))
    yield from each(
        _method, f"{push}.method.method", ((text, ("package.v1.Service/Method", repr(text))) for text in NO_METHODS)
    )


QUEUE = tuple(_queue_rows())


def _create_rows() -> Iterator[Bad]:
    yield Bad(pb.CreateQueueRequest(), "queue", ("is required",))
    yield Bad(
        pb.CreateQueueRequest(queue=queue_pb2.Queue(name="work")), "queue.name", (), "ALREADY_EXISTS", "QUEUE_EXISTS"
    )
    yield from inside(lambda v: pb.CreateQueueRequest(queue=v), "queue", QUEUE)


def _update_rows() -> Iterator[Bad]:
    def update(**fields: Any) -> pb.UpdateQueueRequest:
        return pb.UpdateQueueRequest(**{"queue": queue_pb2.Queue(name="work"), **fields})

    yield Bad(pb.UpdateQueueRequest(), "queue", ("is required",))
    yield Bad(update(queue=_queue(name="nowhere")), "queue.name", **NOT_FOUND)
    yield Bad(update(queue=queue_pb2.Queue(name="work", etag="stale")), "queue.etag", **STALE)
    yield Bad(update(queue=_queue(name="nowhere", etag="any"), allow_missing=True), "queue.etag", **STALE)
    yield from inside(lambda v: pb.UpdateQueueRequest(queue=v, allow_missing=True), "queue", QUEUE)
    leads_back = queue_pb2.ConsumerSettings(dead_letter_queue="work")
    yield Bad(
        update(queue=queue_pb2.Queue(name="dead", consumer=leads_back)), "queue.consumer.dead_letter_queue", **CYCLE
    )
    for path in NO_PATHS:
        for name in ("work", "fresh"):
            mask = FieldMask(paths=["consumer", path])
            wrong = update(queue=queue_pb2.Queue(name=name), update_mask=mask, allow_missing=True)
            yield Bad(wrong, "update_mask.paths[1]", ("a queue has no field", repr(path[:64])))
    crowd = update(update_mask=FieldMask(paths=["nothing"] * 500_000))
    yield Bad(crowd, "update_mask.paths", ("at most 100 items", "has 500000"))


def _named_rows() -> Iterator[tuple[str, Bad]]:
    for method, request in (
        ("GetQueue", pb.GetQueueRequest),
        ("DeleteQueue", pb.DeleteQueueRequest),
        ("PauseQueue", pb.PauseQueueRequest),
        ("ResumeQueue", pb.ResumeQueueRequest),
        ("PurgeQueue", pb.PurgeQueueRequest),
        ("GetQueueStats", pb.GetQueueStatsRequest),
        ("PeekMessages", pb.PeekMessagesRequest),
    ):
        for value, says in texts(63, required=True):
            yield method, Bad(request(name=value), "name", says)
        for name in ("nowhere", "Work", "\0", "ü"):
            yield method, Bad(request(name=name), "name", **NOT_FOUND)


def _other_rows() -> Iterator[tuple[str, Bad]]:
    for row in each(lambda v: pb.ListQueuesRequest(page_size=v), "page_size", below_nought()):
        yield "ListQueues", row
    for row in each(lambda v: pb.ListQueuesRequest(page_token=v), "page_token", texts(512)):
        yield "ListQueues", row
    for row in each(lambda v: pb.DeleteQueueRequest(name="work", etag=v), "etag", texts(128)):
        yield "DeleteQueue", row
    yield "DeleteQueue", Bad(pb.DeleteQueueRequest(name="work", etag="stale", force=True), "etag", **STALE)
    yield "DeleteQueue", Bad(pb.DeleteQueueRequest(name="work"), "force", (), "FAILED_PRECONDITION", "QUEUE_NOT_EMPTY")
    in_use = Bad(
        pb.DeleteQueueRequest(name="dead", force=True), "name", (), "FAILED_PRECONDITION", "DEAD_LETTER_QUEUE_IN_USE"
    )
    yield "DeleteQueue", in_use
    for row in each(lambda v: pb.PauseQueueRequest(name="work", ttl=v), "ttl", durations("1ms", "30d")):
        yield "PauseQueue", row
    for row in each(lambda v: pb.PauseQueueRequest(name="work", reason=v), "reason", texts(2_048)):
        yield "PauseQueue", row


def _by_method() -> dict[str, tuple[Bad, ...]]:
    rows: dict[str, list[Bad]] = {}
    for method, row in (*_named_rows(), *_other_rows()):
        rows.setdefault(f"QueueService/{method}", []).append(row)
    return {method: tuple(found) for method, found in rows.items()}


ROWS = {
    "QueueService/CreateQueue": tuple(_create_rows()),
    "QueueService/UpdateQueue": tuple(_update_rows()),
    **_by_method(),
}
