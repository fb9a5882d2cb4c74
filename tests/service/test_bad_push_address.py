"""An address that is no address: the broker says so, and nothing waits for it."""

import subprocess
import sys

import pytest

from baton.queue.v1 import queue_pb2
from tests.support.eventually import eventually
from tests.support.processes import ROOT
from tests.support.running_broker import RunningBroker

UNREACHABLE = queue_pb2.PushStatus.STATE_UNREACHABLE
# What gRPC makes no sense of.
NO_TARGETS = ("dns:///", "ipv6:[", "ipv4:1.2.3:4", "unix:/" + "x" * 500)
# Seconds: a loop that has not ended by then never does.
PATIENCE = 30.0


async def pushed_to(broker: RunningBroker, address: str) -> None:
    """Make a queue that is pushed there, and wait until the broker says that nobody answers."""
    push = queue_pb2.PushTarget(address=address, batch=queue_pb2.BatchCall())
    await broker.create(push=push)
    await eventually(broker.get, lambda queue: queue.push_status.state == UNREACHABLE)


@pytest.mark.parametrize("address", NO_TARGETS, ids=lambda address: address[:12])
async def test_what_is_no_target_is_unreachable_and_says_why(broker: RunningBroker, address: str) -> None:
    await pushed_to(broker, address)

    await broker.send("a")

    assert (await broker.get()).push_status.reason == f"{address} is no gRPC target"[:512]
    assert (await broker.stats()).ready_count == 1


# A process of its own: gRPC waits for what it left undone only where nothing else of it is alive.
PROGRAM = """
import asyncio, sys
from mesh.clock import SystemClock
from queue_service.push.target import Target

async def life():
    target = Target("work", sys.argv[1], SystemClock())
    await target.connect()
    await target.close()

asyncio.run(life())
"""


@pytest.mark.parametrize("address", ["dns:///", "127.0.0.1:1"])
def test_the_event_loop_ends_however_wrong_an_address_was(address: str) -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM, address], cwd=ROOT, timeout=PATIENCE, check=False)

    assert ended.returncode == 0
