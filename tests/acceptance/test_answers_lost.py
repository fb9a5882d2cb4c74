"""Answers of the broker are lost under load, and connections break with them: what nobody knows harms nobody."""

import os
import random
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.support.load import Load
from tests.support.lost_answers import losing_answers
from tests.support.processes import MeshProcesses

TORTURE = bool(os.environ.get("BATON_TORTURE"))
CLIENTS, MESSAGES = (6, 40_000) if TORTURE else (3, 1_000)

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1_800 if TORTURE else 120)]


def gaps(chance: random.Random) -> Iterator[int]:
    """How many pieces of answers pass before the next one is lost."""
    return (chance.randint(10, 60) for _ in count())


async def test_a_lost_answer_costs_no_message_and_makes_none_twice(
    mesh: MeshProcesses, record_property: Callable[[str, object], None]
) -> None:
    await mesh.start(mesh.queue)
    async with losing_answers(mesh.queue.address, gaps(random.Random(7))) as proxy:
        load = Load(mesh, producers=CLIENTS, consumers=CLIENTS, messages=MESSAGES, addresses=[proxy.address])
        try:
            await load.start()
            verdict = await load.finish()
        finally:
            await load.clean_up()

    record_property("history", {**verdict.counts, "answers lost": proxy.lost})
    assert proxy.lost > CLIENTS
    assert verdict.broken == {}
    assert verdict.counts["sent"] == load.sends
