"""The store in memory: nothing survives the process. For tests, and as the plain statement of what a store does."""

import secrets
from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mesh.errors import BatonError
from queue_service import delivery_state
from queue_service.delivery_state import DeliveryState, Transition
from queue_service.errors import DeduplicationIdReused, QueueNotEmpty, QueueNotFound
from queue_service.message import DeadLetterReason, Delivery, Message
from queue_service.queue_definition import Queue
from queue_service.storage import selection, verbs
from queue_service.storage.selection import Effects, check_backlog

# Ready messages that are counted at most, where a count is a hint.
COUNT_LIMIT = 1000


@dataclass
class _Contents:
    """One queue and what it holds."""

    queue: Queue
    messages: dict[str, Message] = field(default_factory=dict)
    states: dict[str, DeliveryState] = field(default_factory=dict)
    line: list[tuple[int, str]] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)
    requests: dict[str, tuple[int, tuple[verbs.SendResult, ...]]] = field(default_factory=dict)
    deduplications: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)

    def count(self, name: str, number: int = 1) -> None:
        self.totals[name] = self.totals.get(name, 0) + number

    def put(self, state: DeliveryState) -> None:
        self.take_out(state.message_id)
        self.states[state.message_id] = state
        if not state.leased:
            insort(self.line, (state.due_at, state.message_id))

    def take_out(self, message_id: str) -> None:
        old = self.states.pop(message_id, None)
        if old is not None and not old.leased:
            self.line.remove((old.due_at, message_id))

    def remove(self, message_id: str) -> Message:
        self.take_out(message_id)
        return self.messages.pop(message_id)

    def ready(self, now: int) -> list[DeliveryState]:
        due = (self.states[message_id] for due_at, message_id in self.line if due_at <= now)
        return [state for state in due if state.expire_time > now]

    def leased_by(self, verb: verbs.Lease) -> list[DeliveryState]:
        live = (state for state in self.states.values() if state.leased and state.due_at > verb.now)
        mine = [state for state in live if state.request_id == verb.request_id]
        return sorted(mine, key=lambda state: state.message_id)

    def deliveries(self, taken: list[DeliveryState]) -> tuple[Delivery, ...]:
        states = (self.states[state.message_id] for state in taken)
        return tuple(selection.delivery(state, self.messages[state.message_id], self.queue) for state in states)

    def forget(self, now: int) -> None:
        self.requests = {key: kept for key, kept in self.requests.items() if kept[0] > now}
        self.deduplications = {key: kept for key, kept in self.deduplications.items() if kept[0] > now}

    def next_end(self) -> int | None:
        ends = [state.due_at for state in self.states.values() if state.leased]
        ends += [self.states[message_id].expire_time for _, message_id in self.line]
        ends += [kept[0] for kept in self.requests.values()]
        ends += [kept[0] for kept in self.deduplications.values()]
        return min(ends, default=None)

    def backlog_bytes(self) -> int:
        return sum(state.size for state in self.states.values())


class MemoryStore:
    """A message store of plain dictionaries; see `queue_service.storage.base`."""

    def __init__(self) -> None:
        self.secret = secrets.token_bytes(16)
        self._contents: dict[str, _Contents] = {}
        self._last_number = 0
        self._run: dict[type[verbs.Verb[Any]], Callable[[Any], Any]] = {
            verbs.SaveQueues: self._save_queues,
            verbs.DeleteQueue: self._delete_queue,
            verbs.ListQueues: self._list_queues,
            verbs.Send: self._send,
            verbs.Lease: self._lease,
            verbs.Settle: self._settle,
            verbs.Expire: self._expire,
            verbs.Stats: self._stats,
        }

    def apply(self, batch: Sequence[verbs.Verb[Any]]) -> list[Any]:
        """Do the verbs in order."""
        return [self._apply(verb) for verb in batch]

    def close(self) -> None:
        """Nothing to release."""

    def _apply(self, verb: verbs.Verb[Any]) -> Any:
        try:
            return self._run[type(verb)](verb)
        except BatonError as error:
            return error

    def _of(self, name: str) -> _Contents:
        if name not in self._contents:
            raise QueueNotFound(name)
        return self._contents[name]

    def _save_queues(self, verb: verbs.SaveQueues) -> tuple[Queue, ...]:
        return tuple(self._save(queue) for queue in verb.queues)

    def _save(self, queue: Queue) -> Queue:
        known = self._contents.get(queue.name)
        if known is not None:
            known.queue = replace(queue, number=known.queue.number)
            return known.queue
        self._last_number += 1
        numbered = replace(queue, number=self._last_number)
        self._contents[queue.name] = _Contents(numbered)
        return numbered

    def _delete_queue(self, verb: verbs.DeleteQueue) -> None:
        contents = self._of(verb.name)
        if contents.messages and not verb.force:
            raise QueueNotEmpty(verb.name, len(contents.messages))
        del self._contents[verb.name]

    def _list_queues(self, _: verbs.ListQueues) -> tuple[Queue, ...]:
        return tuple(self._contents[name].queue for name in sorted(self._contents))

    def _send(self, verb: verbs.Send) -> tuple[verbs.SendResult, ...]:
        contents = self._of(verb.queue)
        repeated = contents.requests.get(verb.request_id)
        if verb.request_id and repeated is not None and repeated[0] > verb.now:
            return repeated[1]
        fresh, results = self._deduplicated(contents, verb)
        if fresh:
            size = contents.backlog_bytes() + sum(message.size for message in fresh)
            check_backlog(contents.queue, len(contents.messages) + len(fresh), size)
        until = verb.now + contents.queue.deduplication_window
        for message in fresh:
            contents.messages[message.message_id] = message
            contents.put(selection.new_state(message))
            if message.deduplication_id:
                kept = (until, message.message_id, message.body.digest())
                contents.deduplications[message.deduplication_id] = kept
        contents.count("sent", len(fresh))
        contents.count("deduplicated", len(results) - len(fresh))
        if verb.request_id:
            contents.requests[verb.request_id] = (until, results)
        return results

    def _deduplicated(
        self, contents: _Contents, verb: verbs.Send
    ) -> tuple[list[Message], tuple[verbs.SendResult, ...]]:
        fresh: list[Message] = []
        results: list[verbs.SendResult] = []
        seen = {key: kept for key, kept in contents.deduplications.items() if kept[0] > verb.now}
        for message in verb.messages:
            key = message.deduplication_id
            if key and key in seen:
                if seen[key][2] != message.body.digest():
                    raise DeduplicationIdReused(key)
                results.append(verbs.SendResult(seen[key][1], deduplicated=True))
                continue
            if key:
                seen[key] = (verb.now, message.message_id, message.body.digest())
            fresh.append(message)
            results.append(verbs.SendResult(message.message_id, deduplicated=False))
        return fresh, tuple(results)

    def _lease(self, verb: verbs.Lease) -> verbs.Leased:
        contents = self._of(verb.queue)
        if verb.request_id and (live := contents.leased_by(verb)):
            return verbs.Leased(contents.deliveries(live), None, 0)
        ready = contents.ready(verb.now)
        if ready and (wait := selection.lingers_until(ready[0].due_at, len(ready), verb)) is not None:
            return verbs.Leased((), wait, len(ready))
        taken = selection.chosen(ready, verb)
        for state in taken:
            contents.put(delivery_state.leased(state, verb.until, verb.consumer_instance, verb.request_id))
        contents.count("delivered", len(taken))
        left = ready[len(taken) :]
        delayed = (due_at for due_at, _ in contents.line if due_at > verb.now)
        next_at = left[0].due_at if left else next(delayed, None)
        return verbs.Leased(contents.deliveries(taken), next_at, min(len(left), COUNT_LIMIT))

    def _settle(self, verb: verbs.Settle) -> verbs.Settled:
        contents = self._of(verb.queue)
        policy = contents.queue.consumer.retry_policy
        effects = Effects()
        for settlement in verb.settlements:
            state = contents.states.get(settlement.lease.message_id)
            transition = delivery_state.settled(state, settlement.lease, settlement.action, policy, verb.now)
            effects.outcomes.append(transition.outcome)
            self._carry_out(contents, settlement.lease.message_id, transition, verb.now, effects)
        return effects.settled()

    def _carry_out(
        self, contents: _Contents, message_id: str, transition: Transition, now: int, effects: Effects
    ) -> None:
        if transition.total:
            contents.count(transition.total)
        if transition.gone:
            contents.remove(message_id)
        elif transition.dead is not None and transition.state is not None:
            self._give_up(contents, transition.state, transition.dead, now, effects)
        elif transition.state is not None:
            contents.put(transition.state)
            if not transition.state.leased:
                effects.ready(contents.queue.name, transition.state.due_at)

    def _give_up(
        self, contents: _Contents, state: DeliveryState, reason: DeadLetterReason, now: int, effects: Effects
    ) -> None:
        message = contents.remove(state.message_id)
        name = contents.queue.consumer.dead_letter_queue
        contents.count("dead_lettered" if name else "dropped")
        contents.count("expired", int(reason is DeadLetterReason.EXPIRED))
        if name:
            destination = self._of(name)
            record = selection.dead_letter(state, message, contents.queue, reason, now)
            moved = selection.as_dead_letter(message, record, destination.queue, now)
            destination.messages[state.message_id] = moved
            destination.put(selection.new_state(moved))
        effects.gave_up(state.message_id, reason, name, now)

    def _expire(self, verb: verbs.Expire) -> verbs.Settled:
        contents = self._of(verb.queue)
        policy = contents.queue.consumer.retry_policy
        effects = Effects()
        for state in [state for state in contents.states.values() if state.leased and state.due_at <= verb.now]:
            self._carry_out(contents, state.message_id, delivery_state.expired(state, policy), verb.now, effects)
        waiting = [contents.states[message_id] for _, message_id in contents.line]
        for state in [state for state in waiting if state.expire_time <= verb.now]:
            self._give_up(contents, state, DeadLetterReason.EXPIRED, verb.now, effects)
        contents.forget(verb.now)
        return effects.settled(contents.next_end())

    def _stats(self, verb: verbs.Stats) -> verbs.QueueStats:
        contents = self._of(verb.queue)
        ready = [due_at for due_at, _ in contents.line if due_at <= verb.now]
        return verbs.QueueStats(
            ready_count=len(ready),
            delayed_count=len(contents.line) - len(ready),
            leased_count=len(contents.states) - len(contents.line),
            backlog_bytes=contents.backlog_bytes(),
            oldest_ready_at=ready[0] if ready else None,
            totals=verbs.Totals(**contents.totals),
        )
