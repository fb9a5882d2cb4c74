"""The figures of a backlog, held against Cloudflare's documentation; rows as in docs/compared_with_cloudflare.md.

There a send answers with the figures; here the broker is asked for them, and they are exact.
"""

import pytest

from baton.queue.v1 import consumer_service_pb2, producer_service_pb2, queue_pb2
from baton.queue.v1.message_pb2 import QueueMessage
from mesh.clock import SECOND
from tests.support.fake_clock import FakeClock
from tests.support.pushed_queue import plain_retries
from tests.support.running_broker import RunningBroker, duration, running_broker


def backlog(stats: queue_pb2.QueueStats) -> tuple[int, int, int]:
    return stats.ready_count, stats.backlog_bytes, stats.oldest_ready_age.ToMicroseconds()


async def test_after_single_sends_the_figures_hold_them_all(broker: RunningBroker) -> None:
    """Row #11."""
    await broker.create()
    for _ in range(2):
        request = producer_service_pb2.SendMessageRequest(queue="work", message=QueueMessage(text="five!"))
        await broker.producer.SendMessage(request)

    stats = await broker.stats()

    assert (stats.ready_count, stats.backlog_bytes, stats.sent_total) == (2, 10, 2)


async def test_after_sends_of_several_the_figures_hold_them_all() -> None:
    """Row #12."""
    clock = FakeClock()
    async with running_broker(clock=clock) as broker:
        await broker.create()
        await broker.send("1", "22")
        clock.turn(3 * SECOND)
        await broker.send("333", "4444")

        assert backlog(await broker.stats()) == (4, 10, 3 * SECOND)


@pytest.mark.parametrize("texts", [["a"], ["a", "b", "c"]], ids=["G1", "G2"])
async def test_the_figures_know_a_send_the_moment_it_is_answered(broker: RunningBroker, texts: list[str]) -> None:
    """Rows G1 and G2."""
    await broker.create()
    assert not (await broker.stats()).HasField("oldest_ready_age")

    await broker.send(*texts)

    stats = await broker.stats()
    assert (stats.ready_count, stats.backlog_bytes) == (len(texts), len(texts))
    assert stats.HasField("oldest_ready_age")


async def test_the_figures_say_where_every_message_is() -> None:
    """Row G3."""
    clock = FakeClock()
    async with running_broker(clock=clock) as broker:
        await broker.create(retry_policy=plain_retries())
        await broker.send("leased", "ready")
        message = QueueMessage(text="delayed", delay=duration(3))
        await broker.producer.SendMessage(producer_service_pb2.SendMessageRequest(queue="work", message=message))
        await broker.pull(max_messages=1)

        stats = await broker.stats()
        assert (stats.ready_count, stats.leased_count, stats.delayed_count) == (1, 1, 1)
        assert stats.backlog_bytes == len("leased" + "ready" + "delayed")
        assert stats.observe_time.ToMicroseconds() == clock.now()

        clock.turn(3 * SECOND)
        assert backlog(await broker.stats())[0] == 2


async def test_a_batch_says_what_is_left_behind_it(broker: RunningBroker) -> None:
    """Row G4."""
    await broker.create()
    await broker.send("a", "b", "c")

    request = consumer_service_pb2.PullMessagesRequest(queue="work", max_messages=1)
    answer = await broker.consumer.PullMessages(request)

    assert (len(answer.messages), answer.ready_count) == (1, 2)
