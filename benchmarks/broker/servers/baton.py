"""Our broker, with the settings it comes with and no queues but those that are measured."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from stage.own_mesh import free_port
from stage.processes import Processes, Service


@asynccontextmanager
async def baton(folder: Path) -> AsyncIterator[str]:
    """The broker's address."""
    address, queues = f"127.0.0.1:{free_port()}", folder / "queues.toml"
    queues.touch()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
    own = {"BATON_DATA_DIR": str(folder), "BATON_QUEUE_LISTEN": address, "BATON_QUEUE_CONFIG": str(queues)}
    log: list[str] = []
    processes = Processes([Service("queue", (address,))], inherited | own, Path.cwd(), lambda _, line: log.append(line))
    try:
        await processes.start()
        yield address
    finally:
        await processes.stop()
