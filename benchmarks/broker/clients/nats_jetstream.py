"""NATS JetStream by nats-py: a stream as a work queue, a durable pull consumer, every ack confirmed."""

import asyncio
from collections.abc import Sequence
from typing import Any

import nats  # type: ignore[import-not-found]  # a peer's library
from nats.errors import TimeoutError as NatsTimeout  # type: ignore[import-not-found]
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig  # type: ignore[import-not-found]

from benchmarks.broker.batch_client import PATIENCE, BatchClient

_WAIT = 10.0


class Nats(BatchClient):
    """Published under way together, acknowledged under way together."""

    latency_batch = 1  # a fetch that finds nothing waits until it is full

    async def connect(self) -> None:
        """Connect."""
        self._connection = await nats.connect(self.address)
        self._stream = self._connection.jetstream()

    async def make(self, queue: str) -> None:
        """A stream that keeps in a file what is not acknowledged, and its consumer."""
        retention = RetentionPolicy.WORK_QUEUE
        await self._stream.add_stream(StreamConfig(name=queue, subjects=[f"{queue}.new"], retention=retention))
        await self._stream.add_consumer(queue, ConsumerConfig(durable_name=queue, ack_policy=AckPolicy.EXPLICIT))

    async def use(self, queue: str) -> None:
        """Bind the consumer."""
        await super().use(queue)
        self._subject = f"{queue}.new"
        self._consumer = await self._stream.pull_subscribe_bind(durable=queue, stream=queue)

    async def send(self, bodies: Sequence[bytes]) -> None:
        """A message each, all under way before the first confirmation is waited for."""
        confirmed = [await self._stream.publish_async(self._subject, body) for body in bodies]
        await asyncio.gather(*confirmed)

    async def receive(self, most: int) -> tuple[Sequence[bytes], Any]:
        """One fetch."""
        try:
            messages = await self._consumer.fetch(most, timeout=_WAIT)
        except NatsTimeout:
            return [], []
        return [message.data for message in messages], messages

    async def acknowledge(self, received: Any) -> None:
        """An ack each, all under way together."""
        await asyncio.gather(*(message.ack_sync(timeout=PATIENCE) for message in received))

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()
