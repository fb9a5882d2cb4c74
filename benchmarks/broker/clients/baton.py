"""Our broker by its contract alone: plain calls, as a program in any language would make them."""

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from baton.queue.v1 import consumer_service_pb2 as consumer_pb
from baton.queue.v1 import message_pb2 as pb
from baton.queue.v1 import producer_service_pb2 as producer_pb
from baton.queue.v1 import queue_pb2, queue_service_pb2
from baton.queue.v1.consumer_service_pb2_grpc import ConsumerServiceStub
from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceStub
from baton.queue.v1.queue_service_pb2_grpc import QueueServiceStub
from benchmarks.broker.batch_client import PATIENCE, BatchClient

_WAIT = Duration(seconds=10)
_ACK = pb.Ack()
_DONE = {pb.LEASE_OUTCOME_APPLIED, pb.LEASE_OUTCOME_APPLIED_LATE}


class Baton(BatchClient):
    """SendMessages, PullMessages and SettleMessages."""

    async def connect(self) -> None:
        """Connect."""
        self._channel = grpc.aio.insecure_channel(self.address)
        self._producer, self._consumer = ProducerServiceStub(self._channel), ConsumerServiceStub(self._channel)

    async def make(self, queue: str) -> None:
        """Make a queue with the contract's defaults."""
        request = queue_service_pb2.CreateQueueRequest(queue=queue_pb2.Queue(name=queue))
        await QueueServiceStub(self._channel).CreateQueue(request, timeout=PATIENCE)

    async def send(self, bodies: Sequence[bytes]) -> None:
        """One call, answered when all of it is on disk."""
        messages = [pb.QueueMessage(data=body) for body in bodies]
        request = producer_pb.SendMessagesRequest(queue=self.queue, messages=messages)
        response = await self._producer.SendMessages(request, timeout=PATIENCE)
        if len(response.results) != len(bodies):
            raise RuntimeError(f"{len(response.results)} results of {len(bodies)} sends")

    async def send_one(self, body: bytes) -> None:
        """A call for one message."""
        request = producer_pb.SendMessageRequest(queue=self.queue, message=pb.QueueMessage(data=body))
        await self._producer.SendMessage(request, timeout=PATIENCE)

    async def receive(self, most: int) -> tuple[Sequence[bytes], Any]:
        """One call, which waits for the first message."""
        request = consumer_pb.PullMessagesRequest(queue=self.queue, max_messages=most, max_wait=_WAIT)
        leased = (await self._consumer.PullMessages(request, timeout=PATIENCE)).messages
        return [each.message.data for each in leased], [each.lease_id for each in leased]

    async def acknowledge(self, received: Any) -> None:
        """One call, with an outcome for each message."""
        settlements = [pb.Settlement(lease_id=lease_id, ack=_ACK) for lease_id in received]
        request = consumer_pb.SettleMessagesRequest(queue=self.queue, settlements=settlements)
        results = (await self._consumer.SettleMessages(request, timeout=PATIENCE)).results
        refused = [result.outcome for result in results if result.outcome not in _DONE]
        if refused or len(results) != len(settlements):
            raise RuntimeError(f"{len(results)} results of {len(settlements)} acks, refused: {refused}")

    async def close(self) -> None:
        """Disconnect."""
        await self._channel.close()
