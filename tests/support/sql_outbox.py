"""The outbox that the services use, in a database of its own, with what becomes of its entries in view."""

import asyncio
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from mesh.database import Database
from mesh.outbox_entry import HandedOver, HandOver, OutboxEntry
from mesh.outbox_table import OutboxTable
from mesh.sql_outbox import SqlOutbox
from mesh.store_thread import StoreThread
from tests.support.plain_schema import plain_schema


def entry(entry_id: str, queue: str = "work", order_key: str = "", **more: object) -> OutboxEntry:
    attributes = {"traceparent": "00-ab"}
    return OutboxEntry(entry_id, queue, "baton.queue.v1.Ack", entry_id.encode(), attributes, order_key, **more)  # type: ignore[arg-type]


class WatchedOutbox(SqlOutbox):
    """An outbox whose entries a test adds and whose end it can wait for."""

    def __init__(self, url: str) -> None:
        metadata = sa.MetaData()
        self.table, self.thread = OutboxTable(metadata), StoreThread("outbox")
        self.database = Database(url, plain_schema(metadata))
        super().__init__(self.database.engine, self.table, self.thread)
        self.results: list[tuple[str, HandedOver]] = []
        self.failures: list[Exception] = []
        self.unmarked = False
        self.reads = 0
        self.idle = asyncio.Event()
        self._news = asyncio.Event()

    def add(self, *entries: OutboxEntry, now: int = 0) -> None:
        with self.database.engine.begin() as connection:
            self.table.add(connection, entries, now)

    def withdraw(self, entry_id: str, now: int = 0) -> bool:
        with self.database.engine.begin() as connection:
            return self.table.withdraw(connection, entry_id, now)

    def release(self, order_key: str, now: int) -> None:
        with self.database.engine.begin() as connection:
            self.table.release(connection, order_key, now)

    async def pending(self, now: int, limit: int) -> Sequence[OutboxEntry]:
        if self.failures:
            raise self.failures.pop()
        found = await super().pending(now, limit)
        self.reads += 1
        self._news.set()
        return found

    async def next_pending_at(self) -> int | None:
        found = await super().next_pending_at()
        if found is None:
            self.idle.set()
        return found

    async def mark_handed_over(self, results: Mapping[str, HandedOver]) -> None:
        if self.unmarked:
            self._news.set()
            raise RuntimeError("the process dies before it is noted")
        await super().mark_handed_over(results)
        self.results += results.items()
        self._news.set()

    async def until(self, count: int, what: HandOver = HandOver.SENT) -> list[str]:
        """Wait until so many entries have come to that; their ids, in order."""
        while len(self.ended(what)) < count:
            self._news.clear()
            await self._news.wait()
        return self.ended(what)

    async def read_again(self) -> None:
        """Wait until what is due has been read once more."""
        before = self.reads
        while self.reads == before:
            self._news.clear()
            await self._news.wait()

    def ended(self, what: HandOver) -> list[str]:
        """The ids of the entries that came to that, in order."""
        return [entry_id for entry_id, result in self.results if result.what is what]

    def close(self) -> None:
        self.thread.close()
        self.database.close()
