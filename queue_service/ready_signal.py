"""Tells those who wait for messages of a queue when to look: no polling, and no more wake-ups than there is work."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from mesh.clock import Clock, Timer


class Waiter:
    """One who waits. Looks first, waits after: a signal in between is not lost."""

    def __init__(self, signal: "ReadySignal", clock: Clock) -> None:
        self._signal, self._clock = signal, clock
        self._event = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Whether the queue it waits for is gone."""
        return self._signal.closed

    @property
    def woken(self) -> bool:
        """Whether there is a reason to look again."""
        return self._event.is_set()

    def wake(self) -> None:
        """Let it look."""
        self._event.set()

    @contextmanager
    def patience(self, duration: int) -> Iterator[asyncio.Event]:
        """An event that is set, and wakes it, when that much time has passed, wherever the clock is set meanwhile."""
        over = asyncio.Event()

        def end() -> None:
            over.set()
            self.wake()

        if duration <= 0:
            over.set()
            yield over
            return
        timer = self._clock.call_after(duration, end)
        try:
            yield over
        finally:
            timer.cancel()

    async def wait(self, until: int | None, *, aside: bool = False) -> None:
        """Having looked in vain, wait to be woken, until that instant at the latest, and be ready to look again.

        ``aside``: it has no room for messages now, so theirs are the wake-ups of others.
        """
        if aside:
            self._signal.step_aside(self)
        timer = None if until is None else self._clock.call_at(until, self._event.set)
        try:
            await self._event.wait()
        finally:
            if timer is not None:
                timer.cancel()
        self._event.clear()  # not when cancelled: an unused wake-up is the next waiter's
        self._signal.line_up(self)


class ReadySignal:
    """The waiters of one queue, longest waiting first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiters: deque[Waiter] = deque()
        self._aside: set[Waiter] = set()
        self._timer: Timer | None = None
        self._timer_at = 0
        self._pause: Timer | None = None
        self.closed = False

    @property
    def waited_for(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiters)

    @contextmanager
    def waiter(self) -> Iterator[Waiter]:
        """Be among the waiters; a wake-up that is left unused when the block ends goes to the next."""
        waiter = Waiter(self, self._clock)
        self.line_up(waiter)
        try:
            yield waiter
        finally:
            self.step_aside(waiter)
            self._aside.discard(waiter)

    def line_up(self, waiter: Waiter) -> None:
        """Be the last in the line, or stay where one is."""
        self._aside.discard(waiter)
        if waiter not in self._waiters:
            self._waiters.append(waiter)

    def step_aside(self, waiter: Waiter) -> None:
        """Leave the line; a wake-up that came already goes to the next in it."""
        self._aside.add(waiter)
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        elif waiter.woken:
            self._wake(1)

    def ready(self, at: int | None, count: int = 1) -> int:
        """``count`` messages can be delivered at that instant; None: none is on its way. How many were woken."""
        if at is None or not self._waiters:
            return 0
        if at <= self._clock.now():
            return self._wake(count)
        if self._timer is None or at < self._timer_at:
            self._arm(at)
        return 0

    def ready_after(self, duration: int) -> None:
        """One message can be delivered when that much time has passed, whatever the clock is set to meanwhile."""
        if self._waiters and self._pause is None:
            self._pause = self._clock.call_after(duration, self._paused)

    def wake_all(self) -> None:
        """Let everybody look: the queue is changing or going."""
        self._wake(len(self._waiters))
        for waiter in self._aside:
            waiter.wake()

    def close(self) -> None:
        """The queue is gone: let everybody find that out."""
        self.closed = True
        self._disarm()
        if self._pause is not None:
            self._pause.cancel()
        self.wake_all()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, at: int) -> None:
        self._disarm()
        self._timer_at = at
        self._timer = self._clock.call_at(at, self._due)

    def _due(self) -> None:
        self._timer = None
        self._wake(1)

    def _paused(self) -> None:
        self._pause = None
        self._wake(1)

    def _wake(self, count: int) -> int:
        woken = min(count, len(self._waiters))
        for _ in range(woken):
            self._waiters.popleft().wake()
        return woken
