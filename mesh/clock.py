"""Time as an argument: services ask their clock, so tests can turn it.

An instant is an ``int`` of microseconds since the Unix epoch, UTC, everywhere inside a service: it compares, adds and
stores without a time zone to lose. A duration is an ``int`` of microseconds beside it, and a ``timedelta`` in settings.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol, runtime_checkable

MILLISECOND = 1_000
SECOND = 1_000_000


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


class SystemClock:
    """The machine's own clock; nothing in a service reads the time elsewhere."""

    def now(self) -> int:
        """This instant by the system's wall clock."""
        return time.time_ns() // 1_000

    def call_at(self, when: int, callback: Callable[[], None]) -> Timer:
        """Call back at ``when``, waiting again where the wall clock was set back meanwhile."""
        return _SystemTimer(self, when, callback)


class _SystemTimer:
    def __init__(self, clock: SystemClock, when: int, callback: Callable[[], None]) -> None:
        self._clock, self._when, self._callback = clock, when, callback
        self._loop = asyncio.get_running_loop()
        self._handle = self._wait()

    def _wait(self) -> asyncio.TimerHandle:
        return self._loop.call_later(max(0, self._when - self._clock.now()) / SECOND, self._fire)

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
    reached = asyncio.Event()
    timer = clock.call_at(when, reached.set)
    try:
        await reached.wait()
    finally:
        timer.cancel()


def microseconds(duration: timedelta) -> int:
    """A setting's duration in the unit of instants."""
    return duration // timedelta(microseconds=1)
