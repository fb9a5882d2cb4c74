"""Ends what is over: one timer for each queue that holds something, and no look at a queue that holds nothing."""

import asyncio
from collections.abc import Awaitable, Callable

from mesh.clock import SECOND, Clock, Timer
from mesh.errors import NotFound
from mesh.task_set import begin_loop
from mesh.telemetry import get_logger

log = get_logger(__name__)

#: The longest time between two looks at a queue that holds something. A leased message that comes back may be past its
#: expire_time, which has to be noticed within a minute.
LONGEST_WAIT = 30 * SECOND

#: Sweeps a queue; the instant at which something in it ends next, None when there is nothing.
Sweep = Callable[[str], Awaitable[int | None]]


class Reaper:
    """Sweeps each queue when something in it ends."""

    def __init__(self, clock: Clock, sweep: Sweep) -> None:
        self._clock = clock
        self._sweep = sweep
        self._timers: dict[str, tuple[int, Timer]] = {}
        self._sweeping: dict[str, asyncio.Task[None]] = {}
        self._stopped = False

    def note(self, queue: str, end_at: int) -> None:
        """Something in ``queue`` ends at that instant."""
        due = min(end_at, self._clock.now() + LONGEST_WAIT)
        known = self._timers.get(queue)
        if self._stopped or (known is not None and known[0] <= due):
            return
        self.forget(queue)
        self._timers[queue] = (due, self._clock.call_at(due, lambda: self._begin(queue)))

    def forget(self, queue: str) -> None:
        """The queue is gone."""
        known = self._timers.pop(queue, None)
        if known is not None:
            known[1].cancel()

    async def stop(self) -> None:
        """Begin no more sweeps and wait for those under way."""
        self._stopped = True
        for queue in list(self._timers):
            self.forget(queue)
        await asyncio.gather(*self._sweeping.values())

    def _begin(self, queue: str) -> None:
        self._timers.pop(queue, None)
        if queue in self._sweeping:  # it ends with a look at what comes next
            return
        self._sweeping[queue] = begin_loop(self._run(queue), f"sweep of {queue}")

    async def _run(self, queue: str) -> None:
        try:
            next_at = await self._sweep(queue)
        except NotFound:
            next_at = None
        except Exception as error:  # whatever one sweep met, leases must go on ending
            log.error("a sweep failed and is tried again", action="sweep_failed", queue=queue, exc_info=error)
            next_at = self._clock.now() + SECOND
        finally:
            self._sweeping.pop(queue, None)
        if next_at is not None:
            self.note(queue, next_at)
