"""The SQL of sends: repeats recognised, then bodies and delivery states in two inserts."""

import json
from enum import IntEnum

import sqlalchemy as sa

from queue_service.errors import DeduplicationIdReused
from queue_service.message import Message
from queue_service.queue_definition import Queue
from queue_service.storage import verbs
from queue_service.storage.rows import Row
from queue_service.storage.schema import REPEATS
from queue_service.storage.selection import check_backlog, repeated
from queue_service.storage.statement import chunks
from queue_service.storage.transaction import Transaction


class RepeatKind(IntEnum):
    """What a row of REPEATS recognises; the numbers are stored."""

    REQUEST = 0
    DEDUPLICATION = 1


_KEPT = sa.select(REPEATS).where(
    REPEATS.c.queue_number == sa.bindparam("of_queue"),
    REPEATS.c.kind == sa.bindparam("of_kind"),
    REPEATS.c.id.in_(sa.bindparam("ids", expanding=True)),
)
_FORGET = sa.delete(REPEATS).where(
    REPEATS.c.queue_number == sa.bindparam("of_queue"),
    REPEATS.c.kind == sa.bindparam("of_kind"),
    REPEATS.c.id == sa.bindparam("of_id"),
)


def send(transaction: Transaction, verb: verbs.Send) -> tuple[verbs.SendResult, ...]:
    """Store a send's messages; see `verbs.Send`."""
    queue = transaction.queue(verb.queue)
    if verb.request_id:
        answered = _kept(transaction, queue, RepeatKind.REQUEST, [verb.request_id], verb.now)
        if answered:
            return repeated(verb, _answer_of(answered[verb.request_id]))
    fresh, results = _deduplicated(transaction, queue, verb)
    if fresh:
        _check_backlog(transaction, queue, fresh)
        transaction.insert(queue, fresh)
    _remember(transaction, queue, verb, fresh, results)
    transaction.count(queue, "sent", len(fresh))
    transaction.count(queue, "deduplicated", len(results) - len(fresh))
    return results


def _check_backlog(transaction: Transaction, queue: Queue, fresh: list[Message]) -> None:
    if queue.max_backlog_messages or queue.max_backlog_bytes:
        count = transaction.level(queue, "messages") + len(fresh)
        size = transaction.level(queue, "bytes") + sum(message.size for message in fresh)
        check_backlog(queue, count, size)


def _deduplicated(
    transaction: Transaction, queue: Queue, verb: verbs.Send
) -> tuple[list[Message], tuple[verbs.SendResult, ...]]:
    ids = [message.deduplication_id for message in verb.messages if message.deduplication_id]
    if not ids:
        return list(verb.messages), tuple(verbs.SendResult(message.message_id, False) for message in verb.messages)
    kept = _kept(transaction, queue, RepeatKind.DEDUPLICATION, ids, verb.now)
    seen = {key: (_answer_of(row)[0].message_id, row.digest) for key, row in kept.items()}
    fresh: list[Message] = []
    results: list[verbs.SendResult] = []
    for message in verb.messages:
        key, digest = message.deduplication_id, message.digest
        if key and key in seen:
            if seen[key][1] != digest:
                raise DeduplicationIdReused(key)
            results.append(verbs.SendResult(seen[key][0], deduplicated=True))
            continue
        if key:
            seen[key] = (message.message_id, digest)
        fresh.append(message)
        results.append(verbs.SendResult(message.message_id, deduplicated=False))
    return fresh, tuple(results)


def _kept(transaction: Transaction, queue: Queue, kind: RepeatKind, ids: list[str], now: int) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for some in chunks(ids):
        parameters = {"of_queue": queue.number, "of_kind": kind, "ids": some}
        found.update({row.id: row for row in transaction.connection.execute(_KEPT, parameters)})
    over = [key for key, row in found.items() if row.end_at <= now]
    for key in over:  # its window has passed: the id is free for another
        del found[key]
    if over:
        rows = [{"of_queue": queue.number, "of_kind": kind, "of_id": key} for key in over]
        transaction.connection.execute(_FORGET, rows)
    return found


def _remember(
    transaction: Transaction,
    queue: Queue,
    verb: verbs.Send,
    fresh: list[Message],
    results: tuple[verbs.SendResult, ...],
) -> None:
    common = {"queue_number": queue.number, "end_at": verb.now + queue.deduplication_window}
    rows = [
        {
            **common,
            "kind": RepeatKind.DEDUPLICATION,
            "id": message.deduplication_id,
            "digest": message.digest,
            "answer": _answer_text((verbs.SendResult(message.message_id, False),)),
        }
        for message in fresh
        if message.deduplication_id
    ]
    if verb.request_id:
        answer = _answer_text(results)
        rows.append({**common, "kind": RepeatKind.REQUEST, "id": verb.request_id, "digest": None, "answer": answer})
    if rows:
        transaction.connection.execute(sa.insert(REPEATS), rows)


def _answer_text(results: tuple[verbs.SendResult, ...]) -> str:
    return json.dumps([[result.message_id, result.deduplicated] for result in results])


def _answer_of(row: Row) -> tuple[verbs.SendResult, ...]:
    return tuple(verbs.SendResult(message_id, deduplicated) for message_id, deduplicated in json.loads(row.answer))
