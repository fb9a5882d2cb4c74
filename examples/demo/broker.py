"""The broker as an operator sees it: counts, and a look at messages that changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from baton.email.v1 import email_service_pb2
from baton.queue.v1 import queue_pb2
from baton.queue.v1 import queue_service_pb2 as calls
from baton.queue.v1.queue_service_pb2_grpc import QueueServiceStub
from mesh.channel import open_channel

if TYPE_CHECKING:
    from baton.queue.v1.queue_service_pb2_grpc import QueueServiceAsyncStub

CONFIRMATIONS = "registration-confirmations"
DEAD = "registration-confirmations-dead"
REPORTS = "email-reports"


@dataclass(frozen=True)
class Waiting:
    """A confirmation in the queue."""

    message_id: str
    to: str
    leased: bool
    lease_end: float
    """Seconds since 1970, while it is leased: one instant for all of a batch."""
    delivery: int
    attempt: int
    code: str
    """Why it failed last; empty: it never did."""
    delay: float
    """Seconds between that failure and the next attempt."""


class Broker:
    """Its calls in few words.

    Args:
        target: where the broker is.
    """

    def __init__(self, target: str) -> None:
        self._channel = open_channel(target, packages=("queue",))
        self._stub: QueueServiceAsyncStub = QueueServiceStub(self._channel)

    async def stats(self, queue: str) -> queue_pb2.QueueStats:
        """The counts of a queue."""
        return (await self._stub.GetQueueStats(calls.GetQueueStatsRequest(name=queue))).stats

    async def confirmations(self) -> Sequence[Waiting]:
        """The confirmations that are not settled yet."""
        request = calls.PeekMessagesRequest(name=CONFIRMATIONS)
        return [_waiting(peeked) for peeked in (await self._stub.PeekMessages(request)).messages]

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close()


def _waiting(peeked: calls.PeekedMessage) -> Waiting:
    letter = email_service_pb2.SendEmailRequest.FromString(peeked.message.typed.value).email
    failure = peeked.failures[0] if peeked.failures else None
    ready = peeked.ready_time.ToMicroseconds() / 1e6
    return Waiting(
        message_id=peeked.message.message_id,
        to=letter.to,
        leased=peeked.state == calls.PeekedMessage.STATE_LEASED,
        lease_end=peeked.lease_expire_time.ToMicroseconds() / 1e6,
        delivery=peeked.delivery_count,
        attempt=peeked.attempt,
        code=failure.code if failure else "",
        delay=ready - failure.failure_time.ToMicroseconds() / 1e6 if failure and ready else 0.0,
    )
