"""A TCP proxy whose connections a test can break, or turn into black holes: open, and nothing comes through."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from enum import Enum
from typing import TypeVar


class Way(Enum):
    """A direction."""

    TO_SERVER = 1
    TO_CLIENT = 2


class _Link:
    """One connection, and the ways in which nothing comes through any more."""

    def __init__(self, dark: set[Way]) -> None:
        self.dark = dark
        self.task: asyncio.Task[None] | None = None


class Proxy:
    """Passes bytes on, in both directions, until it swallows them."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._dark: set[Way] = set()
        self._links: set[_Link] = set()
        self.address = ""

    def swallow(self, *ways: Way) -> None:
        """From now on read everything and pass on nothing, in these ways or both, as a machine does without power."""
        self._dark = set(ways or Way)
        for link in self._links:
            link.dark |= self._dark

    def mend(self) -> None:
        """Let new connections through again; those that swallowed anything stay dark until both their ends give up."""
        self._dark = set()

    def cut(self) -> None:
        """Break the connections that there are; new ones pass."""
        for link in self._links:
            if link.task is not None:
                link.task.cancel()

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Called by asyncio for each connection."""
        link = _Link(set(self._dark))
        self._links.add(link)
        link.task = asyncio.create_task(self._connect(link, reader, writer))
        link.task.add_done_callback(lambda _: self._links.discard(link))
        link.task.add_done_callback(lambda _: writer.close())  # one that is cancelled at once has no chance to

    async def close(self) -> None:
        """Break everything."""
        self.cut()
        tasks = [link.task for link in self._links if link.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    def passes(self, way: Way) -> Callable[[bytes], bool]:
        """Asked for each connection and way: says of each piece whether it passes; the connection breaks where not."""
        return lambda _: True

    async def _connect(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            ends = {Way.TO_SERVER: (reader, far_writer), Way.TO_CLIENT: (far_reader, writer)}
            pumps = {asyncio.create_task(self._pump(link, way, *ends[way])): way for way in Way}
            try:
                done, left = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                if left and {pumps[pump] for pump in done} <= link.dark:
                    await asyncio.wait(left)  # that one end has closed is swallowed too
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
                far_writer.close()

    async def _pump(self, link: _Link, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passes = self.passes(way)
        with suppress(OSError):
            while data := await reader.read(65_536):
                if way in link.dark:
                    continue
                if not passes(data):
                    return
                writer.write(data)
                await writer.drain()


P = TypeVar("P", bound=Proxy)


@asynccontextmanager
async def listening(proxy: P) -> AsyncIterator[P]:
    """A proxy on a free port."""
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()


@asynccontextmanager
async def proxied(target: str) -> AsyncIterator[Proxy]:
    """A proxy in front of ``target``."""
    async with listening(Proxy(target)) as proxy:
        yield proxy
