"""The SQL of looking at messages, and of removing those that one may look for."""

import re
from collections.abc import Iterable, Iterator

import sqlalchemy as sa

from queue_service.delivery_state import DeliveryState, Rank
from queue_service.lease_id import message_id_bytes, message_id_text
from queue_service.queue_definition import Queue
from queue_service.storage import selection, verbs, views
from queue_service.storage.rows import state_of
from queue_service.storage.schema import DELIVERIES, HAS_CODE, LEVELS, MESSAGES
from queue_service.storage.selection import Effects
from queue_service.storage.transaction import Transaction

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: The body's row of a delivery state: looked up for each, so that a few of many cost no walk along all.
_SENT = (
    sa.select(sa.literal(1))
    .select_from(MESSAGES)
    .where(
        MESSAGES.c.queue_number == DELIVERIES.c.queue_number,
        MESSAGES.c.message_id == DELIVERIES.c.message_id,
    )
    .correlate(DELIVERIES)
)


def newest_id(connection: sa.Connection, queues: Iterable[Queue]) -> str:
    """The greatest id of all messages; empty for none."""
    newest = sa.select(MESSAGES.c.message_id).order_by(MESSAGES.c.message_id.desc()).limit(1)
    found = (connection.execute(newest.where(MESSAGES.c.queue_number == queue.number)).scalar() for queue in queues)
    return max((message_id_text(raw) for raw in found if raw is not None), default="")


def peek(transaction: Transaction, verb: verbs.Peek) -> tuple[views.Peeked, ...]:
    """Look at messages; see `verbs.Peek`."""
    queue = transaction.queue(verb.queue)
    page = selection.fitting(_in_order(transaction, queue, verb), verb)
    messages = transaction.messages(queue, page)
    return tuple(selection.peeked(state, messages[state.message_id], verb.now) for state in page)


def _in_order(transaction: Transaction, queue: Queue, verb: verbs.Peek) -> Iterator[DeliveryState]:
    """What the filter means, one range of the line's index after the other: no place is looked for among another's."""
    due_at, message_id = DELIVERIES.c.due_at, DELIVERIES.c.message_id
    wanted = wanted_query(queue, verb.filter).order_by(due_at, message_id).limit(verb.limit)
    after = verb.after
    for rank, conditions in _ranges(verb.filter.places, verb.now):
        query = wanted.where(DELIVERIES.c.rank == rank, *conditions)
        if after is not None and after.rank > rank:
            continue
        if after is not None and after.rank == rank:
            edge = sa.tuple_(sa.literal(after.due_at), sa.literal(message_id_bytes(after.message_id)))
            query = query.where(sa.tuple_(due_at, message_id) > edge)
        yield from (state_of(row) for row in transaction.connection.execute(query))


def purge(transaction: Transaction, verb: verbs.Purge) -> verbs.Settled:
    """Remove messages, or count them; see `verbs.Purge`."""
    queue, effects = transaction.queue(verb.queue), Effects()
    if verb.filter == views.EVERYTHING and not verb.cancel:
        return effects.settled(count=_empty(transaction, queue, force=verb.force))
    query = wanted_query(queue, verb.filter)
    if verb.cancel:
        query = query.where(DELIVERIES.c.rank != Rank.LEASED)
    if not verb.force:
        count = sa.select(sa.func.count()).select_from(query.subquery())
        counted: int = transaction.connection.execute(count).scalar_one()
        return effects.settled(count=counted)
    going = [state_of(row) for row in transaction.connection.execute(query)]
    _remove(transaction, queue, going, verb.now, effects)
    transaction.count(queue, "cancelled" if verb.cancel else "purged", len(going))
    return effects.settled(count=len(going))


def _empty(transaction: Transaction, queue: Queue, *, force: bool) -> int:
    """All at once: a look at each of a million messages would hold up every queue for half a minute."""
    held = {name: transaction.level(queue, name) for name in LEVELS}
    if force:
        for table in (DELIVERIES, MESSAGES):
            transaction.connection.execute(sa.delete(table).where(table.c.queue_number == queue.number))
        for name, level in held.items():
            transaction.count(queue, name, -level)
        transaction.count(queue, "purged", held["messages"])
    return held["messages"]


def _remove(transaction: Transaction, queue: Queue, going: list[DeliveryState], now: int, effects: Effects) -> None:
    transaction.remove(queue, going, now, effects)
    transaction.count(queue, "leased", -sum(state.leased for state in going))


def wanted_query(queue: Queue, wanted: views.Filter) -> "sa.Select[tuple[object, ...]]":
    """The delivery states that a filter means; its places are not looked at."""
    query: sa.Select[tuple[object, ...]] = sa.select(DELIVERIES).where(DELIVERIES.c.queue_number == queue.number)
    if wanted.codes:
        query = query.where(DELIVERIES.c.code.in_(sorted(wanted.codes)))
        if "" not in wanted.codes:
            query = query.where(HAS_CODE)
    if wanted.message_ids:
        query = query.where(DELIVERIES.c.message_id.in_(_raw_ids(wanted.message_ids)))
    if wanted.sent_before is not None:
        query = query.where(_SENT.where(MESSAGES.c.send_time < wanted.sent_before).exists())
    return query


def _raw_ids(message_ids: Iterable[str]) -> list[bytes]:
    """As stored; what is no id of ours fits no message."""
    return [message_id_bytes(message_id) for message_id in sorted(message_ids) if _ID.fullmatch(message_id)]


def _ranges(places: frozenset[views.Place], now: int) -> Iterator[tuple[Rank, list["sa.ColumnElement[bool]"]]]:
    """Ranks, and what else fits what is in those places there, in the order in which they stand; all for none."""
    ready, delayed, leased = (not places or place in places for place in views.Place)
    due_at = DELIVERIES.c.due_at
    if ready and delayed:
        yield Rank.LINE, []
    elif ready:
        yield Rank.LINE, [due_at <= now]
    elif delayed:
        yield Rank.LINE, [due_at > now]
    if delayed:
        yield Rank.BLOCKED, []
    if leased:
        yield Rank.LEASED, []
