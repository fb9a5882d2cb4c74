"""Whoever watches a registration hears of each change, in the order in which the changes were stored.

This process is the only one with the database, so what it stores is all there is to hear.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from signup_service.errors import Draining
from signup_service.registration import Registration

# States kept for a watcher that reads slowly; the oldest give way, so the newest, and with it the last, is never lost.
_KEPT = 100


class Watch:
    """The changes of one registration since the watch began, or since `forget`."""

    def __init__(self) -> None:
        self._states: deque[Registration] = deque(maxlen=_KEPT)
        self._news = asyncio.Event()
        self._ended = False

    def push(self, registration: Registration) -> None:
        """A change was stored."""
        self._states.append(registration)
        self._news.set()

    def end(self) -> None:
        """There will be no more: the service stops."""
        self._ended = True
        self._news.set()

    def forget(self) -> None:
        """Drop what is older than a state that was just read."""
        self._states.clear()

    async def next(self) -> Registration:
        """The next change; raises Draining when the service stops."""
        while not self._states:
            if self._ended:
                raise Draining
            self._news.clear()
            await self._news.wait()
        return self._states.popleft()


class Changes:
    """Passes changes on to those who watch."""

    def __init__(self) -> None:
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)
        self._ended = False

    def publish(self, registrations: Iterable[Registration]) -> None:
        """These registrations were changed and stored."""
        for registration in registrations:
            for watch in self._watches.get(registration.registration_id, ()):
                watch.push(registration)

    def end(self) -> None:
        """End every watch, and those to come at once: the service stops."""
        self._ended = True
        for watches in self._watches.values():
            for watch in watches:
                watch.end()

    @contextmanager
    def watching(self, registration_id: str) -> Iterator[Watch]:
        """A watch on a registration, for as long as the block lasts."""
        watch = Watch()
        if self._ended:
            watch.end()
        self._watches[registration_id].add(watch)
        try:
            yield watch
        finally:
            self._watches[registration_id].discard(watch)
            if not self._watches[registration_id]:
                del self._watches[registration_id]
