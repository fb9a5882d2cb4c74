"""A wall clock that went back while the broker was down: what is sent next comes behind what is there."""

from pathlib import Path

from baton.queue.v1 import message_pb2, producer_service_pb2
from mesh.clock import SECOND
from mesh.database import sqlite_url
from queue_service.storage.sql import SqlStore
from tests.support.fake_clock import START, FakeClock
from tests.support.running_broker import RunningBroker, running_broker


async def send(broker: RunningBroker, text: str) -> None:
    message = message_pb2.QueueMessage(text=text, ordering_key="k")
    await broker.producer.SendMessage(producer_service_pb2.SendMessageRequest(queue="work", message=message))


async def test_messages_of_a_key_keep_their_order(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "queue.db")
    async with running_broker(SqlStore(url), clock=FakeClock()) as broker:
        await broker.create()
        await send(broker, "first")
        await send(broker, "second")

    clock = FakeClock(START - 3600 * SECOND)
    async with running_broker(SqlStore(url), clock=clock) as broker:
        await send(broker, "third")
        clock.turn(3601 * SECOND)

        seen = []
        for _ in range(3):
            (leased,) = await broker.pull()
            seen.append(leased.message.text)
            await broker.settle(message_pb2.Settlement(lease_id=leased.lease_id, ack=message_pb2.Ack()))

    assert seen == ["first", "second", "third"]
