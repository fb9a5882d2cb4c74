"""A client at work within a test: it consumes while the block runs, and is drained at its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from baton_client import Client

#: Seconds within which a test's worker has to have ended.
WITHIN = 20.0


class Worker:
    """What a test may do to it."""

    def __init__(self, client: Client, grace: timedelta) -> None:
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(client.consume(self.stop, grace=grace))

    async def begun(self) -> None:
        """Let it make its first call."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def drained(self) -> None:
        """Tell it to stop, as SIGTERM does, and wait until it has."""
        self.stop.set()
        async with asyncio.timeout(WITHIN):
            await self.task


@asynccontextmanager
async def working(client: Client, *, grace: timedelta = timedelta(seconds=10)) -> AsyncIterator[Worker]:
    worker = Worker(client, grace)
    try:
        yield worker
    finally:
        if not worker.task.done():
            await worker.drained()
        worker.task.cancel()
        await asyncio.gather(worker.task, return_exceptions=True)
        await client.close()


async def got(queue: "asyncio.Queue[object]", count: int = 1) -> list[object]:
    """The next so many things that a handler put there."""
    async with asyncio.timeout(WITHIN):
        return [await queue.get() for _ in range(count)]
