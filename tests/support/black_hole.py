"""A TCP proxy whose connections a test can break, or turn into black holes: open, and nothing comes through."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial


class Proxy:
    """Passes bytes on, in both directions, until it swallows them."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._passing = True
        self._tasks: set[asyncio.Task[None]] = set()
        self.address = ""

    def swallow(self) -> None:
        """From now on read everything and pass on nothing, as a machine does that has lost its power."""
        self._passing = False

    def cut(self) -> None:
        """Break the connections that there are; new ones pass."""
        for task in self._tasks:
            task.cancel()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            kept = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(kept)
            kept.add_done_callback(partial(self._ended, sink))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if self._passing:
                    writer.write(data)
                    await writer.drain()

    def _ended(self, writer: asyncio.StreamWriter, task: asyncio.Task[None]) -> None:
        """A task that is cancelled before its first step runs no ``finally`` of its own."""
        self._tasks.discard(task)
        writer.close()


@asynccontextmanager
async def proxied(target: str) -> AsyncIterator[Proxy]:
    """A proxy in front of ``target``."""
    proxy = Proxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
