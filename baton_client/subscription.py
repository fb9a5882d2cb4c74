"""What a consumer wants of a queue: how many messages at once, in which batches, for how long."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol

from baton.queue.v1 import consumer_service_pb2 as pb
from baton.queue.v1 import message_pb2

#: Single messages worked on at once, where a consumer does not say.
CONCURRENCY = 16
#: Messages of a batch, where a consumer does not say.
BATCH_SIZE = 100
#: Seconds of a lease until the broker has said how long it is.
UNKNOWN_LEASE = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A consumer's own settings.

    Attributes:
        queue: the queue's name.
        batched: whether its handler takes batches.
        concurrency: messages, or batches, worked on at once.
        prefetch: messages, or batches, that may wait here for their turn.
        max_batch_size: messages of a batch at most.
        max_batch_timeout: how long the first message of a batch waits for the others; None: the queue's own.
        visibility_timeout: how long a lease lasts before it is renewed or lost; None: the queue's own.
        timeout: how long a handler may take; None: as long as it likes, its leases are renewed meanwhile.
        mode: one stream, or one pull after the other.
        consumer_instance: this consumer's name, for the record of a failure.
    """

    queue: str
    batched: bool = False
    concurrency: int = CONCURRENCY
    prefetch: int = 0
    max_batch_size: int = BATCH_SIZE
    max_batch_timeout: timedelta | None = None
    visibility_timeout: timedelta | None = None
    timeout: timedelta | None = None
    mode: Literal["stream", "pull"] = "stream"
    consumer_instance: str = ""

    def __post_init__(self) -> None:
        bounds = {"concurrency": (self.concurrency, 1, 10_000), "prefetch": (self.prefetch, 0, 10_000)}
        bounds["max_batch_size"] = (self.max_batch_size, 1, 1000)
        for name, (number, least, most) in bounds.items():
            if not least <= number <= most:
                raise ValueError(f"{name} must be from {least} to {most}, is {number}")
        for name in ("max_batch_timeout", "visibility_timeout", "timeout"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, timedelta):
                raise TypeError(f"{name} must be a timedelta, is {value!r}")
        if self.timeout is not None and self.timeout <= timedelta():
            raise ValueError(f"timeout must be more than nothing, is {self.timeout}")
        if self.mode not in {"stream", "pull"}:
            raise ValueError(f"mode must be stream or pull, is {self.mode!r}")

    @property
    def at_once(self) -> int:
        """Messages that one piece of work takes at most."""
        return self.max_batch_size if self.batched else 1

    @property
    def window(self) -> int:
        """Messages that may be here, unsettled, at most."""
        return min(100_000, (self.concurrency + self.prefetch) * self.at_once)


class Held(Protocol):
    """The messages that are here."""

    @property
    def count(self) -> int:
        """How many."""

    async def change(self) -> None:
        """Wait until that changes."""

    def let_go(self, lease_id: str) -> None:
        """This one is not the consumer's any more."""

    def lost(self) -> None:
        """None of those so far is the consumer's any more."""


class Source(Protocol):
    """Where a consumer's messages come from, and where it says what became of them."""

    @property
    def lease(self) -> float:
        """Seconds that a lease lasts."""

    def batches(self, held: Held) -> AsyncGenerator[Sequence[message_pb2.LeasedMessage], None]:
        """Deliveries, in lists, until the source is drained and finished; reconnects by itself.

        Args:
            held: what is here, for a source that has to count it itself.

        Raises:
            CallError: the queue is not there, is pushed, or may not be consumed.
        """

    async def settle(self, settlements: Sequence[message_pb2.Settlement]) -> Sequence[message_pb2.SettlementResult]:
        """One call; raises CallError."""

    async def extend(self, lease_ids: Sequence[str]) -> Sequence[pb.LeaseExtension]:
        """One call; raises CallError."""

    async def drain(self) -> None:
        """Ask for no more messages, and return when no more come."""

    def finish(self) -> None:
        """Everything is settled: let `batches` end."""
