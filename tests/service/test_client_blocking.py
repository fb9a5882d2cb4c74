"""The client for scripts: no event loop in sight."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import TypeVar

import pytest

from baton_client import (
    Ack,
    BlockingClient,
    BlockingMessage,
    BodyError,
    CallError,
    Closed,
    LeaseOutcome,
    NewMessage,
    Reject,
    Release,
)
from tests.support.running_broker import RunningBroker

T = TypeVar("T")


@pytest.fixture
async def client(broker: RunningBroker) -> AsyncIterator[BlockingClient]:
    await broker.create(dead_letter_queue="dead")
    made = BlockingClient(broker.address, timeout=timedelta(seconds=5))
    yield made
    await asyncio.to_thread(made.close)


async def aside(work: Callable[[], T]) -> T:
    """As a script would run it: in a thread, while the broker runs in this one."""
    async with asyncio.timeout(20):
        return await asyncio.to_thread(work)


async def test_a_script_sends_pulls_and_settles(broker: RunningBroker, client: BlockingClient) -> None:
    def script() -> tuple[list[object], list[LeaseOutcome]]:
        client.send("work", "a")
        client.send_all("work", [{"b": 1}, NewMessage(body=b"c")])
        messages = client.pull("work", wait=timedelta(seconds=5))
        first, second, third = messages
        return [message.body for message in messages], [
            first.ack(),
            second.settle(Reject("NO")),
            third.settle(Release()),
            third.ack(),
        ]

    bodies, outcomes = await aside(script)

    assert bodies == ["a", {"b": 1}, b"c"]
    assert outcomes == [*[LeaseOutcome.APPLIED] * 3, LeaseOutcome.LEASE_LOST]
    assert ((await broker.stats()).ready_count, (await broker.stats("dead")).ready_count) == (1, 1)


async def test_many_are_settled_in_one_call(broker: RunningBroker, client: BlockingClient) -> None:
    await broker.send("a", "b", "c")

    def script() -> dict[str, LeaseOutcome]:
        messages = client.pull("work", max_messages=3)
        return client.settle("work", {message.lease_id: Ack() for message in messages} | {"made up": Ack()})

    outcomes = await aside(script)

    assert [*outcomes.values()] == [*[LeaseOutcome.APPLIED] * 3, LeaseOutcome.UNKNOWN_LEASE]


async def test_a_lease_is_extended(broker: RunningBroker, client: BlockingClient) -> None:
    await broker.send("a")

    def script() -> tuple[LeaseOutcome, LeaseOutcome, LeaseOutcome]:
        (message,) = client.pull("work", visibility_timeout=timedelta(seconds=5))
        return message.extend(), message.extend(timedelta(hours=1)), message.ack()

    assert await aside(script) == (LeaseOutcome.APPLIED,) * 3


async def test_many_leases_are_extended_in_one_call(broker: RunningBroker, client: BlockingClient) -> None:
    await broker.send("a", "b")

    def script() -> dict[str, LeaseOutcome]:
        messages = client.pull("work")
        return client.extend("work", [*(message.lease_id for message in messages), "made up"], timedelta(minutes=1))

    assert [*(await aside(script)).values()] == [*[LeaseOutcome.APPLIED] * 2, LeaseOutcome.UNKNOWN_LEASE]


async def test_a_pull_of_nothing_is_empty(client: BlockingClient) -> None:
    assert await aside(lambda: client.pull("work")) == []


async def test_a_body_that_is_not_what_was_asked_for_spoils_none_of_its_neighbours(
    broker: RunningBroker, client: BlockingClient
) -> None:
    def script() -> tuple[BlockingMessage, BlockingMessage]:
        client.send_all("work", ["no JSON", {"b": 1}])
        bad, good = client.pull("work", body=dict)
        return bad, good

    bad, good = await aside(script)

    with pytest.raises(BodyError, match="JSON"):
        assert bad.body
    assert good.body == {"b": 1}


async def test_errors_come_as_they_are(client: BlockingClient) -> None:
    with pytest.raises(CallError) as caught:
        await aside(lambda: client.send("nowhere", "a"))
    assert caught.value.reason == "QUEUE_NOT_FOUND"
    with pytest.raises(CallError, match="max_messages"):
        await aside(lambda: client.pull("work", max_messages=1001))


async def test_a_broker_that_is_away_for_too_long_is_said_to_be() -> None:
    def script() -> None:
        with BlockingClient("127.0.0.1:1", timeout=timedelta(milliseconds=300)) as client:
            client.pull("work")

    with pytest.raises(CallError) as caught:
        await aside(script)
    assert caught.value.code in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}


async def test_threads_may_share_it(broker: RunningBroker, client: BlockingClient) -> None:
    def script() -> None:
        threads = [threading.Thread(target=client.send, args=("work", str(number))) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    await aside(script)

    assert (await broker.stats()).sent_total == 20


async def test_it_may_be_closed_twice(client: BlockingClient) -> None:
    await aside(client.close)
    await aside(client.close)


async def test_a_closed_client_says_so(client: BlockingClient) -> None:
    await aside(client.close)

    with pytest.raises(Closed):
        await aside(lambda: client.send("work", "a"))


async def test_a_call_that_waits_while_the_client_is_closed_is_told(client: BlockingClient) -> None:
    async with asyncio.TaskGroup() as group:
        pulling = group.create_task(aside(lambda: refused(lambda: client.pull("work", wait=timedelta(seconds=20)))))
        await aside(lambda: client.pull("work"))  # the other one is on its way by now, or will find the client closed
        await aside(client.close)

    assert isinstance(pulling.result(), Closed)


def refused(work: Callable[[], object]) -> Exception | None:
    try:
        work()
    except Exception as error:  # whatever it is, it is looked at
        return error
    return None
