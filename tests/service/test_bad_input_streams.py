"""Bad requests on streams: each is answered by itself, the stream lives on, and nothing has changed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio

from baton.queue.v1 import consumer_service_pb2, message_pb2
from baton.queue.v1 import producer_service_pb2 as producer
from mesh.status import read_error
from tests.support.bad_requests.leases import STREAM_OPENINGS, STREAM_REQUESTS, StreamRequest
from tests.support.bad_requests.refusal import status_of, wrong_with
from tests.support.bad_requests.row import INT64, Bad
from tests.support.bad_requests.sends import STREAM_SENDS
from tests.support.bad_requests.standing import everything, furnish, opening
from tests.support.running_broker import RunningBroker, duration, running_broker

pytestmark = pytest.mark.asyncio(loop_scope="module")

Response = consumer_service_pb2.StreamMessagesResponse
Notice = Response.Notice


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def broker() -> AsyncIterator[RunningBroker]:
    async with running_broker() as made:
        await furnish(made)
        yield made


async def answer_to(stream: "grpc.aio.StreamStreamCall[StreamRequest, Response]", sequence: int) -> Response:
    """What the broker says to one request, past what it says by itself."""
    async with asyncio.timeout(20):
        while isinstance(response := await stream.read(), Response):
            if response.sequence == sequence and response.WhichOneof("response") != "opened":
                return response
    raise AssertionError("the stream ended")


async def read_to_the_end(stream: "grpc.aio.StreamStreamCall[bytes, bytes]") -> None:
    while isinstance(await stream.read(), bytes):
        pass


async def test_each_bad_send_has_an_error_of_its_own(broker: RunningBroker) -> None:
    before, wrong = await everything(broker), []
    stream = broker.producer.StreamSendMessages()

    for number, row in enumerate(STREAM_SENDS, start=-INT64):
        request = producer.StreamSendMessagesRequest()
        request.CopyFrom(row.request)
        request.sequence = number
        await stream.write(request)
        answer = await stream.read()
        assert isinstance(answer, producer.StreamSendMessagesResponse), "the stream ended"
        wrong += [] if answer.sequence == number and not answer.results else [f"{row}: answers {answer}"]
        wrong += wrong_with(answer.error, row)
    unchanged = await everything(broker) == before
    good = producer.StreamSendMessagesRequest(sequence=INT64 - 1, queue="pushed", messages=[message_pb2.QueueMessage()])
    await stream.write(good)
    stored = await stream.read()

    assert wrong == []
    assert unchanged
    assert isinstance(stored, producer.StreamSendMessagesResponse)
    assert (stored.sequence, len(stored.results)) == (INT64 - 1, 1)


async def test_each_bad_request_of_a_consumer_is_a_notice(broker: RunningBroker) -> None:
    before, wrong = await everything(broker), []
    stream = broker.consumer.StreamMessages()
    await stream.write(opening())

    for number, row in enumerate(STREAM_REQUESTS, start=1_000):
        request = StreamRequest()
        request.CopyFrom(row.request)
        request.sequence = number
        await stream.write(request)
        answer = await answer_to(stream, number)
        wrong += [] if answer.notice.kind == Notice.KIND_REQUEST_REJECTED else [f"{row}: answers {answer}"]
        wrong += wrong_with(answer.notice.status, row)
    extreme = StreamRequest(sequence=-INT64, extend=StreamRequest.Extend(lease_ids=["x"]))
    await stream.write(extreme)
    extended = await answer_to(stream, -INT64)

    assert wrong == []
    assert await everything(broker) == before
    assert extended.extended.extensions[0].outcome == message_pb2.LEASE_OUTCOME_UNKNOWN_LEASE


@pytest.mark.parametrize("row", STREAM_OPENINGS, ids=str)
async def test_a_stream_that_begins_badly_ends_at_once(broker: RunningBroker, row: Bad) -> None:
    stream = broker.consumer.StreamMessages(timeout=10)
    await stream.write(row.request)

    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await stream.read()

    assert wrong_with(status_of(ended.value), row) == []


async def test_a_stream_that_says_nothing_is_told_what_was_missing(broker: RunningBroker) -> None:
    stream = broker.consumer.StreamMessages(timeout=10)
    await stream.done_writing()

    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await stream.read()

    assert wrong_with(status_of(ended.value), Bad(StreamRequest(), "open", ("comes first, and once",))) == []


@pytest.mark.parametrize("garbage", [b"\xff", b"\x12\x05a", b"\x12\x04\x0a\x02\xff\xfe", b"\x0b" * 200], ids=repr)
async def test_bytes_that_are_no_request_end_a_stream_as_a_bad_field(garbage: bytes) -> None:
    async with running_broker() as broker:
        await broker.create("work", visibility_timeout=duration(60))
        await broker.send("a")
        method: Any = broker.channel.stream_stream("/baton.queue.v1.ConsumerService/StreamMessages")
        raw = method(timeout=10)
        await raw.write(opening("work").SerializeToString())
        while isinstance(said := await raw.read(), bytes) and not Response.FromString(said).HasField("batch"):
            pass

        await raw.write(garbage)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await read_to_the_end(raw)

        row = Bad(StreamRequest(), "request", (f"{len(garbage)} bytes that are not this method's request message",))
        assert wrong_with(status_of(ended.value), row) == []
        stats = await broker.stats()
        assert (stats.retried_total, stats.leased_count) == (1, 0)


async def test_bytes_that_are_no_send_end_a_stream_and_keep_what_was_answered(broker: RunningBroker) -> None:
    method: Any = broker.channel.stream_stream("/baton.queue.v1.ProducerService/StreamSendMessages")
    raw = method(timeout=10)
    good = producer.StreamSendMessagesRequest(sequence=1, queue="pushed", messages=[message_pb2.QueueMessage()])
    await raw.write(good.SerializeToString())
    answer = await raw.read()

    await raw.write(b"\xff")
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await raw.read()

    assert isinstance(answer, bytes)
    assert producer.StreamSendMessagesResponse.FromString(answer).results[0].message_id
    assert (ended.value.code(), read_error(ended.value).reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
