"""What the SQL verbs of one transaction share: the connection, the queues, and the counts that rise."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from queue_service.delivery_state import DeliveryState
from queue_service.errors import QueueNotFound
from queue_service.queue_definition import Queue
from queue_service.storage.rows import raw_id, state_of
from queue_service.storage.schema import COUNTERS, DELIVERIES, LEVELS, MESSAGES, TOTALS

# Ids in one IN list; SQLite's smallest limit of parameters is 999, PostgreSQL's is far above.
CHUNK = 500

_RAISE_COUNTS = (
    sa.update(COUNTERS)
    .where(COUNTERS.c.queue_number == sa.bindparam("of_queue"))
    .values({name: COUNTERS.c[name] + sa.bindparam(f"by_{name}") for name in LEVELS + TOTALS})
)
_STATES = sa.select(DELIVERIES).where(
    DELIVERIES.c.queue_number == sa.bindparam("of_queue"),
    DELIVERIES.c.message_id.in_(sa.bindparam("ids", expanding=True)),
)
_REMOVE = [
    sa.delete(table).where(
        table.c.queue_number == sa.bindparam("of_queue"),
        table.c.message_id.in_(sa.bindparam("ids", expanding=True)),
    )
    for table in (DELIVERIES, MESSAGES)
]


class Transaction:
    """One transaction on its connection; ``queues`` becomes the store's own once it is committed."""

    def __init__(self, connection: sa.Connection, queues: dict[str, Queue]) -> None:
        self.connection = connection
        self.queues = queues
        self._counts: defaultdict[int, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))

    def queue(self, name: str) -> Queue:
        """The queue of that name; raises QueueNotFound."""
        if name not in self.queues:
            raise QueueNotFound(name)
        return self.queues[name]

    def count(self, queue: Queue, name: str, by: int = 1) -> None:
        """Let a count rise; it is written once, at the end."""
        self._counts[queue.number][name] += by

    def level(self, queue: Queue, name: str) -> int:
        """A count as it stands, what this transaction did included."""
        query = sa.select(COUNTERS.c[name]).where(COUNTERS.c.queue_number == queue.number)
        stored: int = self.connection.execute(query).scalar_one()
        return stored + self._counts[queue.number][name]

    def write_counts(self) -> None:
        """Write the counts that rose."""
        rows = [
            {"of_queue": number, **{f"by_{name}": counts[name] for name in LEVELS + TOTALS}}
            for number, counts in self._counts.items()
        ]
        if rows:
            self.connection.execute(_RAISE_COUNTS, rows)
        self._counts.clear()

    def forget_counts(self, queue: Queue) -> None:
        """A queue that goes takes its counts along."""
        self._counts.pop(queue.number, None)

    def states(self, queue: Queue, message_ids: Iterable[str]) -> dict[str, DeliveryState]:
        """The delivery states of messages, by id; without those that are not there."""
        found: dict[str, DeliveryState] = {}
        for ids in chunks([raw_id(message_id) for message_id in message_ids]):
            for row in self.connection.execute(_STATES, {"of_queue": queue.number, "ids": ids}):
                state = state_of(row)
                found[state.message_id] = state
        return found

    def remove(self, queue: Queue, states: Sequence[DeliveryState]) -> None:
        """Take messages out of a queue, with all that belongs to them."""
        for ids in chunks([raw_id(state.message_id) for state in states]):
            for statement in _REMOVE:
                self.connection.execute(statement, {"of_queue": queue.number, "ids": ids})
        self.count(queue, "messages", -len(states))
        self.count(queue, "bytes", -sum(state.size for state in states))


def chunks(ids: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    """Ids in lists short enough for one statement."""
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))
