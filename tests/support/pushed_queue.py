"""A queue pushed to a handler that does as a test says, on a clock that stands until the test turns it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from baton.queue.v1 import batch_handler_service_pb2 as pb
from baton.queue.v1 import message_pb2, producer_service_pb2, queue_pb2, queue_service_pb2
from mesh.clock import SECOND
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.support.push_target import Context, Handle, PushTarget, ack_all, push_target
from tests.support.running_broker import RunningBroker, duration, running_broker

Response = pb.DeliverBatchResponse
Say = Callable[[pb.DeliverBatchRequest], Response]

# Figures are read behind whatever the broker had begun, so a few looks show all that it would do by itself.
_LOOKS = 3


def plain_retries(*, max_retries: int = 2, seconds: float = 1) -> queue_pb2.RetryPolicy:
    """The same wait after every failure."""
    return queue_pb2.RetryPolicy(max_retries=max_retries, initial_delay=duration(seconds), multiplier=1.0, jitter=0.0)


class PushedQueue:
    """The queue ``work`` of a broker, as its producer, its handler and its operator see it."""

    def __init__(self, broker: RunningBroker, target: PushTarget, clock: FakeClock) -> None:
        self.broker, self.target, self.clock = broker, target, clock
        self._received = 0

    async def create(self, handle: Handle = ack_all, *, delay: float = 0, **consumer: Any) -> None:
        """Make it, pushed at once and without jitter unless told otherwise."""
        self.target.handle = handle
        push = queue_pb2.PushTarget(address=self.target.address, batch=queue_pb2.BatchCall())
        plain: dict[str, Any] = {"max_batch_timeout": duration(0), "retry_policy": plain_retries(), "push": push}
        settings = queue_pb2.ConsumerSettings(**{**plain, **consumer})
        queue = queue_pb2.Queue(name="work", delivery_delay=duration(delay), consumer=settings)
        await self.broker.queues.CreateQueue(queue_service_pb2.CreateQueueRequest(queue=queue))

    async def send(self, *messages: str | message_pb2.QueueMessage) -> list[str]:
        """Send them in one call; their ids."""
        whole = [message_pb2.QueueMessage(text=one) if isinstance(one, str) else one for one in messages]
        request = producer_service_pb2.SendMessagesRequest(queue="work", messages=whole)
        return [result.message_id for result in (await self.broker.producer.SendMessages(request)).results]

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.turn(round(seconds * SECOND))

    async def batch(self) -> pb.DeliverBatchRequest:
        """The next batch."""
        batch = await self.target.batch()
        self._received += len(batch.messages)
        return batch

    async def texts(self) -> list[str]:
        """What the messages of the next batch say."""
        return [leased.message.text for leased in (await self.batch()).messages]

    async def attempts(self) -> list[tuple[str, int]]:
        """What the messages of the next batch say, each with its attempt."""
        return [(leased.message.text, leased.attempt) for leased in (await self.batch()).messages]

    async def nothing_comes(self) -> queue_pb2.QueueStats:
        """Have the broker do all that is due: it must deliver no message beyond those received so far."""
        for _ in range(_LOOKS):
            stats = await self.broker.stats()
        assert stats.delivered_total == self._received
        assert self.target.batches.empty()
        return stats

    async def settled(self) -> queue_pb2.QueueStats:
        """Wait until the handler holds nothing any more."""
        return await eventually(self.broker.stats, lambda stats: stats.leased_count == 0)


def acking(*texts: str) -> Say:
    """A response that acks these messages of the batch, or all."""
    return _settling(texts, ack=message_pb2.Ack())


def retrying(*texts: str, delay: float | None = None) -> Say:
    """A response that retries these messages of the batch, or all."""
    return _settling(texts, retry=message_pb2.Retry(delay=None if delay is None else duration(delay)))


def _settling(texts: tuple[str, ...], **action: Any) -> Say:
    def say(request: pb.DeliverBatchRequest) -> Response:
        meant = [leased for leased in request.messages if not texts or leased.message.text in texts]
        return Response(settlements=[message_pb2.Settlement(lease_id=leased.lease_id, **action) for leased in meant])

    return say


def handler(*said: Say, throws: bool = False) -> Handle:
    """A handler that gives these responses, one after the other, and returns or throws."""

    async def handle(request: pb.DeliverBatchRequest, context: Context) -> AsyncIterator[Response]:
        for say in said:
            yield say(request)
        if throws:
            raise RuntimeError("thrown by the handler")

    return handle


def in_turn(*handles: Handle) -> Handle:
    """A handler that treats each batch like the next of these; once they are used up, all is acked."""
    rest = iter(handles)

    async def handle(request: pb.DeliverBatchRequest, context: Context) -> AsyncIterator[Response]:
        async for response in next(rest, ack_all)(request, context):
            yield response

    return handle


@asynccontextmanager
async def pushed_queue() -> AsyncIterator[PushedQueue]:
    """A broker, a handler and the clock between them; the queue is still to be made."""
    clock = FakeClock()
    async with push_target() as target, running_broker(clock=clock) as broker:
        yield PushedQueue(broker, target, clock)
