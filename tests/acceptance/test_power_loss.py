"""The power goes under load: what was not synced is gone, and every promise is kept all the same."""

import os
import random
from collections.abc import Callable

import pytest

from tests.acceptance.test_promises_under_kills import intact
from tests.support.load import Load
from tests.support.power_loss.lossy_disk import LossyDisk
from tests.support.processes import MeshProcesses

TORTURE = bool(os.environ.get("BATON_TORTURE"))
CUTS, CLIENTS, MESSAGES = (20, 4, 20_000) if TORTURE else (4, 2, 1_500)
BREATH = (0.3, 5.0) if TORTURE else (0.2, 0.6)

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1_200 if TORTURE else 120)]


async def test_every_promise_is_kept_when_the_power_goes(
    mesh: MeshProcesses, record_property: Callable[[str, object], None]
) -> None:
    disk = LossyDisk(mesh, random.Random(20_261_125))
    await mesh.start(mesh.queue)
    load = Load(mesh, producers=CLIENTS, consumers=CLIENTS, messages=MESSAGES)
    try:
        await load.start()
        lost = 0
        for _ in range(CUTS):
            lost += await disk.cut(BREATH)
            assert intact(mesh.folder / "data" / "queue.db")
            await mesh.start(mesh.queue)
        verdict = await load.finish()
    finally:
        await load.clean_up()

    assert lost > 0, "no change was under way at any cut: this shows nothing"
    record_property("history", verdict.counts)
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
