"""The outbox as the relay sees it: what becomes of an entry is noted in the registration it is about."""

from collections.abc import Mapping, Sequence

from mesh.outbox import OutboxStore
from mesh.outbox_entry import HandedOver, OutboxDepth, OutboxEntry
from signup_service.storage.threaded import ThreadedStore


class ConfirmationOutbox:
    """An `OutboxStore` whose entries are the emails of registrations."""

    def __init__(self, outbox: OutboxStore, store: ThreadedStore) -> None:
        self._outbox, self._store = outbox, store

    async def pending(self, now: int, limit: int) -> Sequence[OutboxEntry]:
        """The oldest entries that may be handed over by ``now``."""
        return await self._outbox.pending(now, limit)

    async def next_pending_at(self) -> int | None:
        """The instant at which the next entry may be handed over; None when none is left."""
        return await self._outbox.next_pending_at()

    async def mark_handed_over(self, results: Mapping[str, HandedOver]) -> None:
        """Note, by entry id, what became of entries."""
        await self._store.note_handed_over(results)

    async def postpone(self, entry_ids: Sequence[str], until: int, error: str) -> None:
        """Try entries again no earlier than ``until``."""
        await self._outbox.postpone(entry_ids, until, error)

    async def depth(self) -> OutboxDepth:
        """How much waits, and since when."""
        return await self._outbox.depth()
