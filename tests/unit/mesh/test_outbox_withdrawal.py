"""Taking back what was handed over: every answer of the broker, and what it means for the entry."""

import asyncio

import pytest

from mesh.clock import microseconds
from mesh.errors import (
    BatonError,
    FailedPrecondition,
    InvalidArgument,
    NotBuilt,
    NotFound,
    ResourceExhausted,
    Unavailable,
    Violation,
)
from mesh.outbox import FIRST_BACKOFF, LEASED_BACKOFF, REFUSED_BACKOFF, WITHDRAWALS
from mesh.outbox_entry import HandedOver, HandOver, in_lines
from tests.support.outbox_post import Post
from tests.support.sql_outbox import entry

WEEK = 7 * 86_400
NO_QUEUE = NotFound("QUEUE_NOT_FOUND", "there is no queue", resource_type="queue", resource_name="work")
NO_MESSAGE = NotFound("MESSAGE_NOT_FOUND", "there is no message", resource_type="message", resource_name="m-a")
LEASED = FailedPrecondition("MESSAGE_LEASED", "m-a is leased", subject="m-a")
KNOWN = entry("a", withdraw=True, message_id="m-a")
UNKNOWN = entry("a", withdraw=True)


async def test_a_message_is_taken_back_by_its_id(post: Post) -> None:
    producer = await post.open_broker()
    post.outbox.add(KNOWN)

    post.relay.start()
    await post.outbox.idle.wait()

    assert post.outbox.results == [("a", HandedOver(HandOver.WITHDRAWN, "m-a"))]
    assert (producer.calls, producer.cancelled) == ([], ["m-a"])


async def test_a_message_whose_id_nobody_knows_is_looked_for_by_a_copy_that_cannot_leave(post: Post) -> None:
    producer = await post.open_broker()
    post.outbox.add(UNKNOWN)

    post.relay.start()
    await post.outbox.idle.wait()

    assert (producer.calls, producer.delays, producer.cancelled) == ([["a"]], {"a": WEEK}, ["m-a"])
    assert post.outbox.results[-1] == ("a", HandedOver(HandOver.WITHDRAWN, "m-a"))


async def test_what_is_only_sent_is_sent_without_delay(post: Post) -> None:
    producer = await post.open_broker()
    post.outbox.add(entry("a"))

    post.relay.start()
    await post.outbox.until(1)

    assert producer.delays == {"a": 0}


@pytest.mark.parametrize(
    ("refusal", "what"), [(NO_MESSAGE, HandOver.GONE), (NO_QUEUE, HandOver.WITHDRAWN)], ids=["message", "queue"]
)
async def test_what_is_not_there_any_more_is_done_with(post: Post, refusal: BatonError, what: HandOver) -> None:
    producer = await post.open_broker()
    producer.refuse["m-a"] = refusal
    post.outbox.add(KNOWN)

    post.relay.start()
    await post.outbox.idle.wait()

    assert post.outbox.results == [("a", HandedOver(what, "m-a"))]


@pytest.mark.parametrize(
    "refusal",
    [NO_QUEUE, InvalidArgument([Violation("messages[0]", "is no good")]), ResourceExhausted("BACKLOG_FULL", "full")],
    ids=["no queue", "poison", "full"],
)
async def test_a_message_that_the_broker_would_have_to_take_anew_is_not_there(post: Post, refusal: BatonError) -> None:
    producer = await post.open_broker()
    producer.refuse["a"] = refusal
    post.outbox.add(UNKNOWN)

    post.relay.start()
    await post.outbox.idle.wait()

    assert post.outbox.results == [("a", HandedOver(HandOver.WITHDRAWN, ""))]
    assert producer.cancelled == []


async def test_a_leased_message_is_taken_back_as_soon_as_it_is_free(post: Post) -> None:
    producer = await post.open_broker()
    producer.refuse["m-a"] = LEASED
    post.outbox.add(KNOWN, entry("b"))

    post.relay.start()
    sent = await post.outbox.until(1)
    waits = [await post.clock.waited_for()]
    post.clock.turn(waits[0])
    waits.append(await post.clock.waited_for())
    assert (await post.outbox.depth()).last_error == "MESSAGE_LEASED: m-a is leased"
    producer.refuse.clear()
    post.clock.turn(waits[1])
    await post.outbox.idle.wait()

    assert sent == ["b"]
    assert waits == [microseconds(LEASED_BACKOFF)] * 2
    assert post.outbox.ended(HandOver.WITHDRAWN) == ["a"]


async def test_an_id_that_was_found_is_kept_while_the_message_is_leased(post: Post) -> None:
    producer = await post.open_broker()
    producer.refuse["m-a"] = LEASED
    post.outbox.add(UNKNOWN)

    post.relay.start()
    for _ in range(3):
        post.clock.turn(await post.clock.waited_for())
    waits = await post.clock.waited_for()
    producer.refuse.clear()
    post.clock.turn(waits)
    await post.outbox.idle.wait()

    assert producer.calls == [["a"]]
    assert post.outbox.ended(HandOver.WITHDRAWN) == ["a"]


@pytest.mark.parametrize("known", [True, False])
async def test_any_other_refusal_is_kept_and_tried_again(post: Post, known: bool) -> None:
    producer = await post.open_broker()
    producer.refuse["m-a" if known else "a"] = NotBuilt("it")
    post.outbox.add(KNOWN if known else UNKNOWN)

    post.relay.start()
    waits = await post.clock.waited_for()
    producer.refuse.clear()
    post.clock.turn(waits)
    await post.outbox.idle.wait()

    assert waits == microseconds(REFUSED_BACKOFF)
    assert post.outbox.ended(HandOver.WITHDRAWN) == ["a"]


@pytest.mark.parametrize("known", [True, False])
async def test_a_broker_that_asks_for_patience_gets_it(post: Post, known: bool) -> None:
    producer = await post.open_broker()
    producer.refuse["m-a" if known else "a"] = Unavailable("DRAINING", "soon")
    post.outbox.add(KNOWN if known else UNKNOWN)

    post.relay.start()
    waits = await post.clock.waited_for()
    assert producer.cancelled == []
    producer.refuse.clear()

    assert waits == microseconds(FIRST_BACKOFF)
    assert await post.until(1, HandOver.WITHDRAWN) == ["a"]


async def test_what_is_withdrawn_before_it_was_handed_over_never_leaves(post: Post) -> None:
    producer = await post.open_broker()
    post.outbox.add(entry("a", order_key="k"), entry("b", order_key="k"))
    assert post.outbox.withdraw("a")

    post.relay.start()
    await post.outbox.idle.wait()

    assert producer.delays == {"a": WEEK, "b": 0}
    assert producer.cancelled == ["m-a"]
    assert post.outbox.results[-1] == ("b", HandedOver(HandOver.SENT, "m-b"))


async def test_what_is_withdrawn_while_it_is_handed_over_is_taken_back(post: Post) -> None:
    producer = await post.open_broker()
    producer.held = asyncio.Event()
    post.outbox.add(entry("a"))
    post.relay.start()
    await producer.until(1)

    assert post.outbox.withdraw("a")
    producer.held.set()
    await post.outbox.idle.wait()

    assert (producer.calls, producer.cancelled) == ([["a"]], ["m-a"])
    assert [result.what for _, result in post.outbox.results] == [HandOver.SENT, HandOver.WITHDRAWN]


async def test_what_is_withdrawn_after_a_refusal_does_not_wait_for_its_time(post: Post) -> None:
    producer = await post.open_broker()
    producer.refuse["a"] = InvalidArgument([Violation("messages[0]", "is no good")])
    post.outbox.add(entry("a"))
    post.relay.start()
    await post.clock.waited_for()

    post.outbox.withdraw("a", now=post.clock.now())
    post.relay.wake()
    await post.outbox.idle.wait()

    assert post.outbox.results == [("a", HandedOver(HandOver.WITHDRAWN, ""))]


async def test_many_are_taken_back_at_once_and_what_follows_them_is_sent_together(post: Post) -> None:
    producer = await post.open_broker()
    producer.cancels_held = asyncio.Event()
    keys = [f"k{number}" for number in range(WITHDRAWALS + 5)]
    for key in keys:
        post.outbox.add(entry(f"a-{key}", order_key=key, withdraw=True, message_id=f"m-{key}"))
        post.outbox.add(entry(f"b-{key}", order_key=key))

    post.relay.start()
    await producer.under_way(WITHDRAWALS)
    early = list(producer.calls)
    producer.cancels_held.set()
    await post.outbox.idle.wait()

    assert early == []
    assert sorted(producer.cancelled) == sorted(f"m-{key}" for key in keys)
    assert producer.calls == [[f"b-{key}" for key in keys]]


async def test_one_that_is_leased_holds_up_what_follows_it_and_none_of_the_others(post: Post) -> None:
    producer = await post.open_broker()
    producer.refuse["m-1"] = LEASED
    for key in ("1", "2"):
        post.outbox.add(entry(f"a-{key}", order_key=key, withdraw=True, message_id=f"m-{key}"))
        post.outbox.add(entry(f"b-{key}", order_key=key))

    post.relay.start()
    sent = await post.outbox.until(1)

    assert sent == ["b-2"]
    assert producer.calls == [["b-2"]]


def test_lines_keep_the_order_of_every_key() -> None:
    entries = [entry(name, order_key=key) for name, key in (("1", "x"), ("2", ""), ("3", "x"), ("4", "y"), ("5", ""))]

    assert [[each.entry_id for each in line] for line in in_lines(entries)] == [["1", "2", "4", "5"], ["3"]]
