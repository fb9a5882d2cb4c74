"""The wall clock of a simulated machine, which can be set, and its timers, which are the product's own."""

from collections.abc import Callable

from mesh.clock import SystemClock, Timer
from tests.support.fake_clock import START
from tests.support.simulation.loop import SimulatedLoop


class SimulatedClock(SystemClock):
    """A wall clock over a loop's time.

    ``latest`` is the latest instant it ever showed: what a client notes in a history, which has to be in order. On it a
    lease may seem to end before the broker's clock, when that was set back, says so, and never after.
    """

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self._offset = START
        self._latest = START

    def now(self) -> int:
        return self._offset + self._loop.elapsed

    @property
    def latest(self) -> int:
        self._latest = max(self._latest, self.now())
        return self._latest

    def step(self, microseconds: int) -> None:
        """Set the clock, and let no timer know."""
        self._latest = self.latest
        self._offset += microseconds


class LifeClock(SystemClock):
    """The clock of one run of the broker, whose timers die with it."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self.alive = True

    def now(self) -> int:
        return self._clock.now()

    def call_at(self, when: int, callback: Callable[[], None]) -> Timer:
        return super().call_at(when, lambda: callback() if self.alive else None)

    def call_after(self, duration: int, callback: Callable[[], None]) -> Timer:
        return super().call_after(duration, lambda: callback() if self.alive else None)
