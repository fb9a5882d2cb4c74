"""One queue of the contract's model: its messages, and for each ordering key the one that has its turn."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.support.contract_model_values import Held, Settings, Span

FOREVER = 1 << 62


@dataclass
class Repeat:
    """What is known again for a while: an answer to a request id, or the message of a deduplication id."""

    until: int
    answer: list[tuple[str, bool]]
    body: str = ""


@dataclass
class ModelQueue:
    name: str
    settings: Settings
    messages: dict[str, Held] = field(default_factory=dict)
    turns: dict[str, str] = field(default_factory=dict)
    #: Keys that got messages while time passed: which of those came first, only the broker knows.
    open_turns: set[str] = field(default_factory=set)
    totals: Counter[str] = field(default_factory=Counter)
    requests: dict[str, Repeat] = field(default_factory=dict)
    deduplications: dict[str, Repeat] = field(default_factory=dict)
    paused_until: int = 0

    def add(self, message: Held) -> None:
        self.messages[message.message_id] = message
        if message.spec.key:
            self.turns.setdefault(message.spec.key, message.message_id)

    def remove(self, message_ids: Iterable[str], when: Span) -> list[Held]:
        """Take messages out; the oldest send of each key that lost its turn is next."""
        gone = [self.messages.pop(message_id) for message_id in message_ids]
        for message in gone:
            key = message.spec.key
            if key and self.turns.get(key) == message.message_id:
                del self.turns[key]
        for key in {message.spec.key for message in gone} - {""} - self.turns.keys():
            waiting = [other for other in self.messages.values() if other.spec.key == key]
            if waiting:
                self.give_turn(min(waiting, key=lambda other: other.order), when)
        return gone

    def give_turn(self, message: Held, when: Span) -> None:
        self.turns[message.spec.key] = message.message_id
        message.ready = max(message.ready[0], when[0]), max(message.ready[1], when[1])

    def has_turn(self, message: Held) -> bool:
        return not message.spec.key or self.turns[message.spec.key] == message.message_id

    def ready(self, now: int) -> list[Held]:
        """What could be delivered, in order: by the instant at which it became so, then by age."""
        found = (m for m in self.messages.values() if not m.leased and self.has_turn(m))
        due = [message for message in found if message.ready[1] <= now < message.expires]
        return sorted(due, key=lambda message: (message.ready[1], message.order))

    def chosen(self, codes: frozenset[str], ids: frozenset[str], sent_before: int = FOREVER) -> Iterator[Held]:
        """The messages that a filter means: all of its criteria, none where it is empty."""
        for message in self.messages.values():
            if codes and message.newest_code not in codes:
                continue
            if (not ids or message.message_id in ids) and message.sent[1] < sent_before:
                yield message
