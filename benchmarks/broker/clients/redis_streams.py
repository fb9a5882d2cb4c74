"""Redis Streams by redis-py: a consumer group; what is acknowledged is deleted, as a queue would."""

from collections.abc import Sequence
from typing import Any

import redis.asyncio as redis  # type: ignore[import-not-found]  # a peer's library

from benchmarks.broker.batch_client import BatchClient

_GROUP, _CONSUMER = "workers", "one"
_WAIT = 10_000


class RedisStreams(BatchClient):
    """A pipeline is a batch: one round trip, one flush to disk."""

    async def connect(self) -> None:
        """Connect."""
        self._redis = redis.Redis.from_url(self.address)

    async def make(self, queue: str) -> None:
        """A stream with a group that has read none of it."""
        await self._redis.xgroup_create(queue, _GROUP, id="0", mkstream=True)

    async def send(self, bodies: Sequence[bytes]) -> None:
        """One pipeline."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for body in bodies:
                pipeline.xadd(self.queue, {"body": body})
            await pipeline.execute()

    async def send_one(self, body: bytes) -> None:
        """One command."""
        await self._redis.xadd(self.queue, {"body": body})

    async def receive(self, most: int) -> tuple[Sequence[bytes], Any]:
        """One read, which waits for the first message."""
        found = await self._redis.xreadgroup(_GROUP, _CONSUMER, {self.queue: ">"}, count=most, block=_WAIT)
        streams = found.items() if isinstance(found, dict) else found
        messages = [message for _, entries in streams for message in entries]
        return [fields[b"body"] for _, fields in messages], [number for number, _ in messages]

    async def acknowledge(self, received: Any) -> None:
        """One round trip for the acks and the deletions."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.xack(self.queue, _GROUP, *received)
            pipeline.xdel(self.queue, *received)
            await pipeline.execute()

    async def close(self) -> None:
        """Disconnect."""
        await self._redis.aclose()
