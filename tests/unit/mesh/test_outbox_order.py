"""Entries of one order key go one behind the other, whatever holds one of them up, and hold up nobody else."""

import pytest

from mesh.clock import microseconds
from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable, Violation
from mesh.outbox import BATCH, REFUSED_BACKOFF
from mesh.outbox_entry import HandOver
from tests.support.outbox_post import Post
from tests.support.sql_outbox import entry

POISON = InvalidArgument([Violation("messages[0].typed", "is no good")])
NO_QUEUE = NotFound("QUEUE_NOT_FOUND", "there is no queue", resource_type="queue", resource_name="work")


async def test_behind_a_refused_entry_its_key_waits_and_everybody_else_goes(post: Post) -> None:
    producer = await post.open_broker()
    producer.refuse["k1"] = POISON
    post.outbox.add(
        *(entry("k1", order_key="k"), entry("j1", order_key="j"), entry("k2", order_key="k"), entry("f1")),
        *(entry("j2", order_key="j"), entry("k3", order_key="k"), entry("f2")),
    )

    post.relay.start()
    sent = await post.outbox.until(4)
    waits = await post.clock.waited_for()
    producer.refuse.clear()
    post.clock.turn(waits)

    assert sent == ["j1", "f1", "f2", "j2"]
    assert waits == microseconds(REFUSED_BACKOFF)
    assert (await post.outbox.until(7))[4:] == ["k1", "k2", "k3"]
    assert producer.received[4:] == ["k1", "k2", "k3"]


async def test_a_key_waits_in_its_other_queues_too(post: Post) -> None:
    producer = await post.open_broker()
    producer.refuse["k1"] = NO_QUEUE
    post.outbox.add(
        *(entry("k1", "lost", "k"), entry("j1", "a", "j"), entry("k2", "a", "k")),
        *(entry("f1", "b"), entry("k3", "b", "k"), entry("k4", "lost", "k")),
    )

    post.relay.start()
    sent = await post.outbox.until(2)
    await post.clock.waited_for()

    assert sent == producer.received == ["j1", "f1"]
    assert producer.calls == [["k1"], ["j1"], ["f1"]]


async def test_a_key_waits_in_the_reads_that_follow(post: Post) -> None:
    producer = await post.open_broker()
    producer.refuse["k0"] = POISON
    others = [f"f{number:03}" for number in range(2 * BATCH)]
    post.outbox.add(entry("k0", order_key="k"), *map(entry, others), entry("k1", order_key="k"))

    post.relay.start()
    sent = await post.outbox.until(len(others))
    waits = await post.clock.waited_for()
    post.outbox.add(entry("k2", order_key="k"), now=post.clock.now())
    post.relay.wake()
    await post.outbox.read_again()
    producer.refuse.clear()
    post.clock.turn(waits)

    assert sent == others
    assert (await post.outbox.until(len(others) + 3))[len(others) :] == ["k0", "k1", "k2"]


async def test_a_key_whose_withdrawal_waits_goes_no_further_either(post: Post) -> None:
    producer = await post.open_broker()
    producer.refuse["m-k1"] = FailedPrecondition("MESSAGE_LEASED", "m-k1 is leased", subject="m-k1")
    withdrawal = entry("k1", order_key="k", withdraw=True, message_id="m-k1")
    post.outbox.add(withdrawal, entry("k2", order_key="k"), entry("k3", "other", "k"), entry("f1"))

    post.relay.start()
    sent = await post.outbox.until(1)
    waits = await post.clock.waited_for()
    producer.refuse.clear()
    post.clock.turn(waits)

    assert sent == ["f1"]
    assert await post.outbox.until(3) == ["f1", "k2", "k3"]
    assert post.outbox.results[1][0] == "k1"
    assert post.outbox.ended(HandOver.WITHDRAWN) == ["k1"]


async def test_a_withdrawal_waits_behind_those_of_its_key(post: Post) -> None:
    producer = await post.open_broker()
    producer.refuse["k1"] = POISON
    withdrawal = entry("k0", order_key="k", withdraw=True, message_id="m-k0")
    post.outbox.add(entry("k1", order_key="k"), withdrawal, entry("f1"))

    post.relay.start()
    await post.outbox.until(1)
    waits = await post.clock.waited_for()
    assert producer.cancelled == []
    producer.refuse.clear()
    post.clock.turn(waits)

    await post.outbox.until(1, HandOver.WITHDRAWN)
    assert [entry_id for entry_id, _ in post.outbox.results] == ["f1", "k1", "k0"]


async def test_a_broker_that_is_away_keeps_every_key_in_order(post: Post) -> None:
    producer = await post.open_broker()
    producer.refuse["k1"] = Unavailable("DRAINING", "soon")
    names = [("k1", "k"), ("j1", "j"), ("k2", "k"), ("j2", "j")]
    post.outbox.add(*(entry(name, order_key=key) for name, key in names))

    post.relay.start()
    await post.clock.waited_for()
    producer.refuse.clear()

    assert await post.until(4) == ["k1", "j1", "k2", "j2"]
    assert producer.received == ["k1", "j1", "k2", "j2"]


@pytest.mark.parametrize("queue", ["work", "other"])
async def test_what_was_refused_is_tried_first_when_its_key_is_released(post: Post, queue: str) -> None:
    producer = await post.open_broker()
    producer.refuse["k1"] = POISON
    post.outbox.add(entry("k1", order_key="k"), entry("k2", queue, "k"))
    post.relay.start()
    await post.clock.waited_for()

    producer.refuse.clear()
    post.outbox.release("k", now=post.clock.now())
    post.relay.wake()

    assert await post.outbox.until(2) == ["k1", "k2"]
