"""StreamMessages: one consumer's deliveries, settlements and window on one stream.

Four tasks share the stream: one reads what the consumer says, one delivers what the window lets through, one beats,
and one waits for the day on which its leases count no more.
Their answers go through a short queue to the one place that writes: a consumer that does not read holds up itself and
nothing else.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from baton.queue.v1 import consumer_service_pb2 as pb
from baton.queue.v1 import message_pb2
from mesh.clock import SECOND, Clock, sleep
from mesh.errors import BatonError, InvalidArgument, Violation
from mesh.field_rules import FieldRules
from mesh.wire_time import duration_of, duration_to, instant_to
from queue_service.broker import Broker
from queue_service.delivery_encoding import encode_deliveries
from queue_service.queue_definition import Queue
from queue_service.ready_signal import Waiter
from queue_service.settlement import Action, Lost, Release
from queue_service.settlement_encoding import decode_settlements, encode_extensions, encode_results
from queue_service.status_encoding import encode_status
from queue_service.storage.selection import MAX_WIRE_BYTES
from queue_service.storage.verbs import Lease as LeaseVerb
from queue_service.stream_request import check_inner
from queue_service.window import Window

#: The contract promises a heartbeat at least every 15 s.
HEARTBEAT = 10 * SECOND
#: Answers on their way to the consumer at most; the task that makes the next one waits.
ANSWERS = 16
STREAM_LOST = "STREAM_LOST"

Requests = AsyncIterator[pb.StreamMessagesRequest]
Response = pb.StreamMessagesResponse
Notice = Response.Notice
Reaches = Callable[[Response], Awaitable[bool]]


class DeliveryStream:
    """One stream, from `open` to its end.

    Args:
        opening: the first request, its field rules checked.
        broker: where messages come from.
        rules: the field rules, for the requests that follow.
        clock: the time.
    """

    def __init__(self, opening: pb.StreamMessagesRequest.Open, broker: Broker, rules: FieldRules, clock: Clock) -> None:
        self._broker, self._rules, self._clock = broker, rules, clock
        self._opening = opening
        queue = broker.pulled(opening.queue)
        consumer = queue.consumer
        self._queue_name, self._number = queue.name, queue.number
        self._visibility = (
            duration_of(opening.visibility_timeout)
            if opening.HasField("visibility_timeout")
            else consumer.visibility_timeout
        )
        self._batch_size = opening.max_batch_size if opening.HasField("max_batch_size") else consumer.max_batch_size
        self._linger = (
            duration_of(opening.max_batch_timeout)
            if opening.HasField("max_batch_timeout")
            else consumer.max_batch_timeout
        )
        self._window = Window()
        self._set_window(opening.flow_control)
        self._answers: asyncio.Queue[Response | None] = asyncio.Queue(ANSWERS)
        self._drained = self._paused = self._noticed_drain = self._garbled = False
        self._failure: Exception | None = None
        self._waiter: Waiter | None = None

    async def run(self, requests: Requests, reaches: Reaches) -> AsyncIterator[Response]:
        """Everything the consumer is told.

        What it holds when the stream ends comes back: free after a half-close, a Drain or a stop of the broker, else as
        a failure.

        Args:
            requests: what the consumer says; gRPC ends a broken stream here just as it does a half-closed one.
            reaches: writes a last word, and whether there was anybody to hear it: what tells the two apart.

        Raises:
            QueueNotFound, QueueIsPushed: the queue went, or changed, under the stream.
            Unavailable: the storage failed, or others gave back what the stream held.
        """
        parts = (lambda: self._hear(requests), self._deliver, self._beat, self._broker.until_cut_off)
        tasks = [asyncio.create_task(self._until_it_ends(part)) for part in parts]
        broken = True
        try:
            yield self._opened()
            while (answer := await self._answers.get()) is not None:
                yield answer
            broken = self._garbled or (
                bool(self._window.held) and not await reaches(Response(heartbeat=self._beat_now()))
            )
            if self._failure is not None:
                raise self._failure
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.shield(self._give_back(lost=broken and not self._broker.draining.is_set()))

    async def _until_it_ends(self, part: Callable[[], Awaitable[None]]) -> None:
        """With one of its tasks the stream ends; one that is cancelled has no reader left to tell."""
        try:
            await part()
        except Exception as error:  # of whatever kind: the stream must not go on with a part of it missing
            self._failure = error
        await self._answers.put(None)

    def _opened(self) -> Response:
        opened = Response.Opened(
            heartbeat_interval=duration_to(HEARTBEAT), visibility_timeout=duration_to(self._visibility)
        )
        return Response(opened=opened)

    async def _give_back(self, *, lost: bool) -> None:
        action: Action = Lost(code=STREAM_LOST, description="the stream broke") if lost else Release()
        if held := self._window.held:
            await self._broker.settle(self._queue_name, [(lease, action) for lease in held])

    # What the consumer says.

    async def _hear(self, requests: Requests) -> None:
        try:
            async for request in requests:
                await self._answers.put(await self._answer(request))
        except Exception:  # nobody knows what it would have said about what it holds
            self._garbled = True
            raise

    async def _answer(self, request: pb.StreamMessagesRequest) -> Response:
        try:
            check_inner(request, self._rules)
            answer = await self._do(request)
        except BatonError as error:
            answer = Response(notice=Notice(kind=Notice.KIND_REQUEST_REJECTED, status=encode_status(error)))
        answer.sequence = request.sequence
        self._look()
        return answer

    async def _do(self, request: pb.StreamMessagesRequest) -> Response:
        match request.WhichOneof("request"):
            case "settle":
                return await self._settle(request.settle.settlements)
            case "extend":
                return await self._extend(request.extend)
            case "flow_control":
                self._set_window(request.flow_control)
                return await self._heartbeat()
            case "drain":
                self._drained = True
                return await self._heartbeat()
            case "open":
                raise InvalidArgument([Violation("open", "comes first, and once")])
            case _:
                raise InvalidArgument([Violation("request", "is required")])

    async def _settle(self, settlements: Sequence[message_pb2.Settlement]) -> Response:
        pairs = decode_settlements(settlements, self._broker.lease_ids, self._number)
        outcomes = await self._broker.settle(self._queue_name, pairs)
        self._window.remove(lease for lease, _ in pairs if lease is not None)
        return Response(settled=Response.Settled(results=encode_results(settlements, outcomes)))

    async def _extend(self, extend: pb.StreamMessagesRequest.Extend) -> Response:
        leases = [self._broker.lease_ids.decode(lease_id, self._number) for lease_id in extend.lease_ids]
        timeout = duration_of(extend.visibility_timeout) if extend.HasField("visibility_timeout") else self._visibility
        outcomes, until = await self._broker.extend(self._queue_name, leases, timeout)
        self._window.extend((lease for lease in leases if lease is not None), until)
        return Response(extended=Response.Extended(extensions=encode_extensions(extend.lease_ids, outcomes, until)))

    def _set_window(self, wanted: pb.StreamMessagesRequest.FlowControl) -> None:
        fresh = Window()
        has = wanted.HasField
        self._window.max_messages = (
            wanted.max_outstanding_messages if has("max_outstanding_messages") else fresh.max_messages
        )
        self._window.max_bytes = wanted.max_outstanding_bytes if has("max_outstanding_bytes") else fresh.max_bytes

    # What the broker says.

    async def _deliver(self) -> None:
        with self._broker.leasing.waiting(self._queue_name) as self._waiter:
            while not (self._broker.draining.is_set() and self._noticed_drain and not self._window.held):
                queue = self._broker.pulled(self._queue_name)
                await self._notice_changes(queue)
                if not await self._deliver_batch(queue):
                    until, aside = self._window.next_end(), not self._room
                    await self._broker.leasing.wait(self._queue_name, self._waiter, until, aside=aside)

    @property
    def _room(self) -> int:
        """How many messages it may be given now."""
        stops = self._drained or self._broker.draining.is_set()
        return 0 if stops else min(self._batch_size, self._window.free_messages)

    async def _deliver_batch(self, queue: Queue) -> bool:
        if not (limit := self._room):
            return False
        now, instance = self._clock.now(), self._opening.consumer_instance
        until, room = now + self._visibility, min(MAX_WIRE_BYTES, self._window.free_bytes)
        verb = LeaseVerb(queue.name, now, until, limit, room, self._linger, instance, attached=True)
        deliveries = (await self._broker.leasing.lease(queue, verb)).deliveries
        if deliveries:
            self._window.add(deliveries)
            batch = encode_deliveries(Response.Batch, deliveries, queue, self._broker.lease_ids)
            await self._answers.put(Response(batch=batch))
        return bool(deliveries)

    async def _notice_changes(self, queue: Queue) -> None:
        now = self._clock.now()
        if queue.paused(now) is not self._paused:
            self._paused = not self._paused
            await self._say(Notice.KIND_PAUSED if self._paused else Notice.KIND_RESUMED)
        if self._broker.draining.is_set() and not self._noticed_drain:
            self._noticed_drain = True
            await self._say(Notice.KIND_SERVER_DRAINING)
        if over := self._window.over(now):
            self._window.remove(over)
            ids = [self._broker.lease_ids.encode(self._number, lease) for lease in over]
            await self._answers.put(Response(notice=Notice(kind=Notice.KIND_LEASES_LOST, lease_ids=ids)))

    async def _say(self, kind: "Notice.Kind.ValueType") -> None:
        await self._answers.put(Response(notice=Notice(kind=kind)))

    async def _beat(self) -> None:
        renew = self._visibility // 3 if self._opening.keep_leases else HEARTBEAT
        while True:
            await sleep(self._clock, min(renew, HEARTBEAT))
            if self._opening.keep_leases and (held := self._window.held):
                _, until = await self._broker.extend(self._queue_name, held, self._visibility)
                self._window.extend(held, until)
            await self._answers.put(await self._heartbeat())

    async def _heartbeat(self) -> Response:
        stats, _ = await self._broker.backlog.stats(self._queue_name)
        return Response(heartbeat=self._beat_now(stats.ready_count))

    def _beat_now(self, ready_count: int = 0) -> Response.Heartbeat:
        return Response.Heartbeat(server_time=instant_to(self._clock.now()), ready_count=ready_count)

    def _look(self) -> None:
        if self._waiter is not None:
            self._waiter.wake()
