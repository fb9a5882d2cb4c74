"""Producer, broker and consumer as processes of their own, held against Cloudflare's documentation.

The producer is this one, the consumers are the email service and, for dead letters, sign-up; rows as in
docs/compared_with_cloudflare.md.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from baton.email.v1 import email_pb2, email_service_pb2
from baton.queue.v1 import producer_service_pb2, queue_pb2, queue_service_pb2
from baton.queue.v1.message_pb2 import QueueMessage, TypedBody
from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceStub
from baton.queue.v1.queue_service_pb2_grpc import QueueServiceStub
from baton.signup.v1 import registration_pb2
from mesh.channel import open_channel
from tests.support.eventually import eventually
from tests.support.processes import MeshProcesses, Service
from tests.support.queue_file import CONFIRMATIONS
from tests.support.runners import signing_up
from tests.support.smtp_server import SmtpServer

if TYPE_CHECKING:
    from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceAsyncStub
    from baton.queue.v1.queue_service_pb2_grpc import QueueServiceAsyncStub

pytestmark = pytest.mark.acceptance

DEAD = f"{CONFIRMATIONS}-dead"
WAITING = 50


class Producer:
    """Sends to the queue that the email service consumes, and asks how the queues stand."""

    def __init__(self, producer: "ProducerServiceAsyncStub", queues: "QueueServiceAsyncStub") -> None:
        self._producer, self._queues = producer, queues

    async def send_one(self, number: int) -> None:
        request = producer_service_pb2.SendMessageRequest(queue=CONFIRMATIONS, message=message(number))
        await self._producer.SendMessage(request)

    async def send_all(self, *numbers: int) -> None:
        messages = [message(number) for number in numbers]
        await self._producer.SendMessages(
            producer_service_pb2.SendMessagesRequest(queue=CONFIRMATIONS, messages=messages)
        )

    async def stats(self, queue: str = CONFIRMATIONS) -> queue_pb2.QueueStats:
        request = queue_service_pb2.GetQueueStatsRequest(name=queue)
        return (await self._queues.GetQueueStats(request, wait_for_ready=True)).stats

    async def acked(self, count: int, queue: str = CONFIRMATIONS) -> queue_pb2.QueueStats:
        return await eventually(lambda: self.stats(queue), lambda stats: stats.acked_total >= count)


@asynccontextmanager
async def producing(broker: Service) -> AsyncIterator[Producer]:
    async with open_channel(broker.address, packages=("queue",)) as channel:
        yield Producer(ProducerServiceStub(channel), QueueServiceStub(channel))


def message(number: int) -> QueueMessage:
    plain = email_pb2.PlainEmail(subject="Hello", body="This is a test.")
    email = email_pb2.Email(idempotency_key=str(number), to=address(number), plain=plain)
    request = email_service_pb2.SendEmailRequest(email=email)
    return QueueMessage(typed=TypedBody(type_name=request.DESCRIPTOR.full_name, value=request.SerializeToString()))


def address(number: int) -> str:
    return f"runner-{number}@example.org"


async def test_a_consumer_in_another_process_gets_a_single_send(mesh: MeshProcesses, smtp: SmtpServer) -> None:
    """Rows #21 and H1."""
    await mesh.start(mesh.queue, mesh.email)

    async with producing(mesh.queue) as producer:
        await producer.send_one(1)
        stats = await producer.acked(1)

    assert smtp.recipients == [address(1)]
    assert stats.delivered_total == 1


async def test_a_consumer_in_another_process_gets_all_of_a_send(mesh: MeshProcesses, smtp: SmtpServer) -> None:
    """Rows #22 and H1."""
    await mesh.start(mesh.queue, mesh.email)

    async with producing(mesh.queue) as producer:
        await producer.send_all(1, 2, 3)
        stats = await producer.acked(3)

    assert sorted(smtp.recipients) == [address(1), address(2), address(3)]
    assert stats.delivered_total == 3


async def test_what_is_sent_before_the_consumer_is_up_is_kept_for_it(mesh: MeshProcesses, smtp: SmtpServer) -> None:
    """Rows #23 and H2."""
    await mesh.start(mesh.queue)

    async with producing(mesh.queue) as producer:
        await producer.send_one(1)
        before = await producer.stats()
        await mesh.start(mesh.email)
        after = await producer.acked(1)

    assert (before.ready_count, before.delivered_total) == (1, 0)
    assert (after.acked_total, after.retried_total) == (1, 0)
    assert smtp.recipients == [address(1)]


async def test_dead_letters_reach_a_consumer_in_another_process(mesh: MeshProcesses, smtp: SmtpServer) -> None:
    """Row #24."""
    smtp.refuse("550 no such mailbox", recipient=address(1))
    await mesh.start()

    async with signing_up(mesh.signup.address) as sign_up, producing(mesh.queue) as producer:
        registrations = await sign_up.register_all(3)
        dead = await producer.acked(1, DEAD)
        stats = await producer.acked(2)
        refused = await sign_up.find(registrations[1])

    assert (dead.delivered_total, stats.dead_lettered_total) == (1, 1)
    assert refused.confirmation.state == registration_pb2.Confirmation.STATE_FAILED
    assert sorted(smtp.recipients) == [address(0), address(2)]


async def test_what_is_sent_while_the_consumer_restarts_is_kept_for_it(mesh: MeshProcesses, smtp: SmtpServer) -> None:
    """Row H3."""
    await mesh.start(mesh.queue, mesh.email)

    async with producing(mesh.queue) as producer:
        await producer.send_one(1)
        await producer.acked(1)
        await mesh.email.stop()
        await producer.send_all(2, 3)
        await mesh.start(mesh.email)
        stats = await producer.acked(3)

    assert sorted(smtp.recipients) == [address(1), address(2), address(3)]
    assert (stats.dead_lettered_total, stats.dropped_total) == (0, 0)


async def test_what_waits_while_the_broker_restarts_is_all_delivered(mesh: MeshProcesses, smtp: SmtpServer) -> None:
    """Row H3."""
    await mesh.start(mesh.queue)
    async with producing(mesh.queue) as producer:
        await producer.send_all(*range(WAITING))

    await mesh.queue.stop()
    await mesh.start(mesh.queue, mesh.email)

    async with producing(mesh.queue) as producer:
        stats = await producer.acked(WAITING)
    assert sorted(smtp.recipients) == sorted(address(number) for number in range(WAITING))
    assert stats.retried_total == 0
