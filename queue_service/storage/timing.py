"""Verbs by the database's clock: a node that was frozen, or whose clock errs, must not decide by its own instant."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from queue_service.queue_definition import Queue
from queue_service.settlement import Extend, Settlement
from queue_service.storage import verbs
from queue_service.storage.sharing import Begun


def at_time(verb: verbs.Verb[Any], begun: Begun, queues: Mapping[str, Queue]) -> verbs.Verb[Any]:
    """The verb as of its transaction: at the database's instant, and by the queues that are there then."""
    now = begun.now
    if now is None:
        return verb
    if isinstance(verb, verbs.Lease):
        queue = queues.get(verb.queue)
        limit = 0 if queue is not None and queue.paused(now) else verb.limit
        return replace(verb, now=now, until=verb.until + now - verb.now, limit=limit)
    if isinstance(verb, verbs.Settle):
        shifted = tuple(_shifted(settlement, now - verb.now) for settlement in verb.settlements)
        return replace(verb, now=now, settlements=shifted)
    if isinstance(verb, verbs.Expire):
        return replace(verb, now=now)
    return verb


def _shifted(settlement: Settlement, by: int) -> Settlement:
    action = settlement.action
    return settlement._replace(action=Extend(action.until + by)) if isinstance(action, Extend) else settlement
