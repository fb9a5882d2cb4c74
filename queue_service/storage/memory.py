"""The store in memory: nothing survives the process. For tests, and as the plain statement of what a store does."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mesh.errors import BatonError
from queue_service import delivery_state
from queue_service.delivery_state import DeliveryState, Transition
from queue_service.errors import DeduplicationIdReused, QueueNotEmpty, QueueNotFound
from queue_service.message import DeadLetterReason, Message
from queue_service.queue_definition import Queue
from queue_service.redrive import RedriveState, RedriveTask, destination_of, nowhere_to_go, redriven
from queue_service.storage import selection, verbs, views
from queue_service.storage.memory_queue import MemoryQueue
from queue_service.storage.selection import Effects, check_backlog


class MemoryStore:
    """A message store of plain dictionaries; see `queue_service.storage.base`."""

    def __init__(self) -> None:
        self.secret = secrets.token_bytes(16)
        self._contents: dict[str, MemoryQueue] = {}
        self._last_number = 0
        self.redrive_tasks: dict[str, RedriveTask] = {}
        self._run: dict[type[verbs.Verb[Any]], Callable[[Any], Any]] = {
            verbs.SaveQueues: self._save_queues,
            verbs.DeleteQueue: self._delete_queue,
            verbs.Send: self._send,
            verbs.Lease: self._lease,
            verbs.Settle: self._settle,
            verbs.Expire: self._expire,
            verbs.Stats: self._stats,
            verbs.Peek: self._peek,
            verbs.Purge: self._purge,
            verbs.Redrive: self._redrive,
        }

    @property
    def queues(self) -> Mapping[str, Queue]:
        """Every queue, by its name."""
        return {name: contents.queue for name, contents in self._contents.items()}

    @property
    def newest_id(self) -> str:
        """The greatest id of the messages there are."""
        return max((key for contents in self._contents.values() for key in contents.messages), default="")

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

    def _of(self, name: str) -> MemoryQueue:
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
        self._contents[queue.name] = MemoryQueue(numbered)
        return numbered

    def _delete_queue(self, verb: verbs.DeleteQueue) -> None:
        contents = self._of(verb.name)
        if contents.messages and not verb.force:
            raise QueueNotEmpty(verb.name, len(contents.messages))
        del self._contents[verb.name]

    def _send(self, verb: verbs.Send) -> tuple[verbs.SendResult, ...]:
        contents = self._of(verb.queue)
        answered = contents.requests.get(verb.request_id)
        if verb.request_id and answered is not None and answered[0] > verb.now:
            return selection.repeated(verb, answered[1])
        fresh, results = self._deduplicated(contents, verb)
        if fresh:
            size = contents.backlog_bytes() + sum(message.size for message in fresh)
            check_backlog(contents.queue, len(contents.messages) + len(fresh), size)
        until = verb.now + contents.queue.deduplication_window
        for message in fresh:
            contents.store(message)
            if message.deduplication_id:
                kept = (until, message.message_id, message.digest)
                contents.deduplications[message.deduplication_id] = kept
        contents.count("sent", len(fresh))
        contents.count("deduplicated", len(results) - len(fresh))
        if verb.request_id:
            contents.requests[verb.request_id] = (until, results)
        return results

    def _deduplicated(
        self, contents: MemoryQueue, verb: verbs.Send
    ) -> tuple[list[Message], tuple[verbs.SendResult, ...]]:
        fresh: list[Message] = []
        results: list[verbs.SendResult] = []
        seen = {key: kept for key, kept in contents.deduplications.items() if kept[0] > verb.now}
        for message in verb.messages:
            key = message.deduplication_id
            if key and key in seen:
                if seen[key][2] != message.digest:
                    raise DeduplicationIdReused(key)
                results.append(verbs.SendResult(seen[key][1], deduplicated=True))
                continue
            if key:
                seen[key] = (verb.now, message.message_id, message.digest)
            fresh.append(message)
            results.append(verbs.SendResult(message.message_id, deduplicated=False))
        return fresh, tuple(results)

    def _lease(self, verb: verbs.Lease) -> verbs.Leased:
        contents = self._of(verb.queue)
        if verb.request_id and (live := contents.leased_by(verb)):
            return verbs.Leased(contents.deliveries(live), None, 0)
        ready = contents.ready(verb.now)
        if ready and (wait := selection.lingers_until(ready[0].due_at, len(ready), verb)) is not None:
            return verbs.Leased((), wait, 0)
        taken = selection.chosen(ready, verb)
        for state in taken:
            contents.put(
                delivery_state.leased(
                    state, verb.until, verb.consumer_instance, verb.request_id, attached=verb.attached
                )
            )
        contents.count("delivered", len(taken))
        left = ready[len(taken) :]
        delayed = (due_at for due_at, _ in contents.line if due_at > verb.now)
        next_at = left[0].due_at if left else next(delayed, None)
        return verbs.Leased(contents.deliveries(taken), next_at, min(len(left), selection.COUNT_LIMIT))

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
        self, contents: MemoryQueue, message_id: str, transition: Transition, now: int, effects: Effects
    ) -> None:
        if transition.total:
            contents.count(transition.total)
        if transition.gone:
            contents.remove(message_id, now, effects)
        elif transition.dead is not None and transition.state is not None:
            self._give_up(contents, transition.state, transition.dead, now, effects)
        elif transition.state is not None:
            contents.put(transition.state)
            if not transition.state.leased:
                effects.ready(contents.queue.name, transition.state.due_at)

    def _give_up(
        self, contents: MemoryQueue, state: DeliveryState, reason: DeadLetterReason, now: int, effects: Effects
    ) -> None:
        message = contents.remove(state.message_id, now, effects)
        name = contents.queue.consumer.dead_letter_queue
        contents.count("dead_lettered" if name else "dropped")
        contents.count("expired", int(reason is DeadLetterReason.EXPIRED))
        if name:
            destination = self._of(name)
            record = selection.dead_letter(state, message, contents.queue, reason, now)
            moved = selection.as_dead_letter(message, record, destination.queue, now)
            destination.store(moved, state.serial)
        effects.gave_up(state.message_id, reason, name, now)

    def _expire(self, verb: verbs.Expire) -> verbs.Settled:
        contents = self._of(verb.queue)
        policy = contents.queue.consumer.retry_policy
        effects = Effects()
        for state in [s for s in contents.states.values() if verb.restarted and s.leased and s.attached]:
            orphaned = delivery_state.orphaned(state, verb.now)
            self._carry_out(contents, state.message_id, orphaned, verb.now, effects)
        for state in [state for state in contents.states.values() if state.leased and state.due_at <= verb.now]:
            self._carry_out(contents, state.message_id, delivery_state.expired(state, policy), verb.now, effects)
        for state in [s for s in contents.states.values() if not s.leased and s.expire_time <= verb.now]:
            self._give_up(contents, contents.states[state.message_id], DeadLetterReason.EXPIRED, verb.now, effects)
        contents.forget(verb.now)
        return effects.settled(contents.next_end())

    def _stats(self, verb: verbs.Stats) -> views.QueueStats:
        contents = self._of(verb.queue)
        ready = [due_at for due_at, _ in contents.line if due_at <= verb.now]
        states = contents.states.values()
        return views.QueueStats(
            ready_count=len(ready),
            delayed_count=sum(state.blocked or (not state.leased and state.due_at > verb.now) for state in states),
            leased_count=sum(state.leased for state in states),
            backlog_bytes=contents.backlog_bytes(),
            oldest_ready_at=ready[0] if ready else None,
            totals=views.Totals(**contents.totals),
        )

    def _peek(self, verb: verbs.Peek) -> tuple[views.Peeked, ...]:
        contents = self._of(verb.queue)
        found = contents.chosen(verb.filter, verb.now)
        if (after := verb.after) is not None:
            edge = (after.rank, after.due_at, after.message_id)
            found = [state for state in found if (state.rank, state.due_at, state.message_id) > edge]
        page = selection.fitting(found, verb)
        return tuple(selection.peeked(state, contents.messages[state.message_id], verb.now) for state in page)

    def _purge(self, verb: verbs.Purge) -> verbs.Settled:
        contents, effects = self._of(verb.queue), Effects()
        wanted = replace(verb.filter, places=frozenset())
        going = [s for s in contents.chosen(wanted, verb.now) if not (verb.cancel and s.leased)]
        if verb.force:
            contents.remove_all(going, verb.now, effects)
            contents.count("cancelled" if verb.cancel else "purged", len(going))
        return effects.settled(count=len(going))

    def _redrive(self, verb: verbs.Redrive) -> verbs.Redriven:
        effects, task = Effects(), verb.task
        if verb.limit and task.state is RedriveState.RUNNING:
            task = self._redrive_step(task, verb, effects)
        self.redrive_tasks[task.redrive_task_id] = task
        return verbs.Redriven(task, effects.settled())

    def _redrive_step(self, task: RedriveTask, verb: verbs.Redrive, effects: Effects) -> RedriveTask:
        contents, limit = self._of(task.queue), min(verb.limit, task.left)
        chosen = contents.chosen(selection.redrive_filter(task), verb.now)
        found = [state for state in chosen if not state.leased and state.message_id > task.position]
        going = sorted(found, key=lambda state: state.message_id)[:limit]
        ids = [state.message_id for state in going]
        for number, state in enumerate(going):
            name = destination_of(task, contents.messages[state.message_id])
            if name not in self._contents:
                return task.moved(ids[:number], finished=False).failed(nowhere_to_go(state.message_id, name))
            message = contents.remove(state.message_id, verb.now, effects)
            self._contents[name].store(redriven(message, self._contents[name].queue, verb.now), state.serial)
            contents.count("redriven")
            effects.ready(name, verb.now)
        return task.moved(ids, finished=len(ids) < limit)
