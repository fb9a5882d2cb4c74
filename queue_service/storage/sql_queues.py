"""The SQL of queues themselves."""

from dataclasses import replace

import sqlalchemy as sa

from queue_service.delivery_state import Rank
from queue_service.errors import QueueNotEmpty
from queue_service.queue_definition import Queue
from queue_service.storage import verbs, views
from queue_service.storage.rows import queue_of, queue_values
from queue_service.storage.schema import COUNTERS, DELIVERIES, LEVELS, MESSAGES, QUEUES, REPEATS, TOTALS
from queue_service.storage.transaction import Transaction

#: Delayed messages that are counted anew each time; more of them take milliseconds.
MANY = 10_000

_READY_TIMES = sa.select(DELIVERIES.c.due_at).where(
    DELIVERIES.c.queue_number == sa.bindparam("of_queue"), DELIVERIES.c.rank == Rank.LINE
)
_OLDEST = _READY_TIMES.order_by(DELIVERIES.c.due_at).limit(1)
_DELAYED = sa.select(sa.func.count()).select_from(
    _READY_TIMES.where(DELIVERIES.c.due_at > sa.bindparam("now")).subquery()
)


def read_queues(connection: sa.Connection) -> dict[str, Queue]:
    """Every queue, by its name."""
    return {row.name: queue_of(row) for row in connection.execute(sa.select(QUEUES))}


def save_queues(transaction: Transaction, verb: verbs.SaveQueues) -> tuple[Queue, ...]:
    """Write queues, new ones with counters at nought."""
    return tuple(_save(transaction, queue) for queue in verb.queues)


def _save(transaction: Transaction, queue: Queue) -> Queue:
    known = transaction.queues.get(queue.name)
    if known is None:
        inserted = transaction.connection.execute(sa.insert(QUEUES).values(**queue_values(queue)))
        number: int = inserted.inserted_primary_key[0]  # type: ignore[index]  # an insert of one row has one
        counters = dict.fromkeys(LEVELS + TOTALS, 0)
        transaction.connection.execute(sa.insert(COUNTERS).values(queue_number=number, **counters))
    else:
        number = known.number
        statement = sa.update(QUEUES).where(QUEUES.c.number == number).values(**queue_values(queue))
        transaction.connection.execute(statement)
    saved = transaction.queues[queue.name] = replace(queue, number=number)
    return saved


def delete_queue(transaction: Transaction, verb: verbs.DeleteQueue) -> None:
    """Delete a queue and all that belongs to it."""
    queue = transaction.queue(verb.name)
    held = transaction.level(queue, "messages")
    if held and not verb.force:
        raise QueueNotEmpty(verb.name, held)
    for table in (MESSAGES, DELIVERIES, REPEATS, COUNTERS):
        transaction.connection.execute(sa.delete(table).where(table.c.queue_number == queue.number))
    transaction.connection.execute(sa.delete(QUEUES).where(QUEUES.c.number == queue.number))
    transaction.forget_counts(queue)
    transaction.known.forget(queue.number)
    del transaction.queues[verb.name]


def stats(transaction: Transaction, verb: verbs.Stats) -> views.QueueStats:
    """Read the counters, and count what only time changes: the delayed."""
    queue = transaction.queue(verb.queue)
    transaction.write_counts()
    connection = transaction.connection
    row = connection.execute(sa.select(COUNTERS).where(COUNTERS.c.queue_number == queue.number)).one()
    delayed = _delayed(transaction, queue, verb.now)
    oldest = connection.execute(_OLDEST, {"of_queue": queue.number}).scalar()
    return views.QueueStats(
        ready_count=max(0, row.messages - row.leased - row.blocked - delayed),
        delayed_count=row.blocked + delayed,
        leased_count=row.leased,
        backlog_bytes=row.bytes,
        oldest_ready_at=oldest if oldest is not None and oldest <= verb.now else None,
        totals=views.Totals(**{name: getattr(row, name) for name in TOTALS}),
    )


def _delayed(transaction: Transaction, queue: Queue, now: int) -> int:
    """How many wait for their time; where they are many, as of a second ago at most, which the contract allows."""
    if (known := transaction.known.recall(queue.number, "delayed", now)) is not None:
        return known
    parameters = {"of_queue": queue.number, "now": now}
    counted: int = transaction.connection.execute(_DELAYED, parameters).scalar_one()
    if counted > MANY:
        transaction.known.note(queue.number, "delayed", now, counted)
    return counted
