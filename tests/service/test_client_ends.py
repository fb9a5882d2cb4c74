"""A connection that is closed, and one that is used where it does not belong."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from baton_client import Closed
from baton_client.connection import Connection
from baton_client.producer import Producer
from tests.support.running_broker import RunningBroker


@pytest.fixture
async def connection(broker: RunningBroker) -> AsyncIterator[Connection]:
    await broker.create()
    made = Connection(broker.address)
    yield made
    await made.close()


async def test_a_close_waits_for_what_was_taken_in(broker: RunningBroker, connection: Connection) -> None:
    producer = Producer(connection, "work")

    sending = asyncio.create_task(producer.send_all(["a", "b"]))
    await asyncio.sleep(0)
    await producer.close()
    await connection.close()

    assert len(await sending) == 2


async def test_a_connection_that_goes_away_under_a_send_says_so(broker: RunningBroker, connection: Connection) -> None:
    producer = Producer(connection, "work")

    sending = asyncio.create_task(producer.send("a"))
    await asyncio.sleep(0)
    await connection.close()

    with pytest.raises(Closed):
        async with asyncio.timeout(5):
            await sending


async def test_a_second_event_loop_is_refused_at_once(broker: RunningBroker, connection: Connection) -> None:
    producer = Producer(connection, "work")
    await producer.send("a")

    with pytest.raises(RuntimeError, match="event loop"):
        await asyncio.to_thread(lambda: asyncio.run(producer.send("b")))
