"""The queues there are: kept in memory to be looked up, changed one at a time, stored before a change is answered."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from mesh.clock import Clock
from mesh.task_set import TaskSet
from mesh.telemetry import get_logger
from queue_service.errors import (
    CatalogMoved,
    DeadLetterCycle,
    DeadLetterQueueInUse,
    EtagMismatch,
    QueueExists,
    QueueNotFound,
)
from queue_service.queue_definition import Pause, Queue, settable
from queue_service.storage.verbs import DeleteQueue, SaveQueues
from queue_service.writer import Definitions, Writer

log = get_logger(__name__)

T = TypeVar("T")

#: Times that a change is decided anew because another node was quicker.
TRIES = 20

#: Waits until whoever else uses the store goes by a version of it.
Spread = Callable[[int], Awaitable[None]]
#: Told of each change: the queue as it was and as it is; None where there was or is none.
Listener = Callable[[Queue | None, Queue | None], None]


class Catalog:
    """All queues by name.

    Args:
        writer: the way to the store.
        clock: the time.
        spread: waits until whoever else uses the store goes by a version of it.
    """

    def __init__(self, writer: Writer, clock: Clock, spread: Spread | None = None) -> None:
        self._writer, self._clock, self._spread = writer, clock, spread
        self._queues: dict[str, Queue] = {}
        self._version = 0
        self._changing = asyncio.Lock()
        self._changes = TaskSet()
        self._listeners: list[Listener] = []

    def load(self) -> None:
        """Take over what the store has, now and whenever another node changed it."""
        self._take_over(self._writer.definitions)
        self._writer.listen(self._take_over)

    def listen(self, listener: Listener) -> None:
        """Be told of every change from now on."""
        self._listeners.append(listener)

    def get(self, name: str) -> Queue:
        """The queue of that name; raises QueueNotFound."""
        if name not in self._queues:
            raise QueueNotFound(name)
        return self._queues[name]

    def page(self, after: str, size: int) -> tuple[list[Queue], str]:
        """Queues by name, beyond ``after``, and the name to go on from; empty at the end."""
        names = sorted(name for name in self._queues if name > after)
        page = [self._queues[name] for name in names[:size]]
        return page, (names[size - 1] if len(names) > size else "")

    async def create(self, queue: Queue, *, validate_only: bool = False) -> Queue:
        """Make a queue, and its dead letter queue where that is missing.

        Raises:
            QueueExists, DeadLetterCycle
        """
        return await self._change(lambda: self._create(queue, validate_only=validate_only))

    async def _create(self, queue: Queue, *, validate_only: bool) -> Queue:
        if queue.name in self._queues:
            raise QueueExists(queue.name)
        return (await self._save([queue], validate_only=validate_only))[0]

    async def update(
        self, name: str, change: Callable[[Queue | None], Queue], *, etag: str = "", validate_only: bool = False
    ) -> Queue:
        """Replace a queue by what ``change`` makes of it; it is given None when there is none.

        Raises:
            EtagMismatch, DeadLetterCycle, and whatever ``change`` raises.
        """
        return await self._change(lambda: self._update(name, change, etag, validate_only=validate_only))

    async def _update(
        self, name: str, change: Callable[[Queue | None], Queue], etag: str, *, validate_only: bool
    ) -> Queue:
        current = self._queues.get(name)
        if etag and (current is None or etag != current.etag):
            raise EtagMismatch(name, etag, current.etag if current is not None else "none")
        wanted = change(current)
        if current is not None and settable(wanted) == settable(current):
            return current
        return (await self._save([wanted], validate_only=validate_only))[0]

    async def set_pause(self, name: str, pause: Pause | None) -> Queue:
        """Stop or resume the delivery of a queue; raises QueueNotFound."""
        return await self._change(lambda: self._set_pause(name, pause))

    async def _set_pause(self, name: str, pause: Pause | None) -> Queue:
        before = self.get(name)
        (after,) = await self._writer.execute(SaveQueues((replace(before, pause=pause),), self._version))
        self._learn(name, after)
        said = "queue paused" if pause else "queue resumed"
        log.info(said, action=said.replace(" ", "_"), queue=name)
        return after

    async def delete(self, name: str, *, etag: str = "", force: bool = False) -> None:
        """Delete a queue.

        Raises:
            QueueNotFound, EtagMismatch, DeadLetterQueueInUse, QueueNotEmpty
        """
        await self._change(lambda: self._delete(name, etag, force=force))

    async def _delete(self, name: str, etag: str, *, force: bool) -> None:
        queue = self.get(name)
        if etag and etag != queue.etag:
            raise EtagMismatch(name, etag, queue.etag)
        for other in self._queues.values():
            if other.consumer.dead_letter_queue == name:
                raise DeadLetterQueueInUse(name, other.name)
        await self._writer.execute(DeleteQueue(name, force, self._version))
        self._learn(name, None)
        log.info("queue deleted", action="queue_deleted", queue=name)

    async def declare(self, queues: Sequence[Queue]) -> None:
        """Make queues as declared, all or none; what had been made different at run time is logged and undone.

        Raises:
            DeadLetterCycle
        """
        for queue in queues:
            self._log_difference(queue)
        await self._change(lambda: self._save([queue for queue in queues if not self._same(queue)]))

    async def _change(self, change: Callable[[], Awaitable[T]]) -> T:
        """Make one change at a time, to its end even if its caller goes: else the store would have it and we not."""

        async def alone() -> T:
            async with self._changing:
                return await self._decided(change)

        return await asyncio.shield(self._changes.begin(alone()))

    async def _decided(self, change: Callable[[], Awaitable[T]]) -> T:
        """Decide by the newest queues, again where another node changed one meanwhile, and let all nodes know."""
        for _ in range(TRIES):
            version = self._version
            try:
                done = await change()
            except CatalogMoved:  # what moved it has been taken over before this was told
                continue
            if self._spread is not None and self._version != version:
                await self._spread(self._version)
            return done
        raise CatalogMoved

    def _take_over(self, found: Definitions) -> None:
        self._version = found.version
        for name in self._queues.keys() - found.queues.keys():
            self._learn(name, None)
        for name, queue in found.queues.items():
            known = self._queues.get(name)
            if known is not None and known.number != queue.number:
                self._learn(name, None)
            self._learn(name, queue)

    def _learn(self, name: str, after: Queue | None) -> None:
        """Know a queue as it is now; the listeners are told if it was not known so."""
        before = self._queues.pop(name, None)
        if after is not None:
            self._queues[name] = after
        if before != after:
            self._tell(before, after)

    def _same(self, queue: Queue) -> bool:
        current = self._queues.get(queue.name)
        return current is not None and settable(current) == settable(queue)

    def _log_difference(self, queue: Queue) -> None:
        current = self._queues.get(queue.name)
        if current is None or self._same(queue):
            return
        stored, declared = settable(current), settable(queue)
        changes = {key: f"{stored[key]} -> {declared[key]}" for key in declared if stored[key] != declared[key]}
        log.warning("a queue differs from its declaration", action="queue_redeclared", queue=queue.name, **changes)

    async def _save(self, wanted: Sequence[Queue], *, validate_only: bool = False) -> tuple[Queue, ...]:
        queues = [self._stamped(queue) for queue in wanted]
        known = self._queues | {queue.name: queue for queue in queues}
        for queue in queues:
            _refuse_cycle(queue, known)
        named = {queue.consumer.dead_letter_queue for queue in queues} - known.keys() - {""}
        dead = [self._stamped(Queue(name)) for name in sorted(named)]
        if validate_only or not queues:
            return tuple(queues)
        new = {queue.name for queue in (*queues, *dead)} - self._queues.keys()
        saved = await self._writer.execute(SaveQueues((*queues, *dead), self._version))
        for queue in saved:
            self._learn(queue.name, queue)
            log.info("queue saved", action="queue_created" if queue.name in new else "queue_saved", queue=queue.name)
        return saved[: len(queues)]

    def _stamped(self, queue: Queue) -> Queue:
        current, now = self._queues.get(queue.name), self._clock.now()
        if current is None:
            return replace(queue, create_time=now, update_time=now)
        return replace(queue, create_time=current.create_time, update_time=now, pause=current.pause)

    def _tell(self, before: Queue | None, after: Queue | None) -> None:
        for listener in self._listeners:
            listener(before, after)


def _refuse_cycle(queue: Queue, known: dict[str, Queue]) -> None:
    path = [queue.name]
    while (name := known[path[-1]].consumer.dead_letter_queue) and name in known:
        path.append(name)
        if name in path[:-1]:
            raise DeadLetterCycle(tuple(path))
