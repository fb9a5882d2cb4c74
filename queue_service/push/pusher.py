"""The loop that pushes one queue: connect, take a batch, call, settle, and keep off a target that is not there."""

import asyncio
from collections.abc import Callable, Sequence

from baton.queue.v1.batch_handler_service_pb2_grpc import BatchHandlerServiceStub
from baton.queue.v1.message_pb2 import QueueMessage
from mesh.clock import SECOND, Clock, sleep
from mesh.errors import NotFound
from mesh.field_rules import FieldRules
from mesh.identifier import Identifiers
from mesh.task_set import begin_loop
from mesh.telemetry import get_logger
from queue_service.broker import Broker
from queue_service.message import Delivery
from queue_service.push.batch_call import BatchCall
from queue_service.push.call_end import CallEnd
from queue_service.push.method_call import BODY_NOT_BINARY, call_method, text_kind
from queue_service.push.target import Target
from queue_service.queue_definition import PushTarget, Queue
from queue_service.queue_encoding import PushHealth
from queue_service.settlement import Action, Reject, Release

log = get_logger(__name__)

#: Wait after something failed that is not the target's fault: the messages are safe, the loop only must not spin.
FAULT_WAIT = SECOND


class Pusher:
    """Pushes one queue to its target, as the queue was when the pusher was made."""

    def __init__(
        self,
        queue: Queue,
        push: PushTarget,
        broker: Broker,
        rules: FieldRules,
        clock: Clock,
        identifiers: Identifiers,
        certain: Callable[[], bool] | None = None,
    ) -> None:
        self._certain = certain
        self._queue, self._push = queue, push
        self._broker, self._rules, self._clock, self._identifiers = broker, rules, clock, identifiers
        self._target = Target(queue.name, push.address, clock)
        self._free = asyncio.Semaphore(queue.consumer.max_concurrency)
        self._calls: set[asyncio.Task[None]] = set()
        self._loop = begin_loop(self._run(), f"push of {queue.name}")

    @property
    def health(self) -> PushHealth:
        """Whether the target answers."""
        return self._target.health

    async def retire(self) -> None:
        """Take nothing more, and let calls in flight end in their own time. Safe twice."""
        self._loop.cancel()
        await asyncio.gather(self._loop, return_exceptions=True)
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self._target.close()

    async def stop(self, grace: float) -> None:
        """Take nothing more, give calls in flight ``grace`` seconds, release what they leave. Safe twice."""
        self._loop.cancel()
        await asyncio.gather(self._loop, return_exceptions=True)
        if self._calls:
            await asyncio.wait(self._calls, timeout=grace)
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self._target.close()

    async def _run(self) -> None:
        pushing = True
        while pushing:
            try:
                pushing = await self._push_once()
            except NotFound:
                return  # the queue is gone
            except Exception as error:  # whatever one delivery met, the next ones must go out
                log.error("the push waits", action="push_waits", queue=self._queue.name, exc_info=error)
                await sleep(self._clock, FAULT_WAIT)

    async def _push_once(self) -> bool:
        """One connection or one delivery; False once the broker drains."""
        await sleep(self._clock, self._target.probe_in)
        await self._free.acquire()
        call = None
        try:
            if not await self._target.connect():
                return True
            call = await self._begin()
        finally:
            if call is None:
                self._free.release()
        if call is not None and self._target.probing:
            await asyncio.wait([call])  # one probe at a time
        return call is not None

    async def _begin(self) -> asyncio.Task[None] | None:
        deliveries = await self._take()
        if not deliveries:
            return None
        task = asyncio.create_task(self._deliver(deliveries), name=f"delivery of {self._queue.name}")
        self._calls.add(task)
        task.add_done_callback(self._ended)
        return task

    async def _take(self) -> tuple[Delivery, ...]:
        consumer = self._queue.consumer
        single = bool(self._push.method) or self._target.probing
        limit, linger = (1, 0) if single else (consumer.max_batch_size, consumer.max_batch_timeout)
        return await self._broker.next_batch(self._queue, limit, linger, f"push:{self._push.address}", self._certain)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._free.release()
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, NotFound):  # a queue that is gone needs no settlement
            # The leases run out and the messages come back; nothing is lost but time.
            log.error("a push failed in a way nobody foresaw", action="push_failed", exc_info=error)

    async def _deliver(self, deliveries: Sequence[Delivery]) -> None:
        costs = self._target.costs
        if self._push.method:
            await self._deliver_to_method(deliveries[0], costs=costs)
        else:
            await self._deliver_batch(deliveries, costs=costs)

    async def _deliver_batch(self, deliveries: Sequence[Delivery], *, costs: bool) -> None:
        call = BatchCall(self._queue, self._identifiers(), deliveries, self._broker, self._rules, self._clock)
        try:
            end = await call.run(BatchHandlerServiceStub(self._target.channel))
        except asyncio.CancelledError:
            await self._settle(tuple(call.rest.values()), Release())
            raise
        self._target.heard(end)
        await self._settle(tuple(call.rest.values()), end.of_batch(costs=costs))

    async def _deliver_to_method(self, delivery: Delivery, *, costs: bool) -> None:
        content = QueueMessage.FromString(delivery.message.content)
        if (kind := text_kind(content)) is not None:
            await self._settle([delivery], Reject(BODY_NOT_BINARY, f"a {kind} body is no method's request"))
            return
        end: CallEnd
        try:
            end = await call_method(self._target.channel, self._queue, self._push.method, delivery, content)
        except asyncio.CancelledError:
            await self._settle([delivery], Release())
            raise
        self._target.heard(end)
        await self._settle([delivery], end.of_method(costs=costs))

    async def _settle(self, deliveries: Sequence[Delivery], action: Action) -> None:
        if deliveries:
            await self._broker.settle(self._queue.name, [(delivery.lease, action) for delivery in deliveries])
