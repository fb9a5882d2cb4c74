"""A clock that stands until a test turns it."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

START = 1_790_000_000_000_000  # some instant in 2026, in microseconds


class FakeTimer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback
        self.for_a_while = False

    def cancel(self) -> None:
        self.callback = None


class FakeClock:
    def __init__(self, start: int = START) -> None:
        self._now = start
        self._timers: list[tuple[int, int, FakeTimer]] = []
        self._order = count()

    def now(self) -> int:
        return self._now

    def call_at(self, when: int, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(callback)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        if when <= self._now:
            asyncio.get_running_loop().call_soon(self._fire)
        return timer

    def call_after(self, duration: int, callback: Callable[[], None]) -> FakeTimer:
        timer = self.call_at(self._now + max(0, duration), callback)
        timer.for_a_while = True
        return timer

    def turn(self, microseconds: int) -> None:
        """Let time pass and fire what became due, in order."""
        self._now += microseconds
        self._fire()

    def step(self, microseconds: int) -> None:
        """Set the clock, forward or back: no time has passed for those who wait for a while, not for an instant."""
        self._now += microseconds
        moved = [(when + microseconds * timer.for_a_while, order, timer) for when, order, timer in self._timers]
        heapq.heapify(moved)
        self._timers = moved
        self._fire()

    def _fire(self) -> None:
        while self._timers and self._timers[0][0] <= self._now:
            _, _, timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                callback, timer.callback = timer.callback, None
                callback()
