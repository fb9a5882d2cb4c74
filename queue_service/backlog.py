"""What lies in a queue: looked at, counted, removed, held back. Nothing here delivers."""

from collections.abc import Callable
from functools import partial

from mesh.clock import Clock
from queue_service.catalog import Catalog
from queue_service.errors import MessageLeased, MessageNotFound
from queue_service.queue_definition import Pause, Queue
from queue_service.storage.selection import MAX_WIRE_BYTES, wire_bytes
from queue_service.storage.verbs import Peek, Purge, Settled, Stats
from queue_service.storage.views import Filter, Peeked, Position, QueueStats
from queue_service.writer import Writer

# Body, attributes and the record of a dead letter: a page with room for this has not been cut short by its bytes.
LARGEST_MESSAGE = 1024 * 1024 + 64 * 1024


class Backlog:
    """An operator's view of the queues.

    Args:
        catalog: the queues.
        writer: the way to the store.
        clock: the time.
        follow_up: told of every change, so that whoever waits for messages is woken.
    """

    def __init__(
        self, catalog: Catalog, writer: Writer, clock: Clock, follow_up: Callable[[str, Settled], None]
    ) -> None:
        self._catalog, self._writer, self._clock, self._follow_up = catalog, writer, clock, follow_up

    def now(self) -> int:
        """This instant."""
        return self._clock.now()

    async def peek(
        self, queue_name: str, wanted: Filter, limit: int, after: Position | None
    ) -> tuple[tuple[Peeked, ...], bool]:
        """Look at messages without touching them, and whether there may be more of them.

        Raises:
            QueueNotFound
        """
        found = await self._writer.execute(Peek(queue_name, self._clock.now(), limit, MAX_WIRE_BYTES, wanted, after))
        room = MAX_WIRE_BYTES - sum(wire_bytes(peeked.state) for peeked in found)
        return found, bool(found) and (len(found) == limit or room < LARGEST_MESSAGE)

    async def get(self, queue_name: str, message_id: str) -> Peeked:
        """Look at one message; raises QueueNotFound, MessageNotFound."""
        found, _ = await self.peek(queue_name, Filter(message_ids=frozenset({message_id})), 1, None)
        if not found:
            raise MessageNotFound(queue_name, message_id)
        return found[0]

    async def purge(self, queue_name: str, wanted: Filter, *, force: bool) -> int:
        """Remove messages, leased ones too, or only count them; raises QueueNotFound."""
        verb = Purge(queue_name, self._clock.now(), wanted, force)
        return (await self._writer.execute(verb, partial(self._follow_up, queue_name))).count

    async def cancel(self, queue_name: str, message_id: str) -> None:
        """Remove a message that nobody has; raises QueueNotFound, MessageNotFound, MessageLeased."""
        wanted = Filter(message_ids=frozenset({message_id}))
        verb = Purge(queue_name, self._clock.now(), wanted, cancel=True)
        settled = await self._writer.execute(verb, partial(self._follow_up, queue_name))
        if not settled.count:
            await self.get(queue_name, message_id)
            raise MessageLeased(message_id)

    async def pause(self, queue_name: str, reason: str, ttl: int | None) -> Queue:
        """Deliver nothing from now on, for ``ttl`` where it is given; raises QueueNotFound."""
        return await self._catalog.set_pause(queue_name, Pause(reason, self._clock.now() + ttl if ttl else 0))

    async def resume(self, queue_name: str) -> Queue:
        """Deliver again; raises QueueNotFound."""
        return await self._catalog.set_pause(queue_name, None)

    async def stats(self, queue_name: str) -> tuple[QueueStats, int]:
        """How a queue stands, and the instant at which it did; raises QueueNotFound."""
        now = self._clock.now()
        return await self._writer.execute(Stats(queue_name, now)), now
