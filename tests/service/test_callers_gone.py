"""Callers that go away while what they asked for is being stored: it happens, and so does all that follows from it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from queue_service.app import QueueApplication
from queue_service.broker import Broker
from queue_service.message import NewMessage
from queue_service.pull import Pull
from queue_service.queue_definition import Queue
from queue_service.settlement import Release
from queue_service.storage.verbs import DeleteQueue, Leased, Purge, SaveQueues, Send, Settle
from queue_service.storage.views import Filter
from tests.support.failing_store import HeldStore
from tests.support.fake_clock import FakeClock

PULL = Pull("work", max_wait=20)


@pytest.fixture
def store() -> HeldStore:
    return HeldStore()


@pytest.fixture
async def broker(store: HeldStore) -> AsyncIterator[Broker]:
    """One whose clock stands still: nobody looks again because some time is up."""
    application = QueueApplication(store, [Queue("work")], FakeClock(), push_grace=0)
    await application.start()
    yield application.broker
    await application.close()


def message(text: str, ordering_key: str = "") -> NewMessage:
    return NewMessage(text.encode(), len(text), ordering_key=ordering_key)


def texts(leased: Leased) -> list[str]:
    return [delivery.message.content.decode() for delivery in leased.deliveries]


async def leave(store: HeldStore, verb: type[Any], call: Coroutine[Any, Any, Any]) -> None:
    """Begin a call, go away when its verb has reached the store, and let the store go on."""
    store.hold(verb)
    task = asyncio.create_task(call)
    await asyncio.to_thread(store.reached.wait, 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    store.let_go.set()


async def waiting_pull(broker: Broker) -> "asyncio.Task[Leased]":
    pull = asyncio.create_task(broker.pull(PULL))
    await asyncio.sleep(0)
    await broker.backlog.stats("work")  # comes behind the pull's first look
    return pull


async def test_a_message_whose_producer_has_gone_wakes_who_waits_for_it(store: HeldStore, broker: Broker) -> None:
    waiting = await waiting_pull(broker)

    await leave(store, Send, broker.send("work", [message("a")]))

    async with asyncio.timeout(5):
        assert texts(await waiting) == ["a"]


async def test_a_message_whose_consumer_has_gone_while_it_gave_it_back_wakes_who_waits_for_it(
    store: HeldStore, broker: Broker
) -> None:
    await broker.send("work", [message("a")])
    (delivery,) = (await broker.pull(PULL)).deliveries
    waiting = await waiting_pull(broker)

    await leave(store, Settle, broker.settle("work", [(delivery.lease, Release())]))

    async with asyncio.timeout(5):
        assert texts(await waiting) == ["a"]


async def test_a_message_of_a_key_goes_on_though_who_purged_the_one_before_it_has_gone(
    store: HeldStore, broker: Broker
) -> None:
    first, _ = await broker.send("work", [message("a", "k"), message("b", "k")])
    await broker.pull(PULL)
    waiting = await waiting_pull(broker)
    leased = Filter(message_ids=frozenset({first.message_id}))

    await leave(store, Purge, broker.backlog.purge("work", leased, force=True))

    async with asyncio.timeout(5):
        assert texts(await waiting) == ["b"]


async def test_a_queue_whose_maker_has_gone_is_there(store: HeldStore, broker: Broker) -> None:
    await leave(store, SaveQueues, broker.catalog.create(Queue("new")))

    await broker.send("work", [message("a")])  # comes behind it
    assert broker.catalog.get("new").name == "new"


async def test_a_queue_whose_deleter_has_gone_is_not_there(store: HeldStore, broker: Broker) -> None:
    await leave(store, DeleteQueue, broker.catalog.delete("work"))

    await broker.catalog.create(Queue("work"))
    await broker.send("work", [message("a")])
    assert texts(await broker.pull(PULL)) == ["a"]
