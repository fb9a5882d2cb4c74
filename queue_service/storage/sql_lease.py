"""The SQL of deliveries: look along the line, take what fits, mark it leased, read its contents."""

import sqlalchemy as sa

from mesh.clock import MILLISECOND
from queue_service.delivery_state import DeliveryState, Rank, leased
from queue_service.lease_id import message_id_bytes
from queue_service.queue_definition import Queue
from queue_service.storage import selection, verbs
from queue_service.storage.rows import state_of
from queue_service.storage.schema import DELIVERIES
from queue_service.storage.statement import chunks, execute, fetch, fetch_one
from queue_service.storage.transaction import Transaction

_LINE = (
    sa.select(DELIVERIES)
    .where(DELIVERIES.c.queue_number == sa.bindparam("of_queue"), DELIVERIES.c.rank == Rank.LINE)
    .order_by(DELIVERIES.c.due_at, DELIVERIES.c.message_id)
    .limit(sa.bindparam("most"))
)
_READY = _LINE.where(DELIVERIES.c.due_at <= sa.bindparam("now"), DELIVERIES.c.expire_time > sa.bindparam("now"))
_READY_TIMES = _READY.with_only_columns(DELIVERIES.c.due_at)
_READY_FOR_US = _READY.with_for_update(skip_locked=True)
# Counts what has just expired too: the index alone says the rest, and it would take a look at each row to leave it out.
_DUE = _LINE.where(DELIVERIES.c.due_at <= sa.bindparam("now")).with_only_columns(DELIVERIES.c.due_at)
_READY_COUNT = sa.select(sa.func.count()).select_from(_DUE.subquery())
_NEXT = (
    sa.select(DELIVERIES.c.due_at)
    .where(DELIVERIES.c.queue_number == sa.bindparam("of_queue"), DELIVERIES.c.rank == Rank.LINE)
    .order_by(DELIVERIES.c.due_at)
    .limit(1)
)
_NEXT_DELAYED = _NEXT.where(DELIVERIES.c.due_at > sa.bindparam("now"))
# Among nodes, what is ready and was not taken is in another's hands at this moment, and may come back at the next.
_NEXT_FOR_US = _NEXT.where(DELIVERIES.c.expire_time > sa.bindparam("now"))
#: When to look again for what another node is just looking at.
PASSED_OVER = 20 * MILLISECOND
_REPEATED = sa.select(DELIVERIES).where(
    DELIVERIES.c.queue_number == sa.bindparam("of_queue"),
    DELIVERIES.c.request_id == sa.bindparam("of_request"),
    DELIVERIES.c.rank == Rank.LEASED,
    DELIVERIES.c.due_at > sa.bindparam("now"),
)
_TAKE = (
    sa.update(DELIVERIES)
    .where(
        DELIVERIES.c.queue_number == sa.bindparam("of_queue"),
        DELIVERIES.c.message_id.in_(sa.bindparam("ids", expanding=True)),
    )
    .values(
        rank=Rank.LEASED,
        lapsed=0,
        attached=sa.bindparam("to_attached"),
        due_at=sa.bindparam("until"),
        deliveries=DELIVERIES.c.deliveries + 1,
        serial=DELIVERIES.c.serial + 1,
        consumer_instance=sa.bindparam("by_instance"),
        request_id=sa.bindparam("by_request"),
    )
)


def lease(transaction: Transaction, verb: verbs.Lease) -> verbs.Leased:
    """Hand out ready messages; see `verbs.Lease`."""
    queue = transaction.queue(verb.queue)
    if verb.request_id and (live := _repeated(transaction, queue, verb)):
        return _leased(transaction, queue, live, None, 0)
    if verb.linger and (wait := _lingers(transaction, queue, verb)) is not None:
        return verbs.Leased((), wait, 0)
    parameters = {"of_queue": queue.number, "now": verb.now, "most": verb.limit + 1}
    ready = [state_of(row) for row in fetch(transaction.connection, _READY_FOR_US, parameters)]
    taken = [_leased_by(verb, state) for state in selection.chosen(ready, verb)]
    _take(transaction, queue, verb, taken)
    if len(taken) < len(ready):
        return _leased(transaction, queue, taken, ready[len(taken)].due_at, _ready_count(transaction, queue, verb))
    return _leased(transaction, queue, taken, _next_at(transaction, queue, verb), 0)


def _next_at(transaction: Transaction, queue: Queue, verb: verbs.Lease) -> int | None:
    parameters = {"of_queue": queue.number, "now": verb.now}
    if not transaction.sharing.shared:
        due_at: int | None = fetch_one(transaction.connection, _NEXT_DELAYED, parameters)
        return due_at
    found: int | None = fetch_one(transaction.connection, _NEXT_FOR_US, parameters)
    return found if found is None or found > verb.now else verb.now + PASSED_OVER


def _leased_by(verb: verbs.Lease, state: DeliveryState) -> DeliveryState:
    return leased(state, verb.until, verb.consumer_instance, verb.request_id, attached=verb.attached)


def _repeated(transaction: Transaction, queue: Queue, verb: verbs.Lease) -> list[DeliveryState]:
    parameters = {"of_queue": queue.number, "of_request": verb.request_id, "now": verb.now}
    rows = fetch(transaction.connection, _REPEATED, parameters)
    return sorted((state_of(row) for row in rows), key=lambda state: state.message_id)


def _lingers(transaction: Transaction, queue: Queue, verb: verbs.Lease) -> int | None:
    parameters = {"of_queue": queue.number, "now": verb.now, "most": verb.limit}
    times = fetch(transaction.connection, _READY_TIMES, parameters)
    return selection.lingers_until(times[0][0], len(times), verb) if times else None


def _take(transaction: Transaction, queue: Queue, verb: verbs.Lease, taken: list[DeliveryState]) -> None:
    for ids in chunks([message_id_bytes(state.message_id) for state in taken]):
        parameters = {
            "of_queue": queue.number,
            "ids": ids,
            "until": verb.until,
            "to_attached": transaction.sharing.holder if verb.attached else 0,
            "by_instance": verb.consumer_instance,
            "by_request": verb.request_id or None,
        }
        execute(transaction.connection, _TAKE, parameters)
    transaction.count(queue, "leased", len(taken))
    transaction.count(queue, "delivered", len(taken))


def _ready_count(transaction: Transaction, queue: Queue, verb: verbs.Lease) -> int:
    """How many more are ready, roughly: where they are many, as of a second ago at most."""
    if (known := transaction.known.recall(queue.number, "ready", verb.now)) is not None:
        return known
    parameters = {"of_queue": queue.number, "now": verb.now, "most": selection.COUNT_LIMIT}
    count: int = fetch_one(transaction.connection, _READY_COUNT, parameters)
    if count == selection.COUNT_LIMIT:
        transaction.known.note(queue.number, "ready", verb.now, count)
    return count


def _leased(
    transaction: Transaction, queue: Queue, taken: list[DeliveryState], next_at: int | None, ready_count: int
) -> verbs.Leased:
    messages = transaction.messages(queue, taken)
    deliveries = tuple(selection.delivery(state, messages[state.message_id], queue) for state in taken)
    return verbs.Leased(deliveries, next_at, ready_count)
