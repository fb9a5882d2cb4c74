"""An event loop without a clock of its own: time passes only while nothing is ready, and at once.

Which callback runs next is asyncio's own order: first come, first served, because code may rely on that. What the seed
shuffles is when things become ready: every wait for the storage, the network and a client takes as long as it says, and
those that take no time at all are drawn too, so that calls of one instant meet in either order.
"""

import asyncio
from collections.abc import Coroutine
from itertools import count
from math import ceil, inf
from typing import Any

#: Microseconds that a life may last; one that lasts longer goes round in circles.
LONGEST = 3600 * 1_000_000
#: Rounds of cancelling after which a task that is left refuses to end.
ROUNDS = 20


class SimulationStuckError(AssertionError):
    """Everybody waits for somebody else."""


class SimulatedTask(asyncio.Task[Any]):
    """A task whose place in a set is the same in every run: it goes by a number, not by an address."""

    def __init__(self, number: int, coroutine: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._number = number
        self.of_the_world = False
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self._number


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs on time that is made up; ``problems`` are the exceptions that nobody caught."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0
        self.longest: float = LONGEST
        self.problems: list[str] = []
        self.tasks: dict[int, SimulatedTask] = {}
        self._numbers = count()
        self._clock_resolution = 1e-7
        self._selector = self
        self.set_task_factory(self._make_task)
        self.set_exception_handler(self._problem)

    def time(self) -> float:
        return self.elapsed / 1e6

    def select(self, timeout: float | None) -> list[Any]:
        """What a selector does, but that the time is over at once."""
        if timeout is None:
            raise SimulationStuckError("nothing is ready, and nothing will be")
        if timeout > 0:
            self.elapsed += max(1, ceil(timeout * 1e6 - 0.01))
            if self.elapsed > self.longest:
                raise SimulationStuckError("a life without an end")
        return []

    def begin(self, coroutine: Coroutine[Any, Any, Any]) -> SimulatedTask:
        """Run what is no part of the broker, and lives on when that is killed."""
        task = self.create_task(coroutine)
        assert isinstance(task, SimulatedTask)
        task.of_the_world = True
        return task

    def of_the_broker(self) -> list[SimulatedTask]:
        """The tasks that die with the broker."""
        return [task for task in self.tasks.values() if not task.of_the_world]

    def left(self) -> list[str]:
        """What is wrong when the broker has stopped: exceptions that nobody caught, and timers."""
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        timers = [f"a timer is left: {handle}" for handle in scheduled if not handle.cancelled()]
        return [*self.problems, *timers]

    def end(self) -> None:
        """Cancel what still runs, however often that takes."""
        self.longest = inf
        for _ in range(ROUNDS):
            if left := list(self.tasks.values()):
                for task in left:
                    task.cancel()
                self.run_until_complete(self.create_task(asyncio.wait(left, timeout=1)))
        self.close()

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps who would have to be woken."""

    def _make_task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> SimulatedTask:
        number = next(self._numbers)
        task = self.tasks[number] = SimulatedTask(number, coroutine, loop=loop, **options)
        task.add_done_callback(lambda _: self.tasks.pop(number))
        return task

    def _problem(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.problems.append(f"{context['message']}: {context.get('exception')!r}")
