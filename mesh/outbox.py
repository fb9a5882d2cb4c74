"""The outbox: what a service wants to tell the broker, stored in the transaction that made it true.

The relay hands entries over oldest first and marks them sent. An entry that is sent again because an answer was lost is
stored by the broker once: its id is its deduplication id.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

import grpc

from baton.queue.v1 import message_pb2, producer_service_pb2
from mesh.clock import Clock, microseconds, sleep_until
from mesh.status import RemoteError, read_error
from mesh.task_set import begin_loop
from mesh.telemetry import get_logger

if TYPE_CHECKING:  # the asynchronous stub is a type only: at run time there is one stub for both
    from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceAsyncStub

log = get_logger(__name__)

#: Entries handed over in one call; far under the contract's 1,000 messages and 3 MiB.
BATCH = 100
#: First wait after the broker could not be reached; doubles up to the longest.
FIRST_BACKOFF = timedelta(milliseconds=200)
LONGEST_BACKOFF = timedelta(seconds=5)
#: Wait before an entry that the broker refused by itself is tried again.
REFUSED_BACKOFF = timedelta(seconds=30)

# The broker is away or asks for patience: every entry waits. Any other code is about the entries that were sent.
_PATIENCE = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN", "CANCELLED"})


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One message on its way to the broker: a serialised protobuf message and the queue it is for."""

    entry_id: str
    queue: str
    type_name: str
    value: bytes
    attributes: Mapping[str, str]


class OutboxStore(Protocol):
    """Where entries wait. Implementations hop to their own thread."""

    async def pending(self, now: int, limit: int) -> Sequence[OutboxEntry]:
        """The oldest entries that are neither sent nor postponed beyond ``now``."""

    async def next_pending_at(self) -> int | None:
        """The instant at which the next entry may be sent; None when none is left."""

    async def mark_sent(self, message_ids: Mapping[str, str]) -> None:
        """Note, by entry id, the message id that the broker gave."""

    async def postpone(self, entry_id: str, until: int, error: str) -> None:
        """Try an entry again no earlier than ``until``."""


class OutboxRelay:
    """The loop that empties an outbox.

    Args:
        store: where entries wait.
        producer: the broker.
        clock: for back-off.
        timeout: seconds one hand-over may take.
    """

    def __init__(
        self, store: OutboxStore, producer: "ProducerServiceAsyncStub", clock: Clock, *, timeout: float = 5.0
    ) -> None:
        self._store, self._producer, self._clock, self._timeout = store, producer, clock, timeout
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._backoff = FIRST_BACKOFF

    def start(self) -> None:
        """Begin, with whatever an earlier run left behind."""
        self._wake.set()
        self._task = begin_loop(self._run(), "outbox relay")

    def wake(self) -> None:
        """An entry was committed: hand it over now."""
        self._wake.set()

    async def stop(self) -> None:
        """Stop; what is not handed over stays in the store. Safe twice, and before `start`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._wait()
                await self._empty()
                self._backoff = FIRST_BACKOFF
            except Exception as error:  # the relay outlives every failure: an entry must not be stranded
                await self._back_off(error)

    async def _wait(self) -> None:
        due = await self._store.next_pending_at()
        timer = None if due is None else self._clock.call_at(due, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            self._wake.clear()
            if timer is not None:
                timer.cancel()

    async def _empty(self) -> None:
        while entries := await self._store.pending(self._clock.now(), BATCH):
            for queue, group in groupby(entries, key=lambda entry: entry.queue):
                await self._hand_over(queue, list(group))

    async def _hand_over(self, queue: str, entries: Sequence[OutboxEntry]) -> None:
        request = producer_service_pb2.SendMessagesRequest(queue=queue, messages=[_message(entry) for entry in entries])
        try:
            response = await self._producer.SendMessages(request, timeout=self._timeout, wait_for_ready=True)
        except grpc.RpcError as error:
            await self._refused(queue, entries, read_error(error), error)
            return
        ids = {entry.entry_id: result.message_id for entry, result in zip(entries, response.results, strict=True)}
        await self._store.mark_sent(ids)
        log.info("outbox entries handed over", action="outbox_handed_over", queue=queue, count=len(ids))

    async def _refused(
        self, queue: str, entries: Sequence[OutboxEntry], refusal: RemoteError, error: grpc.RpcError
    ) -> None:
        too_large = refusal.code == "RESOURCE_EXHAUSTED" and not refusal.reason  # gRPC's own limit, not the broker's
        if refusal.code in _PATIENCE and not too_large:
            raise error
        if len(entries) > 1:  # one bad entry must not hold up its neighbours
            for entry in entries:
                await self._hand_over(queue, [entry])
            return
        until = self._clock.now() + microseconds(REFUSED_BACKOFF)
        await self._store.postpone(entries[0].entry_id, until, str(refusal))
        log.error(
            "the broker refused an outbox entry; it is kept and tried again",
            action="outbox_entry_refused",
            queue=queue,
            entry_id=entries[0].entry_id,
            error=str(refusal),
        )

    async def _back_off(self, error: Exception) -> None:
        reason = str(read_error(error)) if isinstance(error, grpc.RpcError) else repr(error)
        seconds = self._backoff.total_seconds()
        log.warning("the outbox waits", action="outbox_backed_off", seconds=seconds, error=reason)
        await sleep_until(self._clock, self._clock.now() + microseconds(self._backoff))
        self._backoff = min(self._backoff * 2, LONGEST_BACKOFF)
        self._wake.set()


def _message(entry: OutboxEntry) -> message_pb2.QueueMessage:
    return message_pb2.QueueMessage(
        typed=message_pb2.TypedBody(type_name=entry.type_name, value=entry.value),
        attributes=entry.attributes,
        deduplication_id=entry.entry_id,
    )
