"""The pushers of all pushed queues, kept in step with the catalog."""

import asyncio

from mesh.clock import Clock
from mesh.field_rules import FieldRules
from mesh.identifier import Identifiers
from mesh.task_set import TaskSet
from queue_service.broker import Broker
from queue_service.nodes.duties import Duties
from queue_service.push.pusher import Pusher
from queue_service.queue_definition import Queue
from queue_service.queue_encoding import PushHealth


class Pushers:
    """One pusher for each pushed queue, replaced when what it goes by changes; calls in flight then go on.

    Args:
        broker: where messages come from.
        rules: the field rules of targets' answers.
        clock: the time.
        identifiers: of calls.
        duties: which queues are this process's to push.
    """

    def __init__(
        self,
        broker: Broker,
        rules: FieldRules,
        clock: Clock,
        identifiers: Identifiers,
        duties: Duties | None = None,
    ) -> None:
        self._duties = duties or Duties()
        self._broker, self._rules, self._clock, self._identifiers = broker, rules, clock, identifiers
        self._pushers: dict[str, Pusher] = {}
        self._retired: set[Pusher] = set()
        self._retiring = TaskSet()
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
        pushers, self._pushers = (*self._pushers.values(), *self._retired), {}
        await asyncio.gather(*(pusher.stop(grace) for pusher in pushers))
        await self._retiring.cancel()

    def health(self, queue_name: str) -> PushHealth | None:
        """The state of a queue's target; None for a queue that is not pushed."""
        pusher = self._pushers.get(queue_name)
        return pusher.health if pusher is not None else None

    def _queue_changed(self, before: Queue | None, after: Queue | None) -> None:
        if not self._running or (before and after and _pushed_alike(before, after)):
            return
        if before is not None:
            self._duties.drop(_duty(before))
            if (pusher := self._pushers.pop(before.name, None)) is not None:
                self._retired.add(pusher)
                self._retiring.begin(self._retire(pusher))
        if after is not None:
            self._begin(after)

    async def _retire(self, pusher: Pusher) -> None:
        await pusher.retire()
        self._retired.discard(pusher)

    def _begin(self, queue: Queue) -> None:
        if queue.consumer.push is not None:
            self._duties.take_on(
                _duty(queue), lambda: self._push(queue), lambda at_once: self._end(queue.name, at_once)
            )

    def _push(self, queue: Queue) -> None:
        if (push := queue.consumer.push) is not None and self._running:
            parts = (self._broker, self._rules, self._clock, self._identifiers, self._duties.certain)
            self._pushers[queue.name] = Pusher(queue, push, *parts)

    async def _end(self, queue_name: str, at_once: bool) -> None:
        if (pusher := self._pushers.pop(queue_name, None)) is not None:
            self._retired.add(pusher)
            await (pusher.stop(0) if at_once else pusher.retire())
            self._retired.discard(pusher)


def _duty(queue: Queue) -> str:
    return f"push {queue.number}"


def _pushed_alike(before: Queue, after: Queue) -> bool:
    """Whether a change, such as a pause or another retry policy, is none to the push of a queue."""

    def goes_by(queue: Queue) -> tuple[object, ...]:
        it = queue.consumer
        waits = (it.max_batch_size, it.max_batch_timeout, it.visibility_timeout)
        return (queue.number, it.push, it.max_concurrency, *waits)

    return goes_by(before) == goes_by(after)
