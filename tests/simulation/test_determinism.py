"""A seed is all that a life depends on: not the process, nor where its objects happen to lie."""

import hashlib
import os
import subprocess
import sys

import pytest

from tests.support.simulation.life import live

# With purges, redrives, kills, a stop, a clock that is set and every fault of the storage among them.
SEEDS = (1, 6, 10, 15)

_ELSEWHERE = """
import logging, structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
from tests.simulation.test_determinism import SEEDS, trace
print(*(trace(seed) for seed in SEEDS))
"""

pytestmark = pytest.mark.usefixtures("unlogged")


def test_a_seed_lives_the_same_life_in_another_process() -> None:
    here = [trace(seed) for seed in SEEDS]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(sys.path)}

    there = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE], env=environment, capture_output=True, text=True, check=True
    )

    assert there.stdout.split() == here


def test_another_seed_lives_another_life() -> None:
    assert trace(1) != trace(2)


def trace(seed: int) -> str:
    """Everything that was seen and committed, in short."""
    return hashlib.sha256("\n".join(live(seed, commits=True).lines).encode()).hexdigest()
