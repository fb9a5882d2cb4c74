"""The pushers of all pushed queues, kept in step with the catalog."""

import asyncio

from mesh.clock import Clock
from mesh.identifier import Identifiers
from mesh.task_set import TaskSet
from queue_service.broker import Broker
from queue_service.push.pusher import Pusher
from queue_service.queue_definition import Queue
from queue_service.queue_encoding import PushHealth

#: Seconds that calls in flight get when a queue's settings change under them.
CHANGE_GRACE = 1.0


class Pushers:
    """One pusher for each pushed queue, replaced when the queue changes."""

    def __init__(self, broker: Broker, clock: Clock, identifiers: Identifiers) -> None:
        self._broker, self._clock, self._identifiers = broker, clock, identifiers
        self._pushers: dict[str, Pusher] = {}
        self._stopping = TaskSet()
        self._running = False
        broker.catalog.listen(self._queue_changed)

    def start(self) -> None:
        """Begin to push every queue that has a target."""
        self._running = True
        for queue in self._broker.catalog.page("", 1 << 30)[0]:
            self._begin(queue)

    async def stop(self, grace: float) -> None:
        """Stop all; see `Pusher.stop`."""
        self._running = False
        pushers, self._pushers = list(self._pushers.values()), {}
        await asyncio.gather(*(pusher.stop(grace) for pusher in pushers))
        await self._stopping.finish(2 * CHANGE_GRACE)
        await self._stopping.cancel()

    def health(self, queue_name: str) -> PushHealth | None:
        """The state of a queue's target; None for a queue that is not pushed."""
        pusher = self._pushers.get(queue_name)
        return pusher.health if pusher is not None else None

    def _queue_changed(self, before: Queue | None, after: Queue | None) -> None:
        if not self._running or (before and after and _pushed_alike(before, after)):
            return
        if before is not None and (pusher := self._pushers.pop(before.name, None)) is not None:
            self._stopping.begin(pusher.stop(CHANGE_GRACE))
        if after is not None:
            self._begin(after)

    def _begin(self, queue: Queue) -> None:
        if (target := queue.consumer.push) is not None:
            pusher = Pusher(queue, target, self._broker, self._clock, self._identifiers)
            self._pushers[queue.name] = pusher


def _pushed_alike(before: Queue, after: Queue) -> bool:
    """Whether a change of the queue, such as a pause, is none to its push: calls in flight then go on."""
    return before.consumer == after.consumer and before.number == after.number
