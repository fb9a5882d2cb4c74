"""Batches and their order, held against Cloudflare's documentation; rows as in docs/compared_with_cloudflare.md."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from baton.queue.v1 import batch_handler_service_pb2 as pb
from baton.queue.v1 import message_pb2, producer_service_pb2
from tests.support.push_target import Context
from tests.support.pushed_queue import PushedQueue, Response, pushed_queue
from tests.support.running_broker import RunningBroker, duration

MOMENT = 0.000_001


@pytest.fixture
async def work() -> AsyncIterator[PushedQueue]:
    async with pushed_queue() as made:
        yield made


async def send_each(work: PushedQueue, *counts: int) -> None:
    for group, count in enumerate(counts):
        await work.send(*(f"{group}-{number}" for number in range(count)))


@pytest.mark.parametrize(
    ("sends", "at_once", "in_time"),
    [
        pytest.param([1], [], [1], id="1"),
        pytest.param([2], [], [2], id="2 together"),
        pytest.param([1, 2, 1], [], [4], id="1, 2 together, 1"),
        pytest.param([5], [5], [], id="5"),
        pytest.param([7], [5], [2], id="7"),
        pytest.param([6, 5], [5, 5], [1], id="6, then 5"),
    ],
)
async def test_full_batches_go_at_once_and_the_rest_when_its_time_is_up(
    work: PushedQueue, sends: list[int], at_once: list[int], in_time: list[int]
) -> None:
    """Row #2."""
    await work.create(max_batch_size=5, max_batch_timeout=duration(1))

    await send_each(work, *sends)

    assert [len(await work.texts()) for _ in at_once] == at_once
    await work.nothing_comes()
    work.turn(1 - MOMENT)
    await work.nothing_comes()
    work.turn(MOMENT)
    assert [len(await work.texts()) for _ in in_time] == in_time
    await work.nothing_comes()


@pytest.mark.parametrize("way", ["one call a message", "one call for both", "one stream"])
async def test_however_messages_are_sent_they_come_in_order_in_one_batch_at_attempt_one(
    work: PushedQueue, way: str
) -> None:
    """Rows #3, #4 and #5."""
    await work.create(max_batch_timeout=duration(1))
    first, second = (message_pb2.QueueMessage(text=text) for text in ("first", "second"))

    if way == "one call a message":
        for message in (first, second):
            request = producer_service_pb2.SendMessageRequest(queue="work", message=message)
            await work.broker.producer.SendMessage(request)
    elif way == "one call for both":
        await work.send(first, second)
    else:
        stream = work.broker.producer.StreamSendMessages()
        for number, message in enumerate((first, second)):
            part = producer_service_pb2.StreamSendMessagesRequest(sequence=number, queue="work", messages=[message])
            await stream.write(part)
            await stream.read()
        await stream.done_writing()
    work.turn(1)

    batch = await work.batch()
    assert batch.queue == "work"
    assert [(leased.message.text, leased.attempt) for leased in batch.messages] == [("first", 1), ("second", 1)]


async def test_a_batch_that_is_not_full_goes_when_the_first_message_has_waited_long_enough(work: PushedQueue) -> None:
    """Row A1."""
    await work.create(max_batch_timeout=duration(1))
    await work.send("first")
    work.turn(0.9)
    await work.send("second")
    await work.nothing_comes()

    work.turn(0.1)

    assert await work.attempts() == [("first", 1), ("second", 1)]


async def test_a_full_batch_waits_for_nothing(work: PushedQueue) -> None:
    """Row A2."""
    await work.create(max_batch_size=2, max_batch_timeout=duration(5))

    await work.send("a", "b")

    assert await work.texts() == ["a", "b"]


async def test_what_exceeds_a_full_batch_waits_for_its_own_time(work: PushedQueue) -> None:
    """Row A3."""
    await work.create(max_batch_size=5, max_batch_timeout=duration(5))

    await work.send(*"abcdefg")

    assert await work.texts() == [*"abcde"]
    work.turn(4.9)
    await work.nothing_comes()
    work.turn(0.1)
    assert await work.texts() == [*"fg"]


async def test_what_is_left_of_one_send_fills_up_with_the_next(work: PushedQueue) -> None:
    """Row A4."""
    await work.create(max_batch_size=5, max_batch_timeout=duration(5))

    await work.send(*"abcdef")
    await work.send(*"ghijk")

    assert [await work.texts(), await work.texts()] == [[*"abcde"], [*"fghij"]]
    await work.nothing_comes()
    work.turn(5)
    assert await work.texts() == ["k"]


async def test_with_no_time_to_wait_what_is_sent_together_comes_together(work: PushedQueue) -> None:
    """Row A5."""
    await work.create(max_batch_timeout=duration(0))

    await work.send(*"abcd")

    assert await work.texts() == [*"abcd"]


async def test_messages_that_never_fail_come_in_the_order_of_their_sends(work: PushedQueue) -> None:
    """Row F1."""
    await work.create(max_batch_size=100, max_concurrency=1)
    sent = [str(number) for number in range(300)]

    for start in range(0, 300, 50):
        await work.send(*sent[start : start + 50])

    received: list[str] = []
    while len(received) < 300:
        received += await work.texts()
    assert received == sent


async def test_batches_are_handled_side_by_side_up_to_the_queues_own_limit(work: PushedQueue) -> None:
    """Row F2."""
    done = asyncio.Event()

    async def wait(request: pb.DeliverBatchRequest, context: Context) -> AsyncIterator[Response]:
        await done.wait()
        return
        yield

    await work.create(wait, max_batch_size=1, max_concurrency=6)
    await work.send(*"abcdef", "one too many")

    assert sorted([text for _ in range(6) for text in await work.texts()]) == [*"abcdef"]
    await work.nothing_comes()
    done.set()
    assert await work.texts() == ["one too many"]


async def test_what_nobody_consumes_is_kept(broker: RunningBroker) -> None:
    """Row F3."""
    await broker.create()

    await broker.send("a", "b")

    assert (await broker.stats()).ready_count == 2
    assert [leased.message.text for leased in await broker.pull()] == ["a", "b"]
