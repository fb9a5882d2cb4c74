"""One life, from a seed to a verdict: clients and faults, a lull, a drain, and what is left then."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from mesh.clock import SECOND
from queue_service.lease_id import LeaseIds
from queue_service.queue_definition import MINUTE
from queue_service.storage.base import MessageStore
from tests.support.simulation.clock import SimulatedClock
from tests.support.simulation.consumer import Consumer
from tests.support.simulation.handler import HandlerChannel
from tests.support.simulation.ledger import Record
from tests.support.simulation.loop import SimulatedLoop, SimulatedTask
from tests.support.simulation.operating import QUEUES, Operator
from tests.support.simulation.plan import CALM, DEAD, LOOSE, WORK, Plan, Weather
from tests.support.simulation.producer import Producer
from tests.support.simulation.server import Server
from tests.support.simulation.watch import Watch, counted, remains, stats_of

#: Seconds without faults in which what is ready must find those who wait, and until the queues have to be empty.
LULL, DRAINED = 8.0, 600
#: Seconds after which nothing in empty queues is remembered, beyond the window: the reaper's longest wait, and what a
#: clock that was set back adds.
FORGOTTEN = 660


class World:
    """Everything there is in one life, for everybody in it to use."""

    def __init__(
        self, plan: Plan, loop: SimulatedLoop, open_store: Callable[[], MessageStore], *, commits: bool
    ) -> None:
        self.plan, self.loop, self.open_store = plan, loop, open_store
        self.clock = SimulatedClock(loop)
        self.record = Record(loop, self.clock, commits=commits)
        self.secret = plan.chance("secret").randbytes(16)
        self.lease_ids = LeaseIds(self.secret)
        self.weather = plan.weather
        self.handlers: list[HandlerChannel] = []
        self.handler_up, self.handler_back = True, asyncio.Event()
        self.handler_chance = plan.chance("handler")
        self.numbers: dict[str, int] = {}
        self.began = self.clock.now()
        self.busy = self.open = True
        self.server = Server(self)
        self._also: list[SimulatedTask] = []
        self._chance = plan.chance("nemesis")

    def also(self, work: Coroutine[Any, Any, Any]) -> None:
        """Have something done beside the rest, and before the end."""
        self._also.append(self.loop.begin(work))

    async def live(self) -> None:
        """All of it."""
        await self._begin()
        plan, operator = self.plan, Operator(self)
        producers = [self.loop.begin(Producer(self, f"p{number}").run()) for number in range(plan.producers)]
        consumers = [self.loop.begin(self._consume(number)) for number in range(plan.consumers)]
        if plan.operators:
            producers.append(self.loop.begin(operator.run()))
        watch = self.loop.begin(Watch(self).run())
        troubles = [self.loop.begin(trouble) for trouble in self._troubles()]
        await asyncio.sleep(plan.seconds)
        self.busy = False
        await _all(troubles)
        await _all(producers)
        for queue in QUEUES:
            await operator.resume(queue)
        self._clear_up()
        await asyncio.sleep(LULL)
        await operator.redrives_ended()
        await _all(self._also)
        self.open = False
        await _all(consumers)
        watch.cancel()
        await self._drain()
        await asyncio.sleep(plan.window / SECOND + FORGOTTEN)
        self._look_back()
        await self.server.stop()
        for said in self.loop.left():
            self.record.accuse(said)

    async def _begin(self) -> None:
        self.weather = CALM
        await self.server.start()
        life = self.server.life
        assert life is not None
        for queue in self.plan.queues():
            await self.loop.begin(life.application.broker.catalog.create(queue))
        self.numbers = {name: life.application.broker.catalog.get(name).number for name in QUEUES}
        self._become(self.plan.weather)

    def _troubles(self) -> list[Coroutine[Any, Any, Any]]:
        troubles: list[Coroutine[Any, Any, Any]] = [self._change_weather(), self._lose_handler()]
        if self.plan.kills or self.plan.stops:
            troubles.append(self._end_and_begin())
        if self.plan.steps:
            troubles.append(self._set_clock())
        return troubles

    async def _consume(self, number: int) -> None:
        """A consumer after the other: some die in the middle of what they do."""
        chance, count = self.plan.chance(f"deaths {number}"), 0
        while self.open:
            consumer = self.loop.begin(Consumer(self, f"c{number}.{count}").run())
            count += 1
            await asyncio.wait([consumer], timeout=chance.choice([3.0, 60.0]) * chance.random() if self.busy else None)
            consumer.cancel()
            await asyncio.gather(consumer, return_exceptions=True)
            if not consumer.cancelled() and consumer.exception() is not None:
                raise AssertionError("a client failed") from consumer.exception()

    def _become(self, weather: Weather) -> None:
        self.weather = weather
        if self.server.life is not None:
            self.server.life.store.weather = weather

    async def _change_weather(self) -> None:
        while self.busy:
            await asyncio.sleep(self._chance.uniform(0.5, 6))
            self._become(CALM if self._chance.random() < 0.4 else self.plan.weather)

    async def _lose_handler(self) -> None:
        while self.busy:
            await asyncio.sleep(self._chance.uniform(0.2, 3))
            if self._chance.random() < self.plan.weather.handler_away:
                self.handler_up = False
                for channel in self.handlers:
                    channel.lose()
                await asyncio.sleep(self._chance.choice([0.2, 7.0]) * self._chance.random())
                self._handler_returns()

    def _handler_returns(self) -> None:
        self.handler_up = True
        self.handler_back.set()
        self.handler_back = asyncio.Event()

    async def _end_and_begin(self) -> None:
        ends = [self.server.kill] * self.plan.kills + [self.server.stop] * self.plan.stops
        self._chance.shuffle(ends)
        for end in ends:
            await asyncio.sleep(self._chance.uniform(0, self.plan.seconds / len(ends)))
            await end()
            await asyncio.sleep(self._chance.choice([0.0, 0.1, 4.0]) * self._chance.random())
            await self.server.start()

    async def _set_clock(self) -> None:
        for _ in range(self.plan.steps):
            await asyncio.sleep(self._chance.uniform(0, self.plan.seconds / self.plan.steps))
            self.clock.step(self._chance.choice([-1, 1]) * self._chance.choice([SECOND, 10 * SECOND, 3 * MINUTE]))

    def _clear_up(self) -> None:
        self._become(CALM)
        if not self.handler_up:
            self._handler_returns()

    async def _drain(self) -> None:
        """Ack all there is, until there is nothing."""
        consumer = Consumer(self, "drain", kind=True)
        until = self.loop.elapsed + DRAINED * SECOND
        while self.loop.elapsed < until:
            for queue in (WORK, LOOSE, DEAD):
                while await consumer.turn(queue, 0):
                    pass
            if not any(each.ready_count + each.delayed_count + each.leased_count for each in self._stats().values()):
                return
            await asyncio.sleep(1)

    def _stats(self) -> dict[str, Any]:
        assert self.server.life is not None
        return stats_of(self.server.life, self.clock.now())

    def _look_back(self) -> None:
        life = self.server.life
        assert life is not None
        for said in (*counted(self._stats()), *remains(life)):
            self.record.accuse(said)


async def _all(tasks: list[SimulatedTask]) -> None:
    await asyncio.gather(*tasks)
