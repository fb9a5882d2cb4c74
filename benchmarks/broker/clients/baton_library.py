"""Our broker by its client library, as that comes: several calls under way, a stream, settlements gathered."""

import asyncio
from collections.abc import Sequence
from typing import Any

from baton.queue.v1 import queue_pb2, queue_service_pb2
from baton_client import Batch, Client, Message
from baton_client.producer import IN_FLIGHT
from benchmarks.broker.batch_client import PATIENCE, BatchClient, Seen


class BatonLibrary(BatchClient):
    """`baton_client` with its defaults."""

    latency_batch = 1

    async def connect(self) -> None:
        """Make a client; it connects when it is used."""
        self._client = Client(self.address)

    async def make(self, queue: str) -> None:
        """Make a queue with the contract's defaults."""
        request = queue_service_pb2.CreateQueueRequest(queue=queue_pb2.Queue(name=queue))
        await self._client.queues.CreateQueue(request, timeout=PATIENCE)

    async def send(self, bodies: Sequence[bytes]) -> None:
        """One batch."""
        await self._client.producer(self.queue).send_all(bodies)

    async def send_one(self, body: bytes) -> None:
        """One message, which shares a call with others that wait."""
        await self._client.producer(self.queue).send(body)

    async def send_all(self, bodies: Sequence[bytes], batch: int) -> None:
        """As many batches under way as the library keeps of its own calls."""
        batches = iter([bodies[start : start + batch] for start in range(0, len(bodies), batch)])

        async def sender() -> None:
            for each in batches:
                await self.send(each)

        await asyncio.gather(*(sender() for _ in range(IN_FLIGHT)))

    async def receive(self, most: int) -> tuple[Sequence[bytes], Any]:
        """Never asked for: the library hands messages out by itself."""
        raise NotImplementedError

    async def acknowledge(self, received: Any) -> None:
        """Never asked for: a function that returns has acknowledged."""
        raise NotImplementedError

    async def consume(self, count: int, batch: int, seen: Seen) -> None:
        """A decorated function, which takes batches where they are wanted; ends when everything is settled."""
        stop, left = asyncio.Event(), count

        def take(bodies: Sequence[bytes]) -> None:
            nonlocal left
            for body in bodies:
                seen(body)
            left -= len(bodies)
            if left <= 0:
                stop.set()

        async def take_batch(messages: Batch[bytes]) -> None:
            take([message.body for message in messages])

        async def take_one(message: Message[bytes]) -> None:
            take([message.body])

        async with Client(self.address) as client:
            decorate = client.consumer(self.queue)
            decorate(take_one if batch == 1 else take_batch)
            await client.consume(stop)

    async def close(self) -> None:
        """Disconnect."""
        await self._client.close()
