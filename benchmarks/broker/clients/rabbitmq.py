"""RabbitMQ by aio-pika: a quorum queue, publisher confirms, a prefetch of one batch. Its acks are never confirmed."""

import asyncio
from collections.abc import Sequence
from typing import Any

import aio_pika  # type: ignore[import-not-found]  # a peer's library

from benchmarks.broker.batch_client import BatchClient

_PREFETCH = 100


class RabbitMq(BatchClient):
    """Published under way together, consumed as they are pushed."""

    async def connect(self) -> None:
        """Connect."""
        self._connection = await aio_pika.connect(self.address)
        self._channel = await self._connection.channel(publisher_confirms=True)
        await self._channel.set_qos(prefetch_count=_PREFETCH)
        self._consumed: Any = None

    async def make(self, queue: str) -> None:
        """A queue of one replica."""
        await self._channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum"})

    async def use(self, queue: str) -> None:
        """Leave the queue before. The next is consumed from the first `receive` on: who only sends gets none."""
        await super().use(queue)
        if self._consumed is not None:
            await self._consumed.cancel(self._tag)
        self._consumed = None
        self._arrived: asyncio.Queue[Any] = asyncio.Queue()

    async def send(self, bodies: Sequence[bytes]) -> None:
        """A message each, all under way together."""
        publish = self._channel.default_exchange.publish
        kept = aio_pika.DeliveryMode.PERSISTENT
        await asyncio.gather(
            *(publish(aio_pika.Message(body, delivery_mode=kept), routing_key=self.queue) for body in bodies)
        )

    async def receive(self, most: int) -> tuple[Sequence[bytes], Any]:
        """What has arrived, at least one."""
        if self._consumed is None:
            self._consumed = await self._channel.get_queue(self.queue)
            self._tag = await self._consumed.consume(self._arrived.put)
        messages = [await self._arrived.get()]
        while len(messages) < most and not self._arrived.empty():
            messages.append(self._arrived.get_nowait())
        return [message.body for message in messages], messages

    async def acknowledge(self, received: Any) -> None:
        """An ack each."""
        for message in received:
            await message.ack()

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()
