"""Sends are megabytes each: once they are answered, the broker must hold nothing of them."""

import gc
from collections.abc import Callable
from pathlib import Path

import pytest

from mesh.database import sqlite_url
from queue_service.storage.base import MessageStore
from queue_service.storage.memory import MemoryStore
from queue_service.storage.sql import SqlStore
from queue_service.storage.verbs import Send
from tests.support.eventually import eventually
from tests.support.refusals import refused
from tests.support.running_broker import running_broker


@pytest.fixture(params=["memory", "sqlite"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], MessageStore]:
    return MemoryStore if request.param == "memory" else lambda: SqlStore(sqlite_url(tmp_path / "queue.db"))


async def sends() -> list[Send]:
    return [each for each in gc.get_objects() if isinstance(each, Send) and each.messages]


async def test_a_send_that_was_answered_is_held_by_nobody(open_store: Callable[[], MessageStore]) -> None:
    async with running_broker(open_store()) as broker:
        await broker.create()
        gc.collect()
        gc.disable()
        try:
            await broker.send("a")
            await refused(broker.send("b", queue="nowhere"))

            await eventually(sends, lambda held: not held, within=10)
        finally:
            gc.enable()
