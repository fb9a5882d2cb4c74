"""The SQL of endings: settlements, leases that ran out, messages whose time is over, dead letters."""

from collections import Counter

import sqlalchemy as sa

from queue_service import delivery_state
from queue_service.delivery_state import DeliveryState, Rank, Transition
from queue_service.message import DeadLetterReason
from queue_service.queue_definition import Queue
from queue_service.storage import selection, verbs
from queue_service.storage.rows import changed_row, state_of
from queue_service.storage.schema import CHANGED, DELIVERIES, REPEATS
from queue_service.storage.selection import Effects
from queue_service.storage.statement import execute, execute_many, fetch, fetch_one
from queue_service.storage.transaction import Transaction

_CHANGE = (
    sa.update(DELIVERIES)
    .where(
        DELIVERIES.c.queue_number == sa.bindparam("of_queue"),
        DELIVERIES.c.message_id == sa.bindparam("of_message"),
    )
    .values({name: sa.bindparam(f"to_{name}") for name in CHANGED})
)
_ENDED_LEASES = (
    sa.select(DELIVERIES)
    .where(
        DELIVERIES.c.queue_number == sa.bindparam("of_queue"),
        DELIVERIES.c.rank == Rank.LEASED,
        DELIVERIES.c.due_at <= sa.bindparam("now"),
    )
    .order_by(DELIVERIES.c.due_at)
    .limit(sa.bindparam("most"))
)
_ATTACHED = sa.select(DELIVERIES).where(
    DELIVERIES.c.queue_number == sa.bindparam("of_queue"),
    DELIVERIES.c.rank == Rank.LEASED,
    DELIVERIES.c.attached == 1,
)
_ENDED_MESSAGES = (
    sa.select(DELIVERIES)
    .where(
        DELIVERIES.c.queue_number == sa.bindparam("of_queue"),
        DELIVERIES.c.expire_time <= sa.bindparam("now"),
        DELIVERIES.c.rank != Rank.LEASED,
    )
    .order_by(DELIVERIES.c.expire_time)
    .limit(sa.bindparam("most"))
)
_ENDED_REPEATS = sa.delete(REPEATS).where(
    REPEATS.c.queue_number == sa.bindparam("of_queue"), REPEATS.c.end_at <= sa.bindparam("now")
)
_NEXT_ENDS = [
    sa.select(sa.func.min(DELIVERIES.c.due_at)).where(
        DELIVERIES.c.queue_number == sa.bindparam("of_queue"), DELIVERIES.c.rank == Rank.LEASED
    ),
    sa.select(DELIVERIES.c.expire_time)
    .where(DELIVERIES.c.queue_number == sa.bindparam("of_queue"), DELIVERIES.c.rank != Rank.LEASED)
    .order_by(DELIVERIES.c.expire_time)
    .limit(1),
    sa.select(sa.func.min(REPEATS.c.end_at)).where(REPEATS.c.queue_number == sa.bindparam("of_queue")),
]


class _Endings:
    """Transitions gathered, then written: one delete and one update for all that can share it."""

    def __init__(self, transaction: Transaction, queue: Queue, now: int, effects: Effects | None = None) -> None:
        self._transaction, self._queue, self._now = transaction, queue, now
        self._changed: dict[str, DeliveryState] = {}
        self._gone: list[DeliveryState] = []
        self._totals: Counter[str] = Counter()
        self.effects = effects or Effects()

    def take(self, before: DeliveryState, transition: Transition) -> DeliveryState | None:
        """Note a transition; the message's state after it, None when the message left the queue."""
        if transition.gone:
            self._gone.append(before)
            self._totals[transition.total] += 1
            self._totals["leased"] -= before.leased
            if self._changed:
                self._changed.pop(before.message_id, None)
            return None
        after = None if transition.dead is not None else transition.state
        if before.leased and not (after is not None and after.leased):
            self._totals["leased"] -= 1
        if transition.total:
            self._totals[transition.total] += 1
        if transition.dead is not None and transition.state is not None:
            self._changed.pop(before.message_id, None)
            self.give_up(transition.state, transition.dead)
        elif after is not None:
            self._changed[after.message_id] = after
        return after

    def give_up(self, state: DeliveryState, reason: DeadLetterReason) -> None:
        """Move a message to the dead letter queue, in this transaction, or drop it where there is none."""
        transaction, queue = self._transaction, self._queue
        name = queue.consumer.dead_letter_queue
        if name:
            self._move(state, reason, transaction.queue(name))
        else:
            transaction.remove(queue, [state], self._now, self.effects)
        transaction.count(queue, "dead_lettered" if name else "dropped")
        transaction.count(queue, "expired", int(reason is DeadLetterReason.EXPIRED))
        self.effects.gave_up(state.message_id, reason, name, self._now)

    def _move(self, state: DeliveryState, reason: DeadLetterReason, destination: Queue) -> None:
        transaction, queue = self._transaction, self._queue
        message = transaction.messages(queue, [state])[state.message_id]
        record = selection.dead_letter(state, message, queue, reason, self._now)
        transaction.remove(queue, [state], self._now, self.effects)
        moved = selection.as_dead_letter(message, record, destination, self._now)
        transaction.insert(destination, [moved], state.serial)

    def write(self) -> None:
        """Write what was noted."""
        for name, by in self._totals.items():
            self._transaction.count(self._queue, name, by)
        self._totals.clear()
        if self._gone:
            self._transaction.remove(self._queue, self._gone, self._now, self.effects)
        if self._changed:
            rows = [changed_row(self._queue.number, state) for state in self._changed.values()]
            execute_many(self._transaction.connection, _CHANGE, rows)
        for state in self._changed.values():
            if not state.leased:
                self.effects.ready(self._queue.name, state.due_at)


def settle(transaction: Transaction, verb: verbs.Settle) -> verbs.Settled:
    """Apply settlements, each to the state that the one before it left."""
    queue = transaction.queue(verb.queue)
    policy = queue.consumer.retry_policy
    endings = _Endings(transaction, queue, verb.now)
    ids = {settlement.lease.message_id for settlement in verb.settlements}
    states: dict[str, DeliveryState | None] = dict(transaction.states(queue, ids))
    for settlement in verb.settlements:
        before = states.get(settlement.lease.message_id)
        transition = delivery_state.settled(before, settlement.lease, settlement.action, policy, verb.now)
        endings.effects.outcomes.append(transition.outcome)
        if before is not None and (transition.gone or transition.state is not None):
            states[before.message_id] = endings.take(before, transition)
    endings.write()
    return endings.effects.settled()


def expire(transaction: Transaction, verb: verbs.Expire) -> verbs.Settled:
    """End what is over; see `verbs.Expire`."""
    queue = transaction.queue(verb.queue)
    endings = _Endings(transaction, queue, verb.now)
    parameters = {"of_queue": queue.number, "now": verb.now, "most": verb.limit}
    if verb.restarted:
        for row in fetch(transaction.connection, _ATTACHED, {"of_queue": queue.number}):
            state = state_of(row)
            endings.take(state, delivery_state.orphaned(state, verb.now))
        endings.write()
        endings = _Endings(transaction, queue, verb.now, endings.effects)
    for row in fetch(transaction.connection, _ENDED_LEASES, parameters):
        state = state_of(row)
        endings.take(state, delivery_state.expired(state, queue.consumer.retry_policy))
    endings.write()
    for row in fetch(transaction.connection, _ENDED_MESSAGES, parameters):
        state = state_of(row)
        if state.ordering_key:  # one that went before it may have let it into the line
            state = transaction.states(queue, [state.message_id])[state.message_id]
        endings.give_up(state, DeadLetterReason.EXPIRED)
    execute(transaction.connection, _ENDED_REPEATS, {"of_queue": queue.number, "now": verb.now})
    ends = (fetch_one(transaction.connection, query, {"of_queue": queue.number}) for query in _NEXT_ENDS)
    return endings.effects.settled(min((end for end in ends if end is not None), default=None))
