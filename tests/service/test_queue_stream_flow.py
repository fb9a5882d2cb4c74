"""A stream's pace: heartbeats on time, and no more on its way than its reader takes."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from baton.queue.v1 import consumer_service_pb2 as pb
from baton.queue.v1 import message_pb2, producer_service_pb2
from mesh.clock import SECOND
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.support.running_broker import RunningBroker, duration, running_broker

Request = pb.StreamMessagesRequest
KIB = 1024


async def read(call: Any) -> pb.StreamMessagesResponse:
    async with asyncio.timeout(10):
        response = await call.read()
    assert isinstance(response, pb.StreamMessagesResponse), "the stream has ended"
    return response


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def broker(clock: FakeClock) -> AsyncIterator[RunningBroker]:
    async with running_broker(clock=clock) as made:
        await made.create()
        yield made


async def test_a_heartbeat_comes_within_every_fifteen_seconds(broker: RunningBroker, clock: FakeClock) -> None:
    call = broker.consumer.StreamMessages()
    await call.write(Request(open=Request.Open(queue="work", max_batch_timeout=duration(0))))
    opened = await read(call)
    interval = opened.opened.heartbeat_interval.ToTimedelta().total_seconds()
    await broker.send("a")
    assert (await read(call)).HasField("batch")

    beats = []
    for _ in range(3):
        clock.turn(round(interval * SECOND))
        while not (response := await read(call)).HasField("heartbeat"):
            pass
        beats.append(response.heartbeat)
    call.cancel()

    assert interval <= 15
    assert [beat.ready_count for beat in beats] == [0, 0, 0]  # it has been delivered
    times = [beat.server_time.ToMicroseconds() for beat in beats]
    assert [after - before for before, after in itertools.pairwise(times)] == [interval * SECOND] * 2


async def test_what_answers_a_request_says_how_much_is_ready(broker: RunningBroker) -> None:
    await broker.send("a", "b")
    call = broker.consumer.StreamMessages()
    flow = Request.FlowControl(max_outstanding_messages=0)
    await call.write(Request(open=Request.Open(queue="work", flow_control=flow)))
    await read(call)

    await call.write(Request(sequence=7, flow_control=flow))
    answer = await read(call)
    call.cancel()

    assert (answer.sequence, answer.heartbeat.ready_count) == (7, 2)


async def test_a_consumer_that_does_not_read_is_sent_no_more_than_fits_on_the_way(broker: RunningBroker) -> None:
    """The window alone would let through all of it."""
    messages = [message_pb2.QueueMessage(data=b"x" * 16 * KIB)] * 150
    for _ in range(14):
        await broker.producer.SendMessages(producer_service_pb2.SendMessagesRequest(queue="work", messages=messages))
    call = broker.consumer.StreamMessages()
    flow = Request.FlowControl(max_outstanding_messages=100_000, max_outstanding_bytes=1024 * KIB * KIB)
    opening = Request.Open(queue="work", max_batch_size=1, max_batch_timeout=duration(0), flow_control=flow)
    await call.write(Request(open=opening))

    await eventually(broker.stats, lambda stats: stats.leased_count >= 16)
    counts = [(await broker.stats()).leased_count for _ in range(300)]
    call.cancel()

    assert counts[-1] * 16 * KIB < 16 * KIB * KIB
    assert counts[-1] < 2100
    assert counts[-1] == counts[-50], "it still grows"


async def test_a_message_that_a_full_stream_cannot_take_goes_to_another_consumer_at_once(broker: RunningBroker) -> None:
    call = broker.consumer.StreamMessages()
    flow = Request.FlowControl(max_outstanding_messages=1)
    await call.write(Request(open=Request.Open(queue="work", max_batch_timeout=duration(0), flow_control=flow)))
    await read(call)
    await broker.send("a")
    await read(call)  # the stream is full

    other = broker.consumer.StreamMessages()
    await other.write(Request(open=Request.Open(queue="work", max_batch_timeout=duration(0))))
    await read(other)
    await broker.send("b")

    batch = (await read(other)).batch
    assert [leased.message.text for leased in batch.messages] == ["b"]
    call.cancel()
    other.cancel()
