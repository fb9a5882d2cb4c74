"""An installed Redis: every command is appended to its log and flushed before it is answered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.broker.servers.process import running
from stage.own_mesh import free_port


@asynccontextmanager
async def redis(folder: Path) -> AsyncIterator[str]:
    """Its address."""
    port = free_port()
    settings = {"bind": "127.0.0.1", "port": str(port), "dir": str(folder), "save": ""}
    settings |= {"appendonly": "yes", "appendfsync": "always"}
    command = ["redis-server", *(part for name, value in settings.items() for part in (f"--{name}", value))]
    async with running(command, folder, port):
        yield f"redis://127.0.0.1:{port}"
