"""The nouns of the contract's model: plain values of its own, so that nothing of the broker's can explain itself.

Instants are microseconds. What the contract leaves open within bounds is a `Span`; a look at the broker closes it.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

SECOND = 1_000_000
#: "Moved or dropped within 60 s" of its expiration.
EXPIRY_LIBERTY = 60 * SECOND
#: "The window may last up to a minute longer."
WINDOW_LIBERTY = 60 * SECOND
KEPT_FAILURES = 10
LEASE_EXPIRED = "LEASE_EXPIRED"

Span = tuple[int, int]


@dataclass
class Settings:
    """What the model needs to know of a queue; durations in microseconds."""

    delivery_delay: int = 0
    retention: int = 300 * SECOND
    window: int = 60 * SECOND
    max_backlog: int = 0
    visibility: int = 30 * SECOND
    batch: int = 10
    max_retries: int = 2
    initial_delay: int = 10 * SECOND
    multiplier: float = 2.0
    max_delay: int = 60 * SECOND
    dead_letters: str = ""

    def wait(self, failures: int) -> int:
        """min(initial * multiplier^(failures - 1), max)."""
        return round(min(self.initial_delay * self.multiplier ** (failures - 1), self.max_delay))


class Spec(NamedTuple):
    """A message as a producer states it."""

    text: str
    key: str = ""
    deduplication_id: str = ""
    delay: int | None = None
    deliver_time: int | None = None
    ttl: int | None = None
    expire_time: int | None = None
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def size(self) -> int:
        """Bytes of body and attributes."""
        return len(self.text.encode()) + sum(len(key) + len(value.encode()) for key, value in self.attributes)


class Story(NamedTuple):
    """A failure as it is shown."""

    attempt: int
    time: int
    instance: str
    code: str
    description: str


@dataclass(frozen=True)
class Failure:
    """A failure as the model knows it. A settlement that comes before the end of its lease was noticed may be taken for
    either: that end, or the consumer's own word."""

    attempt: int
    time: Span
    instance: str
    said: tuple[tuple[str, str], ...]

    def told_by(self, story: Story) -> bool:
        alike = (story.attempt, story.instance) == (self.attempt, self.instance)
        return alike and self.time[0] <= story.time <= self.time[1] and (story.code, story.description) in self.said

    def closed(self, story: Story) -> "Failure":
        return replace(self, time=(story.time, story.time), said=((story.code, story.description),))


class DeathShown(NamedTuple):
    """A dead letter's record as it is shown."""

    reason: str
    source: str
    attempts: int
    source_send_time: int
    time: int
    failures: tuple[Story, ...]
    redrives: int


@dataclass(frozen=True)
class Death:
    """A dead letter's record as the model knows it; its time is the message's new send_time."""

    reason: str
    source: str
    attempts: int
    source_send_time: int
    time: Span
    failures: tuple[Failure, ...]
    redrives: int = 0


class Seen(NamedTuple):
    """A message as a look at the broker shows it. ``ready_time`` is None for one that waits for its key."""

    message_id: str
    place: str
    attempt: int
    deliveries: int
    ready_time: int | None
    lease_end: int | None
    failures: tuple[Story, ...]
    text: str
    attributes: tuple[tuple[str, str], ...]
    key: str
    deduplication_id: str
    send_time: int
    deliver_time: int | None
    expire_time: int
    death: DeathShown | None


class Given(NamedTuple):
    """A delivery as a consumer gets it."""

    lease_id: str
    message_id: str
    attempt: int
    deliveries: int
    last: bool
    lease_end: int
    text: str


class Counted(NamedTuple):
    """A queue's figures as the broker shows them."""

    ready: int
    delayed: int
    leased: int
    size: int
    oldest_ready: int | None
    totals: dict[str, int]


@dataclass
class Hold:
    """A lease. ``over``: it ran out and the message came back; a settlement of it is late from then on."""

    lease_id: str
    until: int
    instance: str = ""
    request_id: str = ""
    over: bool = False


@dataclass
class Held:
    """A message in its queue."""

    message_id: str
    order: int
    spec: Spec
    sent: Span
    deliver_time: int | None
    kept: int
    ready: Span
    expire_time: int | None = None
    death: Death | None = None
    failures: list[Failure] = field(default_factory=list)
    failed: int = 0
    deliveries: int = 0
    lease: Hold | None = None
    back: Span = (0, 0)

    @property
    def leased(self) -> bool:
        """Whether a consumer has it, as far as was noticed."""
        return self.lease is not None and not self.lease.over

    @property
    def expires(self) -> int:
        """When it is given up at the earliest."""
        return self.sent[0] + self.kept if self.expire_time is None else self.expire_time

    @property
    def newest_code(self) -> str:
        """The code of its newest failure, here or, of a dead letter, in the queue it came from."""
        known = self.failures or (list(self.death.failures) if self.death else [])
        return known[0].said[0][0] if known else ""
