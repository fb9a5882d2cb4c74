"""The broker is killed outright: what it answered OK to is there afterwards, and so is what it had leased."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import pytest

from baton.queue.v1 import consumer_service_pb2, message_pb2, producer_service_pb2, queue_pb2, queue_service_pb2
from baton.queue.v1.consumer_service_pb2_grpc import ConsumerServiceStub
from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceStub
from baton.queue.v1.queue_service_pb2_grpc import QueueServiceStub
from mesh.channel import open_channel
from tests.support.processes import MeshProcesses, Service

if TYPE_CHECKING:
    from baton.queue.v1.consumer_service_pb2_grpc import ConsumerServiceAsyncStub
    from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceAsyncStub
    from baton.queue.v1.queue_service_pb2_grpc import QueueServiceAsyncStub

pytestmark = pytest.mark.acceptance

QUEUE = "errands"
APPLIED = message_pb2.LEASE_OUTCOME_APPLIED

PRODUCERS = 4
# More than four producers get through before the broker is killed, and yet an end.
MOST_SENDS = 2_000
ANSWERS_BEFORE_THE_KILL = 100


@dataclass(frozen=True)
class Broker:
    queues: "QueueServiceAsyncStub"
    producer: "ProducerServiceAsyncStub"
    consumer: "ConsumerServiceAsyncStub"

    async def create(self) -> None:
        request = queue_service_pb2.CreateQueueRequest(queue=queue_pb2.Queue(name=QUEUE))
        await self.queues.CreateQueue(request, wait_for_ready=True)

    async def send(self, *texts: str) -> list[str]:
        messages = [message_pb2.QueueMessage(text=text) for text in texts]
        request = producer_service_pb2.SendMessagesRequest(queue=QUEUE, messages=messages)
        response = await self.producer.SendMessages(request)
        return [result.message_id for result in response.results]

    async def pull(self, limit: int = 1000) -> list[message_pb2.LeasedMessage]:
        request = consumer_service_pb2.PullMessagesRequest(queue=QUEUE, max_messages=limit)
        return list((await self.consumer.PullMessages(request, wait_for_ready=True)).messages)

    async def ack(self, *leased: message_pb2.LeasedMessage) -> list[int]:
        settlements = [message_pb2.Settlement(lease_id=lease.lease_id, ack=message_pb2.Ack()) for lease in leased]
        request = consumer_service_pb2.SettleMessagesRequest(queue=QUEUE, settlements=settlements)
        response = await self.consumer.SettleMessages(request, wait_for_ready=True)
        return [result.outcome for result in response.results]


@asynccontextmanager
async def talking_to(service: Service) -> AsyncIterator[Broker]:
    async with open_channel(service.address, packages=("queue",)) as channel:
        yield Broker(QueueServiceStub(channel), ProducerServiceStub(channel), ConsumerServiceStub(channel))


async def test_every_message_that_was_answered_ok_survives_a_kill_in_the_middle_of_sending(
    mesh: MeshProcesses,
) -> None:
    await mesh.start(mesh.queue)
    answered: list[str] = []
    enough = asyncio.Event()

    async def produce(broker: Broker) -> None:
        for number in range(MOST_SENDS):
            answered.extend(await broker.send(*(f"{number}-{part}" for part in range(10))))
            if len(answered) >= ANSWERS_BEFORE_THE_KILL * 10:
                enough.set()

    async with talking_to(mesh.queue) as broker:
        await broker.create()
        producers = [asyncio.create_task(produce(broker)) for _ in range(PRODUCERS)]
        await enough.wait()
        await mesh.queue.kill()
        ends = await asyncio.gather(*producers, return_exceptions=True)
    await mesh.start(mesh.queue)
    pulled = await pull_everything(mesh)

    assert all(isinstance(end, grpc.aio.AioRpcError) for end in ends)
    assert len(pulled) == len(set(pulled))
    assert set(answered) <= set(pulled)
    # An unanswered send may or may not be stored, but never in part.
    assert len(pulled) % 10 == 0
    assert len(pulled) <= len(answered) + PRODUCERS * 10


async def test_a_lease_survives_a_kill_of_the_broker(mesh: MeshProcesses) -> None:
    await mesh.start(mesh.queue)
    async with talking_to(mesh.queue) as broker:
        await broker.create()
        sent = await broker.send("a", "b", "c", "d", "e")
        held = await broker.pull(2)

    await mesh.queue.kill()
    await mesh.start(mesh.queue)
    async with talking_to(mesh.queue) as broker:
        others = await broker.pull()
        nothing_more = await broker.pull()
        outcomes = await broker.ack(*held)
        repeated = await broker.ack(*held)

    assert [leased.message.message_id for leased in held + others] == sent
    assert [leased.attempt for leased in others] == [1, 1, 1]
    assert nothing_more == []
    assert outcomes == [APPLIED, APPLIED]
    assert repeated == [message_pb2.LEASE_OUTCOME_MESSAGE_GONE] * 2


async def pull_everything(mesh: MeshProcesses) -> list[str]:
    pulled: list[str] = []
    async with talking_to(mesh.queue) as broker:
        for _ in range(PRODUCERS * MOST_SENDS):
            messages = await broker.pull()
            if not messages:
                return pulled
            pulled += [leased.message.message_id for leased in messages]
    raise AssertionError("more was stored than was ever sent")
