"""The relay that empties an outbox into a broker: here one on a real server that takes what it is sent."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from mesh.channel import MAX_MESSAGE_BYTES
from mesh.clock import SECOND, microseconds
from mesh.errors import (
    AlreadyExists,
    BatonError,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
    Violation,
)
from mesh.outbox import BATCH, FIRST_BACKOFF, LONGEST_BACKOFF, REFUSED_BACKOFF
from mesh.outbox_entry import HandedOver, HandOver, OutboxEntry
from tests.support.outbox_post import Post
from tests.support.sql_outbox import entry

POISON = InvalidArgument([Violation("messages[0].typed", "is no good")])


async def test_what_an_earlier_run_left_behind_is_handed_over_in_order(post: Post) -> None:
    producer = await post.open_broker()
    names = [f"e{number:03}" for number in range(2 * BATCH + 50)]
    post.outbox.add(*map(entry, names))

    post.relay.start()
    sent = await post.outbox.until(len(names))

    assert sent == producer.received == names
    assert [len(call) for call in producer.calls] == [BATCH, BATCH, 50]
    assert post.outbox.results[0] == ("e000", HandedOver(HandOver.SENT, "m-e000"))


async def test_entries_for_several_queues_go_together_and_in_order(post: Post) -> None:
    producer = await post.open_broker()
    post.outbox.add(entry("a1", "a"), entry("a2", "a"), entry("b1", "b"), entry("a3", "a"))

    post.relay.start()
    await post.outbox.until(4)

    assert producer.calls == [["a1", "a2", "a3"], ["b1"]]


async def test_a_new_entry_goes_at_once_when_the_relay_is_woken_and_nothing_is_polled(post: Post) -> None:
    producer = await post.open_broker()
    post.outbox.add(entry("first"))
    post.relay.start()
    await post.outbox.until(1)
    await post.outbox.idle.wait()
    reads = post.outbox.reads

    post.clock.turn(microseconds(timedelta(days=1)))
    await asyncio.sleep(0.05)
    assert post.outbox.reads == reads
    post.outbox.add(entry("second"))
    post.relay.wake()

    assert await producer.until(2) == ["first", "second"]


async def test_an_entry_that_a_sleeping_relay_is_woken_for_needs_no_timer(post: Post) -> None:
    producer = await post.open_broker()
    post.relay.start()
    await post.outbox.idle.wait()

    post.outbox.add(entry("a"), now=post.clock.now())
    post.relay.wake()

    assert await producer.until(1) == ["a"]


async def test_the_log_says_how_much_waits_and_since_when(post: Post) -> None:
    post.expect_no_broker()
    post.outbox.add(entry("a"), entry("b"), now=post.clock.now() - 7 * SECOND)

    with capture_logs() as logs:
        post.relay.start()
        await post.clock.waited_for()

    (waits,) = [line for line in logs if line["action"] == "outbox_backed_off"]
    assert (waits["count"], waits["age"], waits["seconds"]) == (2, 7.0, 0.2)


async def test_while_the_broker_is_away_entries_wait_and_then_all_arrive(post: Post) -> None:
    post.expect_no_broker()
    post.outbox.add(entry("a"), entry("b"))

    post.relay.start()
    waits = await post.clock.waited_for()
    producer = await post.open_broker()

    assert waits == microseconds(FIRST_BACKOFF)
    assert await post.until(2) == ["a", "b"]
    assert set(producer.received) == {"a", "b"}


async def test_a_broker_that_goes_in_between_is_found_again(post: Post) -> None:
    post.expect_no_broker()
    await post.open_broker()
    post.outbox.add(entry("a"))
    post.relay.start()
    await post.until(1)

    await post.close_broker()
    post.outbox.add(entry("b"))
    post.relay.wake()
    await post.clock.waited_for()
    producer = await post.open_broker()

    assert await post.until(2) == ["a", "b"]
    assert set(producer.received) == {"b"}


@pytest.mark.parametrize("trouble", [Unavailable("DRAINING", "soon"), ResourceExhausted("STORAGE_FULL", "full")])
async def test_the_wait_doubles_up_to_its_longest_and_starts_anew(post: Post, trouble: Unavailable) -> None:
    producer = await post.open_broker()
    producer.refuse["a"] = trouble
    post.outbox.add(entry("a"))
    post.relay.start()

    waits = []
    for _ in range(7):
        waits.append(await post.clock.waited_for())
        post.clock.turn(waits[-1])
    await post.clock.waited_for()
    producer.refuse.clear()
    post.clock.turn(microseconds(LONGEST_BACKOFF))
    await post.outbox.idle.wait()
    producer.refuse["b"] = trouble
    post.outbox.add(entry("b"))
    post.relay.wake()

    assert waits == [microseconds(timedelta(milliseconds=wait)) for wait in (200, 400, 800, 1600, 3200, 5000, 5000)]
    assert await post.clock.waited_for() == microseconds(FIRST_BACKOFF)


async def test_a_poisoned_entry_does_not_hold_up_its_neighbours_and_is_tried_again(post: Post) -> None:
    producer = await post.open_broker()
    producer.refuse["b"] = POISON
    post.outbox.add(entry("a"), entry("b"), entry("c"))

    post.relay.start()
    sent = await post.outbox.until(2)
    waits = await post.clock.waited_for()
    producer.refuse.clear()
    post.clock.turn(waits)

    assert sent == ["a", "c"]
    assert waits == microseconds(REFUSED_BACKOFF)
    assert await post.outbox.until(3) == ["a", "c", "b"]
    assert producer.calls == [["a", "b", "c"], ["a"], ["b"], ["c"], ["b"]]


@pytest.mark.parametrize(
    ("trouble", "wait"),
    [
        (ResourceExhausted("BACKLOG_FULL", "full"), LONGEST_BACKOFF),
        (NotFound("QUEUE_NOT_FOUND", "no a", resource_type="queue", resource_name="a"), REFUSED_BACKOFF),
    ],
)
async def test_a_queue_that_is_full_or_missing_holds_up_no_other_and_is_asked_once(
    post: Post, trouble: BatonError, wait: timedelta
) -> None:
    producer = await post.open_broker()
    producer.refuse["a1"] = trouble
    post.outbox.add(entry("a1", "a"), entry("a2", "a"), entry("b1", "b"))

    post.relay.start()
    others = await post.outbox.until(1)
    waits = await post.clock.waited_for()
    producer.refuse.clear()
    post.clock.turn(waits)

    assert (others, waits) == (["b1"], microseconds(wait))
    assert await post.outbox.until(3) == ["b1", "a1", "a2"]
    assert producer.calls == [["a1", "a2"], ["b1"], ["a1", "a2"]]


async def test_entries_too_large_for_one_message_go_one_by_one(post: Post) -> None:
    producer = await post.open_broker()
    names = [str(number) for number in range(10)]
    large = b"x" * (MAX_MESSAGE_BYTES // 9)
    post.outbox.add(*(OutboxEntry(name, "work", "a.b.C", large, {}) for name in names))

    post.relay.start()

    assert await post.outbox.until(10) == names
    assert producer.calls == [[name] for name in names]


async def test_a_refused_entry_is_kept_with_the_reason(post: Post) -> None:
    producer = await post.open_broker()
    producer.refuse["a"] = AlreadyExists(
        "DEDUPLICATION_ID_REUSED", "a is in use", resource_type="message", resource_name="a"
    )
    post.outbox.add(entry("a"))

    post.relay.start()
    await post.clock.waited_for()

    depth = await post.outbox.depth()
    assert (depth.count, depth.last_error) == (1, "DEDUPLICATION_ID_REUSED: a is in use")


async def test_the_relay_outlives_a_store_that_fails(post: Post) -> None:
    await post.open_broker()
    post.outbox.failures.append(RuntimeError("no such disk"))
    post.outbox.add(entry("a"))

    post.relay.start()
    post.clock.turn(await post.clock.waited_for())

    assert await post.outbox.until(1) == ["a"]


async def test_stopping_is_safe_before_the_start_and_twice_and_strands_nothing(post: Post) -> None:
    post.expect_no_broker()
    await post.relay.stop()
    post.outbox.add(entry("a"))
    post.relay.start()
    await post.clock.waited_for()

    await post.relay.stop()
    await post.relay.stop()

    assert [found.entry_id for found in await post.outbox.pending(post.clock.now(), 9)] == ["a"]
