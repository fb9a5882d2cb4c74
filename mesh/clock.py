"""Time as an argument: services ask their clock, so tests can turn it.

An instant is an ``int`` of microseconds since the Unix epoch, UTC, everywhere inside a service: it compares, adds and
stores without a time zone to lose. A duration is an ``int`` of microseconds beside it, and a ``timedelta`` in settings.
Instants are the wall clock's, which may be set; what is to happen after a while must not wait for it to catch up.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Protocol, runtime_checkable

MILLISECOND = 1_000
SECOND = 1_000_000

#: The longest time that a timer goes without a look at the wall clock: where that was set forward, or went on while the
#: machine slept, what is overdue is noticed so much later at most.
LONGEST_LOOK = SECOND


class Timer(Protocol):
    """A callback that waits for its time."""

    def cancel(self) -> None:
        """Forget the callback; harmless when it ran."""


@runtime_checkable
class Clock(Protocol):
    """What time it is, and a way to be called at a time."""

    def now(self) -> int:
        """This instant."""

    def call_at(self, when: int, callback: Callable[[], None]) -> Timer:
        """Call back, on the event loop, once ``now()`` is at or past ``when``; never before."""

    def call_after(self, duration: int, callback: Callable[[], None]) -> Timer:
        """Call back, on the event loop, when that much time has passed, whatever ``now()`` is set to meanwhile."""


class SystemClock:
    """The machine's own clock; nothing in a service reads the time elsewhere."""

    def now(self) -> int:
        """This instant by the system's wall clock."""
        return time.time_ns() // 1_000

    def call_at(self, when: int, callback: Callable[[], None]) -> Timer:
        """Call back at ``when``, whether the wall clock is set back or forward meanwhile."""
        return _SystemTimer(self, when, callback)

    def call_after(self, duration: int, callback: Callable[[], None]) -> Timer:
        """Call back after ``duration`` by the system's monotonic clock."""
        return asyncio.get_running_loop().call_later(max(0, duration) / SECOND, callback)


class _SystemTimer:
    def __init__(self, clock: SystemClock, when: int, callback: Callable[[], None]) -> None:
        self._clock, self._when, self._callback = clock, when, callback
        self._loop = asyncio.get_running_loop()
        self._handle = self._wait()

    def _wait(self) -> asyncio.TimerHandle:
        left = min(max(0, self._when - self._clock.now()), LONGEST_LOOK)
        return self._loop.call_later(left / SECOND, self._fire)

    def _fire(self) -> None:
        if self._clock.now() < self._when:
            self._handle = self._wait()
        else:
            self._callback()

    def cancel(self) -> None:
        self._handle.cancel()


def steady() -> int:
    """Microseconds of a clock that nobody sets: only the difference between two of its instants means anything."""
    return time.monotonic_ns() // 1_000


async def sleep_until(clock: Clock, when: int) -> None:
    """Wait until ``clock`` says ``when``."""
    await _called(partial(clock.call_at, when))


async def sleep(clock: Clock, duration: int) -> None:
    """Wait for that long."""
    await _called(partial(clock.call_after, duration))


async def _called(begin: Callable[[Callable[[], None]], Timer]) -> None:
    """Wait until a timer calls back."""
    called = asyncio.Event()
    timer = begin(called.set)
    try:
        await called.wait()
    finally:
        timer.cancel()


def microseconds(duration: timedelta) -> int:
    """A setting's duration in the unit of instants."""
    return duration // timedelta(microseconds=1)
