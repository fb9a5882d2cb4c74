"""Method push: a real broker calls any unary method with a message's body as its request."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from baton.queue.v1 import message_pb2, producer_service_pb2, queue_pb2, queue_service_pb2
from tests.support.push_target import METHOD, Context, PushTarget, push_target
from tests.support.running_broker import RunningBroker, duration

AT_ONCE = queue_pb2.RetryPolicy(initial_delay=duration(0), max_retries=1)


@pytest.fixture
async def target() -> AsyncIterator[PushTarget]:
    async with push_target() as made:
        yield made


@pytest.fixture
async def pushed(broker: RunningBroker, target: PushTarget) -> RunningBroker:
    push = queue_pb2.PushTarget(address=target.address, method=queue_pb2.MethodCall(method=METHOD))
    await broker.create(push=push, retry_policy=AT_ONCE, dead_letter_queue="dead")
    return broker


async def send(broker: RunningBroker, *messages: message_pb2.QueueMessage) -> None:
    await broker.producer.SendMessages(producer_service_pb2.SendMessagesRequest(queue="work", messages=messages))


async def acked(broker: RunningBroker, count: int) -> queue_pb2.QueueStats:
    async with asyncio.timeout(20):
        while (stats := await broker.stats()).acked_total < count:
            pass
    return stats


async def test_a_typed_body_and_data_become_the_request_and_ok_acks(pushed: RunningBroker, target: PushTarget) -> None:
    typed = message_pb2.TypedBody(type_name="a.B", value=b"typed")
    await send(pushed, message_pb2.QueueMessage(typed=typed), message_pb2.QueueMessage(data=b"data"))

    requests = {(await target.taken.get())[0] for _ in range(2)}

    assert requests == {b"typed", b"data"}
    await acked(pushed, 2)


async def test_the_metadata_tells_of_the_message(pushed: RunningBroker, target: PushTarget) -> None:
    attributes = {
        "traceparent": "00-1",
        "tracestate": "s",
        "baggage": "b=1",
        "plain": "x",
        "wide": "grüße\n",
        "k-bin": "ü",
    }
    await send(pushed, message_pb2.QueueMessage(data=b"d", attributes=attributes))

    _, metadata = await target.taken.get()

    assert metadata["baton-queue"] == "work"
    assert metadata["baton-attempt"] == "1"
    assert len(metadata["baton-message-id"]) == 36
    assert (metadata["traceparent"], metadata["tracestate"], metadata["baggage"]) == ("00-1", "s", "b=1")
    assert metadata["baton-attribute-plain"] == "x"
    assert metadata["baton-attribute-wide"] == "gr%C3%BC%C3%9Fe%0A"
    assert metadata["baton-attribute-k-bin"] == "ü".encode()


async def test_the_deadline_is_the_lease(pushed: RunningBroker, target: PushTarget) -> None:
    left: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()

    async def look(request: bytes, context: Context) -> bytes:
        left.set_result(context.time_remaining())
        return b""

    target.take = look
    await send(pushed, message_pb2.QueueMessage(data=b"d"))

    remaining = await left
    assert remaining is not None
    assert 25 < remaining < 31  # gRPC rounds a deadline up


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE"])
async def test_an_answer_that_no_repeat_betters_rejects_with_its_code(
    pushed: RunningBroker, target: PushTarget, code: str
) -> None:
    async def refuse(request: bytes, context: Context) -> bytes:
        await context.abort(grpc.StatusCode[code], "never")
        return b""

    target.take = refuse
    await send(pushed, message_pb2.QueueMessage(data=b"d"))

    (dead,) = await pushed.pull("dead", wait=20)

    record = dead.message.dead_letter
    assert (record.reason, record.attempts) == (message_pb2.DeadLetter.REASON_REJECTED, 1)
    assert (record.failures[0].code, record.failures[0].description) == (code, "never")


async def test_already_exists_is_as_good_as_ok(pushed: RunningBroker, target: PushTarget) -> None:
    async def done_before(request: bytes, context: Context) -> bytes:
        await context.abort(grpc.StatusCode.ALREADY_EXISTS, "done before")
        return b""

    target.take = done_before

    await send(pushed, message_pb2.QueueMessage(data=b"d"))

    assert (await acked(pushed, 1)).retried_total == 0


async def test_anything_else_is_tried_again(pushed: RunningBroker, target: PushTarget) -> None:
    async def fail(request: bytes, context: Context) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, "gone")
        return b""

    target.take = fail
    await send(pushed, message_pb2.QueueMessage(data=b"d"))

    (dead,) = await pushed.pull("dead", wait=20)

    assert dead.message.dead_letter.attempts == 2


@pytest.mark.parametrize("message", [message_pb2.QueueMessage(text="t"), message_pb2.QueueMessage(json="{}")])
async def test_a_body_that_is_no_request_is_rejected(pushed: RunningBroker, message: message_pb2.QueueMessage) -> None:
    await send(pushed, message)

    (dead,) = await pushed.pull("dead", wait=20)

    assert dead.message.dead_letter.failures[0].code == "BODY_NOT_BINARY"


async def test_a_change_of_the_queue_takes_effect_on_the_running_push(
    pushed: RunningBroker, target: PushTarget
) -> None:
    await pushed.queues.DeleteQueue(queue_service_pb2.DeleteQueueRequest(name="work"))
    await pushed.create()
    await send(pushed, message_pb2.QueueMessage(data=b"pulled"))

    (leased,) = await pushed.pull()

    assert leased.message.data == b"pulled"
    assert target.taken.empty()
