"""The writer without its thread: the same groups and order, with commits and answers as slow as the seed says."""

import asyncio
import queue
from collections import deque
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from queue_service.storage.verbs import Verb
from queue_service.writer import FollowUp, Writer
from tests.support.simulation.store import SimulatedStore

if TYPE_CHECKING:
    from queue_service.writer import _Work

R = TypeVar("R")


class SimulatedWriter(Writer):
    """Commits when its time has come, and answers later, in the order of the commits.

    While a commit is under way and between two of them work gathers, so the seed decides the groups too.
    """

    def __init__(self, store: SimulatedStore, chance: Random) -> None:
        self._disk, self._chance = store, chance
        self._busy = self._dead = False
        self._finished = asyncio.Event()
        self._answers: deque[tuple[list[_Work], Sequence[Any]]] = deque()
        self._answered_at = 0.0
        super().__init__(store)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._busy and not self._answers

    def submit(self, verb: Verb[R], follow_up: FollowUp[R] | None = None) -> "asyncio.Future[R]":
        if self._dead:
            gone: asyncio.Future[R] = self._loop.create_future()
            gone.cancel()
            return gone
        return super().submit(verb, follow_up)

    def _hand_over(self) -> None:
        super()._hand_over()
        self._stir()

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._hand_over()
            self._work.put(None)
            self._stir()
        await self._finished.wait()
        self._store.close()

    def kill(self) -> None:
        """What was not committed is gone, and nobody hears what was."""
        self._dead = True
        self._store.close()

    def _begin(self) -> None:
        """The loop is the thread."""

    def _stir(self) -> None:
        if not self._busy:
            self._busy = True
            self._loop.call_later(self._wait(self._disk.weather.commit), self._turn)

    def _turn(self) -> None:
        if self._dead:
            return
        try:
            first = self._work.get_nowait()
        except queue.Empty:
            self._busy = False
            return
        if first is None:
            self._end()
            return
        group, results, last = self._commit(first)
        self._answers.append((group, results))
        self._answered_at = max(self._answered_at, self._loop.time() + self._wait(self._disk.weather.late))
        self._loop.call_at(self._answered_at, self._answer)
        if last:
            self._end()
        else:
            self._loop.call_later(self._wait(self._disk.weather.commit), self._turn)

    def _end(self) -> None:
        self._busy = False
        self._loop.call_at(self._answered_at, self._finish)

    def _finish(self) -> None:
        if self._answers:
            self._loop.call_soon(self._finish)
        else:
            self._finished.set()

    def _answer(self) -> None:
        if not self._dead:
            self._tell(*self._answers.popleft())

    def _wait(self, most: float) -> float:
        return self._chance.uniform(0, most) if most and self._chance.random() < 0.8 else 0.0
