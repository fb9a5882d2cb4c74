"""Broker nodes as operating system processes, all on one database."""

import asyncio
from pathlib import Path

from tests.support.processes import MeshProcesses, Service, environment_with, free_port


class NodeProcesses(MeshProcesses):
    """So many nodes, none of them started; ``queue`` is the first of them.

    Args:
        folder: for data.
        url: of the database.
        count: how many nodes.
    """

    def __init__(self, folder: Path, url: str, count: int) -> None:
        super().__init__(folder)
        self.set("BATON_QUEUE_DATABASE_URL", url)
        self.nodes = [self._node(number) for number in range(count)]
        self.queue = self.nodes[0]

    @property
    def services(self) -> tuple[Service, ...]:
        """The nodes."""
        return tuple(self.nodes)

    @property
    def addresses(self) -> list[str]:
        """Where they are called."""
        return [node.address for node in self.nodes]

    async def restart(self, node: Service) -> None:
        """Start one that was killed, and wait until it serves."""
        await node.start()
        await node.healthy()

    async def stop(self) -> None:
        """Stop all, one beside the other."""
        await asyncio.gather(*(node.stop() for node in self.nodes if node.running))

    def _node(self, number: int) -> Service:
        address = f"127.0.0.1:{free_port()}"
        folder = self.folder / f"node-{number}"
        settings = {**self.settings, "BATON_QUEUE_LISTEN": address, "BATON_DATA_DIR": str(folder)}
        return Service("queue", address, environment_with(settings))
