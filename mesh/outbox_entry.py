"""What waits in an outbox, and what becomes of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One message on its way to the broker, or to be taken back: a serialised protobuf message and the queue it is for.

    Args:
        entry_id: the message's deduplication id too.
        queue: where it goes.
        type_name: the full name of the protobuf message.
        value: the message, serialised.
        attributes: what goes with it.
        order_key: entries of one key are handed over in the order in which they were added, and one that waits holds
            back those behind it. Empty: in any order.
        withdraw: the message is not to be sent but taken back.
        message_id: of a message to be taken back, where it is known.
    """

    entry_id: str
    queue: str
    type_name: str
    value: bytes
    attributes: Mapping[str, str]
    order_key: str = ""
    withdraw: bool = False
    message_id: str = ""


class HandOver(Enum):
    """What became of an entry."""

    SENT = auto()
    WITHDRAWN = auto()
    #: The broker had the message and has it no more: news of it comes, or came, another way.
    GONE = auto()


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What became of an entry, and the id of its message; empty where it has none."""

    what: HandOver
    message_id: str


@dataclass(frozen=True, slots=True)
class OutboxDepth:
    """How many entries wait, since when the oldest does, and the error of the longest waiting one that has one."""

    count: int
    oldest: int | None
    last_error: str

    def age(self, now: int) -> int:
        """How long the oldest has waited, in microseconds; 0 when none waits, or the clock went back."""
        return 0 if self.oldest is None else max(0, now - self.oldest)


def in_lines(entries: Sequence[OutboxEntry]) -> Sequence[Sequence[OutboxEntry]]:
    """The entries in lines that go one after the other; what is in one line may go at once: no key is in it twice."""
    lines: list[list[OutboxEntry]] = []
    of_key: Counter[str] = Counter()
    for entry in entries:
        number = of_key[entry.order_key]
        if entry.order_key:
            of_key[entry.order_key] += 1
        if number == len(lines):
            lines.append([])
        lines[number].append(entry)
    return lines
