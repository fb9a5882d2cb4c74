"""The one thread that uses the store: what arrives while a commit is under way is committed together by the next.

On a disk whose flush takes milliseconds this group commit is the whole of the broker's speed, and nobody waits longer
for it than for a commit of its own.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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

FollowUp = Callable[[R], None]
_Work = tuple[Verb[Any] | None, "asyncio.Future[Any]", FollowUp[Any] | None]


@dataclass(frozen=True, slots=True)
class Definitions:
    """Queues and redrive tasks as the store has them, and their version; 0 where nobody else changes them."""

    version: int
    queues: Mapping[str, Queue]
    redrive_tasks: Mapping[str, RedriveTask]


class Writer:
    """Executes verbs on a store, from the event loop it is made in."""

    def __init__(self, store: MessageStore) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._submitted: list[_Work] = []
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._closed = False
        self._listeners: list[Callable[[Definitions], None]] = []
        self._troubles: list[Callable[[], None]] = []
        self._version = self._told = store.version
        self._begin()

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name="store writer", daemon=True)
        self._thread.start()

    @property
    def definitions(self) -> Definitions:
        """What the store has; to be read before the first verb."""
        return Definitions(self._store.version, self._store.queues, self._store.redrive_tasks)

    @property
    def version(self) -> int:
        """That of what the listeners were told last."""
        return self._told

    def listen(self, listener: Callable[[Definitions], None]) -> None:
        """Be told what the store has when its version moved, before anybody is answered."""
        self._listeners.append(listener)

    async def refresh(self) -> None:
        """See what others changed; raises Unavailable, when the storage fails."""
        await self._submit(None, None)

    def listen_for_trouble(self, listener: Callable[[], None]) -> None:
        """Be told whenever the storage failed: some of what it was asked may be stored all the same."""
        self._troubles.append(listener)

    async def execute(self, verb: Verb[R], follow_up: FollowUp[R] | None = None) -> R:
        """The verb's result, once it is durable.

        A caller that is cancelled stops waiting; the verb happens all the same, and so does ``follow_up``, which is
        given the result before the caller is.

        Raises:
            BatonError: the verb was refused, or the storage failed; nothing follows then.
        """
        return await self.submit(verb, follow_up)

    def submit(self, verb: Verb[R], follow_up: FollowUp[R] | None = None) -> "asyncio.Future[R]":
        """Hand a verb over; verbs are executed in the order in which they are submitted.

        Those of one turn of the event loop, and of the tasks that these woke, are handed over together.
        """
        return self._submit(verb, follow_up)

    def _submit(self, verb: Verb[R] | None, follow_up: FollowUp[R] | None) -> "asyncio.Future[R]":
        future: asyncio.Future[R] = self._loop.create_future()
        if self._closed:
            future.set_exception(Unavailable("DRAINING", "the broker is stopping"))
        else:
            if not self._submitted:
                self._loop.call_soon(self._hand_over)
            self._submitted.append((verb, future, follow_up))
        return future

    def _hand_over(self) -> None:
        for work in self._submitted:
            self._work.put(work)
        self._submitted.clear()

    async def finish(self) -> None:
        """Finish what was submitted and take nothing more. Safe twice."""
        if not self._closed:
            self._closed = True
            self._hand_over()
            self._work.put(None)
        await asyncio.to_thread(self._thread.join)

    async def close(self) -> None:
        """Finish what was submitted and close the store. Safe twice."""
        await self.finish()
        self._store.close()

    def _run(self) -> None:
        while self._work_off():
            pass

    def _work_off(self) -> bool:
        """Wait for work, do it, and let go of it: it can be megabytes. Whether there may be more."""
        first = self._work.get()
        if first is None:
            return False
        group, results, last = self._commit(first)
        self._loop.call_soon_threadsafe(self._tell, group, results, self._moved())
        return not last

    def _commit(self, first: _Work) -> tuple[list[_Work], list[Any], bool]:
        """Do what is there by now: the work, its results, and whether it was the last."""
        group, last = self._gather(first)
        return group, self._apply([verb for verb, _, _ in group]), last

    def _moved(self) -> Definitions | None:
        """What the store has, if its version moved."""
        moved = self.definitions if self._store.version != self._version else None
        self._version = self._store.version
        return moved

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

    def _tell(self, group: Sequence[_Work], results: Sequence[Any], moved: Definitions | None) -> None:
        if moved is not None:
            self._told = moved.version
            _call_all(self._listeners, moved)
        _resolve(group, results)
        if any(isinstance(result, Unavailable) for result in results):
            _call_all(self._troubles)

    def _apply(self, verbs: list[Verb[Any] | None]) -> list[Any]:
        """The results of a group, with None for what only wanted to see what others changed."""
        try:
            done = iter(self._store.apply([verb for verb in verbs if verb is not None]))
        except BatonError as error:
            log.error("the storage failed", action="storage_failed", reason=error.reason, exc_info=error.__cause__)
            return [error] * len(verbs)
        except Exception as error:  # the thread must outlive a fault of ours; the callers are told
            log.error("the store failed in a way nobody foresaw", action="store_failed", exc_info=error)
            return [error] * len(verbs)
        return [None if verb is None else next(done) for verb in verbs]


def _call_all(listeners: Sequence[Callable[..., None]], *arguments: Any) -> None:
    for listener in listeners:
        try:
            listener(*arguments)
        except Exception as error:  # of whatever kind: callers wait for their answers behind this
            log.error("a listener failed", action="listener_failed", exc_info=error)


def _resolve(group: Sequence[_Work], results: Sequence[Any]) -> None:
    for (_, future, follow_up), result in zip(group, results, strict=True):
        answer = _followed_up(result, follow_up)
        if future.done():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)


def _followed_up(result: Any, follow_up: FollowUp[Any] | None) -> Any:
    """The result, or in its place what went wrong behind it: that must not keep the others from their answers."""
    if follow_up is None or isinstance(result, Exception):
        return result
    try:
        follow_up(result)
    except Exception as error:  # of whatever kind; the caller, if there still is one, is told
        log.error("a change was stored but not followed up", action="follow_up_failed", exc_info=error)
        return error
    return result
