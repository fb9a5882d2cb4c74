"""The SQL of redrives: messages and the task's own record move in one transaction."""

import json
from dataclasses import asdict

import sqlalchemy as sa

from queue_service.delivery_state import DeliveryState, Rank
from queue_service.lease_id import message_id_bytes
from queue_service.message import Message
from queue_service.queue_definition import Queue
from queue_service.redrive import RedriveState, RedriveTask, destination_of, nowhere_to_go, redriven
from queue_service.storage import verbs
from queue_service.storage.rows import Row, state_of
from queue_service.storage.schema import DELIVERIES, REDRIVE_TASKS
from queue_service.storage.selection import Effects, redrive_filter
from queue_service.storage.sql_peek import wanted_query
from queue_service.storage.transaction import Transaction

_ONE = REDRIVE_TASKS.c.redrive_task_id == sa.bindparam("of_task")


def read_tasks(connection: sa.Connection) -> dict[str, RedriveTask]:
    """Every task, by its id."""
    return {row.redrive_task_id: _task_of(row) for row in connection.execute(sa.select(REDRIVE_TASKS))}


def redrive(transaction: Transaction, verb: verbs.Redrive) -> verbs.Redriven:
    """Move some of a task's messages; see `verbs.Redrive`."""
    effects, task = Effects(), verb.task
    if verb.limit and task.state is RedriveState.RUNNING:
        task = _step(transaction, task, verb, effects)
    _save(transaction, task)
    return verbs.Redriven(task, effects.settled())


def _step(transaction: Transaction, task: RedriveTask, verb: verbs.Redrive, effects: Effects) -> RedriveTask:
    queue = transaction.queue(task.queue)
    limit = min(verb.limit, task.left)
    query = wanted_query(queue, redrive_filter(task)).where(DELIVERIES.c.rank != Rank.LEASED)
    if task.position:
        query = query.where(DELIVERIES.c.message_id > message_id_bytes(task.position))
    states = [
        state_of(row) for row in transaction.connection.execute(query.order_by(DELIVERIES.c.message_id).limit(limit))
    ]
    ids = [state.message_id for state in states]
    messages = transaction.messages(queue, states)
    for number, state in enumerate(states):
        name = destination_of(task, messages[state.message_id])
        if name not in transaction.queues:
            return task.moved(ids[:number], finished=False).failed(nowhere_to_go(state.message_id, name))
        _move(transaction, queue, transaction.queue(name), state, messages[state.message_id], verb.now, effects)
    return task.moved(ids, finished=len(ids) < limit)


def _move(
    transaction: Transaction,
    queue: Queue,
    destination: Queue,
    state: DeliveryState,
    message: Message,
    now: int,
    effects: Effects,
) -> None:
    fresh = transaction.states(queue, [state.message_id])[state.message_id]
    transaction.remove(queue, [fresh], now, effects)
    transaction.insert(destination, [redriven(message, destination, now)], fresh.serial)
    transaction.count(queue, "redriven")
    effects.ready(destination.name, now)


def _save(transaction: Transaction, task: RedriveTask) -> None:
    values = {"definition": json.dumps(asdict(task), default=sorted)}
    updated = transaction.connection.execute(
        sa.update(REDRIVE_TASKS).where(_ONE).values(values), {"of_task": task.redrive_task_id}
    )
    if not updated.rowcount:
        transaction.connection.execute(sa.insert(REDRIVE_TASKS).values(redrive_task_id=task.redrive_task_id, **values))
    transaction.redrive_tasks[task.redrive_task_id] = task


def _task_of(row: Row) -> RedriveTask:
    plain = json.loads(row.definition)
    sets = {name: frozenset(plain.pop(name)) for name in ("codes", "message_ids")}
    return RedriveTask(**{**plain, **sets, "state": RedriveState(plain["state"])})
