"""The broker: sends, deliveries and settlements of every queue, over a store that makes them durable."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from mesh.clock import MILLISECOND, SECOND, Clock, Timer
from mesh.identifier import Identifiers
from mesh.telemetry import get_logger
from queue_service.admission import admit_all
from queue_service.backlog import Backlog
from queue_service.catalog import Catalog
from queue_service.errors import CutOff, QueueIsPushed, QueueNotFound
from queue_service.lease_id import LeaseIds
from queue_service.leasing import Leasing
from queue_service.message import Delivery, NewMessage
from queue_service.message import Lease as LeaseNumber
from queue_service.pull import Pull
from queue_service.queue_definition import Queue
from queue_service.reaper import LONGEST_WAIT, Reaper
from queue_service.settlement import Action, Extend, LeaseOutcome, Settlement
from queue_service.storage.selection import MAX_WIRE_BYTES
from queue_service.storage.verbs import (
    Expire,
    GivenUp,
    Lease,
    Leased,
    Send,
    SendResult,
    Settle,
    Settled,
)
from queue_service.writer import Writer

log = get_logger(__name__)

#: How much longer a pushed lease lives than the call that holds it.
PUSH_MARGIN = 2 * SECOND
#: Wait after the storage failed before the queues are looked at for what it did all the same.
DOUBT_WAIT = SECOND
#: How long a push waits, if another process may have taken it over, before it asks again.
UNCERTAIN = 100 * MILLISECOND


class Broker:
    """Everything a servicer or a pusher may ask of the queues.

    Args:
        catalog: the queues.
        writer: the way to the store.
        lease_ids: what consumers see of leases.
        clock: the time.
        identifiers: of messages.
        shared: whether other processes use the store too.
    """

    def __init__(
        self,
        catalog: Catalog,
        writer: Writer,
        lease_ids: LeaseIds,
        clock: Clock,
        identifiers: Identifiers,
        *,
        shared: bool = False,
    ) -> None:
        self._shared = shared
        self._cut_off = asyncio.Event()
        self.catalog = catalog
        self.lease_ids = lease_ids
        self._writer = writer
        self._clock = clock
        self._identifiers = identifiers
        self._reaper = Reaper(clock, self._sweep)
        self.draining = asyncio.Event()
        self.leasing = Leasing(catalog, writer, clock, self._reaper, self._settle)
        self.backlog = Backlog(catalog, writer, clock, self.follow_up)
        self._doubtful: set[str] = set()
        self._look: Timer | None = None
        catalog.listen(self._queue_changed)
        writer.listen_for_trouble(self._storage_failed)

    async def start(self) -> None:
        """End, in every queue, what ended while the broker was away and what its last run held for calls of its own."""
        await self._end_everywhere(restarted=True)

    async def look(self) -> None:
        """Make up for what may have been missed: look at every queue, and take back what no process holds any more.

        Raises:
            Unavailable: the storage failed.
        """
        await self._end_everywhere(restarted=self._shared)
        self.leasing.wake_all()

    async def _end_everywhere(self, *, restarted: bool) -> None:
        for queue in self.catalog.page("", 1 << 30)[0]:
            try:
                settled = await self._writer.execute(Expire(queue.name, self._clock.now(), restarted=restarted))
            except QueueNotFound:
                continue
            self.follow_up(queue.name, settled)
            if settled.next_at is not None:
                self._reaper.note(queue.name, settled.next_at)

    async def until_cut_off(self) -> None:
        """Wait until leases that were attached before count no more; raises CutOff then."""
        await self._cut_off.wait()
        raise CutOff

    def cut_off(self) -> None:
        """Others have given back what is attached here."""
        self._cut_off.set()
        self._cut_off = asyncio.Event()

    def drain(self) -> None:
        """Let every waiting pull answer with what there is."""
        self.draining.set()
        self.leasing.wake_all()

    async def stop(self) -> None:
        """Stop the timers; nothing calls the broker any more."""
        self.draining.set()
        if self._look is not None:
            self._look.cancel()
        await self._reaper.stop()
        await self.leasing.stop()

    async def send(
        self, queue_name: str, messages: Sequence[NewMessage], request_id: str = "", *, path: str = "messages[{}]"
    ) -> tuple[SendResult, ...]:
        """Store messages, all or none; each answer stands for a message on disk.

        Who waits for them is woken before: what it asks of the store comes behind the send in the same commit, which
        saves a delivery a commit of its own.

        Raises:
            QueueNotFound, BacklogFull, DeduplicationIdReused, InvalidArgument
        """
        queue, now = self.catalog.get(queue_name), self._clock.now()
        admitted = admit_all(messages, queue, self._identifiers, now, path)
        later = [message.deliver_time for message in admitted if message.deliver_time is not None]
        at_once = len(admitted) - len(later)
        at_once -= self.leasing.heard(queue_name, now, at_once) if at_once else 0

        def sent(_: object) -> None:
            if at_once:
                self.leasing.ready(queue_name, now, at_once)
            self.leasing.ready(queue_name, min(later, default=None))
            self._reaper.note(queue_name, min([message.expire_time for message in admitted]))

        return await self._writer.execute(Send(queue_name, admitted, now, request_id), sent)

    async def pull(self, pull: Pull) -> Leased:
        """Lease what is ready, or what becomes so within ``max_wait``.

        Raises:
            QueueNotFound, QueueIsPushed
        """
        with self.leasing.waiting(pull.queue) as waiter, waiter.patience(pull.max_wait) as over:
            while True:
                queue = self.pulled(pull.queue)
                leased = await self.leasing.lease(queue, pull.verb(queue, self._clock.now()))
                if leased.deliveries or self.draining.is_set() or over.is_set():
                    return leased
                await self.leasing.wait(pull.queue, waiter, None)

    async def next_batch(
        self, queue: Queue, limit: int, linger: int, consumer_instance: str, certain: Callable[[], bool] | None = None
    ) -> tuple[Delivery, ...]:
        """Lease a batch to push, waiting for as long as there is none; empty once the broker drains.

        Nothing is leased while it is not ``certain`` that the queue is this process's to push.
        """
        with self.leasing.waiting(queue.name) as waiter:
            while not self.draining.is_set():
                now = self._clock.now()
                if certain is not None and not certain():
                    await self.leasing.wait(queue.name, waiter, now + UNCERTAIN)
                    continue
                until = push_lease_end(queue, now)
                verb = Lease(queue.name, now, until, limit, MAX_WIRE_BYTES, linger, consumer_instance, attached=True)
                leased = await self.leasing.lease(self.catalog.get(queue.name), verb)
                if leased.deliveries:
                    return leased.deliveries
                await self.leasing.wait(queue.name, waiter, None)
        return ()

    def pulled(self, queue_name: str) -> Queue:
        """The queue, to be pulled or streamed; raises QueueNotFound, QueueIsPushed."""
        queue = self.catalog.get(queue_name)
        if queue.consumer.push is not None:
            raise QueueIsPushed(queue_name)
        return queue

    async def settle(
        self, queue_name: str, settlements: Sequence[tuple[LeaseNumber | None, Action]]
    ) -> tuple[LeaseOutcome, ...]:
        """Settle deliveries, each on its own; a lease of None is one that nobody ever gave out.

        Raises:
            QueueNotFound
        """
        self.catalog.get(queue_name)
        known = tuple(Settlement(lease, action) for lease, action in settlements if lease is not None)
        outcomes = iter((await self._settle(queue_name, known)).outcomes if known else ())
        return tuple(LeaseOutcome.UNKNOWN_LEASE if lease is None else next(outcomes) for lease, _ in settlements)

    async def extend(
        self, queue_name: str, leases: Sequence[LeaseNumber | None], visibility_timeout: int | None
    ) -> tuple[tuple[LeaseOutcome, ...], int]:
        """Let live leases end ``visibility_timeout`` from now, the queue's own when None; the outcomes, and the end.

        Raises:
            QueueNotFound
        """
        queue = self.catalog.get(queue_name)
        timeout = queue.consumer.visibility_timeout if visibility_timeout is None else visibility_timeout
        until = self._clock.now() + timeout
        outcomes = await self.settle(queue_name, [(lease, Extend(until)) for lease in leases])
        self._reaper.note(queue_name, until)
        return outcomes, until

    async def _settle(self, queue_name: str, settlements: tuple[Settlement, ...]) -> Settled:
        verb = Settle(queue_name, settlements, self._clock.now())
        return await self._writer.execute(verb, partial(self.follow_up, queue_name))

    async def _sweep(self, queue_name: str) -> int | None:
        verb = Expire(queue_name, self._clock.now())
        settled = await self._writer.execute(verb, partial(self.follow_up, queue_name))
        if queue_name in self._doubtful:
            self._doubtful.remove(queue_name)
            self.leasing.ready(queue_name, self._clock.now())
        return settled.next_at

    def _storage_failed(self) -> None:
        """Nobody heard of what it did all the same: neither who waits for it nor the reaper."""
        if self._look is None and not self.draining.is_set():
            self._look = self._clock.call_after(DOUBT_WAIT, self._look_everywhere)

    def _look_everywhere(self) -> None:
        self._look = None
        for queue in self.catalog.page("", 1 << 30)[0]:
            self._doubtful.add(queue.name)
            self._reaper.note(queue.name, self._clock.now())

    def follow_up(self, queue_name: str, settled: Settled) -> None:
        """Wake and watch for what a change of the store made ready, and log what it gave up."""
        for name, at in settled.ready_at.items():
            self.leasing.ready(name, at)
            self._reaper.note(name, self._clock.now() + LONGEST_WAIT)  # what moved there may be all that it holds
        for given_up in settled.given_up:
            _log_given_up(queue_name, given_up)

    def _queue_changed(self, before: Queue | None, after: Queue | None) -> None:
        if before is not None and after is None:
            self._reaper.forget(before.name)
            self._doubtful.discard(before.name)


def push_lease_end(queue: Queue, now: int) -> int:
    """The end of a lease behind a push: after the call's own deadline, so that the call's end is heard first."""
    return now + queue.consumer.visibility_timeout + PUSH_MARGIN


def _log_given_up(queue_name: str, given_up: GivenUp) -> None:
    facts = {"queue": queue_name, "message_id": given_up.message_id, "reason": given_up.reason.name}
    if given_up.dead_letter_queue:
        destination = given_up.dead_letter_queue
        log.warning("message dead-lettered", action="message_dead_lettered", dead_letter_queue=destination, **facts)
    else:
        log.error("message dropped: its queue has no dead letter queue", action="message_dropped", **facts)
