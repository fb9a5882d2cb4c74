"""The broker as its clients reach it: calls that take time and may be lost, and a process that is killed or stopped."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from mesh.errors import BatonError
from queue_service.app import QueueApplication
from tests.support.simulation.clock import LifeClock
from tests.support.simulation.loop import SimulatedTask
from tests.support.simulation.store import SimulatedStore
from tests.support.simulation.writer import SimulatedWriter

if TYPE_CHECKING:
    from tests.support.simulation.world import World

T = TypeVar("T")
Work = Callable[[QueueApplication], Coroutine[Any, Any, T]]

#: Seconds that a client waits beyond what it asked for.
PATIENCE = 4.0
#: Microseconds between two moments at which clients that are in step call.
STEP = 200_000
#: Seconds that calls get when the broker stops, and rounds until what was killed must be dead.
GRACE, ROUNDS = 2.0, 100


class LostError(Exception):
    """The call had no answer; nobody knows whether it was done."""


class Life:
    """One run of the broker, made as its program makes it, from what the last one left in the store."""

    def __init__(self, world: "World", number: int) -> None:
        self.clock = LifeClock(world.clock)
        self.store = SimulatedStore(
            world.open_store(),
            world.secret,
            world.weather,
            world.plan.chance(f"store {number}"),
            world.record.committed,
        )
        self.application = QueueApplication(self.store, (), self.clock, push_grace=1.0)
        self.since = world.loop.elapsed
        self.ended: asyncio.Future[None] = world.loop.create_future()
        self.calls: dict[int, asyncio.Task[Any]] = {}

    @property
    def writer(self) -> SimulatedWriter:
        writer = self.application._writer
        assert isinstance(writer, SimulatedWriter)
        return writer


class Server:
    """Where the broker runs, if it does."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._chance = world.plan.chance("network")
        self._lives = self._calls = 0
        self.life: Life | None = None

    async def start(self) -> None:
        """Start the broker, again for as long as the storage does not let it."""
        while True:
            life = Life(self._world, self._lives)
            self._lives += 1
            try:
                await self._world.loop.begin(life.application.start())
            except BatonError:
                await self._bury(life)
                await asyncio.sleep(1)
            else:
                self.life = life
                return

    async def kill(self) -> None:
        """End it as kill -9 does: what is committed is there, and nobody says a last word."""
        if (life := self.life) is not None:
            self.life = None
            await self._bury(life)

    async def stop(self) -> None:
        """End it as SIGTERM does."""
        life, self.life = self.life, None
        if life is None:
            return
        await life.application.drain()
        if life.calls:
            await asyncio.wait(life.calls.values(), timeout=GRACE)
        for call in life.calls.values():
            call.cancel()
        await asyncio.gather(*life.calls.values(), return_exceptions=True)
        await life.application.close()
        left = [task.get_name() for task in self._world.loop.of_the_broker()]
        if left:
            self._world.record.accuse(f"a broker that stopped left tasks behind: {left}")
        life.clock.alive = False
        life.ended.set_result(None)

    async def call(self, work: Work[T], *, wait: float = 0.0, hasty: bool = False) -> T:
        """The answer of the broker; a hasty call is there at once.

        Raises:
            LostError: nobody knows.
            BatonError: it refused.
        """
        if not hasty:
            await self.delay()
        if (life := self.life) is None:
            raise LostError
        self._calls += 1
        number, task = self._calls, self._world.loop.create_task(work(life.application))
        task.add_done_callback(_heard)
        life.calls[number] = task
        ends: set[asyncio.Future[Any]] = {task, life.ended}
        try:
            await asyncio.wait(ends, timeout=wait + PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() or life.ended.done():
                raise LostError
            if self._chance.random() < self._world.weather.lost_answers:
                raise LostError
        finally:
            task.cancel()
            life.calls.pop(number, None)
        if task.cancelled():
            raise LostError
        return task.result()

    async def delay(self) -> None:
        """What is on its way takes its time."""
        most = self._world.weather.network
        if self._world.plan.in_step:
            await asyncio.sleep((STEP - self._world.loop.elapsed % STEP) / 1e6)
        elif most and self._chance.random() < 0.7:
            await asyncio.sleep(self._chance.uniform(0, most))

    async def _bury(self, life: Life) -> None:
        life.clock.alive = False
        life.writer.kill()
        life.ended.set_result(None)
        for _ in range(ROUNDS):
            dying: list[SimulatedTask] = self._world.loop.of_the_broker()
            if not dying:
                return
            for task in dying:
                task.cancel()
            await asyncio.gather(*dying, return_exceptions=True)
        raise AssertionError("what was killed does not die")


def _heard(task: asyncio.Task[Any]) -> None:
    """What a call ended in is no problem of anybody's when its caller has gone."""
    if not task.cancelled():
        task.exception()
