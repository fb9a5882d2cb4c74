"""A producer: sends in every way there is, and repeats what it may repeat."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mesh.clock import SECOND
from mesh.errors import BatonError
from queue_service.message import NewMessage
from queue_service.storage.verbs import SendResult
from tests.support.history.event import What
from tests.support.simulation.messages import new_message
from tests.support.simulation.plan import LOOSE, PUSHED, WORK
from tests.support.simulation.server import LostError

if TYPE_CHECKING:
    from tests.support.simulation.world import World

#: Tries at a send that may be repeated; then nobody knows.
TRIES = 6
#: Reasons that say that nothing was stored.
REFUSALS = frozenset({"BACKLOG_FULL", "DRAINING"})
# Of a hundred sends, how many of each kind: with nothing to know a repeat by, by each message's id, by the call's id.
_PLAIN, _BY_MESSAGE = 30, 75


class Producer:
    """Sends a batch every now and then, under names of its own."""

    def __init__(self, world: "World", name: str) -> None:
        self._world, self._name = world, name
        self._chance = world.plan.chance(f"producer {name}")
        self._count = 0

    async def run(self) -> None:
        while self._world.busy:
            await asyncio.sleep(self._chance.choice([0.0, 0.1, 2.0]) * self._chance.random())
            await self._send()

    async def _send(self) -> None:
        chance = self._chance
        queue = chance.choices([WORK, LOOSE, PUSHED], [5, 3, 3])[0]
        draw = chance.randrange(100)
        by_message = _PLAIN <= draw < _BY_MESSAGE
        messages, due = {}, {}
        for _ in range(chance.choice([1, 1, 1, 2, 5])):
            key = self._key()
            fields, due[key] = self._fields(queue)
            messages[key] = new_message(key, deduplication_id=key if by_message else "", **fields)
        request_id = self._key() if draw >= _BY_MESSAGE else ""
        results = await self._until_sent(queue, messages, due, request_id, 1 if draw < _PLAIN else TRIES)
        if by_message and results and not self._world.plan.steps and chance.random() < 0.3:
            self._world.also(self._repeat_at_the_last_moment(queue, messages, due, results))

    def _fields(self, queue: str) -> tuple[dict[str, Any], int]:
        """What a message is sent with, and the instant before which it may not come."""
        chance, now = self._chance, self._world.clock.now()
        if queue == WORK and chance.random() < 0.25:
            return {"ordering_key": f"{self._name}-{chance.randrange(2)}"}, 0
        fields: dict[str, Any] = {}
        due, draw = 0, chance.randrange(100)
        if draw < 10:
            due = fields["deliver_time"] = now + chance.randrange(5 * SECOND)
        elif draw < 25:
            fields["delay"] = chance.randrange(3 * SECOND)
            due = 0 if self._world.plan.steps else now + fields["delay"]
        if chance.random() < 0.15:
            fields["ttl"] = chance.randrange(1, 8) * SECOND // 2
        return fields, due

    async def _until_sent(
        self, queue: str, messages: dict[str, NewMessage], due: dict[str, int], request_id: str, tries: int
    ) -> Sequence[SendResult]:
        for _ in range(tries):
            results = await self._try(queue, messages, due, request_id)
            if results or self._world.clock.now() > self._world.began + self._world.plan.window // 2:
                return results
            await asyncio.sleep(self._chance.random())
        return ()

    async def _try(
        self, queue: str, messages: dict[str, NewMessage], due: dict[str, int], request_id: str, *, hasty: bool = False
    ) -> Sequence[SendResult]:
        note = self._world.record.note
        for key, message in messages.items():
            note(What.INVOKED, key, queue=queue, until=due[key], ordering_key=message.ordering_key)
        what = What.OK
        results: Sequence[SendResult] = ()
        try:
            results = await self._world.server.call(
                lambda app: app.broker.send(queue, list(messages.values()), request_id), hasty=hasty
            )
        except LostError:
            what = What.UNKNOWN
        except BatonError as error:
            what = What.FAILED if error.reason in REFUSALS else What.UNKNOWN
        for key in messages:
            note(what, key, queue=queue)
        return results

    async def _repeat_at_the_last_moment(
        self, queue: str, messages: dict[str, NewMessage], due: dict[str, int], results: Sequence[SendResult]
    ) -> None:
        """Send again in the last microsecond of the window."""
        last = self._world.record.sent_at(results[0].message_id) + self._world.plan.window - 1
        await asyncio.sleep((last - self._world.clock.now()) / 1e6)
        if self._world.clock.now() == last:
            await self._try(queue, messages, due, "", hasty=True)

    def _key(self) -> str:
        self._count += 1
        return f"{self._name}.{self._count}"
