"""Handing messages out: who waits for a queue, when they are told to look, and what they are given."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from mesh.clock import Clock
from mesh.errors import BatonError
from mesh.task_set import TaskSet
from mesh.telemetry import get_logger
from queue_service.catalog import Catalog
from queue_service.errors import QueueNotFound
from queue_service.queue_definition import Queue
from queue_service.ready_signal import ReadySignal, Waiter
from queue_service.reaper import Reaper
from queue_service.settlement import Release, Settlement
from queue_service.storage.verbs import Lease, Leased, Settled
from queue_service.throttle import Throttle
from queue_service.writer import Writer

log = get_logger(__name__)

#: Seconds that leases which nobody got have to be given back when the broker stops; after that they run out.
GIVE_BACK_SECONDS = 5.0

_NOTHING = Leased((), None, 0)

SettleAll = Callable[[str, tuple[Settlement, ...]], Awaitable[Settled]]


class Leasing:
    """The waiters and the leases of all queues.

    Args:
        catalog: the queues.
        writer: the way to the store.
        clock: the time.
        reaper: told when leases end.
        settle: settles leases that nobody got.
    """

    def __init__(self, catalog: Catalog, writer: Writer, clock: Clock, reaper: Reaper, settle: SettleAll) -> None:
        self._catalog, self._writer, self._clock = catalog, writer, clock
        self._reaper, self._settle = reaper, settle
        self._signals: dict[str, ReadySignal] = {}
        self._no_signal = ReadySignal(clock)
        self._share = 1
        self.tell: Callable[[str, int, int], None] | None = None
        """Told of what becomes ready here, for whoever waits elsewhere."""
        self._throttles: dict[str, Throttle] = {}
        self._giving_back = TaskSet()
        catalog.listen(self._queue_changed)

    def ready(self, queue_name: str, at: int | None, count: int = 1) -> int:
        """``count`` messages of a queue can be delivered at that instant; None: none is on its way.

        Returns:
            How many of those who wait here were woken.
        """
        if at is None:
            return 0
        if self.tell is not None:
            self.tell(queue_name, at, count)
        return self.heard(queue_name, at, count)

    def heard(self, queue_name: str, at: int, count: int) -> int:
        """The same, of what became ready elsewhere."""
        return self._signal(queue_name).ready(at, count)

    def waited_for(self) -> list[tuple[int, str]]:
        """The queues that somebody waits for, by their numbers."""
        names = [name for name, signal in self._signals.items() if signal.waited_for]
        return [(self._catalog.get(name).number, name) for name in names]

    def share_rates(self, share: int) -> None:
        """So many processes deliver what is pulled or streamed: each keeps to its part of a queue's rate."""
        self._share = share

    def wake_all(self) -> None:
        """Let everybody who waits look."""
        for signal in self._signals.values():
            signal.wake_all()

    async def stop(self) -> None:
        """Give back what nobody got, and forget the timers."""
        await self._giving_back.finish(GIVE_BACK_SECONDS)
        for signal in self._signals.values():
            signal.close()

    def waiting(self, queue_name: str) -> AbstractContextManager[Waiter]:
        """Be told, within the block, when to look for messages of a queue; raises QueueNotFound."""
        self._catalog.get(queue_name)
        return self._signal(queue_name).waiter()

    async def wait(self, queue_name: str, waiter: Waiter, until: int | None, *, aside: bool = False) -> None:
        """Wait until it is time to look again, or until that instant; to be called after a look in vain.

        ``aside``: there is no room for messages; see `Waiter.wait`.

        Raises:
            QueueNotFound: the queue went meanwhile, whether or not there is another one of its name.
        """
        await waiter.wait(until, aside=aside)
        if waiter.closed:
            raise QueueNotFound(queue_name)

    async def lease(self, queue: Queue, verb: Lease) -> Leased:
        """Lease what is ready at this moment; while the queue is paused, only what a repeat of a call has already.

        A caller that is cancelled leaves no lease behind.

        Raises:
            QueueNotFound
        """
        if queue.paused(verb.now):
            return await self._leased_before(verb)
        throttle = self._throttle(queue, verb.now)
        if throttle is not None:
            if not (allowed := throttle.available(verb.now)):
                self._signal(queue.name).ready_after(throttle.wait)
                return await self._leased_before(verb)
            verb = replace(verb, limit=min(verb.limit, allowed))
            throttle.take(verb.limit)
        pending = self._writer.submit(verb)
        try:
            leased = await asyncio.shield(pending)
        except asyncio.CancelledError:
            self._giving_back.begin(self._give_back(verb, pending))
            raise
        if throttle is not None:
            throttle.take(len(leased.deliveries) - verb.limit)
        self._signal(queue.name).ready(leased.next_at, max(1, leased.ready_count))
        if leased.deliveries:
            self._reaper.note(queue.name, verb.until)
        return leased

    async def _leased_before(self, verb: Lease) -> Leased:
        """The live leases of an earlier call with the same request id: no pause and no rate may strand them."""
        if not verb.request_id:
            return _NOTHING
        leased = await self._writer.execute(replace(verb, limit=0))
        return Leased(leased.deliveries, None, 0)

    def _signal(self, queue_name: str) -> ReadySignal:
        """The signal of a queue that is there; of one that is gone, one that nobody waits for."""
        try:
            self._catalog.get(queue_name)
        except QueueNotFound:
            return self._no_signal
        return self._signals.setdefault(queue_name, ReadySignal(self._clock))

    def _throttle(self, queue: Queue, now: int) -> Throttle | None:
        rate = queue.consumer.max_messages_per_second
        known = self._throttles.get(queue.name)
        if not rate:
            return None
        if queue.consumer.push is None:  # a queue is pushed by one process
            rate /= self._share
        if known is None or known.rate != rate:
            known = self._throttles[queue.name] = Throttle(rate, now)
        return known

    async def _give_back(self, verb: Lease, pending: "asyncio.Future[Leased]") -> None:
        """Leases whose consumer went away before it had the answer are of no use to anybody."""
        try:
            leased = await pending
            settlements = tuple(Settlement(delivery.lease, Release()) for delivery in leased.deliveries)
            if settlements and not verb.request_id:  # a repeat of the request may have the leases already
                await self._settle(verb.queue, settlements)
        except BatonError as error:  # nothing was leased, or its queue is gone, or it comes back when the lease ends
            log.info("leases not given back", action="leases_not_given_back", queue=verb.queue, reason=error.reason)

    def _queue_changed(self, before: Queue | None, after: Queue | None) -> None:
        if before is not None:
            self._signal(before.name).wake_all()
        if after is None and before is not None:
            self._throttles.pop(before.name, None)
            self._signals.pop(before.name, self._no_signal).close()
        if after is not None and after.pause is not None and after.pause.expire_time:
            self._clock.call_at(after.pause.expire_time, self._signal(after.name).wake_all)
