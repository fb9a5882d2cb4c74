"""A message in a handler's hands, and a batch of them."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar, overload

from baton.queue.v1 import message_pb2 as pb
from baton_client.lease_outcome import LeaseOutcome
from baton_client.outcome import Ack, Outcome, Reject, Release, Retry

log = logging.getLogger(__name__)

T = TypeVar("T")

Settling = asyncio.Future[LeaseOutcome]
Settle = Callable[[pb.Settlement], Settling]


class Message(Generic[T]):
    """One delivery of a message. What is said of it first counts, at the moment the broker has it.

    Attributes:
        body: what was sent, as the handler asked for it.
        queue: where it came from.
        raw: the message as it came over the wire.
        lease_id: the broker's name for this delivery.
        attempt: 1 + the failures so far.
        last_attempt: whether a failure of this one is final.
        delivery_count: deliveries, this one included; more than ``attempt`` after a release.
    """

    def __init__(self, leased: pb.LeasedMessage, queue: str, body: T, settle: Settle) -> None:
        self.body, self.queue, self.raw = body, queue, leased.message
        self.lease_id, self.attempt, self.last_attempt = leased.lease_id, leased.attempt, leased.last_attempt
        self.delivery_count = leased.delivery_count
        self._settle = settle
        self._settling: Settling | None = None

    def __repr__(self) -> str:
        return f"<Message {self.id} of {self.queue}, attempt {self.attempt}>"

    @property
    def id(self) -> str:
        """The message's id: the same in every delivery, in the dead letter queue too."""
        return self.raw.message_id

    @property
    def attributes(self) -> Mapping[str, str]:
        """The strings that travel beside the body."""
        return self.raw.attributes

    @property
    def ordering_key(self) -> str:
        """The key in whose order it was delivered; empty for none."""
        return self.raw.ordering_key

    @property
    def send_time(self) -> datetime:
        """When it was sent."""
        return self.raw.send_time.ToDatetime(UTC)

    @property
    def dead_letter(self) -> pb.DeadLetter | None:
        """Where a dead letter comes from, and what it failed with there; None for any other message."""
        return self.raw.dead_letter if self.raw.HasField("dead_letter") else None

    @property
    def settled(self) -> bool:
        """Whether something has been said of it."""
        return self._settling is not None

    def settle(self, outcome: Outcome) -> Settling:
        """Say what is to become of it. Nobody has to await the answer; who does learns what the broker made of it.

        Raises:
            CallError: (awaited) the broker refused.
            Closed: (awaited) the consumer ended before the broker answered.
        """
        if self._settling is None:
            self._settling = self._settle(outcome.settlement(self.lease_id))
        else:
            log.warning("%r was settled before: the first settlement counts", self)
        return self._settling

    def ack(self) -> Settling:
        """Done."""
        return self.settle(Ack())

    def retry(self, delay: timedelta | None = None, *, code: str = "", description: str = "") -> Settling:
        """Failed: again later; see `baton_client.Retry`."""
        return self.settle(Retry(delay, code=code, description=description))

    def release(self, delay: timedelta = timedelta()) -> Settling:
        """Not now: again later, at no cost."""
        return self.settle(Release(delay))

    def reject(self, code: str, description: str = "") -> Settling:
        """Never again: to the dead letter queue."""
        return self.settle(Reject(code, description))


class Batch(Sequence[Message[T]]):
    """Messages that a handler takes together. Each is settled on its own; what is not, as the handler ends."""

    def __init__(self, queue: str, messages: Sequence[Message[T]]) -> None:
        self.queue, self._messages = queue, tuple(messages)

    def __len__(self) -> int:
        return len(self._messages)

    @overload
    def __getitem__(self, index: int) -> Message[T]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Message[T]]: ...

    def __getitem__(self, index: int | slice) -> Message[T] | Sequence[Message[T]]:
        return self._messages[index]

    def __iter__(self) -> Iterator[Message[T]]:
        return iter(self._messages)

    def ack_all(self) -> None:
        """Ack what nothing has been said of yet."""
        self.settle_rest(Ack())

    def retry_all(self, delay: timedelta | None = None, *, code: str = "", description: str = "") -> None:
        """Retry what nothing has been said of yet."""
        self.settle_rest(Retry(delay, code=code, description=description))

    def settle_rest(self, outcome: Outcome) -> None:
        """Say the same of everything that nothing has been said of yet."""
        for message in self._messages:
            if not message.settled:
                message.settle(outcome)
