"""What a consumer asks for in one pull."""

from dataclasses import dataclass

from queue_service.queue_definition import Queue
from queue_service.storage.selection import MAX_WIRE_BYTES
from queue_service.storage.verbs import Lease


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull; None and 0 mean the queue's own setting."""

    queue: str
    max_messages: int = 0
    max_bytes: int = 0
    max_wait: int = 0
    visibility_timeout: int | None = None
    consumer_instance: str = ""
    request_id: str = ""

    def verb(self, queue: Queue, now: int) -> Lease:
        """The look into ``queue`` that this pull stands for, at an instant."""
        own = queue.consumer.visibility_timeout
        return Lease(
            queue=queue.name,
            now=now,
            until=now + (own if self.visibility_timeout is None else self.visibility_timeout),
            limit=self.max_messages or queue.consumer.max_batch_size,
            max_bytes=self.max_bytes or MAX_WIRE_BYTES,
            consumer_instance=self.consumer_instance,
            request_id=self.request_id,
        )
