"""The disk fills up, and its syncs fail: no OK is given away, and what makes room goes on."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from baton.queue.v1 import message_pb2, producer_service_pb2
from mesh.status import RemoteError, read_error
from tests.acceptance.test_broker_crash import QUEUE, Broker, pull_everything, talking_to
from tests.support.power_loss.lossy_disk import LossyDisk
from tests.support.processes import MeshProcesses

pytestmark = pytest.mark.acceptance

MIB = 1024 * 1024
BODY = "x" * 10_000
# More batches than fit on the disk.
MOST = 200


@asynccontextmanager
async def broker_on(mesh: MeshProcesses) -> AsyncIterator[Broker]:
    """The broker, its queue made."""
    await mesh.start(mesh.queue)
    async with talking_to(mesh.queue) as broker:
        await broker.create()
        yield broker


async def refused(broker: Broker) -> tuple[RemoteError, list[str]]:
    """Send until the broker refuses; what it said, and the messages that it took before."""
    taken: list[str] = []
    for _ in range(MOST):
        try:
            taken += await send(broker)
        except grpc.aio.AioRpcError as error:
            return read_error(error), taken
    raise AssertionError(f"{MOST} batches were taken")


async def send(broker: Broker) -> list[str]:
    """Send a batch."""
    messages = [message_pb2.QueueMessage(text=BODY) for _ in range(20)]
    request = producer_service_pb2.SendMessagesRequest(queue=QUEUE, messages=messages)
    response = await broker.producer.SendMessages(request)
    return [result.message_id for result in response.results]


async def test_a_full_disk_refuses_sends_takes_acks_and_recovers_by_itself(mesh: MeshProcesses) -> None:
    mesh.set("BATON_QUEUE_DISK_RESERVE", "8MiB")
    LossyDisk(mesh, random.Random(1)).has_room(24 * MIB)
    async with broker_on(mesh) as broker:
        refusal, taken = await refused(broker)
        settled = 0
        while leased := await broker.pull(100):
            assert set(await broker.ack(*leased)) == {message_pb2.LEASE_OUTCOME_APPLIED}
            settled += len(leased)
        again = await send(broker)

    assert (refusal.code, refusal.reason) == ("RESOURCE_EXHAUSTED", "STORAGE_FULL")
    assert refusal.retry_delay is not None
    assert settled == len(taken) > 0
    assert len(again) == 20
    await mesh.queue.errors.have("storage_short")
    await mesh.queue.errors.have("storage_has_room")


async def test_a_disk_that_is_given_room_is_used_without_a_restart(mesh: MeshProcesses) -> None:
    mesh.set("BATON_QUEUE_DISK_RESERVE", "8MiB")
    disk = LossyDisk(mesh, random.Random(1))
    disk.has_room(16 * MIB)
    async with broker_on(mesh) as broker:
        await refused(broker)
        disk.has_room(64 * MIB)

        assert len(await send(broker)) == 20


async def test_without_a_reserve_a_full_disk_is_still_no_ok_and_no_loss(mesh: MeshProcesses) -> None:
    mesh.set("BATON_QUEUE_DISK_RESERVE", "0")
    disk = LossyDisk(mesh, random.Random(1))
    disk.has_room(12 * MIB)
    async with broker_on(mesh) as broker:
        refusal, answered = await refused(broker)

    await mesh.queue.kill()
    disk.lose(kept=0)
    disk.has_room(64 * MIB)
    await mesh.start(mesh.queue)

    assert refusal.reason == "STORAGE_FULL"
    assert set(answered) <= set(await pull_everything(mesh))


async def test_no_ok_is_given_for_what_could_not_be_synced(mesh: MeshProcesses) -> None:
    disk = LossyDisk(mesh, random.Random(1))
    async with broker_on(mesh) as broker:
        answered = await send(broker)
        disk.fail()
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await send(broker)
        disk.mend()
        answered += await send(broker)

    await mesh.queue.kill()
    disk.lose(kept=0)
    await mesh.start(mesh.queue)

    assert read_error(refusal.value).reason == "STORAGE_UNAVAILABLE"
    assert set(answered) <= set(await pull_everything(mesh))
