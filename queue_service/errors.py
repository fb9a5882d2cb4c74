"""What the broker refuses, and why.

BatonError (mesh.errors)
|-- NotFound            QueueNotFound, MessageNotFound, RedriveTaskNotFound
|-- AlreadyExists       QueueExists, DeduplicationIdReused, RequestIdReused, RedriveTaskExists
|-- FailedPrecondition  QueueNotEmpty, DeadLetterQueueInUse, QueueIsPushed, DeadLetterCycle, MessageLeased,
|                       RedriveFailed
|-- Unavailable         CutOff
|-- Aborted             EtagMismatch, RedriveUnderWay, CatalogMoved
`-- ResourceExhausted   BacklogFull
"""

from datetime import timedelta

from mesh.errors import Aborted, AlreadyExists, FailedPrecondition, NotFound, ResourceExhausted, Unavailable

# How long a producer should wait before it tries a full queue again.
BACKLOG_RETRY_DELAY = timedelta(seconds=1)
# And a consumer or an operator, before it calls again.
SOON = timedelta(seconds=1)


class QueueNotFound(NotFound):
    """There is no queue of that name."""

    def __init__(self, name: str) -> None:
        super().__init__("QUEUE_NOT_FOUND", f"there is no queue {name!r}", resource_type="queue", resource_name=name)


class MessageNotFound(NotFound):
    """There is no message of that id in that queue, any more or yet."""

    def __init__(self, queue: str, message_id: str) -> None:
        super().__init__(
            "MESSAGE_NOT_FOUND",
            f"queue {queue!r} holds no message {message_id!r}",
            resource_type="message",
            resource_name=message_id,
        )


class MessageLeased(FailedPrecondition):
    """A consumer has the message at this moment."""

    def __init__(self, message_id: str) -> None:
        super().__init__("MESSAGE_LEASED", f"message {message_id!r} is leased", subject=message_id)


class RedriveTaskNotFound(NotFound):
    """There is no redrive task of that id."""

    def __init__(self, redrive_task_id: str) -> None:
        super().__init__(
            "REDRIVE_TASK_NOT_FOUND",
            f"there is no redrive task {redrive_task_id!r}",
            resource_type="redrive_task",
            resource_name=redrive_task_id,
        )


class RedriveTaskExists(AlreadyExists):
    """A redrive task of that id is there already."""

    def __init__(self, redrive_task_id: str) -> None:
        super().__init__(
            "REDRIVE_TASK_EXISTS",
            f"redrive task {redrive_task_id!r} exists",
            resource_type="redrive_task",
            resource_name=redrive_task_id,
        )


class RedriveUnderWay(Aborted):
    """One redrive at a time for a queue."""

    def __init__(self, queue: str, redrive_task_id: str) -> None:
        super().__init__(
            "IN_PROGRESS",
            f"redrive task {redrive_task_id!r} of queue {queue!r} is running",
            metadata={"queue": queue, "redrive_task": redrive_task_id},
        )


class RedriveFailed(FailedPrecondition):
    """A redrive task met a message that it can move nowhere, or its queue is gone."""

    def __init__(self, redrive_task_id: str, said: str) -> None:
        super().__init__("REDRIVE_FAILED", said, subject=redrive_task_id)


class QueueExists(AlreadyExists):
    """A queue of that name is there already."""

    def __init__(self, name: str) -> None:
        super().__init__("QUEUE_EXISTS", f"queue {name!r} exists", resource_type="queue", resource_name=name)


class RequestIdReused(AlreadyExists):
    """A request id came back, within its window, with another number of messages: it is no repeat."""

    def __init__(self, request_id: str) -> None:
        super().__init__(
            "REQUEST_ID_REUSED",
            f"request_id {request_id!r} was used for another send",
            resource_type="request_id",
            resource_name=request_id,
        )


class DeduplicationIdReused(AlreadyExists):
    """A deduplication id came back with another body within its window."""

    def __init__(self, deduplication_id: str) -> None:
        super().__init__(
            "DEDUPLICATION_ID_REUSED",
            f"deduplication_id {deduplication_id!r} was used for another body",
            resource_type="deduplication_id",
            resource_name=deduplication_id,
        )


class QueueNotEmpty(FailedPrecondition):
    """A queue that holds messages is deleted only with force."""

    def __init__(self, name: str, count: int) -> None:
        super().__init__(
            "QUEUE_NOT_EMPTY", f"queue {name!r} holds {count} messages; force deletes them too", subject=name
        )


class DeadLetterQueueInUse(FailedPrecondition):
    """A dead letter queue cannot go while another queue names it."""

    def __init__(self, name: str, user: str) -> None:
        super().__init__(
            "DEAD_LETTER_QUEUE_IN_USE", f"queue {name!r} is the dead letter queue of {user!r}", subject=name
        )


class QueueIsPushed(FailedPrecondition):
    """A pushed queue has its consumer already."""

    def __init__(self, name: str) -> None:
        super().__init__("QUEUE_IS_PUSHED", f"queue {name!r} is pushed; it cannot be pulled", subject=name)


class DeadLetterCycle(FailedPrecondition):
    """Dead letters must come to rest somewhere."""

    def __init__(self, path: tuple[str, ...]) -> None:
        super().__init__(
            "DEAD_LETTER_CYCLE", f"dead letters would go round in a circle: {' -> '.join(path)}", subject=path[0]
        )


class EtagMismatch(Aborted):
    """The queue changed since the caller read it."""

    def __init__(self, name: str, given: str, current: str) -> None:
        super().__init__(
            "ETAG_MISMATCH",
            f"queue {name!r} has etag {current}, not {given}",
            metadata={"queue": name, "etag": current},
        )


class BacklogFull(ResourceExhausted):
    """The queue's own limit is reached."""

    def __init__(self, name: str, limit: str) -> None:
        super().__init__(
            "BACKLOG_FULL",
            f"queue {name!r} holds all it may: {limit}",
            retry_delay=BACKLOG_RETRY_DELAY,
            metadata={"queue": name, "limit": limit},
        )


class CutOff(Unavailable):
    """This process was away from the storage for so long that what it held was given back."""

    def __init__(self) -> None:
        super().__init__("STORAGE_UNAVAILABLE", "the broker was cut off from its storage", retry_delay=SOON)


class CatalogMoved(Aborted):
    """Another node changed a queue meanwhile: what was decided has to be decided anew."""

    def __init__(self) -> None:
        super().__init__("CATALOG_MOVED", "queues were changed at the same time", retry_delay=SOON)
