"""Failures and dead letters, held against Cloudflare's documentation; rows as in docs/compared_with_cloudflare.md."""

from collections.abc import AsyncIterator

import grpc
import pytest

from baton.queue.v1 import message_pb2, queue_pb2, queue_service_pb2
from mesh.status import read_error
from tests.support.push_target import Handle
from tests.support.pushed_queue import (
    PushedQueue,
    acking,
    handler,
    in_turn,
    plain_retries,
    pushed_queue,
    retrying,
)
from tests.support.refusals import refused
from tests.support.running_broker import RunningBroker

thrown = handler(throws=True)


@pytest.fixture
async def work() -> AsyncIterator[PushedQueue]:
    async with pushed_queue() as made:
        yield made


async def dead_letters(work: PushedQueue) -> list[message_pb2.LeasedMessage]:
    return list(await work.broker.pull("work-dead"))


@pytest.mark.parametrize(
    "handle", [handler(retrying("b")), handler(acking("a", "c"), retrying("b"))], ids=["returns", "says all"]
)
async def test_one_message_that_is_retried_comes_again_alone(work: PushedQueue, handle: Handle) -> None:
    """Rows #7a and B1."""
    await work.create(in_turn(handle))
    await work.send("a", "b", "c")
    assert await work.attempts() == [("a", 1), ("b", 1), ("c", 1)]

    assert (await work.settled()).acked_total == 2
    await work.nothing_comes()
    work.turn(1)

    assert await work.attempts() == [("b", 2)]
    assert (await work.settled()).acked_total == 3
    work.turn(10)
    await work.nothing_comes()


async def test_a_batch_that_is_retried_comes_again_whole(work: PushedQueue) -> None:
    """Rows #7b and B2."""
    await work.create(in_turn(handler(retrying())))
    await work.send("a", "b", "c")
    await work.texts()

    assert (await work.settled()).acked_total == 0
    work.turn(1)

    assert await work.attempts() == [("a", 2), ("b", 2), ("c", 2)]


async def test_a_batch_whose_handler_throws_comes_again_whole(work: PushedQueue) -> None:
    """Rows #7c and B3."""
    await work.create(in_turn(thrown))
    await work.send("a", "b", "c")
    await work.texts()

    assert (await work.settled()).acked_total == 0
    work.turn(1)

    assert await work.attempts() == [("a", 2), ("b", 2), ("c", 2)]


async def test_a_message_is_given_up_after_its_last_attempt_and_never_seen_again(work: PushedQueue) -> None:
    """Row #7d."""
    await work.create(in_turn(handler(retrying()), handler(retrying("b")), handler(retrying("b"))))
    await work.send("a", "b", "c")
    seen = [await work.attempts()]
    for _ in range(2):
        await work.settled()
        work.turn(1)
        seen.append(await work.attempts())

    stats = await work.settled()
    work.turn(60)
    await work.nothing_comes()

    assert seen == [[("a", 1), ("b", 1), ("c", 1)], [("a", 2), ("b", 2), ("c", 2)], [("b", 3)]]
    assert (stats.acked_total, stats.dropped_total, stats.ready_count, stats.delayed_count) == (2, 1, 0, 0)


@pytest.mark.parametrize(("max_retries", "deliveries"), [(2, 3), (0, 1)])
async def test_deliveries_are_one_more_than_the_retries(work: PushedQueue, max_retries: int, deliveries: int) -> None:
    """Rows B4, B5 and #20."""
    await work.create(thrown, retry_policy=plain_retries(max_retries=max_retries))
    await work.send("a")

    for attempt in range(1, deliveries + 1):
        assert await work.attempts() == [("a", attempt)]
        await work.settled()
        work.turn(1)

    stats = await work.nothing_comes()
    assert (stats.retried_total, stats.dropped_total) == (max_retries, 1)


async def test_dead_letters_arrive_with_their_ids_at_attempt_one(work: PushedQueue) -> None:
    """Row #8."""
    await work.create(
        handler(retrying("a", "c")), retry_policy=plain_retries(max_retries=0), dead_letter_queue="work-dead"
    )
    ids = await work.send("a", "b", "c")
    await work.texts()

    stats = await work.settled()
    dead = await dead_letters(work)

    assert (stats.acked_total, stats.dead_lettered_total, stats.delayed_count) == (1, 2, 0)
    assert [(leased.message.message_id, leased.attempt) for leased in dead] == [(ids[0], 1), (ids[2], 1)]


async def test_a_dead_letter_keeps_its_id_and_says_what_happened_to_it(work: PushedQueue) -> None:
    """Row C1."""
    await work.create(thrown, retry_policy=plain_retries(max_retries=1), dead_letter_queue="work-dead")
    (sent,) = await work.send("a")
    sent_at = work.clock.now()
    assert await work.attempts() == [("a", 1)]
    await work.settled()
    work.turn(1)
    assert await work.attempts() == [("a", 2)]

    await work.settled()
    (leased,) = await dead_letters(work)

    message, record = leased.message, leased.message.dead_letter
    assert (message.message_id, message.text, leased.attempt) == (sent, "a", 1)
    assert (record.reason, record.source_queue) == (message_pb2.DeadLetter.REASON_MAX_RETRIES, "work")
    assert record.source_send_time.ToMicroseconds() == sent_at
    assert [(failure.attempt, failure.code) for failure in record.failures] == [(2, "UNKNOWN"), (1, "UNKNOWN")]


async def test_a_queue_is_no_dead_letter_queue_of_itself(broker: RunningBroker) -> None:
    """Row V1."""
    error = await refused(broker.create(dead_letter_queue="work"))

    assert (error.code(), read_error(error).reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DEAD_LETTER_CYCLE")
    assert not (await broker.queues.ListQueues(queue_service_pb2.ListQueuesRequest())).queues


async def test_two_queues_are_no_dead_letter_queues_of_each_other(broker: RunningBroker) -> None:
    """Row V2."""
    await broker.create("work", dead_letter_queue="other")
    back = queue_pb2.Queue(name="other", consumer=queue_pb2.ConsumerSettings(dead_letter_queue="work"))

    error = await refused(broker.queues.UpdateQueue(queue_service_pb2.UpdateQueueRequest(queue=back)))

    assert (error.code(), read_error(error).reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DEAD_LETTER_CYCLE")
    assert not (await broker.get("other")).consumer.dead_letter_queue


async def test_a_dead_letter_queue_that_is_missing_is_made(broker: RunningBroker) -> None:
    """Row #8."""
    await broker.create("work", dead_letter_queue="work-dead")

    assert (await broker.get("work-dead")).state == queue_pb2.Queue.STATE_ACTIVE
