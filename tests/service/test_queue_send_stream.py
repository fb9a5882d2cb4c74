"""StreamSendMessages over a real server."""

import asyncio

import grpc
import pytest

from baton.queue.v1 import message_pb2
from baton.queue.v1 import producer_service_pb2 as pb
from tests.support.running_broker import RunningBroker, running_broker


def send(sequence: int, *texts: str, queue: str = "work", **fields: object) -> pb.StreamSendMessagesRequest:
    messages = [message_pb2.QueueMessage(text=text) for text in texts]
    return pb.StreamSendMessagesRequest(sequence=sequence, queue=queue, messages=messages, **fields)  # type: ignore[arg-type]


async def test_many_sends_are_answered_in_order_and_stored_in_order(broker: RunningBroker) -> None:
    await broker.create()
    stream = broker.producer.StreamSendMessages(send(number, str(number)) for number in range(100))

    answers = [answer async for answer in stream]

    assert [answer.sequence for answer in answers] == list(range(100))
    assert all(answer.results[0].message_id for answer in answers)
    received = [leased.message.text for leased in await broker.pull(max_messages=100)]
    assert received == [str(number) for number in range(100)]


async def test_a_send_that_fails_has_an_error_of_its_own_and_the_stream_lives_on(broker: RunningBroker) -> None:
    await broker.create()
    bad = send(2, "x")
    bad.messages[0].delay.seconds = -1
    requests = [send(1, "a"), bad, send(3, "b", queue="nowhere"), send(4), send(5, "c")]

    answers = [answer async for answer in broker.producer.StreamSendMessages(iter(requests))]

    assert [answer.error.code for answer in answers] == [0, 3, 5, 3, 0]
    assert "messages[0].delay" in answers[1].error.message
    assert [detail.TypeName() for detail in answers[2].error.details] == [
        "google.rpc.ErrorInfo",
        "google.rpc.ResourceInfo",
    ]
    assert (await broker.stats()).sent_total == 2


async def test_a_repeated_request_id_gets_the_first_answer(broker: RunningBroker) -> None:
    await broker.create()
    requests = [send(1, "a", request_id="r"), send(2, "a", request_id="r")]

    first, second = [answer async for answer in broker.producer.StreamSendMessages(iter(requests))]

    assert first.results == second.results
    assert (await broker.stats()).sent_total == 1


async def test_a_draining_broker_ends_the_stream_and_keeps_what_it_answered() -> None:
    async with running_broker() as broker:
        await broker.create()
        stream = broker.producer.StreamSendMessages()
        await stream.write(send(1, "a"))
        answer = await stream.read()
        assert isinstance(answer, pb.StreamSendMessagesResponse)

        await broker.application.drain()

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async with asyncio.timeout(10):
                await stream.read()
        assert (caught.value.code(), answer.sequence) == (grpc.StatusCode.UNAVAILABLE, 1)


async def test_a_producer_that_goes_away_leaves_nothing_behind(broker: RunningBroker) -> None:
    await broker.create()
    stream = broker.producer.StreamSendMessages()
    await stream.write(send(1, "a"))
    await stream.read()

    stream.cancel()

    assert (await broker.stats()).sent_total == 1
