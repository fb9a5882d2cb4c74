"""Work that outlives the call it was begun for, so that neither the call's deadline nor its end may bind it."""

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any, TypeVar

from mesh.deadline import detached

T = TypeVar("T")


class TaskSet:
    """Keeps hold of tasks until they end: the event loop alone would not."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Let ``work`` run by itself, still under the request id of the call it is for."""
        with detached():
            task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def finish(self, seconds: float) -> int:
        """Wait until all is done, what is begun meanwhile too, but no longer than told; how many tasks are left."""
        try:
            async with asyncio.timeout(seconds):
                while self._tasks:
                    await asyncio.wait(set(self._tasks))
        except TimeoutError:
            pass
        return len(self._tasks)

    async def cancel(self) -> None:
        """End what still runs; safe when nothing does."""
        left = set(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def begin_loop(loop: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
    """Run what belongs to no call at all, whichever call made it start: nothing of that call's context comes along."""
    return asyncio.create_task(loop, name=name, context=contextvars.Context())
