"""One queue of the store in memory, with what it holds."""

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field

from queue_service.delivery_state import DeliveryState, Rank, unblocked
from queue_service.message import Delivery, Message
from queue_service.queue_definition import Queue
from queue_service.storage import selection, verbs, views
from queue_service.storage.selection import Effects


@dataclass
class MemoryQueue:
    """Messages, their states, and the line: those that are neither leased nor blocked, by the time they are due."""

    queue: Queue
    messages: dict[str, Message] = field(default_factory=dict)
    states: dict[str, DeliveryState] = field(default_factory=dict)
    line: list[tuple[int, str]] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)
    requests: dict[str, tuple[int, tuple[verbs.SendResult, ...]]] = field(default_factory=dict)
    deduplications: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)

    def count(self, name: str, number: int = 1) -> None:
        """Let a total rise."""
        self.totals[name] = self.totals.get(name, 0) + number

    def store(self, message: Message, serial: int = 0) -> None:
        """Take a message in: behind the others of its ordering key, if there are any."""
        state = selection.new_state(message, serial)
        key = message.ordering_key
        if key and any(other.ordering_key == key for other in self.states.values()):
            state = selection.blocked(state)
        self.messages[message.message_id] = message._replace(digest=b"")
        self.put(state)

    def put(self, state: DeliveryState) -> None:
        """Keep the new state of a message."""
        self._take_out(state.message_id)
        self.states[state.message_id] = state
        if state.rank is Rank.LINE:
            insort(self.line, (state.due_at, state.message_id))

    def remove(self, message_id: str, now: int, effects: Effects) -> Message:
        """Take a message out for good, and let its ordering key go on."""
        message = self.messages[message_id]
        self.remove_all([self.states[message_id]], now, effects)
        return message

    def remove_all(self, states: Sequence[DeliveryState], now: int, effects: Effects) -> None:
        """Take messages out for good, and let their ordering keys go on."""
        for state in states:
            self._take_out(state.message_id)
            del self.messages[state.message_id]
        for key in sorted({state.ordering_key for state in states if not state.blocked} - {""}):
            waiting = (other for other in self.states.values() if other.ordering_key == key)
            following = min(waiting, key=lambda other: other.message_id, default=None)
            if following is not None:
                self.put(unblocked(following, now))
                effects.ready(self.queue.name, self.states[following.message_id].due_at)

    def _take_out(self, message_id: str) -> None:
        old = self.states.pop(message_id, None)
        if old is not None and old.rank is Rank.LINE:
            self.line.remove((old.due_at, message_id))

    def ready(self, now: int) -> list[DeliveryState]:
        """What can be delivered, in order."""
        due = (self.states[message_id] for due_at, message_id in self.line if due_at <= now)
        return [state for state in due if state.expire_time > now]

    def leased_by(self, verb: verbs.Lease) -> list[DeliveryState]:
        """The live leases of an earlier call with the same request id."""
        live = (state for state in self.states.values() if state.leased and state.due_at > verb.now)
        mine = [state for state in live if state.request_id == verb.request_id]
        return sorted(mine, key=lambda state: state.message_id)

    def deliveries(self, taken: list[DeliveryState]) -> tuple[Delivery, ...]:
        """What a consumer of these leased messages is handed."""
        states = (self.states[state.message_id] for state in taken)
        return tuple(selection.delivery(state, self.messages[state.message_id], self.queue) for state in states)

    def chosen(self, wanted: views.Filter, now: int) -> list[DeliveryState]:
        """The messages a filter means, in the order of a peek."""
        fits = (s for s in self.states.values() if selection.fits(s, self.messages[s.message_id], wanted, now))
        return sorted(fits, key=lambda state: (state.rank, state.due_at, state.message_id))

    def forget(self, now: int) -> None:
        """Drop what recognised repeats until now."""
        self.requests = {key: kept for key, kept in self.requests.items() if kept[0] > now}
        self.deduplications = {key: kept for key, kept in self.deduplications.items() if kept[0] > now}

    def next_end(self) -> int | None:
        """When the next lease, message or repeat is over."""
        ends = [state.due_at if state.leased else state.expire_time for state in self.states.values()]
        ends += [kept[0] for kept in self.requests.values()]
        ends += [kept[0] for kept in self.deduplications.values()]
        return min(ends, default=None)

    def backlog_bytes(self) -> int:
        """Bytes of all messages."""
        return sum(state.size for state in self.states.values())
