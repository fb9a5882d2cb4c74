"""An outbox on a real broker with a real store: whatever is cut off on the way, what was meant happens, once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from baton.queue.v1 import message_pb2, producer_service_pb2
from mesh.clock import SECOND
from mesh.database import sqlite_url
from mesh.outbox import OutboxRelay
from mesh.outbox_entry import HandOver, OutboxEntry
from tests.support.running_broker import RunningBroker, duration
from tests.support.sql_outbox import WatchedOutbox, entry
from tests.support.watched_clock import WatchedClock

UNKNOWN = entry("a", withdraw=True)


@pytest.fixture
async def broker(broker: RunningBroker) -> RunningBroker:
    await broker.create()
    return broker


class Service:
    """A service whose outbox outlives it."""

    def __init__(self, folder: Path, broker: RunningBroker) -> None:
        self.clock, self._broker = WatchedClock(), broker
        self.outbox = WatchedOutbox(sqlite_url(folder / "service.db"))

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[OutboxRelay]:
        relay = OutboxRelay(self.outbox, self._broker.producer, self.clock)
        relay.start()
        try:
            yield relay
        finally:
            await relay.stop()

    async def hand_over(self, *entries: OutboxEntry) -> None:
        """Everything, in one life."""
        self.outbox.add(*entries)
        self.outbox.idle.clear()
        async with self.alive():
            await self.outbox.idle.wait()

    async def die_before_noting(self, *entries: OutboxEntry) -> None:
        """Tell the broker, and crash before its answer is noted."""
        self.outbox.add(*entries)
        self.outbox.unmarked = True
        async with self.alive():
            await self.clock.waited_for()
        self.outbox.unmarked = False

    def ends(self) -> list[tuple[str, HandOver]]:
        return [(entry_id, result.what) for entry_id, result in self.outbox.results]


@pytest.fixture
async def service(tmp_path: Path, broker: RunningBroker) -> AsyncIterator[Service]:
    made = Service(tmp_path, broker)
    yield made
    made.outbox.close()


async def waiting(broker: RunningBroker) -> int:
    stats = await broker.stats()
    return stats.ready_count + stats.delayed_count + stats.leased_count


async def test_what_was_handed_over_twice_is_there_once(broker: RunningBroker, service: Service) -> None:
    await service.die_before_noting(entry("a"), entry("b"))

    await service.hand_over(entry("c"))

    leased = await broker.pull()
    assert [each.message.deduplication_id for each in leased] == ["a", "b", "c"]
    assert [result.message_id for _, result in service.outbox.results] == [each.message.message_id for each in leased]
    assert service.ends() == [("a", HandOver.SENT), ("b", HandOver.SENT), ("c", HandOver.SENT)]


async def test_what_the_broker_has_though_nobody_knows_is_taken_back(broker: RunningBroker, service: Service) -> None:
    await service.die_before_noting(entry("a"))
    assert await waiting(broker) == 1

    service.outbox.withdraw("a")
    await service.hand_over()

    assert await waiting(broker) == 0
    assert service.ends()[-1] == ("a", HandOver.WITHDRAWN)
    stats = await broker.stats()
    assert (stats.sent_total, stats.deduplicated_total, stats.cancelled_total) == (1, 1, 1)


async def test_what_the_broker_never_had_leaves_nothing_behind(broker: RunningBroker, service: Service) -> None:
    await service.hand_over(UNKNOWN)

    assert await waiting(broker) == 0
    assert await broker.pull() == []
    assert service.ends()[-1] == ("a", HandOver.WITHDRAWN)


async def test_what_was_delivered_and_done_is_gone(broker: RunningBroker, service: Service) -> None:
    await service.die_before_noting(entry("a"))
    (leased,) = await broker.pull()
    await broker.settle(message_pb2.Settlement(lease_id=leased.lease_id, ack=message_pb2.Ack()))

    service.outbox.withdraw("a")
    await service.hand_over()

    assert await waiting(broker) == 0
    assert service.ends()[-1] == ("a", HandOver.GONE)


@pytest.mark.parametrize(
    ("action", "what"),
    [({"ack": message_pb2.Ack()}, HandOver.GONE), ({"release": message_pb2.Release()}, HandOver.WITHDRAWN)],
    ids=["ack", "release"],
)
async def test_what_is_being_worked_on_is_waited_for(
    broker: RunningBroker, service: Service, action: dict[str, message_pb2.Ack], what: HandOver
) -> None:
    await service.die_before_noting(entry("a"))
    (leased,) = await broker.pull()
    service.outbox.withdraw("a")

    async with service.alive():
        assert await service.clock.waited_for() == SECOND
        await broker.settle(message_pb2.Settlement(lease_id=leased.lease_id, **action))  # type: ignore[arg-type]
        service.clock.turn(SECOND)
        await service.outbox.until(1, what)

    assert await waiting(broker) == 0


async def test_a_crash_in_the_middle_of_a_withdrawal_leaves_nothing_that_could_be_delivered(
    broker: RunningBroker, service: Service
) -> None:
    await service.die_before_noting(UNKNOWN)
    stats = await broker.stats()
    assert (stats.ready_count, stats.delayed_count) == (0, 1)

    await service.hand_over()

    assert await waiting(broker) == 0
    assert service.ends()[-1] == ("a", HandOver.WITHDRAWN)


async def test_a_withdrawal_that_was_not_noted_finds_its_message_gone(broker: RunningBroker, service: Service) -> None:
    await service.hand_over(entry("a"))
    message_id = service.outbox.results[0][1].message_id
    await service.die_before_noting(entry("a", withdraw=True, message_id=message_id))
    assert await waiting(broker) == 0

    await service.hand_over()

    assert service.ends() == [("a", HandOver.SENT), ("a", HandOver.GONE)]


async def test_a_queue_that_was_deleted_holds_nothing_to_take_back(broker: RunningBroker, service: Service) -> None:
    await service.hand_over(entry("a", "lost", withdraw=True), entry("b", "lost", withdraw=True, message_id="m"))

    assert service.ends() == [("a", HandOver.WITHDRAWN), ("b", HandOver.WITHDRAWN)]


async def test_what_is_withdrawn_while_it_is_handed_over_is_taken_back(broker: RunningBroker, service: Service) -> None:
    withdrawn = asyncio.Event()
    noting = service.outbox.mark_handed_over

    async def withdrawn_first(results: object) -> None:
        if not withdrawn.is_set():
            withdrawn.set()
            service.outbox.withdraw("a")
        await noting(results)  # type: ignore[arg-type]

    service.outbox.mark_handed_over = withdrawn_first  # type: ignore[method-assign]
    await service.hand_over(entry("a"))

    assert withdrawn.is_set()
    assert service.ends() == [("a", HandOver.SENT), ("a", HandOver.WITHDRAWN)]
    assert await waiting(broker) == 0


async def test_a_repeat_of_what_was_cancelled_is_still_a_repeat_whatever_its_delay(broker: RunningBroker) -> None:
    async def send(seconds: float | None) -> producer_service_pb2.SendResult:
        message = message_pb2.QueueMessage(text="a", deduplication_id="d")
        if seconds is not None:
            message.delay.CopyFrom(duration(seconds))
        request = producer_service_pb2.SendMessageRequest(queue="work", message=message)
        return (await broker.producer.SendMessage(request)).result

    first = await send(None)
    delayed = await send(60)
    cancel = producer_service_pb2.CancelMessageRequest(queue="work", message_id=first.message_id)
    await broker.producer.CancelMessage(cancel)
    after = await send(7 * 86_400)

    assert (delayed.message_id, delayed.deduplicated) == (first.message_id, True)
    assert (after.message_id, after.deduplicated) == (first.message_id, True)
    assert await waiting(broker) == 0
