"""A TCP proxy in front of a gRPC server that loses answers: a call goes through, and its connection breaks instead."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

# A frame of HTTP/2 (RFC 9113, 4.1): three bytes of length, one of type, then flags and stream.
_HEAD = 9
_DATA, _HEADERS = 0, 1


class Frames:
    """Finds where answers are in what an HTTP/2 server sends."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0

    def answer_in(self, data: bytes) -> bool:
        """Whether a frame that belongs to a call's answer begins in these bytes."""
        found = False
        while data:
            if self._left:
                passed = min(self._left, len(data))
                self._left -= passed
                data = data[passed:]
                continue
            missing = _HEAD - len(self._head)
            self._head, data = self._head + data[:missing], data[missing:]
            if len(self._head) == _HEAD:
                self._left = int.from_bytes(self._head[:3], "big")
                found = found or self._head[3] in (_DATA, _HEADERS)
                self._head = b""
        return found


class LossyProxy:
    """Passes bytes on in both directions, and breaks a connection where an answer comes up that is to be lost.

    Args:
        target: where the server listens.
        gaps: how many pieces of answers pass before the next one is lost.
    """

    def __init__(self, target: str, gaps: Iterator[int]) -> None:
        self._host, _, port = target.rpartition(":")
        self._port, self._gaps = int(port), gaps
        self._passing = next(gaps)
        self._connections: set[asyncio.Task[None]] = set()
        self.address = ""
        self.lost = 0
        """How many answers did not arrive."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Called by asyncio for each connection."""
        task = asyncio.create_task(self._connect(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        task.add_done_callback(lambda _: writer.close())  # one that is cancelled at once has no chance to

    async def close(self) -> None:
        """Break every connection."""
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            ways = (_pump(reader, far_writer), self._answer(far_reader, writer))
            pumps = [asyncio.create_task(way) for way in ways]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
                far_writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = Frames()
        while data := await reader.read(65_536):
            if frames.answer_in(data):
                self._passing -= 1
            if self._passing < 0:
                self._passing = next(self._gaps)
                self.lost += 1
                return
            writer.write(data)
            await writer.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def losing_answers(target: str, gaps: Iterator[int]) -> AsyncIterator[LossyProxy]:
    """A proxy in front of ``target``."""
    proxy = LossyProxy(target, gaps)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
