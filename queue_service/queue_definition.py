"""Queues with every default filled in. Durations are microseconds; the bounds stand in the contract's field rules."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from mesh.clock import SECOND

MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed message comes back, whatever failed it."""

    max_retries: int = 3
    initial_delay: int = SECOND
    multiplier: float = 2.0
    max_delay: int = 10 * MINUTE
    jitter: float = 0.2


@dataclass(frozen=True, slots=True)
class PushTarget:
    """Where messages are pushed: BatchHandlerService there, or, when ``method`` is set, that unary method."""

    address: str
    method: str = ""


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """How a queue's messages are handed out."""

    max_batch_size: int = 10
    max_batch_timeout: int = 5 * SECOND
    visibility_timeout: int = 30 * SECOND
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    dead_letter_queue: str = ""
    max_concurrency: int = 10
    max_messages_per_second: float = 0.0
    push: PushTarget | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a queue delivers nothing, and until when; 0: until it is resumed."""

    reason: str = ""
    expire_time: int = 0


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue. ``number`` is the store's own name for it, new with every creation; 0 until it is stored."""

    name: str
    delivery_delay: int = 0
    message_retention: int = 4 * DAY
    deduplication_window: int = 5 * MINUTE
    max_backlog_messages: int = 0
    max_backlog_bytes: int = 0
    consumer: ConsumerSettings = field(default_factory=ConsumerSettings)
    create_time: int = 0
    update_time: int = 0
    number: int = 0
    pause: Pause | None = None

    def paused(self, now: int) -> bool:
        """Whether it delivers nothing at that instant; sends and retention go on."""
        return self.pause is not None and (not self.pause.expire_time or now < self.pause.expire_time)

    @property
    def etag(self) -> str:
        """Changes when, and only when, a settable field does."""
        text = json.dumps(settable(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def settable(queue: Queue) -> dict[str, Any]:
    """The fields a caller may set, as plain data; what `from_settable` takes."""
    plain = asdict(queue)
    for name in ("number", "create_time", "update_time", "pause"):
        del plain[name]
    return plain


def from_settable(plain: dict[str, Any], **kept: Any) -> Queue:
    """The queue that `settable` was made from, with the fields that it leaves out."""
    consumer = dict(plain["consumer"])
    consumer["retry_policy"] = RetryPolicy(**consumer["retry_policy"])
    consumer["push"] = PushTarget(**consumer["push"]) if consumer["push"] else None
    fields = {**plain, "consumer": ConsumerSettings(**consumer)}
    return Queue(**fields, **kept)
