"""The broker is killed again and again under load; the history of every client is judged."""

import asyncio
import os
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.load import Load
from tests.support.processes import MeshProcesses

TORTURE = bool(os.environ.get("BATON_TORTURE"))
KILLS, CLIENTS, MESSAGES = (50, 8, 40_000) if TORTURE else (4, 2, 1_500)
# Seconds between two kills.
BREATH = (0.3, 15.0) if TORTURE else (0.2, 0.6)

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(2_400 if TORTURE else 120)]


def intact(database: Path) -> bool:
    """Whether SQLite finds nothing wrong with a file."""
    with sqlite3.connect(database) as connection:
        (word,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    return bool(word == "ok")


async def test_every_promise_is_kept_while_the_broker_is_killed(
    mesh: MeshProcesses, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(20_261_125)
    await mesh.start(mesh.queue)
    load = Load(mesh, producers=CLIENTS, consumers=CLIENTS, messages=MESSAGES)
    try:
        await load.start()
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(*BREATH))
            await mesh.queue.kill()
            assert intact(mesh.folder / "data" / "queue.db")
            await mesh.start(mesh.queue)
        verdict = await load.finish()
    finally:
        await load.clean_up()

    record_property("history", verdict.counts)
    assert verdict.broken == {}
    assert verdict.counts["sent"] == load.sends
