"""The broker's stubs on a channel, and its commonest calls, each with whatever gRPC options a test needs."""

from collections.abc import Sequence
from typing import Any

import grpc

from baton.queue.v1 import consumer_service_pb2, message_pb2, producer_service_pb2, queue_pb2, queue_service_pb2
from baton.queue.v1.consumer_service_pb2_grpc import ConsumerServiceStub
from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceStub
from baton.queue.v1.queue_service_pb2_grpc import QueueServiceStub
from tests.support.running_broker import duration


class Stubs:
    """All three services, by one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.queues: Any = QueueServiceStub(channel)
        self.producer: Any = ProducerServiceStub(channel)
        self.consumer: Any = ConsumerServiceStub(channel)

    async def create(self, name: str, **settings: Any) -> None:
        """Make a queue."""
        queue = queue_pb2.Queue(name=name, **settings)
        await self.queues.CreateQueue(queue_service_pb2.CreateQueueRequest(queue=queue))

    async def send(self, queue: str, *texts: str, request_id: str = "", **options: Any) -> list[str]:
        """Send in one call; the ids."""
        messages = [message_pb2.QueueMessage(text=text) for text in texts]
        request = producer_service_pb2.SendMessagesRequest(queue=queue, messages=messages, request_id=request_id)
        return [result.message_id for result in (await self.producer.SendMessages(request, **options)).results]

    async def pull(
        self, queue: str, *, max_messages: int = 10, wait: float = 0, request_id: str = "", **options: Any
    ) -> Sequence[message_pb2.LeasedMessage]:
        """Lease what there is."""
        request = consumer_service_pb2.PullMessagesRequest(
            queue=queue, max_messages=max_messages, max_wait=duration(wait), request_id=request_id
        )
        return list((await self.consumer.PullMessages(request, **options)).messages)

    async def stats(self, queue: str, **options: Any) -> queue_pb2.QueueStats:
        """How a queue stands."""
        request = queue_service_pb2.GetQueueStatsRequest(name=queue)
        stats: queue_pb2.QueueStats = (await self.queues.GetQueueStats(request, **options)).stats
        return stats
