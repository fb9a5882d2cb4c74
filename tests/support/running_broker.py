"""A real broker for tests: its application on a free port, with its stubs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from google.protobuf.duration_pb2 import Duration

from baton.queue.v1 import (
    consumer_service_pb2,
    message_pb2,
    producer_service_pb2,
    queue_pb2,
    queue_service_pb2,
)
from baton.queue.v1.consumer_service_pb2_grpc import ConsumerServiceStub
from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceStub
from baton.queue.v1.queue_service_pb2_grpc import QueueServiceStub
from mesh.channel import open_channel
from mesh.clock import Clock, SystemClock
from queue_service.app import QueueApplication
from queue_service.queue_definition import Queue
from queue_service.storage.base import MessageStore
from queue_service.storage.memory import MemoryStore
from tests.support.running import serving


@dataclass
class RunningBroker:
    """The broker's stubs, and its commonest calls in few words."""

    channel: grpc.aio.Channel
    application: QueueApplication
    address: str = ""

    def __post_init__(self) -> None:
        self.queues = QueueServiceStub(self.channel)
        self.producer = ProducerServiceStub(self.channel)
        self.consumer = ConsumerServiceStub(self.channel)

    async def create(self, name: str = "work", **consumer: object) -> queue_pb2.Queue:
        settings = queue_pb2.ConsumerSettings(**consumer)  # type: ignore[arg-type]
        queue = queue_pb2.Queue(name=name, consumer=settings)
        return (await self.queues.CreateQueue(queue_service_pb2.CreateQueueRequest(queue=queue))).queue

    async def send(self, *texts: str, queue: str = "work") -> list[str]:
        messages = [message_pb2.QueueMessage(text=text) for text in texts]
        request = producer_service_pb2.SendMessagesRequest(queue=queue, messages=messages)
        return [result.message_id for result in (await self.producer.SendMessages(request)).results]

    async def pull(
        self, queue: str = "work", *, max_messages: int = 10, wait: float = 0
    ) -> Sequence[message_pb2.LeasedMessage]:
        request = consumer_service_pb2.PullMessagesRequest(queue=queue, max_messages=max_messages)
        request.max_wait.CopyFrom(duration(wait))
        return (await self.consumer.PullMessages(request, timeout=wait + 5)).messages

    async def settle(
        self, *settlements: message_pb2.Settlement, queue: str = "work"
    ) -> list["message_pb2.LeaseOutcome.ValueType"]:
        request = consumer_service_pb2.SettleMessagesRequest(queue=queue, settlements=settlements)
        return [result.outcome for result in (await self.consumer.SettleMessages(request)).results]

    async def stats(self, queue: str = "work") -> queue_pb2.QueueStats:
        request = queue_service_pb2.GetQueueStatsRequest(name=queue)
        return (await self.queues.GetQueueStats(request)).stats

    async def get(self, queue: str = "work") -> queue_pb2.Queue:
        return (await self.queues.GetQueue(queue_service_pb2.GetQueueRequest(name=queue))).queue


@asynccontextmanager
async def running_broker(
    store: MessageStore | None = None,
    *,
    clock: Clock | None = None,
    declared: Sequence[Queue] = (),
    listen: str = "127.0.0.1:0",
) -> AsyncIterator[RunningBroker]:
    """Serve a broker on a free port; in memory unless a store is given."""
    application = QueueApplication(store or MemoryStore(), declared, clock or SystemClock(), push_grace=0.2)
    async with serving(application, listen) as address, open_channel(address) as channel:
        yield RunningBroker(channel, application, address)


def duration(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))
