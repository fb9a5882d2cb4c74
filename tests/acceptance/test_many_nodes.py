"""Several brokers on one PostgreSQL: killed in turn, or frozen, under load; the history of every client is judged."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.support.load import Load
from tests.support.node_processes import NodeProcesses
from tests.support.postgres import emptied

TORTURE = bool(os.environ.get("BATON_TORTURE"))
NODES, CLIENTS, MESSAGES, KILLS, FREEZES = (4, 8, 20_000, 40, 6) if TORTURE else (3, 3, 500, 3, 1)
# Seconds between two kills, and of a freeze: three times the leases of the load.
BREATH = (0.5, 6.0) if TORTURE else (0.3, 1.0)
FREEZE = 6.0

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(2_400 if TORTURE else 120)]


@pytest.fixture
async def nodes(folder: Path, postgres: str) -> AsyncIterator[NodeProcesses]:
    """Nodes that serve."""
    processes = NodeProcesses(folder, emptied(postgres), NODES)
    try:
        await processes.start()
        yield processes
    finally:
        await processes.clean_up()


async def judged(nodes: NodeProcesses, load: Load, record: Callable[[str, object], None]) -> None:
    """All is drained and every promise was kept; then the nodes stop in order."""
    verdict = await load.finish()
    record("history", verdict.counts)
    assert verdict.broken == {}
    assert verdict.counts["sent"] == load.sends
    await nodes.stop()


async def test_every_promise_is_kept_while_nodes_are_killed_in_turn(
    nodes: NodeProcesses, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(20_261_125)
    load = Load(nodes, producers=CLIENTS, consumers=CLIENTS, messages=MESSAGES, addresses=nodes.addresses)
    try:
        await load.start()
        for number in range(KILLS):
            await asyncio.sleep(chance.uniform(*BREATH))
            victim = nodes.nodes[number % NODES]
            await victim.kill()
            await asyncio.sleep(chance.uniform(0, BREATH[0]))
            await nodes.restart(victim)
        await judged(nodes, load, record_property)
    finally:
        await load.clean_up()


async def test_every_promise_is_kept_while_a_node_is_frozen_for_longer_than_its_leases(
    nodes: NodeProcesses, record_property: Callable[[str, object], None]
) -> None:
    load = Load(nodes, producers=CLIENTS, consumers=CLIENTS, messages=MESSAGES, addresses=nodes.addresses)
    try:
        await load.start()
        for number in range(FREEZES):
            await asyncio.sleep(BREATH[0])
            frozen = nodes.nodes[number % NODES]
            frozen.send(signal.SIGSTOP)
            try:
                await asyncio.sleep(FREEZE)
            finally:
                frozen.send(signal.SIGCONT)
        await judged(nodes, load, record_property)
    finally:
        await load.clean_up()
