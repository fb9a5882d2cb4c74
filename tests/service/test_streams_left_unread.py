"""Streams whose caller has stopped reading: they must end, and give back what they hold, all the same."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from baton.queue.v1 import consumer_service_pb2 as consumer_pb
from baton.queue.v1 import message_pb2
from baton.queue.v1 import producer_service_pb2 as producer_pb
from mesh.clock import SECOND
from mesh.field_rules import FieldRules
from queue_service.app import QueueApplication
from queue_service.delivery_stream import ANSWERS, DeliveryStream
from queue_service.message import NewMessage
from queue_service.queue_definition import Queue
from queue_service.send_stream import PIPELINE, SendStream
from queue_service.storage.memory import MemoryStore
from queue_service.storage.verbs import Stats
from tests.support.eventually import eventually
from tests.support.failing_store import FailingStore
from tests.support.fake_clock import FakeClock
from tests.support.running_broker import running_broker

Request = consumer_pb.StreamMessagesRequest
RULES = FieldRules(("queue",))


@pytest.fixture
async def application() -> AsyncIterator[QueueApplication]:
    made = QueueApplication(MemoryStore(), [Queue("work")], FakeClock(), push_grace=0)
    await made.start()
    yield made
    await made.close()


async def nobody(_: consumer_pb.StreamMessagesResponse) -> bool:
    return False


async def is_full(answers: "asyncio.Queue[Any]") -> bool:
    return answers.full()


async def test_a_consumer_that_vanished_unread_leaves_no_task_and_no_lease(application: QueueApplication) -> None:
    broker = application.broker
    await broker.send("work", [NewMessage(message_pb2.QueueMessage(text="a").SerializeToString(), 1)])
    opening = Request.Open(queue="work")
    opening.max_batch_timeout.seconds = 0

    async def says() -> AsyncIterator[Request]:
        for _ in range(3 * ANSWERS):
            yield Request(flow_control=Request.FlowControl())

    stream = DeliveryStream(opening, broker, RULES, FakeClock())
    responses = stream.run(says(), nobody)
    await anext(responses)
    await eventually(lambda: is_full(stream._answers), bool)
    assert (await broker.backlog.stats("work"))[0].leased_count == 1

    async with asyncio.timeout(5):
        await responses.aclose()  # type: ignore[attr-defined]  # it is a generator

    stats, _ = await broker.backlog.stats("work")
    assert (stats.leased_count, stats.totals.retried) == (0, 1)


async def test_a_producer_that_vanished_unread_leaves_no_task(application: QueueApplication) -> None:
    message = message_pb2.QueueMessage(text="a")

    async def says() -> AsyncIterator[producer_pb.StreamSendMessagesRequest]:
        for _ in range(3 * PIPELINE):
            yield producer_pb.StreamSendMessagesRequest(queue="work", messages=[message])

    stream = SendStream(application.broker, RULES)
    answers = stream.run(says())
    await anext(answers)
    await eventually(lambda: is_full(stream._answers), bool)

    async with asyncio.timeout(5):
        await answers.aclose()  # type: ignore[attr-defined]  # it is a generator


async def test_a_stream_that_cannot_beat_ends_instead_of_falling_silent() -> None:
    store, clock = FailingStore(), FakeClock()
    async with running_broker(store, clock=clock) as broker:
        await broker.create()
        call = broker.consumer.StreamMessages()
        await call.write(Request(open=Request.Open(queue="work")))
        await call.read()

        store.failing = Stats
        clock.turn(10 * SECOND)

        with pytest.raises(grpc.aio.AioRpcError) as failure:
            async with asyncio.timeout(10):
                await call.read()
        store.failing = None
    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
