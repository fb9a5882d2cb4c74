"""An outbox on the table that the services use, with the sent entries in view."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from mesh.database import Database, sqlite_url
from mesh.outbox import OutboxEntry
from mesh.outbox_table import OutboxTable

T = TypeVar("T")


def entry(entry_id: str, queue: str = "work") -> OutboxEntry:
    return OutboxEntry(entry_id, queue, "baton.queue.v1.Ack", entry_id.encode(), {"traceparent": "00-ab"})


class SqlOutbox:
    """An `OutboxStore` whose entries a test adds and whose end it can wait for."""

    def __init__(self, folder: Path) -> None:
        metadata = sa.MetaData()
        self.table = OutboxTable(metadata)
        self.database = Database(sqlite_url(folder / "outbox.db"), metadata, 1)
        self.sent: dict[str, str] = {}
        self.failures: list[Exception] = []
        self.reads = 0
        self.idle = asyncio.Event()
        self._news = asyncio.Event()

    def add(self, *entries: OutboxEntry, now: int = 0) -> None:
        with self.database.engine.begin() as connection:
            self.table.add(connection, entries, now)

    async def pending(self, now: int, limit: int) -> Sequence[OutboxEntry]:
        self.reads += 1
        if self.failures:
            raise self.failures.pop()
        return await self._hop(lambda connection: self.table.pending(connection, now, limit))

    async def next_pending_at(self) -> int | None:
        found = await self._hop(self.table.next_pending_at)
        if found is None:
            self.idle.set()
        return found

    async def mark_sent(self, message_ids: Mapping[str, str]) -> None:
        await self._hop(lambda connection: self.table.remove_sent(connection, message_ids))
        self.sent.update(message_ids)
        self._news.set()

    async def postpone(self, entry_id: str, until: int, error: str) -> None:
        await self._hop(lambda connection: self.table.postpone(connection, entry_id, until, error))

    async def until_sent(self, count: int) -> list[str]:
        """Wait until so many entries are marked as sent; their ids, in order."""
        while len(self.sent) < count:
            self._news.clear()
            await self._news.wait()
        return list(self.sent)

    async def _hop(self, work: Callable[[sa.Connection], T]) -> T:
        def run() -> T:
            with self.database.engine.begin() as connection:
                return work(connection)

        return await asyncio.to_thread(run)
