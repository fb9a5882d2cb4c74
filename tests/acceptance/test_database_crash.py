"""PostgreSQL dies under two brokers again and again: they refuse in time, come back by themselves, and lose nothing."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import grpc
import pytest
import sqlalchemy as sa

from baton.queue.v1 import message_pb2, producer_service_pb2, queue_pb2, queue_service_pb2
from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceStub
from baton.queue.v1.queue_service_pb2_grpc import QueueServiceStub
from mesh.channel import open_channel
from mesh.status import read_error
from tests.support.crashing_postgres import CrashingPostgres, crashing_postgres
from tests.support.load import Load
from tests.support.node_processes import NodeProcesses

TORTURE = bool(os.environ.get("BATON_TORTURE"))
CLIENTS, MESSAGES, CRASHES = (6, 20_000, 30) if TORTURE else (2, 800, 3)
# Seconds between two crashes, and of an outage.
BREATH, OUTAGE = (0.5, 4.0), (0.0, 2.0)
# Seconds in which a send is refused while the database is away, and works again once it is back.
REFUSED_WITHIN, BACK_WITHIN = 5.0, 5.0

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(2_400 if TORTURE else 120)]


@pytest.fixture
def database() -> Iterator[CrashingPostgres]:
    with crashing_postgres() as server:
        yield server


@pytest.fixture
async def nodes(folder: Path, database: CrashingPostgres) -> AsyncIterator[NodeProcesses]:
    """Two nodes that serve."""
    processes = NodeProcesses(folder, database.url, 2)
    try:
        await processes.start()
        yield processes
    finally:
        await processes.clean_up()


async def send(channel: grpc.aio.Channel, queue: str) -> None:
    request = producer_service_pb2.SendMessagesRequest(queue=queue, messages=[message_pb2.QueueMessage(text="x")])
    await ProducerServiceStub(channel).SendMessages(request, timeout=30)


async def test_every_promise_is_kept_while_the_database_crashes(
    nodes: NodeProcesses, database: CrashingPostgres, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(20_261_125)
    load = Load(nodes, producers=CLIENTS, consumers=CLIENTS, messages=MESSAGES, addresses=nodes.addresses)
    try:
        await load.start()
        for _ in range(CRASHES):
            await asyncio.sleep(chance.uniform(*BREATH))
            await asyncio.to_thread(database.crash)
            await asyncio.sleep(chance.uniform(*OUTAGE))
            await asyncio.to_thread(database.start)
        verdict = await load.finish()
    finally:
        await load.clean_up()

    record_property("history", verdict.counts)
    assert verdict.broken == {}
    assert verdict.counts["sent"] == load.sends
    assert all(node.running for node in nodes.nodes)
    await nodes.stop()


async def test_a_send_is_refused_in_time_while_the_database_is_away_and_works_once_it_is_back(
    nodes: NodeProcesses, database: CrashingPostgres
) -> None:
    async with open_channel(nodes.addresses[0]) as first, open_channel(nodes.addresses[1]) as second:
        request = queue_service_pb2.CreateQueueRequest(queue=queue_pb2.Queue(name="jobs"))
        await QueueServiceStub(first).CreateQueue(request)

        await asyncio.to_thread(database.crash)
        for channel in (first, second):
            begun = time.monotonic()
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await send(channel, "jobs")
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            assert read_error(refused.value).reason == "STORAGE_UNAVAILABLE"
            assert time.monotonic() - begun < REFUSED_WITHIN

        await asyncio.to_thread(database.start)
        async with asyncio.timeout(BACK_WITHIN):
            await asyncio.gather(*(sent_in_the_end(channel) for channel in (first, second)))


async def sent_in_the_end(channel: grpc.aio.Channel) -> None:
    while True:
        try:
            return await send(channel, "jobs")
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            await asyncio.sleep(0.05)


async def test_every_promise_is_kept_while_connections_are_cut(
    nodes: NodeProcesses, database: CrashingPostgres, record_property: Callable[[str, object], None]
) -> None:
    engine = sa.create_engine(database.url, isolation_level="AUTOCOMMIT")
    load = Load(nodes, producers=CLIENTS, consumers=CLIENTS, messages=MESSAGES, addresses=nodes.addresses)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename IS NOT NULL"
    try:
        await load.start()
        with engine.connect() as connection:
            for _ in range(CRASHES * 5):
                await asyncio.sleep(0.2)
                connection.exec_driver_sql(cut)
        verdict = await load.finish()
    finally:
        await load.clean_up()
        engine.dispose()

    record_property("history", verdict.counts)
    assert verdict.broken == {}
    assert verdict.counts["sent"] == load.sends
    await nodes.stop()
