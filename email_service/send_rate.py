"""The most letters a second: when a letter's turn is, and whether that is near enough to wait for.

A bucket of tokens as one number (the generic cell rate algorithm, https://en.wikipedia.org/wiki/GCRA): letters are due
an interval apart, and one may leave as much before it is due as makes a second's worth of them at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from email_service.backoff import LONGEST
from email_service.failure import HeldBackError
from mesh.clock import SECOND, Clock, microseconds, sleep_until

#: How far away a turn may be for a letter to wait for it here.
PATIENCE = SECOND
_FARTHEST = microseconds(LONGEST)


@dataclass(frozen=True, slots=True)
class Pace:
    """How far apart letters are, and how early one may be, in microseconds."""

    interval: int

    @property
    def lead(self) -> int:
        """What makes a second's worth of letters at once, and one at least."""
        return max(0, SECOND - self.interval)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the next letter is due, and the last turn that was told to a letter sent away."""

    due: int = 0
    promised: int = 0


def pace_of(rate: float) -> Pace:
    """The pace of so many letters a second."""
    return Pace(max(1, round(SECOND / rate)))


def turn(pace: Pace, schedule: Schedule, now: int, ahead: int = 0) -> int:
    """The instant at which a letter may leave that has ``ahead`` letters before it."""
    return max(now, max(schedule.due, now) + ahead * pace.interval - pace.lead)


def left(pace: Pace, schedule: Schedule, at: int) -> Schedule:
    """The schedule once a letter has left at its turn."""
    return Schedule(max(schedule.due, at) + pace.interval, schedule.promised)


def promise(pace: Pace, schedule: Schedule, at: int, now: int) -> Schedule:
    """The schedule once a letter was sent away until ``at``, or the first instant after it that nobody else was told.

    Those who come back then come one after the other, at the pace at which they can leave.
    """
    promised = min(max(at, schedule.promised + pace.interval), now + _FARTHEST)
    return Schedule(schedule.due, promised)


def set_back(schedule: Schedule, by: int) -> Schedule:
    """The schedule by a clock that was set back."""
    return Schedule(schedule.due - by, schedule.promised - by)


class SendRate:
    """Lets letters leave at a rate.

    Args:
        rate: letters a second; None for as many as there are.
        clock: says when.
    """

    def __init__(self, rate: float | None, clock: Clock) -> None:
        self._pace, self._clock = None if rate is None else pace_of(rate), clock
        self._schedule, self._latest = Schedule(), clock.now()
        self._ahead: set[str] = set()

    @contextmanager
    def admitted(self, email_id: str) -> Iterator[None]:
        """What is done in here is done for a letter whose turn is near.

        Raises:
            HeldBackError: it is not near.
        """
        if self._pace is not None:
            self._admit(self._pace)
        self._ahead.add(email_id)
        try:
            yield
        finally:
            self._ahead.discard(email_id)

    async def turn(self, email_id: str) -> None:
        """Wait for the turn of a letter that is admitted."""
        self._ahead.discard(email_id)
        if self._pace is None:
            return
        now = self._now()
        at = turn(self._pace, self._schedule, now)
        self._schedule = left(self._pace, self._schedule, at)
        if at > now:
            await sleep_until(self._clock, at)

    def _admit(self, pace: Pace) -> None:
        now = self._now()
        at = turn(pace, self._schedule, now, len(self._ahead))
        if at - now > PATIENCE:
            self._schedule = promise(pace, self._schedule, at, now)
            delay = timedelta(microseconds=self._schedule.promised - now)
            raise HeldBackError("as many emails are sent a second as may be", delay)

    def _now(self) -> int:
        now = self._clock.now()
        if now < self._latest:
            self._schedule = set_back(self._schedule, self._latest - now)
        self._latest = now
        return now
