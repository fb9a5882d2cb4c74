"""More is asked of the broker than it can do: it says so, keeps what it took, serves the others, and stays small."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from baton.queue.v1 import queue_pb2
from tests.support.crowd import crowd_at
from tests.support.eventually import eventually
from tests.support.processes import MeshProcesses, free_port
from tests.support.push_target import PushTarget
from tests.support.vitals import MIB, watched

TORTURE = bool(os.environ.get("BATON_TORTURE"))
SECONDS = 600.0 if TORTURE else 6.0
IDLE = 1_000 if TORTURE else 300
PUSHED = 20_000 if TORTURE else 500
BACKLOG = 1_000_000 if TORTURE else 30_000

# MiB of memory that the broker may have: 75 when idle; 40 KiB for each idle stream and each waiting pull; twice 16 for
# what the one who does not read is sent, as it is encoded; and for each producer and consumer of big bodies, four times
# the 2 that it has under way: as they came, decoded, on their way to the disk, and not yet given back to the system.
BIG_ONES = 8
MEMORY = 75 + 2 * IDLE * 40 / 1024 + 2 * 16 + (BIG_ONES + 1) * 4 * 2
MARGIN = 1.5
# How much more memory a backlog may take when it has grown tenfold, in MiB.
GROWTH = 40
# Seconds that a message of somebody else may take from its producer to its consumer: only so that it is not for ever.
PATIENCE = 20.0

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(2_400 if TORTURE else 120)]


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def test_a_crowd_is_held_back_and_harms_nobody_else(
    mesh: MeshProcesses, record_property: Callable[[str, object], None]
) -> None:
    await mesh.start(mesh.queue)
    down = PushTarget()
    down.address = f"127.0.0.1:{free_port()}"
    async with watched(mesh.queue.pid) as vitals, crowd_at(mesh.queue.address) as crowd:
        push = queue_pb2.PushTarget(address=down.address, batch=queue_pb2.BatchCall())
        await crowd.create("down", consumer=queue_pb2.ConsumerSettings(push=push, dead_letter_queue="down-dead"))
        await crowd.create("crowded", max_backlog_messages=2_000)
        await crowd.create("big", max_backlog_bytes=32 * MIB)
        await crowd.create("hoarded", max_backlog_messages=2_000)
        for name in ("idle", "quiet"):
            await crowd.create(name)
        await crowd.fill("down", PUSHED, size=10)
        await crowd.stream("idle", count=IDLE, connections=10)
        crowd.poll("idle", count=IDLE, wait=2)
        await crowd.stream("big", count=1, reads=False)
        await crowd.hoard("hoarded")
        crowd.produce("hoarded", size=100, batch=50, producers=1)
        crowd.produce("crowded", size=1_000, batch=50, producers=5)
        crowd.produce("big", size=MIB - 100, batch=2, producers=BIG_ONES)
        crowd.consume("crowded", batch=50, pause=0.1)
        crowd.consume("big", batch=2, pause=0.05)
        crowd.talk("quiet", pause=0.01)

        await asyncio.sleep(SECONDS)

        unreached = await crowd.stats("down")
        await crowd.leave()
        begun = asyncio.get_running_loop().time()
        await down.start()
        reached = await eventually(lambda: crowd.stats("down"), lambda stats: stats.acked_total == PUSHED, within=100)
        seconds = asyncio.get_running_loop().time() - begun
        await down.stop()
        dead = await crowd.stats("down-dead")
        for queue in ("crowded", "big", "hoarded", "quiet"):
            await crowd.drain(queue)

    record_property("memory", f"{vitals.peak:.0f} MiB at most, {MEMORY:.0f} expected")
    record_property("sent, refused", (len(crowd.sent), len(crowd.refusals)))
    record_property("seconds of others", [f"{percentile(crowd.waits, share):.3f}" for share in (0.5, 0.99, 1)])
    record_property("seconds to push all, once reached", f"{seconds:.1f}")
    assert vitals.peak < MARGIN * MEMORY
    assert {(said.code, said.reason) for said in crowd.refusals} == {("RESOURCE_EXHAUSTED", "BACKLOG_FULL")}
    assert all(said.retry_delay for said in crowd.refusals)
    assert Counter(crowd.acked).keys() >= crowd.sent
    assert max(Counter(crowd.acked).values()) == 1
    assert 0 < max(crowd.waits) < PATIENCE
    assert (unreached.acked_total, unreached.retried_total, unreached.ready_count) == (0, 0, PUSHED)
    assert (reached.retried_total, reached.dead_lettered_total, dead.ready_count) == (0, 0, 0)


async def test_a_backlog_grows_on_the_disk_and_not_in_memory(
    mesh: MeshProcesses, record_property: Callable[[str, object], None]
) -> None:
    await mesh.start(mesh.queue)
    async with watched(mesh.queue.pid) as vitals, crowd_at(mesh.queue.address) as crowd:
        await crowd.create("work")
        await crowd.fill("work", BACKLOG // 10, size=1_000)
        early = vitals.peak
        await crowd.fill("work", BACKLOG - BACKLOG // 10, size=1_000)
        stats = await crowd.stats("work")

    record_property("memory", f"{early:.0f} MiB at {BACKLOG // 10} messages, {vitals.peak:.0f} MiB at {BACKLOG}")
    assert stats.ready_count == BACKLOG
    assert vitals.peak < early + GROWTH
