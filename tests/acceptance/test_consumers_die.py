"""Consumers are killed and frozen under load: what they held comes to others, and what they settled stays settled."""

import asyncio
import os
import random
import signal
from collections.abc import Callable

import pytest

from tests.support.load import Load
from tests.support.processes import MeshProcesses

TORTURE = bool(os.environ.get("BATON_TORTURE"))
TURNS, CONSUMERS, MESSAGES = (150, 6, 40_000) if TORTURE else (6, 3, 1_500)
# Longer than a lease of the load's queue, so that it runs out in frozen hands.
FROZEN = 6.0 if TORTURE else 2.5

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1_800 if TORTURE else 120)]


async def test_killed_and_frozen_consumers_cost_nothing_but_a_redelivery(
    mesh: MeshProcesses, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(7)
    await mesh.start(mesh.queue)
    load = Load(mesh, producers=2, consumers=CONSUMERS, messages=MESSAGES)
    try:
        await load.start()
        for turn in range(TURNS):
            victim = load.consumers[turn % CONSUMERS]
            await asyncio.sleep(chance.uniform(0.1, 0.5))
            if turn % 2:
                await victim.kill()
                await victim.start()
            else:
                victim.send(signal.SIGSTOP)
                await asyncio.sleep(FROZEN)
                victim.send(signal.SIGCONT)
        verdict = await load.finish()
    finally:
        await load.clean_up()

    record_property("history", verdict.counts)
    assert verdict.broken == {}
    assert verdict.counts["sent"] == load.sends
    assert verdict.counts["redelivered"] > 0
