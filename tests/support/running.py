"""Real servers for tests: an application on a free port, with a real channel to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from mesh.channel import open_channel
from mesh.server import Application, Server


@asynccontextmanager
async def serving(application: Application, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Serve ``application``, on a free port of the loopback interface unless told where; its address."""
    server = Server(application, [listen], grace=1.0)
    await server.start()
    try:
        yield server.addresses[0]
    finally:
        await server.stop()


@asynccontextmanager
async def running(application: Application, *, packages: tuple[str, ...] = ()) -> AsyncIterator[grpc.aio.Channel]:
    """Serve ``application`` on a free port of the loopback interface; a channel to it."""
    async with serving(application) as address, open_channel(address, packages=packages) as channel:
        yield channel
