"""Delays and retries, held against Cloudflare's documentation; rows as in docs/compared_with_cloudflare.md."""

from collections.abc import AsyncIterator

import pytest
from google.protobuf.duration_pb2 import Duration

from baton.queue.v1 import message_pb2, producer_service_pb2
from tests.support.pushed_queue import PushedQueue, handler, in_turn, plain_retries, pushed_queue, retrying
from tests.support.refusals import refused, violations
from tests.support.running_broker import RunningBroker, duration

MOMENT = 0.000_001


@pytest.fixture
async def work() -> AsyncIterator[PushedQueue]:
    async with pushed_queue() as made:
        yield made


def delayed(text: str, seconds: float) -> message_pb2.QueueMessage:
    return message_pb2.QueueMessage(text=text, delay=duration(seconds))


async def comes_after(work: PushedQueue, seconds: float, *texts: str) -> None:
    """Nothing comes a moment before, and these messages come then."""
    work.turn(seconds - MOMENT)
    await work.nothing_comes()
    work.turn(MOMENT)
    assert await work.texts() == [*texts]


async def test_the_queues_delay_holds_for_a_single_send(work: PushedQueue) -> None:
    """Row #14."""
    await work.create(delay=2)

    request = producer_service_pb2.SendMessageRequest(queue="work", message=message_pb2.QueueMessage(text="a"))
    await work.broker.producer.SendMessage(request)

    await comes_after(work, 2, "a")


async def test_each_message_waits_for_its_own_delay(work: PushedQueue) -> None:
    """Row #15."""
    await work.create()

    await work.send(*(delayed(str(seconds), seconds) for seconds in range(1, 11)))

    for seconds in range(1, 11):
        await comes_after(work, 1, str(seconds))
    await work.nothing_comes()


async def test_the_queues_delay_holds_for_all_that_are_sent_together(work: PushedQueue) -> None:
    """Row #16."""
    await work.create(delay=2)

    await work.send("a", "b")

    await comes_after(work, 2, "a", "b")


async def test_a_delay_of_the_whole_send_stands_on_its_messages_and_goes_over_the_queues(work: PushedQueue) -> None:
    """Row #17."""
    await work.create(delay=2)

    await work.send(*(delayed(text, 3) for text in "ab"))

    await comes_after(work, 3, "a", "b")


async def test_a_messages_own_delay_goes_over_the_queues(work: PushedQueue) -> None:
    """Row #18."""
    await work.create(delay=1)

    await work.send(*(delayed(str(seconds), seconds) for seconds in (2, 3, 4)))

    await comes_after(work, 2, "2")
    await comes_after(work, 1, "3")
    await comes_after(work, 1, "4")


async def test_a_retry_waits_for_the_queues_retry_delay_each_time(work: PushedQueue) -> None:
    """Row #19."""
    await work.create(handler(retrying()), retry_policy=plain_retries(seconds=5))
    await work.send("a")
    assert await work.texts() == ["a"]

    for _ in range(2):
        await work.settled()
        work.turn(1)
        await work.nothing_comes()
        await comes_after(work, 4, "a")


async def test_a_message_waits_for_the_delay_of_its_queue(work: PushedQueue) -> None:
    """Row D1."""
    await work.create(delay=4)

    await work.send("a")

    await comes_after(work, 4, "a")


async def test_messages_of_one_send_can_differ_in_their_delays(work: PushedQueue) -> None:
    """Row D2."""
    await work.create(delay=4)

    await work.send("the queue's", delayed("its own", 6), delayed("shorter", 1))

    await comes_after(work, 1, "shorter")
    await comes_after(work, 3, "the queue's")
    await comes_after(work, 2, "its own")


async def test_a_delay_of_nought_goes_over_the_queues(work: PushedQueue) -> None:
    """Row D3."""
    await work.create(delay=4)

    await work.send("later", delayed("now", 0))

    assert await work.texts() == ["now"]
    await comes_after(work, 4, "later")


@pytest.mark.parametrize(("said", "seconds"), [(None, 2.0), (1.0, 1.0), (7.0, 7.0)])
async def test_a_retrys_own_delay_goes_over_the_queues(work: PushedQueue, said: float | None, seconds: float) -> None:
    """Row D4."""
    await work.create(in_turn(handler(retrying(delay=said))), retry_policy=plain_retries(seconds=2))
    await work.send("a")
    await work.texts()

    await work.settled()

    await comes_after(work, seconds, "a")


async def test_a_retry_with_a_delay_of_nought_comes_at_once(work: PushedQueue) -> None:
    """Row D4."""
    await work.create(in_turn(handler(retrying(delay=0))), retry_policy=plain_retries(seconds=2))
    await work.send("a")

    assert [await work.attempts(), await work.attempts()] == [[("a", 1)], [("a", 2)]]


async def test_a_delay_may_be_seven_days_and_no_longer(broker: RunningBroker) -> None:
    """Row D5."""
    await broker.create()
    week = 7 * 24 * 3600
    messages = [delayed("a day", 24 * 3600), delayed("a week", week)]
    await broker.producer.SendMessages(producer_service_pb2.SendMessagesRequest(queue="work", messages=messages))
    past = message_pb2.QueueMessage(text="before it was sent", delay=Duration(seconds=-1))

    bad = producer_service_pb2.SendMessagesRequest(queue="work", messages=[delayed("longer", week + 1), past])
    error = await refused(broker.producer.SendMessages(bad))

    assert violations(error) == {
        "messages[0].delay": "must be at most 7d, is 604801s",
        "messages[1].delay": "must be at least 0s, is -1s",
    }
    assert (await broker.stats()).delayed_count == 2


async def test_a_delay_need_not_be_whole_seconds(work: PushedQueue) -> None:
    """Row D6."""
    await work.create()

    await work.send(delayed("a", 1.5))

    await comes_after(work, 1.5, "a")
