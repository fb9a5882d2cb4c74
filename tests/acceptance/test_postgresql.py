"""The broker as a process on a real PostgreSQL: killed, restarted, beside another, away with its database."""

import asyncio

import pytest
import sqlalchemy as sa

from baton.queue.v1 import queue_pb2, queue_service_pb2
from baton_client import CallError, Client, Message
from tests.support.eventually import eventually
from tests.support.postgres import emptied
from tests.support.processes import MeshProcesses, Service, free_port
from tests.support.worker import got, working

pytestmark = pytest.mark.acceptance


@pytest.fixture
async def broker(mesh: MeshProcesses, postgres: str) -> Service:
    """A broker on an empty database, with the queue ``jobs``."""
    mesh.set("BATON_QUEUE_DATABASE_URL", emptied(postgres))
    await mesh.start(mesh.queue)
    async with Client(mesh.queue.address) as client:
        request = queue_service_pb2.CreateQueueRequest(queue=queue_pb2.Queue(name="jobs"))
        await client.queues.CreateQueue(request, timeout=10)
    return mesh.queue


async def stats(client: Client) -> queue_pb2.QueueStats:
    request = queue_service_pb2.GetQueueStatsRequest(name="jobs")
    return (await client.queues.GetQueueStats(request, timeout=10, wait_for_ready=True)).stats


async def test_what_was_answered_is_there_after_a_kill(mesh: MeshProcesses, broker: Service) -> None:
    seen: asyncio.Queue[object] = asyncio.Queue()
    async with Client(broker.address) as client:
        sending = [asyncio.create_task(client.send("jobs", str(number))) for number in range(200)]
        await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
        await broker.kill()
        await mesh.start(broker)
        await asyncio.gather(*sending)
        assert (await stats(client)).ready_count == 200

    worker = Client(broker.address)

    @worker.consumer("jobs")
    async def handle(message: Message[str]) -> None:
        seen.put_nowait(message.body)

    async with working(worker):
        bodies = await got(seen, 200)
        await eventually(lambda: stats(worker), lambda figures: figures.acked_total == 200)
    assert sorted(bodies, key=str) == sorted((str(number) for number in range(200)), key=str)


async def test_a_second_broker_on_its_database_serves_the_same_queues(mesh: MeshProcesses, broker: Service) -> None:
    settings = {**mesh.environment, "BATON_QUEUE_LISTEN": f"127.0.0.1:{free_port()}"}
    second = Service("queue", settings["BATON_QUEUE_LISTEN"], settings)
    try:
        await mesh.start(second)
        async with Client(broker.address) as here, Client(second.address) as there:
            await here.send("jobs", "by the first")
            await there.send("jobs", "by the second")
            assert (await stats(here)).ready_count == (await stats(there)).ready_count == 2
    finally:
        await second.clean_up()


async def test_a_database_that_drops_its_connections_is_used_again(broker: Service, postgres: str) -> None:
    engine = sa.create_engine(postgres, isolation_level="AUTOCOMMIT")
    async with Client(broker.address) as client:
        await client.send("jobs", "before")

        with engine.connect() as connection:
            others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
            connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) {others}")
        try:
            await client.send("jobs", "after")
        except CallError as error:
            pytest.fail(f"not sent: {error}")

        assert (await stats(client)).sent_total == 2
    engine.dispose()
