"""The broker's core keeps its promises in any life that a seed can think of.

Each seed decides clients, faults of storage and network, kills, stops and clocks. A failure prints the command that
lives the life again; with ``BATON_SIMULATION_SEED`` only that one is lived. `make torture` draws other seeds each time.
"""

import os
import random
from functools import partial
from pathlib import Path

import pytest

from mesh.database import sqlite_url
from queue_service.storage.sql import SqlStore
from tests.support.simulation.life import Outcome, live

TORTURE = bool(os.environ.get("BATON_TORTURE"))
SEED = os.environ.get("BATON_SIMULATION_SEED")
FIRST = random.SystemRandom().randrange(2**32) if TORTURE else 0
# Tests that share the lives in memory, so that several processes can; lives of each, and lives in SQLite.
SHARES, LIVES, SQLITE_LIVES = (4, 500, 200) if TORTURE else (4, 20, 4)
TAIL = 60

pytestmark = [pytest.mark.usefixtures("unlogged"), pytest.mark.timeout(3_600 if TORTURE else 120)]


@pytest.mark.parametrize("share", range(SHARES))
def test_every_life_in_memory_keeps_the_promises(share: int) -> None:
    for seed in seeds(share * LIVES, LIVES):
        outcome = live(seed)

        assert not outcome.broken, told(outcome, "memory")


def test_every_life_in_sqlite_keeps_the_promises(tmp_path: Path) -> None:
    for seed in seeds(0, SQLITE_LIVES):
        open_store = partial(SqlStore, sqlite_url(tmp_path / f"{seed}.db"))

        outcome = live(seed, open_store)

        assert not outcome.broken, told(outcome, "sqlite")


def seeds(start: int, count: int) -> list[int]:
    return [int(SEED)] if SEED else list(range(FIRST + start, FIRST + start + count))


def told(outcome: Outcome, where: str) -> str:
    """What went wrong, how it came to that, and how to see it again."""
    pytest_here = f".venv/bin/python -m pytest tests/simulation/test_lives.py -k {where}"
    replay = f"BATON_SIMULATION_SEED={outcome.plan.seed} {pytest_here}"
    return "\n".join(
        [*outcome.broken, "The last of it:", *outcome.lines[-TAIL:], str(outcome.plan), f"Again: {replay}"]
    )
