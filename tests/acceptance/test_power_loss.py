"""The power goes under load: what was not synced is gone, and every promise is kept all the same."""

import asyncio
import os
import random
import shutil
import signal

import pytest

from tests.acceptance.test_promises_under_kills import intact
from tests.support.load import Load
from tests.support.power_loss.replay import built, lose_power
from tests.support.processes import MeshProcesses

TORTURE = bool(os.environ.get("BATON_TORTURE"))
CUTS, CLIENTS, MESSAGES = (20, 4, 20_000) if TORTURE else (4, 2, 1_500)
BREATH = (0.3, 5.0) if TORTURE else (0.2, 0.6)

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1_200 if TORTURE else 120)]
if shutil.which("cc") is None and not os.environ.get("CI"):
    pytestmark.append(pytest.mark.skip(reason="needs a C compiler"))


class LossyDisk:
    """The data folder of a mesh on a disk that forgets what was not synced."""

    def __init__(self, mesh: MeshProcesses, chance: random.Random, *, lies: bool = False) -> None:
        self._mesh, self._chance = mesh, chance
        self._data, self._logs = mesh.folder / "data", mesh.folder / "unsynced"
        self._switch = mesh.folder / "power-goes"
        self._logs.mkdir()
        mesh.environment |= {
            "LD_PRELOAD": str(built(mesh.folder)),
            "LOSSY_FOLDER": str(self._data),
            "LOSSY_LOG": str(self._logs),
            "LOSSY_CUT": str(self._switch),
            **({"LOSSY_LIES": "1"} if lies else {}),
        }

    async def cut(self) -> int:
        """Let the power go where a sync is due, a moment from now; how many changes were lost."""
        await asyncio.sleep(self._chance.uniform(*BREATH))
        self._switch.touch()
        code = await self._mesh.queue.ended()
        assert code == -signal.SIGKILL
        self._switch.unlink()
        return self.lose(kept=0.5)

    def lose(self, *, kept: float) -> int:
        """Undo what was not synced, but for a share that is ``kept``; how many changes were lost."""
        return lose_power(self._data, self._logs, self._chance, kept=kept)


async def test_every_promise_is_kept_when_the_power_goes(mesh: MeshProcesses) -> None:
    disk = LossyDisk(mesh, random.Random(20_261_125))
    await mesh.start(mesh.queue)
    load = Load(mesh, producers=CLIENTS, consumers=CLIENTS, messages=MESSAGES)
    try:
        await load.start()
        lost = 0
        for _ in range(CUTS):
            lost += await disk.cut()
            assert intact(mesh.folder / "data" / "queue.db")
            await mesh.start(mesh.queue)
        verdict = await load.finish()
    finally:
        await load.clean_up()

    assert lost > 0, "no change was under way at any cut: this shows nothing"
    assert verdict.broken == {}
    assert verdict.counts["sent"] == load.sends


async def test_a_disk_that_lies_about_its_syncs_is_found_out(mesh: MeshProcesses) -> None:
    disk = LossyDisk(mesh, random.Random(7), lies=True)
    await mesh.start(mesh.queue)
    load = Load(mesh, producers=1, consumers=0, messages=100)
    try:
        await load.start()
        await load.producers[0].ended()
        await mesh.queue.kill()
        lost = disk.lose(kept=0)
        await mesh.start(mesh.queue)
        await load.make_queue()
        verdict = await load.finish()
    finally:
        await load.clean_up()

    assert lost > 0
    assert len(verdict.lost) == verdict.counts["sent"] == load.sends
