"""NATS with JetStream, from a package of its makers."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from benchmarks.broker.interpreters import PEERS
from benchmarks.broker.servers.process import running
from stage.own_mesh import free_port


def nats(sync_interval: str) -> Callable[[Path], AbstractAsyncContextManager[str]]:
    """How to start it: ``always`` flushes before it confirms; empty is its default, which flushes every two minutes."""

    @asynccontextmanager
    async def start(folder: Path) -> AsyncIterator[str]:
        port, settings = free_port(), folder / "nats.conf"
        sync = f", sync_interval: {sync_interval}" if sync_interval else ""
        settings.write_text(
            f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{folder / "store"}"{sync} }}\n', encoding="utf-8"
        )
        async with running([str(PEERS.with_name("nats-server")), "-c", str(settings)], folder, port):
            yield f"nats://127.0.0.1:{port}"

    return start
