"""Clients that ask for too much, or for nothing, at one broker: each sort as the tasks that play it."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc

from baton.queue.v1 import consumer_service_pb2, message_pb2, producer_service_pb2, queue_pb2, queue_service_pb2
from baton.queue.v1.consumer_service_pb2_grpc import ConsumerServiceStub
from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceStub
from baton.queue.v1.queue_service_pb2_grpc import QueueServiceStub
from mesh.channel import OPTIONS
from mesh.status import RemoteError, read_error
from tests.support.running_broker import duration

Request = consumer_service_pb2.StreamMessagesRequest
# A producer that is told to come back later does so after this many seconds at the latest: it is here to press.
_LONGEST_PAUSE = 0.05
_PATIENCE = 30.0
# Messages of one send of a queue that is filled up; counts are multiples of it.
_FILLING = 100


class Crowd:
    """Everybody at one broker, each sort on a connection of its own.

    Args:
        address: the broker's.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._channels: list[grpc.aio.Channel] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._readers: list[asyncio.Task[None]] = []
        self._calls: list[Any] = []
        self._over = asyncio.Event()
        own = self._channel()
        self.queues, self.producer, self.consumer = _stubs(own)
        self.sent: set[str] = set()
        """Messages whose send was answered OK."""
        self.acked: list[str] = []
        """Messages whose ack was confirmed."""
        self.refusals: list[RemoteError] = []
        """What producers were told that may send no more for now."""
        self.waits: list[float] = []
        """Seconds from a send to the delivery of its message, of those who ask for little."""

    async def create(self, name: str, **settings: Any) -> None:
        """Make a queue."""
        queue = queue_pb2.Queue(name=name, **settings)
        queue.consumer.retry_policy.initial_delay.FromSeconds(0)
        await self.queues.CreateQueue(queue_service_pb2.CreateQueueRequest(queue=queue))

    async def stats(self, queue: str) -> queue_pb2.QueueStats:
        """How a queue stands."""
        request = queue_service_pb2.GetQueueStatsRequest(name=queue)
        stats: queue_pb2.QueueStats = (await self.queues.GetQueueStats(request, timeout=_PATIENCE)).stats
        return stats

    async def fill(self, queue: str, count: int, *, size: int) -> None:
        """Send so many messages."""
        messages = [message_pb2.QueueMessage(data=b"x" * size)] * min(count, _FILLING)
        request = producer_service_pb2.SendMessagesRequest(queue=queue, messages=messages)
        for _ in range(0, count, _FILLING):
            await self.producer.SendMessages(request, timeout=_PATIENCE)

    def produce(self, queue: str, *, size: int, batch: int, producers: int) -> None:
        """Send batches without a pause but where the broker asks for one."""
        stub = _stubs(self._channel())[1]
        for _ in range(producers):
            self._begin(self._produce(stub, queue, [b"x" * size] * batch))

    def consume(self, queue: str, *, batch: int, pause: float = 0.0) -> None:
        """Pull and ack, with a pause between two pulls."""
        self._begin(self._consume(_stubs(self._channel())[2], queue, batch, pause))

    def talk(self, queue: str, *, pause: float) -> None:
        """Send one message, wait for it, and so on: how long it takes is what others notice of the crowd."""
        self._begin(self._talk(self._channel(), queue, pause))

    async def stream(self, queue: str, *, count: int, reads: bool = True, connections: int = 1) -> None:
        """Open streams, and read the opening of each, or nothing at all."""
        for number in range(count):
            if number % (count // connections) == 0:
                stub = _stubs(self._channel())[2]
            call = stub.StreamMessages()
            await call.write(Request(open=Request.Open(queue=queue, max_batch_timeout=duration(0))))
            if reads:
                await call.read()
            self._calls.append(call)

    async def hoard(self, queue: str) -> None:
        """Read all that one stream brings, and settle none of it."""
        call = _stubs(self._channel())[2].StreamMessages()
        await call.write(Request(open=Request.Open(queue=queue, max_batch_timeout=duration(0), keep_leases=True)))
        self._calls.append(call)
        self._readers.append(asyncio.create_task(_read(call)))

    def poll(self, queue: str, *, count: int, wait: float) -> None:
        """Wait for messages that do not come, over and over."""
        stub = _stubs(self._channel())[2]
        for _ in range(count):
            self._begin(self._poll(stub, queue, wait))

    async def drain(self, queue: str) -> None:
        """Ack all that a queue has, leased by others or not."""
        while (stats := await self.stats(queue)).ready_count + stats.delayed_count + stats.leased_count:
            await self._work_off(self.consumer, queue, 100)

    async def leave(self) -> None:
        """Let everybody finish what they have begun, and hang up on the streams."""
        self._over.set()
        async with asyncio.timeout(_PATIENCE):
            await asyncio.gather(*self._tasks)
        for each in (*self._readers, *self._calls):
            each.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        self._tasks.clear()

    async def close(self) -> None:
        """Hang up."""
        await asyncio.gather(*(channel.close() for channel in self._channels))

    def _channel(self) -> grpc.aio.Channel:
        options = (*OPTIONS, ("grpc.use_local_subchannel_pool", 1))
        channel = grpc.aio.insecure_channel(self._address, options=options)
        self._channels.append(channel)
        return channel

    def _begin(self, part: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(part))

    async def _produce(self, stub: Any, queue: str, bodies: Sequence[bytes]) -> None:
        messages = [message_pb2.QueueMessage(data=body) for body in bodies]
        while not self._over.is_set():
            request = producer_service_pb2.SendMessagesRequest(
                queue=queue, messages=messages, request_id=uuid.uuid4().hex
            )
            try:
                response = await stub.SendMessages(request, timeout=_PATIENCE)
            except grpc.aio.AioRpcError as error:
                said = read_error(error)
                self.refusals.append(said)
                await asyncio.sleep(min(_LONGEST_PAUSE, (said.retry_delay or timedelta()).total_seconds()))
            else:
                self.sent.update(result.message_id for result in response.results)

    async def _consume(self, stub: Any, queue: str, batch: int, pause: float) -> None:
        while not self._over.is_set():
            await self._work_off(stub, queue, batch)
            await asyncio.sleep(pause)

    async def _work_off(self, stub: Any, queue: str, batch: int) -> None:
        request = consumer_service_pb2.PullMessagesRequest(queue=queue, max_messages=batch, max_wait=duration(0.2))
        leased = (await stub.PullMessages(request, timeout=_PATIENCE)).messages
        settlements = [message_pb2.Settlement(lease_id=each.lease_id, ack=message_pb2.Ack()) for each in leased]
        if settlements:
            settle = consumer_service_pb2.SettleMessagesRequest(queue=queue, settlements=settlements)
            results = (await stub.SettleMessages(settle, timeout=_PATIENCE)).results
            assert {result.outcome for result in results} == {message_pb2.LEASE_OUTCOME_APPLIED}
            self.acked += [each.message.message_id for each in leased]

    async def _talk(self, channel: grpc.aio.Channel, queue: str, pause: float) -> None:
        _, producer, consumer = _stubs(channel)
        message = message_pb2.QueueMessage(text="hello")
        while not self._over.is_set():
            begun = time.monotonic()
            request = producer_service_pb2.SendMessagesRequest(queue=queue, messages=[message])
            await producer.SendMessages(request, timeout=_PATIENCE)
            await self._work_off(consumer, queue, 1)
            self.waits.append(time.monotonic() - begun)
            await asyncio.sleep(pause)

    async def _poll(self, stub: Any, queue: str, wait: float) -> None:
        request = consumer_service_pb2.PullMessagesRequest(queue=queue, max_messages=1, max_wait=duration(wait))
        while not self._over.is_set():
            assert not (await stub.PullMessages(request, timeout=wait + _PATIENCE)).messages


def _stubs(channel: grpc.aio.Channel) -> tuple[Any, Any, Any]:
    return QueueServiceStub(channel), ProducerServiceStub(channel), ConsumerServiceStub(channel)


async def _read(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


@asynccontextmanager
async def crowd_at(address: str) -> AsyncIterator[Crowd]:
    """A crowd that leaves when the block ends."""
    crowd = Crowd(address)
    try:
        yield crowd
    finally:
        await crowd.close()
