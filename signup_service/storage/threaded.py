"""The one hop from the event loop to the store: a thread of its own, so that a slow disk stops nobody else.

Changes are published in the order in which they were stored, and before the verb that made them returns; what is read
after that is never older than what was published.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ParamSpec, TypeVar

from mesh.clock import Clock
from mesh.outbox_entry import HandedOver
from mesh.store_thread import StoreThread
from signup_service.errors import RegistrationNotFound
from signup_service.outcome import News, Outcome
from signup_service.registration import Cause, NoticeState, Registration
from signup_service.request import Request
from signup_service.storage.base import RegistrationStore, Unconfirmed

P = ParamSpec("P")
T = TypeVar("T")


class ThreadedStore:
    """A `RegistrationStore` to be awaited.

    Args:
        store: does the work.
        thread: where it is called.
        clock: for the times of changes.
        publish: told of every registration that was changed.
    """

    def __init__(
        self,
        store: RegistrationStore,
        thread: StoreThread,
        clock: Clock,
        publish: Callable[[Iterable[Registration]], None],
    ) -> None:
        self._store, self._thread, self._clock, self._publish = store, thread, clock, publish

    async def register(self, registration: Registration, request: Request | None) -> Registration:
        """Store a registration, or find the one that the same request made before."""
        return await self._changing(_one, self._store.register, registration, request)

    async def find(self, registration_id: str) -> Registration:
        """The registration as it stands."""
        return await self._thread.run(self._store.find, registration_id)

    async def page(self, after: str, limit: int, state: NoticeState | None) -> Sequence[Registration]:
        """The oldest registrations behind an id."""
        return await self._thread.run(self._store.page, after, limit, state)

    async def note_outcomes(self, news: Sequence[News]) -> Sequence[Registration | RegistrationNotFound]:
        """Let news change what is known of emails."""
        return await self._changing(_found, self._store.note_outcomes, news, self._clock.now())

    async def note_outcome(self, registration: Registration, outcome: Outcome) -> Registration:
        """Let one piece of news of a registration's newest confirmation change it."""
        news = News(registration.registration_id, registration.confirmation.key, outcome)
        (noted,) = await self.note_outcomes([news])
        if isinstance(noted, RegistrationNotFound):
            raise noted
        return noted

    async def note_handed_over(self, results: Mapping[str, HandedOver]) -> None:
        """Note what became of outbox entries, and drop them."""
        await self._changing(_all, self._store.note_handed_over, results, self._clock.now())

    async def resend(self, registration_id: str, request: Request | None, trace_id: str) -> Registration:
        """Put a new confirmation into the outbox."""
        return await self._changing(_one, self._store.resend, registration_id, request, trace_id, self._clock.now())

    async def cancel(self, registration_id: str, cause: Cause, reason: str) -> Registration:
        """Take the place back."""
        return await self._changing(_one, self._store.cancel, registration_id, cause, reason, self._clock.now())

    async def unconfirmed(self, limit: int) -> Sequence[Unconfirmed]:
        """Those that have waited longest."""
        return await self._thread.run(self._store.unconfirmed, limit)

    async def _changing(
        self, changed: Callable[[T], Iterable[Registration]], verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        loop = asyncio.get_running_loop()

        def stored_then_published() -> T:
            result = verb(*args, **kwargs)
            loop.call_soon_threadsafe(self._publish, list(changed(result)))
            return result

        return await self._thread.run(stored_then_published)


def _found(noted: Sequence[Registration | RegistrationNotFound]) -> Iterable[Registration]:
    return (each for each in noted if isinstance(each, Registration))


def _all(registrations: Sequence[Registration]) -> Iterable[Registration]:
    return registrations


def _one(registration: Registration) -> Iterable[Registration]:
    return (registration,)
