"""The one hop from the event loop to the store: a thread of its own, so that a slow disk stops nobody else."""

from collections.abc import Mapping, Sequence

from mesh.clock import Clock
from mesh.outbox import OutboxEntry
from mesh.store_thread import StoreThread
from signup_service.outcome import Outcome
from signup_service.registration import ConfirmationState, Registration
from signup_service.request import Request
from signup_service.storage.base import RegistrationStore


class ThreadedStore:
    """A `RegistrationStore` to be awaited; the outbox relay's store too."""

    def __init__(self, store: RegistrationStore, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._thread = StoreThread("registrations")

    def close(self) -> None:
        """End the thread, after what it has begun."""
        self._thread.close()

    async def register(
        self, registration: Registration, request: Request | None, entry: OutboxEntry | None
    ) -> Registration:
        """Store a registration, or find the one that the same request made before."""
        return await self._thread.run(self._store.register, registration, request, entry)

    async def find(self, registration_id: str) -> Registration:
        """The registration as it stands."""
        return await self._thread.run(self._store.find, registration_id)

    async def page(self, after: str, limit: int, state: ConfirmationState | None) -> Sequence[Registration]:
        """The oldest registrations behind an id."""
        return await self._thread.run(self._store.page, after, limit, state)

    async def note_outcome(self, registration_id: str, outcome: Outcome) -> Registration:
        """Let news of the email change the confirmation."""
        return await self._thread.run(self._store.note_outcome, registration_id, outcome, self._clock.now())

    async def pending(self, now: int, limit: int) -> Sequence[OutboxEntry]:
        """The oldest outbox entries that may be sent by ``now``."""
        return await self._thread.run(self._store.pending, now, limit)

    async def next_pending_at(self) -> int | None:
        """The instant at which the next outbox entry may be sent."""
        return await self._thread.run(self._store.next_pending_at)

    async def mark_sent(self, message_ids: Mapping[str, str]) -> None:
        """Note the message ids that the broker gave."""
        await self._thread.run(self._store.mark_sent, message_ids, self._clock.now())

    async def postpone(self, entry_id: str, until: int, error: str) -> None:
        """Try an outbox entry again no earlier than ``until``."""
        await self._thread.run(self._store.postpone, entry_id, until, error)
