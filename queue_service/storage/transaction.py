"""What the SQL verbs of one transaction share: the connection, the queues, and the counts that rise."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from queue_service.delivery_state import DeliveryState, unblocked
from queue_service.errors import QueueNotFound
from queue_service.lease_id import message_id_bytes
from queue_service.message import Message
from queue_service.queue_definition import Queue
from queue_service.redrive import RedriveTask
from queue_service.storage.known_counts import KnownCounts
from queue_service.storage.rows import message_of, message_row, new_row, state_of
from queue_service.storage.schema import COUNTERS, DELIVERIES, LEVELS, MESSAGES, TOTALS, UNTOUCHED
from queue_service.storage.selection import Effects, blocked, new_state
from queue_service.storage.statement import chunks, execute, execute_many, fetch

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

_CONTENTS = sa.select(MESSAGES).where(
    MESSAGES.c.queue_number == sa.bindparam("of_queue"),
    MESSAGES.c.message_id.in_(sa.bindparam("ids", expanding=True)),
)
_HELD_KEYS = (
    sa.select(DELIVERIES.c.ordering_key)
    .where(
        DELIVERIES.c.queue_number == sa.bindparam("of_queue"),
        DELIVERIES.c.ordering_key.in_(sa.bindparam("keys", expanding=True)),
    )
    .distinct()
)
_FIRST_OF_KEY = (
    sa.select(DELIVERIES)
    .where(
        DELIVERIES.c.queue_number == sa.bindparam("of_queue"),
        DELIVERIES.c.ordering_key == sa.bindparam("of_key"),
    )
    .order_by(DELIVERIES.c.message_id)
    .limit(1)
)
_UNBLOCK = (
    sa.update(DELIVERIES)
    .where(
        DELIVERIES.c.queue_number == sa.bindparam("of_queue"),
        DELIVERIES.c.message_id == sa.bindparam("of_message"),
    )
    .values(rank=sa.bindparam("to_rank"), due_at=sa.bindparam("to_due"))
)


_ARRIVE = sa.insert(MESSAGES)
_STAND_IN_LINE = sa.insert(DELIVERIES).values(
    {column.name: sa.bindparam(column.name) for column in DELIVERIES.columns if column.name not in UNTOUCHED}
    | {name: sa.literal_column(repr(value)) for name, value in UNTOUCHED.items()}
    | {name: sa.null() for name in ("request_id", "failures")}
)


class Transaction:
    """One transaction on its connection; its queues and tasks become the store's own once it is committed.

    ``known`` is the store's memory of counts.
    """

    def __init__(
        self,
        connection: sa.Connection,
        queues: dict[str, Queue],
        redrive_tasks: dict[str, RedriveTask],
        known: KnownCounts,
    ) -> None:
        self.connection = connection
        self.known = known
        self.queues = queues
        self.redrive_tasks = redrive_tasks
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
        for number, counts in self._counts.items():
            by = {f"by_{name}": counts.get(name, 0) for name in LEVELS + TOTALS}
            execute(self.connection, _RAISE_COUNTS, {"of_queue": number, **by})
        self._counts.clear()

    def forget_counts(self, queue: Queue) -> None:
        """A queue that goes takes its counts along."""
        self._counts.pop(queue.number, None)

    def states(self, queue: Queue, message_ids: Iterable[str]) -> dict[str, DeliveryState]:
        """The delivery states of messages, by id; without those that are not there."""
        found: dict[str, DeliveryState] = {}
        for ids in chunks([message_id_bytes(message_id) for message_id in message_ids]):
            for state in map(state_of, fetch(self.connection, _STATES, {"of_queue": queue.number, "ids": ids})):
                found[state.message_id] = state
        return found

    def messages(self, queue: Queue, states: Sequence[DeliveryState]) -> dict[str, Message]:
        """The messages of delivery states, by id."""
        state_by_id = {message_id_bytes(state.message_id): state for state in states}
        found: dict[str, Message] = {}
        for ids in chunks(list(state_by_id)):
            for row in fetch(self.connection, _CONTENTS, {"of_queue": queue.number, "ids": ids}):
                message = message_of(row, state_by_id[row[1]])
                found[message.message_id] = message
        return found

    def insert(self, queue: Queue, messages: Sequence[Message], serial: int = 0) -> None:
        """Take messages in, each behind the others of its ordering key, after ``serial`` leases in other queues."""
        held = self._held_keys(queue, {message.ordering_key for message in messages} - {""})
        states = []
        for message in messages:
            state = new_state(message, serial)
            states.append(blocked(state) if state.ordering_key in held else state)
            held |= {state.ordering_key} - {""}
        execute_many(self.connection, _ARRIVE, [message_row(queue.number, message) for message in messages])
        execute_many(self.connection, _STAND_IN_LINE, [new_row(queue.number, state) for state in states])
        self.count(queue, "messages", len(states))
        self.count(queue, "blocked", sum(state.blocked for state in states))
        self.count(queue, "bytes", sum(state.size for state in states))

    def _held_keys(self, queue: Queue, keys: set[str]) -> set[str]:
        found: set[str] = set()
        for some in chunks(sorted(keys)):
            found.update(key for (key,) in fetch(self.connection, _HELD_KEYS, {"of_queue": queue.number, "keys": some}))
        return found

    def remove(self, queue: Queue, states: Sequence[DeliveryState], now: int, effects: Effects) -> None:
        """Take messages out of a queue, with all that belongs to them, and let their ordering keys go on."""
        for ids in chunks([message_id_bytes(state.message_id) for state in states]):
            for statement in _REMOVE:
                execute(self.connection, statement, {"of_queue": queue.number, "ids": ids})
        self.count(queue, "messages", -len(states))
        self.count(queue, "blocked", -sum(state.blocked for state in states))
        self.count(queue, "bytes", -sum(state.size for state in states))
        for key in sorted({state.ordering_key for state in states if not state.blocked} - {""}):
            self._unblock(queue, key, now, effects)

    def _unblock(self, queue: Queue, key: str, now: int, effects: Effects) -> None:
        rows = fetch(self.connection, _FIRST_OF_KEY, {"of_queue": queue.number, "of_key": key})
        if not rows:
            return
        state = unblocked(state_of(rows[0]), now)
        at = {"of_queue": queue.number, "of_message": message_id_bytes(state.message_id)}
        execute(self.connection, _UNBLOCK, {**at, "to_rank": state.rank, "to_due": state.due_at})
        self.count(queue, "blocked", -1)
        effects.ready(queue.name, state.due_at)
