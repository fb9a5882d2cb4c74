"""The loop that pushes one queue: connect, take a batch, call, settle, and keep off a target that is not there."""

import asyncio
from collections.abc import Sequence

import grpc

from baton.queue.v1.batch_handler_service_pb2_grpc import BatchHandlerServiceStub
from mesh.channel import open_channel
from mesh.clock import SECOND, Clock, sleep_until
from mesh.errors import BatonError
from mesh.identifier import Identifiers
from mesh.task_set import begin_loop
from mesh.telemetry import get_logger
from queue_service.broker import Broker
from queue_service.message import Delivery
from queue_service.push.batch_call import BatchCall
from queue_service.push.breaker import Breaker
from queue_service.push.call_end import CallEnd
from queue_service.push.method_call import BODY_NOT_BINARY, call_method, is_binary
from queue_service.queue_definition import PushTarget, Queue
from queue_service.queue_encoding import PushHealth
from queue_service.settlement import Action, Reject, Release

log = get_logger(__name__)

#: Seconds to wait for a connection before a target counts as unreachable.
CONNECT_TIMEOUT = 5.0
#: Wait after the storage failed: the messages are safe, the loop only must not spin.
STORAGE_WAIT = SECOND


class Pusher:
    """Pushes one queue to its target, as the queue was when the pusher was made."""

    def __init__(
        self, queue: Queue, target: PushTarget, broker: Broker, clock: Clock, identifiers: Identifiers
    ) -> None:
        self._queue, self._target = queue, target
        self._broker, self._clock, self._identifiers = broker, clock, identifiers
        self._breaker = Breaker(change_time=clock.now())
        self._free = asyncio.Semaphore(queue.consumer.max_concurrency)
        self._calls: set[asyncio.Task[None]] = set()
        self._next_at = 0
        self._unconnected = False
        self._channel = open_channel(target.address)
        self._loop = begin_loop(self._run(), f"push of {queue.name}")

    @property
    def health(self) -> PushHealth:
        """Whether the target answers."""
        return PushHealth(not self._breaker.open, self._breaker.reason, self._breaker.change_time)

    async def stop(self, grace: float) -> None:
        """Take nothing more, give calls in flight ``grace`` seconds, release what they leave. Safe twice."""
        self._loop.cancel()
        await asyncio.gather(self._loop, return_exceptions=True)
        if self._calls:
            await asyncio.wait(self._calls, timeout=grace)
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self._channel.close()

    async def _run(self) -> None:
        pushing = True
        while pushing:
            try:
                pushing = await self._push_once()
            except BatonError as error:
                log.warning("the push waits", action="push_waits", queue=self._queue.name, reason=error.reason)
                await sleep_until(self._clock, self._clock.now() + STORAGE_WAIT)

    async def _push_once(self) -> bool:
        """One connection or one delivery; False once the broker drains."""
        await sleep_until(self._clock, max(self._breaker.probe_at if self._breaker.open else 0, self._next_at))
        await self._free.acquire()
        call = None
        try:
            if not await self._connected():
                return True
            call = await self._begin()
        finally:
            if call is None:
                self._free.release()
        if call is not None and self._breaker.open:
            await asyncio.wait([call])  # one probe at a time
        return call is not None

    async def _connected(self) -> bool:
        try:
            await asyncio.wait_for(self._channel.channel_ready(), CONNECT_TIMEOUT)
        except TimeoutError:
            self._unconnected = True
            self._unreached(f"no connection to {self._target.address} within {CONNECT_TIMEOUT:g} s")
            return False
        if self._unconnected:  # what was wrong is right again; no message is needed to find that out
            self._unconnected = False
            self._reached()
        return True

    async def _begin(self) -> asyncio.Task[None] | None:
        deliveries = await self._take()
        if not deliveries:
            return None
        rate = self._queue.consumer.max_messages_per_second
        if rate:
            self._next_at = max(self._next_at, self._clock.now()) + round(len(deliveries) * SECOND / rate)
        task = asyncio.create_task(self._deliver(deliveries), name=f"delivery of {self._queue.name}")
        self._calls.add(task)
        task.add_done_callback(self._ended)
        return task

    async def _take(self) -> tuple[Delivery, ...]:
        consumer = self._queue.consumer
        single = bool(self._target.method) or self._breaker.open
        limit, linger = (1, 0) if single else (consumer.max_batch_size, consumer.max_batch_timeout)
        return await self._broker.next_batch(self._queue, limit, linger, f"push:{self._target.address}")

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._free.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            # The leases run out and the messages come back; nothing is lost but time.
            log.error("a push failed in a way nobody foresaw", action="push_failed", exc_info=error)

    async def _deliver(self, deliveries: Sequence[Delivery]) -> None:
        # A call costs an attempt only where it began on a ready channel with the breaker closed.
        ready = self._channel.get_state() is grpc.ChannelConnectivity.READY
        costs = ready and not self._breaker.open
        if self._target.method:
            await self._deliver_to_method(deliveries[0], costs=costs)
        else:
            await self._deliver_batch(deliveries, costs=costs)

    async def _deliver_batch(self, deliveries: Sequence[Delivery], *, costs: bool) -> None:
        broker = self._broker
        call = BatchCall(self._queue, self._identifiers(), deliveries, broker.settle, broker.lease_ids, self._clock)
        try:
            end = await call.run(BatchHandlerServiceStub(self._channel))
        except asyncio.CancelledError:
            await self._settle(tuple(call.rest.values()), Release())
            raise
        self._heard(end)
        await self._settle(tuple(call.rest.values()), end.of_batch(costs=costs))

    async def _deliver_to_method(self, delivery: Delivery, *, costs: bool) -> None:
        if not is_binary(delivery.message):
            kind = delivery.message.body.kind.name.lower()
            await self._settle([delivery], Reject(BODY_NOT_BINARY, f"a {kind} body is no method's request"))
            return
        try:
            end = await call_method(self._channel, self._queue, self._target.method, delivery)
        except asyncio.CancelledError:
            await self._settle([delivery], Release())
            raise
        self._heard(end)
        await self._settle([delivery], end.of_method(costs=costs))

    async def _settle(self, deliveries: Sequence[Delivery], action: Action) -> None:
        if deliveries:
            await self._broker.settle(self._queue.name, [(delivery.lease, action) for delivery in deliveries])

    def _heard(self, end: CallEnd) -> None:
        if end.unreached:
            self._unreached(str(end.error))
            return
        self._reached()

    def _reached(self) -> None:
        if self._breaker.open:
            log.info("push target answers again", action="push_healthy", queue=self._queue.name)
        self._breaker = self._breaker.succeeded(self._clock.now())

    def _unreached(self, reason: str) -> None:
        if not self._breaker.open:
            log.warning("push target unreachable", action="push_unreachable", queue=self._queue.name, reason=reason)
        self._breaker = self._breaker.failed(reason, self._clock.now())
