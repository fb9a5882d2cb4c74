"""An operator: pauses, purges, cancels, changes queues and redrives dead letters while all of it is in use."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from mesh.clock import SECOND
from mesh.errors import BatonError
from queue_service.app import QueueApplication
from queue_service.queue_definition import Queue
from queue_service.redrive import RedriveState, RedriveTask
from queue_service.storage.views import EVERYTHING, Filter, Peeked
from tests.support.history.event import What
from tests.support.simulation.messages import key_of
from tests.support.simulation.plan import DEAD, LOOSE, PUSHED, WORK
from tests.support.simulation.server import LostError, Work

if TYPE_CHECKING:
    from tests.support.simulation.world import World

T = TypeVar("T")

QUEUES = (WORK, LOOSE, PUSHED, DEAD)


class Operator:
    """Does something every now and then."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._chance = world.plan.chance("operator")

    async def run(self) -> None:
        deeds = [self._pause, self._purge, self._cancel, self._update, self._redrive, self._look]
        while self._world.busy:
            await asyncio.sleep(self._chance.uniform(0.1, 3))
            deed = self._chance.choices(deeds, [2, 2, 3, 2, 5, 1])[0]
            await deed(self._chance.choice(QUEUES))

    async def _pause(self, queue: str) -> None:
        ttl = self._chance.choice([None, SECOND, 4 * SECOND])
        await self._ask(lambda app: app.broker.backlog.pause(queue, "why", ttl))
        await asyncio.sleep(self._chance.uniform(0, 3))
        if ttl is None:
            await self.resume(queue)

    async def resume(self, queue: str) -> None:
        """Resume until it is done: what is not paused is left alone, for a change wakes everybody who waits."""
        while await self._ask(_resuming(queue)) is None:  # noqa: ASYNC110 - it asks a server
            await asyncio.sleep(0.5)

    async def _purge(self, queue: str) -> None:
        """Now and then all of it, which may be any message that was sent by then."""
        some = await self._some(queue)
        everything = self._chance.random() < 0.15
        wanted = EVERYTHING if everything else Filter(message_ids=frozenset(each.message.message_id for each in some))
        keys = self._world.record.stored() if everything else [key_of(each.message) for each in some]
        if not everything and not some:
            return
        for key in keys:
            self._world.record.note(What.ENDING, key, how="purge")
        await self._ask(lambda app: app.broker.backlog.purge(queue, wanted, force=True))
        if everything:
            for key in self._world.record.stored():  # what was sent while it was under way
                self._world.record.note(What.ENDING, key, how="purge")

    async def _cancel(self, queue: str) -> None:
        for each in (await self._some(queue))[:1]:
            key, message_id = key_of(each.message), each.message.message_id
            self._world.record.note(What.ENDING, key, how="cancel")
            answer = await self._ask(_cancelling(queue, message_id))
            if answer is not None:
                self._world.record.note(What.ENDED, key, how="cancel")

    async def _update(self, queue: str) -> None:
        retries, visibility = self._chance.randrange(4), self._chance.randrange(1, 6) * SECOND

        def change(current: Queue | None) -> Queue:
            assert current is not None
            policy = replace(current.consumer.retry_policy, max_retries=retries)
            consumer = replace(current.consumer, retry_policy=policy, visibility_timeout=visibility)
            return replace(current, consumer=consumer)

        await self._ask(lambda app: app.broker.catalog.update(queue, change))

    async def _redrive(self, _: str) -> None:
        rate = self._chance.choice([0.0, 1.0, 5.0])
        where = self._chance.choice(["", LOOSE])
        wanted = RedriveTask("", DEAD, where, frozenset(), frozenset(), rate, 0, 0)
        task = await self._ask(lambda app: app._redriver.create(wanted))
        if task is not None and self._chance.random() < 0.6:
            await asyncio.sleep(self._chance.random())
            await self._ask(lambda app: app._redriver.cancel(task.redrive_task_id))

    async def _look(self, queue: str) -> None:
        await self._ask(lambda app: app.broker.backlog.stats(queue))
        await self._some(queue)

    async def _some(self, queue: str) -> tuple[Peeked, ...]:
        most = self._chance.randrange(1, 4)
        found = await self._ask(lambda app: app.broker.backlog.peek(queue, EVERYTHING, most, None))
        return () if found is None else found[0]

    async def redrives_ended(self) -> None:
        """Wait until no redrive is running."""
        while not await self._ask(_redrives_ended):  # noqa: ASYNC110 - it asks a server
            await asyncio.sleep(0.5)

    async def _ask(self, work: Work[T]) -> T | None:
        try:
            return await self._world.server.call(work)
        except (LostError, BatonError):
            return None


def _cancelling(queue: str, message_id: str) -> Work[bool]:
    async def cancel(app: QueueApplication) -> bool:
        await app.broker.backlog.cancel(queue, message_id)
        return True

    return cancel


def _resuming(queue: str) -> Work[Queue]:
    async def resume(app: QueueApplication) -> Queue:
        known = app.broker.catalog.get(queue)
        return known if known.pause is None else await app.broker.backlog.resume(queue)

    return resume


async def _redrives_ended(app: QueueApplication) -> bool:
    return not any(task.state is RedriveState.RUNNING for task in app._redriver.page("", "", 1000)[0])
