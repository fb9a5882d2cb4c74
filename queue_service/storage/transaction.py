"""What the SQL verbs of one transaction share: the connection, the queues, and the counts that rise."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from queue_service.delivery_state import DeliveryState, unblocked
from queue_service.errors import QueueNotFound
from queue_service.lease_id import message_id_bytes, message_id_text
from queue_service.message import Message
from queue_service.queue_definition import Queue
from queue_service.redrive import RedriveTask
from queue_service.storage.known_counts import KnownCounts
from queue_service.storage.rows import message_of, message_row, new_row, state_of
from queue_service.storage.schema import COUNTERS, DELIVERIES, LEVELS, MESSAGES, TOTALS, UNTOUCHED
from queue_service.storage.selection import Effects, blocked, new_state
from queue_service.storage.sharing import Begun, Sharing
from queue_service.storage.statement import chunks, execute, execute_many, fetch, fetch_one

_STATES = (
    sa.select(DELIVERIES)
    .where(
        DELIVERIES.c.queue_number == sa.bindparam("of_queue"),
        DELIVERIES.c.message_id.in_(sa.bindparam("ids", expanding=True)),
    )
    .order_by(DELIVERIES.c.message_id)
    .with_for_update()
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
_NEWEST_OF_KEY = _FIRST_OF_KEY.with_only_columns(DELIVERIES.c.message_id).order_by(None)
_NEWEST_OF_KEY = _NEWEST_OF_KEY.order_by(DELIVERIES.c.message_id.desc())
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
        begun: Begun,
        sharing: Sharing,
        queues: dict[str, Queue],
        redrive_tasks: dict[str, RedriveTask],
        known: KnownCounts,
    ) -> None:
        self.begun, self.sharing = begun, sharing
        self.connection = begun.connection
        self.known = known
        self.queues = queues
        self.redrive_tasks = redrive_tasks
        self.version = begun.version
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
        query = sa.select(sa.cast(sa.func.sum(COUNTERS.c[name]), sa.BigInteger)).where(
            COUNTERS.c.queue_number == queue.number
        )
        stored: int = self.connection.execute(query).scalar_one()
        return stored + self._counts[queue.number][name]

    def write_counts(self) -> None:
        """Write the counts that rose."""
        rows = [
            {"of_queue": number, **{f"by_{name}": counts.get(name, 0) for name in LEVELS + TOTALS}}
            for number, counts in self._counts.items()
        ]
        if rows:
            self.sharing.raise_counts(self.begun, rows)
        self._counts.clear()

    def changed(self) -> None:
        """Other nodes are to read queues and redrive tasks anew."""
        if self.version == self.begun.version:
            self.version = self.sharing.changed(self.begun)

    def forget_counts(self, queue: Queue) -> None:
        """A queue that goes takes its counts along."""
        self._counts.pop(queue.number, None)

    def states(self, queue: Queue, message_ids: Iterable[str]) -> dict[str, DeliveryState]:
        """The delivery states of messages, by id, which nobody else changes now; without those that are not there."""
        found: dict[str, DeliveryState] = {}
        for ids in chunks(sorted(message_id_bytes(message_id) for message_id in message_ids)):
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
        keys = {message.ordering_key for message in messages} - {""}
        if keys:
            self.sharing.hold_keys(self.begun, queue, keys)
        held = self._held_keys(queue, keys)
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

    def in_turn(self, queue: Queue, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """New messages, the ids of which are behind those of their ordering keys, whichever node made these."""
        keys = {message.ordering_key for message in messages} - {""}
        if not keys or not self.sharing.shared:
            return messages
        self.sharing.hold_keys(self.begun, queue, keys)
        newest = {key: id_ for key in sorted(keys) if (id_ := self._newest_of(queue, key))}
        placed = []
        for message in messages:
            last = newest.get(message.ordering_key, "") if message.ordering_key else ""
            placed.append(message._replace(message_id=id_after(last)) if message.message_id <= last else message)
            newest[message.ordering_key] = placed[-1].message_id
        return tuple(placed)

    def _newest_of(self, queue: Queue, key: str) -> str:
        found = fetch_one(self.connection, _NEWEST_OF_KEY, {"of_queue": queue.number, "of_key": key})
        return "" if found is None else message_id_text(found)

    def _held_keys(self, queue: Queue, keys: set[str]) -> set[str]:
        found: set[str] = set()
        for some in chunks(sorted(keys)):
            found.update(key for (key,) in fetch(self.connection, _HELD_KEYS, {"of_queue": queue.number, "keys": some}))
        return found

    def remove(self, queue: Queue, states: Sequence[DeliveryState], now: int, effects: Effects) -> None:
        """Take messages out of a queue, with all that belongs to them, and let their ordering keys go on."""
        if keys := {state.ordering_key for state in states} - {""}:
            self.sharing.hold_keys(self.begun, queue, keys)
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


def id_after(message_id: str) -> str:
    """The next id: the last 62 bits of one are random, and leave room."""
    return message_id_text((int.from_bytes(message_id_bytes(message_id)) + 1).to_bytes(16))
