"""The outbox: what a service wants to tell the broker, stored in the transaction that made it true.

The relay hands entries over oldest first and notes what became of them. An entry that is sent again because an answer
was lost is stored by the broker once: its id is its deduplication id. Entries of one order key go one behind the other.
An entry may also take back, before it is delivered, what an earlier one sent.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import grpc

from mesh.clock import SECOND, Clock, microseconds, sleep
from mesh.outbox_call import OutboxCall, Refused
from mesh.outbox_entry import HandedOver, HandOver, OutboxDepth, OutboxEntry, in_lines
from mesh.status import read_error
from mesh.task_set import begin_loop
from mesh.telemetry import get_logger

if TYPE_CHECKING:  # the asynchronous stub is a type only: at run time there is one stub for both
    from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceAsyncStub

log = get_logger(__name__)

#: Entries handed over in one call; far under the contract's 1,000 messages and 3 MiB.
BATCH = 100
#: Messages taken back at a time: each is a call of its own.
WITHDRAWALS = 16
#: First wait after the broker could not be reached; doubles up to the longest.
FIRST_BACKOFF = timedelta(milliseconds=200)
LONGEST_BACKOFF = timedelta(seconds=5)
#: Wait before an entry that the broker refused by itself is tried again.
REFUSED_BACKOFF = timedelta(seconds=30)
#: Wait before a message that a consumer holds at this moment is to be taken back again: soon it is settled or free.
LEASED_BACKOFF = timedelta(seconds=1)

# What every entry for the queue would be told, so that none is asked for by itself.
_OF_THE_QUEUE = frozenset({"QUEUE_NOT_FOUND", "BACKLOG_FULL"})
# The wait before a message that was refused for one of these is tried again; any other is waited for longer.
_SHORT_WAITS = {"MESSAGE_LEASED": LEASED_BACKOFF, "BACKLOG_FULL": LONGEST_BACKOFF}


class OutboxStore(Protocol):
    """Where entries wait. Implementations hop to their own thread."""

    async def pending(self, now: int, limit: int) -> Sequence[OutboxEntry]:
        """The oldest entries that wait and may be handed over by ``now``; none past one of its key that may not."""

    async def next_pending_at(self) -> int | None:
        """The instant at which the next entry may be handed over; None when none is left."""

    async def mark_handed_over(self, results: Mapping[str, HandedOver]) -> None:
        """Note, by entry id, what became of entries.

        An entry that became a withdrawal while it was sent is not done yet: it stays, and knows its message's id.
        """

    async def postpone(self, entry_ids: Sequence[str], until: int, error: str) -> None:
        """Try entries again no earlier than ``until``, and those behind them of their keys no earlier than that."""

    async def depth(self) -> OutboxDepth:
        """How much waits."""


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
        self._store, self._call, self._clock = store, OutboxCall(producer, timeout), clock
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
            held: set[str] = set()  # the keys of which an entry of this read has to wait
            for line in in_lines(entries):
                sends: defaultdict[str, list[OutboxEntry]] = defaultdict(list)
                for entry in line:
                    if not entry.withdraw:
                        sends[entry.queue].append(entry)
                for queue, group in sends.items():
                    await self._send(queue, group, held)
                await self._withdraw_all([entry for entry in line if entry.withdraw], held)

    async def _send(self, queue: str, entries: Sequence[OutboxEntry], held: set[str]) -> None:
        entries = [entry for entry in entries if entry.order_key not in held]
        if not entries:
            return
        try:
            message_ids = await self._call.send(queue, entries)
        except Refused as refused:
            if len(entries) == 1 or refused.remote.reason in _OF_THE_QUEUE:
                await self._refused(entries, refused, held)
                return
            for entry in entries:  # one bad entry must not hold up its neighbours
                await self._send(queue, [entry], held)
            return
        found = zip(entries, message_ids, strict=True)
        await self._store.mark_handed_over({each.entry_id: HandedOver(HandOver.SENT, given) for each, given in found})
        log.info("outbox entries handed over", action="outbox_handed_over", queue=queue, count=len(entries))

    async def _withdraw_all(self, entries: Sequence[OutboxEntry], held: set[str]) -> None:
        places = asyncio.Semaphore(WITHDRAWALS)

        async def withdraw(entry: OutboxEntry) -> None:
            async with places:
                await self._withdraw(entry, held)

        ends = await asyncio.gather(*map(withdraw, entries), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    async def _withdraw(self, entry: OutboxEntry, held: set[str]) -> None:
        if entry.order_key in held:
            return
        try:
            result = await self._withdrawn(entry)
        except Refused as refused:
            await self._refused([entry], refused, held)
            return
        await self._store.mark_handed_over({entry.entry_id: result})
        log.info(
            "the message of an outbox entry is taken back, or was gone",
            action="outbox_withdrawn",
            queue=entry.queue,
            entry_id=entry.entry_id,
            outcome=result.what.name,
        )

    async def _withdrawn(self, entry: OutboxEntry) -> HandedOver:
        if entry.message_id:
            return await self._call.withdraw(entry.queue, entry.message_id)
        message_id = await self._call.find(entry)
        if message_id is None:
            return HandedOver(HandOver.WITHDRAWN, "")
        # Kept at once: the broker forgets in time which message a copy repeats.
        await self._store.mark_handed_over({entry.entry_id: HandedOver(HandOver.SENT, message_id)})
        return await self._call.withdraw(entry.queue, message_id)

    async def _refused(self, entries: Sequence[OutboxEntry], refused: Refused, held: set[str]) -> None:
        held |= {entry.order_key for entry in entries if entry.order_key}
        reason = refused.remote.reason
        wait = _SHORT_WAITS.get(reason, REFUSED_BACKOFF)
        until = self._clock.now() + microseconds(wait)
        await self._store.postpone([entry.entry_id for entry in entries], until, str(refused))
        if reason != "MESSAGE_LEASED":
            log.error(
                "the broker refused outbox entries; they are kept and tried again",
                action="outbox_entry_refused",
                queue=entries[0].queue,
                entry_id=entries[0].entry_id,
                count=len(entries),
                error=str(refused),
            )

    async def _back_off(self, error: Exception) -> None:
        reason = str(read_error(error)) if isinstance(error, grpc.RpcError) else repr(error)
        log.warning(
            "the outbox waits",
            action="outbox_backed_off",
            seconds=self._backoff.total_seconds(),
            error=reason,
            **await self._waiting(),
        )
        await sleep(self._clock, microseconds(self._backoff))
        self._backoff = min(self._backoff * 2, LONGEST_BACKOFF)
        self._wake.set()

    async def _waiting(self) -> Mapping[str, float]:
        try:
            depth = await self._store.depth()
        except Exception:  # the store may be what is out of order
            return {}
        return {"count": depth.count, "age": depth.age(self._clock.now()) / SECOND}
