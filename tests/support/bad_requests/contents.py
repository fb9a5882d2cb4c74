"""QueueService: messages that cannot be looked at, purged or redriven."""

from collections.abc import Iterator
from typing import Any

from baton.queue.v1 import queue_pb2
from baton.queue.v1 import queue_service_pb2 as pb
from tests.support.bad_requests.row import (
    Bad,
    below_nought,
    code_items,
    codes,
    each,
    id_items,
    numbers,
    texts,
    times,
)

TOO_MANY_IDS = [(["i"] * 1_001, ("at most 1000 items", "has 1001"))]
NO_TASK: dict[str, Any] = {"code": "NOT_FOUND", "reason": "REDRIVE_TASK_NOT_FOUND"}
NO_QUEUE: dict[str, Any] = {"code": "NOT_FOUND", "reason": "QUEUE_NOT_FOUND"}


def _purge_rows() -> Iterator[Bad]:
    def purge(**fields: Any) -> pb.PurgeQueueRequest:
        return pb.PurgeQueueRequest(name="work", force=True, **fields)

    yield from each(lambda v: purge(sent_before=v), "sent_before", times())
    yield from each(lambda v: purge(message_ids=v), "message_ids", TOO_MANY_IDS)
    yield from each(lambda v: purge(message_ids=v), "message_ids[1]", id_items())
    yield from each(lambda v: purge(codes=v), "codes", codes())
    yield from each(lambda v: purge(codes=v), "codes[1]", code_items())


def _peek_rows() -> Iterator[Bad]:
    def peek(**fields: Any) -> pb.PeekMessagesRequest:
        return pb.PeekMessagesRequest(name="work", **fields)

    yield from each(lambda v: peek(page_size=v), "page_size", below_nought())
    yield from each(lambda v: peek(page_token=v), "page_token", texts(512))
    yield from each(lambda v: peek(codes=v), "codes", codes())
    yield from each(lambda v: peek(codes=v), "codes[1]", code_items())
    yield Bad(peek(states=[1] * 11), "states", ("at most 10 items", "has 11"))
    yield Bad(peek(states=[1, 0]), "states[1]", ("no message is in STATE_UNSPECIFIED",))
    for unknown in (4, -1, 2**31 - 1, -(2**31)):
        yield Bad(peek(states=[1, 2, unknown]), "states[2]", (f"has no value {unknown}", "STATE_LEASED"))


def _get_rows() -> Iterator[Bad]:
    def get(**fields: Any) -> pb.GetMessageRequest:
        return pb.GetMessageRequest(**{"queue": "work", "message_id": "an id", **fields})

    yield from each(lambda v: get(queue=v), "queue", texts(63, required=True))
    yield Bad(get(queue="nowhere"), "queue", **NO_QUEUE)
    yield from each(lambda v: get(message_id=v), "message_id", texts(128, required=True))
    for message_id in ("an id", "\0", "ü", "0" * 32, "00000000-0000-0000-0000-000000000000"):
        yield Bad(get(message_id=message_id), "message_id", code="NOT_FOUND", reason="MESSAGE_NOT_FOUND")


def _redrive_rows() -> Iterator[Bad]:
    def create(**fields: Any) -> pb.CreateRedriveTaskRequest:
        return pb.CreateRedriveTaskRequest(redrive_task=queue_pb2.RedriveTask(**{"queue": "dead", **fields}))

    task = "redrive_task"
    yield Bad(pb.CreateRedriveTaskRequest(), task, ("is required",))
    yield from each(lambda v: create(redrive_task_id=v), f"{task}.redrive_task_id", texts(128))
    yield Bad(create(redrive_task_id="done"), f"{task}.redrive_task_id", (), "ALREADY_EXISTS", "REDRIVE_TASK_EXISTS")
    yield from each(lambda v: create(queue=v), f"{task}.queue", texts(63, required=True))
    yield Bad(create(queue="nowhere"), f"{task}.queue", **NO_QUEUE)
    yield from each(lambda v: create(destination=v), f"{task}.destination", texts(63))
    yield Bad(create(destination="nowhere"), f"{task}.destination", **NO_QUEUE)
    yield from each(lambda v: create(codes=v), f"{task}.codes", codes())
    yield from each(lambda v: create(codes=v), f"{task}.codes[1]", code_items())
    yield from each(lambda v: create(message_ids=v), f"{task}.message_ids", TOO_MANY_IDS)
    yield from each(lambda v: create(message_ids=v), f"{task}.message_ids[1]", id_items())
    rate = f"{task}.max_messages_per_second"
    yield from each(lambda v: create(max_messages_per_second=v), rate, numbers(0, 1_000_000))
    yield from each(lambda v: create(max_messages=v), f"{task}.max_messages", below_nought(64))


def _task_rows(request: type[pb.GetRedriveTaskRequest | pb.CancelRedriveTaskRequest]) -> Iterator[Bad]:
    yield from each(lambda v: request(redrive_task_id=v), "redrive_task_id", texts(128, required=True))
    for task_id in ("nothing", "\0", "ü"):
        yield Bad(request(redrive_task_id=task_id), "redrive_task_id", **NO_TASK)


def _list_rows() -> Iterator[Bad]:
    yield from each(lambda v: pb.ListRedriveTasksRequest(queue=v), "queue", texts(63))
    yield from each(lambda v: pb.ListRedriveTasksRequest(page_size=v), "page_size", below_nought())
    yield from each(lambda v: pb.ListRedriveTasksRequest(page_token=v), "page_token", texts(512))


ROWS = {
    "QueueService/PurgeQueue": tuple(_purge_rows()),
    "QueueService/PeekMessages": tuple(_peek_rows()),
    "QueueService/GetMessage": tuple(_get_rows()),
    "QueueService/CreateRedriveTask": tuple(_redrive_rows()),
    "QueueService/GetRedriveTask": tuple(_task_rows(pb.GetRedriveTaskRequest)),
    "QueueService/CancelRedriveTask": tuple(_task_rows(pb.CancelRedriveTaskRequest)),
    "QueueService/ListRedriveTasks": tuple(_list_rows()),
}
