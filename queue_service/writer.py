"""The one thread that uses the store: what arrives while a commit is under way is committed together by the next.

On a disk whose flush takes milliseconds this group commit is the whole of the broker's speed, and nobody waits longer
for it than for a commit of its own.
"""

import asyncio
import queue
import threading
from collections.abc import Mapping
from typing import Any, TypeVar

from mesh.errors import BatonError, Unavailable
from mesh.telemetry import get_logger
from queue_service.queue_definition import Queue
from queue_service.redrive import RedriveTask
from queue_service.storage.base import MessageStore
from queue_service.storage.verbs import Verb

log = get_logger(__name__)

R = TypeVar("R")

#: Verbs of one commit at most, so that the first of them is not kept waiting for ever.
MAX_GROUP = 256

_Work = tuple[Verb[Any], "asyncio.Future[Any]"]


class Writer:
    """Executes verbs on a store, from the event loop it is made in."""

    def __init__(self, store: MessageStore) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store writer", daemon=True)
        self._thread.start()

    @property
    def queues(self) -> Mapping[str, Queue]:
        """Every queue, by its name, as the store has it; to be read before the first verb."""
        return self._store.queues

    @property
    def redrive_tasks(self) -> Mapping[str, RedriveTask]:
        """Every redrive task, by its id, as the store has it; to be read before the first verb."""
        return self._store.redrive_tasks

    async def execute(self, verb: Verb[R]) -> R:
        """The verb's result, once it is durable.

        A caller that is cancelled stops waiting; the verb happens all the same.

        Raises:
            BatonError: the verb was refused, or the storage failed.
        """
        return await self.submit(verb)

    def submit(self, verb: Verb[R]) -> "asyncio.Future[R]":
        """Hand a verb over now; verbs are executed in the order in which they are submitted."""
        future: asyncio.Future[R] = self._loop.create_future()
        if self._closed:
            future.set_exception(Unavailable("DRAINING", "the broker is stopping"))
        else:
            self._work.put((verb, future))
        return future

    async def close(self) -> None:
        """Finish what was submitted and close the store. Safe twice."""
        if not self._closed:
            self._closed = True
            self._work.put(None)
        await asyncio.to_thread(self._thread.join)
        self._store.close()

    def _run(self) -> None:
        while (first := self._work.get()) is not None:
            group, last = self._gather(first)
            results = self._apply([verb for verb, _ in group])
            self._loop.call_soon_threadsafe(_resolve, [future for _, future in group], results)
            if last:
                return

    def _gather(self, first: _Work) -> tuple[list[_Work], bool]:
        group = [first]
        while len(group) < MAX_GROUP:
            try:
                work = self._work.get_nowait()
            except queue.Empty:
                break
            if work is None:
                return group, True
            group.append(work)
        return group, False

    def _apply(self, verbs: list[Verb[Any]]) -> list[Any]:
        try:
            return self._store.apply(verbs)
        except BatonError as error:
            log.error("the storage failed", action="storage_failed", reason=error.reason, exc_info=error.__cause__)
            return [error] * len(verbs)
        except Exception as error:  # the thread must outlive a fault of ours; the callers are told
            log.error("the store failed in a way nobody foresaw", action="store_failed", exc_info=error)
            return [error] * len(verbs)


def _resolve(futures: list["asyncio.Future[Any]"], results: list[Any]) -> None:
    for future, result in zip(futures, results, strict=True):
        if future.done():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
