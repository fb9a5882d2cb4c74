"""A fake clock that says when somebody begins to wait for it."""

import asyncio
from collections.abc import Callable

from tests.support.fake_clock import START, FakeClock, FakeTimer


class WatchedClock(FakeClock):
    def __init__(self, start: int = START) -> None:
        super().__init__(start)
        self._waiting = asyncio.Event()

    def call_at(self, when: int, callback: Callable[[], None]) -> FakeTimer:
        timer = super().call_at(when, callback)
        if when > self.now():
            self._waiting.set()
        return timer

    async def waited_for(self) -> int:
        """Wait until a timer for a later instant is set; how far away the nearest one is."""
        while not (pending := [when for when, _, timer in self._timers if timer.callback is not None]):
            self._waiting.clear()
            await self._waiting.wait()
        return min(pending) - self.now()
