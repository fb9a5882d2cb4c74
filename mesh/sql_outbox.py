"""The outbox of a service that keeps its state in SQL: each verb a transaction, on the thread of the store."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import sqlalchemy as sa

from mesh.database import translated
from mesh.outbox_entry import HandedOver, OutboxDepth, OutboxEntry
from mesh.outbox_table import OutboxTable
from mesh.store_thread import StoreThread

T = TypeVar("T")


class SqlOutbox:
    """An `OutboxStore` on a table; entries are added, in transactions of their own, by the service's verbs.

    Args:
        engine: the service's database.
        table: the outbox in it.
        thread: where the service's store is called.
    """

    def __init__(self, engine: sa.Engine, table: OutboxTable, thread: StoreThread) -> None:
        self._engine, self._table, self._thread = engine, table, thread

    async def pending(self, now: int, limit: int) -> Sequence[OutboxEntry]:
        """The oldest entries that may be handed over by ``now``."""
        return await self._run(lambda connection: self._table.pending(connection, now, limit))

    async def next_pending_at(self) -> int | None:
        """When the next entry may be handed over."""
        return await self._run(self._table.next_pending_at)

    async def mark_handed_over(self, results: Mapping[str, HandedOver]) -> None:
        """Forget what is done."""
        await self._run(lambda connection: self._table.remove(connection, results))

    async def postpone(self, entry_ids: Sequence[str], until: int, error: str) -> None:
        """Keep entries, and those behind them of their keys, back until an instant."""

        def each(connection: sa.Connection) -> None:
            for entry_id in entry_ids:
                self._table.postpone(connection, entry_id, until, error)

        await self._run(each)

    async def depth(self) -> OutboxDepth:
        """How much waits."""
        return await self._run(self._table.depth)

    async def _run(self, work: Callable[[sa.Connection], T]) -> T:
        def transaction() -> T:
            with translated(), self._engine.begin() as connection:
                return work(connection)

        return await self._thread.run(transaction)
