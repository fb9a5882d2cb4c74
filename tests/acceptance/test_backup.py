"""A backup is taken while the broker works, and restored; the history is judged as far as the backup can know it."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mesh.backup import back_up
from mesh.database import sqlite_url
from queue_service.storage.schema import SCHEMA
from tests.support.eventually import eventually
from tests.support.history.event import Event, What, read
from tests.support.history.producing import now
from tests.support.history.restored import backed_up
from tests.support.history.verdict import judge
from tests.support.load import Load
from tests.support.processes import MeshProcesses

TORTURE = bool(os.environ.get("BATON_TORTURE"))
CLIENTS, MESSAGES = (8, 20_000) if TORTURE else (4, 1_000)
# Acks that were confirmed before the backup begins.
ACKED = MESSAGES // 3

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600 if TORTURE else 240)]


def confirmed(events: list[Event], what: What, first: int, last: int) -> int:
    return sum(event.what is what and first <= event.at <= last for event in events)


async def put_back(mesh: MeshProcesses, backup: Path) -> None:
    """As the operations book has it: stop, put the file where the database was, start."""
    await mesh.queue.stop()
    for file in (mesh.folder / "data").glob("queue.db*"):
        file.unlink()
    backup.replace(mesh.folder / "data" / "queue.db")
    await mesh.start(mesh.queue)


async def test_every_send_that_was_confirmed_before_a_backup_began_is_delivered_by_it(
    mesh: MeshProcesses, record_property: Callable[[str, object], None]
) -> None:
    await mesh.start(mesh.queue)
    load = Load(mesh, producers=CLIENTS, consumers=CLIENTS, messages=MESSAGES)
    url, file = sqlite_url(mesh.folder / "data" / "queue.db"), mesh.folder / "backup.db"

    async def acks() -> int:
        return confirmed(read(mesh.folder.glob("*.jsonl")), What.SETTLED, 0, now())

    try:
        await load.start()
        await eventually(acks, lambda count: count >= ACKED)
        began = now()
        await asyncio.to_thread(back_up, url, file, without=SCHEMA.of_one_life)  # no start of a program in the time
        ended = now()
        assert any(producer.running for producer in load.producers)
        await load.stop(within=300)
        before = read(mesh.folder.glob("*.jsonl"))
        await put_back(mesh, file)
        restored = now()
        await load.drain(within=300)
    finally:
        await load.clean_up()

    after = [event for event in read(mesh.folder.glob("*.jsonl")) if event.at >= restored]
    verdict = judge([*backed_up(before, began, ended), *after])
    again = {e.key for e in before if e.what is What.DELIVERED} & {e.key for e in after if e.what is What.DELIVERED}
    record_property("restored", {**verdict.counts, "delivered again": len(again)})
    assert verdict.broken == {}
    assert confirmed(before, What.OK, 0, began) > 0
    assert confirmed(before, What.OK, ended, restored) > 0
    assert again, "nothing was settled after the backup"
