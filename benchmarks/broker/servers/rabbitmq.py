"""An installed RabbitMQ, as a node of its own beside whatever runs on the machine."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.broker.servers.process import running
from stage.own_mesh import free_port

# Debian's command on the path insists on a user of its own; the script behind it does not.
_SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def command() -> str | None:
    """How it is started; None: it is not installed."""
    return str(_SCRIPT) if _SCRIPT.exists() else shutil.which("rabbitmq-server")


@asynccontextmanager
async def rabbitmq(folder: Path) -> AsyncIterator[str]:
    """Its address."""
    port, names, between = free_port(), free_port(), free_port()
    settings = folder / "rabbitmq.conf"
    settings.write_text(f"listeners.tcp.default = 127.0.0.1:{port}\n", encoding="utf-8")
    environment = {
        **os.environ,
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"bench{port}@localhost",
        "RABBITMQ_DIST_PORT": str(between),
        "RABBITMQ_CONFIG_FILE": str(settings),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
    }
    # It would start this one by itself, and leave it behind.
    async with (
        running(["epmd", "-port", str(names), "-address", "127.0.0.1"], folder, names),
        running([command() or "rabbitmq-server"], folder, port, environment),
    ):
        yield f"amqp://guest:guest@127.0.0.1:{port}/"
