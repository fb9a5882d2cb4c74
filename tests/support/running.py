"""Real servers for tests: an application on a free port, with a real channel to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from mesh.channel import open_channel
from mesh.server import Application, Server


@asynccontextmanager
async def running(application: Application, *, packages: tuple[str, ...] = ()) -> AsyncIterator[grpc.aio.Channel]:
    """Serve ``application`` on a free port of the loopback interface; a channel to it."""
    server = Server(application, ["127.0.0.1:0"], grace=1.0)
    await server.start()
    try:
        async with open_channel(server.addresses[0], packages=packages) as channel:
            yield channel
    finally:
        await server.stop()
