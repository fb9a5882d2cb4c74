"""A whole broker without a network, on a loop of its own, which answers and then comes to rest before anybody looks."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from mesh.errors import BatonError
from queue_service.app import QueueApplication
from queue_service.broker import Broker
from queue_service.redriver import Redriver
from queue_service.storage.base import MessageStore
from tests.support.fake_clock import START, FakeClock, FakeTimer

T = TypeVar("T")

# Seconds until a broker that never comes to rest is a failure.
WITHIN = 10.0


class LateClock(FakeClock):
    """A clock whose timers can be late, as on a machine that was suspended."""

    def __init__(self, start: int = START) -> None:
        super().__init__(start)
        self._expected: dict[int, asyncio.Event] = {}

    def pass_unnoticed(self, microseconds: int) -> None:
        """Let time pass and fire nothing; the next `turn` does."""
        self._now += microseconds

    def call_at(self, when: int, callback: Callable[[], None]) -> FakeTimer:
        timer = super().call_at(when, callback)
        if when in self._expected:
            self._expected[when].set()
        return timer

    async def asked_for(self, when: int) -> None:
        """Wait until somebody asks to be called at that instant."""
        asked = self._expected[when] = asyncio.Event()
        await asked.wait()

    def next_at(self) -> int | None:
        """When the next timer is due."""
        return min((when for when, _, timer in self._timers if timer.callback is not None), default=None)


class QuietBroker:
    def __init__(self, open_store: Callable[[], MessageStore]) -> None:
        self.clock = LateClock()
        self._open_store = open_store
        self._loop = asyncio.new_event_loop()
        self._begin()

    @property
    def core(self) -> Broker:
        return self.application.broker

    @property
    def redriver(self) -> Redriver:
        return self.application._redriver

    def ask(self, *calls: Coroutine[Any, Any, Any]) -> list[Any]:
        """The answers of calls made at the same moment, in that order, or their refusals; nothing rests yet."""
        return self._loop.run_until_complete(_together(*calls))

    def rest(self) -> None:
        """Let everything that the broker began by itself end."""
        self._loop.run_until_complete(_rest())

    def turn(self, microseconds: int) -> None:
        """Let time pass in one leap, and the broker come to rest."""
        self._loop.run_until_complete(self._turn(microseconds))

    def ask_and_turn(self, call: Coroutine[Any, Any, Any], when: int, microseconds: int) -> Any:
        """The answer of a call that waits until ``when`` at the latest, while time passes in one leap."""
        return self._loop.run_until_complete(self._ask_and_turn(call, when, microseconds))

    def pass_by(self, microseconds: int) -> None:
        """Let time pass from timer to timer, the broker at rest after each."""
        end = self.clock.now() + microseconds
        while (at := self.clock.next_at()) is not None and at <= end:
            self.turn(max(0, at - self.clock.now()))
        self.turn(end - self.clock.now())

    def restart(self, away: int, *, drain: bool) -> None:
        """Close the broker, let time pass, and start another one on what is stored."""
        self._end(drain=drain)
        self.clock = LateClock(self.clock.now() + away)
        self._begin()

    def close(self) -> None:
        self._end(drain=False)
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def _begin(self) -> None:
        self._loop.run_until_complete(self._start())

    async def _start(self) -> None:
        self.application = QueueApplication(self._open_store(), (), self.clock, push_grace=0)
        await self.application.start()
        await _rest()

    def _end(self, *, drain: bool) -> None:
        self._loop.run_until_complete(_end(self.application, drain=drain))

    async def _ask_and_turn(self, call: Coroutine[Any, Any, Any], when: int, microseconds: int) -> Any:
        async with asyncio.timeout(WITHIN):
            asked, answer = asyncio.ensure_future(self.clock.asked_for(when)), asyncio.ensure_future(call)
            await asyncio.wait([answer, asked], return_when=asyncio.FIRST_COMPLETED)
            (queue,), _ = self.core.catalog.page("", 1)
            await self.core.backlog.stats(queue.name)  # answered behind the call's own look, which was in vain
            await asyncio.sleep(0)
            assert not answer.done(), f"a call that should wait answered {answer.result()}"
            self.clock.turn(microseconds)
            return await answer

    async def _turn(self, microseconds: int) -> None:
        self.clock.turn(microseconds)
        await _rest()


async def _together(*calls: Coroutine[Any, Any, Any]) -> list[Any]:
    async with asyncio.timeout(WITHIN):
        answers = await asyncio.gather(*calls, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, BatonError):
            raise answer
    return answers


async def _rest() -> None:
    """Until no task but this one is left, and what the last one called for soon has begun no other."""
    async with asyncio.timeout(WITHIN):
        await asyncio.sleep(0)
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
            await asyncio.sleep(0)


async def _end(application: QueueApplication, *, drain: bool) -> None:
    if drain:
        await application.drain()
    await application.close()
