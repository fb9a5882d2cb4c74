"""A consumer that pulls: settles in every way there is, in time or late, repeats itself, and dies."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mesh.clock import SECOND
from mesh.errors import BatonError
from queue_service.app import QueueApplication
from queue_service.message import Delivery, Lease
from queue_service.pull import Pull
from queue_service.settlement import Ack, Action, LeaseOutcome, Reject, Release, Retry
from tests.support.history.event import What
from tests.support.simulation.messages import key_of
from tests.support.simulation.plan import DEAD, LOOSE, WORK
from tests.support.simulation.server import LostError, Work

if TYPE_CHECKING:
    from tests.support.simulation.world import World

#: Tries at a call that may be repeated.
TRIES = 5
# Of a hundred deliveries, how many get what; the rest are acked at once.
_LATE, _EXTENDED, _FORGOTTEN = 5, 10, 13
_ACTIONS = {"retry": 16, "release": 8, "reject": 5}


class Consumer:
    """Pulls from any queue that can be pulled; told to be kind it acks all of it."""

    def __init__(self, world: "World", name: str, *, kind: bool = False) -> None:
        self._world, self._name, self._kind = world, name, kind
        self._chance = world.plan.chance(f"consumer {name}")
        self._count = 0

    async def run(self) -> None:
        while self._world.open:
            await asyncio.sleep(self._chance.choice([0.0, 0.5]) * self._chance.random())
            await self.turn(self._chance.choices([WORK, LOOSE, DEAD], [6, 3, 1])[0])

    async def turn(self, queue: str, wait: int | None = None) -> int:
        """Pull once, and deal with what comes; how much that was."""
        self._count += 1
        if wait is None:
            wait = 20 * SECOND if self._world.plan.patient else self._chance.choice([0, SECOND, 20 * SECOND])
        visibility = self._chance.randrange(1, 6) * SECOND
        request_id = f"{self._name}.{self._count}" if self._chance.random() < 0.6 else ""
        pull = Pull(queue, self._chance.randrange(1, 6), 0, wait, visibility, self._name, request_id)
        leased = await self._pull(pull)
        for some in self._portions([self._delivered(queue, each) for each in leased]):
            await self._deal_with(queue, some)
        return len(leased)

    async def _pull(self, pull: Pull) -> Sequence[Delivery]:
        for _ in range(TRIES if pull.request_id else 1):
            try:
                return (
                    await self._world.server.call(lambda app: app.broker.pull(pull), wait=pull.max_wait / 1e6)
                ).deliveries
            except (LostError, BatonError):
                await asyncio.sleep(0.3 * self._chance.random())
        return ()

    def _portions(self, ids: list[str]) -> list[list[str]]:
        if self._chance.random() < 0.5:
            return [ids]
        return [[each] for each in ids]

    async def _deal_with(self, queue: str, ids: list[str]) -> None:
        draw = 100 if self._kind else self._chance.randrange(100)
        if draw < _LATE:
            await asyncio.sleep(self._chance.uniform(1, 12))
        elif draw < _EXTENDED and not self._world.plan.steps:
            await self._extend(queue, ids)
        elif draw < _FORGOTTEN:
            return
        else:
            await asyncio.sleep(self._chance.choice([0.0, 0.01, 0.8]) * self._chance.random())
        await self._settle(queue, [(lease_id, *self._action()) for lease_id in ids])

    def _action(self) -> tuple[str, Action]:
        """What is said of a delivery."""
        draw = 100 if self._kind else self._chance.randrange(100)
        for how, share in _ACTIONS.items():
            if 0 <= draw < share:
                delay = self._chance.choice([0, SECOND // 2, 3 * SECOND])
                if how == "retry":
                    return how, Retry(None if self._chance.random() < 0.4 else delay)
                return (how, Release(delay)) if how == "release" else (how, Reject("BAD"))
            draw -= share
        return "ack", Ack()

    async def _settle(self, queue: str, what: list[tuple[str, str, Action]]) -> None:
        note, now = self._world.record.note, self._world.clock.now()
        for lease_id, how, _ in what:
            note(What.SETTLING, queue=queue, lease_id=lease_id, how=how)
        actions = [(lease_id, action) for lease_id, _, action in what]
        for _ in range(TRIES):
            try:
                outcomes = await self._world.server.call(_settling(queue, actions))
            except (LostError, BatonError):
                if self._chance.random() < 0.4:
                    return  # nobody knows
                await asyncio.sleep(0.3 * self._chance.random())
                continue
            for (lease_id, _, action), outcome in zip(what, outcomes, strict=True):
                note(
                    What.SETTLED, queue=queue, lease_id=lease_id, how=outcome.name, until=self._not_before(now, action)
                )
            return

    def _not_before(self, now: int, action: Action) -> int:
        """When what was given back may come again; 0 where the clock is set, or a redrive may bring it earlier."""
        delay = action.delay if isinstance(action, Retry | Release) else None
        plan = self._world.plan
        return now + delay if delay and not plan.steps and not plan.operators else 0

    async def _extend(self, queue: str, ids: list[str]) -> None:
        """Ask for more time, and go on only when it was given."""
        note = self._world.record.note
        timeout = 8 * SECOND
        try:
            outcomes, until = await self._world.server.call(_extending(queue, ids, timeout))
        except (LostError, BatonError):
            return
        for lease_id, outcome in zip(ids, outcomes, strict=True):
            if outcome is LeaseOutcome.APPLIED:
                note(What.EXTENDED, queue=queue, lease_id=lease_id, until=until)
        await asyncio.sleep(self._chance.uniform(0, 9))

    def _delivered(self, queue: str, delivery: Delivery) -> str:
        lease_id = self._world.lease_ids.encode(self._world.numbers[queue], delivery.lease)
        message = delivery.message
        self._world.record.note(
            What.DELIVERED,
            key_of(message),
            queue=queue,
            message_id=message.message_id,
            lease_id=lease_id,
            until=delivery.lease_expire_time,
            ordering_key="" if message.dead_letter else message.ordering_key,
        )
        return lease_id


def _settling(queue: str, actions: list[tuple[str, Action]]) -> Work[tuple[LeaseOutcome, ...]]:
    async def settle(app: QueueApplication) -> tuple[LeaseOutcome, ...]:
        known = [(_decoded(app, queue, lease_id), action) for lease_id, action in actions]
        return await app.broker.settle(queue, known)

    return settle


def _extending(queue: str, lease_ids: list[str], timeout: int) -> Work[tuple[tuple[LeaseOutcome, ...], int]]:
    async def extend(app: QueueApplication) -> tuple[tuple[LeaseOutcome, ...], int]:
        return await app.broker.extend(queue, [_decoded(app, queue, lease_id) for lease_id in lease_ids], timeout)

    return extend


def _decoded(app: QueueApplication, queue: str, lease_id: str) -> Lease | None:
    return app.broker.lease_ids.decode(lease_id, app.broker.catalog.get(queue).number)
