"""What a handler says of each message, held against Cloudflare's rules of precedence.

There, `ack()`, `retry()`, `ackAll()` and `retryAll()` are calls on the batch. Here each is a settlement in a response,
and takes effect at once; to return is `ackAll()`, to throw is `retryAll()`, of whatever no response has settled. The
rows are those of docs/compared_with_cloudflare.md.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from baton.queue.v1 import batch_handler_service_pb2 as pb
from tests.support.push_target import Context
from tests.support.pushed_queue import PushedQueue, Response, acking, handler, in_turn, pushed_queue, retrying

LATER = 1.0


@pytest.fixture
async def work() -> AsyncIterator[PushedQueue]:
    async with pushed_queue() as made:
        yield made


async def nothing_comes_back(work: PushedQueue, acked: int) -> None:
    """All is acked, and stays so: the next thing that the one handler at a time is given is a new message."""
    assert (await work.settled()).acked_total == acked
    work.turn(LATER)
    await work.send("new")
    assert await work.texts() == ["new"]
    assert (await work.settled()).acked_total == acked + 1


async def test_an_acked_message_stays_acked_when_the_handler_throws_later(work: PushedQueue) -> None:
    """Rows B6 and P3."""
    await work.create(in_turn(handler(acking("m1"), throws=True)))
    await work.send("m1", "m2", "m3")
    await work.texts()

    assert (await work.settled()).acked_total == 1
    work.turn(LATER)

    assert await work.attempts() == [("m2", 2), ("m3", 2)]


async def test_when_all_is_acked_nothing_comes_back_though_the_handler_throws(work: PushedQueue) -> None:
    """Row B7."""
    await work.create(in_turn(handler(acking(), throws=True)), max_concurrency=1)
    await work.send("m1", "m2", "m3")
    await work.texts()

    await nothing_comes_back(work, acked=3)


async def test_an_ack_holds_against_a_later_retry_of_all(work: PushedQueue) -> None:
    """Rows B8 and P2."""
    await work.create(in_turn(handler(acking("m1"), retrying())))
    await work.send("m1", "m2", "m3")
    await work.texts()

    assert (await work.settled()).acked_total == 1
    work.turn(LATER)

    assert await work.attempts() == [("m2", 2), ("m3", 2)]


async def test_a_retry_holds_against_a_later_ack_of_all(work: PushedQueue) -> None:
    """Rows B9 and P2."""
    await work.create(in_turn(handler(retrying("m1"), acking())))
    await work.send("m1", "m2", "m3")
    await work.texts()

    assert (await work.settled()).acked_total == 2
    work.turn(LATER)

    assert await work.attempts() == [("m1", 2)]


async def test_a_retry_holds_when_the_handler_returns(work: PushedQueue) -> None:
    """Rows B9 and P2."""
    await work.create(in_turn(handler(retrying("m1"))))
    await work.send("m1", "m2", "m3")
    await work.texts()

    assert (await work.settled()).acked_total == 2
    work.turn(LATER)

    assert await work.attempts() == [("m1", 2)]


async def test_of_an_ack_and_a_later_retry_the_ack_counts(work: PushedQueue) -> None:
    """Rows B10 and P1."""
    await work.create(in_turn(handler(acking("m1"), retrying("m1"))), max_concurrency=1)
    await work.send("m1")
    await work.texts()

    await nothing_comes_back(work, acked=1)


async def test_of_a_retry_and_a_later_ack_the_retry_counts(work: PushedQueue) -> None:
    """Rows B11 and P1."""
    await work.create(in_turn(handler(retrying("m1"), acking("m1"))))
    await work.send("m1")
    await work.texts()

    assert (await work.settled()).acked_total == 0
    work.turn(LATER)

    assert await work.attempts() == [("m1", 2)]


async def test_when_all_is_retried_a_later_ack_of_one_is_too_late(work: PushedQueue) -> None:
    """Row B12."""
    await work.create(in_turn(handler(retrying(), acking("m1"))))
    await work.send("m1", "m2", "m3")
    await work.texts()

    assert (await work.settled()).acked_total == 0
    work.turn(LATER)

    assert await work.attempts() == [("m1", 2), ("m2", 2), ("m3", 2)]


async def test_when_all_is_acked_a_later_retry_of_one_is_too_late(work: PushedQueue) -> None:
    """Row B13."""
    await work.create(in_turn(handler(acking(), retrying("m1"))), max_concurrency=1)
    await work.send("m1", "m2", "m3")
    await work.texts()

    await nothing_comes_back(work, acked=3)


async def test_work_in_the_background_that_fails_fails_the_batch(work: PushedQueue) -> None:
    """Row B14."""

    async def fail() -> None:
        raise RuntimeError("failed in the background")

    async def handle(request: pb.DeliverBatchRequest, context: Context) -> AsyncIterator[Response]:
        async with asyncio.TaskGroup() as background:
            background.create_task(fail())
        return
        yield

    await work.create(in_turn(handle))
    await work.send("m1", "m2")
    await work.texts()

    assert (await work.settled()).acked_total == 0
    work.turn(LATER)

    assert await work.attempts() == [("m1", 2), ("m2", 2)]
