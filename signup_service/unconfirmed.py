"""What becomes of a place whose runner no confirmation reaches: it is kept, or taken back after a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from mesh.clock import Clock, microseconds, sleep, sleep_until
from mesh.duration import parse_duration
from mesh.task_set import begin_loop
from mesh.telemetry import get_logger
from signup_service.registration import Cause, Registration
from signup_service.storage.base import Unconfirmed
from signup_service.storage.threaded import ThreadedStore

log = get_logger(__name__)

_KEEP = "keep"
_CANCEL_AFTER = "cancel-after"
_ALLOWED = f"must be {_KEEP}, or {_CANCEL_AFTER} and a duration, such as {_CANCEL_AFTER} 72h"
# Cancelled at a time; what is left follows at once.
_BATCH = 100
#: Wait after the storage failed.
BACKOFF = timedelta(seconds=5)

Cancel = Callable[[str, Cause, str], Awaitable[Registration]]


def parse_unconfirmed(text: str) -> timedelta | None:
    """How long the wait for a confirmation may last; None for ever. Raises ValueError saying what is allowed."""
    if text == _KEEP:
        return None
    word, _, duration = text.partition(" ")
    if word != _CANCEL_AFTER:
        raise ValueError(_ALLOWED)
    try:
        wait = timedelta(microseconds=parse_duration(duration))
    except (ValueError, OverflowError) as error:
        raise ValueError(_ALLOWED) from error
    if wait < timedelta(seconds=1):
        raise ValueError("must wait for 1s at least before it cancels")
    return wait


def overdue(waiting: Sequence[Unconfirmed], wait: int, now: int) -> Sequence[Unconfirmed]:
    """Those of the waiting whose time is over."""
    return [each for each in waiting if each.since + wait <= now]


class UnconfirmedReaper:
    """The loop that takes back places that nobody could be told of.

    Args:
        store: knows who waits.
        cancel: takes a place back, and tells the runner all the same.
        clock: the time.
        wait: how long a runner may be without confirmation, from the registration or the last time it was sent anew.
    """

    def __init__(self, store: ThreadedStore, cancel: Cancel, clock: Clock, wait: timedelta) -> None:
        self._store, self._cancel, self._clock = store, cancel, clock
        self._wait = microseconds(wait)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, with those whose time ran out meanwhile."""
        self._task = begin_loop(self._run(), "unconfirmed reaper")

    async def stop(self) -> None:
        """Stop. Safe twice, and before `start`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await sleep_until(self._clock, await self._cancel_overdue())
            except Exception as error:  # the loop outlives every failure of the storage
                log.warning("unconfirmed places stay for now", action="unconfirmed_backed_off", error=repr(error))
                await sleep(self._clock, microseconds(BACKOFF))

    async def _cancel_overdue(self) -> int:
        """Cancel those whose time is over; when to look again."""
        while True:
            waiting, now = await self._store.unconfirmed(_BATCH), self._clock.now()
            over = overdue(waiting, self._wait, now)
            for each in over:
                await self._cancel(each.registration_id, Cause.UNCONFIRMED, "")
            if not over:
                # Who registers from now on waits longer than those who wait already.
                return (waiting[0].since if waiting else now) + self._wait
